package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

// addVerification inserts a pending verification of a version and its job.
func (s *Store) addVerification(ctx context.Context, tx *sql.Tx, version int64) (int64, error) {
	return s.addVerificationAs(ctx, tx, version, false)
}

// addVerificationAs is addVerification, and says whether it is asked for again.
func (s *Store) addVerificationAs(ctx context.Context, tx *sql.Tx, version int64, again bool) (int64, error) {
	var id int64
	err := tx.QueryRowContext(ctx, `
		INSERT INTO verifications (version_id, check_set, state, summary, created_at, updated_at) VALUES ($1, $2, $3, '', $4, $4)
		RETURNING id`, version, verify.CheckSet, verify.StatePending, micros(s.now())).Scan(&id)
	if err != nil || s.outbox == nil {
		return id, err
	}
	w, err := scanWork(tx.QueryRowContext(ctx, selectWork+"c.id = $1", id))
	if err != nil {
		return id, err
	}
	w.Again = again
	return id, s.outbox.EnqueueVersion(ctx, tx, w)
}

const selectWork = `
	SELECT c.id, r.name, v.digest, v.size
	FROM verifications c
	JOIN versions v ON v.id = c.version_id
	JOIN repositories r ON r.id = v.repository_id
	WHERE `

func scanWork(r row) (w verify.Work, err error) {
	err = r.Scan(&w.Verification, &w.Name, &w.Digest, &w.Size)
	return w, err
}

