package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/registry"
)

func manifestUnknown(n registry.Name, ref string) error {
	return registry.Errorf(registry.CodeManifestUnknown, "manifest %s is not known in %s", ref, n)
}

// PutManifest implements registry.ManifestStore.
func (s *Store) PutManifest(ctx context.Context, w registry.ManifestWrite) error {
	now := s.now()
	if w.Manifest.CreatedAt.IsZero() {
		w.Manifest.CreatedAt = now
	}
	annotations := w.Annotations
	if annotations == nil {
		annotations = map[string]string{}
	}
	encoded, err := jsonText(annotations)
	if err != nil {
		return fail("encode annotations", err)
	}
	settled := func(ctx context.Context) (bool, error) { return s.hasManifest(ctx, w) }
	return s.write(ctx, "put manifest "+w.Manifest.Digest.String(), settled, func(tx *sql.Tx) error {
		repository, err := s.lockRepository(ctx, tx, w.Name)
		if registry.IsCode(err, registry.CodeNameUnknown) {
			repository, err = s.beginRepository(ctx, tx, w)
		}
		if err != nil {
			return err
		}
		blobs, children := distinct(w.Blobs), distinct(w.Manifests)
		if err := s.checkReferences(ctx, tx, w.Name, repository, blobs, children); err != nil {
			return err
		}
		m := w.Manifest
		count, err := change(ctx, tx, `
			INSERT INTO manifests (repository_id, digest, media_type, artifact_type, body, size, subject, annotations, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
			ON CONFLICT (repository_id, digest) DO NOTHING`,
			repository, m.Digest, plain(m.MediaType), plain(m.ArtifactType), m.Body, len(m.Body), m.Subject, encoded, micros(m.CreatedAt))
		if err != nil {
			return err
		}
		if count > 0 { // the same bytes have the same references
			if err := insertReferences(ctx, tx, repository, m.Digest, blobs, children); err != nil {
				return err
			}
		}
		moved, err := s.setTags(ctx, tx, repository, m.Digest, w.Tags)
		if err != nil {
			return err
		}
		if !m.Subject.IsZero() { // it may say of what the subject was made
			if err := s.versionDue(ctx, tx, w.Name, m.Subject); err != nil {
				return err
			}
		}
		if w.Version != nil {
			if err := s.addVersion(ctx, tx, repository, w); err != nil {
				return err
			}
			if err := s.retagged(ctx, tx, repository, w); err != nil {
				return err
			}
			if len(w.Tags) > 0 {
				if err := s.resumeCancelled(ctx, tx, repository, m.Digest); err != nil {
					return err
				}
			}
		}
		if err := s.refreshModel(ctx, tx, repository); err != nil {
			return err
		}
		if err := s.recordPush(ctx, tx, w, moved, count > 0); err != nil {
			return err
		}
		return s.touchRepository(ctx, tx, repository)
	})
}

// retagged makes versions due that were made from a model whose tags moved to a
// version of which the facts are known. Others follow when they become known.
func (s *Store) retagged(ctx context.Context, tx *sql.Tx, repository int64, w registry.ManifestWrite) error {
	if len(w.Tags) == 0 {
		return nil
	}
	known, err := exists(ctx, tx, "SELECT 1 FROM versions WHERE repository_id = $1 AND digest = $2 AND facts IS NOT NULL", repository, w.Manifest.Digest)
	if err != nil || !known {
		return err
	}
	return s.dependentsDue(ctx, tx, w.Name)
}

// beginRepository makes a manifest's repository and locks it.
func (s *Store) beginRepository(ctx context.Context, tx *sql.Tx, w registry.ManifestWrite) (int64, error) {
	err := insertRepository(ctx, tx, registry.Repository{
		Name: w.Name, Visibility: w.Visibility, CreatedAt: w.Manifest.CreatedAt, UpdatedAt: w.Manifest.CreatedAt,
	})
	if err != nil {
		return 0, err
	}
	return s.lockRepository(ctx, tx, w.Name)
}

// hasManifest reports whether all that w would write is there.
func (s *Store) hasManifest(ctx context.Context, w registry.ManifestWrite) (bool, error) {
	refs := []registry.Reference{{Digest: w.Manifest.Digest}}
	for _, t := range w.Tags {
		refs = append(refs, registry.Reference{Tag: t})
	}
	for _, r := range refs {
		m, err := s.Manifest(ctx, w.Name, r)
		if err != nil || m.Digest != w.Manifest.Digest {
			return false, err
		}
	}
	if w.Version == nil {
		return true, nil
	}
	_, err := s.Version(ctx, w.Name, refs[0])
	return err == nil, err
}

