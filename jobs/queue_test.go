package jobs_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite"

	"github.com/carat-hub/carat/jobs"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/storage"
	"github.com/carat-hub/carat/verify"
)

const deadline = 30 * time.Second

var someDigest = registry.DigestOf(registry.SHA256, []byte("manifest"))

// openSQLite opens a writer pool as the hub does: one connection.
func openSQLite(t *testing.T) *sql.DB {
	t.Helper()
	dsn := "file:" + filepath.Join(t.TempDir(), "jobs.db") + "?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)"
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

func newQueue(t *testing.T, o jobs.Options) *jobs.Queue {
	t.Helper()
	q, err := jobs.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// start starts the queue and stops it when the test ends.
func start(t *testing.T, q *jobs.Queue, s jobs.Services) {
	t.Helper()
	if err := q.Start(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		if err := q.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
}

func enqueue(t *testing.T, db *sql.DB, q *jobs.Queue, id int64) {
	t.Helper()
	enqueueWork(t, db, q, verify.Work{Verification: id, Name: "org/m", Digest: someDigest})
}

func enqueueWork(t *testing.T, db *sql.DB, q *jobs.Queue, w verify.Work) {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.EnqueueVersion(t.Context(), tx, w); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

// call is one call of the worker.
type call struct {
	Kind string
	ID   int64
	Name registry.Name
	Last bool
}

// recorder is a Worker that tells what it was asked for.
type recorder struct {
	calls chan call
	do    func(ctx context.Context, c call) error
}

func newRecorder() *recorder { return &recorder{calls: make(chan call, 100)} }

func (r *recorder) Inspect(ctx context.Context, n registry.Name, _ registry.Digest, last bool) error {
	return r.record(ctx, call{Kind: "inspect", Name: n, Last: last})
}

func (r *recorder) Verify(ctx context.Context, w verify.Work, last bool) error {
	return r.record(ctx, call{Kind: "verify", ID: w.Verification, Name: w.Name, Last: last})
}

func (r *recorder) AbandonInspection(ctx context.Context, n registry.Name, _ registry.Digest, attempts int) error {
	return r.record(ctx, call{Kind: "abandon", ID: int64(attempts), Name: n})
}

func (r *recorder) record(ctx context.Context, c call) error {
	r.calls <- c
	if r.do != nil {
		return r.do(ctx, c)
	}
	return nil
}

func (r *recorder) next(t *testing.T) call {
	t.Helper()
	select {
	case c := <-r.calls:
		return c
	case <-time.After(deadline):
		t.Fatal("no job was worked")
		return call{}
	}
}

// waitState polls until the newest job of the kind has the state.
func waitState(t *testing.T, db *sql.DB, kind, state string) (attempt int) {
	t.Helper()
	var got string
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for end := time.Now().Add(deadline); time.Now().Before(end); <-poll.C {
		err := db.QueryRowContext(t.Context(), "SELECT state, attempt FROM river_job WHERE kind = $1 ORDER BY id DESC LIMIT 1", kind).Scan(&got, &attempt)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			t.Fatal(err)
		}
		if got == state {
			return attempt
		}
	}
	t.Fatalf("job %s is %q, not %q", kind, got, state)
	return 0
}

func TestEnqueueVersion(t *testing.T) {
	t.Parallel()
	db := openSQLite(t)
	q := newQueue(t, jobs.Options{Engine: jobs.SQLite, DB: db})
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.EnqueueVersion(t.Context(), tx, verify.Work{Verification: 1, Name: "org/rolled-back", Digest: someDigest}); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	enqueue(t, db, q, 2)
	enqueue(t, db, q, 2) // the same again waits already

	var n int
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM river_job").Scan(&n); err != nil || n != 2 {
		t.Fatalf("%d jobs are queued, want 2 (%v)", n, err)
	}
	w := newRecorder()
	start(t, q, jobs.Services{Worker: w})
	got := map[string]call{}
	for range 2 {
		c := w.next(t)
		got[c.Kind] = c
	}
	want := map[string]call{
		"inspect": {Kind: "inspect", Name: "org/m"},
		"verify":  {Kind: "verify", ID: 2, Name: "org/m"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	waitState(t, db, "verify", "completed")
	enqueue(t, db, q, 2) // after the first is done, another may run
	if c := w.next(t); c.Name != "org/m" {
		t.Errorf("second run got %+v", c)
	}
}

func TestErrorIsRetriedLater(t *testing.T) {
	t.Parallel()
	db := openSQLite(t)
	// A clock that is ahead puts the next attempt after the end of the test.
	ahead := func() time.Time { return time.Now().Add(time.Hour) }
	q := newQueue(t, jobs.Options{Engine: jobs.SQLite, DB: db, Now: ahead})
	w := newRecorder()
	w.do = func(context.Context, call) error { return storage.ErrUnavailable }
	enqueue(t, db, q, 1)
	start(t, q, jobs.Services{Worker: w})
	if got := waitState(t, db, "verify", "retryable"); got != 1 {
		t.Errorf("attempt %d, want 1", got)
	}
}

// TestWaitingIsNoAttempt: a verification for which there was no room has as
// many attempts as before.
func TestWaitingIsNoAttempt(t *testing.T) {
	t.Parallel()
	db := openSQLite(t)
	q := newQueue(t, jobs.Options{Engine: jobs.SQLite, DB: db})
	w := newRecorder()
	var waits atomic.Int32
	w.do = func(_ context.Context, c call) error {
		if c.Kind == "verify" && waits.Add(1) <= 5 { // more than there are attempts
			return fmt.Errorf("%w: %w", verify.ErrNoRoom, context.DeadlineExceeded)
		}
		return nil
	}
	enqueue(t, db, q, 1)
	start(t, q, jobs.Services{Worker: w})
	if got := waitState(t, db, "verify", "completed"); got != 1 {
		t.Errorf("attempt %d, want 1", got)
	}
}

func TestPanicOfAJobIsItsOwn(t *testing.T) {
	t.Parallel()
	db := openSQLite(t)
	ahead := func() time.Time { return time.Now().Add(time.Hour) }
	q := newQueue(t, jobs.Options{Engine: jobs.SQLite, DB: db, Now: ahead})
	w := newRecorder()
	w.do = func(_ context.Context, c call) error {
		if c.Kind == "verify" {
			panic("out of bounds")
		}
		return nil
	}
	enqueue(t, db, q, 1)
	start(t, q, jobs.Services{Worker: w})
	waitState(t, db, "verify", "retryable")
	waitState(t, db, "inspect", "completed")
}

func TestStopHandsBack(t *testing.T) {
	t.Parallel()
	db := openSQLite(t)
	q := newQueue(t, jobs.Options{Engine: jobs.SQLite, DB: db})
	w := newRecorder()
	running := make(chan struct{})
	w.do = func(ctx context.Context, c call) error {
		if c.Kind != "verify" {
			return nil
		}
		close(running)
		<-ctx.Done()
		return ctx.Err()
	}
	enqueue(t, db, q, 1)
	if err := q.Start(t.Context(), jobs.Services{Worker: w}); err != nil {
		t.Fatal(err)
	}
	<-running
	waitState(t, db, "inspect", "completed") // or it may be handed back too, and come first
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // no time left to finish
	if err := q.Stop(ctx); err != nil {
		t.Fatalf("stop: %v", err)
	}
	waitState(t, db, "verify", "available")

	again := newQueue(t, jobs.Options{Engine: jobs.SQLite, DB: db})
	w2 := newRecorder()
	start(t, again, jobs.Services{Worker: w2})
	if c := w2.next(t); c.Kind != "verify" || c.Last {
		t.Errorf("after the restart got %+v", c)
	}
}

// memory is the backlog and the store of verifications.
type memory struct {
	verify.Store
	unfinished  []verify.Work
	uninspected []verify.Uninspected
	finished    chan *verify.Report
	reverified  chan int // how many verifications the hub may ask for
}

func (m *memory) Uninspected(_ context.Context, _ time.Time, after int64, _ int) ([]verify.Uninspected, error) {
	var out []verify.Uninspected
	for _, v := range m.uninspected {
		if v.ID > after {
			out = append(out, v)
		}
	}
	return out, nil
}

func (m *memory) Unfinished(_ context.Context, after int64, _ int) ([]verify.Work, error) {
	var out []verify.Work
	for _, v := range m.unfinished {
		if v.Verification > after {
			out = append(out, v)
		}
	}
	return out, nil
}

func (m *memory) Reverify(_ context.Context, checkSet, limit int) (int, error) {
	if m.reverified != nil && checkSet == verify.CheckSet {
		m.reverified <- limit
	}
	return 0, nil
}

func (m *memory) FinishVerification(_ context.Context, _ int64, r *verify.Report, _ verify.Publication) error {
	m.finished <- r
	return nil
}

func TestRestart(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		prepare string // what a killed process left behind
		lost    bool   // the job is not enqueued at all
		worked  bool
	}{
		"job of a killed process":      {prepare: "UPDATE river_job SET state = 'running', attempt = 1", worked: true},
		"job that kills its worker":    {prepare: "UPDATE river_job SET state = 'running', attempt = max_attempts"},
		"verification without a job":   {lost: true, worked: true},
		"job that is still waiting":    {worked: true},
		"job that was finished before": {prepare: "UPDATE river_job SET state = 'completed', finalized_at = CURRENT_TIMESTAMP", worked: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := openSQLite(t)
			q := newQueue(t, jobs.Options{Engine: jobs.SQLite, DB: db})
			if !tt.lost {
				enqueue(t, db, q, 7)
			}
			if tt.prepare != "" {
				if _, err := db.ExecContext(t.Context(), tt.prepare); err != nil {
					t.Fatal(err)
				}
			}
			m := &memory{finished: make(chan *verify.Report, 1)}
			m.unfinished = []verify.Work{{Verification: 7, Name: "org/m", Digest: someDigest}}
			w := newRecorder()
			start(t, q, jobs.Services{Worker: w, Backlog: m, Store: m})
			if !tt.worked {
				r := <-m.finished
				if r.State != verify.StateError || r.Summary != "the verifier did not survive 3 attempts" {
					t.Errorf("report %s: %s", r.State, r.Summary)
				}
				return
			}
			for {
				if c := w.next(t); c.Kind == "verify" {
					if c.ID != 7 {
						t.Errorf("verification %d was worked", c.ID)
					}
					return
				}
			}
		})
	}
}

func TestLostInspections(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		prepare string // what a killed process left behind
		lost    bool   // the job is not enqueued at all
		want    call
	}{
		"version without a job":      {lost: true, want: call{Kind: "inspect", Name: "org/m"}},
		"job that is still waiting":  {want: call{Kind: "inspect", Name: "org/m"}},
		"job that kills its process": {prepare: "UPDATE river_job SET state = 'running', attempt = max_attempts", want: call{Kind: "abandon", ID: 5, Name: "org/m"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := openSQLite(t)
			q := newQueue(t, jobs.Options{Engine: jobs.SQLite, DB: db})
			if !tt.lost {
				enqueue(t, db, q, 7)
			}
			if tt.prepare != "" {
				if _, err := db.ExecContext(t.Context(), tt.prepare); err != nil {
					t.Fatal(err)
				}
			}
			w := newRecorder()
			start(t, q, jobs.Services{Worker: w, Backlog: &memory{uninspected: []verify.Uninspected{{ID: 3, Name: "org/m", Digest: someDigest}}}})
			for {
				c := w.next(t)
				if c.Kind == "verify" {
					continue
				}
				if diff := cmp.Diff(tt.want, c); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				return
			}
		})
	}
}

// litter is a collector store and a blob store with one thing of each kind to
// clean up.
type litter struct {
	storage.Store
	mu      sync.Mutex
	log     []string
	keys    []storage.Key
	failing storage.Key
	done    chan struct{}
}

func (l *litter) note(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.log = append(l.log, s)
}

func (l *litter) ExpireUploads(_ context.Context, before time.Time, _ int) (int, error) {
	l.note("expire " + before.Format(time.DateTime))
	return 1, nil
}

func (l *litter) DropUnreferencedLinks(_ context.Context, before time.Time, _ int) (int, error) {
	l.note("unreferenced " + before.Format(time.DateTime))
	return 1, nil
}

func (l *litter) UnlinkedBlobs(_ context.Context, before, due time.Time, _ int) (int, error) {
	l.note("unlinked " + before.Format(time.DateTime) + " due " + due.Format(time.DateTime))
	return 1, nil
}

func (l *litter) Tombstones(context.Context, time.Time, int) ([]storage.Key, error) {
	return l.keys, nil
}

func (l *litter) Delete(_ context.Context, k storage.Key) error {
	if k == l.failing {
		return storage.ErrUnavailable
	}
	l.note("delete " + string(k))
	return nil
}

func (l *litter) BuryTombstone(_ context.Context, k storage.Key) error {
	l.note("bury " + string(k))
	close(l.done)
	return nil
}

func TestCollect(t *testing.T) {
	t.Parallel()
	db := openSQLite(t)
	now := time.Date(2030, 1, 10, 12, 0, 0, 0, time.UTC)
	q := newQueue(t, jobs.Options{
		Engine: jobs.SQLite, DB: db, ObjectGrace: 2 * time.Hour, Now: func() time.Time { return now },
	})
	l := &litter{keys: []storage.Key{"objects/stuck", "objects/free"}, failing: "objects/stuck", done: make(chan struct{})}
	start(t, q, jobs.Services{Worker: newRecorder(), Collector: l, Blobs: l})
	select {
	case <-l.done:
	case <-time.After(deadline):
		t.Fatal("nothing was collected")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	want := []string{
		"expire 2030-01-09 12:00:00",
		"unreferenced 2030-01-09 12:00:00",
		"unlinked 2030-01-09 12:00:00 due 2030-01-10 14:00:00",
		"delete objects/free", "bury objects/free", // an object that cannot be deleted keeps its tombstone
	}
	if diff := cmp.Diff(want, l.log); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestStopWithoutStart(t *testing.T) {
	t.Parallel()
	q := newQueue(t, jobs.Options{Engine: jobs.SQLite, DB: openSQLite(t)})
	for range 2 {
		if err := q.Stop(t.Context()); err != nil {
			t.Errorf("stop: %v", err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	if _, err := jobs.New(t.Context(), jobs.Options{Engine: "oracle", DB: openSQLite(t)}); err == nil {
		t.Error("an unknown engine was taken")
	}
	if _, err := jobs.New(t.Context(), jobs.Options{Engine: jobs.SQLite}); err == nil {
		t.Error("no database was taken")
	}
}

// TestReverifyLeavesRoom: the hub asks for few verifications, and for none
// while there are enough.
func TestReverifyLeavesRoom(t *testing.T) {
	t.Parallel()
	for unfinished, want := range map[int]int{0: 20, 5: 15, 20: 0} {
		db := openSQLite(t)
		m := &memory{finished: make(chan *verify.Report, 100), reverified: make(chan int, 100)}
		for i := range unfinished {
			m.unfinished = append(m.unfinished, verify.Work{Verification: int64(i + 1), Name: "org/m", Digest: someDigest})
		}
		q := newQueue(t, jobs.Options{Engine: jobs.SQLite, DB: db, VerifyWorkers: jobs.NoWorkers})
		start(t, q, jobs.Services{Worker: newRecorder(), Backlog: m, Store: m})
		waitState(t, db, "reverify", "completed")
		close(m.reverified)
		if got := <-m.reverified; got != want {
			t.Errorf("with %d unfinished the hub may ask for %d more, want %d", unfinished, got, want)
		}
	}
}
