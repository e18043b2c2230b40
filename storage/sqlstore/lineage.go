package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/registry"
)

// LineageGates implements registry.LineageStore.
func (s *Store) LineageGates(ctx context.Context) (map[string]registry.Gate, error) {
	return s.gatesIn(ctx, "lineage_gate")
}

// SetLineageGate implements registry.LineageStore.
func (s *Store) SetLineageGate(ctx context.Context, org string, g registry.Gate) error {
	return s.setGateIn(ctx, "lineage_gate", org, g)
}

// Waivers implements registry.LineageStore.
func (s *Store) Waivers(ctx context.Context, n registry.Name, d registry.Digest) ([][]byte, error) {
	found, err := list(ctx, s.db.reader, scanOne[[]byte], "SELECT envelope FROM waivers WHERE repository = $1 AND digest = $2 ORDER BY finding", string(n), d)
	return found, fail("read waivers", err)
}

// PutWaiver implements registry.LineageStore.
func (s *Store) PutWaiver(ctx context.Context, n registry.Name, d registry.Digest, finding string, envelope []byte, expires time.Time) error {
	return s.write(ctx, "store a waiver", nil, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO waivers (repository, digest, finding, envelope, expires_at, created_at) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (repository, digest, finding) DO UPDATE SET envelope = excluded.envelope, expires_at = excluded.expires_at, created_at = excluded.created_at`,
			string(n), d, finding, envelope, micros(expires), micros(s.now()))
		if err != nil {
			return err
		}
		waived := map[string]string{"finding": finding, "expires": expires.UTC().Format(time.RFC3339)}
		if err := s.record(ctx, tx, audit.Event{Action: audit.Waive, Repository: string(n), Digest: d.String(), Detail: waived}); err != nil {
			return err
		}
		return s.versionDue(ctx, tx, n, d)
	})
}

// DeleteWaiver implements registry.LineageStore.
func (s *Store) DeleteWaiver(ctx context.Context, n registry.Name, d registry.Digest, finding string) error {
	return s.write(ctx, "take a waiver away", nil, func(tx *sql.Tx) error {
		k, err := change(ctx, tx, "DELETE FROM waivers WHERE repository = $1 AND digest = $2 AND finding = $3", string(n), d, finding)
		if err == nil && k == 0 {
			err = registry.Errorf(registry.CodeManifestUnknown, "there is no such waiver")
		}
		if err != nil {
			return err
		}
		if err := s.record(ctx, tx, audit.Event{Action: audit.Unwaive, Repository: string(n), Digest: d.String(), Detail: map[string]string{"finding": finding}}); err != nil {
			return err
		}
		return s.versionDue(ctx, tx, n, d)
	})
}
