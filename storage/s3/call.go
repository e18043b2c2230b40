package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/carat-hub/carat/storage"
)

const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// errSilent is why a request is given up when nothing moves any more.
var errSilent = errors.New("S3 stopped answering")

// watchdog cancels a request after a silence.
type watchdog struct {
	ctx    context.Context // of the request
	cancel context.CancelCauseFunc
	timer  *time.Timer
	limit  time.Duration
}

// watch begins to count. Every touch begins anew; stop ends the request.
func watch(ctx context.Context, limit time.Duration) *watchdog {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(limit, func() { cancel(errSilent) })
	return &watchdog{ctx: ctx, cancel: cancel, timer: timer, limit: limit}
}

func (w *watchdog) touch() { w.timer.Reset(w.limit) }
func (w *watchdog) pause() { w.timer.Stop() }

func (w *watchdog) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// explain names the silence where the library only saw a cancelled context.
func (w *watchdog) explain(err error) error {
	if err != nil && errors.Is(context.Cause(w.ctx), errSilent) {
		return errSilent
	}
	return err
}

// retry calls f until it succeeds or fails for good. f gets a context of its
// own for every attempt, and touch to say that something moved. What retry
// returns is classified.
func (s *Store) retry(ctx context.Context, limit time.Duration, f func(ctx context.Context, touch func()) error) error {
	return s.attempt(ctx, func() error {
		dog := watch(ctx, limit)
		defer dog.stop()
		return dog.explain(f(dog.ctx, dog.touch)) //nolint:contextcheck // the watchdog's context is made from ctx
	})
}

// attempt is retry for requests that watch themselves.
func (s *Store) attempt(ctx context.Context, f func() error) error {
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := classify(ctx, f())
		if n >= s.opts.Attempts || !errors.Is(err, storage.ErrUnavailable) {
			return err
		}
		pause := time.NewTimer(backoff(n))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		}
	}
}

// backoff is how long to wait after the nth failure: doubling, with jitter so
// that the streams that failed together do not come back together.
func backoff(n int) time.Duration {
	d := min(firstPause<<min(n-1, 10), lastPause)
	return d/2 + rand.N(d/2)
}

// classify adds the sentinel of package storage that a failed request stands
// for. When the caller gave up, it is the caller's reason that counts.
func classify(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if e := ctx.Err(); e != nil {
		return e
	}
	for _, known := range []error{
		storage.ErrNotExist, storage.ErrNoSpace, storage.ErrUnavailable, storage.ErrState, storage.ErrRange,
	} {
		if errors.Is(err, known) {
			return err
		}
	}
	res, ok := errors.AsType[minio.ErrorResponse](err)
	if !ok {
		// No answer, or none that can be understood.
		return fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
	}
	if sentinel := sentinelOf(res); sentinel != nil {
		return fmt.Errorf("%w: %s: %w", sentinel, res.Code, err)
	}
	return fmt.Errorf("S3 answered %s: %w", res.Code, err)
}

func sentinelOf(res minio.ErrorResponse) error {
	switch res.Code {
	case "NoSuchKey", "NoSuchUpload", "NotFound":
		return storage.ErrNotExist
	case "InvalidRange":
		return storage.ErrRange
	case "InvalidPart", "InvalidPartOrder", "EntityTooSmall":
		return storage.ErrState
	case "QuotaExceeded", "InsufficientStorage", "StorageFull", "InsufficientCapacity",
		"XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "XMinioQuotaExceeded":
		return storage.ErrNoSpace
	case "SlowDown", "SlowDownRead", "SlowDownWrite", "InternalError", "ServiceUnavailable", "RequestTimeout",
		"Throttling", "ThrottlingException", "RequestLimitExceeded", "RequestThrottled", "OperationAborted":
		return storage.ErrUnavailable
	}
	switch {
	case res.StatusCode == http.StatusInsufficientStorage:
		return storage.ErrNoSpace
	case res.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		return storage.ErrRange
	case res.StatusCode/100 == 2, // a success that broke off or that nobody can read
		res.StatusCode == http.StatusRequestTimeout, res.StatusCode == http.StatusTooManyRequests,
		res.StatusCode >= 500 && res.StatusCode != http.StatusNotImplemented:
		return storage.ErrUnavailable
	}
	return nil
}

// reader delivers the body of one answer. It fails with io.ErrUnexpectedEOF
// when the body is shorter than what was asked for.
type reader struct {
	ctx  context.Context // the caller's, whose end is not the service's fault
	body io.ReadCloser
	left int64
	dog  *watchdog
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > r.left {
		p = p[:r.left]
	}
	// Only the service is timed, not the caller between two reads.
	r.dog.touch()
	n, err := r.body.Read(p)
	r.dog.pause()
	r.left -= int64(n)
	switch {
	case err == io.EOF && r.left == 0:
		return n, io.EOF
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
		return n, io.ErrUnexpectedEOF
	case err != nil:
		return n, fmt.Errorf("read from S3: %w", classify(r.ctx, r.dog.explain(err)))
	}
	return n, nil
}

// Close implements io.Closer.
func (r *reader) Close() error {
	r.dog.stop()
	return r.body.Close()
}
