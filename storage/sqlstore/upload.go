package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/storage"
)

func uploadUnknown(id string) error {
	return registry.Errorf(registry.CodeBlobUploadUnknown, "upload %s is not known, was finished or was taken over", id)
}

// CreateUpload implements registry.UploadStore. Errors: CodeNameUnknown.
func (s *Store) CreateUpload(ctx context.Context, u registry.Upload) error {
	settled := func(ctx context.Context) (bool, error) {
		_, err := s.Upload(ctx, u.Name, u.ID)
		return err == nil, err
	}
	return s.write(ctx, "begin upload "+u.ID, settled, func(tx *sql.Tx) error {
		repository, err := s.repositoryID(ctx, tx, u.Name)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			INSERT INTO uploads (id, repository_id, object_key, algorithm, bytes_taken, hash_state, storage_state,
				started_at, updated_at, claim, claim_until)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
			u.ID, repository, u.Key, u.Algorithm, u.Offset, u.HashState, []byte(u.State),
			u.StartedAt.UnixMicro(), u.UpdatedAt.UnixMicro(), u.Claim, micros(u.ClaimUntil))
		return err
	})
}

const uploadColumns = `u.id, u.object_key, u.algorithm, u.bytes_taken, u.hash_state, u.storage_state,
	u.started_at, u.updated_at, u.claim, u.claim_until`

func scanUpload(r row, n registry.Name) (registry.Upload, error) {
	u := registry.Upload{Name: n}
	var state []byte
	err := r.Scan(&u.ID, &u.Key, &u.Algorithm, &u.Offset, &u.HashState, &state,
		timeColumn{&u.StartedAt}, timeColumn{&u.UpdatedAt}, &u.Claim, timeColumn{&u.ClaimUntil})
	u.State = storage.State(state)
	return u, err
}

// Upload implements registry.UploadStore.
func (s *Store) Upload(ctx context.Context, n registry.Name, id string) (registry.Upload, error) {
	u, err := scanUpload(s.db.reader.QueryRowContext(ctx, `
		SELECT `+uploadColumns+` FROM uploads u JOIN repositories r ON r.id = u.repository_id
		WHERE u.id = $1 AND r.name = $2`, plain(id), n), n)
	if errors.Is(err, sql.ErrNoRows) {
		err = uploadUnknown(id)
	}
	if err != nil {
		return registry.Upload{}, fail("read upload "+id, err)
	}
	return u, nil
}

// ofRepository limits a statement on uploads to those of the repository
// named $2; $1 is the upload's id.
const ofRepository = ` id = $1 AND repository_id = (SELECT id FROM repositories WHERE name = $2) `

// ClaimUpload implements registry.UploadStore.
func (s *Store) ClaimUpload(ctx context.Context, n registry.Name, id, token string, now, until time.Time) (registry.Upload, error) {
	var claimed registry.Upload
	err := s.write(ctx, "claim upload "+id, nil, func(tx *sql.Tx) error {
		count, err := change(ctx, tx, `
			UPDATE uploads SET claim = $3, claim_until = $5
			WHERE `+ofRepository+` AND (claim = '' OR claim = $3 OR claim_until <= $4)`,
			plain(id), n, token, now.UnixMicro(), until.UnixMicro())
		if err != nil {
			return err
		}
		claimed, err = scanUpload(tx.QueryRowContext(ctx, "SELECT "+uploadColumns+" FROM uploads u WHERE "+ofRepository, plain(id), n), n)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return uploadUnknown(id)
		case err != nil:
			return err
		case count == 0:
			return registry.Errorf(registry.CodeTooManyRequests, "another request is appending to upload %s", id)
		}
		return nil
	})
	if err != nil {
		return registry.Upload{}, err
	}
	return claimed, nil
}

// held tells that the upload is still the claim's: $3 is the token.
const held = ` AND claim = $3 AND claim <> '' `

