package sqlstore

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/verify/attestation"
)

// SigningKeys implements attestation.KeyStore.
func (s *Store) SigningKeys(ctx context.Context) ([]attestation.Key, error) {
	scan := func(r row) (k attestation.Key, err error) {
		var public []byte
		if err = r.Scan(&k.ID, &public, timeColumn{&k.NotBefore}, timeColumn{&k.NotAfter}); err == nil && len(public) != ed25519.PublicKeySize {
			err = fmt.Errorf("signing key %s has %d bytes", k.ID, len(public))
		}
		k.Public = public
		return k, err
	}
	keys, err := list(ctx, s.db.reader, scan, `
		SELECT id, public_key, not_before, not_after FROM signing_keys
		ORDER BY CASE WHEN current = 1 THEN 0 ELSE 1 END, not_before DESC, id`)
	return keys, fail("list the signing keys", err)
}

// SigningSeed implements attestation.KeyStore.
func (s *Store) SigningSeed(ctx context.Context, fresh []byte) ([]byte, error) {
	const what = "read the signing key"
	seed, err := signingSeed(ctx, s.db.reader)
	if err == nil {
		return seed, nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return nil, fail(what, err)
	}
	settled := func(ctx context.Context) (ok bool, err error) {
		seed, err = signingSeed(ctx, s.db.reader)
		return err == nil, err
	}
	err = s.write(ctx, what, settled, func(tx *sql.Tx) error {
		if err := s.insertSigningKey(ctx, tx, ed25519.NewKeyFromSeed(fresh).Public().(ed25519.PublicKey), fresh); err != nil {
			return err
		}
		seed, err = signingSeed(ctx, tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return seed, nil
}

// signingSeed returns the seed of the key in use, nil when it is kept elsewhere.
// Errors: sql.ErrNoRows.
func signingSeed(ctx context.Context, q querier) (seed []byte, err error) {
	err = q.QueryRowContext(ctx, "SELECT seed FROM signing_keys WHERE current = 1").Scan(&seed)
	return seed, err
}

// insertSigningKey puts a key into use unless one is.
func (s *Store) insertSigningKey(ctx context.Context, tx *sql.Tx, public ed25519.PublicKey, seed []byte) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO signing_keys (id, public_key, seed, current, not_before) VALUES ($1, $2, $3, 1, $4)
		ON CONFLICT DO NOTHING`, attestation.KeyID(public), []byte(public), seed, micros(s.now()))
	return err
}

// UseSigningKey implements attestation.KeyStore.
func (s *Store) UseSigningKey(ctx context.Context, public ed25519.PublicKey, seed []byte) error {
	id := attestation.KeyID(public)
	state := func(ctx context.Context, q querier) (known, current bool, err error) {
		var n sql.NullInt64
		err = q.QueryRowContext(ctx, "SELECT current FROM signing_keys WHERE id = $1", id).Scan(&n)
		if errors.Is(err, sql.ErrNoRows) {
			return false, false, nil
		}
		return err == nil, n.Valid, err
	}
	settled := func(ctx context.Context) (bool, error) {
		_, current, err := state(ctx, s.db.reader)
		return current, err
	}
	return s.write(ctx, "put a signing key into use", settled, func(tx *sql.Tx) error {
		known, current, err := state(ctx, tx)
		if err != nil || current {
			return err
		}
		if known {
			return fmt.Errorf("%w: %s", attestation.ErrKeyRetired, id)
		}
		_, err = tx.ExecContext(ctx, "UPDATE signing_keys SET current = NULL, seed = NULL, not_after = $1 WHERE current = 1", micros(s.now()))
		if err != nil {
			return err
		}
		if err := s.insertSigningKey(ctx, tx, public, seed); err != nil {
			return err
		}
		if _, current, err = state(ctx, tx); err == nil && !current {
			err = fmt.Errorf("%w: another key was put into use at the same time", attestation.ErrKeyRetired)
		}
		if err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Event{Action: audit.RotateKey, Detail: map[string]string{"key": id}})
	})
}
