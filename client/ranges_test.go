package client

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/carat-hub/carat/registry"
)

// rangeServer serves one file whose GETs a hook may spoil. Unlike blobServer
// it answers several at once.
type rangeServer struct {
	manifest []byte
	data     []byte
	hook     func(w http.ResponseWriter, r *http.Request, n int) bool

	mu     sync.Mutex
	ranges []string
	sent   int64 // bytes of the blob
}

func (s *rangeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.URL.Path, "/manifests/") {
		w.Header().Set("Content-Type", registry.MediaTypeOCIManifest)
		_, _ = w.Write(s.manifest)
		return
	}
	s.mu.Lock()
	s.ranges = append(s.ranges, r.Header.Get("Range"))
	n := len(s.ranges)
	s.mu.Unlock()
	if s.hook == nil || !s.hook(w, r, n) {
		http.ServeContent(&counter{w, s}, r, "", time.Time{}, bytes.NewReader(s.data))
	}
}

type counter struct {
	http.ResponseWriter
	s *rangeServer
}

func (c *counter) Write(p []byte) (int, error) {
	c.s.mu.Lock()
	c.s.sent += int64(len(p))
	c.s.mu.Unlock()
	return c.ResponseWriter.Write(p)
}

// seen returns the Range headers of the requests and the bytes sent.
func (s *rangeServer) seen() ([]string, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ranges), s.sent
}

func newRangeServer(t *testing.T, files map[string][]byte, data []byte) (*rangeServer, Reference) {
	t.Helper()
	s := &rangeServer{data: data}
	s.manifest, _ = manifestOf(t, files)
	host := newRegistry(t, func(http.Handler) http.Handler { return s })
	return s, parseRef(t, host+"/demo/m:v1")
}

// inPieces makes a client fetch small files in pieces.
func inPieces(t *testing.T, change func(*Options)) (*Client, *recorder) {
	t.Helper()
	c, rec := newClient(t, change)
	c.wholeFromLoopback = false
	c.rangesFrom, c.pieceSize = 100_000, 10_000
	return c, rec
}

func TestPullInPieces(t *testing.T) {
	t.Parallel()
	const size = 255_001 // 26 pieces
	data := noise(7, size)
	cut := func(w http.ResponseWriter, r *http.Request) {
		var first, last int
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last); err != nil {
			t.Errorf("range %q", r.Header.Get("Range"))
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, size))
		w.Header().Set("Content-Length", fmt.Sprint(last-first+1))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(data[first : first+100])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	tests := []struct {
		name string
		hook func(w http.ResponseWriter, r *http.Request, n int) bool
		ok   bool
		want int // requests, 0 for any
		left int64
	}{
		{"nothing goes wrong", nil, true, 26, 0},
		{"every third connection breaks", func(w http.ResponseWriter, r *http.Request, n int) bool {
			if n%3 == 0 {
				cut(w, r)
			}
			return false
		}, true, 0, 0},
		{"unavailable now and then", func(w http.ResponseWriter, _ *http.Request, n int) bool {
			if n%4 == 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return n%4 == 1
		}, true, 0, 0},
		{"no ranges", func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			_, _ = w.Write(data)
			return true
		}, true, 2, 0},
		{"no ranges any more", func(w http.ResponseWriter, r *http.Request, n int) bool {
			if n > 9 && strings.HasSuffix(r.Header.Get("Range"), "-") {
				return false
			}
			if n > 9 {
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			}
			return n > 9
		}, true, 0, 0},
		{"another range", func(w http.ResponseWriter, r *http.Request, n int) bool {
			if !strings.HasSuffix(r.Header.Get("Range"), "-") && r.Header.Get("Range") != "" {
				r.Header.Set("Range", "bytes=5-9999")
			}
			return false
		}, true, 2, 0},
		{"a piece of something else", func(w http.ResponseWriter, r *http.Request, n int) bool {
			if n == 3 {
				http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(noise(8, size)))
			}
			return n == 3
		}, true, 27, 0},
		{"gone in the middle", func(w http.ResponseWriter, r *http.Request, _ int) bool {
			var first int
			_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &first)
			if first >= 120_000 {
				w.WriteHeader(http.StatusNotFound)
			}
			return first >= 120_000
		}, false, 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			files := map[string][]byte{"m.gguf": data}
			s, ref := newRangeServer(t, files, data)
			s.hook = tt.hook
			c, rec := inPieces(t, nil)
			dir := t.TempDir()
			_, err := c.Pull(t.Context(), ref, dir)
			if (err == nil) != tt.ok {
				t.Fatalf("pull: %v", err)
			}
			if tt.ok {
				sameFiles(t, files, readModel(t, dir))
				if rec.count(Downloaded) != 1 {
					t.Error("the end was not reported")
				}
			} else {
				part, err := os.ReadFile(filepath.Join(dir, partName(registry.File{Path: "m.gguf", Digest: registry.DigestOf(registry.SHA256, data)})))
				if err != nil || !bytes.HasPrefix(data, part) || len(part) > 120_000 {
					t.Errorf("the part file has %d bytes that are no beginning of the file (%v)", len(part), err)
				}
			}
			if ranges, _ := s.seen(); tt.want > 0 && len(ranges) != tt.want {
				t.Errorf("%d requests, want %d: %q", len(ranges), tt.want, ranges)
			}
		})
	}
	t.Run("goes on", func(t *testing.T) {
		t.Parallel()
		files := map[string][]byte{"m.gguf": data}
		s, ref := newRangeServer(t, files, data)
		c, _ := inPieces(t, nil)
		dir := t.TempDir()
		name := partName(registry.File{Path: "m.gguf", Digest: registry.DigestOf(registry.SHA256, data)})
		if err := os.WriteFile(filepath.Join(dir, name), data[:100_001], 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Pull(t.Context(), ref, dir); err != nil {
			t.Fatal(err)
		}
		sameFiles(t, files, readModel(t, dir))
		if ranges, sent := s.seen(); ranges[0] != "bytes=100001-110000" || sent != size-100_001 {
			t.Errorf("%d bytes were sent, first %s", sent, ranges[0])
		}
	})
	t.Run("one stream is enough on this machine", func(t *testing.T) {
		t.Parallel()
		s, ref := newRangeServer(t, map[string][]byte{"m.gguf": data}, data)
		c, _ := inPieces(t, nil)
		c.wholeFromLoopback = New(Options{}).wholeFromLoopback
		if _, err := c.Pull(t.Context(), ref, t.TempDir()); err != nil {
			t.Error(err)
		}
		if ranges, _ := s.seen(); len(ranges) != 1 {
			t.Errorf("%d requests", len(ranges))
		}
	})
	t.Run("one stream is wanted", func(t *testing.T) {
		t.Parallel()
		files := map[string][]byte{"m.gguf": data}
		s, ref := newRangeServer(t, files, data)
		c, _ := newClient(t, func(o *Options) { o.Streams = 1 })
		c.pieceSize = 10_000
		if _, err := c.Pull(t.Context(), ref, t.TempDir()); err != nil {
			t.Error(err)
		}
		if ranges, _ := s.seen(); len(ranges) != 1 {
			t.Errorf("%d requests", len(ranges))
		}
	})
}