// SaveUpload implements registry.UploadStore.
func (s *Store) SaveUpload(ctx context.Context, u registry.Upload) error {
	return s.write(ctx, "save upload "+u.ID, nil, func(tx *sql.Tx) error {
		count, err := change(ctx, tx, `
			UPDATE uploads SET bytes_taken = $4, hash_state = $5, storage_state = $6, updated_at = $7, claim = '', claim_until = NULL
			WHERE `+ofRepository+held,
			u.ID, u.Name, u.Claim, u.Offset, u.HashState, []byte(u.State), u.UpdatedAt.UnixMicro())
		if err == nil && count == 0 {
			return uploadUnknown(u.ID)
		}
		return err
	})
}

// CommitUpload implements registry.UploadStore. The upload must be claimed by u.Claim.
func (s *Store) CommitUpload(ctx context.Context, u registry.Upload, d registry.Digest, size int64) (registry.Blob, error) {
	var made registry.Blob
	settled := func(ctx context.Context) (ok bool, err error) {
		made, err = s.committed(ctx, s.db.reader, u, d)
		return err == nil, err
	}
	err := s.write(ctx, "commit upload "+u.ID, settled, func(tx *sql.Tx) error {
		var key storage.Key
		var repository int64
		err := tx.QueryRowContext(ctx, "DELETE FROM uploads WHERE "+ofRepository+held+" RETURNING object_key, repository_id",
			u.ID, u.Name, u.Claim).Scan(&key, &repository)
		if errors.Is(err, sql.ErrNoRows) {
			made, err = s.committed(ctx, tx, u, d)
			return err
		}
		if err != nil {
			return err
		}
		// DO UPDATE, so that the row of an older blob is locked against the collector.
		made = registry.Blob{Digest: d}
		err = tx.QueryRowContext(ctx, `
			INSERT INTO blobs (digest, object_key, size, created_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (digest) DO UPDATE SET unlinked_at = NULL
			RETURNING object_key, size`, d, key, size, micros(s.now())).Scan(&made.Key, &made.Size)
		if err != nil {
			return err
		}
		if made.Key != key {
			if err := s.bury(ctx, tx, key, s.now()); err != nil {
				return err
			}
		}
		return s.linkBlob(ctx, tx, repository, d)
	})
	if err != nil {
		return registry.Blob{}, err
	}
	return made, nil
}

// committed returns the blob which an upload that is gone has become.
// Errors: CodeBlobUploadUnknown when the upload is still there, or when it is
// gone without a link to the blob.
func (s *Store) committed(ctx context.Context, q querier, u registry.Upload, d registry.Digest) (registry.Blob, error) {
	open, err := exists(ctx, q, "SELECT 1 FROM uploads WHERE "+ofRepository, u.ID, u.Name)
	if err != nil {
		return registry.Blob{}, err
	}
	if open {
		return registry.Blob{}, uploadUnknown(u.ID)
	}
	b, err := linkedBlob(ctx, q, u.Name, d)
	if registry.IsCode(err, registry.CodeBlobUnknown) {
		return registry.Blob{}, uploadUnknown(u.ID)
	}
	return b, err
}

// DeleteUpload implements registry.UploadStore. When somebody holds the
// upload, its object is deleted only after the claim has run out, so that
// what the holder still writes is deleted with it.
func (s *Store) DeleteUpload(ctx context.Context, n registry.Name, id string) error {
	return s.write(ctx, "delete upload "+id, nil, func(tx *sql.Tx) error {
		var key storage.Key
		var until time.Time
		err := tx.QueryRowContext(ctx, "DELETE FROM uploads WHERE "+ofRepository+" RETURNING object_key, claim_until", plain(id), n).
			Scan(&key, timeColumn{&until})
		if errors.Is(err, sql.ErrNoRows) {
			return uploadUnknown(id)
		}
		if err != nil {
			return err
		}
		due := s.now()
		if until.After(due) {
			due = until
		}
		return s.bury(ctx, tx, key, due)
	})
}
