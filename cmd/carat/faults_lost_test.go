package main

import (
	"bytes"
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
	finish := p.slowly(t, http.MethodPatch, upload, whole[1<<20:])
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

// TestLostPostgres kills the database in the middle of pushes: of a chunk, of
// the last request of an upload, and between requests.
func TestLostPostgres(t *testing.T) {
	t.Parallel()
	db := pgtest.NewServer(t)
	h, url := startHub(t, serveConfig{DatabaseURL: db.Database(t)}, nil)
	p := newPeer(t, url, "faults/lost-postgres")
	var kept ledger
	kept.push(t, p, "v1", content("kept", 300_000))

	whole := content("pushed", 2<<20)
	d := digestOf(whole)
	for _, method := range []string{http.MethodPatch, http.MethodPut} {
		upload := p.session(t)
		p.want(t, http.StatusAccepted, "", http.MethodPatch, upload, whole[:1<<20])
		finish := p.slowly(t, method, upload+"?digest="+d, whole[1<<20:])
		db.Kill(t)
		got, err := finish()
		if err != nil {
			t.Fatal(err)
		}
		got.wants(t, method+" in flight", http.StatusServiceUnavailable, registry.CodeUnavailable)
		for _, request := range [][2]string{
			{http.MethodGet, "blobs/" + d},
			{http.MethodGet, "manifests/v1"},
			{http.MethodPost, "blobs/uploads/"},
			{http.MethodPut, upload + "?digest=" + d},
			{http.MethodPut, "manifests/v2"},
			{http.MethodGet, "/v2/_catalog"},
			{http.MethodGet, "/api/v1/models"},
		} {
			p.want(t, http.StatusServiceUnavailable, registry.CodeUnavailable, request[0], request[1], imageOf(whole))
		}
		p.ready(t, http.StatusServiceUnavailable, "database", "unavailable")

		db.Start(t)
		p.ready(t, http.StatusOK, "database", "ok")
		kept.check(t, p)
		if at := p.want(t, http.StatusNoContent, "", http.MethodGet, upload, nil).header.Get("Range"); at != "0-1048575" {
			t.Fatalf("the upload stands at %s", at)
		}
		// The request that lost the database may hold the upload for a moment.
		eventually(t, "the upload is finished", func() bool {
			got, err := p.do(t.Context(), http.MethodPut, upload+"?digest="+d, bytes.NewReader(whole[1<<20:]), "Content-Range", "1048576-2097151")
			if err == nil && got.status != http.StatusTooManyRequests {
				got.wants(t, "finish", http.StatusCreated, "")
			}
			return err == nil && got.status == http.StatusCreated
		})
		kept.blobs[d] = whole
	}
	kept.push(t, p, "v2", content("afterwards", 1000))
	kept.check(t, p)
	if got, want := booksOf(t, h), (books{Blobs: 4, Links: 4, Manifests: 2, Tags: 2}); got != want {
		t.Errorf("the books are %+v, want %+v", got, want)
	}
	wantSound(t, h, h.config.Blobs)
}
