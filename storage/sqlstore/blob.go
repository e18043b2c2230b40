package sqlstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/registry"
)

func blobUnknown(n registry.Name, d registry.Digest) error {
	return registry.Errorf(registry.CodeBlobUnknown, "blob %s is not known in %s", d, n).WithDetail(digestDetail(d))
}

// digestDetail is the detail of an error about content.
func digestDetail(d registry.Digest) map[string]string {
	return map[string]string{"digest": d.String()}
}

// Blob implements registry.BlobStore.
func (s *Store) Blob(ctx context.Context, n registry.Name, d registry.Digest) (registry.Blob, error) {
	b, err := linkedBlob(ctx, s.db.reader, n, d)
	return b, fail("read blob "+d.String(), err)
}

// linkedBlob returns a blob linked in a repository. Errors: CodeBlobUnknown.
func linkedBlob(ctx context.Context, q querier, n registry.Name, d registry.Digest) (registry.Blob, error) {
	b := registry.Blob{Digest: d}
	err := q.QueryRowContext(ctx, `
		SELECT b.object_key, b.size
		FROM repositories r
		JOIN blob_links l ON l.repository_id = r.id
		JOIN blobs b ON b.digest = l.digest
		WHERE r.name = $1 AND l.digest = $2`, n, d).Scan(&b.Key, &b.Size)
	if errors.Is(err, sql.ErrNoRows) {
		return registry.Blob{}, blobUnknown(n, d)
	}
	return b, err
}

// MountBlob implements registry.BlobStore. Errors also: CodeNameUnknown when
// there is no repository to mount it in.
func (s *Store) MountBlob(ctx context.Context, from, to registry.Name, d registry.Digest) error {
	settled := func(ctx context.Context) (bool, error) {
		_, err := linkedBlob(ctx, s.db.reader, to, d)
		return err == nil, err
	}
	return s.write(ctx, "mount blob "+d.String(), settled, func(tx *sql.Tx) error {
		source, err := s.repositoryID(ctx, tx, from)
		if registry.IsCode(err, registry.CodeNameUnknown) {
			return blobUnknown(from, d)
		}
		if err != nil {
			return err
		}
		target, err := s.repositoryID(ctx, tx, to)
		if err != nil {
			return err
		}
		// The lock keeps the link, and thereby the blob, until ours is there too.
		linked, err := exists(ctx, tx, "SELECT 1 FROM blob_links WHERE repository_id = $1 AND digest = $2"+s.db.engine.lock(lockKey), source, d)
		if err != nil {
			return err
		}
		if !linked {
			return blobUnknown(from, d)
		}
		return s.linkBlob(ctx, tx, target, d)
	})
}

// linkBlob makes a blob visible in a repository; when it is already, and no
// manifest needs the link yet, its time begins anew. The blob's row must be
// kept from deletion by a lock or by another link.
func (s *Store) linkBlob(ctx context.Context, tx *sql.Tx, repositoryID int64, d registry.Digest) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO blob_links (repository_id, digest, created_at, unreferenced_at) VALUES ($1, $2, $3, $3)
		ON CONFLICT (repository_id, digest) DO UPDATE SET unreferenced_at = excluded.unreferenced_at
		WHERE blob_links.unreferenced_at IS NOT NULL`, repositoryID, d, micros(s.now()))
	return err
}

// UnlinkBlob implements registry.BlobStore.
func (s *Store) UnlinkBlob(ctx context.Context, n registry.Name, d registry.Digest) error {
	return s.write(ctx, "unlink blob "+d.String(), nil, func(tx *sql.Tx) error {
		id, err := s.lockRepository(ctx, tx, n)
		if registry.IsCode(err, registry.CodeNameUnknown) {
			return blobUnknown(n, d)
		}
		if err != nil {
			return err
		}
		used, err := exists(ctx, tx, "SELECT 1 FROM manifest_blobs WHERE repository_id = $1 AND blob_digest = $2 LIMIT 1", id, d)
		if err != nil {
			return err
		}
		if used {
			return registry.Errorf(registry.CodeDenied, "blob %s is still part of a manifest of %s", d, n)
		}
		count, err := s.unlinkBlob(ctx, tx, id, d, "")
		if err == nil && count == 0 {
			return blobUnknown(n, d)
		}
		if err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Event{Action: audit.DeleteBlob, Repository: string(n), Digest: d.String()})
	})
}

// unlinkBlob removes the link if it is there and the guard holds, a condition
// on blob_links with $3 and following, and returns how many it removed. The
// repository must be locked.
func (s *Store) unlinkBlob(ctx context.Context, tx *sql.Tx, repository int64, d registry.Digest, guard string, args ...any) (int64, error) {
	// The blob's row first: of two that remove the last links, the second must see what the first did.
	_, err := tx.ExecContext(ctx, "UPDATE blobs SET unlinked_at = $2 WHERE digest = $1", d, micros(s.now()))
	if err != nil {
		return 0, err
	}
	count, err := change(ctx, tx, "DELETE FROM blob_links WHERE repository_id = $1 AND digest = $2"+guard, append([]any{repository, d}, args...)...)
	if err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `
		UPDATE blobs SET unlinked_at = NULL
		WHERE digest = $1 AND EXISTS (SELECT 1 FROM blob_links l WHERE l.digest = blobs.digest)`, d)
	return count, err
}
