package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

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
		var id int64
		err := tx.QueryRowContext(ctx, "SELECT id FROM users WHERE name = $1"+s.db.engine.lock(lockKey), plain(user)).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("user %q: %w", user, auth.ErrUnknownUser)
		}
		if err != nil {
			return err
		}
		if role == auth.NoRole {
			_, err = tx.ExecContext(ctx, "DELETE FROM roles WHERE user_id = $1 AND scope = $2", id, plain(scope))
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO roles (user_id, scope, role) VALUES ($1, $2, $3)
			ON CONFLICT (user_id, scope) DO UPDATE SET role = excluded.role`, id, plain(scope), int(role))
		return err
	})
}
