package verify_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

func openCache(t *testing.T, folder string, limit int64) *verify.Cache {
	t.Helper()
	c, err := verify.NewCache(folder, limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// want returns content of 10 bytes as a wanted file, counting how often it is fetched.
func want(content string, fetched *atomic.Int32) verify.Wanted {
	return verify.Wanted{
		Digest: registry.DigestOf(registry.SHA256, []byte(content)), Size: int64(len(content)),
		Open: func(context.Context) (io.ReadCloser, error) {
			fetched.Add(1)
			return io.NopCloser(strings.NewReader(content)), nil
		},
	}
}

func acquire(t *testing.T, c *verify.Cache, w ...verify.Wanted) *verify.Lease {
	t.Helper()
	l, err := c.Acquire(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func content(t *testing.T, l *verify.Lease, w verify.Wanted) string {
	t.Helper()
	f, err := l.Open(w.Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(p)
}

func entries(t *testing.T, folder string) []string {
	t.Helper()
	list, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func TestCacheEvictsTheLeastRecentlyUsed(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	c := openCache(t, folder, 30)
	var fetched atomic.Int32
	a, b, d, e := want("aaaaaaaaaa", &fetched), want("bbbbbbbbbb", &fetched), want("dddddddddd", &fetched), want("eeeeeeeeee", &fetched)
	for _, w := range []verify.Wanted{a, b, d, a} { // a is used again, so b is the oldest
		acquire(t, c, w).Release()
	}
	acquire(t, c, e).Release()
	if got := fetched.Load(); got != 4 {
		t.Errorf("fetched %d files, want 4", got)
	}
	l := acquire(t, c, a, a)
	if got := content(t, l, a); got != "aaaaaaaaaa" {
		t.Errorf("content %q", got)
	}
	l.Release()
	l.Release() // a second one changes nothing
	if fetched.Load() != 4 {
		t.Error("a file in the cache was fetched again")
	}
	if got := entries(t, folder); len(got) != 3 || contains(got, b.Digest) {
		t.Errorf("the cache holds %v", got)
	}
}

func contains(names []string, d registry.Digest) bool {
	for _, n := range names {
		if strings.HasSuffix(n, d.Hex()) {
			return true
		}
	}
	return false
}

func TestCacheWaitsForFilesInUse(t *testing.T) {
	t.Parallel()
	c := openCache(t, t.TempDir(), 25)
	var fetched atomic.Int32
	a, b, d := want("aaaaaaaaaa", &fetched), want("bbbbbbbbbb", &fetched), want("dddddddddd", &fetched)
	held := acquire(t, c, a, b)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Acquire(ctx, []verify.Wanted{d}); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want that of the context", err)
	}
	got := make(chan error, 1)
	go func() {
		l, err := c.Acquire(t.Context(), []verify.Wanted{d})
		if err == nil {
			l.Release()
		}
		got <- err
	}()
	if content(t, held, a) != "aaaaaaaaaa" || content(t, held, b) != "bbbbbbbbbb" {
		t.Error("a file in use was evicted")
	}
	held.Release()
	if err := <-got; err != nil {
		t.Errorf("after the release: %v", err)
	}
}

func TestCacheRefuses(t *testing.T) {
	t.Parallel()
	var fetched atomic.Int32
	good := want("aaaaaaaaaa", &fetched)
	with := func(f func(*verify.Wanted)) verify.Wanted { w := good; f(&w); return w }
	reader := func(r io.Reader) func(context.Context) (io.ReadCloser, error) {
		return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(r), nil }
	}
	lost := errors.New("connection lost")
	tests := map[string]struct {
		w   []verify.Wanted
		err error
	}{
		"larger than the cache": {[]verify.Wanted{with(func(w *verify.Wanted) { w.Size = 31 })}, verify.ErrTooLarge},
		"together too large":    {[]verify.Wanted{want(strings.Repeat("x", 16), &fetched), want(strings.Repeat("y", 16), &fetched)}, verify.ErrTooLarge},
		"sizes that wrap":       {[]verify.Wanted{good, with(func(w *verify.Wanted) { w.Digest = registry.DigestOf(registry.SHA256, nil); w.Size = 1<<63 - 1 })}, verify.ErrTooLarge},
		"other content":         {[]verify.Wanted{with(func(w *verify.Wanted) { w.Open = reader(strings.NewReader("bbbbbbbbbb")) })}, verify.ErrContent},
		"too short":             {[]verify.Wanted{with(func(w *verify.Wanted) { w.Open = reader(strings.NewReader("aaa")) })}, verify.ErrContent},
		"without end":           {[]verify.Wanted{with(func(w *verify.Wanted) { w.Open = reader(endless{}) })}, verify.ErrContent},
		"broken stream":         {[]verify.Wanted{with(func(w *verify.Wanted) { w.Open = reader(io.MultiReader(strings.NewReader("aa"), failing{lost})) })}, lost},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			c := openCache(t, folder, 30)
			if _, err := c.Acquire(t.Context(), tt.w); !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if got := entries(t, folder); len(got) != 0 {
				t.Errorf("left behind: %v", got)
			}
			l := acquire(t, c, good) // the room is free again
			defer l.Release()
			if content(t, l, good) != "aaaaaaaaaa" {
				t.Error("wrong content after a failure")
			}
		})
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestCacheFetchesOnceForAll(t *testing.T) {
	t.Parallel()
	c := openCache(t, t.TempDir(), 100)
	var fetched atomic.Int32
	a := want("aaaaaaaaaa", &fetched)
	var first atomic.Bool
	open := a.Open
	a.Open = func(ctx context.Context) (io.ReadCloser, error) {
		if first.CompareAndSwap(false, true) {
			return nil, errors.New("the first fetch fails") // and the next caller tries
		}
		return open(ctx)
	}
	var wg sync.WaitGroup
	var failures atomic.Int32
	for range 20 {
		wg.Go(func() {
			l, err := c.Acquire(t.Context(), []verify.Wanted{a})
			if err != nil {
				failures.Add(1)
				return
			}
			defer l.Release()
			if f, err := l.Open(a.Digest); err != nil {
				t.Error(err)
			} else {
				f.Close()
			}
		})
	}
	wg.Wait()
	if failures.Load() != 1 || fetched.Load() != 1 {
		t.Errorf("%d failed, fetched %d times; want 1 and 1", failures.Load(), fetched.Load())
	}
}

func TestCacheAfterRestart(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	var fetched atomic.Int32
	a, b := want("aaaaaaaaaa", &fetched), want("bbbbbbbbbb", &fetched)
	acquire(t, openCache(t, folder, 30), a, b).Release()
	for _, junk := range []string{"tmp-sha256-x", "notes.txt"} {
		if err := os.WriteFile(filepath.Join(folder, junk), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := openCache(t, folder, 30)
	acquire(t, c, a, b).Release()
	if fetched.Load() != 2 {
		t.Errorf("fetched %d times, want 2", fetched.Load())
	}
	if got := entries(t, folder); len(got) != 2 {
		t.Errorf("the cache holds %v", got)
	}
	openCache(t, folder, 10) // with less room than is used
	if got := entries(t, folder); len(got) != 1 {
		t.Errorf("after shrinking the cache holds %v", got)
	}
}

func TestOpenPath(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write := func(name string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(folder, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []string{"config.json", "sub/b.txt", ".git/HEAD", ".hidden"} {
		write(n)
	}
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"leak": outside, "inside": "config.json", "broken": "nothing"} {
		if err := os.Symlink(to, filepath.Join(folder, link)); err != nil {
			t.Fatal(err)
		}
	}
	files, err := verify.OpenPath(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	var got []string
	for _, f := range files {
		got = append(got, f.Path)
	}
	if diff := cmp.Diff([]string{"config.json", "inside", "sub/b.txt"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	p := make([]byte, 11)
	if _, err := files.Lookup("inside").ReadAt(p, 0); err != nil || !bytes.Equal(p, []byte("config.json")) {
		t.Errorf("read %q, %v", p, err)
	}
	if _, err := verify.OpenPath(t.TempDir()); err == nil {
		t.Error("an empty folder was taken")
	}
	if _, err := verify.OpenPath(filepath.Join(folder, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}
