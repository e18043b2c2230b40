package client

import (
	"context"
	"errors"
	"io"
	"time"
)

var errStalled = errors.New("the transfer stood still for too long")

// stallWatch ends a request when no bytes move for a while.
type stallWatch struct {
	timer  *time.Timer
	after  time.Duration
	cancel context.CancelCauseFunc
	cause  func() error // why the request was ended, nil while it goes on
}

func watchStall(ctx context.Context, after time.Duration) (context.Context, *stallWatch) {
	ctx, cancel := context.WithCancelCause(ctx)
	return ctx, &stallWatch{
		timer:  time.AfterFunc(after, func() { cancel(errStalled) }),
		after:  after,
		cancel: cancel,
		cause:  func() error { return context.Cause(ctx) },
	}
}

func (w *stallWatch) moved() { w.timer.Reset(w.after) }

func (w *stallWatch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

func (w *stallWatch) reading(r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		w.moved()
		return r.Read(p)
	})
}

// watchedBody is an answer's body under a stallWatch.
type watchedBody struct {
	io.ReadCloser
	watch *stallWatch
}

// Read implements io.Reader.
func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.watch.moved()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		if cause := b.watch.cause(); cause != nil {
			err = cause
		}
	}
	return n, err
}

// Close implements io.Closer.
func (b *watchedBody) Close() error {
	err := b.ReadCloser.Close()
	b.watch.stop()
	return err
}
