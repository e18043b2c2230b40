package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
)

// recorder keeps events and pretends to wait.
type recorder struct {
	mu     sync.Mutex
	events []Event
	waits  []time.Duration
}

func (r *recorder) progress(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *recorder) sleep(ctx context.Context, d time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waits = append(r.waits, d)
	return ctx.Err()
}

func (r *recorder) count(a Action) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, e := range r.events {
		if e.Action == a {
			n++
		}
	}
	return n
}

func (r *recorder) slept() []time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.waits)
}

// newClient returns a client whose waits take no time, and what it reports.
func newClient(t *testing.T, change func(*Options)) (*Client, *recorder) {
	t.Helper()
	rec := &recorder{}
	o := Options{Progress: rec.progress, Sleep: rec.sleep}
	if change != nil {
		change(&o)
	}
	return New(o), rec
}

// newRegistry starts an independent registry, optionally behind a handler
// that meddles with requests.
func newRegistry(t *testing.T, around func(next http.Handler) http.Handler) string {
	t.Helper()
	h := ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))
	if around != nil {
		h = around(h)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func parseRef(t *testing.T, s string) Reference {
	t.Helper()
	ref, err := ParseReference(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// noise returns n bytes that are the same in every run.
func noise(seed uint64, n int) []byte {
	p := make([]byte, n)
	src := rand.NewChaCha8([32]byte{byte(seed)})
	_, _ = src.Read(p) // never fails
	return p
}

func writeModel(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, p := range files {
		full := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, p, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func readModel(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		files[filepath.ToSlash(rel)], err = os.ReadFile(p)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func sameFiles(t *testing.T, want, got map[string][]byte) {
	t.Helper()
	if w, g := slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)); !slices.Equal(w, g) {
		t.Fatalf("files are %q, want %q", g, w)
	}
	for name := range want {
		if !bytes.Equal(want[name], got[name]) {
			t.Errorf("%s has %d bytes %x…, want %d bytes %x…", name, len(got[name]), sha256.Sum256(got[name]), len(want[name]), sha256.Sum256(want[name]))
		}
	}
}

func smallModel() map[string][]byte {
	return map[string][]byte{
		"config.json":            []byte(`{"model_type":"llama"}`),
		"model.safetensors":      noise(1, 300_000),
		"onnx/model.onnx":        noise(2, 5000),
		"README.md":              []byte("# A model\n"),
		"empty.txt":              {},
		"copy/model.safetensors": noise(1, 300_000),
	}
}

func pack(t *testing.T, c *Client, dir string) *Package {
	t.Helper()
	s, err := OpenSource(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	p, err := c.Pack(t.Context(), s, Description{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPushAndPull(t *testing.T) {
	t.Parallel()
	host := newRegistry(t, nil)
	model := smallModel()
	dir := writeModel(t, model)
	c, rec := newClient(t, nil)
	ref := parseRef(t, host+"/demo/tiny:v1")

	p := pack(t, c, dir)
	res, err := c.Push(t.Context(), p, ref)
	if err != nil {
		t.Fatal(err)
	}
	if res.Digest != p.Digest || len(res.Blobs) != len(model) { // one file is a copy, the config is one more
		t.Errorf("pushed %s with %d blobs, want %s with %d", res.Digest, len(res.Blobs), p.Digest, len(model))
	}
	for _, b := range res.Blobs {
		if !b.Uploaded {
			t.Errorf("%s was not uploaded to an empty registry", b.Path)
		}
	}

	again, err := c.Push(t.Context(), pack(t, c, dir), ref)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range again.Blobs {
		if b.Uploaded {
			t.Errorf("%s was uploaded twice", b.Path)
		}
	}
	if got := rec.count(Exists); got != len(model) {
		t.Errorf("%d events say that a blob exists, want %d", got, len(model))
	}

	out := filepath.Join(t.TempDir(), "new", "folder")
	pulled, err := c.Pull(t.Context(), ref, out)
	if err != nil {
		t.Fatal(err)
	}
	sameFiles(t, model, readModel(t, out))
	if pulled.Digest != p.Digest {
		t.Errorf("pulled %s, want %s", pulled.Digest, p.Digest)
	}
	if fetched, copied := arrived(pulled); len(fetched) != len(model)-1 || !slices.Equal(copied, []string{"model.safetensors"}) {
		t.Errorf("fetched %q, copied %q: equal files should be fetched once", fetched, copied)
	}

	// One file is damaged without a change of size, one is gone; the others stay.
	damaged := bytes.Clone(model["model.safetensors"])
	damaged[1000] ^= 1
	if err := os.WriteFile(filepath.Join(out, "model.safetensors"), damaged, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(out, "README.md")); err != nil {
		t.Fatal(err)
	}
	pulled, err = c.Pull(t.Context(), ref.Pinned(p.Digest), out)
	if err != nil {
		t.Fatal(err)
	}
	sameFiles(t, model, readModel(t, out))
	fetched, copied := arrived(pulled)
	if !slices.Equal(fetched, []string{"README.md"}) || !slices.Equal(copied, []string{"model.safetensors"}) {
		t.Errorf("fetched %q and copied %q again", fetched, copied)
	}
}

// arrived returns the files that were fetched and copied.
func arrived(r *PullResult) (fetched, copied []string) {
	for _, f := range r.Files {
		switch {
		case f.Fetched:
			fetched = append(fetched, f.Path)
		case f.Copied:
			copied = append(copied, f.Path)
		}
	}
	return fetched, copied
}

func TestPushNeedsTag(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t, nil)
	p := pack(t, c, writeModel(t, smallModel()))
	if _, err := c.Push(t.Context(), p, parseRef(t, fmt.Sprintf("localhost:1/a/b@%s", p.Digest))); err == nil {
		t.Error("a push to a digest is no error")
	}
}
