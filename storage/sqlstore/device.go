package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/auth"
)

// maxDeviceSignIns is how many programs may wait for an answer; anybody may
// ask, and the newest pushes the oldest out.
const maxDeviceSignIns = 10_000

const deviceColumns = "d.id, d.user_code, d.client_id, d.address, d.state, COALESCE(d.user_id, 0), d.created_at, d.polled_at"

func deviceFields(d *auth.DeviceSignIn) []any {
	return []any{&d.ID, &d.UserCode, &d.ClientID, &d.Address, &d.State, &d.UserID, timeColumn{&d.CreatedAt}, timeColumn{&d.PolledAt}}
}

// CreateDeviceSignIn implements auth.DeviceStore.
func (s *Store) CreateDeviceSignIn(ctx context.Context, d auth.DeviceSignIn, hash []byte, stale time.Time) error {
	settled := func(ctx context.Context) (bool, error) {
		return exists(ctx, s.db.reader, "SELECT 1 FROM device_sign_ins WHERE hash = $1", hash)
	}
	return s.write(ctx, "begin the sign-in of a program", settled, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			DELETE FROM device_sign_ins WHERE created_at < $1 OR id <= (SELECT MAX(id) FROM device_sign_ins) - $2`, micros(stale), int64(maxDeviceSignIns-1))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			INSERT INTO device_sign_ins (hash, user_code, client_id, address, state, created_at, polled_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			hash, d.UserCode, plain(d.ClientID), plain(d.Address), int(d.State), micros(d.CreatedAt), micros(d.PolledAt))
		return err
	})
}

// DeviceSignIn implements auth.DeviceStore.
func (s *Store) DeviceSignIn(ctx context.Context, userCode string) (d auth.DeviceSignIn, err error) {
	err = s.db.reader.QueryRowContext(ctx, "SELECT "+deviceColumns+" FROM device_sign_ins d WHERE d.user_code = $1", plain(userCode)).Scan(deviceFields(&d)...)
	if errors.Is(err, sql.ErrNoRows) {
		return d, auth.ErrUnknownToken
	}
	return d, fail("read the sign-in of a program", err)
}

// AnswerDeviceSignIn implements auth.DeviceStore.
func (s *Store) AnswerDeviceSignIn(ctx context.Context, userCode string, userID int64, state auth.DeviceState) error {
	return s.write(ctx, "answer the sign-in of a program", nil, func(tx *sql.Tx) error {
		var client string
		err := tx.QueryRowContext(ctx, `
			UPDATE device_sign_ins SET state = $1, user_id = $2 WHERE user_code = $3 AND state = $4 RETURNING client_id`,
			int(state), userID, plain(userCode), int(auth.DevicePending)).Scan(&client)
		if errors.Is(err, sql.ErrNoRows) {
			return auth.ErrUnknownToken
		}
		if err != nil || state != auth.DeviceAllowed {
			return err
		}
		return s.record(ctx, tx, audit.Event{Action: audit.SignIn, Detail: map[string]string{"program": client}})
	})
}

// PollDeviceSignIn implements auth.DeviceStore.
func (s *Store) PollDeviceSignIn(ctx context.Context, hash []byte, at time.Time) (auth.DeviceSignIn, auth.User, error) {
	var d auth.DeviceSignIn
	err := s.write(ctx, "ask for the sign-in of a program", nil, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, "SELECT "+deviceColumns+" FROM device_sign_ins d WHERE d.hash = $1"+s.db.engine.lock(lockChange), hash).Scan(deviceFields(&d)...)
		if errors.Is(err, sql.ErrNoRows) {
			return auth.ErrUnknownToken
		}
		if err != nil {
			return err
		}
		if d.State == auth.DevicePending {
			_, err = tx.ExecContext(ctx, "UPDATE device_sign_ins SET polled_at = $1 WHERE id = $2", micros(at), d.ID)
		} else {
			_, err = tx.ExecContext(ctx, "DELETE FROM device_sign_ins WHERE id = $1", d.ID) // it is good once
		}
		return err
	})
	if err != nil || d.State != auth.DeviceAllowed {
		return d, auth.User{}, err
	}
	var u auth.User
	err = s.db.reader.QueryRowContext(ctx, "SELECT "+userColumns+" FROM users u WHERE u.id = $1", d.UserID).Scan(userFields(&u)...)
	if errors.Is(err, sql.ErrNoRows) {
		return d, u, auth.ErrUnknownToken
	}
	if err != nil {
		return d, u, fail("read a user", err)
	}
	u.Roles, err = s.roles(ctx, u.ID)
	return d, u, err
}
