package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/auth"
)

// userColumns are those of a user, in every query that finds one by whatever
// credential, so that none of them overlooks what matters.
const userColumns = "u.id, u.name, u.password_hash, u.admin, u.created_at"

func userFields(u *auth.User) []any {
	return []any{&u.ID, &u.Name, &u.PasswordHash, &u.Admin, timeColumn{&u.CreatedAt}}
}

// User implements auth.UserStore.
func (s *Store) User(ctx context.Context, name string) (auth.User, error) {
	var u auth.User
	err := s.db.reader.QueryRowContext(ctx, "SELECT "+userColumns+" FROM users u WHERE u.name = $1", plain(name)).Scan(userFields(&u)...)
	if errors.Is(err, sql.ErrNoRows) {
		return auth.User{}, fmt.Errorf("read user %q: %w", name, auth.ErrUnknownUser)
	}
	if err != nil {
		return auth.User{}, fail("read a user", err)
	}
	u.Roles, err = s.roles(ctx, u.ID)
	return u, err
}

// CreateUser implements auth.UserStore. A zero CreatedAt is now.
func (s *Store) CreateUser(ctx context.Context, u auth.User) (auth.User, error) {
	if u.CreatedAt.IsZero() {
		u.CreatedAt = s.now()
	}
	settled := func(ctx context.Context) (bool, error) {
		made, err := s.User(ctx, u.Name)
		return err == nil && made.ID == u.ID, err
	}
	err := s.write(ctx, "create a user", settled, func(tx *sql.Tx) error {
		if err := s.insertUser(ctx, tx, &u); err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Event{Action: audit.CreateUser, Detail: map[string]string{"user": u.Name}})
	})
	if err != nil {
		return auth.User{}, err
	}
	return u, nil
}

// insertUser inserts a user with the name space of the name, and notes the ID.
// Errors: auth.ErrUserExists, auth.ErrNamespaceTaken.
func (s *Store) insertUser(ctx context.Context, tx *sql.Tx, u *auth.User) error {
	err := tx.QueryRowContext(ctx, `
		INSERT INTO users (name, password_hash, admin, created_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (name) DO NOTHING RETURNING id`, u.Name, u.PasswordHash, u.Admin, micros(u.CreatedAt)).Scan(&u.ID)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("user %q: %w", u.Name, auth.ErrUserExists)
	}
	if err != nil {
		return err
	}
	return s.ownNamespace(ctx, tx, *u)
}

// ownNamespace gives a new user the name space of their name. Errors: auth.ErrNamespaceTaken.
func (s *Store) ownNamespace(ctx context.Context, tx *sql.Tx, u auth.User) error {
	n, err := change(ctx, tx, `
		INSERT INTO organizations (name, user_id, created_at, updated_at) VALUES ($1, $2, $3, $3)
		ON CONFLICT (name) DO UPDATE SET user_id = excluded.user_id, created_at = excluded.created_at
		WHERE organizations.created_at IS NULL`, u.Name, u.ID, micros(u.CreatedAt))
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("user %q: %w", u.Name, auth.ErrNamespaceTaken)
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO roles (user_id, scope, role) VALUES ($1, $2, $3)", u.ID, u.Name, int(auth.Owner))
	return err
}

// Users implements auth.UserStore.
func (s *Store) Users(ctx context.Context) ([]auth.User, error) {
	found, err := list(ctx, s.db.reader, func(r row) (u auth.User, err error) {
		err = r.Scan(userFields(&u)...)
		return u, err
	}, "SELECT "+userColumns+" FROM users u WHERE u.robot_of IS NULL ORDER BY u.name")
	return found, fail("list the users", err)
}

// SetPassword implements auth.UserStore.
func (s *Store) SetPassword(ctx context.Context, name, hash string) error {
	return s.write(ctx, "set a password", nil, func(tx *sql.Tx) error {
		n, err := change(ctx, tx, "UPDATE users SET password_hash = $2 WHERE name = $1 AND robot_of IS NULL", plain(name), hash)
		if err == nil && n == 0 {
			err = fmt.Errorf("user %q: %w", name, auth.ErrUnknownUser)
		}
		if err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Event{Action: audit.SetPassword, Detail: map[string]string{"user": name}})
	})
}

