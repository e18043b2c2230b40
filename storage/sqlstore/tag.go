package sqlstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/registry"
)

// movedTag is a tag that names another manifest than before, which is zero
// for a tag that is new.
type movedTag struct {
	tag    registry.Tag
	before registry.Digest
}

// setTags points tags at a manifest, and returns those that moved. Verifications
// of manifests that lose their last tag are cancelled.
func (s *Store) setTags(ctx context.Context, tx *sql.Tx, repository int64, d registry.Digest, tags []registry.Tag) (moved []movedTag, err error) {
	for _, t := range tags {
		before, err := tagged(ctx, tx, repository, t)
		if err != nil {
			return nil, err
		}
		_, err = tx.ExecContext(ctx, `
			INSERT INTO tags (repository_id, name, digest, updated_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (repository_id, name) DO UPDATE SET digest = excluded.digest, updated_at = excluded.updated_at`,
			repository, t, d, micros(s.now()))
		if err != nil {
			return nil, err
		}
		if before == d {
			continue
		}
		moved = append(moved, movedTag{t, before})
		if before.IsZero() {
			continue
		}
		if err := s.cancelUntagged(ctx, tx, repository, before); err != nil {
			return nil, err
		}
	}
	return moved, nil
}

// recordPush notes a push that changed something: a manifest that is new, and
// tags that are or that moved.
func (s *Store) recordPush(ctx context.Context, tx *sql.Tx, w registry.ManifestWrite, moved []movedTag, fresh bool) error {
	e := audit.Event{Action: audit.Push, Repository: string(w.Name), Digest: w.Manifest.Digest.String()}
	if fresh {
		if err := s.record(ctx, tx, e); err != nil {
			return err
		}
	}
	for _, m := range moved {
		e := audit.Event{Action: audit.MoveTag, Repository: e.Repository, Digest: e.Digest, Tag: string(m.tag)}
		if !m.before.IsZero() {
			e.Detail = map[string]string{"from": m.before.String()}
		}
		if err := s.record(ctx, tx, e); err != nil {
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
		if err := s.record(ctx, tx, audit.Event{Action: audit.DeleteTag, Repository: string(n), Digest: d.String(), Tag: string(t)}); err != nil {
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
