package kernel

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
)

// Task is work over a range of rows that can be split anywhere.
type Task interface {
	// Do computes rows lo to hi-1. worker is from 0 to the pool's thread count - 1 and picks the worker's scratch memory.
	Do(worker, lo, hi int) error
}

// Pool runs tasks on a fixed number of threads. The caller of Run is one of them; the others are goroutines that live until
// Close. A Pool serves one Run at a time.
//
// A model's token takes hundreds of runs of some ten microseconds each. A helper therefore looks for the next one for a while
// before it sleeps, and the caller for the end of this one: waking a sleeper takes as long as such a run.
type Pool struct {
	threads int
	looks   int // how often to look before sleeping
	helpers []*helper

	task  Task
	rows  int
	grain int
	next  atomic.Int64
	err   error // of the caller's part

	turn    atomic.Uint32 // goes up with each Run
	closed  atomic.Bool
	busy    atomic.Int32 // helpers that have not finished this turn
	waiting atomic.Bool  // Run sleeps until done
	done    chan struct{}
}

// helper is one of the other threads. Whoever turns asleep off wakes it.
type helper struct {
	asleep atomic.Bool
	wake   chan struct{}
	err    error
	_      [64]byte // keeps the helpers on cache lines of their own
}

// NewPool starts a pool of the given number of threads, at least one.
func NewPool(threads int) *Pool {
	p := &Pool{threads: max(threads, 1), done: make(chan struct{}, 1)}
	if p.threads <= runtime.GOMAXPROCS(0) {
		p.looks = 200_000 // about a hundred microseconds
	}
	for w := 1; w < p.threads; w++ {
		h := &helper{wake: make(chan struct{}, 1)}
		p.helpers = append(p.helpers, h)
		go p.help(w, h)
	}
	return p
}

// Threads returns the number of threads.
func (p *Pool) Threads() int { return p.threads }

// Close ends the pool's goroutines. No Run may be under way or follow.
func (p *Pool) Close() {
	p.closed.Store(true)
	p.begin()
	p.helpers = nil
}

// begin starts a turn.
func (p *Pool) begin() {
	p.turn.Add(1)
	for _, h := range p.helpers {
		if h.asleep.CompareAndSwap(true, false) {
			h.wake <- struct{}{}
		}
	}
}

func (p *Pool) help(worker int, h *helper) {
	for turn := uint32(0); ; turn++ {
		p.await(h, turn)
		if p.closed.Load() {
			return
		}
		h.err = p.work(worker)
		if p.busy.Add(-1) == 0 && p.waiting.CompareAndSwap(true, false) {
			p.done <- struct{}{}
		}
	}
}

// await returns when a turn after the given one has begun.
func (p *Pool) await(h *helper, turn uint32) {
	for range p.looks {
		if p.turn.Load() != turn {
			return
		}
	}
	h.asleep.Store(true)
	if p.turn.Load() != turn && h.asleep.CompareAndSwap(true, false) {
		return
	}
	<-h.wake
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
	if rows == 1 || len(p.helpers) == 0 {
		return p.work(0)
	}
	p.busy.Store(int32(len(p.helpers)))
	p.begin()
	p.err = p.work(0)
	p.finish()
	for _, h := range p.helpers {
		if p.err == nil {
			p.err = h.err
		}
	}
	return p.err
}

// finish returns when no helper is busy.
func (p *Pool) finish() {
	for range p.looks {
		if p.busy.Load() == 0 {
			return
		}
	}
	p.waiting.Store(true)
	if p.busy.Load() == 0 && p.waiting.CompareAndSwap(true, false) {
		return
	}
	<-p.done
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
