package server

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/web"
)

// sessions is an auth.SessionStore in memory.
type sessions struct {
	users users

	mu   sync.Mutex
	list map[string]auth.Session
	next int64
}

func (s *sessions) CreateSession(_ context.Context, x auth.Session, hash []byte, _, _ time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	x.ID = s.next
	s.list[hex.EncodeToString(hash)] = x
	return nil
}

func (s *sessions) Session(_ context.Context, hash []byte) (auth.Session, auth.User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, ok := s.list[hex.EncodeToString(hash)]
	for _, u := range s.users {
		if ok && u.ID == x.UserID {
			return x, u, nil
		}
	}
	return x, auth.User{}, auth.ErrUnknownToken
}

func (s *sessions) TouchSession(_ context.Context, id int64, at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for h, x := range s.list {
		if x.ID == id {
			x.SeenAt = at
			s.list[h] = x
		}
	}
	return nil
}

func (s *sessions) Sessions(context.Context, int64) ([]auth.Session, error) { return nil, nil }

func (s *sessions) DeleteSession(_ context.Context, user, id int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for h, x := range s.list {
		if x.ID == id && x.UserID == user {
			delete(s.list, h)
			return nil
		}
	}
	return auth.ErrUnknownToken
}

// browser is one that keeps cookies and follows no redirects.
type browser struct {
	t *testing.T
	*http.Client
	url string
}

func newBrowser(t *testing.T, hub string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, hub}
}

func (b *browser) send(method, path string, form url.Values, header ...string) *http.Response {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := b.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

// as returns the name of who the hub takes the browser for, "" for nobody.
func (b *browser) as(path string) string {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.url+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	resp, err := b.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	var p auth.Principal
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
		b.t.Fatalf("%s: status %d: %v", path, resp.StatusCode, err)
	}
	return p.Name
}

func withSessions(t *testing.T, edits ...func(*Options)) (*rig, *sessions, *atomic.Int64) {
	t.Helper()
	clock := new(atomic.Int64)
	s := &sessions{list: map[string]auth.Session{}}
	r := setup(t, func(e *echo.Echo) {
		whoami(e)
		e.POST("/api/change", func(c echo.Context) error { return c.String(http.StatusOK, PrincipalOf(c.Request().Context()).Name) })
		e.POST("/change", func(c echo.Context) error { return c.String(http.StatusOK, PrincipalOf(c.Request().Context()).Name) })
		e.GET("/private", func(echo.Context) error { return auth.ErrUnauthenticated })
	}, append([]func(*Options){func(o *Options) {
		s.users = o.Users.(users)
		o.Sessions = s
		o.SignInPage = func(c echo.Context, status int, f web.SignInForm) error {
			return c.String(status, f.Next+"|"+f.Name+"|"+f.Problem)
		}
		o.Clock = func() time.Time { return time.Unix(1e9, 0).Add(time.Duration(clock.Load())) }
	}}, edits...)...)
	return r, s, clock
}

func credentialsOf(name string) url.Values {
	return url.Values{"name": {name}, "password": {password}, "next": {"/org/model?ref=v1"}}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	r, store, clock := withSessions(t)
	b := newBrowser(t, r.url)
	if got := b.send(http.MethodPost, "/login", url.Values{"name": {"user"}, "password": {"wrong"}}); got.StatusCode != http.StatusUnauthorized || got.Header.Get("Set-Cookie") != "" {
		t.Errorf("a wrong password: %d %v", got.StatusCode, got.Header)
	}
	got := b.send(http.MethodPost, "/login", credentialsOf("user"))
	if got.StatusCode != http.StatusSeeOther || got.Header.Get("Location") != "/org/model?ref=v1" {
		t.Fatalf("%d %v", got.StatusCode, got.Header)
	}
	for path, want := range map[string]string{"/whoami": "user", "/api/whoami": "user", "/v2/whoami": ""} {
		if who := b.as(path); who != want {
			t.Errorf("%s: %q, want %q", path, who, want)
		}
	}
	if other := newBrowser(t, r.url).as("/whoami"); other != "" {
		t.Errorf("another browser is %q", other)
	}
	clock.Add(int64(auth.SessionIdle - time.Minute))
	if who := b.as("/whoami"); who != "user" {
		t.Errorf("before a week without use: %q", who)
	}
	clock.Add(int64(auth.SessionIdle - time.Minute)) // it was seen a week ago
	if who := b.as("/whoami"); who != "user" {
		t.Errorf("after it was used: %q", who)
	}
	clock.Add(int64(auth.SessionIdle + time.Minute))
	if who := b.as("/whoami"); who != "" {
		t.Errorf("a week without use: %q", who)
	}
	b.send(http.MethodPost, "/login", credentialsOf("user"))
	for range 5 {
		clock.Add(int64(6 * 24 * time.Hour))
		b.as("/whoami")
	}
	if who := b.as("/whoami"); who != "user" {
		t.Errorf("thirty days: %q", who)
	}
	clock.Add(int64(time.Hour))
	if who := b.as("/whoami"); who != "" {
		t.Errorf("more than thirty days: %q", who)
	}

	b.send(http.MethodPost, "/login", credentialsOf("user"))
	u := store.users["user"]
	u.PasswordHash += "x"
	store.users["user"] = u
	if who := b.as("/whoami"); who != "" {
		t.Errorf("another password: %q", who)
	}
	b = newBrowser(t, r.url)
	b.send(http.MethodPost, "/login", credentialsOf("admin"))
	delete(store.users, "admin")
	if who := b.as("/whoami"); who != "" {
		t.Errorf("a user who is gone: %q", who)
	}
}

