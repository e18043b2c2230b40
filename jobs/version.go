package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

// The queues. A long verification never holds up an inspection or the clean-up.
const (
	queueInspect  = "inspect"
	queueVerify   = "verify"
	queueUpkeep   = "upkeep"
	queueAssess   = "assess"
	inspectTries  = 5
	verifyTries   = 3
	upkeepTries   = 3
	upkeepTimeout = 10 * time.Minute
)

func queues(o Options) map[string]river.QueueConfig {
	list := map[string]river.QueueConfig{
		queueInspect: {MaxWorkers: o.InspectWorkers},
		queueUpkeep:  {MaxWorkers: 1},
		queueAssess:  {MaxWorkers: 1},
	}
	if o.VerifyWorkers > 0 {
		list[queueVerify] = river.QueueConfig{MaxWorkers: o.VerifyWorkers}
	}
	return list
}

// InspectArgs asks for the facts of one version. The JSON form is stored, so
// it stays as it is.
type InspectArgs struct {
	Name   registry.Name   `json:"name"   river:"unique"`
	Digest registry.Digest `json:"digest" river:"unique"`
}

// Kind implements river.JobArgs.
func (InspectArgs) Kind() string { return "inspect" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (InspectArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueInspect, MaxAttempts: inspectTries, UniqueOpts: onceAtATime()}
}

// VerifyArgs asks for one verification of one version. The JSON form is
// stored, so it stays as it is.
type VerifyArgs struct {
	Name         registry.Name   `json:"name"`
	Digest       registry.Digest `json:"digest"`
	Verification int64           `json:"verification" river:"unique"`
	Size         int64           `json:"size"`            // bytes of the version's files
	Again        bool            `json:"again,omitempty"` // nobody waits for it
}

// Kind implements river.JobArgs.
func (VerifyArgs) Kind() string { return "verify" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (VerifyArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: queueVerify, MaxAttempts: verifyTries, UniqueOpts: onceAtATime()}
}

// onceAtATime refuses a second job with the same arguments while the first
// one waits or runs, and allows it again afterwards.
func onceAtATime() river.UniqueOpts {
	return river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable,
		rivertype.JobStateRunning, rivertype.JobStateScheduled,
	}}
}

type inspectWorker struct {
	river.WorkerDefaults[InspectArgs]
	q *Queue
}

func (w *inspectWorker) Timeout(*river.Job[InspectArgs]) time.Duration {
	return w.q.opts.InspectTimeout
}

func (w *inspectWorker) Work(ctx context.Context, j *river.Job[InspectArgs]) error {
	last := j.Attempt >= j.MaxAttempts
	return w.q.handBack(w.q.services.Worker.Inspect(ctx, j.Args.Name, j.Args.Digest, last))
}

type verifyWorker struct {
	river.WorkerDefaults[VerifyArgs]
	q *Queue
}

func (w *verifyWorker) Timeout(*river.Job[VerifyArgs]) time.Duration { return w.q.opts.VerifyTimeout }

func (w *verifyWorker) Work(ctx context.Context, j *river.Job[VerifyArgs]) error {
	last := j.Attempt >= j.MaxAttempts
	err := w.q.services.Worker.Verify(ctx, verify.Work{
		Verification: j.Args.Verification, Name: j.Args.Name, Digest: j.Args.Digest, Size: j.Args.Size, Again: j.Args.Again,
	}, last)
	if errors.Is(err, verify.ErrNoRoom) {
		return river.JobSnooze(0) // it waits on, and keeps its attempts
	}
	return w.q.handBack(err)
}

// retryPolicy waits 2, 8, 18 … seconds between attempts, at most five minutes.
type retryPolicy struct{ now func() time.Time }

func (p retryPolicy) NextRetry(j *rivertype.JobRow) time.Time {
	n := len(j.Errors) + 1
	return p.now().Add(min(time.Duration(2*n*n)*time.Second, 5*time.Minute))
}
