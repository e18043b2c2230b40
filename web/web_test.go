package web

import (
	"errors"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jba/templatecheck"
	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

var update = flag.Bool("update", false, "write the golden files")

func TestTemplates(t *testing.T) {
	t.Parallel()
	a, err := loadAssets()
	if err != nil {
		t.Fatal(err)
	}
	p, err := parsePages(a)
	if err != nil {
		t.Fatal(err)
	}
	for _, check := range []struct {
		name string
		err  error
	}{
		{"home", templatecheck.CheckHTML(p.home, homePage{})},
		{"card", templatecheck.CheckHTML(p.card, cardPage{})},
		{"files", templatecheck.CheckHTML(p.files, filesPage{})},
		{"tags", templatecheck.CheckHTML(p.tags, tagsPage{})},
		{"license", templatecheck.CheckHTML(p.license, licensePage{})},
		{"verification", templatecheck.CheckHTML(p.verification, verificationPage{})},
		{"provenance", templatecheck.CheckHTML(p.provenance, provenancePage{})},
		{"org", templatecheck.CheckHTML(p.org, orgPage{})},
		{"sign in", templatecheck.CheckHTML(p.signIn, signInPage{})},
		{"device", templatecheck.CheckHTML(p.device, devicePage{})},
		{"sessions", templatecheck.CheckHTML(p.sessions, sessionsPage{})},
		{"audit", templatecheck.CheckHTML(p.audit, auditPage{})},
		{"failure", templatecheck.CheckHTML(p.failure, failure{})},
	} {
		if check.err != nil {
			t.Errorf("%s: %v", check.name, check.err)
		}
	}
}

// goldenPages are the pages that golden files hold to the byte.
var goldenPages = []struct {
	name, path string
	status     int
}{
	{"home", "/", 200},
	{"org", "/carat", 200},
	{"search", "/?q=tiny&architecture=llama&format=safetensors", 200},
	{"search-none", "/?q=nothing-like-this", 200},
	{"card", "/carat/tiny-llama", 200},
	{"card-ref", "/carat/tiny-llama?ref=v1", 200},
	{"files", "/carat/tiny-llama/files", 200},
	{"tags", "/carat/tiny-llama/tags", 200},
	{"license", "/carat/tiny-llama/license", 200},
	{"license-restricted", "/lab/running/license", 200},
	{"license-unknown", "/lab/unsupported/license", 200},
	{"license-twisted", "/lab/twisted/license", 200},
	{"terms", "/lab/running/terms", 200},
	{"passed", "/carat/tiny-llama/verification", 200},
	{"failed", "/carat/tiny-llama/verification?ref=v1", 200},
	{"provenance", "/carat/tiny-llama/provenance", 200},
	{"provenance-none", "/lab/running/provenance", 200},
	{"none", "/carat/tiny-llama/verification?ref=" + digest("v0").String(), 200},
	{"pending", "/lab/just-pushed", 200},
	{"pending-verification", "/lab/just-pushed/verification", 200},
	{"running", "/lab/running/verification", 200},
	{"unsupported", "/lab/unsupported/verification", 200},
	{"unreadable", "/lab/unreadable", 200},
	{"error", "/lab/unreadable/verification", 200},
	{"not-found", "/carat/nothing", 404},
}

var assetHash = regexp.MustCompile(`\.[0-9a-f]{16}\.(css|js|svg)`)

func TestGoldenPages(t *testing.T) {
	t.Parallel()
	s := setup(t, example())
	for _, tt := range goldenPages {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rec := s.get(tt.path)
			if rec.Code != tt.status {
				t.Fatalf("GET %s: status %d, want %d\n%s", tt.path, rec.Code, tt.status, rec.Body)
			}
			golden(t, tt.name+".html", assetHash.ReplaceAllString(rec.Body.String(), ".HASH.$1"))
		})
	}
}

