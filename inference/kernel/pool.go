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
// before it sleeps, because waking it takes as long as such a run. A run does not wait for helpers that have not begun: on a
// busy machine they would hold it up for nothing.
type Pool struct {
	threads int
	looks   int // how often to look before sleeping
	helpers []*helper

	task  Task
	rows  int
	grain int
	next  atomic.Int64

	state   atomic.Uint64 // a turn, which goes up with each Run, in the upper half; over; the helpers at work in the bits below
	closed  atomic.Bool
	waiting atomic.Bool // Run sleeps until done
	done    chan struct{}
}

// over is set in the state when no more helpers may begin.
const over = 1 << 31

func turnOf(state uint64) uint32     { return uint32(state >> 32) }
func atWork(state uint64) (n uint64) { return state & (over - 1) }

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
	p.state.Store(over)
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

// begin starts a turn. No helper is at work.
func (p *Pool) begin() {
	p.state.Store(uint64(turnOf(p.state.Load())+1) << 32)
	for _, h := range p.helpers {
		if h.asleep.CompareAndSwap(true, false) {
			h.wake <- struct{}{}
		}
	}
}

func (p *Pool) help(worker int, h *helper) {
	for turn := uint32(0); ; {
		p.await(h, turn)
		if p.closed.Load() {
			return
		}
		state := p.state.Load()
		turn = turnOf(state)
		for state&over == 0 && turnOf(state) == turn {
			if !p.state.CompareAndSwap(state, state+1) {
				state = p.state.Load()
				continue
			}
			h.err = p.work(worker)
			if state = p.state.Add(^uint64(0)); state&over != 0 && atWork(state) == 0 && p.waiting.CompareAndSwap(true, false) {
				p.done <- struct{}{}
			}
			break
		}
	}
}

// await returns when a turn after the given one has begun.
func (p *Pool) await(h *helper, turn uint32) {
	for range p.looks {
		if turnOf(p.state.Load()) != turn {
			return
		}
	}
	h.asleep.Store(true)
	if turnOf(p.state.Load()) != turn && h.asleep.CompareAndSwap(true, false) {
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
	for _, h := range p.helpers {
		h.err = nil
	}
	p.begin()
	err := p.work(0)
	p.finish()
	for _, h := range p.helpers {
		if err == nil {
			err = h.err
		}
	}
	return err
}

// finish ends the turn and returns when no helper is at work.
func (p *Pool) finish() {
	p.state.Or(over)
	for range p.looks {
		if atWork(p.state.Load()) == 0 {
			return
		}
	}
	p.waiting.Store(true)
	if atWork(p.state.Load()) == 0 && p.waiting.CompareAndSwap(true, false) {
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
