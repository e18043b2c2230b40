package sqlstore

import (
	"context"
	"database/sql"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/lineage"
)

var _ verify.Fingerprints = (*Store)(nil)

// SaveFingerprint implements verify.Fingerprints.
func (s *Store) SaveFingerprint(ctx context.Context, n registry.Name, d registry.Digest, f lineage.Fingerprint, bases []string) error {
	what := "save the fingerprint of " + d.String()
	names := make([]string, len(bases))
	for i, b := range bases {
		names[i] = plain(b)
	}
	encoded, err := jsonText(names)
	if err != nil {
		return fail(what, err)
	}
	return s.write(ctx, what, nil, func(tx *sql.Tx) error {
		version, err := versionID(ctx, tx, n, d, s.db.engine.lock(lockKey))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			INSERT INTO fingerprints (version_id, signature, variant, bits, bases) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (version_id) DO UPDATE SET signature = excluded.signature, variant = excluded.variant, bits = excluded.bits, bases = excluded.bases`,
			version, plain(f.Signature), f.Version, f.Bits, encoded)
		return err
	})
}

// Fingerprints implements verify.Fingerprints.
func (s *Store) Fingerprints(ctx context.Context, signature string, limit int) ([]verify.FingerprintRecord, error) {
	scan := func(r row) (f verify.FingerprintRecord, err error) {
		err = r.Scan(&f.Name, &f.Digest, &f.Visibility, timeColumn{&f.CreatedAt}, &f.Fingerprint.Signature, &f.Fingerprint.Version, &f.Fingerprint.Bits, jsonColumn{&f.Bases})
		return f, err
	}
	found, err := list(ctx, s.db.reader, scan, `
		SELECT r.name, v.digest, r.visibility, v.created_at, f.signature, f.variant, f.bits, f.bases
		FROM fingerprints f
		JOIN versions v ON v.id = f.version_id
		JOIN repositories r ON r.id = v.repository_id
		WHERE f.signature = $1 ORDER BY f.version_id LIMIT $2`, plain(signature), max(limit, 0))
	return found, fail("list fingerprints", err)
}
