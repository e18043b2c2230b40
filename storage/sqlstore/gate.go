package sqlstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/registry"
)

// Gates implements registry.GateStore.
func (s *Store) Gates(ctx context.Context) (map[string]registry.Gate, error) {
	return s.gatesIn(ctx, "verification_gate")
}

// gatesIn reads the gates in one column, which is a constant.
func (s *Store) gatesIn(ctx context.Context, column string) (map[string]registry.Gate, error) {
	type entry struct {
		org  string
		gate registry.Gate
	}
	scan := func(r row) (e entry, err error) {
		err = r.Scan(&e.org, &e.gate)
		return e, err
	}
	found, err := list(ctx, s.db.reader, scan, "SELECT name, "+column+" FROM organizations WHERE "+column+" IS NOT NULL")
	if err != nil {
		return nil, fail("read the gates of organizations", err)
	}
	byOrg := make(map[string]registry.Gate, len(found))
	for _, e := range found {
		byOrg[e.org] = e.gate
	}
	return byOrg, nil
}

// SetGate implements registry.GateStore.
func (s *Store) SetGate(ctx context.Context, org string, g registry.Gate) error {
	return s.setGateIn(ctx, "verification_gate", org, g)
}

// setGateIn sets the gate in one column, which is a constant.
func (s *Store) setGateIn(ctx context.Context, column, org string, g registry.Gate) error {
	return s.write(ctx, "set the gate of "+org, nil, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO organizations (name, `+column+`, updated_at) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO UPDATE SET `+column+` = excluded.`+column+`, updated_at = excluded.updated_at`,
			org, sql.NullString{String: string(g), Valid: g != ""}, micros(s.now()))
		if err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Event{Action: audit.SetGate, Repository: org, Detail: map[string]string{"kind": column, "gate": string(g)}})
	})
}

// standing is the state of the verification by which version v stands.
const standing = `COALESCE((
	SELECT c.state FROM verifications c WHERE c.version_id = v.id
	ORDER BY CASE WHEN c.state IN ('passed', 'failed', 'unsupported') THEN 0 ELSE 1 END, c.id DESC LIMIT 1), 'pending')`

// ManifestStanding implements registry.GateStore.
func (s *Store) ManifestStanding(ctx context.Context, n registry.Name, d registry.Digest) (registry.Standing, error) {
	st := registry.Standing{Digest: d}
	err := s.db.reader.QueryRowContext(ctx, "SELECT "+standing+` FROM repositories r
		JOIN versions v ON v.repository_id = r.id
		WHERE r.name = $1 AND v.digest = $2`, n, d).Scan(&st.State)
	if errors.Is(err, sql.ErrNoRows) {
		return registry.Standing{Digest: d, Free: true}, nil
	}
	if err != nil {
		return registry.Standing{}, fail("read the standing of "+d.String(), err)
	}
	return st, nil
}

// BlobStanding implements registry.GateStore.
func (s *Store) BlobStanding(ctx context.Context, n registry.Name, d registry.Digest) (registry.Standing, error) {
	var st registry.Standing
	var version sql.NullInt64
	err := s.db.reader.QueryRowContext(ctx, `
		SELECT digest, version, state FROM (
			SELECT b.manifest_digest AS digest, v.id AS version, `+standing+` AS state
			FROM repositories r
			JOIN manifest_blobs b ON b.repository_id = r.id
			LEFT JOIN versions v ON v.repository_id = b.repository_id AND v.digest = b.manifest_digest
			WHERE r.name = $1 AND b.blob_digest = $2) AS users
		ORDER BY CASE WHEN version IS NULL OR state = 'passed' THEN 0 ELSE 1 END, version DESC LIMIT 1`, n, d).Scan(&st.Digest, &version, &st.State)
	if errors.Is(err, sql.ErrNoRows) {
		return registry.Standing{}, nil
	}
	if err != nil {
		return registry.Standing{}, fail("read the standing of "+d.String(), err)
	}
	if !version.Valid {
		st.State, st.Free = "", true
	}
	return st, nil
}
