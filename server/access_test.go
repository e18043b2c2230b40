package server

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/auth/authtest"
	"github.com/carat-hub/carat/registry"
)

var (
	admin = auth.Principal{UserID: 1, Name: "admin", Admin: true}
	user  = auth.Principal{UserID: 2, Name: "user"}
)

func basic(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

// whoami answers who asks, on a route of every area.
func whoami(e *echo.Echo) {
	access := NewAccess(repositories{})
	for _, path := range []string{"/v2/whoami", "/api/whoami", "/whoami"} {
		e.GET(path, func(c echo.Context) error {
			p := access.Principal(c)
			return c.JSON(http.StatusOK, p)
		})
	}
}

func TestPrincipal(t *testing.T) {
	t.Parallel()
	r := setup(t, whoami)
	pull := "repository:open/model:pull"
	limited := func(p auth.Principal) auth.Principal {
		p.Limited, p.Scopes = true, []auth.Scope{{Type: "repository", Name: "open/model", Actions: []string{"pull"}}}
		return p
	}
	nobody := auth.Principal{}
	for name, tc := range map[string]struct {
		header []string
		v2     *auth.Principal // nil = 401
		api    *auth.Principal
	}{
		"none":                {nil, &nobody, &nobody},
		"empty":               {[]string{""}, &nobody, &nobody},
		"token":               {[]string{r.bearer(admin, pull)}, new(limited(admin)), new(limited(admin))},
		"anonymous token":     {[]string{r.bearer(nobody, pull)}, new(limited(nobody)), new(limited(nobody))},
		"lower-case scheme":   {[]string{strings.Replace(r.bearer(user, pull), "Bearer", "bearer", 1)}, new(limited(user)), new(limited(user))},
		"password":            {[]string{basic("user", password)}, nil, &user},
		"wrong password":      {[]string{basic("user", "wrong")}, nil, nil},
		"unknown user":        {[]string{basic("nobody", password)}, nil, nil},
		"no user":             {[]string{basic("", "")}, nil, nil},
		"Basic that is none":  {[]string{"Basic !!!"}, nil, nil},
		"Basic without colon": {[]string{"Basic " + base64.StdEncoding.EncodeToString([]byte("admin"))}, nil, nil},
		"Bearer without":      {[]string{"Bearer"}, nil, nil},
		"Bearer with nothing": {[]string{"Bearer "}, nil, nil},
		"forged token":        {[]string{"Bearer a.b.c"}, nil, nil},
		"password as token":   {[]string{"Bearer " + password}, nil, nil},
		"another scheme":      {[]string{"Digest username=admin"}, nil, nil},
		"long token":          {[]string{"Bearer " + strings.Repeat("a", 9<<10)}, nil, nil},
		"two headers":         {[]string{r.bearer(admin, pull), r.bearer(user, pull)}, nil, nil},
		"two headers, one empty": {
			[]string{"", r.bearer(user, pull)}, nil, nil,
		},
	} {
		for path, want := range map[string]*auth.Principal{"/v2/whoami": tc.v2, "/api/whoami": tc.api, "/whoami": tc.api} {
			t.Run(name+path, func(t *testing.T) {
				t.Parallel()
				var header []string
				for _, v := range tc.header {
					header = append(header, "Authorization", v)
				}
				resp, body := r.get(path, header...)
				if want == nil {
					if resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("WWW-Authenticate") == "" {
						t.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
					}
					return
				}
				var got auth.Principal
				if err := json.Unmarshal([]byte(body), &got); err != nil {
					t.Fatalf("%d %s", resp.StatusCode, body)
				}
				if diff := cmp.Diff(*want, got); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// A megabyte of credentials ends in net/http, before any of our code.
func TestHeaderLimit(t *testing.T) {
	t.Parallel()
	r := setup(t, whoami)
	resp, _ := r.get("/v2/whoami", "Authorization", "Bearer "+strings.Repeat("a", 60<<10))
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestAuthorize(t *testing.T) {
	t.Parallel()
	r := setup(t, func(e *echo.Echo) {
		access := NewAccess(repositories{"open/model": auth.Public, "closed/model": auth.Private})
		e.Any("/v2/*", func(c echo.Context) error {
			n, _, _ := strings.Cut(strings.TrimPrefix(c.Param("*"), "/"), "/manifests/")
			a := map[string]auth.Action{"GET": auth.Pull, "PUT": auth.Push, "DELETE": auth.Delete}[c.Request().Method]
			g, err := access.Authorize(c, registry.Name(n), a)
			if err != nil {
				return err
			}
			return c.String(http.StatusOK, g.Repository()+" "+g.Principal().Name)
		})
	})
	all := func(p auth.Principal, name string) string {
		return r.bearer(p, "repository:"+name+":pull,push,delete")
	}
	for _, tc := range []struct {
		method, name, authorization string
		status                      int
		challenge                   string // what follows the service
	}{
		{"GET", "open/model", "", 200, ""},
		{"PUT", "open/model", "", 401, `scope="repository:open/model:pull,push"`},
		{"DELETE", "open/model", "", 401, `scope="repository:open/model:delete"`},
		{"GET", "closed/model", "", 401, `scope="repository:closed/model:pull"`},
		{"GET", "no/model", "", 401, `scope="repository:no/model:pull"`},
		{"GET", "closed/model", r.bearer(auth.Principal{}), 401, `scope="repository:closed/model:pull",error="insufficient_scope"`},
		{"GET", "no/model", r.bearer(auth.Principal{}), 401, `scope="repository:no/model:pull",error="insufficient_scope"`},
		{"GET", "closed/model", all(user, "closed/model"), 401, `scope="repository:closed/model:pull",error="insufficient_scope"`},
		{"GET", "no/model", all(user, "no/model"), 401, `scope="repository:no/model:pull",error="insufficient_scope"`},
		{"PUT", "new/model", all(user, "new/model"), 401, `scope="repository:new/model:pull,push",error="insufficient_scope"`},
		{"GET", "closed/model", all(admin, "closed/model"), 200, ""},
		{"GET", "no/model", all(admin, "no/model"), 200, ""},
		{"PUT", "new/model", all(admin, "new/model"), 200, ""},
		{"DELETE", "closed/model", all(admin, "closed/model"), 200, ""},
		{"PUT", "closed/model", all(admin, "open/model"), 401, `scope="repository:closed/model:pull,push",error="insufficient_scope"`},
		{"GET", "closed/model", "Bearer forged", 401, `scope="repository:closed/model:pull",error="invalid_token"`},
		{"PUT", "closed/model", "Bearer forged", 401, `scope="repository:closed/model:pull,push",error="invalid_token"`},
		{"DELETE", "closed/model", "Bearer forged", 401, `scope="repository:closed/model:delete",error="invalid_token"`},
		{"GET", "BAD\"NAME", "Bearer forged", 401, `error="invalid_token"`},
	} {
		var header []string
		if tc.authorization != "" {
			header = []string{"Authorization", tc.authorization}
		}
		resp, body := r.send(tc.method, "/v2/"+tc.name+"/manifests/v1", nil, header...)
		if resp.StatusCode != tc.status {
			t.Errorf("%s %s: status %d, want %d: %s", tc.method, tc.name, resp.StatusCode, tc.status, body)
		}
		want := ""
		if tc.status == 401 {
			want = `Bearer realm="` + r.url + `/token",service="carat",` + tc.challenge
		}
		if got := resp.Header.Get("WWW-Authenticate"); got != want {
			t.Errorf("%s %s: challenge %s, want %s", tc.method, tc.name, got, want)
		}
	}
}

// TestAuthorizeKnown is for callers with a password, who get 403 rather than 401.
func TestAuthorizeKnown(t *testing.T) {
	t.Parallel()
	r := setup(t, func(e *echo.Echo) {
		access := NewAccess(repositories{"closed/model": auth.Private})
		e.GET("/api/:org/:name/x", func(c echo.Context) error {
			_, err := access.Authorize(c, registry.Name(c.Param("org")+"/"+c.Param("name")), auth.Pull)
			return err
		})
	})
	known := []string{"Authorization", basic("user", password)}
	closed, hidden := r.get("/api/closed/model/x", known...)
	missing, absent := r.get("/api/no/model/x", known...)
	if closed.StatusCode != http.StatusForbidden || missing.StatusCode != http.StatusForbidden || hidden != absent {
		t.Errorf("private: %d %s\nmissing: %d %s", closed.StatusCode, hidden, missing.StatusCode, absent)
	}
	if resp, body := r.get("/api/broken/model/x", known...); resp.StatusCode != http.StatusInternalServerError || strings.Contains(body, "canary") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

func TestTokenEndpoint(t *testing.T) {
	t.Parallel()
	r := setup(t, whoami)
	const scope = "repository:open/model:pull,push repository:closed/model:pull repository:new/model:push"
	form := func(pairs ...string) string {
		v := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			v.Add(pairs[i], pairs[i+1])
		}
		return v.Encode()
	}
	query := "/token?" + form("service", "carat", "scope", scope)
	grant := func(more ...string) string {
		return form(append([]string{"grant_type", "password", "username", "admin", "password", password}, more...)...)
	}
	const isForm = "application/x-www-form-urlencoded"
	for name, tc := range map[string]struct {
		method, path, form, contentType, authorization, second string
		status                                                 int
		user, scopes                                           string
		expires                                                int
	}{
		"admin":             {path: query, authorization: basic("admin", password), status: 200, user: "admin", scopes: scope, expires: 3600},
		"user":              {path: query, authorization: basic("user", password), status: 200, user: "user", scopes: "repository:open/model:pull", expires: 300},
		"anonymous":         {path: query, status: 200, scopes: "repository:open/model:pull", expires: 300},
		"no scope":          {path: "/token", authorization: basic("admin", password), status: 200, user: "admin", expires: 300},
		"scopes repeated":   {path: "/token?" + form("scope", "repository:open/model:pull", "scope", "registry:catalog:*"), authorization: basic("admin", password), status: 200, user: "admin", scopes: "repository:open/model:pull registry:catalog:*", expires: 3600},
		"catalogue":         {path: "/token?scope=registry:catalog:*", authorization: basic("user", password), status: 200, user: "user", scopes: "registry:catalog:*", expires: 3600},
		"catalogue refused": {path: "/token?scope=registry:catalog:*", status: 200, expires: 300},
		"name that cannot exist": {
			path: "/token?" + form("scope", "repository:BAD/../x:pull,push"), authorization: basic("admin", password), status: 200, user: "admin", expires: 300,
		},
		"wrong password":      {path: query, authorization: basic("admin", "wrong"), status: 401},
		"unknown user":        {path: query, authorization: basic("root", password), status: 401},
		"unreadable Basic":    {path: query, authorization: "Basic !", status: 401},
		"token for a token":   {path: query, authorization: r.bearer(admin, "repository:open/model:pull"), status: 401},
		"wrong service":       {path: "/token?service=other", authorization: basic("admin", password), status: 400},
		"two services":        {path: "/token?service=carat&service=other", status: 400},
		"malformed scope":     {path: "/token?scope=repository:pull", status: 400},
		"too many scopes":     {path: "/token?scope=" + strings.Repeat("repository:a:pull+", 10) + many(17), status: 400},
		"store away":          {path: "/token?scope=repository:broken/model:pull", status: 500},
		"form":                {method: "POST", path: "/token", form: grant("service", "carat", "scope", scope, "client_id", "docker"), contentType: isForm, status: 200, user: "admin", scopes: scope, expires: 3600},
		"form, wrong":         {method: "POST", path: "/token", form: form("grant_type", "password", "username", "admin", "password", "no"), contentType: isForm, status: 401},
		"form, no user":       {method: "POST", path: "/token", form: form("grant_type", "password"), contentType: isForm, status: 401},
		"form, no grant type": {method: "POST", path: "/token", form: form("username", "admin", "password", password), contentType: isForm, status: 400},
		"form, refresh token": {method: "POST", path: "/token", form: form("grant_type", "refresh_token", "refresh_token", "x"), contentType: isForm, status: 401},
		"form, other grant":   {method: "POST", path: "/token", form: form("grant_type", "authorization_code", "code", "x"), contentType: isForm, status: 400},
		"two credentials":     {path: query, authorization: basic("admin", password), second: basic("user", password), status: 401},
		"form in the query":   {method: "POST", path: "/token?" + grant(), form: "", contentType: isForm, status: 400},
		"JSON":                {method: "POST", path: "/token", form: "{}", contentType: "application/json", status: 400},
		"form too long":       {method: "POST", path: "/token", form: grant("x", strings.Repeat("x", 64<<10+1-len(grant("x", "")))), contentType: isForm, status: 400}, // by one byte, so that none is left unread
		"another method":      {method: "PUT", path: "/token", status: 405},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var header []string
			if tc.authorization != "" {
				header = append(header, "Authorization", tc.authorization)
			}
			if tc.second != "" {
				header = append(header, "Authorization", tc.second)
			}
			if tc.contentType != "" {
				header = append(header, "Content-Type", tc.contentType)
			}
			if tc.method == "" {
				tc.method = http.MethodGet
			}
			resp, body := r.send(tc.method, tc.path, strings.NewReader(tc.form), header...)
			if resp.StatusCode != tc.status {
				t.Fatalf("status %d: %s", resp.StatusCode, body)
			}
			if resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("Cache-Control %q", resp.Header.Get("Cache-Control"))
			}
			if tc.status != http.StatusOK {
				if code(body) == "" {
					t.Errorf("body %s", body)
				}
				if got := resp.Header.Get("WWW-Authenticate"); tc.status == 401 && got != `Basic realm="carat", charset="UTF-8"` {
					t.Errorf("challenge %q", got)
				}
				return
			}
			var answer tokenAnswer
			if err := json.Unmarshal([]byte(body), &answer); err != nil {
				t.Fatal(err)
			}
			if answer.Token != answer.AccessToken || answer.ExpiresIn != tc.expires {
				t.Errorf("answer %+v", answer)
			}
			if issued, err := time.Parse(time.RFC3339, answer.IssuedAt); err != nil || time.Since(issued).Abs() > time.Hour {
				t.Errorf("issued at %q", answer.IssuedAt)
			}
			p, err := r.signer.Verifier().Verify(t.Context(), answer.Token)
			if err != nil {
				t.Fatal(err)
			}
			var scopes []string
			for _, s := range p.Scopes {
				scopes = append(scopes, s.String())
			}
			if diff := cmp.Diff([]string{tc.user, tc.scopes}, []string{p.Name, strings.Join(scopes, " ")}); diff != "" {
				t.Error(diff)
			}
			if tc.method == http.MethodPost && answer.Scope != tc.scopes {
				t.Errorf("scope %q", answer.Scope)
			}
			if !p.Limited {
				t.Error("the token is not limited")
			}
			// The token works where it is sent.
			if resp, body := r.get("/v2/whoami", "Authorization", "Bearer "+answer.Token); resp.StatusCode != http.StatusOK {
				t.Errorf("the token is refused: %s", body)
			}
		})
	}
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("repository:a/m" + string(rune('a'+i)) + ":pull+")
	}
	return b.String()
}

func TestBaseURL(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		edit   func(o *Options)
		header []string
		want   string // "" = the listener's URL
	}{
		"request":           {nil, nil, ""},
		"configured":        {func(o *Options) { o.PublicURL = "https://hub.example" }, []string{"X-Forwarded-Host", "evil.example"}, "https://hub.example"},
		"proxy not trusted": {nil, []string{"X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https"}, ""},
		"proxy trusted":     {func(o *Options) { o.TrustProxy = true }, []string{"X-Forwarded-Host", "hub.example:8443, inner", "X-Forwarded-Proto", "https"}, "https://hub.example:8443"},
		"proxy, bad host":   {func(o *Options) { o.TrustProxy = true }, []string{"X-Forwarded-Host", `a",scope="x`}, "http://localhost"},
		"proxy, bad scheme": {func(o *Options) { o.TrustProxy = true }, []string{"X-Forwarded-Proto", "javascript"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var edits []func(o *Options)
			if tc.edit != nil {
				edits = append(edits, tc.edit)
			}
			r := setup(t, func(e *echo.Echo) {
				e.GET("/v2/", func(c echo.Context) error { return auth.ErrUnauthenticated })
				e.GET("/base", func(c echo.Context) error { return c.String(http.StatusOK, BaseURL(c.Request().Context())) })
			}, edits...)
			want := tc.want
			if want == "" {
				want = r.url
			}
			if _, body := r.get("/base", tc.header...); body != want {
				t.Errorf("base %q, want %q", body, want)
			}
			resp, _ := r.get("/v2/", tc.header...)
			if got := resp.Header.Get("WWW-Authenticate"); got != `Bearer realm="`+want+`/token",service="carat"` {
				t.Errorf("challenge %s", got)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	signer, _ := authtest.Signer(t, tokenSeed)
	good := Options{Users: users{}, Signer: signer, Repositories: repositories{}}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(o *Options){
		"no users":        func(o *Options) { o.Users = nil },
		"no signer":       func(o *Options) { o.Signer = nil },
		"no repositories": func(o *Options) { o.Repositories = nil },
		"URL no URL":      func(o *Options) { o.PublicURL = "://" },
		"URL no scheme":   func(o *Options) { o.PublicURL = "hub.example" },
		"URL of a file":   func(o *Options) { o.PublicURL = "file:///etc" },
		"URL with path":   func(o *Options) { o.PublicURL = "https://hub.example/path" },
		"URL with user":   func(o *Options) { o.PublicURL = "https://a:b@hub.example" },
		"URL with query":  func(o *Options) { o.PublicURL = "https://hub.example?a" },
	} {
		o := good
		edit(&o)
		if _, err := New(o); err == nil {
			t.Error(name)
		}
	}
}
