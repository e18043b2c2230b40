package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carat-hub/carat/registry"
)

// blobServer serves one manifest and its blobs, with a hook to go wrong.
type blobServer struct {
	mu       sync.Mutex
	manifest []byte
	blobs    map[string][]byte
	ranges   []string // Range header of each blob GET
	hook     func(w http.ResponseWriter, r *http.Request, data []byte, n int) bool
}

func (s *blobServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	if strings.Contains(r.URL.Path, "/manifests/") {
		w.Header().Set("Content-Type", registry.MediaTypeOCIManifest)
		w.Header().Set("Docker-Content-Digest", registry.DigestOf(registry.SHA256, s.manifest).String())
		_, _ = w.Write(s.manifest)
		return
	}
	data, ok := s.blobs[last]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	s.ranges = append(s.ranges, r.Header.Get("Range"))
	if s.hook != nil && s.hook(w, r, data, len(s.ranges)) {
		return
	}
	serveRange(w, r, data)
}

func serveRange(w http.ResponseWriter, r *http.Request, data []byte) {
	var from int
	if v := r.Header.Get("Range"); v != "" {
		var err error
		if from, err = strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(v, "bytes="), "-")); err != nil || from >= len(data) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(data)-1, len(data)))
		w.Header().Set("Content-Length", strconv.Itoa(len(data)-from))
		w.WriteHeader(http.StatusPartialContent)
	}
	_, _ = w.Write(data[from:])
}

// manifestOf returns a manifest whose layers are the files.
func manifestOf(t *testing.T, files map[string][]byte) ([]byte, map[string][]byte) {
	t.Helper()
	blobs := make(map[string][]byte)
	m := ociManifest{SchemaVersion: 2, MediaType: registry.MediaTypeOCIManifest, ArtifactType: registry.ModelPackArtifact}
	add := func(p []byte) Descriptor {
		d := registry.DigestOf(registry.SHA256, p)
		blobs[d.String()] = p
		return Descriptor{MediaType: registry.ModelPackWeight, Digest: d, Size: int64(len(p))}
	}
	m.Config = add([]byte("{}"))
	for name, p := range files {
		l := add(p)
		l.Annotations = map[string]string{registry.AnnotationModelPackPath: name}
		m.Layers = append(m.Layers, l)
	}
	p, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return p, blobs
}

func newBlobServer(t *testing.T, files map[string][]byte) (*blobServer, Reference) {
	t.Helper()
	s := &blobServer{}
	s.manifest, s.blobs = manifestOf(t, files)
	host := newRegistry(t, func(http.Handler) http.Handler { return s })
	return s, parseRef(t, host+"/demo/m:v1")
}

