package server

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/auth"
)

// exchange is what the edge knows of one request while it is served.
type exchange struct {
	id        string // request id
	area      area
	base      string // absolute URL of the hub without a slash at the end
	pathErr   error  // why the path was refused, before routing
	principal auth.Principal
	session   int64       // of the browser, 0 for other credentials
	actor     audit.Actor // the same and from where, as the audit log names them
	route     string      // route pattern, "" when none matched
	err       error       // what the handler returned
	stack     []byte      // of a panic
	abort     bool        // the connection must be cut: the answer is not whole
}

type exchangeKey struct{}

// exchangeOf returns the exchange of a request that came through a Server,
// and an anonymous one for any other.
func exchangeOf(ctx context.Context) *exchange {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		return x
	}
	return new(exchange)
}

// PrincipalOf returns who makes the request whose context it is given. The
// credentials have been checked: bad ones never reach a handler.
func PrincipalOf(ctx context.Context) auth.Principal { return exchangeOf(ctx).principal }

// RequestIDOf returns the id under which the request is logged.
func RequestIDOf(ctx context.Context) string { return exchangeOf(ctx).id }

// BaseURL returns the absolute URL under which the caller reaches the hub,
// without a slash at the end, for Location headers that must be absolute.
func BaseURL(ctx context.Context) string { return exchangeOf(ctx).base }

// SetRoute names the route for logs and metrics where one pattern covers
// several, as below /v2/. It must be a constant, never part of the path.
func SetRoute(ctx context.Context, pattern string) { exchangeOf(ctx).route = pattern }

// response counts what is written and moves the write deadline on while bytes
// flow. It passes ReadFrom to the writer below, so that the kernel can copy
// files to the socket: handlers that send files must write to it directly
// (echo's Response.Writer), since echo's own Response hides ReadFrom.
type response struct {
	http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
	moved   time.Time // when the deadline was last moved
	status  int       // 0 until the header is written
	bytes   int64     // of the body
}

func newResponse(w http.ResponseWriter, stall time.Duration) *response {
	return &response{ResponseWriter: w, control: http.NewResponseController(w), stall: stall}
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *response) WriteHeader(status int) {
	w.move()
	if status >= 200 && w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *response) Write(p []byte) (int, error) {
	w.begin()
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// piece is how many bytes may take as long as the stall timeout. It makes the
// slowest speed that is tolerated: 1 MiB in 60 s.
const piece = 1 << 20

// ReadFrom implements io.ReaderFrom. It copies piece by piece, because one
// call of the kernel's copy could not move the deadline, and takes a limited
// reader apart, because the kernel's copy looks through only one of them.
func (w *response) ReadFrom(r io.Reader) (int64, error) {
	below, ok := w.ResponseWriter.(io.ReaderFrom)
	if !ok {
		return io.Copy(struct{ io.Writer }{w}, r)
	}
	limited, ok := r.(*io.LimitedReader)
	var total int64
	for {
		part := &io.LimitedReader{R: r, N: piece}
		if ok {
			if limited.N <= 0 {
				return total, nil
			}
			part.R, part.N = limited.R, min(piece, limited.N)
		}
		want := part.N
		w.begin()
		n, err := below.ReadFrom(part)
		w.bytes += n
		total += n
		if ok {
			limited.N -= n
		}
		if err != nil || n < want {
			return total, err
		}
	}
}

// FlushError is what http.ResponseController.Flush calls.
func (w *response) FlushError() error {
	w.begin()
	return w.control.Flush()
}

func (w *response) begin() {
	w.move()
	if w.status == 0 {
		w.status = http.StatusOK
	}
}

// move moves the write deadline on, when it has not just been moved.
func (w *response) move() {
	if now := time.Now(); now.Sub(w.moved) > w.stall/8 {
		w.moved = now
		// A writer without deadlines is a test's or wrapped by a stranger.
		_ = w.control.SetWriteDeadline(now.Add(w.stall))
	}
}

// finish bounds what net/http still does with the connection after the
// handler: flush the answer and drain the rest of the body.
func (w *response) finish(b *body) {
	now := time.Now()
	_ = w.control.SetWriteDeadline(now.Add(w.stall))
	if b != nil && !b.ended {
		_ = w.control.SetReadDeadline(now.Add(w.stall))
	}
}
