package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/carat-hub/carat/auth"
)

// maxSessions is how many browsers of a user may be signed in; a new one
// pushes the oldest out.
const maxSessions = 100

const sessionColumns = "t.id, t.user_id, t.credential, t.address, t.agent, t.created_at, t.seen_at"

func sessionFields(t *auth.Session) []any {
	return []any{&t.ID, &t.UserID, &t.Credential, &t.Address, &t.Agent, timeColumn{&t.CreatedAt}, timeColumn{&t.SeenAt}}
}

// CreateSession implements auth.SessionStore.
func (s *Store) CreateSession(ctx context.Context, t auth.Session, hash []byte, begun, seen time.Time) error {
	settled := func(ctx context.Context) (bool, error) {
		return exists(ctx, s.db.reader, "SELECT 1 FROM web_sessions WHERE hash = $1", hash)
	}
	return s.write(ctx, "begin a session", settled, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			DELETE FROM web_sessions WHERE user_id = $1 AND (created_at < $2 OR seen_at < $3 OR id IN
				(SELECT id FROM web_sessions WHERE user_id = $1 ORDER BY seen_at DESC, id DESC LIMIT $4 OFFSET $5))`,
			t.UserID, micros(begun), micros(seen), int64(maxSessions), int64(maxSessions-1))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			INSERT INTO web_sessions (user_id, hash, credential, address, agent, created_at, seen_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			t.UserID, hash, t.Credential, plain(t.Address), plain(t.Agent), micros(t.CreatedAt), micros(t.SeenAt))
		return err
	})
}

// Session implements auth.SessionStore.
func (s *Store) Session(ctx context.Context, hash []byte) (auth.Session, auth.User, error) {
	var t auth.Session
	var u auth.User
	err := s.db.reader.QueryRowContext(ctx, "SELECT "+sessionColumns+", "+userColumns+`
		FROM web_sessions t JOIN users u ON u.id = t.user_id WHERE t.hash = $1`, hash).
		Scan(append(sessionFields(&t), userFields(&u)...)...)
	if errors.Is(err, sql.ErrNoRows) {
		return t, u, auth.ErrUnknownToken
	}
	if err != nil {
		return t, u, fail("read a session", err)
	}
	u.Roles, err = s.roles(ctx, u.ID)
	return t, u, err
}

// TouchSession implements auth.SessionStore.
func (s *Store) TouchSession(ctx context.Context, id int64, at time.Time) error {
	return s.write(ctx, "note that a session was seen", nil, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE web_sessions SET seen_at = $1 WHERE id = $2", micros(at), id)
		return err
	})
}

// Sessions implements auth.SessionStore.
func (s *Store) Sessions(ctx context.Context, userID int64) ([]auth.Session, error) {
	scan := func(r row) (t auth.Session, err error) {
		err = r.Scan(sessionFields(&t)...)
		return t, err
	}
	found, err := list(ctx, s.db.reader, scan, "SELECT "+sessionColumns+" FROM web_sessions t WHERE t.user_id = $1 ORDER BY t.seen_at DESC, t.id DESC", userID)
	return found, fail("list sessions", err)
}

// DeleteSession implements auth.SessionStore.
func (s *Store) DeleteSession(ctx context.Context, userID, id int64) error {
	return s.write(ctx, "end a session", nil, func(tx *sql.Tx) error {
		n, err := change(ctx, tx, "DELETE FROM web_sessions WHERE user_id = $1 AND id = $2", userID, id)
		if err == nil && n == 0 {
			err = auth.ErrUnknownToken
		}
		return err
	})
}
