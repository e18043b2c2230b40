package storagetest

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"testing"
	"time"

	"github.com/carat-hub/carat/storage"
)

func testFiler(t *testing.T, s storage.Store) {
	filer, ok := s.(storage.Filer)
	if !ok {
		t.Skip("the store has no files")
	}
	want := random(t, 20, 12_345)
	key := put(t, s, want)
	f, err := filer.File(t.Context(), key)
	if err != nil {
		t.Fatalf("File: %v", err)
	}
	got := make([]byte, 100)
	if _, err := f.ReadAt(got, 1000); err != nil {
		t.Fatalf("ReadAt: %v", err)
	}
	wantBytes(t, "bytes at 1000", got, want[1000:1100])
	// Readers that are under way survive a deletion.
	if err := s.Delete(t.Context(), key); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	all, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatalf("read after Delete: %v", err)
	}
	wantBytes(t, "file after Delete", all, want)
}

func redirector(t *testing.T, s storage.Store) storage.Redirector {
	t.Helper()
	r, ok := s.(storage.Redirector)
	if !ok {
		t.Skip("the store hands out no URLs")
	}
	return r
}

// fetch asks without any header but Range, as a redirected client does.
func fetch(t *testing.T, method, url, byteRange string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatalf("request: %v", err)
	}
	if byteRange != "" {
		req.Header.Set("Range", byteRange)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	body, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		t.Fatalf("%s: read body: %v", method, err)
	}
	return res, body
}

func testRedirectGet(t *testing.T, s storage.Store) {
	r := redirector(t, s)
	want := random(t, 21, 9*mib)
	key := put(t, s, want)
	url, err := r.RedirectURL(t.Context(), key, storage.Redirect{
		Method:      http.MethodGet,
		ContentType: "application/x-weights",
		Filename:    `modèle "q8".gguf`,
		Expires:     time.Hour,
	})
	if err != nil {
		t.Fatalf("RedirectURL: %v", err)
	}
	res, body := fetch(t, http.MethodGet, url, "")
	if res.StatusCode != http.StatusOK {
		t.Fatalf("GET: status %d: %.300s", res.StatusCode, body)
	}
	wantBytes(t, "body", body, want)
	if got := res.Header.Get("Content-Type"); got != "application/x-weights" {
		t.Errorf("Content-Type = %q", got)
	}
	disposition, params, err := mime.ParseMediaType(res.Header.Get("Content-Disposition"))
	if disposition != "attachment" || params["filename"] != `modèle "q8".gguf` || err != nil {
		t.Errorf("Content-Disposition = %q, %v (%v)", disposition, params, err)
	}
	for _, tc := range []struct {
		byteRange  string
		start, end int
	}{
		{"bytes=0-0", 0, 1},
		{"bytes=1000-5000000", 1000, 5_000_001},
		{"bytes=9437000-", 9_437_000, 9 * mib},
	} {
		res, body := fetch(t, http.MethodGet, url, tc.byteRange)
		if res.StatusCode != http.StatusPartialContent {
			t.Fatalf("GET with %s: status %d: %.300s", tc.byteRange, res.StatusCode, body)
		}
		wantBytes(t, tc.byteRange, body, want[tc.start:tc.end])
	}
}

func testRedirectHead(t *testing.T, s storage.Store) {
	r := redirector(t, s)
	key := put(t, s, []byte("nine bytes"))
	url, err := r.RedirectURL(t.Context(), key, storage.Redirect{Method: http.MethodHead, Expires: 7 * 24 * time.Hour})
	if err != nil {
		t.Fatalf("RedirectURL: %v", err)
	}
	res, _ := fetch(t, http.MethodHead, url, "")
	if res.StatusCode != http.StatusOK || res.ContentLength != int64(len("nine bytes")) {
		t.Fatalf("HEAD: status %d, length %d", res.StatusCode, res.ContentLength)
	}
	if res, _ := fetch(t, http.MethodGet, url, ""); res.StatusCode == http.StatusOK {
		t.Errorf("a URL for HEAD answers GET")
	}
}

func testRedirectRefusals(t *testing.T, s storage.Store) {
	r := redirector(t, s)
	key := put(t, s, []byte("x"))
	for name, bad := range map[string]struct {
		key storage.Key
		r   storage.Redirect
	}{
		"method":   {key, storage.Redirect{Method: http.MethodPut, Expires: time.Hour}},
		"no time":  {key, storage.Redirect{Method: http.MethodGet}},
		"too long": {key, storage.Redirect{Method: http.MethodGet, Expires: 8 * 24 * time.Hour}},
		"bad key":  {"objects/../x", storage.Redirect{Method: http.MethodGet, Expires: time.Hour}},
	} {
		if url, err := r.RedirectURL(t.Context(), bad.key, bad.r); err == nil {
			t.Errorf("%s: got %s", name, url)
		}
	}
	if err := s.Delete(t.Context(), key); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	url, err := r.RedirectURL(t.Context(), key, storage.Redirect{Method: http.MethodGet, Expires: time.Hour})
	if err != nil {
		t.Fatalf("RedirectURL: %v", err)
	}
	if res, _ := fetch(t, http.MethodGet, url, ""); res.StatusCode != http.StatusNotFound {
		t.Errorf("GET of a deleted object: status %d", res.StatusCode)
	}
}
