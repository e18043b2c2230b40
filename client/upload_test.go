package client

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carat-hub/carat/registry"
)

// chunkServer is a registry of one blob at a time that takes uploads as the
// specification has it, with hooks to go wrong.
type chunkServer struct {
	t     *testing.T
	mu    sync.Mutex
	data  []byte
	blobs map[string][]byte
	log   []string
	ids   int

	minChunk   int64
	maxRequest int64                                                          // body of a PATCH or PUT, 0 for any
	hook       func(w http.ResponseWriter, r *http.Request, what string) bool // true: answered
	patches    int
}

func newChunkServer(t *testing.T) *chunkServer {
	t.Helper()
	return &chunkServer{t: t, blobs: make(map[string][]byte)}
}

func (s *chunkServer) start(t *testing.T) string {
	t.Helper()
	return newRegistry(t, func(http.Handler) http.Handler { return s })
}

func (s *chunkServer) requests(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, l := range s.log {
		if l == what {
			n++
		}
	}
	return n
}

func (s *chunkServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	upload := strings.Contains(r.URL.Path, "/blobs/uploads/")
	what := r.Method
	if !upload {
		what += " blob"
		if strings.Contains(r.URL.Path, "/manifests/") {
			what = r.Method + " manifest"
		}
	}
	s.log = append(s.log, what)
	if s.hook != nil && s.hook(w, r, what) {
		return
	}
	location := fmt.Sprintf("/v2/demo/m/blobs/uploads/%d?state=%d", s.ids, len(s.data))
	current := strings.HasSuffix(r.URL.Path, fmt.Sprintf("/uploads/%d", s.ids))
	switch what {
	case "HEAD blob":
		if _, ok := s.blobs[r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]]; !ok {
			w.WriteHeader(http.StatusNotFound)
		}
	case "POST":
		s.ids++
		s.data = nil
		if s.minChunk > 0 {
			w.Header().Set("OCI-Chunk-Min-Length", strconv.FormatInt(s.minChunk, 10))
		}
		w.Header().Set("Location", fmt.Sprintf("/v2/demo/m/blobs/uploads/%d", s.ids))
		w.WriteHeader(http.StatusAccepted)
	case "GET":
		if !current {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Location", location)
		w.Header().Set("Range", fmt.Sprintf("0-%d", len(s.data)-1))
		w.WriteHeader(http.StatusNoContent)
	case "PATCH", "PUT":
		if !current {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		if s.maxRequest > 0 && r.ContentLength > s.maxRequest {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		if span := r.Header.Get("Content-Range"); span != "" {
			if from, _, _ := strings.Cut(span, "-"); from != strconv.Itoa(len(s.data)) {
				w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
				return
			}
		}
		p, err := io.ReadAll(r.Body)
		s.data = append(s.data, p...) // what came before the connection broke stays
		if err != nil {
			return
		}
		if what == "PATCH" {
			s.patches++
			w.Header().Set("Location", fmt.Sprintf("/v2/demo/m/blobs/uploads/%d?state=%d", s.ids, len(s.data)))
			w.Header().Set("Range", fmt.Sprintf("0-%d", len(s.data)-1))
			w.WriteHeader(http.StatusAccepted)
			return
		}
		want := r.URL.Query().Get("digest")
		if got := registry.DigestOf(registry.SHA256, s.data).String(); got != want {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"errors":[{"code":"DIGEST_INVALID","message":"it is %s"}]}`, got)
			return
		}
		s.blobs[want] = s.data
		w.WriteHeader(http.StatusCreated)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

// cut ends the connection without an answer.
func cut(w http.ResponseWriter) {
	panic(http.ErrAbortHandler)
}

const testChunk = 64 << 10

// pushOne pushes one blob of n bytes to a chunkServer and checks what arrived.
func pushOne(t *testing.T, s *chunkServer, n int, change func(*Options)) (*recorder, error) {
	t.Helper()
	host := s.start(t)
	c, rec := newClient(t, func(o *Options) {
		o.ChunkSize = testChunk
		if change != nil {
			change(o)
		}
	})
	data := noise(9, n)
	d := Descriptor{Digest: registry.DigestOf(registry.SHA256, data), Size: int64(n)}
	r := c.remote(host)
	uploaded, err := r.pushBlob(t.Context(), "demo/m", d, strings.NewReader(string(data)), func() error { return nil }, c.track(Event{Action: Uploading, Size: int64(n)}))
	if err == nil {
		if !uploaded {
			t.Error("the blob was not uploaded")
		}
		if got := string(s.blobs[d.Digest.String()]); got != string(data) {
			t.Errorf("the registry has %d bytes, want the %d pushed", len(got), n)
		}
	}
	return rec, err
}

func TestUploadChunks(t *testing.T) {
	t.Parallel()
	s := newChunkServer(t)
	if _, err := pushOne(t, s, 3*testChunk+5, nil); err != nil {
		t.Fatal(err)
	}
	if s.patches != 4 || s.requests("POST") != 1 || s.requests("PUT") != 1 || s.requests("GET") != 0 {
		t.Errorf("requests were %v", s.log)
	}
}

func TestUploadHonoursMinimum(t *testing.T) {
	t.Parallel()
	s := newChunkServer(t)
	s.minChunk = 3 * testChunk
	if _, err := pushOne(t, s, 4*testChunk, nil); err != nil {
		t.Fatal(err)
	}
	if s.patches != 2 {
		t.Errorf("%d chunks were sent, want 2: %v", s.patches, s.log)
	}
}

func TestUploadResumesAfterBrokenChunk(t *testing.T) {
	t.Parallel()
	s := newChunkServer(t)
	var broken atomic.Int32
	s.hook = func(w http.ResponseWriter, r *http.Request, what string) bool {
		if what == "PATCH" && len(s.data) == testChunk && broken.Add(1) <= 2 {
			// 1000 bytes of the second chunk arrive, then the connection breaks.
			p := make([]byte, 1000)
			if _, err := io.ReadFull(r.Body, p); err != nil {
				s.t.Error(err)
			}
			s.data = append(s.data, p...)
			cut(w)
		}
		return false
	}
	rec, err := pushOne(t, s, 3*testChunk, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.requests("POST") != 1 {
		t.Errorf("the upload was begun %d times, want once: %v", s.requests("POST"), s.log)
	}
	if s.requests("GET") == 0 || rec.count(Retrying) == 0 {
		t.Errorf("the registry was never asked for the offset: %v", s.log)
	}
}

func TestUploadResumesAfterLostAnswer(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"PATCH", "PUT"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newChunkServer(t)
			done := false
			s.hook = func(w http.ResponseWriter, r *http.Request, now string) bool {
				if now != what || done {
					return false
				}
				done = true
				p, err := io.ReadAll(r.Body)
				if err != nil {
					s.t.Error(err)
				}
				s.data = append(s.data, p...)
				if what == "PUT" {
					s.blobs[r.URL.Query().Get("digest")] = s.data
					s.ids++ // the upload is over
				}
				cut(w)
				return true
			}
			if _, err := pushOne(t, s, 2*testChunk, nil); err != nil {
				t.Fatal(err)
			}
			if s.requests("POST") != 1 {
				t.Errorf("the upload was begun %d times, want once: %v", s.requests("POST"), s.log)
			}
		})
	}
}

func TestUploadBeginsAnewWhenForgotten(t *testing.T) {
	t.Parallel()
	s := newChunkServer(t)
	done := false
	s.hook = func(_ http.ResponseWriter, _ *http.Request, what string) bool {
		if what == "PATCH" && len(s.data) > testChunk && !done {
			done = true
			s.ids++ // whatever comes now is about an upload that is not there
		}
		return false
	}
	if _, err := pushOne(t, s, 4*testChunk, nil); err != nil {
		t.Fatal(err)
	}
	if s.requests("POST") != 2 {
		t.Errorf("the upload was begun %d times, want twice: %v", s.requests("POST"), s.log)
	}
}

func TestUploadFallsBackToOneRequest(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusMethodNotAllowed, http.StatusNotImplemented, http.StatusBadRequest} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			s := newChunkServer(t)
			s.hook = func(w http.ResponseWriter, _ *http.Request, what string) bool {
				if what == "PATCH" {
					w.WriteHeader(status)
				}
				return what == "PATCH"
			}
			if _, err := pushOne(t, s, 2*testChunk, nil); err != nil {
				t.Fatal(err)
			}
			if s.requests("PATCH") != 1 || s.requests("PUT") != 1 {
				t.Errorf("requests were %v", s.log)
			}
		})
	}
}

func TestUploadWaitsAsAsked(t *testing.T) {
	t.Parallel()
	s := newChunkServer(t)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	after := []string{"7", now.Add(9 * time.Second).Format(http.TimeFormat), ""}
	s.hook = func(w http.ResponseWriter, _ *http.Request, what string) bool {
		if what != "PUT" || len(after) == 0 {
			return false
		}
		status := http.StatusTooManyRequests
		if after[0] == "" {
			status = http.StatusBadGateway
		} else {
			w.Header().Set("Retry-After", after[0])
		}
		after = after[1:]
		w.WriteHeader(status)
		return true
	}
	rec, err := pushOne(t, s, 1000, func(o *Options) { o.Now = func() time.Time { return now } })
	if err != nil {
		t.Fatal(err)
	}
	waits := rec.slept()
	if len(waits) != 3 || waits[0] != 7*time.Second || waits[1] != 9*time.Second || waits[2] <= 0 || waits[2] > 2*time.Second {
		t.Errorf("waits were %v, want 7s, 9s and at most 2s", waits)
	}
}

func TestUploadGivesUp(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		hook func(s *chunkServer) func(w http.ResponseWriter, r *http.Request, what string) bool
		want string
	}{
		{"always unavailable", func(*chunkServer) func(http.ResponseWriter, *http.Request, string) bool {
			return func(w http.ResponseWriter, _ *http.Request, what string) bool {
				if what == "POST" {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
				return what == "POST"
			}
		}, "503"},
		{"forgets what it took", func(s *chunkServer) func(http.ResponseWriter, *http.Request, string) bool {
			return func(w http.ResponseWriter, _ *http.Request, what string) bool {
				if what == "PATCH" && len(s.data) > 0 {
					s.data = nil
					w.WriteHeader(http.StatusInternalServerError)
					return true
				}
				return false
			}
		}, "500"},
		{"forgets the upload again and again", func(s *chunkServer) func(http.ResponseWriter, *http.Request, string) bool {
			return func(w http.ResponseWriter, _ *http.Request, what string) bool {
				if what == "PATCH" && len(s.data) > 0 {
					w.WriteHeader(http.StatusNotFound)
					return true
				}
				return false
			}
		}, "404"},
		{"asks to wait for an hour", func(*chunkServer) func(http.ResponseWriter, *http.Request, string) bool {
			return func(w http.ResponseWriter, _ *http.Request, what string) bool {
				if what == "POST" {
					w.Header().Set("Retry-After", "3600")
					w.WriteHeader(http.StatusTooManyRequests)
				}
				return what == "POST"
			}
		}, "429"},
		{"claims more than was sent", func(*chunkServer) func(http.ResponseWriter, *http.Request, string) bool {
			return func(w http.ResponseWriter, _ *http.Request, what string) bool {
				if what == "PATCH" {
					w.Header().Set("Range", "0-99999999")
					w.WriteHeader(http.StatusAccepted)
				}
				return what == "PATCH"
			}
		}, "range"},
		{"denies", func(*chunkServer) func(http.ResponseWriter, *http.Request, string) bool {
			return func(w http.ResponseWriter, _ *http.Request, what string) bool {
				if what == "POST" {
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(http.StatusForbidden)
					fmt.Fprint(w, `{"errors":[{"code":"DENIED","message":"no \u001b[31mway"}]}`)
				}
				return what == "POST"
			}
		}, "DENIED"},
		{"gives no Location", func(*chunkServer) func(http.ResponseWriter, *http.Request, string) bool {
			return func(w http.ResponseWriter, _ *http.Request, what string) bool {
				if what == "POST" {
					w.WriteHeader(http.StatusAccepted)
				}
				return what == "POST"
			}
		}, "no Location"},
		{"gives a Location that is none", func(*chunkServer) func(http.ResponseWriter, *http.Request, string) bool {
			return func(w http.ResponseWriter, _ *http.Request, what string) bool {
				if what == "POST" {
					w.Header().Set("Location", "file:///etc/passwd")
					w.WriteHeader(http.StatusAccepted)
				}
				return what == "POST"
			}
		}, "invalid Location"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newChunkServer(t)
			s.hook = tt.hook(s)
			rec, err := pushOne(t, s, 3*testChunk, nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\x1b") {
				t.Errorf("push: %v, want an error with %q", err, tt.want)
			}
			if n := len(rec.slept()); n > 12 {
				t.Errorf("waited %d times before it gave up", n)
			}
		})
	}
}

func TestPushNoticesChange(t *testing.T) {
	t.Parallel()
	dir := writeModel(t, smallModel())
	c, _ := newClient(t, nil)
	p := pack(t, c, dir)
	if err := os.WriteFile(filepath.Join(dir, "onnx", "model.onnx"), noise(3, 5000), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Join(dir, "onnx", "model.onnx"), time.Unix(5, 0), time.Unix(5, 0)); err != nil {
		t.Fatal(err)
	}
	host := newRegistry(t, nil)
	ref := parseRef(t, host+"/demo/m:v1")
	if _, err := c.Push(t.Context(), p, ref); !errors.Is(err, ErrChanged) {
		t.Errorf("push of a changed file: %v, want ErrChanged", err)
	}
	if _, err := c.Artifact(t.Context(), ref); !registry.IsCode(err, registry.CodeManifestUnknown) && !registry.IsCode(err, registry.CodeNameUnknown) {
		t.Errorf("after a failed push the manifest is there: %v", err)
	}
}

func TestUploadedTo(t *testing.T) {
	t.Parallel()
	for v, want := range map[string]int64{"": 0, "0-0": 0, "0--1": 0, "0-1": 2, "bytes=0-99": 100, "0-9223372036854775806": 9223372036854775807} {
		if got, ok := uploadedTo(http.Header{"Range": {v}}); !ok || got != want {
			t.Errorf("uploadedTo(%q) = %d, %v, want %d", v, got, ok, want)
		}
	}
	for _, v := range []string{"5-9", "x", "0-", "0-x", "0--2", "0-9223372036854775807", "0-99999999999999999999"} {
		if got, ok := uploadedTo(http.Header{"Range": {v}}); ok {
			t.Errorf("uploadedTo(%q) = %d, want it refused", v, got)
		}
	}
}