// distinct returns the digests sorted, each once, so that locks are always
// taken in the same order.
func distinct(ds []registry.Digest) []registry.Digest {
	ds = slices.Clone(ds)
	slices.SortFunc(ds, func(a, b registry.Digest) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(ds)
}

// checkReferences checks that all references are there and keeps them there
// until the transaction ends.
func (s *Store) checkReferences(ctx context.Context, tx *sql.Tx, n registry.Name, repository int64, blobs, children []registry.Digest) error {
	missing, err := s.missing(ctx, tx, "blob_links", repository, blobs)
	if err == nil && missing.IsZero() {
		missing, err = s.missing(ctx, tx, "manifests", repository, children)
	}
	if err != nil || missing.IsZero() {
		return err
	}
	return registry.Errorf(registry.CodeManifestBlobUnknown, "the manifest refers to %s, which is not known in %s", missing, n).
		WithDetail(digestDetail(missing))
}

// missing returns the first of the digests that a table lacks, or the zero
// digest, and locks the rows of the others.
func (s *Store) missing(ctx context.Context, tx *sql.Tx, table string, repository int64, ds []registry.Digest) (registry.Digest, error) {
	for chunk := range slices.Chunk(ds, maxParameters) {
		args := []any{repository}
		for _, d := range chunk {
			args = append(args, d)
		}
		found, err := list(ctx, tx, scanOne[registry.Digest],
			"SELECT digest FROM "+table+" WHERE repository_id = $1 AND digest IN ("+parameters(2, len(chunk))+") ORDER BY digest"+s.db.engine.lock(lockKey), args...)
		if err != nil {
			return registry.Digest{}, err
		}
		for _, d := range chunk {
			if !slices.Contains(found, d) {
				return d, nil
			}
		}
	}
	return registry.Digest{}, nil
}

func insertReferences(ctx context.Context, tx *sql.Tx, repository int64, d registry.Digest, blobs, children []registry.Digest) error {
	for _, b := range blobs {
		if _, err := tx.ExecContext(ctx, "INSERT INTO manifest_blobs (repository_id, manifest_digest, blob_digest) VALUES ($1, $2, $3)", repository, d, b); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `
		UPDATE blob_links SET unreferenced_at = NULL
		WHERE repository_id = $1 AND unreferenced_at IS NOT NULL
			AND digest IN (SELECT blob_digest FROM manifest_blobs WHERE repository_id = $1 AND manifest_digest = $2)`, repository, d)
	if err != nil {
		return err
	}
	for _, c := range children {
		if _, err := tx.ExecContext(ctx, "INSERT INTO manifest_children (repository_id, manifest_digest, child_digest) VALUES ($1, $2, $3)", repository, d, c); err != nil {
			return err
		}
	}
	return nil
}

const selectManifest = "SELECT m.digest, m.media_type, m.artifact_type, m.body, m.subject, m.created_at FROM "

const selectManifestByTag = selectManifest + `repositories r
	JOIN tags t ON t.repository_id = r.id
	JOIN manifests m ON m.repository_id = t.repository_id AND m.digest = t.digest
	WHERE r.name = $1 AND t.name = $2`

const selectManifestByDigest = selectManifest + `repositories r
	JOIN manifests m ON m.repository_id = r.id
	WHERE r.name = $1 AND m.digest = $2`

// ofPublic ends the queries above for what is in public repositories only.
const ofPublic = " AND r.visibility = 'public'"

// Manifest implements registry.ManifestStore.
func (s *Store) Manifest(ctx context.Context, n registry.Name, r registry.Reference) (registry.Manifest, error) {
	return s.manifest(ctx, n, r, selectManifestByTag, selectManifestByDigest)
}

// PublicManifest implements registry.ManifestStore.
func (s *Store) PublicManifest(ctx context.Context, n registry.Name, r registry.Reference) (registry.Manifest, error) {
	return s.manifest(ctx, n, r, selectManifestByTag+ofPublic, selectManifestByDigest+ofPublic)
}

// manifest finds a manifest with one of two queries.
func (s *Store) manifest(ctx context.Context, n registry.Name, r registry.Reference, byTag, byDigest string) (registry.Manifest, error) {
	query := byTag
	if r.Tag == "" {
		query = byDigest
	}
	var m registry.Manifest
	err := s.db.reader.QueryRowContext(ctx, query, n, r.String()).
		Scan(&m.Digest, &m.MediaType, &m.ArtifactType, &m.Body, &m.Subject, timeColumn{&m.CreatedAt})
	if errors.Is(err, sql.ErrNoRows) {
		err = manifestUnknown(n, r.String())
	}
	if err != nil {
		return registry.Manifest{}, fail("read manifest "+r.String(), err)
	}
	return m, nil
}

// DeleteManifest implements registry.ManifestStore. Referrers of the manifest
// stay and stay listed; its blobs stay
// linked, and the time of those that no other manifest refers to begins.
func (s *Store) DeleteManifest(ctx context.Context, n registry.Name, d registry.Digest) error {
	return s.write(ctx, "delete manifest "+d.String(), nil, func(tx *sql.Tx) error {
		repository, err := s.lockRepository(ctx, tx, n)
		if registry.IsCode(err, registry.CodeNameUnknown) {
			return manifestUnknown(n, d.String())
		}
		if err != nil {
			return err
		}
		used, err := exists(ctx, tx, "SELECT 1 FROM manifest_children WHERE repository_id = $1 AND child_digest = $2 LIMIT 1", repository, d)
		if err != nil {
			return err
		}
		if used {
			return registry.Errorf(registry.CodeDenied, "manifest %s is still part of an index of %s", d, n)
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM tags WHERE repository_id = $1 AND digest = $2", repository, d); err != nil {
			return err
		}
		if err := s.releaseBlobs(ctx, tx, repository, d); err != nil {
			return err
		}
		count, err := change(ctx, tx, "DELETE FROM manifests WHERE repository_id = $1 AND digest = $2", repository, d)
		if err != nil {
			return err
		}
		if count == 0 {
			return manifestUnknown(n, d.String())
		}
		if err := s.record(ctx, tx, audit.Event{Action: audit.DeleteManifest, Repository: string(n), Digest: d.String()}); err != nil {
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

// releaseBlobs notes that the blobs which only this manifest of the repository
// refers to are needed no longer. The repository must be locked.
func (s *Store) releaseBlobs(ctx context.Context, tx *sql.Tx, repository int64, d registry.Digest) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE blob_links SET unreferenced_at = $3
		WHERE repository_id = $1
			AND digest IN (SELECT blob_digest FROM manifest_blobs WHERE repository_id = $1 AND manifest_digest = $2)
			AND NOT EXISTS (
				SELECT 1 FROM manifest_blobs o
				WHERE o.repository_id = $1 AND o.blob_digest = blob_links.digest AND o.manifest_digest <> $2)`,
		repository, d, micros(s.now()))
	return err
}
