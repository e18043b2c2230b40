package kernel

import (
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// Task is work over a range of rows that can be split anywhere.
type Task interface {
	// Do computes rows lo to hi-1. worker is from 0 to the pool's thread count - 1 and picks the worker's scratch memory.
	Do(worker, lo, hi int) error
}

// Pool runs tasks on a fixed number of threads. The caller of Run is one of them; the others are goroutines that live until
// Close. A Pool serves one Run at a time.
type Pool struct {
	threads int
	wake    []chan struct{}
	done    sync.WaitGroup

	task  Task
	rows  int
	grain int
	next  atomic.Int64
	errs  []error
}

// NewPool starts a pool of the given number of threads, at least one.
func NewPool(threads int) *Pool {
	threads = max(threads, 1)
	p := &Pool{threads: threads, errs: make([]error, threads)}
	for w := 1; w < threads; w++ {
		wake := make(chan struct{}, 1)
		p.wake = append(p.wake, wake)
		go func() {
			for range wake {
				p.errs[w] = p.work(w)
				p.done.Done()
			}
		}()
	}
	return p
}

// Threads returns the number of threads.
func (p *Pool) Threads() int { return p.threads }

// Close ends the pool's goroutines. No Run may be under way or follow.
func (p *Pool) Close() {
	for _, wake := range p.wake {
		close(wake)
	}
	p.wake = nil
}

// Run splits rows 0 to rows-1 of t into pieces, hands them to the threads and returns when all are done, with the first error
// of a worker. A panic in the task, including a fault on a mapped file that was cut short, is returned as an error.
func (p *Pool) Run(t Task, rows int) error {
	if rows <= 0 {
		return nil
	}
	p.task, p.rows = t, rows
	p.grain = max(1, rows/(p.threads*4))
	p.next.Store(0)
	for i := range p.errs {
		p.errs[i] = nil
	}
	p.done.Add(len(p.wake))
	for _, wake := range p.wake {
		wake <- struct{}{}
	}
	p.errs[0] = p.work(0)
	p.done.Wait()
	for _, err := range p.errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *Pool) work(worker int) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer guard(&err)
	for {
		hi := int(p.next.Add(int64(p.grain)))
		lo := hi - p.grain
		if lo >= p.rows {
			return nil
		}
		if err := p.task.Do(worker, lo, min(hi, p.rows)); err != nil {
			return err
		}
	}
}

// guard turns a panic of the function that defers it into an error.
func guard(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("compute: %v", r)
	}
}