func TestSignOut(t *testing.T) {
	t.Parallel()
	r, store, _ := withSessions(t)
	b := newBrowser(t, r.url)
	b.send(http.MethodPost, "/login", credentialsOf("user"))
	stolen := cookies(t, b)
	if got := b.send(http.MethodPost, "/logout", url.Values{}); got.StatusCode != http.StatusSeeOther || got.Header.Get("Location") != "/" {
		t.Errorf("%d %v", got.StatusCode, got.Header)
	}
	if len(store.list) > 0 || len(cookies(t, b)) > 0 {
		t.Errorf("left: %v, %v", store.list, cookies(t, b))
	}
	thief := newBrowser(t, r.url)
	u, err := url.Parse(r.url)
	if err != nil {
		t.Fatal(err)
	}
	thief.Jar.SetCookies(u, stolen)
	if who := thief.as("/whoami"); who != "" {
		t.Errorf("the old cookie is %q", who)
	}
	if got := newBrowser(t, r.url).send(http.MethodPost, "/logout", url.Values{}); got.StatusCode != http.StatusSeeOther {
		t.Errorf("out of nothing: %d", got.StatusCode)
	}
}

func cookies(t *testing.T, b *browser) []*http.Cookie {
	t.Helper()
	u, err := url.Parse(b.url)
	if err != nil {
		t.Fatal(err)
	}
	return b.Jar.Cookies(u)
}

func TestSessionCookie(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]struct {
		name   string
		secure bool
	}{"": {"carat_session", false}, "https://hub.example.org": {"__Host-carat_session", true}} {
		r, _, _ := withSessions(t, func(o *Options) { o.PublicURL = base })
		got := newBrowser(t, r.url).send(http.MethodPost, "/login", credentialsOf("user"))
		list := got.Cookies()
		if len(list) != 1 {
			t.Fatalf("%q: %v", base, list)
		}
		c := list[0]
		if c.Name != want.name || c.Secure != want.secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge != int(auth.SessionLife.Seconds()) {
			t.Errorf("%q: %+v", base, c)
		}
		if strings.Contains(got.Header.Get("Location"), c.Value) {
			t.Error("the secret is in the address")
		}
	}
}

// TestSessionFixation: whatever the browser brings along, it leaves with a new secret.
func TestSessionFixation(t *testing.T) {
	t.Parallel()
	r, store, _ := withSessions(t)
	attacker := newBrowser(t, r.url)
	attacker.send(http.MethodPost, "/login", credentialsOf("user"))
	planted := cookies(t, attacker)
	victim := newBrowser(t, r.url)
	u, err := url.Parse(r.url)
	if err != nil {
		t.Fatal(err)
	}
	victim.Jar.SetCookies(u, planted)
	victim.send(http.MethodPost, "/login", credentialsOf("admin"))
	if got := cookies(t, victim); len(got) != 1 || got[0].Value == planted[0].Value {
		t.Fatalf("cookies: %v, planted %v", got, planted)
	}
	if who := victim.as("/whoami"); who != "admin" {
		t.Errorf("the victim is %q", who)
	}
	if who := attacker.as("/whoami"); who != "" {
		t.Errorf("the attacker is %q", who)
	}
	if len(store.list) != 1 {
		t.Errorf("%d sessions", len(store.list))
	}
}

