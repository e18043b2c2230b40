package s3

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/minio/minio-go/v7"

	"github.com/carat-hub/carat/storage"
)

// completeFactor is how much longer than any other request completing an
// upload may take without a byte of answer: some services copy all parts.
const completeFactor = 10

// Suspend implements storage.Writer. What is too short for a part becomes a
// tail object of its own. Older tails stay until Commit, Abort or Delete: the
// caller may fail to save the newer state.
func (w *writer) Suspend(ctx context.Context) (storage.State, error) {
	if err := w.usable(ctx); err != nil {
		if !w.ended {
			w.close()
		}
		return nil, err
	}
	defer w.close()
	if err := w.save(ctx); err != nil {
		return nil, fmt.Errorf("suspend upload of %s: %w", w.key, err)
	}
	st := state{Offset: w.offset, Parts: w.parts, Tail: w.tail, Size: w.fill.size}
	if len(w.parts) > 0 {
		st.Upload = w.upload
	}
	return json.Marshal(st)
}

func (w *writer) save(ctx context.Context) error {
	if err := w.settle(ctx); err != nil {
		return err
	}
	if w.fill.size >= w.store.opts.partSize(len(w.parts)+1) {
		if err := w.sendRest(ctx); err != nil {
			return err
		}
	}
	switch {
	case w.fill.size == 0:
		w.tail = ""
		return nil
	case w.tail != "" && w.tailAt == w.offset:
		return nil // nothing came since Resume
	}
	w.tail, w.tailAt = nextTail(w.offset), w.offset
	if err := w.store.putObject(ctx, w.store.tailName(w.key, w.tail), w.fill); err != nil {
		return fmt.Errorf("store tail: %w", err)
	}
	return nil
}

// Commit implements storage.Writer. It succeeds only when the service says
// that the object is there in its full size, and also when an answer before
// that was lost.
func (w *writer) Commit(ctx context.Context) error {
	if err := w.usable(ctx); err != nil {
		if !w.ended {
			w.close()
		}
		return err
	}
	defer w.close()
	name := w.store.path(string(w.key))
	err := w.publish(ctx, name)
	if e := ctx.Err(); e != nil {
		return fmt.Errorf("commit object %s: %w", w.key, e)
	}
	size, e := w.store.size(ctx, name)
	switch {
	case e == nil && size == w.offset:
	case err != nil:
		return fmt.Errorf("commit object %s: %w", w.key, err)
	case errors.Is(e, storage.ErrNotExist):
		return fmt.Errorf("commit object %s: %w: S3 said that it was stored, but it is not there", w.key, storage.ErrUnavailable)
	case e != nil:
		return fmt.Errorf("commit object %s: look at the size: %w", w.key, e)
	default:
		return fmt.Errorf("commit object %s: %w: %d bytes are stored, %d were sent", w.key, storage.ErrState, size, w.offset)
	}
	if w.stray {
		// What remains of the upload is garbage now; Delete of the key would
		// find it too, so a failure is none of the commit.
		c, cancel := w.store.cleaning(ctx)
		defer cancel()
		_ = w.store.dropUnfinished(c, w.key)
	}
	return nil
}

func (w *writer) publish(ctx context.Context, name string) error {
	if w.upload == "" && len(w.parts) == 0 {
		return w.store.putObject(ctx, name, w.fill)
	}
	if err := w.settle(ctx); err != nil {
		return err
	}
	if w.fill.size > 0 {
		if err := w.sendRest(ctx); err != nil {
			return err
		}
	}
	done := make([]minio.CompletePart, len(w.parts))
	for i, p := range w.parts {
		done[i] = minio.CompletePart{PartNumber: i + 1, ETag: p.ETag}
	}
	limit := completeFactor * w.store.opts.Timeout
	return w.store.retry(ctx, limit, func(ctx context.Context, _ func()) error {
		_, err := w.store.core.CompleteMultipartUpload(ctx, w.store.opts.Bucket, name, w.upload, done,
			minio.PutObjectOptions{})
		return err
	})
}

// Abort implements storage.Writer. It works with a cancelled ctx too.
func (w *writer) Abort(ctx context.Context) error {
	if w.ended {
		return errEnded
	}
	w.close()
	ctx, cancel := w.store.cleaning(ctx)
	defer cancel()
	var err error
	switch {
	case w.stray:
		err = w.store.dropUnfinished(ctx, w.key)
	case w.upload != "":
		err = w.store.abortUpload(ctx, w.key, w.upload)
	}
	if err != nil {
		return fmt.Errorf("abort upload of %s: %w", w.key, err)
	}
	return nil
}

// cleaning is a context for removing what a request left behind, which must
// also happen when that request was cancelled.
func (s *Store) cleaning(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), s.opts.Timeout)
}
