package sqlstore

import (
	"context"
	"database/sql"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/registry"
)

// LicenseTexts implements registry.LicenseTextStore.
func (s *Store) LicenseTexts(ctx context.Context) ([]registry.StoredLicenseText, error) {
	scan := func(r row) (t registry.StoredLicenseText, err error) {
		err = r.Scan(&t.Digest, &t.Ref, &t.Text, &t.Envelope)
		return t, err
	}
	found, err := list(ctx, s.db.reader, scan, "SELECT digest, ref, text, envelope FROM license_texts ORDER BY created_at, digest")
	return found, fail("read the texts of licences", err)
}

// PutLicenseText implements registry.LicenseTextStore.
func (s *Store) PutLicenseText(ctx context.Context, t registry.StoredLicenseText) error {
	return s.write(ctx, "keep the text of a licence", nil, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO license_texts (digest, ref, text, envelope, created_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (digest) DO UPDATE SET ref = excluded.ref, envelope = excluded.envelope, created_at = excluded.created_at`,
			t.Digest, t.Ref, t.Text, t.Envelope, micros(s.now()))
		if err == nil {
			err = s.record(ctx, tx, audit.Event{Action: audit.ConfirmText, Digest: t.Digest.String(), Detail: map[string]string{"license": t.Ref}})
		}
		if err != nil {
			return err
		}
		return s.textsDue(ctx, tx)
	})
}

// DeleteLicenseText implements registry.LicenseTextStore.
func (s *Store) DeleteLicenseText(ctx context.Context, d registry.Digest) error {
	return s.write(ctx, "forget the text of a licence", nil, func(tx *sql.Tx) error {
		n, err := change(ctx, tx, "DELETE FROM license_texts WHERE digest = $1", d)
		if err == nil && n == 0 {
			err = registry.Errorf(registry.CodeManifestUnknown, "no text with the digest %s was confirmed", d)
		}
		if err == nil {
			err = s.record(ctx, tx, audit.Event{Action: audit.ForgetText, Digest: d.String()})
		}
		if err != nil {
			return err
		}
		return s.textsDue(ctx, tx)
	})
}

// textsDue makes every version due: any may have the text, or rest on one that
// has.
func (s *Store) textsDue(ctx context.Context, tx *sql.Tx) error {
	return s.dueWhere(ctx, tx, "WHERE v.facts IS NOT NULL")
}
