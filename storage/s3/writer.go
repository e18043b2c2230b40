package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/minio/minio-go/v7"

	"github.com/carat-hub/carat/storage"
)

// maxEmptyReads is how often in a row a reader may deliver nothing.
const maxEmptyReads = 100

var (
	// errEnded says that a Writer was used after Suspend, Commit or Abort.
	errEnded = errors.New("writer was ended already")
	// errNoETag says that an answer is not one of a service that has stored something.
	errNoETag = errors.New("answer without an ETag")
	// errTooLarge says that the object does not fit into 10,000 parts.
	errTooLarge = errors.New("object is larger than S3 allows")
)

// writer collects a stream into parts. One part fills while others upload; a
// part stays in memory until S3 has acknowledged it, so that Suspend can save
// it after any failure. ctx is that of Create or Resume: the methods of
// io.Writer have no room for one.
type writer struct {
	ctx   context.Context
	store *Store
	key   storage.Key

	offset int64
	fill   *buffer // the bytes behind the last part
	upload string  // id of the multipart upload, when there is one
	tail   string  // stored object with the bytes of fill, when offset is tailAt
	tailAt int64
	stray  bool // there may be tails or uploads that this writer does not know
	ended  bool

	// Uploads under way do not end with ctx: a client that goes away must
	// not cost us the parts that it had sent.
	background context.Context
	cancel     context.CancelFunc
	slots      chan struct{} // one token for every part under way

	mu     sync.Mutex
	parts  []part          // an empty ETag while the part is under way or failed
	failed map[int]*buffer // by index in parts
	err    error           // of the first part that failed
}

var (
	_ storage.Writer = (*writer)(nil)
	_ io.ReaderFrom  = (*writer)(nil)
)

// Create implements storage.Store. It sends nothing: the first request is
// made when a part is full, or by Suspend or Commit.
func (s *Store) Create(ctx context.Context, key storage.Key) (storage.Writer, error) {
	if _, err := s.objectName(key); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("create object %s: %w", key, err)
	}
	return s.newWriter(ctx, key), nil
}

func (s *Store) newWriter(ctx context.Context, key storage.Key) *writer {
	w := &writer{
		ctx:    ctx,
		store:  s,
		key:    key,
		fill:   &buffer{store: s},
		slots:  make(chan struct{}, s.opts.Concurrency),
		failed: make(map[int]*buffer),
	}
	w.background, w.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return w
}

// Offset implements storage.Writer.
func (w *writer) Offset() int64 { return w.offset }

// Write implements storage.Writer.
func (w *writer) Write(p []byte) (int, error) {
	n := 0
	for {
		if err := w.usable(w.ctx); err != nil {
			return n, err
		}
		if n == len(p) {
			return n, nil
		}
		space, err := w.space()
		if err != nil {
			return n, err
		}
		m := copy(space, p[n:])
		w.took(m)
		n += m
	}
}

// ReadFrom implements io.ReaderFrom. When it fails, everything that was read
// from r was taken, unless r failed as well.
func (w *writer) ReadFrom(r io.Reader) (int64, error) {
	var total int64
	for empty := 0; ; {
		if err := w.usable(w.ctx); err != nil {
			return total, err
		}
		space, err := w.space()
		if err != nil {
			return total, err
		}
		n, err := r.Read(space)
		w.took(n)
		total += int64(n)
		switch {
		case errors.Is(err, io.EOF):
			return total, nil
		case err != nil:
			return total, err
		case n > 0:
			empty = 0
		default:
			if empty++; empty == maxEmptyReads {
				return total, io.ErrNoProgress
			}
		}
	}
}

func (w *writer) usable(ctx context.Context) error {
	if w.ended {
		return errEnded
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("upload of %s: %w", w.key, err)
	}
	return nil
}

// space returns free bytes of the part that fills. A full part is sent only
// when there is more, because the last part decides whether there are parts
// at all.
func (w *writer) space() ([]byte, error) {
	if err := w.failure(); err != nil {
		return nil, err
	}
	size := w.store.opts.partSize(len(w.parts) + 1)
	if w.fill.size >= size {
		if err := w.send(); err != nil {
			return nil, err
		}
		size = w.store.opts.partSize(len(w.parts) + 1)
	}
	return w.fill.space(size - w.fill.size), nil
}

func (w *writer) took(n int) {
	w.fill.took(n)
	w.offset += int64(n)
}

// failure is why an earlier part could not be sent.
func (w *writer) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// send starts the upload of the part that is full. When all streams together
// have taken their share of memory, it waits until nothing but that part of
// this stream is left; it never waits for another stream, which could wait
// for this one.
func (w *writer) send() error {
	if len(w.parts) >= maxParts {
		return fmt.Errorf("upload of %s: %w", w.key, errTooLarge)
	}
	if err := w.begin(w.ctx); err != nil {
		return err
	}
	select {
	case w.slots <- struct{}{}:
	case <-w.ctx.Done():
		return fmt.Errorf("upload of %s: %w", w.key, w.ctx.Err())
	}
	buf := w.fill
	w.fill = &buffer{store: w.store}
	w.mu.Lock()
	index := len(w.parts)
	w.parts = append(w.parts, part{Size: buf.size})
	w.mu.Unlock()
	go func() {
		defer func() { <-w.slots }()
		_ = w.settlePart(w.background, index, buf) // the next call on the writer sees the error in w.err
	}()
	if w.store.used.Load()+w.store.opts.partSize(index+2) > w.store.opts.Memory {
		return w.idle(w.ctx)
	}
	return nil
}

