package browsertest_test

import (
	"bytes"
	"image/png"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/carat-hub/carat/internal/browsertest"
)

func serve(t *testing.T, policy, page string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(page))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestNew(t *testing.T) {
	t.Parallel()
	url := serve(t, "default-src 'self'; style-src 'unsafe-inline'",
		`<!doctype html><title>page</title><body style="background:#00f"><h1 id="h">hello</h1>`)
	ctx := browsertest.New(t)
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
	text, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("#h")))
	if err != nil {
		t.Fatal(err)
	}
	if text != "hello" {
		t.Errorf("heading = %q, want hello", text)
	}
	img, err := png.Decode(bytes.NewReader(browsertest.Screenshot(t, ctx, "browsertest")))
	if err != nil {
		t.Fatal(err)
	}
	if r, g, b, _ := img.At(img.Bounds().Dx()/2, 5).RGBA(); r != 0 || g != 0 || b != 0xffff {
		t.Errorf("colour of the page = %x %x %x, want blue", r, g, b)
	}
}

func TestNewReachesLoopbackOnly(t *testing.T) {
	t.Parallel()
	err := chromedp.Do(browsertest.New(t), chromedp.Navigate("http://example.com/"))
	if err == nil || !strings.Contains(err.Error(), "ERR_NAME_NOT_RESOLVED") {
		t.Errorf("Navigate = %v, want a name that is not resolved", err)
	}
}

// recorder stands for the test of a page that misbehaves: it notes the errors that New's cleanup reports.
type recorder struct {
	testing.TB
	cleanups []func()
	errors   []string
}

func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Error(args ...any) {
	for _, a := range args {
		r.errors = append(r.errors, a.(string))
	}
}

func TestFaultsFailTheTest(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, policy, page, want string }{
		{"error", "", `<script>throw new Error("mine")</script>`, "threw an error"},
		{"policy", "script-src 'self'", `<script>document.title = "no"</script>`, "security rule"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			url := serve(t, tc.policy, "<!doctype html><body>"+tc.page)
			rec := &recorder{TB: t}
			ctx := browsertest.New(rec)
			if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
				t.Fatal(err)
			}
			for i := len(rec.cleanups) - 1; i >= 0; i-- {
				rec.cleanups[i]()
			}
			if got := strings.Join(rec.errors, "\n"); !strings.Contains(got, tc.want) {
				t.Errorf("reported %q, want %q in it", got, tc.want)
			}
		})
	}
}
