package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"sync"

	"github.com/carat-hub/carat/storage"
)

const (
	objectsDir = "objects"
	uploadsDir = "uploads"
	probeName  = "probe"

	dirMode    = 0o750
	uploadMode = 0o640
	objectMode = 0o440
)

// Options says where the store lives.
type Options struct {
	// Dir is the folder that holds everything; it is created when missing.
	Dir string
}

// Store keeps objects as files. It implements storage.Store and storage.Filer.
type Store struct {
	root  *os.Root
	probe sync.Mutex // one probe file at a time

	mu     sync.Mutex
	shards [256]bool            // folders whose entry in objects/ is durable
	open   map[storage.Key]bool // uploads that a Writer of ours appends to
}

var (
	_ storage.Store = (*Store)(nil)
	_ storage.Filer = (*Store)(nil)
)

// New opens the store in opts.Dir and creates its folders when they are missing.
func New(opts Options) (*Store, error) {
	if opts.Dir == "" {
		return nil, errors.New("blob folder is not set")
	}
	if err := os.MkdirAll(opts.Dir, dirMode); err != nil {
		return nil, fmt.Errorf("create blob folder: %w", classify(err))
	}
	root, err := os.OpenRoot(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("open blob folder: %w", classify(err))
	}
	s := &Store{root: root, open: make(map[storage.Key]bool)}
	for _, dir := range []string{objectsDir, uploadsDir} {
		if err := root.Mkdir(dir, dirMode); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, errors.Join(fmt.Errorf("create %s in blob folder: %w", dir, classify(err)), root.Close())
		}
	}
	if err := s.syncDir("."); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return s, nil
}

// Close gives the folder back. Open readers and files stay usable.
func (s *Store) Close() error { return s.root.Close() }

// Open implements storage.Store. Copying from the reader to a TCP connection
// or to a response of net/http lets the kernel send the file.
func (s *Store) Open(ctx context.Context, key storage.Key, offset, length int64) (io.ReadCloser, error) {
	f, err := s.File(ctx, key)
	if err != nil {
		return nil, err
	}
	r, err := newReader(f, offset, length)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open object %s: %w", key, err), f.Close())
	}
	return r, nil
}

// File implements storage.Filer.
func (s *Store) File(ctx context.Context, key storage.Key) (*os.File, error) {
	name, err := objectName(ctx, key)
	if err != nil {
		return nil, err
	}
	f, err := s.root.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open object %s: %w", key, classify(err))
	}
	return f, nil
}

// Stat implements storage.Store.
func (s *Store) Stat(ctx context.Context, key storage.Key) (int64, error) {
	name, err := objectName(ctx, key)
	if err != nil {
		return 0, err
	}
	info, err := s.root.Stat(name)
	if err != nil {
		return 0, fmt.Errorf("stat object %s: %w", key, classify(err))
	}
	return info.Size(), nil
}

// Delete implements storage.Store. A Writer that still appends to the upload
// fails at its Suspend or Commit.
func (s *Store) Delete(ctx context.Context, key storage.Key) error {
	name, err := objectName(ctx, key)
	if err != nil {
		return err
	}
	for _, name := range []string{name, uploadName(key)} {
		if err := s.remove(name); err != nil {
			return fmt.Errorf("delete object %s: %w", key, err)
		}
	}
	return nil
}

// Ping implements storage.Store: it writes, reads and removes a small file.
// Nothing is synced, so that it can be asked every second.
func (s *Store) Ping(ctx context.Context) (err error) {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("probe blob folder: %w", err)
	}
	s.probe.Lock()
	defer s.probe.Unlock()
	defer func() {
		if e := s.remove(probeName); err == nil {
			err = e
		}
		if err != nil {
			err = fmt.Errorf("probe blob folder: %w", classify(err))
		}
	}()
	want := strconv.Itoa(os.Getpid())
	if err := s.root.WriteFile(probeName, []byte(want), uploadMode); err != nil {
		return err
	}
	got, err := s.root.ReadFile(probeName)
	if err != nil {
		return err
	}
	if string(got) != want {
		return fmt.Errorf("%w: the probe file reads back as %q", storage.ErrUnavailable, got)
	}
	return nil
}

// remove removes a file; one that is not there is no error. The removal is
// not synced: a file that returns after a power loss is deleted again by
// whoever holds its row.
func (s *Store) remove(name string) error {
	if err := s.root.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return classify(err)
	}
	return nil
}

// syncDir makes the entries of a folder durable.
func (s *Store) syncDir(name string) error {
	d, err := s.root.Open(name)
	if err != nil {
		return fmt.Errorf("open folder %s: %w", name, classify(err))
	}
	err = d.Sync()
	if e := d.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("sync folder %s: %w", name, classify(err))
	}
	return nil
}

// shard makes sure that the folder of an object exists durably. The first
// use in every process syncs, because another one may have created the folder
// and stopped before syncing it.
func (s *Store) shard(name string) error {
	dir := path.Dir(name)
	n, err := strconv.ParseUint(path.Base(dir), 16, 8)
	if err != nil {
		return fmt.Errorf("folder of object file %s: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shards[n] {
		return nil
	}
	if err := s.root.Mkdir(dir, dirMode); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("create folder %s: %w", dir, classify(err))
	}
	if err := s.syncDir(objectsDir); err != nil {
		return err
	}
	s.shards[n] = true
	return nil
}

// claim marks an upload as being written, so that a forgotten stream of the
// same upload cannot write into it as well.
func (s *Store) claim(key storage.Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[key] {
		return false
	}
	s.open[key] = true
	return true
}

func (s *Store) release(key storage.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, key)
}

// objectName checks ctx and key, and returns the file of the object. The
// last digits of a version 7 UUID are random, so the shards fill evenly.
func objectName(ctx context.Context, key storage.Key) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("object %s: %w", key, err)
	}
	if _, err := storage.ParseKey(string(key)); err != nil {
		return "", err
	}
	id := key.ID()
	return path.Join(objectsDir, id[len(id)-2:], id), nil
}

func uploadName(key storage.Key) string { return path.Join(uploadsDir, key.ID()) }
