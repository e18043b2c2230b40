package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/auth"
)

// UserOfIdentity implements auth.IdentityStore.
func (s *Store) UserOfIdentity(ctx context.Context, issuer, subject string) (auth.User, error) {
	u, err := userOfIdentity(ctx, s.db.reader, issuer, subject)
	if err == nil {
		u.Roles, err = s.roles(ctx, u.ID)
	}
	return u, err
}

func userOfIdentity(ctx context.Context, q querier, issuer, subject string) (u auth.User, err error) {
	err = q.QueryRowContext(ctx, "SELECT "+userColumns+` FROM identities i JOIN users u ON u.id = i.user_id
		WHERE i.issuer = $1 AND i.subject = $2`, plain(issuer), plain(subject)).Scan(userFields(&u)...)
	if errors.Is(err, sql.ErrNoRows) {
		return u, fmt.Errorf("identity %q: %w", subject, auth.ErrUnknownUser)
	}
	return u, fail("read an identity", err)
}

// CreateUserOfIdentity implements auth.IdentityStore.
func (s *Store) CreateUserOfIdentity(ctx context.Context, issuer, subject, name string) (auth.User, error) {
	var u auth.User
	settled := func(ctx context.Context) (bool, error) {
		made, err := userOfIdentity(ctx, s.db.reader, issuer, subject)
		if errors.Is(err, auth.ErrUnknownUser) {
			return false, nil
		}
		u = made
		return err == nil, err
	}
	err := s.write(ctx, "create a user of an identity", settled, func(tx *sql.Tx) error {
		u = auth.User{Name: name, CreatedAt: s.now()}
		if err := s.insertUser(ctx, tx, &u); err != nil {
			return err
		}
		n, err := change(ctx, tx, "INSERT INTO identities (issuer, subject, user_id, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (issuer, subject) DO NOTHING",
			plain(issuer), plain(subject), u.ID, micros(u.CreatedAt))
		if err != nil {
			return err
		}
		if n == 0 {
			return errIdentityTaken // and nobody was made
		}
		return s.record(ctx, tx, audit.Event{Action: audit.CreateUser, Detail: map[string]string{"user": name, "issuer": issuer, "subject": subject}})
	})
	if errors.Is(err, errIdentityTaken) {
		return s.UserOfIdentity(ctx, issuer, subject)
	}
	return u, err
}

// errIdentityTaken says that a user was made for an identity meanwhile.
var errIdentityTaken = errors.New("the identity has a user")