// SetAdmin implements auth.UserStore.
func (s *Store) SetAdmin(ctx context.Context, name string, admin bool) error {
	return s.write(ctx, "make or unmake an administrator", nil, func(tx *sql.Tx) error {
		// All administrators are locked, so that the last two do not go at once.
		admins, err := list(ctx, tx, scanOne[string], "SELECT name FROM users WHERE admin ORDER BY id"+string(s.db.engine.lock(lockChange)))
		if err != nil {
			return err
		}
		if !admin && len(admins) == 1 && admins[0] == name {
			return auth.ErrLastAdmin
		}
		n, err := change(ctx, tx, "UPDATE users SET admin = $2 WHERE name = $1 AND robot_of IS NULL", plain(name), admin)
		if err == nil && n == 0 {
			err = fmt.Errorf("user %q: %w", name, auth.ErrUnknownUser)
		}
		if err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Event{Action: audit.SetAdmin, Detail: map[string]string{"user": name, "admin": strconv.FormatBool(admin)}})
	})
}

// DeleteUser implements auth.UserStore.
func (s *Store) DeleteUser(ctx context.Context, name string) error {
	return s.write(ctx, "delete a user", nil, func(tx *sql.Tx) error {
		admins, err := list(ctx, tx, scanOne[string], "SELECT name FROM users WHERE admin ORDER BY id"+string(s.db.engine.lock(lockChange)))
		if err != nil {
			return err
		}
		if len(admins) == 1 && admins[0] == name {
			return auth.ErrLastAdmin
		}
		var id int64
		err = tx.QueryRowContext(ctx, "SELECT id FROM users WHERE name = $1 AND robot_of IS NULL"+string(s.db.engine.lock(lockChange)), plain(name)).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("user %q: %w", name, auth.ErrUnknownUser)
		}
		if err != nil {
			return err
		}
		owned, err := list(ctx, tx, scanOne[string], "SELECT o.name FROM organizations o JOIN roles r ON r.scope = o.name WHERE r.user_id = $1 AND o.user_id IS NULL AND r.role = $2 ORDER BY o.name"+
			string(s.db.engine.lock(lockChange)), id, int(auth.Owner))
		if err != nil {
			return err
		}
		for _, org := range owned {
			others, err := exists(ctx, tx, "SELECT 1 FROM roles WHERE scope = $1 AND role = $2 AND user_id <> $3", org, int(auth.Owner), id)
			if err == nil && !others {
				err = fmt.Errorf("%s: %w", org, auth.ErrLastOwner)
			}
			if err != nil {
				return err
			}
		}
		personal, err := exists(ctx, tx, "SELECT 1 FROM organizations WHERE name = $1 AND user_id = $2", name, id)
		if err == nil && personal {
			err = s.dropNamespace(ctx, tx, name)
		}
		if err != nil {
			return err
		}
		for _, statement := range []string{
			// Entries of the log of acceptances stay, and say of nobody that they accepted.
			"UPDATE acceptances SET salt = NULL, party = NULL, user_id = 0 WHERE user_id = $1",
			"DELETE FROM access_tokens WHERE user_id = $1",
			"DELETE FROM users WHERE id = $1", // with roles, teams, sign-ins, identities and SSH keys
		} {
			if _, err := tx.ExecContext(ctx, statement, id); err != nil {
				return err
			}
		}
		return s.record(ctx, tx, audit.Event{Action: audit.DeleteUser, Detail: map[string]string{"user": name}})
	})
}

// Secret implements auth.UserStore.
func (s *Store) Secret(ctx context.Context, name string, fresh []byte) ([]byte, error) {
	stored, err := secret(ctx, s.db.reader, name)
	if err == nil {
		return stored, nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return nil, fail("read secret "+name, err)
	}
	settled := func(ctx context.Context) (ok bool, err error) {
		stored, err = secret(ctx, s.db.reader, name)
		return err == nil, err
	}
	err = s.write(ctx, "store secret "+name, settled, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO secrets (name, value, created_at) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO NOTHING`, name, fresh, micros(s.now()))
		if err != nil {
			return err
		}
		stored, err = secret(ctx, tx, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	return stored, nil
}

func secret(ctx context.Context, q querier, name string) ([]byte, error) {
	var value []byte
	err := q.QueryRowContext(ctx, "SELECT value FROM secrets WHERE name = $1", name).Scan(&value)
	return value, err
}
