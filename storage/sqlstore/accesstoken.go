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
		if err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM access_tokens WHERE user_id = $1 AND identity IS NULL", t.UserID).Scan(&n); err != nil {
			return err
		}
		if n >= maxAccessTokens {
			return fmt.Errorf("%w: %d", auth.ErrTooManyTokens, n)
		}
		id, err = s.insertAccessToken(ctx, tx, t, hash)
		return err
	})
	return id, err
}

func (s *Store) insertAccessToken(ctx context.Context, tx *sql.Tx, t auth.AccessToken, hash []byte) (id int64, err error) {
	err = tx.QueryRowContext(ctx, `
		INSERT INTO access_tokens (user_id, name, hash, actions, repositories, identity, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id`,
		t.UserID, plain(t.Name), hash, auth.ActionNames(t.Actions), strings.Join(t.Repositories, ","),
		sql.NullString{String: plain(t.Identity), Valid: t.Identity != ""}, micros(s.now()), micros(t.ExpiresAt)).Scan(&id)
	if err != nil {
		return 0, err
	}
	detail := map[string]string{"token": strconv.FormatInt(id, 10), "name": t.Name, "actions": auth.ActionNames(t.Actions), "repositories": strings.Join(t.Repositories, ",")}
	if t.Identity != "" {
		detail["identity"] = t.Identity
	}
	return id, s.recordOf(ctx, tx, t.UserID, audit.Event{Action: audit.CreateToken, Detail: detail})
}

// ExchangeIdentity implements auth.WorkloadStore. What has expired goes.
func (s *Store) ExchangeIdentity(ctx context.Context, identity []byte, expires time.Time, t auth.AccessToken, hash []byte) (id int64, err error) {
	settled := func(ctx context.Context) (bool, error) {
		made, _, err := s.AccessToken(ctx, hash)
		if errors.Is(err, auth.ErrUnknownToken) {
			return false, nil
		}
		id = made.ID
		return err == nil, err
	}
	err = s.write(ctx, "exchange an identity token", settled, func(tx *sql.Tx) error {
		now := micros(s.now())
		for _, statement := range []string{
			"DELETE FROM exchanged_tokens WHERE expires_at < $1",
			"DELETE FROM access_tokens WHERE identity IS NOT NULL AND expires_at < $1",
		} {
			if _, err := tx.ExecContext(ctx, statement, now); err != nil {
				return err
			}
		}
		n, err := change(ctx, tx, "INSERT INTO exchanged_tokens (hash, expires_at) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING", identity, micros(expires))
		if err != nil {
			return err
		}
		if n == 0 {
			return auth.ErrTokenUsed
		}
		id, err = s.insertAccessToken(ctx, tx, t, hash)
		return err
	})
	return id, err
}

const accessTokenColumns = "t.id, t.user_id, t.name, t.actions, t.repositories, COALESCE(t.identity, ''), t.created_at, t.expires_at, t.last_used_at"

// accessTokenLists are the columns of an access token that are lists.
type accessTokenLists struct{ actions, repositories string }

func (l *accessTokenLists) fields(t *auth.AccessToken) []any {
	return []any{
		&t.ID, &t.UserID, &t.Name, &l.actions, &l.repositories, &t.Identity,
		timeColumn{&t.CreatedAt},
		timeColumn{&t.ExpiresAt},
		timeColumn{&t.LastUsedAt},
	}
}

func (l *accessTokenLists) into(t *auth.AccessToken) {
	for a := range strings.SplitSeq(l.actions, ",") {
		t.Actions = append(t.Actions, auth.Action(a))
	}
	t.Repositories = strings.Split(l.repositories, ",")
}

// AccessToken implements auth.AccessTokenStore.
func (s *Store) AccessToken(ctx context.Context, hash []byte) (auth.AccessToken, auth.User, error) {
	var t auth.AccessToken
	var u auth.User
	var lists accessTokenLists
	err := s.db.reader.QueryRowContext(ctx, "SELECT "+accessTokenColumns+", "+userColumns+`
		FROM access_tokens t JOIN users u ON u.id = t.user_id WHERE t.hash = $1`, hash).
		Scan(append(lists.fields(&t), userFields(&u)...)...)
	if errors.Is(err, sql.ErrNoRows) {
		return t, u, auth.ErrUnknownToken
	}
	if err != nil {
		return t, u, fail("read an access token", err)
	}
	lists.into(&t)
	u.Roles, err = s.roles(ctx, u.ID)
	return t, u, err
}

// AccessTokens implements auth.AccessTokenStore.
func (s *Store) AccessTokens(ctx context.Context, userID int64) ([]auth.AccessToken, error) {
	scan := func(r row) (t auth.AccessToken, err error) {
		var lists accessTokenLists
		err = r.Scan(lists.fields(&t)...)
		lists.into(&t)
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
		return s.recordOf(ctx, tx, userID, audit.Event{Action: audit.RevokeToken, Detail: map[string]string{"token": strconv.FormatInt(id, 10)}})
	})
}

// TouchAccessToken implements auth.AccessTokenStore.
func (s *Store) TouchAccessToken(ctx context.Context, id int64, at time.Time) error {
	return s.write(ctx, "note the use of an access token", nil, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE access_tokens SET last_used_at = $1 WHERE id = $2", micros(at), id)
		return err
	})
}
