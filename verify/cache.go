package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/carat-hub/carat/registry"
)

// Errors of a cache.
var (
	// ErrTooLarge says that the files wanted together are larger than the cache may be.
	ErrTooLarge = errors.New("model is larger than the file cache")
	// ErrContent says that what was fetched is not what its digest says.
	ErrContent = errors.New("content does not match its digest")
)

// Cache keeps whole files of models on disk, keyed by digest, within a limit
// in bytes. The least recently used files go first; files in use never do.
// It is safe for concurrent use within one process, which owns the folder.
type Cache struct {
	root  *os.Root
	limit int64

	mu      sync.Mutex
	entries map[registry.Digest]*entry
	used    int64 // bytes of all entries, those being fetched included
	freed   chan struct{}
	clock   int64 // counts uses
}

type entry struct {
	digest registry.Digest
	size   int64
	users  int           // leases; guarded by Cache.mu
	usedAt int64         // Cache.clock at the last use; guarded by Cache.mu
	done   bool          // complete on disk; guarded by turn, then by Cache.mu
	turn   chan struct{} // holds one token: who has it may fetch
}

// Wanted is one file to have on disk.
type Wanted struct {
	Digest registry.Digest
	Size   int64
	Open   func(ctx context.Context) (io.ReadCloser, error)
}

// NewCache opens the cache in a folder, making it where it is missing, and
// takes over the files that are there. Limit is in bytes.
func NewCache(folder string, limit int64) (*Cache, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make the file cache: %w", err)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("open the file cache: %w", err)
	}
	c := &Cache{root: root, limit: limit, entries: map[registry.Digest]*entry{}, freed: make(chan struct{})}
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("read the file cache: %w", errors.Join(err, root.Close()))
	}
	return c, nil
}

// Close closes the folder. The files stay for the next start.
func (c *Cache) Close() error { return c.root.Close() }

// load takes over complete files, oldest first, and removes the rest.
func (c *Cache) load() error {
	dir, err := c.root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	list, err := dir.ReadDir(-1)
	if err != nil {
		return err
	}
	type found struct {
		d    registry.Digest
		size int64
		at   time.Time
	}
	var files []found
	for _, e := range list {
		d, derr := registry.ParseDigest(strings.Replace(e.Name(), "-", ":", 1))
		st, serr := e.Info()
		if derr != nil || serr != nil || !st.Mode().IsRegular() {
			if err := c.root.RemoveAll(e.Name()); err != nil {
				return err
			}
			continue
		}
		files = append(files, found{d, st.Size(), st.ModTime()})
	}
	slices.SortFunc(files, func(a, b found) int { return cmp.Or(a.at.Compare(b.at), strings.Compare(a.d.String(), b.d.String())) })
	for _, f := range files {
		c.clock++
		e := c.add(f.d, f.size)
		e.done, e.usedAt = true, c.clock
	}
	return c.evict(0)
}

// add makes an entry and counts its bytes.
func (c *Cache) add(d registry.Digest, size int64) *entry {
	e := &entry{digest: d, size: size, turn: make(chan struct{}, 1)}
	e.turn <- struct{}{}
	c.entries[d] = e
	c.used += size
	return e
}

// evict removes unused files until need more bytes fit, or none is left.
func (c *Cache) evict(need int64) error {
	for c.used > c.limit-need {
		var oldest *entry
		for _, e := range c.entries {
			if e.users == 0 && (oldest == nil || e.usedAt < oldest.usedAt) {
				oldest = e
			}
		}
		if oldest == nil {
			return nil
		}
		if err := c.root.Remove(fileName(oldest.digest)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove from the file cache: %w", err)
		}
		delete(c.entries, oldest.digest)
		c.used -= oldest.size
	}
	return nil
}

// Lease is a set of files that stay in the cache until Release.
type Lease struct {
	c       *Cache
	entries []*entry
	once    sync.Once
}

// Acquire fetches what is missing, waiting for room while other leases take
// it, and returns a lease of all. Room for all is taken at once, so that two
// callers never wait for each other. Errors: ErrTooLarge, ErrContent, those of
// Open and of ctx.
func (c *Cache) Acquire(ctx context.Context, wanted []Wanted) (*Lease, error) {
	wanted = unique(wanted)
	var total int64
	for _, w := range wanted {
		if w.Size < 0 || w.Size > c.limit-total {
			return nil, fmt.Errorf("%w of %d bytes", ErrTooLarge, c.limit)
		}
		total += w.Size
	}
	l, err := c.reserve(ctx, wanted)
	if err != nil {
		return nil, err
	}
	for i, w := range wanted {
		if err := c.fill(ctx, l.entries[i], w); err != nil {
			l.Release()
			return nil, err
		}
	}
	return l, nil
}

