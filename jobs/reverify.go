package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverqueue/river"

	"github.com/carat-hub/carat/verify"
)

const (
	reverifyEvery = 5 * time.Minute
	// reverifyBatch is how many unfinished verifications there may be with
	// those that the hub asks for itself.
	reverifyBatch = 20
)

// ReverifyArgs asks that versions which were verified with an older set of
// checks are verified again.
type ReverifyArgs struct{}

// Kind implements river.JobArgs.
func (ReverifyArgs) Kind() string { return "reverify" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (ReverifyArgs) InsertOpts() river.InsertOpts { return upkeepOpts() }

type reverifyWorker struct {
	river.WorkerDefaults[ReverifyArgs]
	q *Queue
}

func (w *reverifyWorker) Timeout(*river.Job[ReverifyArgs]) time.Duration { return upkeepTimeout }

func (w *reverifyWorker) Work(ctx context.Context, _ *river.Job[ReverifyArgs]) error {
	return w.q.handBack(w.q.reverify(ctx))
}

// reverify asks for a few verifications, unless there is enough to do.
func (q *Queue) reverify(ctx context.Context) error {
	if q.services.Backlog == nil {
		return nil
	}
	unfinished, err := q.services.Backlog.Unfinished(ctx, 0, reverifyBatch)
	if err != nil {
		return fmt.Errorf("list unfinished verifications: %w", err)
	}
	if len(unfinished) >= reverifyBatch {
		return nil
	}
	asked, err := q.services.Backlog.Reverify(ctx, verify.CheckSet, reverifyBatch-len(unfinished))
	if err != nil {
		return fmt.Errorf("ask for verifications again: %w", err)
	}
	if asked > 0 {
		q.opts.Logger.InfoContext(ctx, "verifying again with the present checks", slog.Int("versions", asked), slog.Int("check_set", verify.CheckSet))
	}
	return nil
}
