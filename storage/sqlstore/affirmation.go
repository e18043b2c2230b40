package sqlstore

import (
	"context"
	"database/sql"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/registry"
)

// Affirmations implements registry.AffirmationStore.
func (s *Store) Affirmations(ctx context.Context, n registry.Name, d registry.Digest) ([][]byte, error) {
	found, err := list(ctx, s.db.reader, scanOne[[]byte], "SELECT envelope FROM affirmations WHERE repository = $1 AND digest = $2 ORDER BY created_at, reviewer", string(n), d)
	return found, fail("read affirmations", err)
}

// PutAffirmation implements registry.AffirmationStore.
func (s *Store) PutAffirmation(ctx context.Context, n registry.Name, d registry.Digest, reviewer string, envelope []byte) error {
	return s.write(ctx, "store an affirmation", nil, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO affirmations (repository, digest, reviewer, envelope, created_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (repository, digest, reviewer) DO UPDATE SET envelope = excluded.envelope, created_at = excluded.created_at`,
			string(n), d, reviewer, envelope, micros(s.now()))
		if err == nil {
			err = s.record(ctx, tx, audit.Event{Action: audit.Affirm, Repository: string(n), Digest: d.String(), Detail: map[string]string{"reviewer": reviewer}})
		}
		if err != nil {
			return err
		}
		return s.versionDue(ctx, tx, n, d)
	})
}

// DeleteAffirmation implements registry.AffirmationStore.
func (s *Store) DeleteAffirmation(ctx context.Context, n registry.Name, d registry.Digest, reviewer string) error {
	return s.write(ctx, "take an affirmation away", nil, func(tx *sql.Tx) error {
		k, err := change(ctx, tx, "DELETE FROM affirmations WHERE repository = $1 AND digest = $2 AND reviewer = $3", string(n), d, reviewer)
		if err == nil && k == 0 {
			err = registry.Errorf(registry.CodeManifestUnknown, "there is no affirmation by that reviewer")
		}
		if err == nil {
			err = s.record(ctx, tx, audit.Event{Action: audit.Disaffirm, Repository: string(n), Digest: d.String(), Detail: map[string]string{"reviewer": reviewer}})
		}
		if err != nil {
			return err
		}
		return s.versionDue(ctx, tx, n, d)
	})
}
