package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"testing"

	"github.com/carat-hub/carat/internal/pgtest"
	"github.com/carat-hub/carat/internal/s3test"
	"github.com/carat-hub/carat/registry"
)

// TestLostS3 stops the S3 server in the middle of a push and of a pull, and
// goes on with both when it is back.
func TestLostS3(t *testing.T) {
	t.Parallel()
	s := s3test.NewServer(t)
	h, url := startHub(t, serveConfig{Blobs: s.URL("hub")}, s3keys(s))
	p := newPeer(t, url, "faults/lost-s3")
	var kept ledger
	large := content("large", 64<<20) // more than what is on its way in buffers
	kept.push(t, p, "v1", large)
	kept.push(t, p, "v2", content("small", 100_000))
	want := booksOf(t, h)

	whole := content("pushed", 2<<20)
	upload := p.session(t)
	p.want(t, http.StatusAccepted, "", http.MethodPatch, upload, whole[:1<<20])
	finish := p.slowly(t, 0, http.MethodPatch, upload, whole[1<<20:])
	pull, err := http.Get(url + "/v2/" + p.repo + "/blobs/" + digestOf(large))
	if err != nil {
		t.Fatal(err)
	}
	defer pull.Body.Close()
	pulled := make([]byte, 1<<20)
	if _, err := io.ReadFull(pull.Body, pulled); err != nil {
		t.Fatal(err)
	}

	s.Kill(t)
	got, err := finish()
	if err != nil {
		t.Fatal(err)
	}
	got.wants(t, "the chunk in flight", http.StatusServiceUnavailable, registry.CodeUnavailable)
	rest, err := io.ReadAll(pull.Body)
	pulled = append(pulled, rest...)
	// A whole answer that is too short would be taken for the blob.
	if err == nil || len(pulled) >= len(large) || !bytes.Equal(pulled, large[:len(pulled)]) {
		t.Fatalf("the pull in flight ended after %d of %d bytes: %v", len(pulled), len(large), err)
	}
	p.want(t, http.StatusServiceUnavailable, registry.CodeUnavailable, http.MethodGet, "blobs/"+digestOf(large), nil)
	p.want(t, http.StatusServiceUnavailable, registry.CodeUnavailable, http.MethodPost, "blobs/uploads/?digest="+digestOf(whole), whole)
	p.want(t, http.StatusServiceUnavailable, registry.CodeUnavailable, http.MethodPut, upload+"?digest="+digestOf(whole), whole[1<<20:])
	p.ready(t, http.StatusServiceUnavailable, "blobs", "unavailable")
	p.want(t, http.StatusOK, "", http.MethodGet, "manifests/v1", nil) // needs no S3

	s.Start(t)
	p.ready(t, http.StatusOK, "blobs", "ok")
	resumed := p.want(t, http.StatusPartialContent, "", http.MethodGet, "blobs/"+digestOf(large), nil, "Range", "bytes="+strconv.Itoa(len(pulled))+"-")
	if !bytes.Equal(append(pulled, resumed.body...), large) {
		t.Error("the resumed pull has other bytes")
	}
	if at := p.want(t, http.StatusNoContent, "", http.MethodGet, upload, nil).header.Get("Range"); at != "0-1048575" {
		t.Fatalf("the upload stands at %s", at)
	}
	p.want(t, http.StatusCreated, "", http.MethodPut, upload+"?digest="+digestOf(whole), whole[1<<20:])
	kept.blobs[digestOf(whole)] = whole
	kept.check(t, p)
	want.Blobs, want.Links = want.Blobs+1, want.Links+1
	if got := booksOf(t, h); got != want {
		t.Errorf("the books are %+v, want %+v", got, want)
	}
	wantSound(t, h, s.ObjectFile("hub"))
}

// TestLostPostgres kills the database in the middle of a first and a later
// chunk, of the last and the only request of an upload, and between requests.
func TestLostPostgres(t *testing.T) {
	t.Parallel()
	db := pgtest.NewServer(t)
	h, url := startHub(t, serveConfig{DatabaseURL: db.Database(t)}, nil)
	p := newPeer(t, url, "faults/lost-postgres")
	var kept ledger
	kept.push(t, p, "v1", content("kept", 300_000))

	pushes := []struct {
		method      string
		acked       int // bytes before the request
		whole       []byte
		upload, put string // paths
		finish      func() (reply, error)
	}{
		{method: http.MethodPatch, acked: 0},
		{method: http.MethodPatch, acked: 1 << 20},
		{method: http.MethodPut, acked: 0},
		{method: http.MethodPut, acked: 1 << 20},
	}
	for i := range pushes {
		x := &pushes[i]
		x.whole = content(fmt.Sprint("pushed ", i), 2<<20)
		x.upload = p.session(t)
		x.put = x.upload + "?digest=" + digestOf(x.whole)
		if x.acked > 0 {
			p.want(t, http.StatusAccepted, "", http.MethodPatch, x.upload, x.whole[:x.acked])
		}
	}
	for i := range pushes {
		x := &pushes[i]
		path := x.upload
		if x.method == http.MethodPut {
			path = x.put
		}
		x.finish = p.slowly(t, i, x.method, path, x.whole[x.acked:])
	}
	db.Kill(t)
	for _, x := range pushes {
		got, err := x.finish()
		if err != nil {
			t.Fatal(err)
		}
		got.wants(t, x.method+" in flight", http.StatusServiceUnavailable, registry.CodeUnavailable)
	}
	for _, request := range [][2]string{
		{http.MethodGet, "blobs/" + digestOf(imageOf(nil))},
		{http.MethodGet, "manifests/v1"},
		{http.MethodPost, "blobs/uploads/"},
		{http.MethodPost, "blobs/uploads/?digest=" + digestOf(imageOf(nil))},
		{http.MethodPut, pushes[0].put},
		{http.MethodPut, "manifests/v2"},
		{http.MethodGet, "/v2/_catalog"},
		{http.MethodGet, "/api/v1/models"},
	} {
		p.want(t, http.StatusServiceUnavailable, registry.CodeUnavailable, request[0], request[1], imageOf(nil))
	}
	p.ready(t, http.StatusServiceUnavailable, "database", "unavailable")

	db.Start(t)
	p.ready(t, http.StatusOK, "database", "ok")
	kept.check(t, p)
	for _, x := range pushes {
		stands := fmt.Sprintf("0-%d", max(x.acked-1, 0))
		if at := p.want(t, http.StatusNoContent, "", http.MethodGet, x.upload, nil).header.Get("Range"); at != stands {
			t.Errorf("%s: the upload stands at %s, want %s", x.method, at, stands)
		}
		// The request that lost the database may hold the upload for a moment.
		eventually(t, "the upload is finished", func() bool {
			got, err := p.do(t.Context(), http.MethodPut, x.put, bytes.NewReader(x.whole[x.acked:]))
			if err == nil && got.status != http.StatusTooManyRequests {
				got.wants(t, fmt.Sprintf("finish after a lost %s at %d", x.method, x.acked), http.StatusCreated, "")
			}
			return err == nil && got.status == http.StatusCreated
		})
		kept.blobs[digestOf(x.whole)] = x.whole
	}
	kept.push(t, p, "v2", content("afterwards", 1000))
	kept.check(t, p)
	if got, want := booksOf(t, h), (books{Blobs: 7, Links: 7, Manifests: 2, Tags: 2}); got != want {
		t.Errorf("the books are %+v, want %+v", got, want)
	}
	wantSound(t, h, h.config.Blobs)
}
