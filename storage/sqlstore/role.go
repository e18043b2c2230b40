package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/auth"
)

// inSight is a condition on repositories p: what lists show. It is the image of
// auth.Allow. The arguments that it adds follow those that there are.
func inSight(s auth.Sight, args []any) (string, []any) {
	next := func(arg any) string {
		args = append(args, arg)
		return "$" + strconv.Itoa(len(args))
	}
	if s.All && s.Within == nil {
		return "TRUE", args
	}
	own := "TRUE"
	switch {
	case !s.All && s.UserID == 0:
		return "p.visibility = 'public'", args
	case !s.All:
		user := next(s.UserID)
		own = `(p.visibility = 'internal'
			OR p.organization IN (SELECT scope FROM granted_roles WHERE user_id = ` + user + `)
			OR p.name IN (SELECT scope FROM granted_roles WHERE user_id = ` + user + "))"
	}
	if s.Within != nil {
		terms := []string{"FALSE"}
		for _, pattern := range s.Within {
			if below, ok := strings.CutSuffix(pattern, "/*"); ok { // names between "org/" and "org0"
				terms = append(terms, "p.name > "+next(plain(below)+"/")+" AND p.name < "+next(plain(below)+"0"))
			} else {
				terms = append(terms, "p.name = "+next(plain(pattern)))
			}
		}
		own += " AND (" + strings.Join(terms, " OR ") + ")"
	}
	return "(p.visibility = 'public' OR " + own + ")", args
}

// roles returns the roles that a user was given, nil for none.
func (s *Store) roles(ctx context.Context, userID int64) (auth.Roles, error) {
	type entry struct {
		scope string
		role  auth.Role
	}
	found, err := list(ctx, s.db.reader, func(r row) (e entry, err error) {
		err = r.Scan(&e.scope, &e.role)
		return e, err
	}, "SELECT scope, MAX(role) FROM granted_roles WHERE user_id = $1 GROUP BY scope", userID)
	if err != nil {
		return nil, fail("read the roles of a user", err)
	}
	if len(found) == 0 {
		return nil, nil
	}
	roles := make(auth.Roles, len(found))
	for _, e := range found {
		roles[e.scope] = e.role
	}
	return roles, nil
}

// Members implements auth.RoleStore.
func (s *Store) Members(ctx context.Context, scope string) ([]auth.Member, error) {
	found, err := list(ctx, s.db.reader, func(r row) (m auth.Member, err error) {
		err = r.Scan(&m.User, &m.Role)
		return m, err
	}, "SELECT u.name, r.role FROM roles r JOIN users u ON u.id = r.user_id WHERE r.scope = $1 ORDER BY u.name", plain(scope))
	return found, fail("list the members of "+scope, err)
}

// SetRole implements auth.RoleStore.
func (s *Store) SetRole(ctx context.Context, scope, user string, role auth.Role) error {
	return s.write(ctx, "set a role on "+scope, nil, func(tx *sql.Tx) error {
		if err := s.lockScope(ctx, tx, scope); err != nil {
			return err
		}
		id, err := s.lockUser(ctx, tx, user, auth.Organization(scope))
		if err != nil {
			return err
		}
		owned, err := hasOwner(ctx, tx, scope)
		if err != nil {
			return err
		}
		event := audit.Event{Action: audit.SetRole, Repository: scope, Detail: map[string]string{"user": user, "role": role.String()}}
		if role == auth.NoRole {
			event.Action = audit.DropRole
			delete(event.Detail, "role")
			_, err = tx.ExecContext(ctx, "DELETE FROM roles WHERE user_id = $1 AND scope = $2", id, scope)
		} else {
			_, err = tx.ExecContext(ctx, `INSERT INTO roles (user_id, scope, role) VALUES ($1, $2, $3)
				ON CONFLICT (user_id, scope) DO UPDATE SET role = excluded.role`, id, scope, int(role))
		}
		if err == nil && role < auth.Owner && scope == auth.Organization(scope) {
			err = keepOwner(ctx, tx, scope, owned)
		}
		if err != nil {
			return err
		}
		return s.record(ctx, tx, event)
	})
}

// lockScope makes changes of the roles in an organization, or in one of its
// repositories, wait for each other. Errors: auth.ErrUnknownScope.
func (s *Store) lockScope(ctx context.Context, tx *sql.Tx, scope string) error {
	org := auth.Organization(scope)
	var name string
	err := tx.QueryRowContext(ctx, "SELECT name FROM organizations WHERE name = $1 AND created_at IS NOT NULL"+s.db.engine.lock(lockChange), plain(org)).Scan(&name)
	if err == nil && scope != org {
		err = tx.QueryRowContext(ctx, "SELECT name FROM repositories WHERE name = $1", plain(scope)).Scan(&name)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%.300q: %w", scope, auth.ErrUnknownScope)
	}
	return err
}

// lockUser returns the id of a user or a robot that shall belong to an
// organization, and keeps them there. Errors: auth.ErrUnknownUser, auth.ErrForeignRobot.
func (s *Store) lockUser(ctx context.Context, tx *sql.Tx, name, org string) (id int64, err error) {
	var robotOf string
	err = tx.QueryRowContext(ctx, "SELECT id, COALESCE(robot_of, '') FROM users WHERE name = $1"+s.db.engine.lock(lockKey), plain(name)).Scan(&id, &robotOf)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return 0, fmt.Errorf("user %q: %w", name, auth.ErrUnknownUser)
	case err != nil:
		return 0, err
	case robotOf != "" && robotOf != org:
		return 0, fmt.Errorf("robot %q: %w", name, auth.ErrForeignRobot)
	}
	return id, nil
}

// keepOwner ends a transaction that leaves an organization without an owner, if
// it had one. Errors: auth.ErrLastOwner.
func keepOwner(ctx context.Context, tx *sql.Tx, org string, had bool) error {
	has, err := hasOwner(ctx, tx, org)
	if err == nil && had && !has {
		err = auth.ErrLastOwner
	}
	return err
}

// hasOwner tells whether a person is an owner of an organization themselves.
func hasOwner(ctx context.Context, tx *sql.Tx, org string) (bool, error) {
	return exists(ctx, tx, "SELECT 1 FROM roles r JOIN users u ON u.id = r.user_id WHERE r.scope = $1 AND r.role = $2 AND u.robot_of IS NULL LIMIT 1", org, int(auth.Owner))
}