// TestOtherSites: what another site has a browser send does nothing.
func TestOtherSites(t *testing.T) {
	t.Parallel()
	r, _, _ := withSessions(t, func(o *Options) { o.PublicURL = "http://hub.example.org" })
	b := newBrowser(t, r.url)
	b.send(http.MethodPost, "/login", credentialsOf("user"))
	for name, tt := range map[string]struct {
		header []string
		want   int
	}{
		"this site":           {[]string{"Sec-Fetch-Site", "same-origin", "Origin", "http://hub.example.org"}, 200},
		"typed":               {[]string{"Sec-Fetch-Site", "none"}, 200},
		"no browser":          {nil, 200},
		"an old browser here": {[]string{"Origin", "http://hub.example.org"}, 200},
		"another site":        {[]string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 403},
		"a neighbour":         {[]string{"Sec-Fetch-Site", "same-site", "Origin", "https://evil.example.org"}, 403},
		"an old browser":      {[]string{"Origin", "https://evil.example"}, 403},
		"a sandboxed frame":   {[]string{"Origin", "null"}, 403},
	} {
		for _, path := range []string{"/change", "/api/change"} {
			if got := b.send(http.MethodPost, path, url.Values{}, tt.header...); got.StatusCode != tt.want {
				t.Errorf("%s, %s: status %d, want %d", name, path, got.StatusCode, tt.want)
			}
		}
		if got := newBrowser(t, r.url).send(http.MethodPost, "/login", credentialsOf("user"), tt.header...); (got.StatusCode == 403) != (tt.want == 403) {
			t.Errorf("%s signs in: %d", name, got.StatusCode)
		}
	}
	if got := b.send(http.MethodGet, "/whoami", nil, "Sec-Fetch-Site", "cross-site"); got.StatusCode != 200 {
		t.Errorf("a link from elsewhere: %d", got.StatusCode)
	}
}

func TestToSignIn(t *testing.T) {
	t.Parallel()
	r, _, _ := withSessions(t)
	b := newBrowser(t, r.url)
	got := b.send(http.MethodGet, "/private?a=b", nil, "Accept", "text/html,application/xhtml+xml")
	if got.StatusCode != http.StatusSeeOther || got.Header.Get("Location") != "/login?next=%2Fprivate%3Fa%3Db" {
		t.Errorf("a person: %d %v", got.StatusCode, got.Header)
	}
	if got := b.send(http.MethodGet, "/private", nil); got.StatusCode != http.StatusUnauthorized || got.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("a program: %d %v", got.StatusCode, got.Header)
	}
	b.send(http.MethodPost, "/login", credentialsOf("user"))
	if got := b.send(http.MethodGet, "/login?next=/org/model", nil); got.StatusCode != http.StatusSeeOther || got.Header.Get("Location") != "/org/model" {
		t.Errorf("who is signed in: %d %v", got.StatusCode, got.Header)
	}
	if got := b.send(http.MethodGet, "/login?next=//evil.example", nil); got.Header.Get("Location") != "/" {
		t.Errorf("an open redirect: %v", got.Header)
	}
	f := credentialsOf("user")
	f.Set("next", "https://evil.example/")
	if got := newBrowser(t, r.url).send(http.MethodPost, "/login", f); got.Header.Get("Location") != "/" {
		t.Errorf("an open redirect after signing in: %v", got.Header)
	}
	if got := b.send(http.MethodPost, "/login", url.Values{"name": {strings.Repeat("n", maxSignInForm)}}); got.StatusCode != http.StatusBadRequest && got.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a long form: %d", got.StatusCode)
	}
}

func TestLocalPath(t *testing.T) {
	t.Parallel()
	for _, p := range []string{"/", "/org/model", "/org/model/files?ref=v1", "/?q=a"} {
		if got := localPath(p); got != p {
			t.Errorf("%q became %q", p, got)
		}
	}
	for _, p := range []string{
		"", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "javascript:alert(1)", "evil.example", "/\t/evil.example",
		"\t//evil.example", " //evil.example", "/\n/evil.example", "/\r\nSet-Cookie: a=b", "/\u00a0", "?next=/", "data:text/html,x", "/\x00",
	} {
		if got := localPath(p); got != "/" {
			t.Errorf("%q became %q", p, got)
		}
	}
}