// abortAfter sends the first n bytes of an answer to r and breaks the connection.
func abortAfter(w http.ResponseWriter, r *http.Request, data []byte, n int) {
	from := 0
	if v := r.Header.Get("Range"); v != "" {
		from, _ = strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(v, "bytes="), "-"))
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(data)-1, len(data)))
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(data)-from))
	if from > 0 {
		w.WriteHeader(http.StatusPartialContent)
	}
	_, _ = w.Write(data[from : from+n])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func TestPullResumes(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	data := noise(4, size)
	other := noise(5, size)
	tests := []struct {
		name string
		hook func(w http.ResponseWriter, r *http.Request, data []byte, n int) bool
		ok   bool
		want int // requests for the blob, 0 for any
	}{
		{"nothing goes wrong", nil, true, 1},
		{"two broken connections", func(w http.ResponseWriter, r *http.Request, data []byte, n int) bool {
			if n <= 2 {
				abortAfter(w, r, data, size/4)
			}
			return false
		}, true, 3},
		{"more broken connections than attempts, each with progress", func(w http.ResponseWriter, r *http.Request, data []byte, n int) bool {
			if n <= 20 {
				abortAfter(w, r, data, size/32)
			}
			return false
		}, true, 21},
		{"unavailable first", func(w http.ResponseWriter, _ *http.Request, _ []byte, n int) bool {
			if n <= 3 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return n <= 3
		}, true, 4},
		{"ranges are ignored", func(w http.ResponseWriter, r *http.Request, data []byte, n int) bool {
			if n == 1 {
				abortAfter(w, r, data, size/2)
			}
			_, _ = w.Write(data)
			return true
		}, true, 2},
		{"another range than asked for", func(w http.ResponseWriter, r *http.Request, data []byte, n int) bool {
			switch {
			case n == 1:
				abortAfter(w, r, data, size/2)
			case r.Header.Get("Range") != "":
				w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", size-1, size))
				w.WriteHeader(http.StatusPartialContent)
				_, _ = w.Write(data)
				return true
			}
			return false
		}, true, 3},
		{"a piece without a Content-Range", func(w http.ResponseWriter, r *http.Request, data []byte, n int) bool {
			switch {
			case n == 1:
				abortAfter(w, r, data, size/2)
			case r.Header.Get("Range") != "":
				w.WriteHeader(http.StatusPartialContent)
				_, _ = w.Write(data[size/2:])
				return true
			}
			return false
		}, true, 3},
		{"ranges are refused", func(w http.ResponseWriter, r *http.Request, data []byte, n int) bool {
			switch {
			case n == 1:
				abortAfter(w, r, data, size/2)
			case r.Header.Get("Range") != "":
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
				return true
			}
			return false
		}, true, 3},
		{"the rest is of something else, once", func(w http.ResponseWriter, r *http.Request, data []byte, n int) bool {
			switch n {
			case 1:
				abortAfter(w, r, data, size/2)
			case 2:
				serveRange(w, r, other)
				return true
			}
			return false
		}, true, 3},
		{"a piece though all was asked for", func(w http.ResponseWriter, _ *http.Request, data []byte, _ int) bool {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", size-1, size))
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(data)
			return true
		}, false, 0},
		{"always something else", func(w http.ResponseWriter, r *http.Request, _ []byte, _ int) bool {
			serveRange(w, r, other)
			return true
		}, false, 1},
		{"too much", func(w http.ResponseWriter, _ *http.Request, data []byte, _ int) bool {
			_, _ = w.Write(data)
			_, _ = w.Write(data)
			return true
		}, false, 1},
		{"always too little", func(w http.ResponseWriter, r *http.Request, data []byte, _ int) bool {
			abortAfter(w, r, data, 0)
			return true
		}, false, defaultAttempts},
		{"compressed", func(w http.ResponseWriter, _ *http.Request, data []byte, _ int) bool {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(data)
			return true
		}, false, 1},
		{"not there", func(w http.ResponseWriter, _ *http.Request, _ []byte, _ int) bool {
			w.WriteHeader(http.StatusNotFound)
			return true
		}, false, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			files := map[string][]byte{"a/model.gguf": data}
			s, ref := newBlobServer(t, files)
			s.hook = tt.hook
			c, _ := newClient(t, nil)
			dir := t.TempDir()
			_, err := c.Pull(t.Context(), ref, dir)
			if tt.ok {
				if err != nil {
					t.Fatal(err)
				}
				sameFiles(t, files, readModel(t, dir))
			} else {
				if err == nil {
					t.Fatal("the pull worked")
				}
				if _, err := os.Lstat(filepath.Join(dir, "a", "model.gguf")); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("a file that is not right got its name (%v)", err)
				}
			}
			if tt.want > 0 && len(s.ranges) != tt.want {
				t.Errorf("%d requests, want %d: %q", len(s.ranges), tt.want, s.ranges)
			}
		})
	}
}

