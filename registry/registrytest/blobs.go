package registrytest

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// wantBlob checks HEAD and GET of a blob.
func (c *caller) wantBlob(t *testing.T, digest string, want []byte) {
	t.Helper()
	head := c.expect(t, http.StatusOK, request{method: "HEAD", path: "blobs/" + digest})
	head.check(t, "Content-Length", strconv.Itoa(len(want)))
	head.check(t, "Docker-Content-Digest", digest)
	got := c.expect(t, http.StatusOK, request{method: "GET", path: "blobs/" + digest})
	if !bytes.Equal(got.body, want) {
		t.Fatalf("blob %s has %d bytes that differ from the %d pushed", digest, len(got.body), len(want))
	}
}

func testBlobs(t *testing.T, target Target) {
	t.Parallel()

	t.Run("ranges", func(t *testing.T) {
		t.Parallel()
		c, p := target.in(t), content(t.Name(), 2048)
		blob := "blobs/" + c.pushBlob(t, p)
		for _, tc := range []struct {
			header, contentRange string
			from, to             int
		}{
			{"bytes=0-0", "bytes 0-0/2048", 0, 1},
			{"bytes=500-1499", "bytes 500-1499/2048", 500, 1500},
			{"bytes=500-", "bytes 500-2047/2048", 500, 2048},
			{"bytes=-500", "bytes 1548-2047/2048", 1548, 2048},
			{"bytes=2000-5000", "bytes 2000-2047/2048", 2000, 2048},
		} {
			got := c.expect(t, http.StatusPartialContent, request{method: "GET", path: blob, header: map[string]string{"Range": tc.header}})
			got.check(t, "Content-Range", tc.contentRange)
			if !bytes.Equal(got.body, p[tc.from:tc.to]) {
				t.Errorf("%s: %d bytes that differ", tc.header, len(got.body))
			}
		}
		for _, header := range []string{"bytes=5000-6000", "bytes=500-0", "bytes=x-", "bytes=2048-", "bytes=-0"} {
			got := c.expect(t, http.StatusRequestedRangeNotSatisfiable, request{method: "GET", path: blob, header: map[string]string{"Range": header}})
			got.check(t, "Content-Range", "bytes */2048")
			if got.code() != "RANGE_INVALID" {
				t.Errorf("%s: code %q", header, got.code())
			}
		}
		c.expect(t, http.StatusRequestedRangeNotSatisfiable, request{method: "GET", path: blob, header: map[string]string{"Range": "bytes=0-0" + strings.Repeat(",2-2", 1000)}})
		got := c.expect(t, http.StatusOK, request{method: "GET", path: blob, header: map[string]string{"Range": "pages=1-2"}})
		if !bytes.Equal(got.body, p) {
			t.Error("a range of another unit is not ignored")
		}
	})

	t.Run("ranges of a large blob", func(t *testing.T) {
		t.Parallel()
		c, p := target.in(t), content(t.Name(), 9<<20)
		blob := "blobs/" + c.pushBlob(t, p)
		for _, at := range [][2]int{{0, 1}, {8<<20 - 1, 8<<20 + 1}, {1000, 9 << 20}} {
			got := c.expect(t, http.StatusPartialContent, request{method: "GET", path: blob, header: map[string]string{"Range": fmt.Sprintf("bytes=%d-%d", at[0], at[1]-1)}})
			got.check(t, "Content-Range", fmt.Sprintf("bytes %d-%d/%d", at[0], at[1]-1, len(p)))
			if !bytes.Equal(got.body, p[at[0]:at[1]]) {
				t.Errorf("%v: %d bytes that differ", at, len(got.body))
			}
		}
		c.expect(t, http.StatusRequestedRangeNotSatisfiable, request{method: "GET", path: blob, header: map[string]string{"Range": "bytes=500-0"}})
	})

	t.Run("multiple ranges", func(t *testing.T) {
		t.Parallel()
		c, p := target.in(t), content(t.Name(), 2048)
		blob := "blobs/" + c.pushBlob(t, p)
		got := c.expect(t, http.StatusPartialContent, request{method: "GET", path: blob, header: map[string]string{"Range": "bytes=0-9,100-199,-5"}})
		kind, params, err := mime.ParseMediaType(got.header.Get("Content-Type"))
		if err != nil || kind != "multipart/byteranges" {
			t.Fatalf("Content-Type %q, %v", got.header.Get("Content-Type"), err)
		}
		parts := multipart.NewReader(bytes.NewReader(got.body), params["boundary"])
		for _, want := range []struct {
			contentRange string
			bytes        []byte
		}{{"bytes 0-9/2048", p[:10]}, {"bytes 100-199/2048", p[100:200]}, {"bytes 2043-2047/2048", p[2043:]}} {
			part, err := parts.NextPart()
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(part)
			if err != nil || !bytes.Equal(body, want.bytes) || part.Header.Get("Content-Range") != want.contentRange {
				t.Errorf("part %q: %d bytes, %v", part.Header.Get("Content-Range"), len(body), err)
			}
		}
	})

	t.Run("conditional", func(t *testing.T) {
		t.Parallel()
		c, p := target.in(t), content(t.Name(), 100)
		d := c.pushBlob(t, p)
		for _, method := range []string{"GET", "HEAD"} {
			for _, tag := range []string{`"` + d + `"`, `"other", W/"` + d + `"`, "*"} {
				got := c.expect(t, http.StatusNotModified, request{method: method, path: "blobs/" + d, header: map[string]string{"If-None-Match": tag}})
				got.check(t, "ETag", `"`+d+`"`)
			}
			c.expect(t, http.StatusOK, request{method: method, path: "blobs/" + d, header: map[string]string{"If-None-Match": `"other"`}})
		}
		fresh := c.expect(t, http.StatusPartialContent, request{method: "GET", path: "blobs/" + d, header: map[string]string{"Range": "bytes=0-9", "If-Range": `"` + d + `"`}})
		stale := c.expect(t, http.StatusOK, request{method: "GET", path: "blobs/" + d, header: map[string]string{"Range": "bytes=0-9", "If-Range": `"other"`}})
		if !bytes.Equal(fresh.body, p[:10]) || !bytes.Equal(stale.body, p) {
			t.Error("If-Range is not obeyed")
		}
	})

	t.Run("visible only where linked", func(t *testing.T) {
		t.Parallel()
		c := target.in(t)
		d := c.pushBlob(t, content(t.Name(), 100))
		other := target.at(c.repo + "-two")
		other.pushBlob(t, []byte("other"))
		for _, method := range []string{"HEAD", "GET", "DELETE"} {
			other.expect(t, http.StatusNotFound, request{method: method, path: "blobs/" + d})
		}
	})

	t.Run("delete", func(t *testing.T) {
		t.Parallel()
		c, p := target.in(t), content(t.Name(), 100)
		d := c.pushBlob(t, p)
		other := target.at(c.repo + "-two")
		other.pushBlob(t, p)
		c.expect(t, http.StatusAccepted, request{method: "DELETE", path: "blobs/" + d})
		c.expect(t, http.StatusNotFound, request{method: "HEAD", path: "blobs/" + d})
		c.expect(t, http.StatusNotFound, request{method: "GET", path: "blobs/" + d})
		c.expect(t, http.StatusNotFound, request{method: "DELETE", path: "blobs/" + d})
		other.wantBlob(t, d, p)
		c.pushBlob(t, p)
		c.wantBlob(t, d, p)
	})

	t.Run("delete is refused while referred to", func(t *testing.T) {
		t.Parallel()
		c, p := target.in(t), content(t.Name(), 100)
		_, digest := c.pushImage(t, "v1", p, nil)
		if got := c.expect(t, http.StatusForbidden, request{method: "DELETE", path: "blobs/" + digestOf(p)}); got.code() != "DENIED" {
			t.Errorf("code %q", got.code())
		}
		c.wantBlob(t, digestOf(p), p)
		c.expect(t, http.StatusAccepted, request{method: "DELETE", path: "manifests/" + digest})
		c.expect(t, http.StatusAccepted, request{method: "DELETE", path: "blobs/" + digestOf(p)})
	})
}
