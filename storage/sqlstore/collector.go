package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/storage"
)

// bury leaves a tombstone for an object that nothing refers to any more.
func (s *Store) bury(ctx context.Context, tx *sql.Tx, k storage.Key, due time.Time) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO tombstones (object_key, created_at, delete_after) VALUES ($1, $2, $3)
		ON CONFLICT (object_key) DO NOTHING`, k, micros(s.now()), due.UnixMicro())
	return err
}

// ExpireUploads implements registry.CollectorStore. A claim that has run out is none.
func (s *Store) ExpireUploads(ctx context.Context, before time.Time, limit int) (int, error) {
	type stale struct {
		id  string
		key storage.Key
	}
	var expired int
	err := s.write(ctx, "expire uploads", nil, func(tx *sql.Tx) error {
		expired = 0
		now := s.now()
		uploads, err := list(ctx, tx, func(r row) (u stale, err error) {
			err = r.Scan(&u.id, &u.key)
			return u, err
		}, `SELECT id, object_key FROM uploads
			WHERE updated_at < $1 AND (claim = '' OR claim_until <= $2)
			ORDER BY updated_at LIMIT $3`+s.db.engine.lock(lockFree), before.UnixMicro(), micros(now), max(limit, 0))
		if err != nil {
			return err
		}
		for _, u := range uploads {
			if _, err := tx.ExecContext(ctx, "DELETE FROM uploads WHERE id = $1", u.id); err != nil {
				return err
			}
			if err := s.bury(ctx, tx, u.key, now); err != nil {
				return err
			}
			expired++
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return expired, nil
}

// DropUnreferencedLinks implements registry.CollectorStore. It takes one
// transaction for each repository, so that pushes to it wait for no other's.
func (s *Store) DropUnreferencedLinks(ctx context.Context, before time.Time, limit int) (int, error) {
	type link struct {
		repository int64
		digest     registry.Digest
	}
	idle, err := list(ctx, s.db.reader, func(r row) (l link, err error) {
		err = r.Scan(&l.repository, &l.digest)
		return l, err
	}, "SELECT repository_id, digest FROM blob_links WHERE unreferenced_at < $1 ORDER BY unreferenced_at LIMIT $2", before.UnixMicro(), max(limit, 0))
	if err != nil {
		return 0, fail("list unreferenced links", err)
	}
	// Blobs of one repository are locked in the order of their digests.
	slices.SortFunc(idle, func(a, b link) int {
		return cmp.Or(cmp.Compare(a.repository, b.repository), strings.Compare(a.digest.String(), b.digest.String()))
	})
	total := 0
	for len(idle) > 0 {
		repository := idle[0].repository
		end := slices.IndexFunc(idle, func(l link) bool { return l.repository != repository })
		if end < 0 {
			end = len(idle)
		}
		var dropped int64
		err := s.write(ctx, "drop unreferenced links", nil, func(tx *sql.Tx) error {
			dropped = 0
			if _, err := exists(ctx, tx, "SELECT 1 FROM repositories WHERE id = $1"+s.db.engine.lock(lockChange), repository); err != nil {
				return err
			}
			for _, l := range idle[:end] {
				// A manifest or another push may have come since the list was made; now no manifest can.
				count, err := s.unlinkBlob(ctx, tx, repository, l.digest, " AND unreferenced_at < $3", before.UnixMicro())
				if err != nil {
					return err
				}
				dropped += count
			}
			return nil
		})
		if err != nil {
			return total, err
		}
		total += int(dropped)
		idle = idle[end:]
	}
	return total, nil
}

// UnlinkedBlobs implements registry.CollectorStore.
func (s *Store) UnlinkedBlobs(ctx context.Context, before, due time.Time, limit int) (int, error) {
	var removed int
	err := s.write(ctx, "remove unlinked blobs", nil, func(tx *sql.Tx) error {
		removed = 0
		// Blobs that somebody is linking right now are locked, and left out.
		blobs, err := list(ctx, tx, func(r row) (b registry.Blob, err error) {
			err = r.Scan(&b.Digest, &b.Key)
			return b, err
		}, `SELECT digest, object_key FROM blobs
			WHERE unlinked_at < $1 AND NOT EXISTS (SELECT 1 FROM blob_links l WHERE l.digest = blobs.digest)
			ORDER BY unlinked_at LIMIT $2`+s.db.engine.lock(lockFree), before.UnixMicro(), max(limit, 0))
		if err != nil {
			return err
		}
		for _, b := range blobs {
			// A link may have come between the query's snapshot and its lock; now none can.
			count, err := change(ctx, tx, `
				DELETE FROM blobs
				WHERE digest = $1 AND unlinked_at < $2 AND NOT EXISTS (SELECT 1 FROM blob_links l WHERE l.digest = $1)`,
				b.Digest, before.UnixMicro())
			if err != nil {
				return err
			}
			if count == 0 {
				continue
			}
			if err := s.bury(ctx, tx, b.Key, due); err != nil {
				return err
			}
			removed++
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return removed, nil
}

// Tombstones implements registry.CollectorStore. Those due longest come first.
func (s *Store) Tombstones(ctx context.Context, now time.Time, limit int) ([]storage.Key, error) {
	keys, err := list(ctx, s.db.reader, scanOne[storage.Key],
		"SELECT object_key FROM tombstones WHERE delete_after <= $1 ORDER BY delete_after, object_key LIMIT $2", now.UnixMicro(), max(limit, 0))
	return keys, fail("list tombstones", err)
}

// BuryTombstone implements registry.CollectorStore. Burying one that is gone is no error.
func (s *Store) BuryTombstone(ctx context.Context, k storage.Key) error {
	return s.write(ctx, "bury tombstone "+string(k), nil, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM tombstones WHERE object_key = $1", k)
		return err
	})
}
