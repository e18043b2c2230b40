package jobs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/storage"
	"github.com/carat-hub/carat/verify"
)

// The engines.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

// Worker does the work on a version. Its methods are idempotent, and an error
// asks for another attempt; last tells that there will be none. A version
// that is gone is no error.
type Worker interface {
	Inspect(ctx context.Context, n registry.Name, d registry.Digest, last bool) error
	Verify(ctx context.Context, w verify.Work, last bool) error
	// AbandonInspection says that a version's inspection ended its process each time.
	AbandonInspection(ctx context.Context, n registry.Name, d registry.Digest, attempts int) error
}

// Services is what the jobs work with.
type Services struct {
	Worker  Worker
	Backlog verify.Backlog // nil: lost jobs are not looked for
	// Assessor assesses versions; nil: nothing is assessed.
	Assessor Assessor
	Store    verify.Store // for verifications that keep killing their worker
	// Collector and Blobs are what the clean-up works on.
	Collector registry.CollectorStore
	Blobs     storage.Store
}

// Options configure a queue.
type Options struct {
	Engine string        // SQLite or Postgres
	DB     *sql.DB       // on SQLite the pool of the one writer connection
	Pool   *pgxpool.Pool // on Postgres, for notifications; nil polls instead
	Logger *slog.Logger  // default: discards
	Now    func() time.Time

	InspectWorkers int           // default 2
	VerifyWorkers  int           // default 1, NoWorkers for none
	InspectTimeout time.Duration // of one attempt; default 10 minutes
	VerifyTimeout  time.Duration // of one attempt; default 1 hour
	PollInterval   time.Duration // default 200 ms on SQLite, 1 s on Postgres

	CollectEvery time.Duration // default 10 minutes
	UploadAge    time.Duration // untouched uploads older than this are dropped; default 24 hours
	// BlobAge is how long a blob stays in a repository in which no manifest
	// refers to it, and then how long it stays when no repository links it.
	// It is generous, because pushing clients leave out what they find there;
	// pushing or mounting the blob again starts it anew. Default 24 hours.
	BlobAge     time.Duration
	ObjectGrace time.Duration // from tombstone to deletion: longer than any presigned URL; default 24 hours
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	poll := time.Second
	if o.Engine == SQLite {
		poll = 200 * time.Millisecond
	}
	setDefault(&o.InspectWorkers, 2)
	if o.VerifyWorkers == 0 {
		o.VerifyWorkers = 1
	}
	setDefault(&o.InspectTimeout, 10*time.Minute)
	setDefault(&o.VerifyTimeout, time.Hour)
	setDefault(&o.PollInterval, poll)
	setDefault(&o.CollectEvery, 10*time.Minute)
	setDefault(&o.UploadAge, 24*time.Hour)
	setDefault(&o.BlobAge, 24*time.Hour)
	setDefault(&o.ObjectGrace, 24*time.Hour)
	return o
}

func setDefault[T int | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// NoWorkers is how many workers a node has that leaves the work to others.
const NoWorkers = -1

// Queue enqueues jobs and, once started, works them.
type Queue struct {
	opts     Options
	client   *river.Client[*sql.Tx]
	services Services
	stopping chan struct{} // closed when running jobs are cancelled
	hardStop sync.Once
}

// New migrates River's own tables to their newest version and returns a queue
// that can enqueue. It works nothing until Start.
func New(ctx context.Context, o Options) (*Queue, error) {
	o = o.withDefaults()
	driver, err := newDriver(o)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, driver, o); err != nil {
		return nil, fmt.Errorf("migrate the job tables: %w", err)
	}
	q := &Queue{opts: o, stopping: make(chan struct{})}
	workers := river.NewWorkers()
	river.AddWorker(workers, &inspectWorker{q: q})
	river.AddWorker(workers, &verifyWorker{q: q})
	river.AddWorker(workers, &collectWorker{q: q})
	river.AddWorker(workers, &rederiveWorker{q: q})
	river.AddWorker(workers, &ageWorker{q: q})
	river.AddWorker(workers, &reverifyWorker{q: q})
	river.AddWorker(workers, &assessWorker{q: q})
	q.client, err = river.NewClient(driver, &river.Config{
		Logger:            o.Logger,
		Workers:           workers,
		Queues:            queues(o),
		PeriodicJobs:      periodicJobs(o),
		FetchPollInterval: o.PollInterval,
		FetchCooldown:     min(o.PollInterval, 100*time.Millisecond),
		PollOnly:          o.Engine == SQLite || o.Pool == nil,
		RetryPolicy:       retryPolicy{now: o.Now},
		// A node that died holds its jobs until they are rescued.
		JobTimeout:           max(o.InspectTimeout, o.VerifyTimeout),
		RescueStuckJobsAfter: max(o.InspectTimeout, o.VerifyTimeout) + time.Minute,
	})
	if err != nil {
		return nil, fmt.Errorf("set up the job queue: %w", err)
	}
	return q, nil
}

