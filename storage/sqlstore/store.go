package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/attestation"
)

var (
	_ registry.RepositoryStore = (*Store)(nil)
	_ registry.BlobStore       = (*Store)(nil)
	_ registry.UploadStore     = (*Store)(nil)
	_ registry.ManifestStore   = (*Store)(nil)
	_ registry.ModelStore      = (*Store)(nil)
	_ registry.CollectorStore  = (*Store)(nil)
	_ verify.Store             = (*Store)(nil)
	_ verify.Backlog           = (*Store)(nil)
	_ auth.UserStore           = (*Store)(nil)
	_ auth.RoleStore           = (*Store)(nil)
	_ auth.OrgStore            = (*Store)(nil)
	_ auth.TeamStore           = (*Store)(nil)
	_ auth.RobotStore          = (*Store)(nil)
	_ auth.AccessTokenStore    = (*Store)(nil)
	_ auth.KeyStore            = (*Store)(nil)
	_ auth.RefreshTokenStore   = (*Store)(nil)
	_ auth.SSHKeyStore         = (*Store)(nil)
	_ auth.WorkloadStore       = (*Store)(nil)
	_ attestation.KeyStore     = (*Store)(nil)
	_ audit.Store              = (*Store)(nil)
)

// Outbox enqueues background jobs inside a transaction of the store.
type Outbox interface {
	// EnqueueVersion enqueues inspection and verification of a version; the
	// pending verification's row is in the same transaction.
	EnqueueVersion(ctx context.Context, tx *sql.Tx, w verify.Work) error
	// EnqueueAssessments enqueues the assessment of what is due.
	EnqueueAssessments(ctx context.Context, tx *sql.Tx) error
}

// Options are what a Store depends on.
type Options struct {
	Clock  func() time.Time // nil means time.Now
	Outbox Outbox           // nil means that nothing is enqueued
}

// Store implements the store interfaces. It may be used concurrently.
type Store struct {
	db     *DB
	clock  func() time.Time
	outbox Outbox
	search search
}

// New returns a store on an open database.
func New(db *DB, opts Options) *Store {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	s := &Store{db: db, clock: opts.Clock, outbox: opts.Outbox, search: sqliteSearch{}}
	if db.engine == Postgres {
		s.search = postgresSearch{}
	}
	return s
}

// maxAttempts bounds how often a transaction that loses against others is run.
const maxAttempts = 8

// settleTimeout bounds the look-up after a COMMIT without an answer.
const settleTimeout = 10 * time.Second

// write runs fn in one transaction and commits it. fn may run several times
// and must use nothing but its Tx. When the answer to COMMIT is lost, settled
// is asked whether the change is there; without it, or when it says no, the
// error has registry.CodeUnavailable.
func (s *Store) write(ctx context.Context, what string, settled func(context.Context) (bool, error), fn func(*sql.Tx) error) error {
	for attempt := 1; ; attempt++ {
		err := s.attempt(ctx, fn)
		if err == nil {
			return nil
		}
		if conditionOf(err) == conditionRetry && attempt < maxAttempts {
			if err := pause(ctx, attempt); err != nil {
				return fail(what, err)
			}
			continue
		}
		var lost *commitError
		if errors.As(err, &lost) && lost.unknown() {
			return s.settle(ctx, what, lost, settled)
		}
		return fail(what, err)
	}
}

func (s *Store) attempt(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := s.db.writer.BeginTx(ctx, s.db.engine.txOptions())
	if err != nil {
		return err
	}
	// Also when fn panics: SQLite's only writer must come back. After a commit
	// it does nothing, and when it fails the connection is dead and the server
	// drops the transaction.
	defer func() { _ = tx.Rollback() }()
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return &commitError{err}
	}
	return nil
}

// settle finds out what became of a COMMIT without an answer.
func (s *Store) settle(ctx context.Context, what string, lost *commitError, settled func(context.Context) (bool, error)) error {
	cause := error(lost)
	if settled != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
		defer cancel()
		done, err := settled(ctx)
		if err == nil && done {
			return nil
		}
		cause = errors.Join(cause, err)
	}
	return registry.Wrap(&failure{what, cause}, registry.CodeUnavailable, "the database did not confirm the change; try again")
}

// pause waits before the next attempt, a little longer each time.
func pause(ctx context.Context, attempt int) error {
	d := time.Duration(attempt) * time.Duration(1+rand.IntN(10)) * time.Millisecond
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// commitError is a failed COMMIT.
type commitError struct{ err error }

func (e *commitError) Error() string { return "commit: " + e.err.Error() }
func (e *commitError) Unwrap() error { return e.err }

// unknown reports whether the transaction may have been committed all the same.
func (e *commitError) unknown() bool {
	switch conditionOf(e.err) {
	case conditionRetry, conditionNoSpace, conditionForeign:
		return false
	}
	return true
}

// querier is what *sql.DB and *sql.Tx have in common.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// list runs a query and collects what scan makes of each row. It never returns nil without an error.
func list[T any](ctx context.Context, q querier, scan func(row) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []T{}
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// row is *sql.Row or *sql.Rows.
type row interface{ Scan(dest ...any) error }

// scanOne scans a row of one column.
func scanOne[T any](r row) (T, error) {
	var v T
	err := r.Scan(&v)
	return v, err
}

// exists reports whether a query finds a row. Its only column is an integer.
func exists(ctx context.Context, q querier, query string, args ...any) (bool, error) {
	var one int64
	err := q.QueryRowContext(ctx, query, args...).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// change executes a statement and returns how many rows it changed.
func change(ctx context.Context, tx *sql.Tx, query string, args ...any) (int64, error) {
	res, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// maxParameters bounds the length of one IN list.
const maxParameters = 500

// parameters returns "$first, $first+1, …", n of them.
func parameters(first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(first + i))
	}
	return b.String()
}

// now is the current time in the resolution of the database.
func (s *Store) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

// micros is a time as it is stored: microseconds since 1970, the zero time as NULL.
func micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// timeColumn scans what micros stores.
type timeColumn struct{ t *time.Time }

// Scan implements sql.Scanner.
func (c timeColumn) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*c.t = time.Time{}
	case int64:
		*c.t = time.UnixMicro(v).UTC()
	default:
		return fmt.Errorf("scan %T into a time", src)
	}
	return nil
}

// jsonColumn scans JSON; NULL leaves the value alone.
type jsonColumn struct{ v any }

// Scan implements sql.Scanner.
func (c jsonColumn) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		return nil
	case []byte:
		return json.Unmarshal(v, c.v)
	case string:
		return json.Unmarshal([]byte(v), c.v)
	}
	return fmt.Errorf("scan %T as JSON", src)
}

// jsonText encodes a value for a JSON column.
func jsonText(v any) (string, error) {
	p, err := json.Marshal(v)
	return string(p), err
}

// plain makes foreign text fit for a text column: valid UTF-8 without NUL.
func plain(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
