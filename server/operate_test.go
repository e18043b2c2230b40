package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
)

func TestRequestID(t *testing.T) {
	t.Parallel()
	r := setup(t, func(e *echo.Echo) {
		e.GET("/id", func(c echo.Context) error { return c.String(http.StatusOK, RequestIDOf(c.Request().Context())) })
	})
	for sent, taken := range map[string]bool{
		"": false, "abc-1.2_3": true, strings.Repeat("a", 64): true, strings.Repeat("a", 65): false,
		"a b": false, "a\"b": false, "<b>": false, "-a": false, "ä": false,
	} {
		resp, body := r.get("/id", "X-Request-Id", sent)
		if got := resp.Header.Get("X-Request-Id"); (got == sent) != taken || got == "" || got != body {
			t.Errorf("%q becomes %q, the handler sees %q", sent, got, body)
		}
	}
}

func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	r := setup(t, func(e *echo.Echo) {
		e.GET("/page", func(c echo.Context) error {
			c.Response().Header().Set("Content-Security-Policy", "default-src 'self'")
			return c.HTML(http.StatusOK, "<p>")
		})
	})
	for path, policy := range map[string]string{
		"/page":    "default-src 'self'",
		"/nothing": "default-src 'none'; frame-ancestors 'none'; sandbox",
		"/livez":   "default-src 'none'; frame-ancestors 'none'; sandbox",
	} {
		resp, _ := r.get(path)
		if resp.Header.Get("X-Content-Type-Options") != "nosniff" || resp.Header.Get("X-Frame-Options") != "DENY" || resp.Header.Get("Content-Security-Policy") != policy {
			t.Errorf("%s: %v", path, resp.Header)
		}
	}
}

