package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
)

// Bounds of one clean-up; what is left over is for the next one.
const (
	collectBatch  = 200
	collectRounds = 50
)

func periodicJobs(o Options) []*river.PeriodicJob {
	collect := river.NewPeriodicJob(river.PeriodicInterval(o.CollectEvery),
		func() (river.JobArgs, *river.InsertOpts) { return CollectArgs{}, nil },
		&river.PeriodicJobOpts{ID: CollectArgs{}.Kind(), RunOnStart: true})
	rederive := river.NewPeriodicJob(river.PeriodicInterval(5*time.Minute),
		func() (river.JobArgs, *river.InsertOpts) { return RederiveArgs{}, nil },
		&river.PeriodicJobOpts{ID: RederiveArgs{}.Kind(), RunOnStart: true})
	age := river.NewPeriodicJob(river.PeriodicInterval(ageEvery),
		func() (river.JobArgs, *river.InsertOpts) { return AgeArgs{}, nil },
		&river.PeriodicJobOpts{ID: AgeArgs{}.Kind(), RunOnStart: true})
	reverify := river.NewPeriodicJob(river.PeriodicInterval(reverifyEvery),
		func() (river.JobArgs, *river.InsertOpts) { return ReverifyArgs{}, nil },
		&river.PeriodicJobOpts{ID: ReverifyArgs{}.Kind(), RunOnStart: true})
	assess := river.NewPeriodicJob(river.PeriodicInterval(assessEvery),
		func() (river.JobArgs, *river.InsertOpts) { return AssessArgs{}, nil },
		&river.PeriodicJobOpts{ID: AssessArgs{}.Kind(), RunOnStart: true})
	return []*river.PeriodicJob{collect, rederive, age, reverify, assess}
}

// CollectArgs asks for a clean-up of abandoned uploads, links that no
// manifest needs, blobs that nothing links, and objects whose deletion is due.
type CollectArgs struct{}

// Kind implements river.JobArgs.
func (CollectArgs) Kind() string { return "collect" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (CollectArgs) InsertOpts() river.InsertOpts { return upkeepOpts() }

// RederiveArgs asks for a search for inspections and verifications that lost
// their job.
type RederiveArgs struct{}

// Kind implements river.JobArgs.
func (RederiveArgs) Kind() string { return "rederive" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (RederiveArgs) InsertOpts() river.InsertOpts { return upkeepOpts() }

func upkeepOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueUpkeep, MaxAttempts: upkeepTries, UniqueOpts: onceAtATime()}
}

type collectWorker struct {
	river.WorkerDefaults[CollectArgs]
	q *Queue
}

func (w *collectWorker) Timeout(*river.Job[CollectArgs]) time.Duration { return upkeepTimeout }

func (w *collectWorker) Work(ctx context.Context, _ *river.Job[CollectArgs]) error {
	return w.q.handBack(w.q.collect(ctx))
}

type rederiveWorker struct {
	river.WorkerDefaults[RederiveArgs]
	q *Queue
}

func (w *rederiveWorker) Timeout(*river.Job[RederiveArgs]) time.Duration { return upkeepTimeout }

func (w *rederiveWorker) Work(ctx context.Context, _ *river.Job[RederiveArgs]) error {
	return w.q.handBack(w.q.enqueueLost(ctx))
}

// collect turns what nobody needs any more into tombstones and deletes the
// objects whose tombstones are due: rows first, objects last.
func (q *Queue) collect(ctx context.Context) error {
	s, now := q.services.Collector, q.opts.Now()
	if s == nil || q.services.Blobs == nil {
		return nil
	}
	uploads, err := repeat(func() (int, error) { return s.ExpireUploads(ctx, now.Add(-q.opts.UploadAge), collectBatch) })
	if err != nil {
		return fmt.Errorf("expire uploads: %w", err)
	}
	links, err := repeat(func() (int, error) { return s.DropUnreferencedLinks(ctx, now.Add(-q.opts.BlobAge), collectBatch) })
	if err != nil {
		return fmt.Errorf("drop unreferenced links: %w", err)
	}
	blobs, err := repeat(func() (int, error) {
		return s.UnlinkedBlobs(ctx, now.Add(-q.opts.BlobAge), now.Add(q.opts.ObjectGrace), collectBatch)
	})
	if err != nil {
		return fmt.Errorf("drop unlinked blobs: %w", err)
	}
	objects, err := repeat(func() (int, error) { return q.bury(ctx, now) })
	if err != nil {
		return fmt.Errorf("delete objects: %w", err)
	}
	if uploads+links+blobs+objects > 0 {
		q.opts.Logger.InfoContext(ctx, "cleaned up",
			slog.Int("uploads", uploads), slog.Int("links", links), slog.Int("blobs", blobs), slog.Int("objects", objects))
	}
	return nil
}

// bury deletes one batch of objects. One that cannot be deleted now keeps its
// tombstone and does not hold up the others.
func (q *Queue) bury(ctx context.Context, now time.Time) (int, error) {
	keys, err := q.services.Collector.Tombstones(ctx, now, collectBatch)
	if err != nil {
		return 0, err
	}
	var failed []error
	for _, k := range keys {
		if err := q.services.Blobs.Delete(ctx, k); err != nil {
			failed = append(failed, err)
			continue
		}
		if err := q.services.Collector.BuryTombstone(ctx, k); err != nil {
			failed = append(failed, err)
		}
	}
	return len(keys), errors.Join(failed...)
}

// repeat calls one batch after the other until one is not full.
func repeat(batch func() (int, error)) (total int, err error) {
	for range collectRounds {
		n, err := batch()
		total += n
		if err != nil || n < collectBatch {
			return total, err
		}
	}
	return total, nil
}
