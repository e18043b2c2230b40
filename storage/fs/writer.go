package fs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"github.com/carat-hub/carat/storage"
)

// copyStep is how much ReadFrom takes before it looks at its context again.
const copyStep = 4 << 20

// maxState bounds the state that Resume looks at, in bytes.
const maxState = 1024

// errEnded says that a Writer was used after Suspend, Commit or Abort.
var errEnded = errors.New("writer was ended already")

// state is the JSON of storage.State.
type state struct {
	Offset int64 `json:"offset"` // bytes that are durable
}

// writer appends to one upload file. ctx is that of Create or Resume: the
// methods of io.Writer have no room for one.
type writer struct {
	ctx    context.Context
	store  *Store
	key    storage.Key
	f      *os.File // nil after the end
	offset int64
	fresh  bool // the entry in uploads/ may not be durable yet
}

var (
	_ storage.Writer = (*writer)(nil)
	_ io.ReaderFrom  = (*writer)(nil)
)

// Create implements storage.Store. A key that is in use already is an error.
func (s *Store) Create(ctx context.Context, key storage.Key) (storage.Writer, error) {
	object, err := objectName(ctx, key)
	if err != nil {
		return nil, err
	}
	if _, err := s.root.Stat(object); err == nil {
		return nil, fmt.Errorf("create object %s: %w", key, os.ErrExist)
	}
	return s.openUpload(ctx, key, os.O_CREATE|os.O_EXCL|os.O_WRONLY)
}

// Resume implements storage.Store. It fails with storage.ErrUnavailable while
// another Writer of this process has the upload.
func (s *Store) Resume(ctx context.Context, key storage.Key, raw storage.State) (storage.Writer, error) {
	if _, err := objectName(ctx, key); err != nil {
		return nil, err
	}
	st, err := parseState(raw)
	if err != nil {
		return nil, fmt.Errorf("resume object %s: %w", key, err)
	}
	w, err := s.openUpload(ctx, key, os.O_WRONLY)
	if err != nil {
		return nil, err
	}
	if err := w.rewind(st.Offset); err != nil {
		return nil, errors.Join(fmt.Errorf("resume object %s: %w", key, err), w.end())
	}
	return w, nil
}

func (s *Store) openUpload(ctx context.Context, key storage.Key, flag int) (*writer, error) {
	if !s.claim(key) {
		return nil, fmt.Errorf("%w: upload of %s is being written by another stream", storage.ErrUnavailable, key)
	}
	name := uploadName(key)
	f, err := s.root.OpenFile(name, flag, uploadMode)
	if errors.Is(err, os.ErrPermission) {
		// A Commit that was cut off before its rename left it read-only.
		if err = s.root.Chmod(name, uploadMode); err == nil {
			f, err = s.root.OpenFile(name, flag, uploadMode)
		}
	}
	if err != nil {
		s.release(key)
		return nil, fmt.Errorf("open upload of %s: %w", key, classify(err))
	}
	return &writer{ctx: ctx, store: s, key: key, f: f, fresh: flag&os.O_CREATE != 0}, nil
}

func parseState(raw storage.State) (state, error) {
	var st state
	if len(raw) > maxState {
		return st, fmt.Errorf("%w: %d bytes long", storage.ErrState, len(raw))
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&st); err != nil {
		return st, fmt.Errorf("%w: %w", storage.ErrState, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return st, fmt.Errorf("%w: more than one value", storage.ErrState)
	}
	if st.Offset < 0 {
		return st, fmt.Errorf("%w: offset %d", storage.ErrState, st.Offset)
	}
	return st, nil
}

// rewind drops everything behind offset.
func (w *writer) rewind(offset int64) error {
	info, err := w.f.Stat()
	if err != nil {
		return classify(err)
	}
	if info.Size() < offset {
		return fmt.Errorf("%w: %d bytes are stored, %d are promised", storage.ErrState, info.Size(), offset)
	}
	if err := w.f.Truncate(offset); err != nil {
		return classify(err)
	}
	if _, err := w.f.Seek(offset, io.SeekStart); err != nil {
		return classify(err)
	}
	w.offset = offset
	return nil
}

// Offset implements storage.Writer.
func (w *writer) Offset() int64 { return w.offset }

// Write implements storage.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if err := w.usable(w.ctx); err != nil {
		return 0, err
	}
	n, err := w.f.Write(p)
	w.offset += int64(n)
	if err != nil {
		return n, fmt.Errorf("write upload of %s: %w", w.key, classify(err))
	}
	return n, nil
}

// ReadFrom implements io.ReaderFrom, so that the kernel can move the bytes of
// a socket. When it fails, more may have been read from r than was taken.
func (w *writer) ReadFrom(r io.Reader) (int64, error) {
	var total int64
	for {
		if err := w.usable(w.ctx); err != nil {
			return total, err
		}
		n, err := w.f.ReadFrom(&io.LimitedReader{R: r, N: copyStep})
		w.offset += n
		total += n
		if err != nil {
			return total, fmt.Errorf("write upload of %s: %w", w.key, classify(err))
		}
		if n < copyStep {
			return total, nil
		}
	}
}

// Suspend implements storage.Writer.
func (w *writer) Suspend(ctx context.Context) (storage.State, error) {
	if err := w.usable(ctx); err != nil {
		return nil, errors.Join(err, w.end())
	}
	err := classify(w.f.Sync())
	if err == nil && w.fresh {
		err = w.store.syncDir(uploadsDir)
	}
	if e := w.end(); err == nil {
		err = e
	}
	if err != nil {
		return nil, fmt.Errorf("suspend upload of %s: %w", w.key, err)
	}
	return json.Marshal(state{Offset: w.offset})
}

// Commit implements storage.Writer.
func (w *writer) Commit(ctx context.Context) error {
	if err := w.usable(ctx); err != nil {
		return errors.Join(err, w.end())
	}
	// end comes last: until then nobody else may touch the upload.
	err := w.publish(ctx)
	if e := w.end(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("commit object %s: %w", w.key, err)
	}
	return nil
}

// publish syncs the file before the rename and both folders after it.
func (w *writer) publish(ctx context.Context) error {
	object, err := objectName(ctx, w.key)
	if err != nil {
		return err
	}
	if err := w.store.shard(object); err != nil {
		return err
	}
	if err := w.f.Chmod(objectMode); err != nil {
		return classify(err)
	}
	if err := w.f.Sync(); err != nil {
		return classify(err)
	}
	if err := w.store.root.Rename(uploadName(w.key), object); err != nil {
		return classify(err)
	}
	if err := w.store.syncDir(path.Dir(object)); err != nil {
		return err
	}
	return w.store.syncDir(uploadsDir)
}

// Abort implements storage.Writer. It works with a cancelled ctx too.
func (w *writer) Abort(context.Context) error {
	if w.f == nil {
		return errEnded
	}
	err := w.store.remove(uploadName(w.key))
	if e := w.end(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("abort upload of %s: %w", w.key, err)
	}
	return nil
}

func (w *writer) usable(ctx context.Context) error {
	if w.f == nil {
		return errEnded
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("upload of %s: %w", w.key, err)
	}
	return nil
}

// end closes the file and lets others have the upload.
func (w *writer) end() error {
	if w.f == nil {
		return nil
	}
	err := classify(w.f.Close())
	w.f = nil
	w.store.release(w.key)
	return err
}
