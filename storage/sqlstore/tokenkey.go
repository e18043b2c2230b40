package sqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/auth"
)

// TokenKeys implements auth.KeyStore.
func (s *Store) TokenKeys(ctx context.Context) ([]auth.Key, error) {
	scan := func(r row) (k auth.Key, err error) {
		err = r.Scan(&k.Serial, &k.Seed, timeColumn{&k.CreatedAt}, timeColumn{&k.SignsFrom}, timeColumn{&k.EndsAt})
		return k, err
	}
	keys, err := list(ctx, s.db.reader, scan, "SELECT serial, seed, created_at, signs_from, ends_at FROM token_keys ORDER BY serial")
	return keys, fail("list the token keys", err)
}

// AddTokenKey implements auth.KeyStore.
func (s *Store) AddTokenKey(ctx context.Context, k auth.Key, othersEnd time.Time) (added bool, err error) {
	settled := func(ctx context.Context) (bool, error) {
		seed, err := scanOne[[]byte](s.db.reader.QueryRowContext(ctx, "SELECT seed FROM token_keys WHERE serial = $1", k.Serial))
		if errors.Is(err, sql.ErrNoRows) {
			return false, nil
		}
		added = bytes.Equal(seed, k.Seed)
		return err == nil, err
	}
	err = s.write(ctx, "store a token key", settled, func(tx *sql.Tx) error {
		// Who adds a key after the same one waits here, and then finds that key, or those that came after it: without this, one that was
		// added and is gone already would leave its place free between two looks.
		if _, err := list(ctx, tx, scanOne[int64], "SELECT serial FROM token_keys WHERE serial = $1"+s.db.engine.lock(lockChange), k.Serial-1); err != nil {
			return err
		}
		// A key of that serial may be gone already, with later ones in its place.
		n, err := change(ctx, tx, `
			INSERT INTO token_keys (serial, seed, created_at, signs_from)
			SELECT CAST($1 AS BIGINT), $2, CAST($3 AS BIGINT), CAST($4 AS BIGINT) WHERE NOT EXISTS (SELECT 1 FROM token_keys WHERE serial >= $1)
			ON CONFLICT (serial) DO NOTHING`, k.Serial, k.Seed, micros(k.CreatedAt), micros(k.SignsFrom))
		if added = n == 1; err != nil || !added {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE token_keys SET ends_at = $1 WHERE serial < $2 AND (ends_at IS NULL OR ends_at > $1)", micros(othersEnd), k.Serial)
		if err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Event{Action: audit.RotateToken, Detail: map[string]string{"serial": strconv.FormatInt(k.Serial, 10), "others-end": othersEnd.UTC().Format(time.RFC3339)}})
	})
	return added && err == nil, err
}

// DeleteTokenKeys implements auth.KeyStore.
func (s *Store) DeleteTokenKeys(ctx context.Context, ended time.Time) error {
	return s.write(ctx, "delete token keys that ended", nil, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM token_keys WHERE ends_at <= $1", micros(ended))
		return err
	})
}
