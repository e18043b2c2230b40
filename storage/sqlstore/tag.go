package sqlstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/carat-hub/carat/registry"
)

// setTags points tags at a manifest. Verifications of manifests that lose
// their last tag are cancelled.
func (s *Store) setTags(ctx context.Context, tx *sql.Tx, repository int64, d registry.Digest, tags []registry.Tag) error {
	for _, t := range tags {
		before, err := tagged(ctx, tx, repository, t)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			INSERT INTO tags (repository_id, name, digest, updated_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (repository_id, name) DO UPDATE SET digest = excluded.digest, updated_at = excluded.updated_at`,
			repository, t, d, micros(s.now()))
		if err != nil {
			return err
		}
		if before.IsZero() || before == d {
			continue
		}
		if err := s.cancelUntagged(ctx, tx, repository, before); err != nil {
			return err
		}
	}
	return nil
}

// tagged returns the digest of the manifest that a tag names, zero when there
// is no such tag.
func tagged(ctx context.Context, tx *sql.Tx, repository int64, t registry.Tag) (d registry.Digest, err error) {
	err = tx.QueryRowContext(ctx, "SELECT digest FROM tags WHERE repository_id = $1 AND name = $2", repository, t).Scan(&d)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return d, err
}

// Tags implements registry.ManifestStore.
func (s *Store) Tags(ctx context.Context, n registry.Name, last registry.Tag, limit int) ([]registry.Tag, error) {
	repository, err := s.repositoryID(ctx, s.db.reader, n)
	if err != nil {
		return nil, fail("list the tags of "+string(n), err)
	}
	tags, err := list(ctx, s.db.reader, scanOne[registry.Tag],
		"SELECT name FROM tags WHERE repository_id = $1 AND name > $2 ORDER BY name LIMIT $3", repository, plain(string(last)), max(limit, 0))
	return tags, fail("list the tags of "+string(n), err)
}

// DeleteTag implements registry.ManifestStore.
func (s *Store) DeleteTag(ctx context.Context, n registry.Name, t registry.Tag) error {
	return s.write(ctx, "delete tag "+string(t), nil, func(tx *sql.Tx) error {
		repository, err := s.lockRepository(ctx, tx, n)
		if registry.IsCode(err, registry.CodeNameUnknown) {
			return manifestUnknown(n, string(t))
		}
		if err != nil {
			return err
		}
		d, err := tagged(ctx, tx, repository, t)
		if err != nil {
			return err
		}
		if d.IsZero() {
			return manifestUnknown(n, string(t))
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM tags WHERE repository_id = $1 AND name = $2", repository, t); err != nil {
			return err
		}
		if err := s.cancelUntagged(ctx, tx, repository, d); err != nil {
			return err
		}
		if err := s.dependentsDue(ctx, tx, n); err != nil {
			return err
		}
		if err := s.refreshModel(ctx, tx, repository); err != nil {
			return err
		}
		return s.touchRepository(ctx, tx, repository)
	})
}
