package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

// lostBatch is how many rows one search for lost jobs lists at once.
const lostBatch = 100

// inspectionGrace is how old a version is before its inspection is missed.
const inspectionGrace = time.Minute

// enqueueLost enqueues what is not done and has no job.
func (q *Queue) enqueueLost(ctx context.Context) error {
	if q.services.Backlog == nil {
		return nil
	}
	return errors.Join(q.enqueueInspections(ctx), q.enqueueVerifications(ctx))
}

// enqueueInspections enqueues inspections of versions about which nothing is
// known. One whose job has used up its attempts without a word is given up.
func (q *Queue) enqueueInspections(ctx context.Context) error {
	before := q.opts.Now().Add(-inspectionGrace)
	for after := int64(0); ; {
		list, err := q.services.Backlog.Uninspected(ctx, before, after, lostBatch)
		if err != nil {
			return fmt.Errorf("list versions that were not inspected: %w", err)
		}
		for _, v := range list {
			after = v.ID
			if err := q.restoreInspection(ctx, v); err != nil {
				return err
			}
		}
		if len(list) < lostBatch {
			return nil
		}
	}
}

func (q *Queue) restoreInspection(ctx context.Context, v verify.Uninspected) error {
	waiting, used, err := q.jobsOf(ctx, InspectArgs{}.Kind(), inspectionTag(v.Name, v.Digest))
	switch {
	case err != nil:
		return fmt.Errorf("look for the inspection of %s@%s: %w", v.Name, v.Digest, err)
	case waiting:
		return nil
	case used > 0:
		if err := q.services.Worker.AbandonInspection(ctx, v.Name, v.Digest, used); err != nil {
			return fmt.Errorf("give up the inspection of %s@%s: %w", v.Name, v.Digest, err)
		}
		return nil
	}
	q.opts.Logger.InfoContext(ctx, "inspection had lost its job", slog.String("name", string(v.Name)), slog.String("digest", v.Digest.String()))
	if _, err := q.client.InsertMany(ctx, []river.InsertManyParams{inspectJob(v.Name, v.Digest)}); err != nil {
		return fmt.Errorf("enqueue the inspection of %s@%s: %w", v.Name, v.Digest, err)
	}
	return nil
}

// jobsOf looks for the jobs with a tag: whether one waits or runs, and how many
// attempts one that was given up has used.
func (q *Queue) jobsOf(ctx context.Context, kind, tag string) (waiting bool, used int, err error) {
	found, err := q.client.JobList(ctx, river.NewJobListParams().
		Kinds(kind).TagsAny(tag).First(10).
		States(rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable,
			rivertype.JobStateRunning, rivertype.JobStateScheduled, rivertype.JobStateDiscarded))
	if err != nil {
		return false, 0, err
	}
	for _, j := range found.Jobs {
		if j.State != rivertype.JobStateDiscarded {
			return true, 0, nil
		}
		used = max(used, j.Attempt)
	}
	return false, used, nil
}

// enqueueVerifications enqueues unfinished verifications that no job stands for.
// A verification whose job has used up its attempts without a word, because
// the worker was killed each time, is finished as an error instead.
func (q *Queue) enqueueVerifications(ctx context.Context) error {
	for after := int64(0); ; {
		list, err := q.services.Backlog.Unfinished(ctx, after, lostBatch)
		if err != nil {
			return fmt.Errorf("list unfinished verifications: %w", err)
		}
		for _, w := range list {
			after = w.Verification
			if err := q.restoreVerification(ctx, w); err != nil {
				return err
			}
		}
		if len(list) < lostBatch {
			return nil
		}
	}
}

func (q *Queue) restoreVerification(ctx context.Context, w verify.Work) error {
	waiting, used, err := q.jobsOf(ctx, VerifyArgs{}.Kind(), verificationTag(w.Verification))
	if err != nil {
		return fmt.Errorf("look for the job of verification %d: %w", w.Verification, err)
	}
	if waiting {
		return nil
	}
	if used > 0 {
		r := verify.ErrorReport(w.Digest, q.opts.Now(), fmt.Sprintf("the verifier did not survive %d attempts", used))
		err := q.services.Store.FinishVerification(ctx, w.Verification, r, registry.Digest{})
		if err != nil && !registry.IsCode(err, registry.CodeManifestUnknown) {
			return fmt.Errorf("finish verification %d: %w", w.Verification, err)
		}
		return nil
	}
	q.opts.Logger.InfoContext(ctx, "verification had lost its job", slog.Int64("verification", w.Verification), slog.String("name", string(w.Name)))
	if _, err := q.client.InsertMany(ctx, versionJobs(w)); err != nil {
		return fmt.Errorf("enqueue verification %d: %w", w.Verification, err)
	}
	return nil
}
