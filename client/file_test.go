package client

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/carat-hub/carat/registry"
)

// remoteFile opens the one file of a range server.
func remoteFile(t *testing.T, c *Client, ref Reference) io.ReaderAt {
	t.Helper()
	a, err := c.Artifact(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	files, err := a.Files()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Path == "model.safetensors" {
			return c.File(t.Context(), a, f)
		}
	}
	t.Fatalf("files %v", files)
	return nil
}

func TestFileReadsRanges(t *testing.T) {
	t.Parallel()
	data := noise(1, 5*aBlock+1234)
	s, ref := newRangeServer(t, map[string][]byte{"model.safetensors": data}, data)
	c, _ := newClient(t, nil)
	f := remoteFile(t, c, ref)
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		off := r.IntN(len(data))
		p := make([]byte, r.IntN(aBlock))
		n, err := f.ReadAt(p, int64(off))
		if want := data[off:min(len(data), off+len(p))]; !bytes.Equal(p[:n], want) || (n < len(p)) != errors.Is(err, io.EOF) || n == len(p) && err != nil {
			t.Fatalf("%d bytes at %d: %d, %v", len(p), off, n, err)
		}
	}
	if ranges, _ := s.seen(); len(ranges) != 6 {
		t.Errorf("asked for %v", ranges)
	}
	if _, err := f.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("a negative offset is read")
	}
	if n, err := f.ReadAt(make([]byte, 1), int64(len(data))); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %d, %v", n, err)
	}
}

func TestFileOfABadServer(t *testing.T) {
	t.Parallel()
	data := noise(2, 2*aBlock)
	whole := func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		_, _ = w.Write(data)
		return true
	}
	for name, c := range map[string]struct {
		hook func(w http.ResponseWriter, r *http.Request, n int) bool
		err  error
	}{
		"no ranges": {whole, nil},
		"breaks once": {func(w http.ResponseWriter, r *http.Request, n int) bool {
			if n == 1 {
				abortAfter(w, r, data, 100)
			}
			return n == 1
		}, nil},
		"other range": {func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			w.Header().Set("Content-Range", "bytes 1-2/3")
			w.WriteHeader(http.StatusPartialContent)
			return true
		}, errNoRanges},
		"refuses": {func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			w.WriteHeader(http.StatusForbidden)
			return true
		}, &ResponseError{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, ref := newRangeServer(t, map[string][]byte{"model.safetensors": data}, data)
			s.hook = c.hook
			client, _ := newClient(t, nil)
			p := make([]byte, 1000)
			_, err := remoteFile(t, client, ref).ReadAt(p, aBlock-500)
			var answer *ResponseError
			switch {
			case c.err == nil && (err != nil || !bytes.Equal(p, data[aBlock-500:aBlock+500])):
				t.Errorf("read %v", err)
			case errors.Is(c.err, errNoRanges) && !errors.Is(err, errNoRanges):
				t.Errorf("got %v", err)
			case c.err != nil && !errors.Is(c.err, errNoRanges) && !errors.As(err, &answer):
				t.Errorf("got %v", err)
			}
		})
	}
	// What would be thrown away of a large file is too much.
	s, ref := newRangeServer(t, map[string][]byte{"model.safetensors": data}, data)
	s.hook = whole
	client, _ := newClient(t, nil)
	a, err := client.Artifact(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	large := registry.File{Path: "x", Size: 4 * maxSkip, Digest: a.Layers[0].Digest}
	if _, err := client.File(t.Context(), a, large).ReadAt(make([]byte, 1), 2*maxSkip); !errors.Is(err, errNoRanges) || !strings.Contains(err.Error(), "pieces") {
		t.Errorf("got %v", err)
	}
}

// aBlock is how much is fetched at once (package blockreader).
const aBlock = 256 << 10
