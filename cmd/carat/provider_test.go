package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	neturl "net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/internal/browsertest"
	"github.com/carat-hub/carat/internal/oidctest"
)

// TestProviderSignIn signs people in at a real OpenID provider, in a browser.
func TestProviderSignIn(t *testing.T) {
	t.Parallel()
	for _, p := range pairings {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			// The provider knows where it sends people back to before the hub is there.
			var hub atomic.Pointer[httputil.ReverseProxy]
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { hub.Load().ServeHTTP(w, r) }))
			t.Cleanup(front.Close)
			provider := oidctest.StartFor(t, front.URL+"/auth/corp/callback", []string{"carat"}, []string{"Ada.L", "admin"})
			c, getenv := p.config(t)
			dir := t.TempDir()
			secret := filepath.Join(dir, "secret")
			write(t, secret, []byte("secret\n"))
			config := must(json.Marshal(map[string]any{"providers": []map[string]any{{
				"name": "corp", "title": "Corp ID", "issuer": provider.Issuer, "clientId": "carat", "clientSecretFile": secret,
				"groupsClaim": "preferred_username", // the provider knows no groups
				"roles":       []map[string]string{{"group": "Ada.L", "scope": "acme", "role": "writer"}, {"group": "others", "scope": "lab", "role": "owner"}},
			}}}))(t)
			c.Providers = filepath.Join(dir, "providers.json")
			write(t, c.Providers, config)
			c.PublicURL = front.URL
			h, url := startHub(t, c, getenv)
			hub.Store(httputil.NewSingleHostReverseProxy(must(neturl.Parse(url))(t)))

			u, host := user{t.TempDir()}, strings.TrimPrefix(front.URL, "http://")
			u.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
			u.must(t, "", "push", example, host+"/acme/secret:v1")
			if err := h.registry.SetVisibility(t.Context(), auth.System("acme/secret", auth.Maintain), auth.Private); err != nil {
				t.Fatal(err)
			}

			signIn := func(subject string) {
				t.Helper()
				ctx := browsertest.New(t)
				do := func(what string, steps ...chromedp.Action[chromedp.Void]) {
					t.Helper()
					if err := chromedp.Do(ctx, steps...); err != nil {
						t.Fatalf("%s: %v", what, err)
					}
				}
				do("see the provider", chromedp.Navigate(front.URL+"/login?next=/acme/secret"), chromedp.WaitVisible(chromedp.CSS(".provider")))
				browsertest.Screenshot(t, ctx, "provider")
				do("go there", chromedp.Click(chromedp.CSS(".provider")), chromedp.WaitVisible(chromedp.CSS("#username")))
				do("sign in there", chromedp.SetValue(chromedp.CSS("#username"), subject), chromedp.SetValue(chromedp.CSS("#password"), subject), chromedp.Click(chromedp.CSS("button[type=submit]")))
				if subject == "admin" {
					do("come back to what one may not see", chromedp.WaitVisible(chromedp.CSS(".failure")), chromedp.Navigate(front.URL), chromedp.WaitVisible(chromedp.CSS(".user button")))
					return
				}
				do("come back to what was private", chromedp.WaitVisible(chromedp.CSS("#model-head")))
			}
			signIn("Ada.L")
			ada := must(h.store.User(t.Context(), "ada.l"))(t)
			if ada.Roles.On("acme") != auth.Writer || ada.Roles.On("ada.l") != auth.Owner || ada.Admin || ada.PasswordHash != "" {
				t.Errorf("%+v", ada)
			}
			signIn("Ada.L")
			// Who is called like somebody who is there already is somebody else.
			signIn("admin")
			other := must(h.store.User(t.Context(), adminName+"-2"))(t)
			if other.Admin || other.Roles.On("acme") != auth.NoRole {
				t.Errorf("%+v", other)
			}
			if list := must(h.store.Users(t.Context()))(t); len(list) != 3 {
				t.Errorf("users: %+v", list)
			}
			// Without a password nobody signs in with one.
			if _, _, code := (user{t.TempDir()}).carat(t, "x", "login", host, "-u", "ada.l", "--password-stdin"); code == 0 {
				t.Error("somebody without a password has one")
			}
		})
	}
}

// TestProviderCallback: what comes back without having been begun here does nothing.
func TestProviderCallback(t *testing.T) {
	t.Parallel()
	provider := oidctest.Start(t, []string{"carat"}, []string{"ada"})
	config := filepath.Join(t.TempDir(), "providers.json")
	write(t, config, must(json.Marshal(map[string]any{"providers": []map[string]any{{"name": "corp", "issuer": provider.Issuer, "clientId": "carat"}}}))(t))
	_, url := startHub(t, serveConfig{Providers: config}, nil)
	get := func(path string, cookies ...string) *http.Response {
		t.Helper()
		req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, nil))(t)
		for _, c := range cookies {
			req.Header.Add("Cookie", c)
		}
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		resp := must(client.Do(req))(t)
		resp.Body.Close()
		return resp
	}
	begun := get("/auth/corp?next=//evil.example")
	to := must(neturl.Parse(begun.Header.Get("Location")))(t)
	q := to.Query()
	if begun.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to.String(), provider.Issuer) || q.Get("code_challenge_method") != "S256" || q.Get("state") == "" || q.Get("nonce") == "" ||
		q.Get("redirect_uri") != url+"/auth/corp/callback" {
		t.Errorf("%d %s", begun.StatusCode, to)
	}
	cookie := begun.Cookies()[0]
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.MaxAge != int(auth.FlowLife.Seconds()) {
		t.Errorf("%+v", cookie)
	}
	kept := cookie.Name + "=" + cookie.Value
	for name, resp := range map[string]*http.Response{
		"without a cookie": get("/auth/corp/callback?state=" + q.Get("state") + "&code=x"),
		"another state":    get("/auth/corp/callback?state=x&code=x", kept),
		"no code":          get("/auth/corp/callback?error=access_denied&state="+q.Get("state"), kept),
		"a forged code":    get("/auth/corp/callback?state="+q.Get("state")+"&code=x", kept),
		"garbage":          get("/auth/corp/callback?state=x&code=x", cookie.Name+"=%%%"),
		"no provider":      get("/auth/other/callback?state="+q.Get("state")+"&code=x", kept),
		"begin of none":    get("/auth/other"),
	} {
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: status %d", name, resp.StatusCode)
		}
		for _, c := range resp.Cookies() {
			if strings.Contains(c.Name, "session") {
				t.Errorf("%s: %v", name, c)
			}
		}
	}
	provider.Stop()
	_, bare := startHub(t, serveConfig{}, nil)
	resp := must(http.Get(bare + "/auth/corp"))(t)
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("a hub without providers: %d", resp.StatusCode)
	}
}
