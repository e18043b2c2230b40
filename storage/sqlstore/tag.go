package sqlstore

import (
	"context"
	"database/sql"

	"github.com/carat-hub/carat/registry"
)

// setTags points tags at a manifest.
func (s *Store) setTags(ctx context.Context, tx *sql.Tx, repository int64, d registry.Digest, tags []registry.Tag) error {
	for _, t := range tags {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO tags (repository_id, name, digest, updated_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (repository_id, name) DO UPDATE SET digest = excluded.digest, updated_at = excluded.updated_at`,
			repository, t, d, micros(s.now()))
		if err != nil {
			return err
		}
	}
	return nil
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
		count, err := change(ctx, tx, "DELETE FROM tags WHERE repository_id = $1 AND name = $2", repository, t)
		if err != nil {
			return err
		}
		if count == 0 {
			return manifestUnknown(n, string(t))
		}
		if err := s.refreshModel(ctx, tx, repository); err != nil {
			return err
		}
		return s.touchRepository(ctx, tx, repository)
	})
}
