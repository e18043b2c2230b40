package server

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// errStalled says that the client sent nothing of the body for too long.
var errStalled = errors.New("request body stalled")

// body is a request body that fails when nothing arrives for as long as the
// stall timeout, however long the whole takes: a 100 GB push passes, a
// connection that has gone quiet does not hold a goroutine forever.
type body struct {
	io.ReadCloser
	control *http.ResponseController
	stall   time.Duration
	moved   time.Time // when the deadline was last moved
	ended   bool
	bytes   int64 // read so far
}

func (b *body) Read(p []byte) (int, error) {
	if now := time.Now(); now.Sub(b.moved) > b.stall/8 {
		b.moved = now
		_ = b.control.SetReadDeadline(now.Add(b.stall))
	}
	n, err := b.ReadCloser.Read(p)
	b.bytes += int64(n)
	switch {
	case errors.Is(err, io.EOF) && !b.ended:
		// net/http goes on reading in the background to notice that the
		// client left; a deadline would look like that while we still work.
		b.ended = true
		_ = b.control.SetReadDeadline(time.Time{})
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = fmt.Errorf("%w for %s: %w", errStalled, b.stall, err)
	}
	return n, err
}
