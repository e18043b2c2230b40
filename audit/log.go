package audit

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Query selects entries of the log. Fields that are zero select all.
type Query struct {
	After  int64 // entries behind this one
	Before int64 // entries before this one
	Newest bool  // the newest first

	Action       Action
	Actor        string
	Repository   string // or the organization
	Since, Until time.Time
	Limit        int
}

// Store keeps the log.
type Store interface {
	// AppendAudit stores events that are not part of another transaction.
	AppendAudit(ctx context.Context, events []Event) error
	// SealAudit moves events that are stored into the log, and returns how many.
	SealAudit(ctx context.Context) (int, error)
	// AuditEntries returns entries of the log.
	AuditEntries(ctx context.Context, q Query) ([]Entry, error)
	// AuditHead returns number and hash of the last entry.
	AuditHead(ctx context.Context) (Chain, error)
}

const (
	// window is how long events of the same kind are counted in one.
	window = time.Minute
	// maxCounted is how many kinds are told apart in a window; those beyond
	// are counted together, by their action.
	maxCounted = 1000
	// sealEvery is how long events wait for becoming part of the log.
	sealEvery = time.Second
)

// kind is what events are counted by.
type kind struct {
	action                          Action
	actor, address, repository, why string
}

type counted struct {
	event   Event
	begun   time.Time
	waiting int // events that are not written
}

// Log writes the log. It is safe for concurrent use.
type Log struct {
	store Store
	now   func() time.Time
	log   *slog.Logger

	flushing sync.Mutex
	mu       sync.Mutex
	kinds    map[kind]*counted
}

// NewLog returns a log on a store. The clock is time.Now and the logger
// slog.Default() when they are nil.
func NewLog(s Store, clock func() time.Time, log *slog.Logger) *Log {
	if clock == nil {
		clock = time.Now
	}
	if log == nil {
		log = slog.Default()
	}
	return &Log{store: s, now: clock, log: log, kinds: map[kind]*counted{}}
}

// Note takes an event that is no change of anything. It never waits: the first
// of a kind (action, actor, address, repository and reason) is written within a
// second, those like it are counted for a minute.
func (l *Log) Note(e Event) {
	now := l.now()
	e.At = now.UTC().Truncate(time.Microsecond)
	k := kind{e.Action, e.Name, e.Address, e.Repository, e.Detail["reason"]}
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.kinds[k]
	if c == nil && len(l.kinds) >= maxCounted {
		k = kind{action: e.Action}
		e = Event{At: e.At, Action: e.Action, Detail: map[string]string{"reason": "too many to tell apart"}}
		c = l.kinds[k]
	}
	if c == nil {
		c = &counted{event: e, begun: now}
		l.kinds[k] = c
	}
	c.waiting++
	c.event.At = e.At
}

// due takes what has to be written now; all when everything is set.
func (l *Log) due(everything bool) []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	var events []Event
	for k, c := range l.kinds {
		over := now.Sub(c.begun) >= window
		if c.waiting > 0 && (over || everything || c.event.Count == 0) {
			c.event.Count = c.waiting
			events = append(events, c.event)
			c.waiting = 0
		}
		if over {
			delete(l.kinds, k)
		}
	}
	return events
}

// Flush writes what is due and seals all that is written.
func (l *Log) Flush(ctx context.Context) error { return l.flush(ctx, false) }

func (l *Log) flush(ctx context.Context, everything bool) error {
	l.flushing.Lock()
	defer l.flushing.Unlock()
	if events := l.due(everything); len(events) > 0 {
		if err := l.store.AppendAudit(ctx, events); err != nil {
			l.giveBack(events)
			return err
		}
	}
	_, err := l.store.SealAudit(ctx)
	return err
}

// giveBack counts events again that could not be written.
func (l *Log) giveBack(events []Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		k := kind{e.Action, e.Name, e.Address, e.Repository, e.Detail["reason"]}
		if c := l.kinds[k]; c != nil {
			c.waiting += e.Count
		} else if len(l.kinds) < 2*maxCounted {
			n := e.Count
			e.Count = 0
			l.kinds[k] = &counted{event: e, begun: l.now(), waiting: n}
		}
	}
}

// Run writes and seals once a second until ctx ends, and then what is left.
func (l *Log) Run(ctx context.Context) {
	t := time.NewTicker(sealEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if err := l.Flush(ctx); err != nil && ctx.Err() == nil {
				l.log.ErrorContext(ctx, "the audit log was not written", slog.Any("error", err))
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			if err := l.flush(last, true); err != nil {
				l.log.ErrorContext(last, "the end of the audit log was not written", slog.Any("error", err))
			}
			return
		}
	}
}

// Entries returns entries of the log, those of all that happened before the
// call included.
func (l *Log) Entries(ctx context.Context, q Query) ([]Entry, error) {
	if err := l.Flush(ctx); err != nil {
		return nil, err
	}
	return l.store.AuditEntries(ctx, q)
}

// Head returns number and hash of the last entry.
func (l *Log) Head(ctx context.Context) (Chain, error) { return l.store.AuditHead(ctx) }
