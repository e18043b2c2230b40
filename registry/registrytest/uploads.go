package registrytest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func testUploads(t *testing.T, target Target) {
	t.Parallel()

	t.Run("post only", func(t *testing.T) {
		t.Parallel()
		c, p := target.in(t), content(t.Name(), 10_000)
		got := c.expect(t, http.StatusCreated, request{method: "POST", path: "blobs/uploads/?digest=" + digestOf(p), body: p})
		got.check(t, "Docker-Content-Digest", digestOf(p))
		got.check(t, "Location", "/v2/"+c.repo+"/blobs/"+digestOf(p))
		c.wantBlob(t, digestOf(p), p)
	})

	t.Run("post and put", func(t *testing.T) {
		t.Parallel()
		c, p := target.in(t), content(t.Name(), 10_000)
		up := c.start(t, "")
		c.finish(t, up, digestOf(p), p)
		c.wantBlob(t, digestOf(p), p)
	})

	t.Run("streamed without length", func(t *testing.T) {
		t.Parallel()
		c, p := target.in(t), content(t.Name(), 300_000)
		up := c.start(t, "")
		got := c.expect(t, http.StatusAccepted, request{method: "PATCH", path: up, stream: io.MultiReader(bytes.NewReader(p))})
		got.check(t, "Range", fmt.Sprintf("0-%d", len(p)-1))
		c.finish(t, got.header.Get("Location"), digestOf(p), nil)
		c.wantBlob(t, digestOf(p), p)
	})

	t.Run("empty blob", func(t *testing.T) {
		t.Parallel()
		c := target.in(t)
		up := c.start(t, "")
		c.finish(t, up, digestOf(nil), nil)
		c.wantBlob(t, digestOf(nil), nil)
	})

	t.Run("chunked", func(t *testing.T) {
		t.Parallel()
		c, p := target.in(t), content(t.Name(), 300)
		up := c.start(t, "")
		for _, chunk := range [][2]int{{0, 100}, {100, 101}, {101, 250}} {
			got := c.patch(t, http.StatusAccepted, up, p, chunk[0], chunk[1])
			got.check(t, "Range", fmt.Sprintf("0-%d", chunk[1]-1))
			c.expect(t, http.StatusNoContent, request{method: "GET", path: up}).check(t, "Range", fmt.Sprintf("0-%d", chunk[1]-1))
		}
		got := c.expect(t, http.StatusCreated, request{
			method: "PUT", path: up + "?digest=" + digestOf(p), body: p[250:],
			header: map[string]string{"Content-Range": "250-299"},
		})
		got.check(t, "Docker-Content-Digest", digestOf(p))
		c.wantBlob(t, digestOf(p), p)
		c.expect(t, http.StatusNotFound, request{method: "GET", path: up})
	})

	t.Run("out of order", func(t *testing.T) {
		t.Parallel()
		c, p := target.in(t), content(t.Name(), 300)
		up := c.start(t, "")
		c.patch(t, http.StatusRequestedRangeNotSatisfiable, up, p, 100, 200)
		c.patch(t, http.StatusAccepted, up, p, 0, 100)
		for _, chunk := range [][2]int{{0, 100}, {50, 150}, {101, 200}, {200, 300}} {
			got := c.patch(t, http.StatusRequestedRangeNotSatisfiable, up, p, chunk[0], chunk[1])
			got.check(t, "Range", "0-99")
			got.check(t, "Location", up)
		}
		got := c.expect(t, http.StatusRequestedRangeNotSatisfiable, request{
			method: "PUT", path: up + "?digest=" + digestOf(p), body: p[200:], header: map[string]string{"Content-Range": "200-299"},
		})
		got.check(t, "Range", "0-99")
		c.patch(t, http.StatusAccepted, up, p, 100, 300)
		c.finish(t, up, digestOf(p), nil)
		c.wantBlob(t, digestOf(p), p)
	})

	t.Run("large chunks span storage parts", func(t *testing.T) {
		t.Parallel()
		c, p := target.in(t), content(t.Name(), 21<<20)
		up := c.start(t, "")
		for at, step := 0, 7<<20+3; at < len(p); at += step {
			c.patch(t, http.StatusAccepted, up, p, at, min(at+step, len(p)))
		}
		c.finish(t, up, digestOf(p), nil)
		c.wantBlob(t, digestOf(p), p)
	})

	t.Run("resumes after a broken connection", func(t *testing.T) {
		t.Parallel()
		c, p := target.in(t), content(t.Name(), 3<<20)
		up := c.start(t, "")
		c.breakOff(t, up, p, 2<<20)
		at := c.settled(t, up)
		if at == 0 || at > 2<<20 {
			t.Fatalf("the upload stands at %d after %d bytes were sent", at, 2<<20)
		}
		c.patch(t, http.StatusAccepted, up, p, at, len(p))
		c.finish(t, up, digestOf(p), nil)
		c.wantBlob(t, digestOf(p), p)
	})

	t.Run("one appender at a time", func(t *testing.T) {
		t.Parallel()
		c, p := target.in(t), content(t.Name(), 1000)
		up := c.start(t, "")
		first := c.beginPatch(t, up, len(p))
		got := c.patch(t, http.StatusTooManyRequests, up, p, 0, 10)
		if got.header.Get("Retry-After") == "" || got.code() != "TOOMANYREQUESTS" {
			t.Errorf("code %q, Retry-After %q", got.code(), got.header.Get("Retry-After"))
		}
		if _, err := first.Write(p); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(first), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusAccepted {
			t.Fatalf("first appender: status %d", resp.StatusCode)
		}
		c.finish(t, up, digestOf(p), nil)
		c.wantBlob(t, digestOf(p), p)
	})

	t.Run("wrong digest leaves nothing", func(t *testing.T) {
		t.Parallel()
		c, p := target.in(t), content(t.Name(), 100)
		wrong := digestOf([]byte("something else"))
		up := c.start(t, "")
		got := c.expect(t, http.StatusBadRequest, request{method: "PUT", path: up + "?digest=" + wrong, body: p})
		if got.code() != "DIGEST_INVALID" {
			t.Errorf("code %s", got.code())
		}
		c.expect(t, http.StatusNotFound, request{method: "HEAD", path: "blobs/" + wrong})
		c.expect(t, http.StatusNotFound, request{method: "HEAD", path: "blobs/" + digestOf(p)})
		c.expect(t, http.StatusBadRequest, request{method: "POST", path: "blobs/uploads/?digest=" + wrong, body: p})
		c.expect(t, http.StatusNotFound, request{method: "HEAD", path: "blobs/" + wrong})
	})

	t.Run("sha512", func(t *testing.T) {
		t.Parallel()
		c, p := target.in(t), content(t.Name(), 5000)
		for _, query := range []string{"", "?digest-algorithm=sha512"} {
			q := append([]byte(query), p...)
			up := c.start(t, query)
			c.patch(t, http.StatusAccepted, up, q, 0, 2000)
			c.finish(t, up, digest512(q), q[2000:])
			c.wantBlob(t, digest512(q), q)
		}
		c.expect(t, http.StatusCreated, request{method: "POST", path: "blobs/uploads/?digest=" + digest512(p), body: p})
		c.wantBlob(t, digest512(p), p)
		up := c.start(t, "")
		c.expect(t, http.StatusBadRequest, request{method: "PUT", path: up + "?digest=" + digest512([]byte("x")), body: p})
	})

	t.Run("cancel", func(t *testing.T) {
		t.Parallel()
		c, p := target.in(t), content(t.Name(), 100)
		up := c.start(t, "")
		c.patch(t, http.StatusAccepted, up, p, 0, 50)
		c.expect(t, http.StatusNoContent, request{method: "DELETE", path: up})
		c.expect(t, http.StatusNotFound, request{method: "GET", path: up})
		c.expect(t, http.StatusNotFound, request{method: "DELETE", path: up})
		c.expect(t, http.StatusNotFound, request{method: "PUT", path: up + "?digest=" + digestOf(p), body: p})
	})

	t.Run("mount", func(t *testing.T) {
		t.Parallel()
		c, p := target.in(t), content(t.Name(), 100)
		d := c.pushBlob(t, p)
		to := target.at(c.repo + "-two")
		scopes := []string{"repository:" + to.repo + ":pull,push", "repository:" + c.repo + ":pull"}
		mount := "blobs/uploads/?mount=" + d + "&from=" + url.QueryEscape(c.repo)
		got := to.expect(t, http.StatusCreated, request{method: "POST", path: mount, scopes: scopes})
		got.check(t, "Location", "/v2/"+to.repo+"/blobs/"+d)
		to.wantBlob(t, d, p)

		other := target.at(c.repo + "-three")
		other.expect(t, http.StatusAccepted, request{method: "POST", path: "blobs/uploads/?mount=" + d})
		other.expect(t, http.StatusAccepted, request{method: "POST", path: "blobs/uploads/?mount=" + digestOf([]byte("nowhere")) + "&from=" + url.QueryEscape(c.repo)})
		other.expect(t, http.StatusNotFound, request{method: "HEAD", path: "blobs/" + d})
	})

	t.Run("mount needs to see the source", func(t *testing.T) {
		t.Parallel()
		c := target.in(t)
		d := c.pushBlob(t, content(t.Name(), 100))
		target.SetVisibility(t, c.repo, "private")
		to := target.at(c.repo + "-two")
		got := to.expect(t, http.StatusAccepted, request{
			method: "POST", path: "blobs/uploads/?mount=" + d + "&from=" + url.QueryEscape(c.repo),
			scopes: []string{"repository:" + to.repo + ":pull,push"},
		})
		if got.header.Get("Location") == "" {
			t.Error("no upload to go on with")
		}
		to.expect(t, http.StatusNotFound, request{method: "HEAD", path: "blobs/" + d})
	})
}