// Members see who else is one, owners what to do about it; nobody else does.
func TestOrganizationPage(t *testing.T) {
	t.Parallel()
	s := setup(t, example())
	golden(t, "org-owner.html", assetHash.ReplaceAllString(s.get("/carat", as, "owner").Body.String(), ".HASH.$1"))
	for who, want := range map[string]struct{ members, manage bool }{"": {}, "user": {}, "member": {true, false}, "owner": {true, true}, "admin": {true, true}} {
		body := s.get("/carat", as, who).Body.String()
		if strings.Contains(body, "carat&#43;ci") != want.members || strings.Contains(body, "carat&#43;ci") != strings.Contains(body, "testers") || strings.Contains(body, "carat admin") != want.manage {
			t.Errorf("to %q it shows:\n%s", who, body)
		}
	}
	// The settings of a model are for those who maintain it, and name its visibility.
	for who, want := range map[string]bool{"": false, "user": false, "member": false, "owner": true, "admin": true} {
		if shown := strings.Contains(s.get("/carat/tiny-llama", as, who).Body.String(), "carat visibility"); shown != want {
			t.Errorf("settings to %q: %t", who, shown)
		}
	}
	s.hub.models[0].visibility = auth.Internal
	name := string(s.hub.models[0].name)
	if rec := s.get("/" + name); rec.Code != http.StatusNotFound {
		t.Errorf("an internal model to nobody: %d", rec.Code)
	}
	if body := s.get("/"+name, as, "user").Body.String(); !strings.Contains(body, ">Internal<") || !strings.Contains(body, "noindex") {
		t.Errorf("an internal model to a user:\n%s", body)
	}
}

func TestGoldenEmptyHome(t *testing.T) {
	t.Parallel()
	rec := setup(t, &hub{}).get("/")
	golden(t, "empty.html", assetHash.ReplaceAllString(rec.Body.String(), ".HASH.$1"))
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, path, as string
		want           int
	}{
		{"unknown model", "/carat/other", "", 404},
		{"unknown tab", "/carat/tiny-llama/settings", "", 404},
		{"organization", "/carat", "", 200},
		{"organization, member", "/carat", "member", 200},
		{"unknown organization", "/nothing", "", 404},
		{"organization of another route", "/api", "", 404},
		{"organization without anything to see, nobody", "/secret", "", 404},
		{"organization without anything to see, user", "/secret", "user", 404},
		{"organization without anything to see, admin", "/secret", "admin", 200},
		{"empty organization, nobody", "/empty", "", 404},
		{"empty organization, member", "/empty", "member", 200},
		{"upper case", "/Carat/Tiny", "", 404},
		{"dots", "/../etc", "", 404},
		{"escaped slash", "/carat%2Ftiny-llama/files", "", 404},
		{"slash in a part", "/carat/tiny-llama%2Ffiles", "", 404},
		{"unknown tag", "/carat/tiny-llama?ref=v9", "", 404},
		{"tag with a slash", "/carat/tiny-llama?ref=a/b", "", 404},
		{"malformed digest", "/carat/tiny-llama?ref=sha256:12", "", 404},
		{"unknown digest", "/carat/tiny-llama?ref=" + digest("?").String(), "", 404},
		{"digest", "/carat/tiny-llama?ref=" + digest("v1").String(), "", 200},
		{"no latest tag", "/lab/just-pushed", "", 200},
		{"private, nobody", "/secret/model", "", 404},
		{"private, user", "/secret/model", "user", 404},
		{"private, admin", "/secret/model", "admin", 200},
		{"private tab, nobody", "/secret/model/license", "", 404},
		{"sessions, nobody", "/settings/sessions", "", 401},
		{"sessions, user", "/settings/sessions", "user", 200},
		{"reserved v2", "/v2/x", "", 404},
		{"reserved api", "/api/v1", "", 404},
		{"reserved static", "/static/x", "", 404},
		{"asset without hash", "/static/style.css", "", 404},
		{"page beyond the end", "/?page=4000", "", 200},
		{"page that is no number", "/?page=x", "", 200},
		{"favicon", "/favicon.ico", "", 200},
	}
	s := setup(t, example())
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rec := s.get(tt.path, as, tt.as)
			if rec.Code != tt.want {
				t.Fatalf("GET %s: status %d, want %d", tt.path, rec.Code, tt.want)
			}
			if tt.want >= 400 && rec.Header().Get("Cache-Control") != "no-store" {
				t.Error("an error page may be cached")
			}
		})
	}
}

