package sqlstore

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/auth"
)

// maxSSHKeys is how many a user may have.
const maxSSHKeys = 100

// CreateSSHKey implements auth.SSHKeyStore.
func (s *Store) CreateSSHKey(ctx context.Context, k auth.SSHKey) (id int64, err error) {
	settled := func(ctx context.Context) (bool, error) {
		made, _, err := s.SSHKey(ctx, k.Public)
		if errors.Is(err, auth.ErrUnknownSSHKey) {
			return false, nil
		}
		id = made.ID
		return err == nil && made.UserID == k.UserID, err
	}
	err = s.write(ctx, "register an SSH key", settled, func(tx *sql.Tx) error {
		var n int64
		if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM ssh_keys WHERE user_id = $1", k.UserID).Scan(&n); err != nil {
			return err
		}
		if n >= maxSSHKeys {
			return fmt.Errorf("%w: %d", auth.ErrTooManySSHKeys, n)
		}
		err := tx.QueryRowContext(ctx, `
			INSERT INTO ssh_keys (user_id, public_key, name, created_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (public_key) DO NOTHING RETURNING id`,
			k.UserID, []byte(k.Public), plain(k.Name), micros(s.now())).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return auth.ErrSSHKeyTaken
		}
		if err == nil {
			err = s.record(ctx, tx, audit.Event{Action: audit.AddSSHKey, Detail: map[string]string{"key": strconv.FormatInt(id, 10), "name": k.Name}})
		}
		return err
	})
	return id, err
}

const sshKeyColumns = "k.id, k.user_id, k.public_key, k.name, k.created_at, k.last_used_at"

func sshKeyFields(k *auth.SSHKey, public *[]byte) []any {
	return []any{&k.ID, &k.UserID, public, &k.Name, timeColumn{&k.CreatedAt}, timeColumn{&k.LastUsedAt}}
}

// SSHKey implements auth.SSHKeyStore.
func (s *Store) SSHKey(ctx context.Context, public ed25519.PublicKey) (auth.SSHKey, auth.User, error) {
	var k auth.SSHKey
	var u auth.User
	var stored []byte
	err := s.db.reader.QueryRowContext(ctx, "SELECT "+sshKeyColumns+", "+userColumns+`
		FROM ssh_keys k JOIN users u ON u.id = k.user_id WHERE k.public_key = $1`, []byte(public)).
		Scan(append(sshKeyFields(&k, &stored), userFields(&u)...)...)
	if errors.Is(err, sql.ErrNoRows) {
		return k, u, auth.ErrUnknownSSHKey
	}
	if err != nil {
		return k, u, fail("read an SSH key", err)
	}
	k.Public = stored
	u.Roles, err = s.roles(ctx, u.ID)
	return k, u, err
}

// SSHKeys implements auth.SSHKeyStore.
func (s *Store) SSHKeys(ctx context.Context, userID int64) ([]auth.SSHKey, error) {
	scan := func(r row) (k auth.SSHKey, err error) {
		var stored []byte
		err = r.Scan(sshKeyFields(&k, &stored)...)
		k.Public = stored
		return k, err
	}
	found, err := list(ctx, s.db.reader, scan, "SELECT "+sshKeyColumns+" FROM ssh_keys k WHERE k.user_id = $1 ORDER BY k.id DESC", userID)
	return found, fail("list SSH keys", err)
}

// DeleteSSHKey implements auth.SSHKeyStore.
func (s *Store) DeleteSSHKey(ctx context.Context, userID, id int64) error {
	return s.write(ctx, "take an SSH key away", nil, func(tx *sql.Tx) error {
		n, err := change(ctx, tx, "DELETE FROM ssh_keys WHERE id = $1 AND user_id = $2", id, userID)
		if err == nil && n == 0 {
			err = auth.ErrUnknownSSHKey
		}
		if err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Event{Action: audit.DropSSHKey, Detail: map[string]string{"key": strconv.FormatInt(id, 10)}})
	})
}

// TouchSSHKey implements auth.SSHKeyStore.
func (s *Store) TouchSSHKey(ctx context.Context, id int64, at time.Time) error {
	return s.write(ctx, "note the use of an SSH key", nil, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE ssh_keys SET last_used_at = $1 WHERE id = $2", micros(at), id)
		return err
	})
}