// start begins an upload and returns its location.
func (c *caller) start(t *testing.T, query string) string {
	t.Helper()
	got := c.expect(t, http.StatusAccepted, request{method: "POST", path: "blobs/uploads/" + query})
	loc := got.header.Get("Location")
	if loc == "" || got.header.Get("Docker-Upload-UUID") == "" {
		t.Fatalf("upload without Location or Docker-Upload-UUID: %v", got.header)
	}
	if got.header.Get("OCI-Chunk-Min-Length") == "" {
		t.Error("no OCI-Chunk-Min-Length")
	}
	return loc
}

// patch sends p[from:to] as one chunk.
func (c *caller) patch(t *testing.T, status int, up string, p []byte, from, to int) response {
	t.Helper()
	return c.expect(t, status, request{
		method: "PATCH", path: up, body: p[from:to],
		header: map[string]string{"Content-Range": fmt.Sprintf("%d-%d", from, to-1), "Content-Type": typeLayer},
	})
}

func (c *caller) finish(t *testing.T, up, digest string, rest []byte) {
	t.Helper()
	got := c.expect(t, http.StatusCreated, request{method: "PUT", path: up + "?digest=" + digest, body: rest})
	got.check(t, "Docker-Content-Digest", digest)
	got.check(t, "Location", "/v2/"+c.repo+"/blobs/"+digest)
}