// TestPullsAtOnce has several clients pull into one folder, which know of
// each other only through the disk. A server that answers some of them with
// wrong bytes must not cost the others anything.
func TestPullsAtOnce(t *testing.T) {
	t.Parallel()
	const size = 250_000
	data := noise(9, size)
	files := map[string][]byte{"m.gguf": data, "again/m.gguf": data}
	for _, tt := range []struct {
		name    string
		corrupt bool
	}{{"all well", false}, {"some get wrong bytes", true}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, good := newRangeServer(t, files, data)
			bad := good
			if tt.corrupt {
				other, ref := newRangeServer(t, files, noise(10, size))
				other.manifest, bad = s.manifest, ref
			}
			dir := t.TempDir()
			var g errgroup.Group
			for i := range 6 {
				c, _ := inPieces(t, func(o *Options) { o.Sleep = nil })
				g.Go(func() error {
					if i%2 == 1 {
						if _, err := c.Pull(t.Context(), bad, dir); err != nil && (!tt.corrupt || !errors.Is(err, ErrDigest)) {
							return err
						}
						return nil
					}
					_, err := c.Pull(t.Context(), good, dir)
					return err
				})
			}
			if err := g.Wait(); err != nil {
				t.Error(err)
			}
			sameFiles(t, files, readModel(t, dir))
			if _, sent := s.seen(); !tt.corrupt && sent != size {
				t.Errorf("%d bytes were sent for a file of %d", sent, size)
			}
		})
	}
}

func TestHoldPart(t *testing.T) {
	t.Parallel()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	c, _ := newClient(t, nil)
	first, err := c.holdPart(t.Context(), root, "p", c.track(Event{}))
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan struct{})
	second := New(Options{Progress: func(e Event) {
		if e.Action == Waiting {
			close(waiting)
		}
	}})
	got := make(chan error, 1)
	go func() {
		_, err := second.holdPart(t.Context(), root, "p", second.track(Event{}))
		got <- err
	}()
	<-waiting
	if err := root.Rename("p", "finished"); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; !errors.Is(err, errReplaced) {
		t.Errorf("the second holder got %v, want errReplaced", err)
	}
	if _, err := root.Lstat("p"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("p: %v", err)
	}
}
