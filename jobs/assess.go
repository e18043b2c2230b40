package jobs

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"
)

const (
	assessEvery = 5 * time.Minute
	assessBatch = 100
	markBatch   = 1000
	// assessTime is how long one job goes on before it makes room for others.
	assessTime = time.Minute
)

// Assessor assesses versions and stores the results.
type Assessor interface {
	// AssessDue assesses up to limit versions that are due and returns how many it looked at.
	AssessDue(ctx context.Context, limit int) (int, error)
	// MarkAssessments makes up to limit versions due whose results are outdated and returns how many.
	MarkAssessments(ctx context.Context, limit int) (int, error)
}

// AssessArgs asks that versions are assessed that are due. One such job waits or
// runs at a time.
type AssessArgs struct{}

// Kind implements river.JobArgs.
func (AssessArgs) Kind() string { return "assess" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (AssessArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueAssess, MaxAttempts: upkeepTries, UniqueOpts: onceAtATime()}
}

// EnqueueAssessments enqueues the assessment of what is due in the caller's
// transaction, unless one waits or runs.
func (q *Queue) EnqueueAssessments(ctx context.Context, tx *sql.Tx) error {
	if _, err := q.client.InsertTx(ctx, tx, AssessArgs{}, nil); err != nil {
		return fmt.Errorf("enqueue assessments: %w", err)
	}
	return nil
}

type assessWorker struct {
	river.WorkerDefaults[AssessArgs]
	q *Queue
}

func (w *assessWorker) Timeout(*river.Job[AssessArgs]) time.Duration { return upkeepTimeout }

func (w *assessWorker) Work(ctx context.Context, job *river.Job[AssessArgs]) error {
	if err := w.q.assess(ctx); err != nil {
		return w.q.handBack(err)
	}
	if err := w.q.endAssessment(ctx, job); err != nil {
		// The job is completed, or will be: what is still due waits for the next one.
		w.q.opts.Logger.WarnContext(ctx, "look again for versions to assess", slog.Any("error", err))
	}
	return nil
}

// endAssessment completes the job and looks once more. What became due while
// it ran enqueued no other job, and may have come after its last look; what
// becomes due from now on does.
func (q *Queue) endAssessment(ctx context.Context, job *river.Job[AssessArgs]) error {
	err := q.inTx(ctx, func(tx *sql.Tx) error {
		_, err := river.JobCompleteTx[*riversqlite.Driver](ctx, tx, job) // the client knows its own driver
		return err
	})
	if err != nil || q.services.Assessor == nil {
		return err
	}
	n, err := q.services.Assessor.AssessDue(ctx, assessBatch)
	if err != nil || n == 0 {
		return err
	}
	return q.inTx(ctx, func(tx *sql.Tx) error { return q.EnqueueAssessments(ctx, tx) })
}

func (q *Queue) inTx(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := q.opts.DB.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// assess works through what is due, and then looks for what is outdated. It
// ends after a while, and goes on as another attempt of the same job.
func (q *Queue) assess(ctx context.Context) error {
	a := q.services.Assessor
	if a == nil {
		return nil
	}
	assessed, end := 0, q.opts.Now().Add(assessTime)
	defer func() {
		if assessed > 0 {
			q.opts.Logger.InfoContext(ctx, "assessed", slog.Int("versions", assessed))
		}
	}()
	for {
		n, err := a.AssessDue(ctx, assessBatch)
		if err != nil {
			return fmt.Errorf("assess versions: %w", err)
		}
		assessed += n
		if n == 0 {
			if n, err = a.MarkAssessments(ctx, markBatch); err != nil {
				return fmt.Errorf("look for versions to assess: %w", err)
			}
			if n == 0 {
				return nil
			}
		}
		if q.opts.Now().After(end) {
			return river.JobSnooze(0)
		}
	}
}
