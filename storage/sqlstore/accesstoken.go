package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/auth"
)

// maxAccessTokens is how many a user may have.
const maxAccessTokens = 100

// CreateAccessToken implements auth.AccessTokenStore.
func (s *Store) CreateAccessToken(ctx context.Context, t auth.AccessToken, hash []byte) (id int64, err error) {
	settled := func(ctx context.Context) (bool, error) {
		made, _, err := s.AccessToken(ctx, hash)
		if errors.Is(err, auth.ErrUnknownToken) {
			return false, nil
		}
		id = made.ID
		return err == nil, err
	}
	err = s.write(ctx, "make an access token", settled, func(tx *sql.Tx) error {
		var n int64
		if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM access_tokens WHERE user_id = $1", t.UserID).Scan(&n); err != nil {
			return err
		}
		if n >= maxAccessTokens {
			return fmt.Errorf("%w: %d", auth.ErrTooManyTokens, n)
		}
		err := tx.QueryRowContext(ctx, `
			INSERT INTO access_tokens (user_id, name, hash, actions, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`,
			t.UserID, t.Name, hash, auth.ActionNames(t.Actions), micros(s.now()), micros(t.ExpiresAt)).Scan(&id)
		if err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Event{Action: audit.CreateToken, Detail: map[string]string{"token": strconv.FormatInt(id, 10), "name": t.Name, "actions": auth.ActionNames(t.Actions)}})
	})
	return id, err
}

const accessTokenColumns = "t.id, t.user_id, t.name, t.actions, t.created_at, t.expires_at, t.last_used_at"

func accessTokenFields(t *auth.AccessToken, actions *string) []any {
	return []any{&t.ID, &t.UserID, &t.Name, actions, timeColumn{&t.CreatedAt}, timeColumn{&t.ExpiresAt}, timeColumn{&t.LastUsedAt}}
}

func actionsOf(names string) (list []auth.Action) {
	for a := range strings.SplitSeq(names, ",") {
		list = append(list, auth.Action(a))
	}
	return list
}

// AccessToken implements auth.AccessTokenStore.
func (s *Store) AccessToken(ctx context.Context, hash []byte) (auth.AccessToken, auth.User, error) {
	var t auth.AccessToken
	var u auth.User
	var actions string
	err := s.db.reader.QueryRowContext(ctx, "SELECT "+accessTokenColumns+`, u.id, u.name, u.admin, u.created_at
		FROM access_tokens t JOIN users u ON u.id = t.user_id WHERE t.hash = $1`, hash).
		Scan(append(accessTokenFields(&t, &actions), &u.ID, &u.Name, &u.Admin, timeColumn{&u.CreatedAt})...)
	if errors.Is(err, sql.ErrNoRows) {
		return t, u, auth.ErrUnknownToken
	}
	t.Actions = actionsOf(actions)
	return t, u, fail("read an access token", err)
}

// AccessTokens implements auth.AccessTokenStore.
func (s *Store) AccessTokens(ctx context.Context, userID int64) ([]auth.AccessToken, error) {
	scan := func(r row) (t auth.AccessToken, err error) {
		var actions string
		err = r.Scan(accessTokenFields(&t, &actions)...)
		t.Actions = actionsOf(actions)
		return t, err
	}
	found, err := list(ctx, s.db.reader, scan, "SELECT "+accessTokenColumns+" FROM access_tokens t WHERE t.user_id = $1 ORDER BY t.id DESC", userID)
	return found, fail("list access tokens", err)
}

// DeleteAccessToken implements auth.AccessTokenStore.
func (s *Store) DeleteAccessToken(ctx context.Context, userID, id int64) error {
	return s.write(ctx, "take an access token away", nil, func(tx *sql.Tx) error {
		n, err := change(ctx, tx, "DELETE FROM access_tokens WHERE id = $1 AND user_id = $2", id, userID)
		if err == nil && n == 0 {
			err = auth.ErrUnknownToken
		}
		if err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Event{Action: audit.RevokeToken, Detail: map[string]string{"token": strconv.FormatInt(id, 10)}})
	})
}

// TouchAccessToken implements auth.AccessTokenStore.
func (s *Store) TouchAccessToken(ctx context.Context, id int64, at time.Time) error {
	return s.write(ctx, "note the use of an access token", nil, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE access_tokens SET last_used_at = $1 WHERE id = $2", micros(at), id)
		return err
	})
}
