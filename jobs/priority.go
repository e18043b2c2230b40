package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// Priorities of verifications: small models go first, and whoever waits moves
// up one class in every ageStep, so that nobody waits for ever. River works
// the lowest number first.
const (
	priorityFirst = 1
	prioritySmall = 2 // below smallModel
	priorityLarge = 3 // below largeModel
	priorityLast  = 4

	smallModel = 1 << 30 // bytes
	largeModel = 8 << 30 // bytes
	ageStep    = 10 * time.Minute
	ageEvery   = time.Minute
)

// priorityOf returns the class of a model with files of so many bytes.
func priorityOf(size int64) int {
	switch {
	case size < smallModel:
		return prioritySmall
	case size < largeModel:
		return priorityLarge
	}
	return priorityLast
}

// aged returns the priority of a job that has waited.
func aged(size int64, waited time.Duration) int {
	return max(priorityFirst, priorityOf(size)-int(max(waited, 0)/ageStep))
}

// AgeArgs asks that verifications which wait long move up.
type AgeArgs struct{}

// Kind implements river.JobArgs.
func (AgeArgs) Kind() string { return "age" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (AgeArgs) InsertOpts() river.InsertOpts { return upkeepOpts() }

type ageWorker struct {
	river.WorkerDefaults[AgeArgs]
	q *Queue
}

func (w *ageWorker) Timeout(*river.Job[AgeArgs]) time.Duration { return upkeepTimeout }

func (w *ageWorker) Work(ctx context.Context, _ *river.Job[AgeArgs]) error {
	return w.q.handBack(w.q.age(ctx))
}

// ageBatch is how many waiting verifications one look at the queue moves up.
const ageBatch = 1000

// age moves waiting verifications up, the oldest first.
func (q *Queue) age(ctx context.Context) error {
	waiting, err := q.client.JobList(ctx, river.NewJobListParams().
		Queues(queueVerify).States(rivertype.JobStateAvailable).First(ageBatch).OrderBy(river.JobListOrderByID, river.SortOrderAsc))
	if err != nil {
		return fmt.Errorf("list waiting verifications: %w", err)
	}
	for _, row := range waiting.Jobs {
		var args VerifyArgs
		if err := json.Unmarshal(row.EncodedArgs, &args); err != nil {
			return fmt.Errorf("read a waiting verification: %w", err)
		}
		priority := aged(args.Size, q.opts.Now().Sub(row.CreatedAt))
		if priority >= row.Priority {
			continue
		}
		// River has no call for this. What has begun meanwhile stays as it is.
		_, err := q.opts.DB.ExecContext(ctx, "UPDATE river_job SET priority = $1 WHERE id = $2 AND state = 'available'", priority, row.ID)
		if err != nil {
			return fmt.Errorf("move up a verification that waits: %w", err)
		}
	}
	return nil
}
