package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/registry"
)

// evil are spellings that some parser of paths reads differently from
// another one. Each stands where an ordinary segment would.
var evil = []string{
	"%2f", "%2F", "%2fetc", "a%2fb", "%2f%2f", "%5c", "%5C", "a%5cb", "%2e", "%2E", "%2e%2e", "%2e%2E", ".%2e", "%2e.",
	"..%2f", "%2e%2e%2f", "%2e%2e%5c", "..%5c", "..%c0%af", "%c0%ae%c0%ae", "%e0%80%af", "%252f", "%252e%252e", "%25", "%25%32%66",
	"%255c", "%00", "a%00b", "%00..", "%0a", "%0d%0a", "%09", "%1f", "%7f", "%80", "%ff", "%c3%a4", "%ef%bc%8f", "%e2%80%ae", "%e2%88%95",
	".", "..", "", "\\", "a\\b", "..\\", "ä", "／", "．．", "a/../b", "a/./b", "a//b", "../..", "./a",
}

// TestPathEncodings sends every spelling to every kind of route, raw, and
// wants the same answer of each: 400 before any handler or credential check.
func TestPathEncodings(t *testing.T) {
	t.Parallel()
	reached := make(chan string, 10_000)
	r := setup(t, func(e *echo.Echo) {
		h := func(c echo.Context) error {
			reached <- c.Request().URL.Path
			return c.NoContent(http.StatusNoContent)
		}
		e.Any("/v2/*", h)
		e.Any("/api/v1/models/:org/:name", h)
		e.GET("/:org/:name", h)
		e.GET("/static/*", h)
	})
	for _, route := range []struct {
		format string
		code   registry.Code
	}{
		{"/v2/%s/manifests/v1", registry.CodeNameInvalid},
		{"/v2/a/%s/blobs/uploads/", registry.CodeNameInvalid},
		{"/v2/acme/llama/manifests/%s/x", registry.CodeNameInvalid},
		{"/api/v1/models/%s/llama", CodeRequestInvalid},
		{"/api/v1/models/acme/%s/", CodeRequestInvalid},
		{"/%s/llama", ""},
		{"/static/%s/app.css", ""},
		{"/token/%s/x", ""},
	} {
		for _, text := range evil {
			path := fmt.Sprintf(route.format, text)
			status, body := raw(t, r, path)
			if status != http.StatusBadRequest {
				t.Errorf("%q: status %d", path, status)
			}
			// A path that starts with two slashes is no path below /v2 or /api.
			if route.code != "" && code(body) != route.code {
				t.Errorf("%q: %s", path, body)
			}
		}
	}
	select {
	case path := <-reached:
		t.Errorf("a handler saw %q", path)
	default:
	}
}

// raw sends a path as it is and returns status and body.
func raw(t *testing.T, r *rig, path string) (int, string) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer forged\r\nConnection: close\r\n\r\n", path)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%q: %v", path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%q: %v", path, err)
	}
	return resp.StatusCode, string(body)
}

// What passes reaches handlers decoded, with nothing left to decode twice.
func TestPathPasses(t *testing.T) {
	t.Parallel()
	r := setup(t, func(e *echo.Echo) {
		e.Any("/*", func(c echo.Context) error {
			u := c.Request().URL
			return c.String(http.StatusOK, u.Path+" "+u.RawPath+" "+c.Param("*"))
		})
	})
	for path, want := range map[string]string{
		"/":                          "/",
		"/v2/":                       "/v2/",
		"/v2":                        "/v2",
		"/v2/a/b/manifests/v1.0":     "/v2/a/b/manifests/v1.0",
		"/v2/a/manifests/sha256%3Aa": "/v2/a/manifests/sha256:a",
		"/v2/a/manifests/sha256%3aa": "/v2/a/manifests/sha256:a",
		"/%61/b...c/..d":             "/a/b...c/..d",
		"/a/b%20c":                   "/a/b c",
		"/a/?q=%2f..%2f":             "/a/",
	} {
		resp, body := r.get(path)
		if resp.StatusCode != http.StatusOK || body != want+"  "+strings.TrimPrefix(want, "/") {
			t.Errorf("%q: %d %q", path, resp.StatusCode, body)
		}
	}
}

