package jobs_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/carat-hub/carat/jobs"
)

// lateAssessor has a version that becomes due after the last look of a job, by
// somebody who enqueues at the same time.
type lateAssessor struct {
	mu   sync.Mutex
	due  int
	late func() // called once, where a job has seen that nothing is left
	done chan int
}

func (a *lateAssessor) AssessDue(context.Context, int) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.due
	a.due = 0
	if n > 0 {
		a.done <- n
	}
	return n, nil
}

func (a *lateAssessor) MarkAssessments(context.Context, int) (int, error) {
	a.mu.Lock()
	late := a.late
	a.late = nil
	a.mu.Unlock()
	if late != nil {
		late()
	}
	return 0, nil
}

// TestNothingDueIsForgotten: what becomes due while a job ends is assessed,
// though the job that would have done it was not enqueued.
func TestNothingDueIsForgotten(t *testing.T) {
	t.Parallel()
	engines(t, func(t *testing.T, url string) {
		db := openDB(t, url)
		q := newQueue(t, options(db))
		a := &lateAssessor{done: make(chan int, 10)}
		a.late = func() {
			tx, err := db.Writer().BeginTx(context.Background(), nil)
			if err != nil {
				t.Error(err)
				return
			}
			if err := q.EnqueueAssessments(context.Background(), tx); err != nil {
				t.Error(err)
			}
			a.mu.Lock()
			a.due = 1
			a.mu.Unlock()
			if err := tx.Commit(); err != nil {
				t.Error(err)
			}
		}
		start(t, q, jobs.Services{Worker: newRecorder(), Assessor: a})
		select {
		case <-a.done:
		case <-time.After(deadline):
			t.Fatal("what became due was forgotten")
		}
		var jobs int
		if err := db.Writer().QueryRowContext(t.Context(), "SELECT COUNT(*) FROM river_job WHERE kind = 'assess' AND state <> 'completed'").Scan(&jobs); err != nil || jobs > 1 {
			t.Errorf("%d jobs wait or run, %v", jobs, err)
		}
	})
}
