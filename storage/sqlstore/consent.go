package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/registry"
)

// ConsentGates implements registry.ConsentStore.
func (s *Store) ConsentGates(ctx context.Context) (map[string]registry.ConsentGate, error) {
	scan := func(r row) (g registry.ConsentGate, err error) {
		var scope string
		err = r.Scan(&scope, jsonColumn{&g})
		g.Scope = scope
		return g, err
	}
	found, err := list(ctx, s.db.reader, scan, "SELECT scope, gate FROM consent_gates")
	if err != nil {
		return nil, fail("read the gates of terms", err)
	}
	gates := make(map[string]registry.ConsentGate, len(found))
	for _, g := range found {
		gates[g.Scope] = g
	}
	return gates, nil
}

// SetConsentGate implements registry.ConsentStore.
func (s *Store) SetConsentGate(ctx context.Context, scope string, g *registry.ConsentGate) error {
	return s.write(ctx, "set the gate of terms of "+scope, nil, func(tx *sql.Tx) error {
		if g == nil {
			if _, err := tx.ExecContext(ctx, "DELETE FROM consent_gates WHERE scope = $1", scope); err != nil {
				return err
			}
			return s.record(ctx, tx, audit.Event{Action: audit.SetConsentGate, Repository: scope})
		}
		text, err := json.Marshal(g)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			INSERT INTO consent_gates (scope, gate, updated_at) VALUES ($1, $2, $3)
			ON CONFLICT (scope) DO UPDATE SET gate = excluded.gate, updated_at = excluded.updated_at`, scope, string(text), micros(s.now()))
		if err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Event{Action: audit.SetConsentGate, Repository: scope, Detail: map[string]string{"mode": string(g.Mode)}})
	})
}

const acceptanceColumns = "id, repository, digest, user_id, terms, state, accepted_at, hash, previous, envelope, salt, party"

func scanAcceptance(r row) (a registry.Acceptance, err error) {
	var previous string
	err = r.Scan(&a.ID, &a.Name, &a.Digest, &a.UserID, jsonColumn{&a.Terms}, &a.State, timeColumn{&a.At}, &a.Hash, &previous, &a.Envelope, &a.Salt, &a.Party)
	if err == nil && previous != "" {
		a.Previous, err = registry.ParseDigest(previous)
	}
	return a, err
}

// Acceptances implements registry.ConsentStore.
func (s *Store) Acceptances(ctx context.Context, userID int64, n registry.Name, limit int) ([]registry.Acceptance, error) {
	found, err := list(ctx, s.db.reader, scanAcceptance, "SELECT "+acceptanceColumns+` FROM acceptances
		WHERE user_id = $1 AND repository = $2 ORDER BY id DESC LIMIT $3`, userID, string(n), limit)
	return found, fail("read acceptances", err)
}

// AcceptanceLog implements registry.ConsentStore.
func (s *Store) AcceptanceLog(ctx context.Context, after int64, limit int) ([]registry.Acceptance, error) {
	found, err := list(ctx, s.db.reader, scanAcceptance, "SELECT "+acceptanceColumns+" FROM acceptances WHERE id > $1 ORDER BY id LIMIT $2", after, limit)
	return found, fail("read the log of acceptances", err)
}

// AcceptancesOf implements registry.ConsentStore.
func (s *Store) AcceptancesOf(ctx context.Context, scope registry.Name, after int64, limit int) ([]registry.Acceptance, error) {
	found, err := list(ctx, s.db.reader, scanAcceptance, "SELECT "+acceptanceColumns+` FROM acceptances
		WHERE id > $1 AND (repository = $3 OR repository > $4 AND repository < $5) ORDER BY id LIMIT $2`, after, limit, string(scope), string(scope)+"/", string(scope)+"0")
	return found, fail("read the acceptances of "+string(scope), err)
}

// LastAcceptance implements registry.ConsentStore.
func (s *Store) LastAcceptance(ctx context.Context) (registry.Digest, error) {
	d, err := lastAcceptance(ctx, s.db.reader)
	return d, fail("read the log of acceptances", err)
}

func lastAcceptance(ctx context.Context, q querier) (d registry.Digest, err error) {
	err = q.QueryRowContext(ctx, "SELECT hash FROM acceptances ORDER BY id DESC LIMIT 1").Scan(&d)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return d, err
}

// AppendAcceptance implements registry.ConsentStore.
func (s *Store) AppendAcceptance(ctx context.Context, a registry.Acceptance) (id int64, err error) {
	terms, err := json.Marshal(a.Terms)
	if err != nil {
		return 0, err
	}
	settled := func(ctx context.Context) (bool, error) {
		err := s.db.reader.QueryRowContext(ctx, "SELECT id FROM acceptances WHERE hash = $1", a.Hash).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return false, nil
		}
		return err == nil, err
	}
	err = s.write(ctx, "add to the log of acceptances", settled, func(tx *sql.Tx) error {
		last, err := lastAcceptance(ctx, tx)
		if err != nil {
			return err
		}
		if last != a.Previous {
			return registry.ErrLogMoved
		}
		// The index on previous refuses the second of two nodes.
		err = tx.QueryRowContext(ctx, `
			INSERT INTO acceptances (repository, digest, user_id, terms, state, accepted_at, hash, previous, envelope, salt, party)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING RETURNING id`,
			string(a.Name), a.Digest, a.UserID, string(terms), string(a.State), micros(a.At), a.Hash, a.Previous.String(), a.Envelope, a.Salt, a.Party).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return registry.ErrLogMoved
		}
		if err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Event{
			Action: audit.AcceptTerms, Repository: string(a.Name), Digest: a.Digest.String(),
			Detail: map[string]string{"acceptance": a.Hash.String(), "state": string(a.State)},
		})
	})
	return id, err
}

// DecideAcceptance implements registry.ConsentStore.
func (s *Store) DecideAcceptance(ctx context.Context, id int64, state registry.ConsentState) error {
	return s.write(ctx, "decide about an acceptance", nil, func(tx *sql.Tx) error {
		n, err := change(ctx, tx, "UPDATE acceptances SET state = $1 WHERE id = $2 AND (state = 'pending' OR state = $1)", string(state), id)
		if err == nil && n == 0 {
			err = registry.Errorf(registry.CodeManifestUnknown, "no acceptance %d waits for a decision", id)
		}
		var model string
		if err == nil {
			err = tx.QueryRowContext(ctx, "SELECT repository FROM acceptances WHERE id = $1", id).Scan(&model)
		}
		if err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Event{Action: audit.DecideTerms, Repository: model, Detail: map[string]string{"id": strconv.FormatInt(id, 10), "state": string(state)}})
	})
}

// EraseParty implements registry.ConsentStore.
func (s *Store) EraseParty(ctx context.Context, userID int64) (n int64, err error) {
	err = s.write(ctx, "erase who accepted", nil, func(tx *sql.Tx) error {
		n, err = change(ctx, tx, "UPDATE acceptances SET salt = NULL, party = NULL WHERE user_id = $1 AND party IS NOT NULL", userID)
		if err != nil {
			return err
		}
		return s.record(ctx, tx, audit.Event{Action: audit.EraseAcceptance, Detail: map[string]string{"user": strconv.FormatInt(userID, 10)}})
	})
	return n, err
}

// ManifestsOfBlob implements registry.ConsentStore.
func (s *Store) ManifestsOfBlob(ctx context.Context, n registry.Name, d registry.Digest, limit int) ([]registry.Digest, error) {
	found, err := list(ctx, s.db.reader, scanOne[registry.Digest], `
		SELECT b.manifest_digest FROM repositories r JOIN manifest_blobs b ON b.repository_id = r.id
		WHERE r.name = $1 AND b.blob_digest = $2 ORDER BY b.manifest_digest LIMIT $3`, n, d, limit)
	return found, fail("read the manifests of a blob", err)
}
