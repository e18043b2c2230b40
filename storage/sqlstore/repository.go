package sqlstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

func nameUnknown(n registry.Name) error {
	return registry.Errorf(registry.CodeNameUnknown, "repository %s is not known", n)
}

// Repository implements registry.RepositoryStore.
func (s *Store) Repository(ctx context.Context, n registry.Name) (registry.Repository, error) {
	r, err := repository(ctx, s.db.reader, n)
	return r, fail("read repository "+string(n), err)
}

const repositoryColumns = "name, visibility, created_at, updated_at"

func scanRepository(x row) (r registry.Repository, err error) {
	err = x.Scan(&r.Name, &r.Visibility, timeColumn{&r.CreatedAt}, timeColumn{&r.UpdatedAt})
	return r, err
}

func repository(ctx context.Context, q querier, n registry.Name) (registry.Repository, error) {
	r, err := scanRepository(q.QueryRowContext(ctx, "SELECT "+repositoryColumns+" FROM repositories WHERE name = $1", n))
	if errors.Is(err, sql.ErrNoRows) {
		return r, nameUnknown(n)
	}
	return r, err
}

// CreateRepository implements registry.RepositoryStore. Times that are zero are now.
func (s *Store) CreateRepository(ctx context.Context, r registry.Repository) (registry.Repository, error) {
	now := s.now()
	if r.CreatedAt.IsZero() {
		r.CreatedAt = now
	}
	if r.UpdatedAt.IsZero() {
		r.UpdatedAt = r.CreatedAt
	}
	var made registry.Repository
	settled := func(ctx context.Context) (ok bool, err error) {
		made, err = repository(ctx, s.db.reader, r.Name)
		return err == nil, err
	}
	err := s.write(ctx, "create repository "+string(r.Name), settled, func(tx *sql.Tx) error {
		err := insertRepository(ctx, tx, r)
		if err == nil {
			made, err = repository(ctx, tx, r.Name)
		}
		return err
	})
	return made, err
}

// insertRepository makes a repository unless it exists, and the organization
// that it is in.
func insertRepository(ctx context.Context, tx *sql.Tx, r registry.Repository) error {
	org := auth.Organization(string(r.Name))
	n, err := change(ctx, tx, `
		INSERT INTO repositories (name, organization, visibility, created_at, updated_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (name) DO NOTHING`, r.Name, org, r.Visibility, micros(r.CreatedAt), micros(r.UpdatedAt))
	if err != nil || n == 0 {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO organizations (name, created_at, updated_at) VALUES ($1, $2, $2)
		ON CONFLICT (name) DO UPDATE SET created_at = excluded.created_at WHERE organizations.created_at IS NULL`, org, micros(r.CreatedAt))
	return err
}

// SetVisibility implements registry.RepositoryStore.
func (s *Store) SetVisibility(ctx context.Context, n registry.Name, v auth.Visibility) error {
	return s.write(ctx, "change the visibility of "+string(n), nil, func(tx *sql.Tx) error {
		count, err := change(ctx, tx, "UPDATE repositories SET visibility = $2, updated_at = $3 WHERE name = $1", n, v, micros(s.now()))
		if err == nil && count == 0 {
			return nameUnknown(n)
		}
		if err != nil {
			return err
		}
		if err := s.record(ctx, tx, audit.Event{Action: audit.SetVisibility, Repository: string(n), Detail: map[string]string{"visibility": string(v)}}); err != nil {
			return err
		}
		return s.dependentsDue(ctx, tx, n) // to whom it is hidden, its terms are not known
	})
}

// Repositories implements registry.RepositoryStore.
func (s *Store) Repositories(ctx context.Context, last registry.Name, limit int, sight auth.Sight) ([]registry.Name, error) {
	condition, args := inSight(sight, []any{plain(string(last)), max(limit, 0)})
	names, err := list(ctx, s.db.reader, scanOne[registry.Name],
		"SELECT p.name FROM repositories p WHERE p.name > $1 AND "+condition+" ORDER BY p.name LIMIT $2", args...)
	return names, fail("list repositories", err)
}

// repositoryID returns the row id of a repository. Errors: CodeNameUnknown.
func (s *Store) repositoryID(ctx context.Context, q querier, n registry.Name) (int64, error) {
	return repositoryID(ctx, q, n, "")
}

// lockRepository is repositoryID, and keeps other changes to the repository's
// manifests, tags and links away until the transaction ends.
func (s *Store) lockRepository(ctx context.Context, tx *sql.Tx, n registry.Name) (int64, error) {
	return repositoryID(ctx, tx, n, s.db.engine.lock(lockChange))
}

func repositoryID(ctx context.Context, q querier, n registry.Name, lock string) (int64, error) {
	var id int64
	err := q.QueryRowContext(ctx, "SELECT id FROM repositories WHERE name = $1"+lock, n).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nameUnknown(n)
	}
	return id, err
}

// touchRepository notes that the repository's content changed.
func (s *Store) touchRepository(ctx context.Context, tx *sql.Tx, id int64) error {
	_, err := tx.ExecContext(ctx, "UPDATE repositories SET updated_at = $2 WHERE id = $1", id, micros(s.now()))
	return err
}
