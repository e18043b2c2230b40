package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/auth"
)

const selectOrg = `SELECT o.name, o.description, COALESCE(u.name, ''), o.created_at
	FROM organizations o LEFT JOIN users u ON u.id = o.user_id WHERE o.created_at IS NOT NULL`

func scanOrg(r row) (o auth.Org, err error) {
	err = r.Scan(&o.Name, &o.Description, &o.User, timeColumn{&o.CreatedAt})
	return o, err
}

// Orgs implements auth.OrgStore.
func (s *Store) Orgs(ctx context.Context, userID int64) ([]auth.Org, error) {
	query, args := selectOrg, []any{}
	if userID != 0 {
		// Of "org/name" the part before the slash; of "org" all.
		query += ` AND EXISTS (SELECT 1 FROM granted_roles g WHERE g.user_id = $1 AND (g.scope = o.name OR g.scope > o.name || '/' AND g.scope < o.name || '0'))`
		args = append(args, userID)
	}
	found, err := list(ctx, s.db.reader, scanOrg, query+" ORDER BY o.name", args...)
	return found, fail("list the organizations", err)
}

// Org implements auth.OrgStore.
func (s *Store) Org(ctx context.Context, name string) (auth.Org, error) {
	o, err := scanOrg(s.db.reader.QueryRowContext(ctx, selectOrg+" AND o.name = $1", plain(name)))
	if errors.Is(err, sql.ErrNoRows) {
		return o, fmt.Errorf("%.300q: %w", name, auth.ErrUnknownScope)
	}
	return o, fail("read organization "+name, err)
}

// CreateOrg implements auth.OrgStore.
func (s *Store) CreateOrg(ctx context.Context, o auth.Org, owner string) error {
	return s.write(ctx, "make organization "+o.Name, nil, func(tx *sql.Tx) error {
		id, err := s.lockUser(ctx, tx, owner, o.Name)
		if err != nil {
			return err
		}
		n, err := change(ctx, tx, `
			INSERT INTO organizations (name, description, created_at, updated_at) VALUES ($1, $2, $3, $3)
			ON CONFLICT (name) DO UPDATE SET description = excluded.description, created_at = excluded.created_at
			WHERE organizations.created_at IS NULL`, o.Name, plain(o.Description), micros(s.now()))
		if err == nil && n == 0 {
			err = fmt.Errorf("organization %q: %w", o.Name, auth.ErrNamespaceTaken)
		}
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO roles (user_id, scope, role) VALUES ($1, $2, $3)", id, o.Name, int(auth.Owner)); err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Event{Action: audit.CreateOrg, Repository: o.Name, Detail: map[string]string{"owner": owner}})
	})
}

// DescribeOrg implements auth.OrgStore.
func (s *Store) DescribeOrg(ctx context.Context, name, description string) error {
	return s.write(ctx, "describe organization "+name, nil, func(tx *sql.Tx) error {
		if err := s.lockScope(ctx, tx, name); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "UPDATE organizations SET description = $2 WHERE name = $1", name, plain(description)); err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Event{Action: audit.DescribeOrg, Repository: name})
	})
}

// DeleteOrg implements auth.OrgStore. Repositories without content go with it.
func (s *Store) DeleteOrg(ctx context.Context, name string) error {
	return s.write(ctx, "delete organization "+name, nil, func(tx *sql.Tx) error {
		if err := s.lockScope(ctx, tx, name); err != nil {
			return err
		}
		personal, err := exists(ctx, tx, "SELECT 1 FROM organizations WHERE name = $1 AND user_id IS NOT NULL", name)
		if err == nil && personal {
			err = auth.ErrPersonal
		}
		if err != nil {
			return err
		}
		if err := s.dropNamespace(ctx, tx, name); err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Event{Action: audit.DeleteOrg, Repository: name})
	})
}

// dropNamespace deletes a name space with all that is about it, when there is
// nothing in its repositories. Errors: auth.ErrNotEmpty.
func (s *Store) dropNamespace(ctx context.Context, tx *sql.Tx, name string) error {
	for _, table := range []string{"manifests", "blob_links", "uploads"} {
		full, err := exists(ctx, tx, "SELECT 1 FROM repositories p JOIN "+table+" x ON x.repository_id = p.id WHERE p.organization = $1 LIMIT 1", name)
		if err == nil && full {
			err = auth.ErrNotEmpty
		}
		if err != nil {
			return err
		}
	}
	within := " WHERE scope = $1 OR scope > $1 || '/' AND scope < $1 || '0'"
	for _, statement := range []string{
		"DELETE FROM models WHERE repository_id IN (SELECT id FROM repositories WHERE organization = $1)",
		"DELETE FROM repositories WHERE organization = $1",
		"DELETE FROM roles" + within,
		"DELETE FROM consent_gates" + within,
		"DELETE FROM access_tokens WHERE user_id IN (SELECT id FROM users WHERE robot_of = $1)",
		"DELETE FROM users WHERE robot_of = $1",
		"DELETE FROM teams WHERE organization = $1",
		"DELETE FROM organizations WHERE name = $1",
	} {
		if _, err := tx.ExecContext(ctx, statement, name); err != nil {
			return err
		}
	}
	// The history of its policies stays.
	_, err := tx.ExecContext(ctx, `INSERT INTO policies (scope, text, set_by, set_at)
		SELECT p.scope, '', $2, $3 FROM policies p WHERE p.scope = $1 AND p.text <> '' AND p.id = (SELECT MAX(x.id) FROM policies x WHERE x.scope = $1)`,
		name, audit.ActorOf(ctx).Name, micros(s.now()))
	return err
}