// beginPatch announces a chunk of n bytes at the upload's start and returns
// the connection once the server has asked for the body.
func (c *caller) beginPatch(t *testing.T, up string, n int) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.target.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_, err = fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer %s\r\nExpect: 100-continue\r\nContent-Type: %s\r\nContent-Range: 0-%d\r\nContent-Length: %d\r\n\r\n",
		up, c.token(t, "repository:"+c.repo+":pull,push,delete"), typeLayer, n-1, n)
	if err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))
	if _, err := io.ReadFull(conn, answer); err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 100 ")) {
		t.Fatalf("the server did not ask for the body: %q, %v", answer, err)
	}
	return conn
}

// breakOff announces all of p, sends n bytes and closes the connection.
func (c *caller) breakOff(t *testing.T, up string, p []byte, n int) {
	t.Helper()
	conn := c.beginPatch(t, up, len(p))
	if _, err := conn.Write(p[:n]); err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// settled waits until the server has noticed the broken connection and
// returns where the upload stands.
func (c *caller) settled(t *testing.T, up string) (at int) {
	t.Helper()
	eventually(t, func() bool {
		got := c.expect(t, http.StatusNoContent, request{method: "GET", path: up})
		var last int
		if _, err := fmt.Sscanf(got.header.Get("Range"), "0-%d", &last); err != nil {
			t.Fatalf("Range %q: %v", got.header.Get("Range"), err)
		}
		at = last + 1
		return last > 0
	})
	return at
}

// eventually polls until ok or a generous deadline.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("gave up waiting")
		}
		time.Sleep(20 * time.Millisecond)
	}
}