// No credential of any kind may reach the log or the metrics.
func TestNoSecretsInLogs(t *testing.T) {
	t.Parallel()
	r := setup(t, func(e *echo.Echo) {
		whoami(e)
		e.GET("/v2/panic", func(echo.Context) error { panic("boom") })
		e.PUT("/v2/x", func(c echo.Context) error {
			_, err := io.ReadAll(c.Request().Body)
			return errors.Join(err, errors.New("later"))
		})
	})
	tok := r.bearer(admin, "repository:open/model:pull")
	short := tok[len(tok)-20:]
	secrets := []string{password, "canary-", short, "c2VjcmV0"}
	form := url.Values{"grant_type": {"password"}, "username": {"admin"}, "password": {password}}.Encode()
	const isForm = "application/x-www-form-urlencoded"
	for _, send := range []func(){
		func() { r.get("/token", "Authorization", basic("admin", password)) },
		func() { r.get("/token", "Authorization", basic("admin", "canary-wrong")) },
		func() { r.get("/token", "Authorization", basic("canary-user", "x")) },
		func() { r.get("/token?password=canary-query&scope=canary-scope&service=canary") },
		func() { r.send("POST", "/token", strings.NewReader(form), "Content-Type", isForm) },
		func() {
			r.send("POST", "/token", strings.NewReader("password=canary-form&%zz"), "Content-Type", isForm)
		},
		func() { r.get("/v2/whoami", "Authorization", tok) },
		func() { r.get("/v2/whoami", "Authorization", tok+"canary-") },
		func() { r.get("/v2/whoami", "Authorization", "Bearer canary-token") },
		func() { r.get("/v2/whoami", "Authorization", "canary-scheme c2VjcmV0") },
		func() { r.get("/v2/whoami", "Authorization", "Basic c2VjcmV0") },
		func() { r.get("/api/whoami", "Authorization", "Basic c2VjcmV0") },
		func() {
			r.get("/v2/panic?token=canary-query", "Authorization", tok, "Cookie", "session=canary-cookie")
		},
		func() { r.send("PUT", "/v2/x", strings.NewReader("canary-body"), "Authorization", tok) },
	} {
		send()
	}
	r.get("/livez", "X-Request-Id", "last")
	r.logged(func(m map[string]any) bool { return m["request"] == "last" })
	_, shown := r.get("/metrics", "Authorization", basic("admin", password))
	text, _ := r.log.read()
	if !strings.Contains(text, "/v2/panic") || !strings.Contains(shown, "carat_http_requests_total") {
		t.Fatalf("nothing to look at:\n%s\n%s", text, shown)
	}
	for _, s := range secrets {
		if strings.Contains(text, s) {
			t.Errorf("%q is in the log:\n%s", s, text)
		}
		if strings.Contains(shown, s) {
			t.Errorf("%q is in the metrics", s)
		}
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	r := setup(t, func(e *echo.Echo) {
		e.Any("/v2/*", func(c echo.Context) error {
			SetRoute(c.Request().Context(), "/v2/{name}/blobs/{digest}")
			n, err := io.Copy(io.Discard, c.Request().Body)
			if err != nil {
				return err
			}
			return c.String(http.StatusOK, strings.Repeat("x", int(n)*2))
		})
		e.GET("/:org/:name/x", func(c echo.Context) error { return c.NoContent(http.StatusNoContent) })
	})
	r.send(http.MethodPut, "/v2/a/b/c", strings.NewReader("12345"))
	r.send(http.MethodPut, "/v2/d/e/f", strings.NewReader("1"))
	r.get("/some/model/x")
	r.get("/nowhere")
	r.send("BREW", "/nowhere", nil)
	for _, path := range []string{"/v2/a/b/c", "/v2/d/e/f", "/some/model/x"} {
		r.logged(func(m map[string]any) bool { return m["path"] == path })
	}
	r.logged(func(m map[string]any) bool { return m["method"] == "BREW" })
	resp, text := r.get("/metrics", "Authorization", basic("admin", password))
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("content type %q", resp.Header.Get("Content-Type"))
	}
	for _, line := range []string{
		`carat_http_requests_total{method="PUT",route="/v2/{name}/blobs/{digest}",status="200"} 2`,
		`carat_http_requests_total{method="GET",route="/:org/:name/x",status="204"} 1`,
		`carat_http_requests_total{method="GET",route="none",status="404"} 1`,
		`carat_http_requests_total{method="other",route="none",status="404"} 1`,
		`carat_http_received_bytes_total{route="/v2/{name}/blobs/{digest}"} 6`,
		`carat_http_sent_bytes_total{route="/v2/{name}/blobs/{digest}"} 12`,
		`carat_http_request_duration_seconds_count{method="PUT",route="/v2/{name}/blobs/{digest}"} 2`,
		`carat_http_requests_in_flight 1`, // this one
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %s in\n%s", line, text)
		}
	}
}