func FuzzPathProblem(f *testing.F) {
	for _, s := range evil {
		f.Add("/v2/" + s + "/x")
		f.Add("/api/models/acme/llama/tree/main/" + s)
		f.Add("/acme/llama/resolve/" + s + "/x")
	}
	f.Fuzz(func(t *testing.T, path string) {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return
		}
		area := areaOf(u.Path)
		if pathProblem(u.EscapedPath(), area) != "" {
			return
		}
		again := canonical(&http.Request{URL: u}, area)
		routed := again.Path
		if area == areaHF {
			routed = Unslash(routed)
			again.Path = routed
		}
		if got := areaOf(routed); got != area {
			t.Errorf("%q is of area %d, and its canonical form of %d", path, area, got)
		}
		if again.EscapedPath() == "" || pathProblem(again.EscapedPath(), area) != "" {
			t.Errorf("%q passes, but its canonical form %q does not", path, again.EscapedPath())
		}
		for s := range strings.SplitSeq(strings.Trim(routed, "/"), "/") {
			if s == ".." || s == "." || strings.ContainsAny(s, "\\\x00%") {
				t.Errorf("%q passes with segment %q", path, s)
			}
		}
	})
}

// TestHuggingFacePaths sends what clients of Hugging Face escape, and looks at
// what a handler gets.
func TestHuggingFacePaths(t *testing.T) {
	t.Parallel()
	r := setup(t, func(e *echo.Echo) {
		show := func(c echo.Context) error {
			return c.String(http.StatusOK, c.Param("org")+" "+c.Param("name")+" "+Unslash(c.Param("rev"))+" "+Unslash(c.Param("*")))
		}
		e.GET("/api/models/:org/:name/tree/:rev/*", show)
		e.GET("/:org/:name/resolve/:rev/*", show)
		e.GET("/:org/:name", func(c echo.Context) error { return c.String(http.StatusOK, "page "+c.Param("org")+" "+c.Param("name")) })
	})
	for path, want := range map[string]string{
		"/acme/llama/resolve/main/a.txt":                            "acme llama main a.txt",
		"/acme/llama/resolve/refs%2Fpr%2f1/a/b.txt":                 "acme llama refs/pr/1 a/b.txt",
		"/acme%2Fllama/resolve/main/a.txt":                          "acme llama main a.txt",
		"/acme/llama/resolve/main/%C3%A4%20b.txt":                   "acme llama main \u00e4 b.txt",
		"/acme/llama/resolve/sha256:00/a%2Fb.txt":                   "acme llama sha256:00 a/b.txt",
		"/api/models/acme/llama/tree/refs%2Fheads%2Fmain/a%2Fb%2Fc": "acme llama refs/heads/main a/b/c",
		"/api/models/acme%2fllama/tree/main/a":                      "acme llama main a",
	} {
		if resp, body := r.get(path); resp.StatusCode != http.StatusOK || body != want {
			t.Errorf("%s: %d %q, want %q", path, resp.StatusCode, body, want)
		}
	}
	for _, path := range []string{
		"/acme/llama/resolve/%2F/a.txt", "/acme/llama/resolve/..%2Fx/a.txt", "/acme/llama/resolve/x%2F..%2Fy/a.txt", "/acme/llama/resolve/x%2F%2Fy/a.txt",
		"/acme/llama/resolve/main/%2e%2e%2Fa.txt", "/acme/llama/resolve/main/%252Fa.txt", "/acme/llama/resolve/main/a%5Cb", "/acme/llama/resolve/main/%ff",
		"/acme/llama/resolve/main/a%00", "/acme/llama/resolve/main/%c2%85", "/acme/llama%2Fresolve/main/a",
		"/api%2Fmodels/acme/llama", "/%2Fapi/models/acme/llama", "/api/v1%2Fmodels/acme",
		"/api/models%2Facme/llama/tree/main/x",
	} {
		if status, body := raw(t, r, path); status != http.StatusBadRequest {
			t.Errorf("%s: %d %q", path, status, body)
		}
	}
}