// A model under a name of another route is listed without a link, because
// its page could not be reached.
func TestReservedNames(t *testing.T) {
	t.Parallel()
	h := example()
	h.models[0].name = "api/v1"
	s := setup(t, h)
	if rec := s.get("/api/v1"); rec.Code != http.StatusNotFound {
		t.Errorf("GET /api/v1: status %d", rec.Code)
	}
	body := s.get("/").Body.String()
	if !strings.Contains(body, `<span class="org">api/</span>v1`) || strings.Contains(body, `href="/api/v1"`) {
		t.Error("the home page links a model that has no page")
	}
	for _, r := range s.echo.Routes() {
		first, _, _ := strings.Cut(strings.TrimPrefix(r.Path, "/"), "/")
		if first != "" && !strings.HasPrefix(first, ":") && !Reserved(first) {
			t.Errorf("route %s starts with a name that is not reserved", r.Path)
		}
	}
}

// What has no page nobody can take as a name space.
func TestReservedNamesAreReserved(t *testing.T) {
	t.Parallel()
	for _, name := range reserved {
		if !auth.Reserved(name) && name != "-" && name != "admin" { // which is no name, and the first user's
			t.Errorf("an organization can have the name %s and no page", name)
		}
	}
}

func TestErrorPage(t *testing.T) {
	t.Parallel()
	h := example()
	h.err = errors.New("dial tcp 10.0.0.7: connection refused")
	s := setup(t, h)
	for _, path := range []string{"/", "/carat/tiny-llama", "/carat/tiny-llama/tags", "/carat/tiny-llama/verification"} {
		rec := s.get(path)
		body := rec.Body.String()
		if rec.Code != 500 || strings.Contains(body, "10.0.0.7") || !strings.Contains(body, "request-1") {
			t.Errorf("GET %s: status %d, want 500 with the request's id and without the cause:\n%s", path, rec.Code, body)
		}
	}
	for status, shown := range map[int]bool{400: true, 404: false, 413: true, 503: false} {
		rec := httptest.NewRecorder()
		c := s.echo.NewContext(httptest.NewRequest(http.MethodGet, "/x", nil), rec)
		if err := s.handler.ErrorPage(c, status, "a <b> message"); err != nil || rec.Code != status {
			t.Errorf("ErrorPage(%d): %v, status %d", status, err, rec.Code)
		}
		if got := strings.Contains(rec.Body.String(), "a &lt;b&gt; message"); got != shown {
			t.Errorf("page of status %d shows the message: %v, want %v", status, got, shown)
		}
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	s := setup(t, example())
	page := s.get("/carat/tiny-llama")
	css := regexp.MustCompile(`/static/style\.[0-9a-f]+\.css`).FindString(page.Body.String())
	for _, path := range []string{"/", "/carat/tiny-llama", "/carat/nothing", css} {
		header := s.get(path).Header()
		for name, want := range map[string]string{
			"Content-Security-Policy": contentSecurityPolicy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
		} {
			if got := header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
	if got := s.get(css).Header().Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
		t.Errorf("Cache-Control of the style sheet: %q", got)
	}
	for _, path := range []string{"/", "/carat/tiny-llama", css, "/favicon.ico"} {
		etag := s.get(path).Header().Get("ETag")
		if rec := s.get(path, "If-None-Match", `"x", W/`+etag); rec.Code != http.StatusNotModified || rec.Body.Len() > 0 {
			t.Errorf("%s with its own ETag: status %d, %d bytes", path, rec.Code, rec.Body.Len())
		}
		if rec := s.get(path, "If-None-Match", `"x"`); rec.Code != http.StatusOK {
			t.Errorf("%s with another ETag: status %d", path, rec.Code)
		}
		if rec := s.do(http.MethodHead, path); rec.Code != http.StatusOK {
			t.Errorf("HEAD %s: status %d", path, rec.Code)
		}
	}
	if got := s.get("/", as, "admin").Header().Get("Cache-Control"); got != "private, no-cache" {
		t.Errorf("Cache-Control of a page for somebody: %q", got)
	}
	if rec := s.do(http.MethodPost, "/carat/tiny-llama"); rec.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: status %d", rec.Code)
	}
}

func TestPaging(t *testing.T) {
	t.Parallel()
	h := example()
	for i := range 45 {
		m := h.models[0]
		m.name = registry.Name("many/model-" + string(rune('a'+i/26)) + string(rune('a'+i%26)))
		h.models = append(h.models, m)
	}
	s := setup(t, h)
	first := s.get("/?q=model&page=1").Body.String()
	if !strings.Contains(first, `rel="next" href="/?page=2&amp;q=model"`) || strings.Contains(first, `rel="prev"`) {
		t.Error("the first page does not lead to the second, or leads back")
	}
	last := s.get("/?q=model&page=3").Body.String()
	if strings.Contains(last, `rel="next"`) || !strings.Contains(last, `rel="prev" href="/?page=2&amp;q=model"`) {
		t.Error("the last page does not lead back, or leads on")
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ base, want string }{
		{"https://models.example.org", "carat pull models.example.org/carat/tiny-llama:latest"},
		{"http://10.0.0.7:8080", "carat pull --plain-http 10.0.0.7:8080/carat/tiny-llama:latest"},
		{"http://127.0.0.1:8080", "carat pull 127.0.0.1:8080/carat/tiny-llama:latest"},
		{"http://localhost:8080", "carat pull localhost:8080/carat/tiny-llama:latest"},
		{"http://[::1]:8080", "carat pull [::1]:8080/carat/tiny-llama:latest"},
		{"http://hub.local", "carat pull --plain-http hub.local/carat/tiny-llama:latest"},
		{"http://a;rm -rf ~", "carat pull localhost/carat/tiny-llama:latest"},
		{"http://$(id)", "carat pull localhost/carat/tiny-llama:latest"},
		{"", "carat pull localhost/carat/tiny-llama:latest"},
	} {
		h := &Handler{baseURL: func(echo.Context) string { return tt.base }}
		if got := h.pullCommands(nil, "carat/tiny-llama", registry.Reference{Tag: "latest"})[0].Line; got != tt.want {
			t.Errorf("%q: %q, want %q", tt.base, got, tt.want)
		}
	}
	h := &Handler{baseURL: func(echo.Context) string { return "https://hub" }}
	want := "carat pull hub/a/b@" + digest("x").String()
	if got := h.pullCommands(nil, "a/b", registry.Reference{Digest: digest("x")})[0].Line; got != want {
		t.Errorf("by digest: %q, want %q", got, want)
	}
}

// TestGateBanner: a page says what becomes of pulls of a version that has not passed.
func TestGateBanner(t *testing.T) {
	t.Parallel()
	const warned, blocked = "This version has not passed verification.", "only those who may push it can pull it"
	for gate, want := range map[registry.Gate]string{registry.GateOff: "", registry.GateWarn: warned, registry.GateBlock: blocked} {
		s := setup(t, example())
		s.hub.gate = gate
		for path, says := range map[string]string{"/carat/tiny-llama?ref=v1": want, "/lab/unsupported/verification": want, "/carat/tiny-llama?ref=v2": ""} {
			body := s.get(path).Body.String()
			for _, sentence := range []string{warned, blocked} {
				if strings.Contains(body, sentence) != (sentence == says) {
					t.Errorf("gate %s, %s: %q is there: %t", gate, path, sentence, sentence != says)
				}
			}
		}
	}
}