func unique(wanted []Wanted) []Wanted {
	seen := map[registry.Digest]bool{}
	return slices.DeleteFunc(slices.Clone(wanted), func(w Wanted) bool {
		again := seen[w.Digest]
		seen[w.Digest] = true
		return again
	})
}

// reserve pins what is there and takes room for the rest.
func (c *Cache) reserve(ctx context.Context, wanted []Wanted) (*Lease, error) {
	for {
		l, wait, err := c.tryReserve(wanted)
		if l != nil || err != nil {
			return l, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for room in the file cache: %w", context.Cause(ctx))
		}
	}
}

func (c *Cache) tryReserve(wanted []Wanted) (*Lease, <-chan struct{}, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &Lease{c: c}
	var need int64
	for _, w := range wanted {
		e := c.entries[w.Digest]
		if e == nil {
			need += w.Size
			continue
		}
		if e.size != w.Size {
			return nil, nil, fmt.Errorf("%w: %s has %d bytes, not %d", ErrContent, w.Digest, e.size, w.Size)
		}
		e.users++ // so that making room does not take it
		l.entries = append(l.entries, e)
	}
	err := c.evict(need)
	if err != nil || c.used > c.limit-need {
		for _, e := range l.entries {
			e.users--
		}
		return nil, c.freed, err
	}
	l.entries = l.entries[:0]
	for _, w := range wanted {
		e := c.entries[w.Digest]
		if e == nil {
			e = c.add(w.Digest, w.Size)
			e.users++
		}
		c.clock++
		e.usedAt = c.clock
		l.entries = append(l.entries, e)
	}
	return l, nil, nil
}

// fill fetches the entry's content unless it is there. Of several callers
// one fetches; when it fails, the next one tries.
func (c *Cache) fill(ctx context.Context, e *entry, w Wanted) error {
	select {
	case <-e.turn:
	case <-ctx.Done():
		return fmt.Errorf("wait for %s: %w", e.digest, context.Cause(ctx))
	}
	defer func() { e.turn <- struct{}{} }()
	if e.done {
		return nil
	}
	if err := c.download(ctx, w); err != nil {
		return fmt.Errorf("fetch %s: %w", e.digest, err)
	}
	c.mu.Lock()
	e.done = true
	c.mu.Unlock()
	return nil
}

// download writes the content beside its place, checks size and digest as it
// streams, and moves it there when both are right.
func (c *Cache) download(ctx context.Context, w Wanted) (err error) {
	rc, err := w.Open(ctx)
	if err != nil {
		return err
	}
	defer rc.Close()
	temp := "tmp-" + fileName(w.Digest)
	f, err := c.root.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.root.Remove(temp))
		}
	}()
	err = fillFile(ctx, f, rc, w)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return c.root.Rename(temp, fileName(w.Digest))
}

// fillFile copies the content to a file, durably, and checks it.
func fillFile(ctx context.Context, f *os.File, r io.Reader, w Wanted) error {
	h := w.Digest.Algorithm().New()
	n, err := io.Copy(io.MultiWriter(f, h), io.LimitReader(contextReader{ctx, r}, w.Size+1))
	if err != nil {
		return err
	}
	if err := checkContent(w, n, h); err != nil {
		return err
	}
	return f.Sync()
}

func checkContent(w Wanted, n int64, h hash.Hash) error {
	if n != w.Size {
		return fmt.Errorf("%w: it does not have %d bytes", ErrContent, w.Size)
	}
	if got := registry.DigestFromHash(w.Digest.Algorithm(), h); got != w.Digest {
		return fmt.Errorf("%w: it is %s", ErrContent, got)
	}
	return nil
}

// Open opens a file of the lease for reading. The caller closes it.
func (l *Lease) Open(d registry.Digest) (*os.File, error) {
	for _, e := range l.entries {
		if e.digest == d {
			f, err := l.c.root.Open(fileName(d))
			if err != nil {
				return nil, fmt.Errorf("open from the file cache: %w", err)
			}
			return f, nil
		}
	}
	return nil, fmt.Errorf("open from the file cache: %s is not in the lease", d)
}

// Release lets the files go when room is needed. Further calls do nothing.
func (l *Lease) Release() {
	l.once.Do(func() {
		c := l.c
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, e := range l.entries {
			e.users--
			if e.users == 0 && !e.done {
				delete(c.entries, e.digest)
				c.used -= e.size
			}
		}
		close(c.freed)
		c.freed = make(chan struct{})
	})
}

func fileName(d registry.Digest) string {
	return filepath.Base(string(d.Algorithm()) + "-" + d.Hex())
}