func TestMetricsOfProcess(t *testing.T) {
	t.Parallel()
	r := setup(t, nil, func(o *Options) { o.Metrics = nil })
	_, text := r.get("/metrics", "Authorization", basic("admin", password))
	for _, name := range []string{"go_goroutines ", "process_open_fds ", "carat_http_requests_in_flight "} {
		if !strings.Contains(text, "\n"+name) {
			t.Errorf("no metric %s", name)
		}
	}
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	var (
		now    atomic.Int64
		pings  atomic.Int64
		broken atomic.Bool
	)
	r := setup(t, nil, func(o *Options) {
		o.Clock = func() time.Time { return time.UnixMilli(now.Load()) }
		o.Checks = []Check{
			{Name: "database", Ping: func(context.Context) error {
				pings.Add(1)
				return nil
			}},
			{Name: "blobs", Ping: func(ctx context.Context) error {
				if _, ok := ctx.Deadline(); !ok {
					return errors.New("no deadline")
				}
				if broken.Load() {
					return errDatabase
				}
				return nil
			}},
		}
	})
	ready := func(wantStatus int, want healthReport) {
		t.Helper()
		resp, body := r.get("/readyz")
		var got healthReport
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		if diff := cmp.Diff(want, got); resp.StatusCode != wantStatus || diff != "" {
			t.Errorf("status %d: %s", resp.StatusCode, diff)
		}
	}
	good := healthReport{Status: "ok", Parts: map[string]string{"database": "ok", "blobs": "ok"}}
	bad := healthReport{Status: "unavailable", Parts: map[string]string{"database": "ok", "blobs": "unavailable"}}

	ready(http.StatusOK, good)
	broken.Store(true)
	now.Store(999)
	ready(http.StatusOK, good) // from less than a second ago
	if n := pings.Load(); n != 1 {
		t.Errorf("%d pings", n)
	}
	now.Store(1000)
	ready(http.StatusServiceUnavailable, bad)
	if resp, _ := r.get("/livez"); resp.StatusCode != http.StatusOK {
		t.Errorf("alive: %d", resp.StatusCode)
	}
	r.logged(func(m map[string]any) bool { return m["msg"] == "not ready" && m["part"] == "blobs" })
	broken.Store(false)
	now.Store(2000)
	ready(http.StatusOK, good)
	// A probe with bad credentials is still a probe.
	if resp, _ := r.get("/readyz", "Authorization", "Bearer forged"); resp.StatusCode != http.StatusOK {
		t.Errorf("with credentials: %d", resp.StatusCode)
	}
}

// slowRoute answers once released.
func slowRoute(begun chan<- struct{}, release <-chan struct{}) func(e *echo.Echo) {
	return func(e *echo.Echo) {
		e.PUT("/v2/slow", func(c echo.Context) error {
			begun <- struct{}{}
			select {
			case <-release:
				return c.String(http.StatusCreated, "done")
			case <-c.Request().Context().Done():
				return c.Request().Context().Err()
			}
		})
	}
}

func TestShutdownFinishesInFlight(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}), make(chan struct{})
	r := setup(t, slowRoute(begun, release))
	type result struct {
		status int
		body   string
		err    error
	}
	answered := make(chan result, 1)
	go func() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, r.url+"/v2/slow", strings.NewReader("body"))
		if err != nil {
			answered <- result{err: err}
			return
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			answered <- result{err: err}
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		answered <- result{resp.StatusCode, string(body), err}
	}()
	<-begun
	r.stop()
	// Not ready any more, as soon as the shutdown has begun.
	for deadline := time.Now().Add(10 * time.Second); ; {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
		if w.Code == http.StatusServiceUnavailable && strings.Contains(w.Body.String(), "stopping") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("ready while shutting down: %d %s", w.Code, w.Body)
		}
	}
	select {
	case err := <-r.ended:
		t.Fatalf("the server ended with a request in flight: %v", err)
	default:
	}
	close(release)
	if got := <-answered; got.err != nil || got.status != http.StatusCreated || got.body != "done" {
		t.Errorf("answer %+v", got)
	}
	if err := <-r.ended; err != nil {
		t.Errorf("shutdown: %v", err)
	}
}

func TestShutdownCutsAfterGrace(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	r := setup(t, slowRoute(begun, nil), func(o *Options) { o.Grace = time.Millisecond })
	failed := make(chan error, 1)
	go func() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, r.url+"/v2/slow", http.NoBody)
		if err != nil {
			failed <- err
			return
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		failed <- err
	}()
	<-begun
	r.stop()
	if err := <-r.ended; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("shutdown: %v", err)
	}
	if err := <-failed; err == nil {
		t.Error("the request that was cut has an answer")
	}
	r.logged(withStatus(statusGone))
}

func TestShutdownIdle(t *testing.T) {
	t.Parallel()
	r := setup(t, nil)
	r.get("/livez")
	r.stop()
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
}

func TestContextWithoutServer(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(auth.Principal{}, PrincipalOf(t.Context())); diff != "" {
		t.Error(diff)
	}
}
