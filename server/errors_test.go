package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/storage"
)

// allCodes is written out, so that a code without a row in the table shows.
var allCodes = []registry.Code{
	registry.CodeBlobUnknown, registry.CodeBlobUploadInvalid, registry.CodeBlobUploadUnknown, registry.CodeDigestInvalid,
	registry.CodeManifestBlobUnknown, registry.CodeManifestInvalid, registry.CodeManifestUnknown, registry.CodeNameInvalid,
	registry.CodeNameUnknown, registry.CodeSizeInvalid, registry.CodeUnauthorized, registry.CodeDenied, registry.CodeUnsupported,
	registry.CodeTooManyRequests, registry.CodeTagInvalid, registry.CodeManifestTooLarge, registry.CodeRangeInvalid,
	registry.CodePageInvalid, registry.CodeNoSpace, registry.CodeUnavailable, registry.CodeInternal,
	registry.CodeTermsChanged, registry.CodeTermsInvalid, registry.CodePolicyInvalid,
	CodeRequestInvalid, CodeRequestTooLarge, CodeRequestTimeout, CodeNotFound, CodeConflict, CodeFileUnknown,
}

// TestErrorGoldens pins the whole answer of every code.
func TestErrorGoldens(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(slices.Sorted(slices.Values(allCodes)), slices.Sorted(maps.Keys(answers))); diff != "" {
		t.Fatalf("codes and the table of answers differ: %s", diff)
	}
	r := setup(t, func(e *echo.Echo) {
		e.GET("/v2/:code", func(c echo.Context) error {
			code := registry.Code(c.Param("code"))
			return fmt.Errorf("serve: %w", registry.Wrap(errDatabase, code, "a message").WithDetail(map[string]string{"of": "detail"}))
		})
	}, func(o *Options) { o.PublicURL = "https://hub.example/" })
	for _, want := range allCodes {
		t.Run(string(want), func(t *testing.T) {
			t.Parallel()
			resp, body := r.get("/v2/" + string(want))
			var answer struct {
				Status int               `json:"status"`
				Header map[string]string `json:"header"`
				Body   json.RawMessage   `json:"body"`
			}
			answer.Status, answer.Header, answer.Body = resp.StatusCode, map[string]string{}, json.RawMessage(body)
			for _, name := range []string{"Content-Type", "Cache-Control", "Retry-After", "WWW-Authenticate", "X-Content-Type-Options"} {
				if v := resp.Header.Get(name); v != "" {
					answer.Header[name] = v
				}
			}
			got, err := json.MarshalIndent(answer, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", "errors", string(want)+".json")
			if *update {
				if err := os.WriteFile(file, append(got, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			golden, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(golden), string(got)+"\n"); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestErrorMapping(t *testing.T) {
	t.Parallel()
	causes := map[string]error{
		"unauthenticated": fmt.Errorf("x: %w", auth.ErrUnauthenticated),
		"credentials":     fmt.Errorf("x: %w", auth.ErrCredentials),
		"denied":          fmt.Errorf("x: %w", auth.ErrDenied),
		"scope":           fmt.Errorf("x: %w", auth.ErrScope),
		"space":           fmt.Errorf("x: %w", storage.ErrNoSpace),
		"unavailable":     fmt.Errorf("x: %w", storage.ErrUnavailable),
		"object":          fmt.Errorf("x: %w", storage.ErrNotExist),
		"long":            fmt.Errorf("x: %w", &http.MaxBytesError{Limit: 7}),
		"stalled":         registry.Wrap(fmt.Errorf("x: %w", errStalled), registry.CodeBlobUploadInvalid, "m"),
		"gate":            fmt.Errorf("x: %w", registry.Wrap(&registry.GateError{Name: "org/m", State: "failed"}, registry.CodeDenied, "canary-cause")),
		"gate-anonymous":  registry.Wrap(errors.Join(&registry.GateError{Name: "org/m", State: "failed"}, auth.ErrUnauthenticated), registry.CodeUnauthorized, "canary-cause"),
		"coded":           fmt.Errorf("x: %w", registry.Wrap(auth.ErrDenied, registry.CodeNameUnknown, "m")),
		"strange":         registry.Errorf("NEW_CODE", "canary-cause"),
		"detail":          registry.Errorf(registry.CodeDigestInvalid, "m").WithDetail(make(chan int)),
		"route":           echo.NewHTTPError(http.StatusNotFound, "canary-cause"),
		"teapot":          echo.NewHTTPError(http.StatusTeapot, "canary-cause"),
		"gateway":         echo.NewHTTPError(http.StatusBadGateway, "canary-cause"),
		"other":           errDatabase,
		"cancelled":       fmt.Errorf("canary-cause: %w", context.Canceled), // of an inner context; the client is there
	}
	r := setup(t, func(e *echo.Echo) {
		for _, prefix := range []string{"/v2/t/", "/api/t/", "/page/t/"} {
			e.GET(prefix+":name", func(c echo.Context) error { return causes[c.Param("name")] })
		}
		e.GET("/v2/t/panic", func(echo.Context) error { panic("canary-cause") })
	})
	for _, tc := range []struct {
		path   string
		status int
		code   registry.Code
	}{
		{"/v2/t/unauthenticated", 401, registry.CodeUnauthorized},
		{"/v2/t/credentials", 401, registry.CodeUnauthorized},
		{"/v2/t/denied", 403, registry.CodeDenied},
		{"/v2/t/scope", 400, CodeRequestInvalid},
		{"/v2/t/space", 507, registry.CodeNoSpace},
		{"/v2/t/unavailable", 503, registry.CodeUnavailable},
		{"/v2/t/object", 404, registry.CodeBlobUnknown},
		{"/v2/t/long", 413, CodeRequestTooLarge},
		{"/v2/t/stalled", 408, CodeRequestTimeout},
		{"/v2/t/coded", 404, registry.CodeNameUnknown},
		{"/v2/t/gate", 403, registry.CodeDenied},
		{"/v2/t/gate-anonymous", 401, registry.CodeUnauthorized},
		{"/page/t/gate", 403, ""},
		{"/v2/t/strange", 500, registry.CodeInternal},
		{"/v2/t/detail", 400, registry.CodeDigestInvalid},
		{"/v2/t/route", 404, registry.CodeNameUnknown},
		{"/v2/t/teapot", 400, CodeRequestInvalid},
		{"/v2/t/gateway", 500, registry.CodeInternal},
		{"/v2/t/other", 500, registry.CodeInternal},
		{"/v2/t/cancelled", 500, registry.CodeInternal},
		{"/v2/t/panic", 500, registry.CodeInternal},
		{"/v2/no/such/route", 404, registry.CodeNameUnknown},
		{"/api/t/other", 500, registry.CodeInternal},
		{"/api/no/such/route", 404, CodeNotFound},
		{"/page/t/other", 500, ""},
		{"/page/t/denied", 403, ""},
		{"/page/no/such/route", 404, ""},
	} {
		t.Run(tc.path, func(t *testing.T) {
			t.Parallel()
			resp, body := r.get(tc.path)
			if resp.StatusCode != tc.status || code(body) != tc.code {
				t.Errorf("status %d, body %s", resp.StatusCode, body)
			}
			if strings.Contains(body, "canary") || strings.Contains(body, "goroutine") {
				t.Errorf("the cause is shown: %s", body)
			}
			if tc.code == "" && !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
				t.Errorf("content type %q", resp.Header.Get("Content-Type"))
			}
			if tc.status == 500 && tc.path != "/v2/t/strange" {
				id := resp.Header.Get("X-Request-Id")
				line := r.logged(func(m map[string]any) bool { return m["request"] == id })
				if line["level"] != "ERROR" || (!strings.Contains(fmt.Sprint(line["error"]), "canary") && !strings.HasSuffix(tc.path, "gateway")) {
					t.Errorf("log line %v", line)
				}
			}
		})
	}

	t.Run("method", func(t *testing.T) {
		t.Parallel()
		resp, body := r.send(http.MethodPost, "/v2/t/other", nil)
		if resp.StatusCode != 405 || code(body) != registry.CodeUnsupported || !strings.Contains(resp.Header.Get("Allow"), "GET") {
			t.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
		}
	})
	t.Run("lost content is logged as an error", func(t *testing.T) {
		t.Parallel()
		resp, _ := r.get("/v2/t/object")
		id := resp.Header.Get("X-Request-Id")
		if line := r.logged(func(m map[string]any) bool { return m["request"] == id }); line["level"] != "ERROR" {
			t.Errorf("log line %v", line)
		}
	})
	t.Run("panic's stack is logged", func(t *testing.T) {
		t.Parallel()
		r.get("/v2/t/panic")
		line := r.logged(func(m map[string]any) bool { return m["stack"] != nil })
		if !strings.Contains(fmt.Sprint(line["stack"]), "errors_test.go") {
			t.Errorf("stack %v", line["stack"])
		}
	})
}

// TestHuggingFaceErrors looks at what the clients of Hugging Face tell errors
// apart by, for those of handlers and of the edge alike.
func TestHuggingFaceErrors(t *testing.T) {
	t.Parallel()
	causes := map[string]error{
		"unauthenticated": fmt.Errorf("x: %w", auth.ErrUnauthenticated),
		"denied":          fmt.Errorf("x: %w", auth.ErrDenied),
		"repository":      registry.Errorf(registry.CodeNameUnknown, "m"),
		"name":            registry.Errorf(registry.CodeNameInvalid, "m"),
		"revision":        registry.Errorf(registry.CodeManifestUnknown, "m"),
		"entry":           registry.Errorf(CodeFileUnknown, "no such file"),
		"whoami":          registry.Errorf(registry.CodeUnauthorized, "nobody\nis signed in"),
		"busy":            registry.Errorf(registry.CodeTooManyRequests, "slower"),
		"gate":            registry.Wrap(errors.Join(&registry.GateError{Name: "org/m", State: "failed"}, auth.ErrUnauthenticated), registry.CodeUnauthorized, "m"),
		"consent":         registry.Wrap(&registry.ConsentError{Name: "org/m"}, registry.CodeDenied, "m"),
		"policy":          registry.Wrap(&registry.PolicyError{Name: "org/m"}, registry.CodeDenied, "m"),
		"other":           errDatabase,
	}
	r := setup(t, func(e *echo.Echo) {
		e.GET("/api/models/:name", func(c echo.Context) error {
			c.Response().Header().Set("ETag", `"x"`)
			c.Response().Header().Set(HeaderLinkedSize, "7")
			return causes[c.Param("name")]
		})
		e.GET("/api/models/panic", func(echo.Context) error { panic("canary-cause") })
	})
	for _, tt := range []struct {
		path    string
		status  int
		code    string
		message string // part of it
	}{
		{"/api/models/unauthenticated", 401, "RepoNotFound", "HF_TOKEN"},
		{"/api/models/denied", 404, "RepoNotFound", "no such model"},
		{"/api/models/repository", 404, "RepoNotFound", "no such model"},
		{"/api/models/name", 404, "RepoNotFound", "no such model"},
		{"/api/models/revision", 404, "RevisionNotFound", "version"},
		{"/api/models/entry", 404, "EntryNotFound", "no such file"},
		{"/api/models/whoami", 401, "", "nobody is signed in"},
		{"/api/models/busy", 429, "", "slower"},
		{"/api/models/gate", 403, "", "/org/m"},
		{"/api/models/consent", 403, "GatedRepo", "/org/m"},
		{"/api/models/policy", 403, "", "/org/m"},
		{"/api/models/other", 500, "", "log has the reason"},
		{"/api/models/panic", 500, "", "log has the reason"},
		{"/api/datasets/a/b", 404, "", "nothing at this address"},
		{"/a/b/resolve/%2e%2e/x", 400, "", "escaped"},
	} {
		resp, body := r.get(tt.path)
		h := resp.Header
		var answer map[string]string
		if err := json.Unmarshal([]byte(body), &answer); err != nil || answer["error"] == "" || strings.Contains(body, "canary") {
			t.Errorf("%s: body %s", tt.path, body)
		}
		if resp.StatusCode != tt.status || h.Get("X-Error-Code") != tt.code || !strings.Contains(h.Get("X-Error-Message"), tt.message) || h.Get("ETag")+h.Get(HeaderLinkedSize) != "" {
			t.Errorf("%s: %d %v", tt.path, resp.StatusCode, h)
		}
		if (tt.status == 429) != (h.Get("Retry-After") != "") {
			t.Errorf("%s: Retry-After %q", tt.path, h.Get("Retry-After"))
		}
	}
	resp, _ := r.send(http.MethodGet, "/api/models/other", nil, "Authorization", "Bearer hf_wrong")
	if h := resp.Header; resp.StatusCode != 401 || h.Get("X-Error-Code") != "" || h.Get("X-Error-Message") != "Invalid credentials in Authorization header" {
		t.Errorf("wrong credentials: %d %v", resp.StatusCode, h)
	}
}

func TestErrorOfHead(t *testing.T) {
	t.Parallel()
	r := setup(t, func(e *echo.Echo) {
		e.HEAD("/v2/x", func(c echo.Context) error {
			c.Response().Header().Set("Content-Length", "99")
			c.Response().Header().Set("Content-Range", "bytes */99")
			return registry.Errorf(registry.CodeRangeInvalid, "m")
		})
	})
	resp, body := r.send(http.MethodHead, "/v2/x", nil)
	if resp.StatusCode != 416 || body != "" || resp.ContentLength == 99 || resp.Header.Get("Content-Range") != "bytes */99" {
		t.Errorf("%d %v %q", resp.StatusCode, resp.Header, body)
	}
}

// An answer that has begun is cut, never ended as if it were whole.
func TestErrorAfterStart(t *testing.T) {
	t.Parallel()
	write := func(c echo.Context) {
		c.Response().WriteHeader(http.StatusOK)
		_, _ = c.Response().Write([]byte("begun"))
		c.Response().Flush()
	}
	r := setup(t, func(e *echo.Echo) {
		e.GET("/v2/error", func(c echo.Context) error {
			write(c)
			return errDatabase
		})
		e.GET("/v2/panic", func(c echo.Context) error {
			write(c)
			panic("later")
		})
	})
	for _, path := range []string{"/v2/error", "/v2/panic"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if !errors.Is(err, io.ErrUnexpectedEOF) || string(body) != "begun" {
			t.Errorf("%s: %q, %v", path, body, err)
		}
		line := r.logged(func(m map[string]any) bool { return m["path"] == path })
		if line["aborted"] != true || line["level"] != "ERROR" {
			t.Errorf("%s: log line %v", path, line)
		}
	}
}

func TestClientGone(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	r := setup(t, func(e *echo.Echo) {
		e.GET("/v2/wait", func(c echo.Context) error {
			close(begun)
			<-c.Request().Context().Done()
			return fmt.Errorf("query: %w", c.Request().Context().Err())
		})
	})
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"/v2/wait", nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-begun
		cancel()
	}()
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
		t.Fatal("an answer without a client")
	}
	if line := r.logged(withStatus(statusGone)); line["level"] != "INFO" {
		t.Errorf("log line %v", line)
	}
}

func TestErrorPage(t *testing.T) {
	t.Parallel()
	r := setup(t, nil, func(o *Options) {
		o.ErrorPage = func(c echo.Context, status int, message string) error {
			if c.Request().URL.Path == "/broken" {
				return errors.New("template is broken")
			}
			return c.HTML(status, "<h1>"+message+"</h1>")
		}
	})
	resp, body := r.get("/nothing")
	if resp.StatusCode != 404 || body != "<h1>there is nothing at this address</h1>" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	resp, body = r.get("/broken")
	if resp.StatusCode != 404 || body != "there is nothing at this address\n" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if _, body = r.get("/api/nothing"); code(body) != CodeNotFound {
		t.Errorf("the API answers %s", body)
	}
}

// TestBodyLimits reads a body through http.MaxBytesReader as handlers do.
func TestBodyLimit(t *testing.T) {
	t.Parallel()
	r := setup(t, func(e *echo.Echo) {
		e.PUT("/api/x", func(c echo.Context) error {
			_, err := io.ReadAll(http.MaxBytesReader(c.Response().Writer, c.Request().Body, 10))
			return err
		})
	})
	resp, body := r.send(http.MethodPut, "/api/x", bytes.NewReader(make([]byte, 11)))
	if resp.StatusCode != http.StatusRequestEntityTooLarge || code(body) != CodeRequestTooLarge {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

// TestGateGoldens pins what a pull is told that a gate refused.
func TestGateGoldens(t *testing.T) {
	t.Parallel()
	for name, refused := range map[string]error{
		"gate":    &registry.GateError{Name: "org/m", Digest: registry.DigestOf(registry.SHA256, nil), State: "failed"},
		"consent": &registry.ConsentError{Name: "org/m", Digest: registry.DigestOf(registry.SHA256, nil)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refusal(t, name, refused)
		})
	}
}

func refusal(t *testing.T, name string, refused error) {
	t.Helper()
	r := setup(t, func(e *echo.Echo) {
		e.GET("/v2/refused", func(echo.Context) error {
			return fmt.Errorf("serve: %w", registry.Wrap(refused, registry.CodeDenied, refused.Error()))
		})
	}, func(o *Options) { o.PublicURL = "https://hub.example/" })
	resp, got := r.get("/v2/refused")
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("status %d", resp.StatusCode)
	}
	file := filepath.Join("testdata", "errors", name+".json")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(golden), got); diff != "" {
		t.Error(diff)
	}
}
