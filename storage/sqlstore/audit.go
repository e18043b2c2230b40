package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/carat-hub/carat/audit"
)

// record notes what a transaction does, by whom its context names.
func (s *Store) record(ctx context.Context, tx *sql.Tx, e audit.Event) error {
	e.Actor, e.At = audit.ActorOf(ctx), s.now()
	return insertEvent(ctx, tx, e)
}

// recordOf is record for what is about a user, whom it names if it is not the actor.
func (s *Store) recordOf(ctx context.Context, tx *sql.Tx, userID int64, e audit.Event) error {
	if audit.ActorOf(ctx).UserID != userID {
		var name string
		if err := tx.QueryRowContext(ctx, "SELECT name FROM users WHERE id = $1", userID).Scan(&name); err != nil {
			return err
		}
		e.Detail["user"] = name
	}
	return s.record(ctx, tx, e)
}

func insertEvent(ctx context.Context, tx *sql.Tx, e audit.Event) error {
	text, err := jsonText(e) // invalid UTF-8 becomes U+FFFD, NUL is escaped
	if err == nil {
		_, err = tx.ExecContext(ctx, "INSERT INTO audit_pending (event) VALUES ($1)", text)
	}
	return err
}

// AppendAudit implements audit.Store.
func (s *Store) AppendAudit(ctx context.Context, events []audit.Event) error {
	return s.write(ctx, "write the audit log", nil, func(tx *sql.Tx) error {
		for _, e := range events {
			if err := insertEvent(ctx, tx, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// sealBatch is how many events one transaction seals.
const sealBatch = 500

// SealAudit implements audit.Store. Of several nodes one seals at a time.
func (s *Store) SealAudit(ctx context.Context) (int, error) {
	total := 0
	for {
		waiting, err := exists(ctx, s.db.reader, "SELECT 1 FROM audit_pending LIMIT 1")
		if err != nil || !waiting {
			return total, fail("read the audit log", err)
		}
		n := 0
		err = s.write(ctx, "seal the audit log", nil, func(tx *sql.Tx) (err error) {
			n, err = s.seal(ctx, tx)
			return err
		})
		total += n
		if err != nil || n == 0 {
			return total, err
		}
	}
}

func (s *Store) seal(ctx context.Context, tx *sql.Tx) (int, error) {
	head, err := auditHead(ctx, tx, s.db.engine.lock(lockChange))
	if err != nil {
		return 0, err
	}
	type pending struct {
		id   int64
		text string
	}
	scan := func(r row) (p pending, err error) {
		err = r.Scan(&p.id, &p.text)
		return p, err
	}
	found, err := list(ctx, tx, scan, "SELECT id, event FROM audit_pending ORDER BY id LIMIT $1", sealBatch)
	if err != nil {
		return 0, err
	}
	for _, p := range found {
		var e audit.Event
		if err := json.Unmarshal([]byte(p.text), &e); err != nil {
			return 0, fmt.Errorf("read event %d: %w", p.id, err)
		}
		entry, err := audit.Follow(head.Seq, head.Hash, e)
		if err != nil {
			return 0, err
		}
		line, err := entry.Line()
		if err != nil {
			return 0, err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO audit_log (seq, at, action, actor, repository, entry) VALUES ($1, $2, $3, $4, $5, $6)",
			entry.Seq, micros(e.At), string(e.Action), plain(e.Name), plain(e.Repository), string(line))
		if err != nil {
			return 0, err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM audit_pending WHERE id = $1", p.id); err != nil {
			return 0, err
		}
		head.Seq, head.Hash = entry.Seq, entry.Hash
	}
	_, err = tx.ExecContext(ctx, "UPDATE audit_head SET seq = $1, hash = $2 WHERE id = 1", head.Seq, head.Hash)
	return len(found), err
}

func auditHead(ctx context.Context, q querier, lock string) (c audit.Chain, err error) {
	err = q.QueryRowContext(ctx, "SELECT seq, hash FROM audit_head WHERE id = 1"+lock).Scan(&c.Seq, &c.Hash)
	return c, err
}

// AuditHead implements audit.Store.
func (s *Store) AuditHead(ctx context.Context) (audit.Chain, error) {
	c, err := auditHead(ctx, s.db.reader, "")
	return c, fail("read the end of the audit log", err)
}

// maxAuditPage is how many entries one call returns at most.
const maxAuditPage = 1000

// AuditEntries implements audit.Store. It does not check them.
func (s *Store) AuditEntries(ctx context.Context, q audit.Query) ([]audit.Entry, error) {
	lines, err := s.AuditLines(ctx, q)
	if err != nil {
		return nil, err
	}
	entries := make([]audit.Entry, len(lines))
	for i, line := range lines {
		if err := json.Unmarshal([]byte(line), &entries[i]); err != nil {
			return nil, fmt.Errorf("%w: a row is no entry: %w", audit.ErrBroken, err)
		}
	}
	return entries, nil
}

// AuditLines returns the entries as they are stored.
func (s *Store) AuditLines(ctx context.Context, q audit.Query) ([]string, error) {
	var b strings.Builder
	args := []any{q.After}
	b.WriteString("SELECT entry FROM audit_log WHERE seq > $1")
	and := func(condition string, value any) {
		args = append(args, value)
		fmt.Fprintf(&b, " AND "+condition, len(args))
	}
	if q.Before > 0 {
		and("seq < $%d", q.Before)
	}
	if q.Action != "" {
		and("action = $%d", plain(string(q.Action)))
	}
	if q.Actor != "" {
		and("actor = $%d", plain(q.Actor))
	}
	if q.Repository != "" {
		and("repository = $%d", plain(q.Repository))
	}
	if !q.Since.IsZero() {
		and("at >= $%d", micros(q.Since))
	}
	if !q.Until.IsZero() {
		and("at < $%d", micros(q.Until))
	}
	b.WriteString(" ORDER BY seq")
	if q.Newest {
		b.WriteString(" DESC")
	}
	args = append(args, min(max(q.Limit, 0), maxAuditPage))
	fmt.Fprintf(&b, " LIMIT $%d", len(args))
	lines, err := list(ctx, s.db.reader, scanOne[string], b.String(), args...)
	return lines, fail("read the audit log", err)
}

// VerifyAudit checks the whole log as it is stored, and hands each entry to
// each too. Errors: audit.ErrBroken, those of each.
func (s *Store) VerifyAudit(ctx context.Context, each func(line []byte) error) error {
	var c audit.Chain
	head, err := s.AuditHead(ctx) // before the entries: more may follow meanwhile
	if err != nil {
		return err
	}
	for c.Seq < head.Seq {
		lines, err := s.AuditLines(ctx, audit.Query{After: c.Seq, Before: head.Seq + 1, Limit: maxAuditPage})
		if err != nil {
			return err
		}
		if len(lines) == 0 {
			break
		}
		for _, line := range lines {
			if _, err := c.Add([]byte(line)); err != nil {
				return err
			}
			if err := each([]byte(line)); err != nil {
				return err
			}
		}
	}
	return c.End(head.Seq, head.Hash)
}