func newDriver(o Options) (riverdriver.Driver[*sql.Tx], error) {
	if o.DB == nil {
		return nil, errors.New("job queue needs a database")
	}
	switch o.Engine {
	case SQLite:
		return riversqlite.New(o.DB), nil
	case Postgres:
		if o.Pool == nil {
			return riverdatabasesql.New(o.DB), nil
		}
		return riverdatabasesql.NewWithPgxListener(o.DB, o.Pool), nil
	}
	return nil, fmt.Errorf("job queue does not know the database engine %q", o.Engine)
}

// migrationLock is the Postgres advisory lock under which nodes that start
// together take turns; the number is arbitrary, but ours.
const migrationLock = 0x6361726174

func migrate(ctx context.Context, driver riverdriver.Driver[*sql.Tx], o Options) (err error) {
	if o.Engine == Postgres {
		conn, err := o.DB.Conn(ctx)
		if err != nil {
			return err
		}
		// Closing the connection, not only returning it, would also free the
		// lock; unlocking keeps the connection.
		defer func() { err = errors.Join(err, conn.Close()) }()
		if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(migrationLock)); err != nil {
			return err
		}
		defer func() {
			_, uerr := conn.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", int64(migrationLock))
			err = errors.Join(err, uerr)
		}()
	}
	m, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: o.Logger})
	if err != nil {
		return err
	}
	_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}

// EnqueueVersion enqueues the inspection and the verification of a version in
// the caller's transaction. Jobs that wait or run already are not doubled.
func (q *Queue) EnqueueVersion(ctx context.Context, tx *sql.Tx, w verify.Work) error {
	_, err := q.client.InsertManyTx(ctx, tx, versionJobs(w))
	if err != nil {
		return fmt.Errorf("enqueue the jobs of %s@%s: %w", w.Name, w.Digest, err)
	}
	return nil
}

func versionJobs(w verify.Work) []river.InsertManyParams {
	return []river.InsertManyParams{
		inspectJob(w.Name, w.Digest),
		{
			Args:       VerifyArgs{Name: w.Name, Digest: w.Digest, Verification: w.Verification, Size: w.Size, Again: w.Again},
			InsertOpts: &river.InsertOpts{Tags: []string{verificationTag(w.Verification)}, Priority: aged(w.Size, w.Again, 0)},
		},
	}
}

func inspectJob(n registry.Name, d registry.Digest) river.InsertManyParams {
	return river.InsertManyParams{
		Args: InspectArgs{Name: n, Digest: d}, InsertOpts: &river.InsertOpts{Tags: []string{inspectionTag(n, d)}},
	}
}

// inspectionTag marks the jobs of one version. It is a hash, as tags are short.
func inspectionTag(n registry.Name, d registry.Digest) string {
	return "inspection-" + registry.DigestOf(registry.SHA256, []byte(string(n)+"@"+d.String())).Hex()
}

func verificationTag(id int64) string { return fmt.Sprintf("verification-%d", id) }

// Start works jobs until Stop. The context bounds starting only.
func (q *Queue) Start(ctx context.Context, s Services) error {
	q.services = s
	if q.opts.Engine == SQLite {
		// Nobody else works on this database, so what is marked as running
		// belongs to a process that died.
		if err := q.releaseOrphans(ctx); err != nil {
			return fmt.Errorf("release the jobs of a stopped process: %w", err)
		}
	}
	if err := q.client.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("start the job queue: %w", err)
	}
	return nil
}

// releaseOrphans gives jobs marked as running back, except those that have
// used up their attempts: a model that kills its worker each time is not
// tried for ever.
func (q *Queue) releaseOrphans(ctx context.Context) error {
	_, err := q.opts.DB.ExecContext(ctx, `UPDATE river_job SET
		state = CASE WHEN attempt >= max_attempts THEN 'discarded' ELSE 'available' END,
		finalized_at = CASE WHEN attempt >= max_attempts THEN CURRENT_TIMESTAMP END
		WHERE state = 'running'`)
	return err
}

// Stop ends the work: running jobs may finish until ctx is done, then they are
// cancelled and given back for the next start or another node.
func (q *Queue) Stop(ctx context.Context) error {
	err := q.client.Stop(ctx)
	if err == nil || ctx.Err() == nil {
		return err
	}
	q.hardStop.Do(func() { close(q.stopping) })
	hard, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := q.client.StopAndCancel(hard); err != nil {
		return fmt.Errorf("stop the job queue: %w", err)
	}
	return nil
}

// handBack turns the error of a job that was cancelled because the queue stops
// into one that returns the job without counting the attempt.
func (q *Queue) handBack(err error) error {
	if err == nil {
		return nil
	}
	select {
	case <-q.stopping:
		return river.JobSnooze(0)
	default:
		return err
	}
}
