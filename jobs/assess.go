package jobs

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
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

// AssessArgs asks that versions are assessed that are due. Of each turn one job
// may wait or run, so that while one runs, which may have looked already,
// another can wait.
type AssessArgs struct {
	Turn int `json:"turn" river:"unique"`
}

// Kind implements river.JobArgs.
func (AssessArgs) Kind() string { return "assess" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (AssessArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueAssess, MaxAttempts: upkeepTries, UniqueOpts: onceAtATime()}
}

// EnqueueAssessments enqueues the assessment of what is due in the caller's
// transaction, unless one waits.
func (q *Queue) EnqueueAssessments(ctx context.Context, tx *sql.Tx) error {
	for turn := range 2 {
		r, err := q.client.InsertTx(ctx, tx, AssessArgs{Turn: turn}, nil)
		if err != nil {
			return fmt.Errorf("enqueue assessments: %w", err)
		}
		if !r.UniqueSkippedAsDuplicate {
			break
		}
	}
	return nil
}

type assessWorker struct {
	river.WorkerDefaults[AssessArgs]
	q *Queue
}

func (w *assessWorker) Timeout(*river.Job[AssessArgs]) time.Duration { return upkeepTimeout }

func (w *assessWorker) Work(ctx context.Context, _ *river.Job[AssessArgs]) error {
	return w.q.handBack(w.q.assess(ctx))
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