// cancelUntagged cancels the unfinished verifications of a manifest that no
// tag names any longer. It must run where a tag went away.
func (s *Store) cancelUntagged(ctx context.Context, tx *sql.Tx, repository int64, d registry.Digest) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE verifications SET state = $3, summary = $4, updated_at = $5
		WHERE state IN ('pending', 'running')
			AND version_id IN (SELECT id FROM versions WHERE repository_id = $1 AND digest = $2)
			AND NOT EXISTS (SELECT 1 FROM tags WHERE repository_id = $1 AND digest = $2)`,
		repository, d, verify.StateCancelled, "no tag names this version any longer", micros(s.now()))
	return err
}

// resumeCancelled asks again for a verification of a manifest that was
// cancelled. It must run where a manifest was tagged.
func (s *Store) resumeCancelled(ctx context.Context, tx *sql.Tx, repository int64, d registry.Digest) error {
	var version int64
	var state verify.State
	err := tx.QueryRowContext(ctx, `
		SELECT v.id, c.state FROM versions v JOIN verifications c ON c.version_id = v.id
		WHERE v.repository_id = $1 AND v.digest = $2
		ORDER BY c.id DESC LIMIT 1`, repository, d).Scan(&version, &state)
	if errors.Is(err, sql.ErrNoRows) || err == nil && state != verify.StateCancelled {
		return nil
	}
	if err == nil {
		_, err = s.addVerification(ctx, tx, version)
	}
	return err
}

const selectVerification = `
	SELECT c.id, r.name, v.digest, c.check_set, c.state, c.report, c.referrer, c.key_id, c.created_at, c.updated_at
	FROM verifications c
	JOIN versions v ON v.id = c.version_id
	JOIN repositories r ON r.id = v.repository_id
	WHERE `

func scanVerification(r row) (verify.Verification, error) {
	var c verify.Verification
	err := r.Scan(&c.ID, &c.Name, &c.Digest, &c.CheckSet, &c.State, jsonColumn{&c.Report}, &c.Referrer, &c.KeyID,
		timeColumn{&c.CreatedAt}, timeColumn{&c.UpdatedAt})
	return c, err
}

// Verification implements verify.Store.
func (s *Store) Verification(ctx context.Context, n registry.Name, d registry.Digest) (verify.Verification, error) {
	found, err := s.Verifications(ctx, n, d, 1)
	if err == nil && len(found) == 0 {
		err = registry.Errorf(registry.CodeManifestUnknown, "there is no verification of %s in %s", d, n)
	}
	if err != nil {
		return verify.Verification{}, err
	}
	return found[0], nil
}

// Verifications implements verify.Store.
func (s *Store) Verifications(ctx context.Context, n registry.Name, d registry.Digest, limit int) ([]verify.Verification, error) {
	found, err := list(ctx, s.db.reader, scanVerification, selectVerification+`r.name = $1 AND v.digest = $2
		ORDER BY c.id DESC LIMIT $3`, n, d, max(limit, 0))
	return found, fail("list the verifications of "+d.String(), err)
}

// Unfinished implements verify.Backlog.
func (s *Store) Unfinished(ctx context.Context, after int64, limit int) ([]verify.Work, error) {
	found, err := list(ctx, s.db.reader, scanWork, selectWork+`c.state IN ('pending', 'running') AND c.id > $1
		ORDER BY c.id LIMIT $2`, after, max(limit, 0))
	return found, fail("list unfinished verifications", err)
}

// Uninspected implements verify.Backlog.
func (s *Store) Uninspected(ctx context.Context, before time.Time, after int64, limit int) ([]verify.Uninspected, error) {
	scan := func(r row) (u verify.Uninspected, err error) {
		err = r.Scan(&u.ID, &u.Name, &u.Digest)
		return u, err
	}
	found, err := list(ctx, s.db.reader, scan, `
		SELECT v.id, r.name, v.digest FROM versions v
		JOIN repositories r ON r.id = v.repository_id
		WHERE (v.facts IS NULL AND v.facts_error = '' OR v.stale = 1) AND v.created_at < $1 AND v.id > $2
		ORDER BY v.id LIMIT $3`, micros(before), after, max(limit, 0))
	return found, fail("list versions that were not inspected", err)
}

// RequestVerification implements verify.Store.
func (s *Store) RequestVerification(ctx context.Context, n registry.Name, d registry.Digest) (verify.Verification, error) {
	var made verify.Verification
	var id int64
	read := func(ctx context.Context, q querier) (err error) {
		made, err = scanVerification(q.QueryRowContext(ctx, selectVerification+"c.id = $1", id))
		return err
	}
	settled := func(ctx context.Context) (bool, error) {
		err := read(ctx, s.db.reader)
		return err == nil, err
	}
	err := s.write(ctx, "request a verification of "+d.String(), settled, func(tx *sql.Tx) error {
		// Of two requests at once the second waits here, and finds what the first inserted.
		version, err := versionID(ctx, tx, n, d, s.db.engine.lock(lockChange))
		if err != nil {
			return err
		}
		err = tx.QueryRowContext(ctx, `
			SELECT id FROM verifications WHERE version_id = $1 AND state IN ('pending', 'running')
			ORDER BY id DESC LIMIT 1`, version).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			id, err = s.addVerification(ctx, tx, version)
		}
		if err != nil {
			return err
		}
		return read(ctx, tx)
	})
	if err != nil {
		return verify.Verification{}, err
	}
	return made, nil
}

// SaveProgress implements verify.Store. What is finished stays as it is, so
// that a worker which was given up cannot reopen it.
func (s *Store) SaveProgress(ctx context.Context, id int64, r *verify.Report) error {
	state := r.State
	if state.Done() {
		state = verify.StateRunning
	}
	return s.saveReport(ctx, "save the progress of a verification", id, r, state, verify.Publication{}, " AND state IN ('pending', 'running')")
}

// FinishVerification implements verify.Store. What was cancelled stays so.
func (s *Store) FinishVerification(ctx context.Context, id int64, r *verify.Report, p verify.Publication) error {
	return s.saveReport(ctx, "finish a verification", id, r, r.State, p, " AND state <> 'cancelled'")
}

func (s *Store) saveReport(ctx context.Context, what string, id int64, r *verify.Report, state verify.State, p verify.Publication, guard string) error {
	report, err := jsonText(r)
	if err != nil {
		return fail(what, err)
	}
	return s.write(ctx, what, nil, func(tx *sql.Tx) error {
		count, err := change(ctx, tx, `
			UPDATE verifications SET state = $2, check_set = $3, summary = $4, report = $5, referrer = $6, key_id = $7, updated_at = $8
			WHERE id = $1`+guard, id, state, r.CheckSet, plain(r.Summary), report, p.Referrer, plain(p.KeyID), micros(s.now()))
		if err != nil || count > 0 {
			return err
		}
		there, err := exists(ctx, tx, "SELECT 1 FROM verifications WHERE id = $1", id)
		if err == nil && !there {
			return registry.Errorf(registry.CodeManifestUnknown, "verification %d is gone with its version", id)
		}
		return err
	})
}
