package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/auth"
)

// maxRefreshTokens is how many a user may have; programs that sign in each
// time that they run push the oldest out.
const maxRefreshTokens = 100

// CreateRefreshToken implements auth.RefreshTokenStore.
func (s *Store) CreateRefreshToken(ctx context.Context, t auth.RefreshToken, hash []byte, stale time.Time) error {
	settled := func(ctx context.Context) (bool, error) {
		return exists(ctx, s.db.reader, "SELECT 1 FROM refresh_tokens WHERE hash = $1", hash)
	}
	return s.write(ctx, "keep a sign-in", settled, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			DELETE FROM refresh_tokens WHERE user_id = $1 AND (used_at < $2 OR id IN
				(SELECT id FROM refresh_tokens WHERE user_id = $1 ORDER BY used_at DESC, id DESC LIMIT $3 OFFSET $4))`,
			t.UserID, micros(stale), int64(maxRefreshTokens), int64(maxRefreshTokens-1))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			INSERT INTO refresh_tokens (user_id, hash, credential, client_id, created_at, used_at) VALUES ($1, $2, $3, $4, $5, $5)`,
			t.UserID, hash, t.Credential, plain(t.ClientID), micros(t.UsedAt))
		return err
	})
}

// RefreshToken implements auth.RefreshTokenStore.
func (s *Store) RefreshToken(ctx context.Context, hash []byte) (auth.RefreshToken, auth.User, error) {
	var t auth.RefreshToken
	var u auth.User
	err := s.db.reader.QueryRowContext(ctx, `
		SELECT t.id, t.user_id, t.client_id, t.credential, t.used_at, `+userColumns+`
		FROM refresh_tokens t JOIN users u ON u.id = t.user_id WHERE t.hash = $1`, hash).
		Scan(append([]any{&t.ID, &t.UserID, &t.ClientID, &t.Credential, timeColumn{&t.UsedAt}}, userFields(&u)...)...)
	if errors.Is(err, sql.ErrNoRows) {
		return t, u, auth.ErrUnknownToken
	}
	if err != nil {
		return t, u, fail("read a refresh token", err)
	}
	u.Roles, err = s.roles(ctx, u.ID)
	return t, u, err
}

// TouchRefreshToken implements auth.RefreshTokenStore.
func (s *Store) TouchRefreshToken(ctx context.Context, id int64, at time.Time) error {
	return s.write(ctx, "note the use of a refresh token", nil, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE refresh_tokens SET used_at = $1 WHERE id = $2", micros(at), id)
		return err
	})
}

// DeleteRefreshTokens implements auth.RefreshTokenStore.
func (s *Store) DeleteRefreshTokens(ctx context.Context, userID int64) error {
	return s.write(ctx, "end the sign-ins of a user", nil, func(tx *sql.Tx) error {
		n, err := change(ctx, tx, "DELETE FROM refresh_tokens WHERE user_id = $1", userID)
		if err != nil {
			return err
		}
		browsers, err := change(ctx, tx, "DELETE FROM web_sessions WHERE user_id = $1", userID)
		if err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Event{Action: audit.SignOut, Detail: map[string]string{"sign-ins": strconv.FormatInt(n+browsers, 10)}})
	})
}