// begin creates the multipart upload when there is none.
func (w *writer) begin(ctx context.Context) error {
	if w.upload != "" {
		return nil
	}
	err := w.store.retry(ctx, w.store.opts.Timeout, func(ctx context.Context, _ func()) (err error) {
		w.upload, err = w.store.core.NewMultipartUpload(ctx, w.store.opts.Bucket, w.store.path(string(w.key)),
			minio.PutObjectOptions{})
		if err == nil && w.upload == "" {
			err = errors.New("answer without an upload id")
		}
		if err != nil {
			w.stray = true // it may exist all the same
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("begin upload of %s: %w", w.key, err)
	}
	return nil
}

// settlePart uploads a part and records how that went.
func (w *writer) settlePart(ctx context.Context, index int, buf *buffer) error {
	etag, err := w.store.putPart(ctx, w.key, w.upload, index+1, buf)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		err = fmt.Errorf("upload part %d of %s: %w", index+1, w.key, err)
		w.failed[index] = buf
		if w.err == nil {
			w.err = err
		}
		return err
	}
	w.parts[index].ETag = etag
	delete(w.failed, index)
	buf.free()
	return nil
}

func (s *Store) putPart(ctx context.Context, key storage.Key, upload string, number int, buf *buffer) (etag string, err error) {
	sum := s.checksum(buf)
	err = s.retry(ctx, s.opts.Timeout, func(ctx context.Context, touch func()) error {
		body := buf.body(touch)
		defer body.stop()
		done, err := s.core.PutObjectPart(ctx, s.opts.Bucket, s.path(string(key)), upload, number,
			body, buf.size, minio.PutObjectPartOptions{Sha256Hex: sum, DisableContentSha256: true})
		etag = done.ETag
		if err == nil && (etag == "" || len(etag) > maxETag) {
			err = errNoETag
		}
		return err
	})
	return etag, err
}

func (s *Store) putObject(ctx context.Context, name string, buf *buffer) error {
	sum := s.checksum(buf)
	return s.retry(ctx, s.opts.Timeout, func(ctx context.Context, touch func()) error {
		body := buf.body(touch)
		defer body.stop()
		done, err := s.core.PutObject(ctx, s.opts.Bucket, name, body, buf.size, "", sum,
			minio.PutObjectOptions{DisableContentSha256: true})
		if err == nil && done.ETag == "" {
			err = errNoETag
		}
		return err
	})
}

// checksum returns the SHA-256 that signs a body over plain HTTP, in
// hexadecimal; over TLS the connection itself protects the body. The library
// would sign such bodies chunk by chunk, and some servers then keep the
// encoding of the chunks, "aws-chunked", as that of the object.
func (s *Store) checksum(buf *buffer) string {
	if s.core.EndpointURL().Scheme == "https" {
		return ""
	}
	h := sha256.New()
	left := buf.size
	for _, chunk := range buf.chunks {
		h.Write(chunk[:min(left, chunkSize)])
		left -= min(left, chunkSize)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// idle waits until no part is under way.
func (w *writer) idle(ctx context.Context) error {
	taken := 0
	defer func() {
		for range taken {
			<-w.slots
		}
	}()
	for taken < cap(w.slots) {
		select {
		case w.slots <- struct{}{}:
			taken++
		case <-ctx.Done():
			return fmt.Errorf("upload of %s: %w", w.key, ctx.Err())
		}
	}
	return nil
}

// settle makes sure that every part before fill is acknowledged: it waits for
// those under way and tries once more those that failed.
func (w *writer) settle(ctx context.Context) error {
	if err := w.idle(ctx); err != nil {
		return err
	}
	// Nothing else touches the parts any more.
	for _, index := range slices.Sorted(maps.Keys(w.failed)) {
		if err := w.settlePart(ctx, index, w.failed[index]); err != nil {
			return err
		}
	}
	return nil
}

// sendRest uploads what fill holds as one more part.
func (w *writer) sendRest(ctx context.Context) error {
	if len(w.parts) >= maxParts {
		return fmt.Errorf("upload of %s: %w", w.key, errTooLarge)
	}
	if err := w.begin(ctx); err != nil {
		return err
	}
	buf := w.fill
	w.fill = &buffer{store: w.store}
	w.parts = append(w.parts, part{Size: buf.size})
	return w.settlePart(ctx, len(w.parts)-1, buf)
}

// close stops what is under way and gives the memory back.
func (w *writer) close() {
	w.ended = true
	w.cancel()
	for range cap(w.slots) {
		w.slots <- struct{}{} // cancelled requests end at once
	}
	w.fill.free()
	for _, buf := range w.failed {
		buf.free()
	}
	clear(w.failed)
}
