package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/internal/browsertest"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

// listen serves what is in the pointer, and fails the test for every answer
// that is an error: a page must not name what is not there.
func listen(t *testing.T, s *atomic.Pointer[site]) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		s.Load().echo.ServeHTTP(rec, r)
		if rec.Code >= 400 {
			t.Errorf("%s %s: status %d", r.Method, r.URL, rec.Code)
		}
		for name, values := range rec.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func serving(t *testing.T, h *hub) string {
	t.Helper()
	return servingAs(t, h, "")
}

// servingAs serves pages to somebody who is signed in.
func servingAs(t *testing.T, h *hub, who string) string {
	t.Helper()
	s := setup(t, h)
	s.echo.Pre(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			c.Request().Header.Set(as, who)
			return next(c)
		}
	})
	var p atomic.Pointer[site]
	p.Store(s)
	return listen(t, &p)
}

func withoutScript(t *testing.T, ctx context.Context) {
	t.Helper()
	if _, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
}

func do(t *testing.T, ctx context.Context, what string, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// TestBrowse goes the way of a visitor: search, the model, each of its tabs.
func TestBrowse(t *testing.T) {
	t.Parallel()
	for _, script := range []bool{true, false} {
		name := "with script"
		if !script {
			name = "without script"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := browsertest.New(t)
			if !script {
				withoutScript(t, ctx)
			}
			do(t, ctx, "open home", chromedp.Navigate(serving(t, example())+"/"), chromedp.WaitVisible(chromedp.CSS(".models")))
			do(t, ctx, "search", chromedp.SendKeys(chromedp.CSS("#find"), "tiny-llama\r"), chromedp.WaitVisible(chromedp.CSS("h1 bdi")))
			do(t, ctx, "filter", chromedp.SetValue(chromedp.CSS("#format"), "safetensors"), chromedp.Click(chromedp.CSS(".filters button")),
				chromedp.WaitReady(chromedp.CSS(`#format option[value="safetensors"][selected]`)))
			do(t, ctx, "open the model", chromedp.Click(chromedp.CSS(`.models h2 a[href="/carat/tiny-llama"]`)), chromedp.WaitVisible(chromedp.CSS(".markdown")))
			for tab, shows := range map[string]string{
				"files": "table .path", "tags": "tr.current", "license": ".answers", "verification": ".checks", "": ".markdown table",
			} {
				href := "/carat/tiny-llama"
				if tab != "" {
					href += "/" + tab
				}
				do(t, ctx, "open tab "+tab, chromedp.Click(chromedp.CSS(`.tabs a[href="`+href+`"]`)),
					chromedp.WaitVisible(chromedp.CSS(`.tabs a[aria-current][href="`+href+`"]`)), chromedp.WaitVisible(chromedp.CSS(shows)))
			}
			do(t, ctx, "open the evidence", chromedp.Click(chromedp.CSS(`.tabs a[href$="/verification"]`)),
				chromedp.Click(chromedp.CSS("#evidence-1 summary")), chromedp.WaitVisible(chromedp.CSS("#evidence-1 pre")))
			do(t, ctx, "open another version", chromedp.Click(chromedp.CSS(`.tabs a[href$="/tags"]`)), chromedp.Click(chromedp.CSS(`a.tag[href$="ref=v1"]`)),
				chromedp.WaitVisible(chromedp.CSS(".badge.failed")))
			copies, err := chromedp.Run(ctx, chromedp.Nodes(chromedp.CSS(".pull button:not([hidden])"), chromedp.AtLeast(0)))
			if err != nil {
				t.Fatal(err)
			}
			if (len(copies) > 0) != script {
				t.Errorf("%d copy buttons are shown, with script: %v", len(copies), script)
			}
		})
	}
}

// TestLive shows that a page follows a verification, with and without script.
func TestLive(t *testing.T) {
	t.Parallel()
	for _, script := range []bool{true, false} {
		name := "with script"
		if !script {
			name = "without script"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := browsertest.New(t)
			if !script {
				withoutScript(t, ctx)
			}
			var p atomic.Pointer[site]
			p.Store(setup(t, example()))
			do(t, ctx, "open", chromedp.Navigate(listen(t, &p)+"/lab/running/verification"), chromedp.WaitVisible(chromedp.CSS(".verdict.running")))

			done := example()
			for i := range done.models {
				for j := range done.models[i].versions {
					done.models[i].versions[j].Verification = &registry.VerificationSummary{State: string(verify.StatePassed)}
				}
			}
			done.verifications[digest("running")] = done.verifications[digest("v2")]
			p.Store(setup(t, done))
			do(t, ctx, "wait for the result", chromedp.WaitVisible(chromedp.CSS(".verdict.passed")), chromedp.WaitVisible(chromedp.CSS("#model-head .badge.passed")))
		})
	}
}

// TestForeignTextInBrowser opens pages full of hostile text; the browser's
// fixture reports whatever tries to run or to load.
func TestForeignTextInBrowser(t *testing.T) {
	t.Parallel()
	ctx := browsertest.New(t)
	url := serving(t, poisoned(strings.Join(payloads, "\n\n")))
	for _, path := range []string{"/", "/org/model", "/org/model/files", "/org/model/tags", "/org/model/license", "/org/model/verification"} {
		do(t, ctx, "open "+path, chromedp.Navigate(url+path), chromedp.WaitVisible(chromedp.CSS("footer")))
	}
}

// TestLooks takes pictures at the width of a desk and of a phone, by day and
// by night, and measures that nothing is wider than the window.
func TestLooks(t *testing.T) {
	t.Parallel()
	ctx := browsertest.New(t)
	url := serving(t, example())
	empty := serving(t, &hub{})
	pages := map[string]string{
		"home": url + "/", "empty": empty + "/", "card": url + "/carat/tiny-llama", "files": url + "/carat/tiny-llama/files",
		"sessions": servingAs(t, example(), "user") + "/settings/sessions",
		"twisted":  url + "/lab/twisted/license", "tags": url + "/carat/tiny-llama/tags", "license": url + "/lab/running/license", "passed": url + "/carat/tiny-llama/verification",
		"failed": url + "/carat/tiny-llama/verification?ref=v1", "pending": url + "/lab/just-pushed", "unreadable": url + "/lab/unreadable",
		"audit": servingAs(t, busy(), "admin") + "/admin/audit", "audit-none": servingAs(t, &hub{}, "admin") + "/admin/audit?actor=ada",
	}
	for _, scheme := range []string{"light", "dark"} {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		if err != nil {
			t.Fatal(err)
		}
		for size, width := range map[string]int64{"wide": 1280, "narrow": 390} {
			for name, page := range pages {
				do(t, ctx, name, chromedp.EmulateViewport(width, 900), chromedp.Navigate(page), chromedp.WaitVisible(chromedp.CSS("footer")))
				got, err := chromedp.Run(ctx, chromedp.Evaluate[int64]("document.documentElement.scrollWidth"))
				if err != nil {
					t.Fatal(err)
				}
				if got > width {
					t.Errorf("%s is %d pixels wide in a window of %d", name, got, width)
				}
				browsertest.Screenshot(t, ctx, name+"-"+size+"-"+scheme)
			}
		}
	}
}
