package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// Large files are fetched in pieces, several at once, because many networks
// and storages give one connection only a part of what they can do. Pieces
// wait in memory for their turn, so the part file is hashed as it grows, is
// never read again, and always holds a beginning of the file that a later pull
// can go on from.
const (
	rangesFrom = 256 << 20 // what has to be missing, in bytes
	pieceSize  = 16 << 20
)

// errNoRanges is an answer that is not the piece asked for: the registry, or
// something before it, does not do ranges.
var errNoRanges = errors.New("the registry does not serve pieces of a file")

// buffers are what pieces are fetched into, lent out to all files of a
// client so that its memory is bounded.
type buffers chan []byte

func newBuffers(n int) buffers {
	b := make(buffers, n)
	for range n {
		b <- nil // made when it is needed
	}
	return b
}

func (b buffers) take(ctx context.Context, size int64) ([]byte, error) {
	select {
	case p := <-b:
		if p == nil {
			p = make([]byte, size)
		}
		return p, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// piece is a part of a file on its way into memory.
type piece struct {
	from     int64  // offset in the file
	buf      []byte // as long as the piece
	have     int    // bytes that came
	err      error  // why not all of them did
	ranged   chan struct{}
	answered func() // closes ranged, once
	done     chan struct{}
}

// received counts the bytes of all pieces for the progress.
type received struct {
	mu sync.Mutex
	n  int64
	t  *transfer
}

func (r *received) add(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n += int64(n)
	r.t.set(r.n)
}

// fillRanges fetches what is missing in pieces and appends them in order.
// What came in one piece before an error is kept. Errors: errNoRanges.
func (d *download) fillRanges(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	pool, size := d.r.c.buffers, d.r.c.pieceSize
	count := &received{n: d.offset, t: d.t}
	queue := make(chan *piece, cap(pool))
	var fetching sync.WaitGroup
	start := d.offset
	d.reused = true // of many answers

	fetching.Go(func() {
		defer close(queue)
		for from := start; from < d.file.Size; from += size {
			buf, err := pool.take(ctx, size)
			if err != nil {
				return
			}
			p := &piece{from: from, buf: buf[:min(size, d.file.Size-from)], ranged: make(chan struct{}), done: make(chan struct{})}
			p.answered = sync.OnceFunc(func() { close(p.ranged) })
			fetching.Go(func() {
				defer close(p.done)
				p.err = d.fetchPiece(ctx, p, count)
			})
			queue <- p
			if from == start {
				// Whether there are pieces at all is asked once, not by all at once.
				select {
				case <-p.ranged:
				case <-p.done:
					if p.err != nil {
						return
					}
				}
			}
		}
	})
	var failed error
	for p := range queue {
		<-p.done
		if failed == nil {
			if failed = d.append(p.buf[:p.have]); failed == nil {
				failed = p.err
			}
			if failed != nil {
				cancel(failed)
			}
		}
		pool <- p.buf[:cap(p.buf)]
	}
	fetching.Wait()
	if failed == nil && d.offset < d.file.Size {
		failed = context.Cause(ctx)
	}
	if failed != nil {
		d.t.set(d.offset)
	}
	return failed
}

// fetchPiece fills a piece, beginning where a connection broke.
func (d *download) fetchPiece(ctx context.Context, p *piece, count *received) error {
	for failures := 0; p.have < len(p.buf); {
		before := p.have
		err := d.fetchInto(ctx, p, count)
		if p.have > before {
			failures = 0
		}
		if err == nil {
			continue
		}
		var answer *ResponseError
		if errors.Is(err, errWrongRange) || errors.As(err, &answer) && answer.Status == http.StatusRequestedRangeNotSatisfiable {
			return fmt.Errorf("%w (%w)", errNoRanges, err)
		}
		failures++
		if err := d.r.backoff(ctx, d.t, failures, err); err != nil {
			return err
		}
	}
	return nil
}

// fetchInto makes one request for what a piece lacks.
func (d *download) fetchInto(ctx context.Context, p *piece, count *received) error {
	first, last := p.from+int64(p.have), p.from+int64(len(p.buf))-1
	resp, err := d.get(ctx, fmt.Sprintf("bytes=%d-%d", first, last))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusPartialContent || !d.within(resp.Header.Get("Content-Range"), first, last) {
		return fmt.Errorf("%w: %d %q instead of bytes %d to %d", errWrongRange, resp.StatusCode, printable(resp.Header.Get("Content-Range")), first, last)
	}
	p.answered()
	for p.have < len(p.buf) {
		n, err := resp.Body.Read(p.buf[p.have:])
		p.have += n
		count.add(n)
		switch {
		case errors.Is(err, io.EOF) && p.have < len(p.buf):
			return fmt.Errorf("the answer ended after %d of %d bytes: %w", p.have, len(p.buf), io.ErrUnexpectedEOF)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return redact(err)
		}
	}
	// The end has to be seen for the connection to be used again.
	if n, _ := resp.Body.Read(make([]byte, 1)); n > 0 {
		return fmt.Errorf("%w: more bytes than asked for", errWrongRange)
	}
	return nil
}