func TestPullTakesUpPartFile(t *testing.T) {
	t.Parallel()
	data := noise(4, 100_000)
	tests := []struct {
		name string
		part []byte
		want []string // Range headers
	}{
		{"good", data[:60_000], []string{"bytes=60000-"}},
		{"complete", data, nil},
		{"damaged", noise(6, 60_000), []string{"bytes=60000-", ""}},
		{"too long", noise(6, 200_000), []string{""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			files := map[string][]byte{"m.gguf": data}
			s, ref := newBlobServer(t, files)
			c, _ := newClient(t, nil)
			dir := t.TempDir()
			name := partName(registry.File{Path: "m.gguf", Digest: registry.DigestOf(registry.SHA256, data)})
			if err := os.WriteFile(filepath.Join(dir, name), tt.part, 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Pull(t.Context(), ref, dir); err != nil {
				t.Fatal(err)
			}
			sameFiles(t, files, readModel(t, dir))
			if fmt.Sprint(s.ranges) != fmt.Sprint(tt.want) {
				t.Errorf("ranges were %q, want %q", s.ranges, tt.want)
			}
		})
	}
}

func TestPullStalled(t *testing.T) {
	t.Parallel()
	data := noise(4, 100_000)
	s, ref := newBlobServer(t, map[string][]byte{"m.gguf": data})
	s.hook = func(w http.ResponseWriter, r *http.Request, data []byte, n int) bool {
		if n > 1 {
			return false
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		_, _ = w.Write(data[:1000])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done() // silence until the client goes away
		return true
	}
	c, _ := newClient(t, func(o *Options) { o.Stall = 100 * time.Millisecond })
	dir := t.TempDir()
	if _, err := c.Pull(t.Context(), ref, dir); err != nil {
		t.Fatal(err)
	}
	sameFiles(t, map[string][]byte{"m.gguf": data}, readModel(t, dir))
	if len(s.ranges) != 2 || s.ranges[1] != "bytes=1000-" {
		t.Errorf("ranges were %q", s.ranges)
	}
}

func TestPullStaysInFolder(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"../evil", "/tmp/evil", "a/../../evil", `..\evil`, "a/\x00", "CON", ".git/hooks/post-checkout", "C:/evil"} {
		t.Run(strconv.Quote(name), func(t *testing.T) {
			t.Parallel()
			_, ref := newBlobServer(t, map[string][]byte{name: []byte("evil"), "good": []byte("good")})
			c, _ := newClient(t, nil)
			parent := t.TempDir()
			dir := filepath.Join(parent, "model")
			if _, err := c.Pull(t.Context(), ref, dir); err == nil {
				t.Error("the pull worked")
			}
			if got := readModel(t, parent); len(got) != 0 {
				t.Errorf("files were written: %v", got)
			}
		})
	}
	t.Run("through a link on disk", func(t *testing.T) {
		t.Parallel()
		_, ref := newBlobServer(t, map[string][]byte{"sub/evil": []byte("evil")})
		c, _ := newClient(t, nil)
		outside, dir := t.TempDir(), t.TempDir()
		if err := os.Symlink(outside, filepath.Join(dir, "sub")); err != nil {
			t.Skip("no symbolic links here")
		}
		if _, err := c.Pull(t.Context(), ref, dir); err == nil {
			t.Error("the pull worked")
		}
		if got := readModel(t, outside); len(got) != 0 {
			t.Errorf("files were written outside: %v", got)
		}
	})
	t.Run("over a link on disk", func(t *testing.T) {
		t.Parallel()
		_, ref := newBlobServer(t, map[string][]byte{"m.gguf": []byte("new")})
		c, _ := newClient(t, nil)
		outside, dir := t.TempDir(), t.TempDir()
		victim := filepath.Join(outside, "victim")
		if err := os.WriteFile(victim, []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(victim, filepath.Join(dir, "m.gguf")); err != nil {
			t.Skip("no symbolic links here")
		}
		if _, err := c.Pull(t.Context(), ref, dir); err != nil {
			t.Fatal(err)
		}
		sameFiles(t, map[string][]byte{"victim": []byte("old")}, readModel(t, outside))
		sameFiles(t, map[string][]byte{"m.gguf": []byte("new")}, readModel(t, dir))
	})
	t.Run("over a folder", func(t *testing.T) {
		t.Parallel()
		_, ref := newBlobServer(t, map[string][]byte{"m.gguf": []byte("new")})
		c, _ := newClient(t, nil)
		dir := writeModel(t, map[string][]byte{"m.gguf/file": []byte("x")})
		if _, err := c.Pull(t.Context(), ref, dir); err == nil || !strings.Contains(err.Error(), "in the way") {
			t.Errorf("pull: %v", err)
		}
	})
}

func TestPullWrongManifest(t *testing.T) {
	t.Parallel()
	s, ref := newBlobServer(t, map[string][]byte{"a": []byte("a")})
	c, _ := newClient(t, nil)
	pinned := ref.Pinned(registry.DigestOf(registry.SHA256, []byte("something else")))
	if _, err := c.Pull(t.Context(), pinned, t.TempDir()); !errors.Is(err, ErrDigest) {
		t.Errorf("pull by another digest: %v, want ErrDigest", err)
	}
	s.manifest = []byte(strings.Repeat(" ", maxManifest) + "{}")
	if _, err := c.Pull(t.Context(), ref, t.TempDir()); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("pull of a huge manifest: %v", err)
	}
}

func TestPullCancelled(t *testing.T) {
	t.Parallel()
	data := noise(4, 1<<20)
	s, ref := newBlobServer(t, map[string][]byte{"m.gguf": data})
	c, rec := newClient(t, nil)
	s.hook = func(w http.ResponseWriter, _ *http.Request, _ []byte, _ int) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	stop := errors.New("stopped by the test")
	ctx, cancel := context.WithCancelCause(t.Context())
	c.opts.Sleep = func(_ context.Context, d time.Duration) error {
		cancel(stop)
		return rec.sleep(ctx, d)
	}
	if _, err := c.Pull(ctx, ref, t.TempDir()); err == nil {
		t.Error("the pull worked")
	}
	if n := len(rec.slept()); n != 1 {
		t.Errorf("waited %d times after the context had ended", n)
	}
}

func TestFilesRefuses(t *testing.T) {
	t.Parallel()
	d := registry.MustParseDigest(someDigest)
	named := func(mediaType, name string) Descriptor {
		return Descriptor{MediaType: mediaType, Digest: d, Annotations: map[string]string{registry.AnnotationTitle: name}}
	}
	unpack := named("application/vnd.oci.image.layer.v1.tar", "folder")
	unpack.Annotations["io.deis.oras.content.unpack"] = "true"
	cnai := Descriptor{MediaType: "application/vnd.cnai.model.weight.v1.raw", Digest: d, Annotations: map[string]string{registry.AnnotationCNAIPath: "w.bin"}}
	tests := []struct {
		name   string
		layers []Descriptor
		want   string
	}{
		{"none", nil, "no files"},
		{"raw", []Descriptor{named(registry.ModelPackWeight, "a"), named("application/octet-stream", "b"), cnai}, ""},
		{"plain file of oras", []Descriptor{named("application/vnd.oci.image.layer.v1.tar", "a.bin")}, ""},
		{"folder of oras", []Descriptor{unpack}, "a tar archive"},
		{"tar", []Descriptor{named("application/vnd.cncf.model.weight.v1.tar", "a")}, "a tar archive"},
		{"compressed tar", []Descriptor{named("application/vnd.cncf.model.weight.v1.tar+gzip", "a")}, "a tar archive compressed by gzip"},
		{"compressed", []Descriptor{named("application/vnd.kitops.modelkit.model.v1.raw+zstd", "a")}, "compressed by zstd"},
		{"docker layer", []Descriptor{named("application/vnd.docker.image.rootfs.diff.tar.gzip", "a")}, "a tar archive compressed by gzip"},
		{"named by its type", []Descriptor{{MediaType: "application/vnd.ollama.image.model", Digest: d}}, ""},
		{"without a name", []Descriptor{{MediaType: "application/octet-stream", Digest: d}}, "no file name"},
		{"name of Windows", []Descriptor{named(registry.ModelPackDoc, "aux.md")}, "a device name"},
		{"outside", []Descriptor{named(registry.ModelPackDoc, "../a")}, ". or .. as a component"},
		{"same name", []Descriptor{named(registry.ModelPackDoc, "a"), named(registry.ModelPackDoc, "A")}, "ignore case"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := (&Artifact{Layers: tt.layers}).Files()
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("Files: %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("Files: %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestParseManifestRefuses(t *testing.T) {
	t.Parallel()
	good := `{"schemaVersion":2,"mediaType":"` + registry.MediaTypeOCIManifest + `","config":{"mediaType":"x","digest":"` + someDigest + `","size":0},"layers":[]}`
	if _, err := parseManifest([]byte(good), registry.MediaTypeOCIManifest); err != nil {
		t.Fatal(err)
	}
	if _, err := parseManifest([]byte(strings.Replace(good, `"mediaType":"`+registry.MediaTypeOCIManifest+`",`, "", 1)), registry.MediaTypeOCIManifest); err != nil {
		t.Errorf("a manifest without its media type, as KitOps writes it: %v", err)
	}
	index := `{"schemaVersion":2,"mediaType":"` + registry.MediaTypeOCIIndex + `","manifests":[{},{}]}`
	if _, err := parseManifest([]byte(index), registry.MediaTypeOCIIndex); !errors.Is(err, ErrIndex) {
		t.Errorf("an index: %v, want ErrIndex", err)
	}
	for _, tt := range []struct{ body, served string }{
		{"", registry.MediaTypeOCIManifest},
		{"[]", registry.MediaTypeOCIManifest},
		{"<html>", "text/html"},
		{"{}", ""},
		{good, registry.MediaTypeOCIIndex},
		{strings.Replace(good, `"schemaVersion":2`, `"schemaVersion":1`, 1), registry.MediaTypeOCIManifest},
		{strings.Replace(good, `"size":0`, `"size":-1`, 1), registry.MediaTypeOCIManifest},
		{strings.Replace(good, `"size":0`, `"size":1e99`, 1), registry.MediaTypeOCIManifest},
		{strings.Replace(good, someDigest, "sha256:../../etc/passwd", 1), registry.MediaTypeOCIManifest},
		{strings.Replace(good, someDigest, "", 1), registry.MediaTypeOCIManifest},
		{strings.Replace(good, `"layers":[]`, `"layers":[`+strings.Repeat(`{},`, maxLayers)+`{}]`, 1), registry.MediaTypeOCIManifest},
		{strings.Replace(good, `"layers":[]`, `"layers":[],"manifests":[{}]`, 1), registry.MediaTypeOCIManifest},
	} {
		if _, err := parseManifest([]byte(tt.body), tt.served); err == nil {
			t.Errorf("parseManifest(%.80q, %q) = nil, want an error", tt.body, tt.served)
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	for _, name := range []string{"tiny-llama.manifest.json", "tiny-llama.config.json"} {
		p, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p)
	}
	f.Add([]byte(`{"schemaVersion":2,"config":{"digest":"` + someDigest + `","size":9223372036854775807},"layers":[{"digest":"` + someDigest + `","size":9223372036854775807},{"digest":"` + someDigest + `","size":9}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		_, _ = parseClaims(body) // must not panic
		a, err := parseManifest(body, registry.MediaTypeOCIManifest)
		if err != nil {
			return
		}
		if a.Size() < 0 || a.Config.Digest.IsZero() {
			t.Errorf("size %d, config %v", a.Size(), a.Config)
		}
		files, err := a.Files()
		if err != nil {
			return
		}
		for _, file := range files {
			if err := CheckPortable(file.Path); err != nil {
				t.Error(err)
			}
			if !filepath.IsLocal(filepath.FromSlash(partName(file))) {
				t.Errorf("part file %q leaves the folder", partName(file))
			}
		}
	})
}
