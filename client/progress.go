package client

import (
	"context"
	"io"
	"sync"
	"time"
)

// Action says what an event is about.
type Action string

// The actions. Hashing, Uploading and Downloading come repeatedly while bytes
// move; the others come once.
const (
	Hashing     Action = "hashing"
	Hashed      Action = "hashed"
	Uploading   Action = "uploading"
	Uploaded    Action = "uploaded"
	Exists      Action = "exists" // the registry has the blob already
	Downloading Action = "downloading"
	Downloaded  Action = "downloaded"
	UpToDate    Action = "up to date" // the file on disk is right already
	Copied      Action = "copied"     // from a file of the model with the same bytes
	Waiting     Action = "waiting"    // for another pull that works on the same file
	Retrying    Action = "retrying"   // after Err, in Delay
)

// Event is one step of a transfer.
type Event struct {
	Action Action
	Path   string // of the file; "config" and "manifest" for those
	Done   int64  // bytes of the file that are through
	Size   int64  // bytes of the file
	Err    error  // with Retrying
	Delay  time.Duration
}

// reporter calls the caller's function, never twice at once.
type reporter struct {
	mu sync.Mutex
	fn func(Event)
}

func (r *reporter) send(e Event) {
	if r.fn == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fn(e)
}

// transfer is the progress of one file. It is safe for concurrent use.
type transfer struct {
	r *reporter

	mu   sync.Mutex
	e    Event
	last int64
}

// reportEvery is how many bytes pass between two events of one file.
const reportEvery = 1 << 20

func (c *Client) track(e Event) *transfer {
	c.report.send(e)
	return &transfer{r: &c.report, e: e, last: e.Done}
}

// set says how many bytes are through, which may go back after a failure.
func (t *transfer) set(done int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.e.Done = done
	if done-t.last >= reportEvery || done < t.last || done == t.e.Size {
		t.last = done
		t.r.send(t.e)
	}
}

func (t *transfer) end(a Action) {
	e := t.event()
	e.Action, e.Done = a, e.Size
	t.r.send(e)
}

func (t *transfer) wait() {
	e := t.event()
	e.Action = Waiting
	t.r.send(e)
}

func (t *transfer) event() Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.e
}

func (t *transfer) retry(err error, delay time.Duration) {
	e := t.event()
	e.Action, e.Err, e.Delay = Retrying, err, delay
	t.r.send(e)
}

// readerFunc is a reader made of a function.
type readerFunc func(p []byte) (int, error)

// Read implements io.Reader.
func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// reading returns a reader that reports what is read through it, starting
// from done bytes, and that ends with the context.
func (t *transfer) reading(ctx context.Context, r io.Reader, done int64) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n, err := r.Read(p)
		done += int64(n)
		t.set(done)
		return n, err
	})
}
