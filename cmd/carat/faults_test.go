package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/internal/pgtest"
	"github.com/carat-hub/carat/internal/s3test"
	"github.com/carat-hub/carat/registry"
)

// books is how much of everything the hub has in its database.
type books struct {
	Uploads, Blobs, Links, Manifests, Tags int
}

func booksOf(t *testing.T, h *theHub) (b books) {
	t.Helper()
	for table, n := range map[string]*int{
		"uploads": &b.Uploads, "blobs": &b.Blobs, "blob_links": &b.Links, "manifests": &b.Manifests, "tags": &b.Tags,
	} {
		if err := h.db.Writer().QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(n); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// wantSound fails the test unless every blob has its whole object, and every
// object a row: that of a blob, of an upload, or a tombstone.
func wantSound(t *testing.T, h *theHub, folder string) {
	t.Helper()
	known := map[string]bool{}
	rows := must(h.db.Writer().QueryContext(t.Context(), `
		SELECT object_key, size FROM blobs UNION ALL SELECT object_key, -1 FROM uploads UNION ALL SELECT object_key, -1 FROM tombstones`))(t)
	defer rows.Close()
	sizes := map[string]int64{}
	for rows.Next() {
		var key string
		var size int64
		if err := rows.Scan(&key, &size); err != nil {
			t.Fatal(err)
		}
		known[filepath.Base(key)] = true
		if size >= 0 {
			sizes[filepath.Base(key)] = size
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(path, "/.sgwtmp/") {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		// The object of a key is a file named after it; what belongs to an unfinished upload may be in a folder named so.
		id := filepath.Base(path)
		if !known[id] && !known[filepath.Base(filepath.Dir(path))] {
			t.Errorf("%s of %d bytes has no row", path, info.Size())
		}
		if size, ok := sizes[id]; ok && size == info.Size() {
			delete(sizes, id)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, size := range sizes {
		t.Errorf("the blob in object %s of %d bytes has no such file", id, size)
	}
}

// onFolders is onPairings for tests that look at the folder in which the
// blobs are, or in which the S3 server keeps its objects.
func onFolders(t *testing.T, test func(t *testing.T, h *theHub, url, folder string)) {
	t.Run("sqlite-folder", func(t *testing.T) {
		t.Parallel()
		h, url := startHub(t, serveConfig{}, nil)
		test(t, h, url, h.config.Blobs)
	})
	t.Run("postgres-s3", func(t *testing.T) {
		t.Parallel()
		s := s3test.New(t)
		h, url := startHub(t, serveConfig{DatabaseURL: pgtest.New(t), Blobs: s.URL("hub")}, s3keys(s))
		test(t, h, url, s.ObjectFile("hub"))
	})
}

func s3keys(s *s3test.Server) func(string) string {
	keys := map[string]string{"AWS_ACCESS_KEY_ID": s.AccessKey, "AWS_SECRET_ACCESS_KEY": s.SecretKey}
	return func(name string) string { return keys[name] }
}

// TestBadInput sends what no good client sends. Each is refused in its own
// way, and nothing is left of it.
func TestBadInput(t *testing.T) {
	t.Parallel()
	onFolders(t, func(t *testing.T, h *theHub, url, folder string) {
		p := newPeer(t, url, "faults/bad-input")
		var kept ledger
		kept.push(t, p, "v1", content("kept", 300_000))
		want := booksOf(t, h)
		for _, tt := range []struct {
			name string
			test func(t *testing.T, p *peer)
		}{
			{"wrong digest", wrongDigest},
			{"cut upload in one request", cutWholeUpload},
			{"unknown parent", unknownParent},
			{"malformed manifest", malformedManifest},
		} {
			t.Run(tt.name, func(t *testing.T) {
				tt.test(t, p)
				// A request whose client went away may still be on its way out.
				var got books
				eventually(t, "the books are as before", func() bool {
					got = booksOf(t, h)
					return got.Uploads == want.Uploads
				})
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("left over (-want +got):\n%s", diff)
				}
				wantSound(t, h, folder)
				kept.check(t, p)
			})
		}
		t.Run("cut upload in chunks", func(t *testing.T) {
			kept.blobs[cutChunk(t, p)] = content("cut chunk", 100_000)
			wantSound(t, h, folder)
			kept.check(t, p)
		})
		kept.push(t, p, "v2", content("afterwards", 1000))
		kept.check(t, p)
	})
}

func wrongDigest(t *testing.T, p *peer) {
	small, large := content("wrong", 1000), content("wrong and large", 9<<20) // more than one part on S3
	other := digestOf([]byte("other"))
	for _, body := range [][]byte{small, large} {
		p.want(t, http.StatusBadRequest, registry.CodeDigestInvalid, http.MethodPost, "blobs/uploads/?digest="+other, body)
		upload := p.session(t)
		p.want(t, http.StatusAccepted, "", http.MethodPatch, upload, body)
		p.want(t, http.StatusBadRequest, registry.CodeDigestInvalid, http.MethodPut, upload+"?digest="+other, nil)
		p.want(t, http.StatusNotFound, registry.CodeBlobUploadUnknown, http.MethodGet, upload, nil)
		p.want(t, http.StatusNotFound, registry.CodeBlobUnknown, http.MethodGet, "blobs/"+digestOf(body), nil)
	}
	p.want(t, http.StatusNotFound, registry.CodeBlobUnknown, http.MethodGet, "blobs/"+other, nil)
	p.want(t, http.StatusBadRequest, registry.CodeDigestInvalid, http.MethodPost, "blobs/uploads/?digest=sha256:123", small)
}

// cut sends a request whose body ends before its Content-Length. With hang it
// listens for the answer, otherwise the connection is reset.
func cut(t *testing.T, p *peer, method, path string, body []byte, length int, hang bool) reply {
	t.Helper()
	if !strings.HasPrefix(path, "/") {
		path = "/v2/" + p.repo + "/" + path
	}
	host := strings.TrimPrefix(p.hub, "http://")
	conn := must(new(net.Dialer).DialContext(t.Context(), "tcp", host))(t).(*net.TCPConn)
	defer conn.Close()
	p.inFlight(t, 0)
	must(fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", method, path, host, p.token, length, body))(t)
	if !hang {
		p.inFlight(t, 1)
		if err := conn.SetLinger(0); err != nil {
			t.Fatal(err)
		}
		return reply{}
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	resp := must(http.ReadResponse(bufio.NewReader(conn), nil))(t)
	defer resp.Body.Close()
	var b bytes.Buffer
	must(b.ReadFrom(resp.Body))(t)
	return reply{resp.StatusCode, resp.Header, b.Bytes()}
}

func cutWholeUpload(t *testing.T, p *peer) {
	for name, body := range map[string][]byte{"begun": content("cut", 5000), "in parts": content("cut", 9<<20)} {
		whole := append(bytes.Clone(body), "the rest"...)
		path := "blobs/uploads/?digest=" + digestOf(whole)
		cut(t, p, http.MethodPost, path, body, len(whole), true).wants(t, name, http.StatusBadRequest, registry.CodeBlobUploadInvalid)
		cut(t, p, http.MethodPost, path, body, len(whole), false)
		p.want(t, http.StatusNotFound, registry.CodeBlobUnknown, http.MethodGet, "blobs/"+digestOf(whole), nil)
	}
	manifest := imageOf(content("kept", 300_000))
	cut(t, p, http.MethodPut, "manifests/cut", manifest[:100], len(manifest), true).wants(t, "manifest", http.StatusBadRequest, registry.CodeManifestInvalid)
	cut(t, p, http.MethodPut, "manifests/cut", manifest[:100], len(manifest), false)
	p.want(t, http.StatusNotFound, registry.CodeManifestUnknown, http.MethodGet, "manifests/cut", nil)
}

// cutChunk cuts two chunks of an upload, and goes on with it each time where
// the hub says that it stands. It returns the digest of the blob.
func cutChunk(t *testing.T, p *peer) string {
	whole := content("cut chunk", 100_000)
	upload := p.session(t)
	sent := 0
	for _, hang := range []bool{true, false} {
		got := cut(t, p, http.MethodPatch, upload, whole[sent:sent+30_000], 40_000, hang)
		if hang {
			got.wants(t, "half closed", http.StatusBadRequest, registry.CodeBlobUploadInvalid)
		}
		sent += 30_000
		stands := fmt.Sprintf("0-%d", sent-1)
		eventually(t, "the upload stands at "+stands, func() bool {
			return p.want(t, http.StatusNoContent, "", http.MethodGet, upload, nil).header.Get("Range") == stands
		})
	}
	p.want(t, http.StatusRequestedRangeNotSatisfiable, registry.CodeRangeInvalid, http.MethodPatch, upload, whole[:10], "Content-Range", "0-9")
	d := digestOf(whole)
	p.want(t, http.StatusCreated, "", http.MethodPut, upload+"?digest="+d, whole[sent:])
	return d
}

func unknownParent(t *testing.T, p *peer) {
	missing := digestOf([]byte("missing"))
	index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":7}]}`,
		registry.MediaTypeOCIIndex, registry.MediaTypeOCIManifest, missing)
	for mediaType, body := range map[string][]byte{
		registry.MediaTypeOCIManifest: imageOf([]byte("missing")),
		registry.MediaTypeOCIIndex:    []byte(index),
	} {
		got := p.want(t, http.StatusNotFound, registry.CodeManifestBlobUnknown, http.MethodPut, "manifests/orphan", body, "Content-Type", mediaType)
		if !strings.Contains(string(got.body), missing) {
			t.Errorf("the answer does not say what is missing: %s", got.body)
		}
		p.want(t, http.StatusNotFound, registry.CodeManifestUnknown, http.MethodGet, "manifests/"+digestOf(body), nil)
	}
	p.want(t, http.StatusNotFound, registry.CodeManifestUnknown, http.MethodGet, "manifests/orphan", nil)
}

func malformedManifest(t *testing.T, p *peer) {
	good := string(imageOf(content("kept", 300_000)))
	for name, tt := range map[string]struct {
		reference, mediaType, body string
		status                     int
		code                       registry.Code
	}{
		"nothing":         {"bad", registry.MediaTypeOCIManifest, "", http.StatusBadRequest, registry.CodeManifestInvalid},
		"no JSON":         {"bad", registry.MediaTypeOCIManifest, "weights", http.StatusBadRequest, registry.CodeManifestInvalid},
		"half":            {"bad", registry.MediaTypeOCIManifest, good[:len(good)/2], http.StatusBadRequest, registry.CodeManifestInvalid},
		"twice":           {"bad", registry.MediaTypeOCIManifest, good + good, http.StatusBadRequest, registry.CodeManifestInvalid},
		"deep":            {"bad", registry.MediaTypeOCIManifest, strings.Repeat("[", 1<<20), http.StatusBadRequest, registry.CodeManifestInvalid},
		"digest":          {"bad", registry.MediaTypeOCIManifest, strings.Replace(good, "sha256:", "sha256:../", 1), http.StatusBadRequest, registry.CodeManifestInvalid},
		"negative size":   {"bad", registry.MediaTypeOCIManifest, strings.Replace(good, `"size":2`, `"size":-2`, 1), http.StatusBadRequest, registry.CodeManifestInvalid},
		"other type":      {"bad", registry.MediaTypeOCIIndex, good, http.StatusBadRequest, registry.CodeManifestInvalid},
		"too large":       {"bad", registry.MediaTypeOCIManifest, good + strings.Repeat(" ", 4<<20), http.StatusRequestEntityTooLarge, registry.CodeManifestTooLarge},
		"other digest":    {digestOf([]byte("other")), registry.MediaTypeOCIManifest, good, http.StatusBadRequest, registry.CodeDigestInvalid},
		"tag with a dash": {"-bad", registry.MediaTypeOCIManifest, good, http.StatusBadRequest, registry.CodeTagInvalid},
	} {
		got, err := p.do(t.Context(), http.MethodPut, "manifests/"+tt.reference, strings.NewReader(tt.body), "Content-Type", tt.mediaType)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got.wants(t, name, tt.status, tt.code)
	}
	// A tag with a slash is no tag, however it is written.
	for _, path := range []string{"manifests/a/b", "manifests/a%2Fb"} {
		got, err := p.do(t.Context(), http.MethodPut, path, strings.NewReader(good), "Content-Type", registry.MediaTypeOCIManifest)
		if err != nil || got.status < 400 || got.status >= 500 || got.code() == "" {
			t.Errorf("PUT %s: %d %s, %v", path, got.status, got.body, err)
		}
	}
	p.want(t, http.StatusNotFound, registry.CodeManifestUnknown, http.MethodGet, "manifests/bad", nil)
}
