package main

import (
	"bytes"
	"context"
	"net/http"
	neturl "net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/internal/browsertest"
)

// watched is what a command prints, to be read while it runs.
type watched struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

var browserAddress = regexp.MustCompile(`Open (\S+) in a browser, and allow the code (\S+) within`)

// loginByBrowser runs "carat login --browser", and hands what it prints to
// answer; it returns the exit code.
func loginByBrowser(t *testing.T, u user, host string, answer func(address, code string)) (int, string) {
	t.Helper()
	var out watched
	ended := make(chan int, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		getenv := func(name string) string {
			if name == "DOCKER_CONFIG" {
				return u.home
			}
			return ""
		}
		ended <- run(ctx, []string{"login", host, "--browser"}, getenv, strings.NewReader(""), &out, &out)
	}()
	var told []string
	eventually(t, "the program says where", func() bool {
		told = browserAddress.FindStringSubmatch(out.String())
		return told != nil
	})
	answer(told[1], told[2])
	return <-ended, out.String()
}

func TestLoginByBrowser(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, h *theHub, url string) {
		admin, u, host := user{t.TempDir()}, user{t.TempDir()}, strings.TrimPrefix(url, "http://")
		admin.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
		admin.must(t, "", "push", example, host+"/acme/secret:v1")
		if err := h.registry.SetVisibility(t.Context(), auth.System("acme/secret", auth.Maintain), auth.Private); err != nil {
			t.Fatal(err)
		}
		refused := filepath.Join(t.TempDir(), "m")
		u.expect(t, 1, "carat login", "pull", host+"/acme/secret:v1", "-o", refused)

		ctx := browsertest.New(t)
		do := func(what string, steps ...chromedp.Action[chromedp.Void]) {
			t.Helper()
			if err := chromedp.Do(ctx, steps...); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		code, out := loginByBrowser(t, u, host, func(address, _ string) {
			do("be sent to sign in", chromedp.Navigate(address), chromedp.WaitVisible(chromedp.CSS("#password")),
				chromedp.SetValue(chromedp.CSS("#name"), adminName), chromedp.SetValue(chromedp.CSS("#password"), testPassword), chromedp.Click(chromedp.CSS(".sign-in button")))
			do("see the code", chromedp.WaitVisible(chromedp.CSS(".code")))
			browsertest.Screenshot(t, ctx, "device")
			do("allow it", chromedp.Click(chromedp.CSS("button[value=allow]")), chromedp.WaitVisible(chromedp.CSS("p[role=status]")))
		})
		if code != 0 || !strings.Contains(out, "logged in to "+host) {
			t.Fatalf("exit code %d\n%s", code, out)
		}
		u.must(t, "", "pull", host+"/acme/secret:v1", "-o", filepath.Join(t.TempDir(), "m"))
		u.must(t, "", "push", example, host+"/acme/another:v1")

		code, out = loginByBrowser(t, user{t.TempDir()}, host, func(_, shown string) {
			do("type the code", chromedp.Navigate(url+"/auth/device"), chromedp.WaitVisible(chromedp.CSS("#code")),
				chromedp.SetValue(chromedp.CSS("#code"), strings.ToLower(shown)), chromedp.Click(chromedp.CSS(".sign-in button")), chromedp.WaitVisible(chromedp.CSS(".code")))
			do("refuse it", chromedp.Click(chromedp.CSS("button[value=deny]")), chromedp.WaitVisible(chromedp.CSS("p[role=status]")))
		})
		if code != 1 || !strings.Contains(out, "it was refused in the browser") {
			t.Errorf("exit code %d\n%s", code, out)
		}
		u.expect(t, 2, "--browser asks for no name", "login", host, "--browser", "-u", "x")
		u.expect(t, 1, "signs no programs in by browser", "login", plainRegistry(t), "--browser")

		// What nobody signed in, and what is no code, leads nowhere.
		for path, want := range map[string]int{"/auth/device": 401, "/auth/device?code=BBBB-BBBB": 401} {
			if got := must(send(must(http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, nil))(t)))(t); got.status != want {
				t.Errorf("%s: status %d", path, got.status)
			}
		}
		form := neturl.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {"carat_device_x"}}
		req := must(http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/token", strings.NewReader(form.Encode())))(t)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if got := must(send(req))(t); got.status != http.StatusBadRequest || !strings.Contains(string(got.body), `"expired_token"`) {
			t.Errorf("%d %s", got.status, got.body)
		}
	})
}
