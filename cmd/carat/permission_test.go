package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/internal/pgtest"
)

// permitted are the decisions of the permission matrix by role and by the
// visibility of the repository: y for each of pull, push, delete, maintain and manage.
var permitted = map[string]map[string]string{
	"anonymous":  {"public": "y----", "internal": "-----", "private": "-----", "missing": "-----"},
	"none":       {"public": "y----", "internal": "y----", "private": "-----", "missing": "-----"},
	"reader":     {"public": "y----", "internal": "y----", "private": "y----", "missing": "y----"},
	"writer":     {"public": "yy---", "internal": "yy---", "private": "yy---", "missing": "yy---"},
	"maintainer": {"public": "yyyy-", "internal": "yyyy-", "private": "yyyy-", "missing": "yyyy-"},
	"owner":      {"public": "yyyyy", "internal": "yyyyy", "private": "yyyyy", "missing": "yyyyy"},
	"admin":      {"public": "yyyyy", "internal": "yyyyy", "private": "yyyyy", "missing": "yyyyy"},
}

// credentialKinds are the ways to come to the hub, with the actions (pull, push,
// delete) that they leave in lab/* and in the user's own name space.
var credentialKinds = []struct {
	name, lab, own string
	whole          bool // they leave everything
}{
	{"password", "yyy", "yyy", true},
	{"refresh token", "yyy", "yyy", false},
	{"SSH key", "yy-", "yy-", false},
	{"token to write", "yyy", "yyy", false},
	{"token to read", "y--", "y--", false},
	{"token to read as a password", "y--", "y--", false},
	{"token for lab", "yyy", "yyy", false},
	{"token for another organization", "---", "yyy", false},
}

// matrixHub is a hub with the repositories of the permission matrix.
type matrixHub struct {
	*testing.T
	url       string
	manifests map[string][2][]byte // of the tags v1 and v2, by the repository
	blobs     map[string]string    // one that only this repository has, by its name
	cell      int
}

// matrixUser is one line of the matrix.
type matrixUser struct {
	name       string // "" for nobody
	role       string
	repository bool // the role is one in each repository, not in the organization
	team       bool // the role is that of a team in the organization
	robot      bool // it is a robot, which has tokens and nothing else
	refresh    string
	ssh        ssh.Signer
	tokens     map[string]string // access tokens by kind
}

func (u *matrixUser) String() string {
	if u.repository {
		return u.name + " in the repository"
	}
	return u.name + "/" + u.role
}

func TestPermissionMatrix(t *testing.T) {
	t.Parallel()
	for name, database := range map[string]func(*testing.T) string{
		"sqlite":   func(*testing.T) string { return "" },
		"postgres": func(t *testing.T) string { t.Helper(); return pgtest.New(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, address := startHub(t, serveConfig{DatabaseURL: database(t), VerifyTimeout: time.Minute}, nil)
			m := &matrixHub{T: t, url: address, manifests: map[string][2][]byte{}, blobs: map[string]string{}}
			m.fill(h)
			for _, u := range m.users(h) {
				m.line(u)
			}
		})
	}
}

// line goes through all credentials and visibilities for a user.
func (m *matrixHub) line(u *matrixUser) {
	if u.name == "" {
		m.each(u, "nothing", "yyy", "yyy", false)
		return
	}
	for _, k := range credentialKinds {
		if u.robot {
			if u.tokens[k.name] == "" {
				continue
			}
			k.own = "---" // it has no name space
		}
		m.each(u, k.name, k.lab, k.own, k.whole)
	}
}

// fill makes what the matrix is about.
func (m *matrixHub) fill(h *theHub) {
	m.Helper()
	admin, host := user{m.TempDir()}, strings.TrimPrefix(m.url, "http://")
	admin.must(m.T, testPassword, "login", host, "-u", adminName, "--password-stdin")
	for _, v := range []string{"public", "internal", "private"} {
		admin.must(m.T, "", "push", example, host+"/lab/"+v+":v1")
		m.expect(http.StatusOK, "PATCH", "/api/v1/models/lab/"+v, m.basic(adminName), `{"visibility":"`+v+`"}`)
	}
	everything := m.jwt(m.basic(adminName), "lab/public:pull,push", "lab/internal:pull,push", "lab/private:pull,push", "vault/secret:pull,push", "open/shelf:pull,push")
	for _, repo := range []string{"lab/public", "lab/internal", "lab/private", "vault/secret", "open/shelf"} {
		content := "only in " + repo
		m.blobs[repo] = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content)))
		m.expect(http.StatusCreated, "POST", "/v2/"+repo+"/blobs/uploads/?digest="+m.blobs[repo], everything, content)
		if strings.HasPrefix(repo, "lab/") {
			first := m.expect(http.StatusOK, "GET", "/v2/"+repo+"/manifests/v1", everything, "").body
			var parsed map[string]any
			if err := json.Unmarshal(first, &parsed); err != nil {
				m.Fatal(err)
			}
			parsed["annotations"] = map[string]string{"org.opencontainers.image.version": "2"}
			second := must(json.Marshal(parsed))(m.T)
			m.expect(http.StatusCreated, "PUT", "/v2/"+repo+"/manifests/v2", everything, string(second))
			m.manifests[repo] = [2][]byte{first, second}
		}
	}
	target(h, m.url).SetVisibility(m.T, "vault/secret", "private")
}

// users makes the lines: nobody, somebody, each role in the organization and in
// the repositories, and the administrator.
func (m *matrixHub) users(h *theHub) []*matrixUser {
	m.Helper()
	hash := must(auth.HashPassword(m.Context(), testPassword))(m.T)
	made := []*matrixUser{{role: "anonymous"}, {name: "outsider", role: "none"}, {name: adminName, role: "admin"}}
	for _, role := range []string{"reader", "writer", "maintainer", "owner"} {
		made = append(made, &matrixUser{name: "org-" + role, role: role}, &matrixUser{name: "repo-" + role, role: role, repository: true})
	}
	for _, team := range []string{"reader", "maintainer"} {
		made = append(made, &matrixUser{name: "team-" + team, role: team, team: true})
		m.expect(http.StatusCreated, "POST", "/api/v1/orgs/lab/teams", m.basic(adminName), `{"name":"`+team+`"}`)
		m.expect(http.StatusNoContent, "PUT", "/api/v1/orgs/lab/teams/"+team+"/roles", m.basic(adminName), `{"scope":"lab","role":"`+team+`"}`)
	}
	for _, robot := range []string{"none", "writer", "owner"} {
		made = append(made, &matrixUser{name: "lab+" + robot, role: robot, robot: true})
	}
	for _, name := range []string{"guest", "outsider"} {
		must(h.store.CreateUser(m.Context(), auth.User{Name: name, PasswordHash: hash}))(m.T)
	}
	for _, u := range made {
		if u.name == "" {
			continue
		}
		if u.robot {
			m.expect(http.StatusCreated, "POST", "/api/v1/orgs/lab/robots", m.basic(adminName), `{"name":"`+u.role+`"}`)
			if u.role != "none" {
				m.expect(http.StatusOK, "PUT", "/api/v1/orgs/lab/members/"+u.name, m.basic(adminName), `{"role":"`+u.role+`"}`)
			}
		} else if u.role != "none" && u.role != "admin" {
			must(h.store.CreateUser(m.Context(), auth.User{Name: u.name, PasswordHash: hash}))(m.T)
			scopes := []string{"/api/v1/orgs/lab"}
			if u.team {
				scopes = nil
				m.expect(http.StatusNoContent, "PUT", "/api/v1/orgs/lab/teams/"+u.role+"/members/"+u.name, m.basic(adminName), "")
			}
			if u.repository {
				scopes = []string{"/api/v1/models/lab/public", "/api/v1/models/lab/internal", "/api/v1/models/lab/private"}
			}
			for _, s := range scopes {
				m.expect(http.StatusOK, "PUT", s+"/members/"+u.name, m.basic(adminName), `{"role":"`+u.role+`"}`)
			}
		}
		u.tokens = map[string]string{}
		for kind, body := range map[string]string{
			"token to write":                 `"access":"write"`,
			"token to read":                  `"access":"read"`,
			"token to read as a password":    `"access":"read"`,
			"token for lab":                  `"access":"write","repositories":["lab/*","` + namespaceOf(u) + `/*"]`,
			"token for another organization": `"access":"write","repositories":["open/*","labs/*","` + namespaceOf(u) + `/*"]`,
		} {
			by, path := m.basic(u.name), "/api/v1/tokens"
			if u.robot {
				by, path = m.basic(adminName), "/api/v1/orgs/lab/robots/"+u.role+"/tokens"
			}
			var made struct{ Token string }
			got := m.expect(http.StatusCreated, "POST", path, by, `{"name":"`+kind+`",`+body+`}`)
			if err := json.Unmarshal(got.body, &made); err != nil {
				m.Fatal(err)
			}
			u.tokens[kind] = made.Token
		}
		if u.robot {
			continue
		}
		status, got := tokenForm(m.T, m.url, "grant_type", "password", "username", u.name, "password", testPassword, "access_type", "offline", "client_id", "matrix")
		if status != http.StatusOK || got.RefreshToken == "" {
			m.Fatalf("sign in as %s: %d", u.name, status)
		}
		u.refresh = got.RefreshToken
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			m.Fatal(err)
		}
		u.ssh = must(ssh.NewSignerFromKey(private))(m.T)
		line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(u.ssh.PublicKey())))
		m.expect(http.StatusCreated, "POST", "/api/v1/ssh-keys", m.basic(u.name), `{"key":"`+line+`"}`)
	}
	return made
}

// namespaceOf is where a user may push, some other place for a robot.
func namespaceOf(u *matrixUser) string {
	if u.robot {
		return "nobody"
	}
	return u.name
}

// registryAuth returns the Authorization of a user for /v2/, with a token for
// the scopes where the kind of credential needs one.
func (m *matrixHub) registryAuth(u *matrixUser, kind string, scopes ...string) string {
	m.Helper()
	for i, s := range scopes {
		scopes[i] = "repository:" + s
	}
	var status int
	var got tokens
	switch kind {
	case "nothing":
		return ""
	case "password":
		return m.jwt(m.basic(u.name), scopes...)
	case "token to read as a password":
		return m.jwt(m.basicWith(u.name, u.tokens[kind]), scopes...)
	case "refresh token":
		status, got = tokenForm(m.T, m.url, "grant_type", "refresh_token", "refresh_token", u.refresh, "service", "carat", "client_id", "matrix", "scope", strings.Join(scopes, " "))
	case "SSH key":
		challenge := fmt.Sprintf(`Bearer realm="%s/token",service="carat",scope="%s"`, m.url, strings.Join(scopes, " "))
		status, got = readTokens(m.T, ollamaToken(m.T, u.ssh, challenge, time.Now()))
	default:
		return "Bearer " + u.tokens[kind]
	}
	if status != http.StatusOK {
		m.Fatalf("token for %s by %s: %d", u.name, kind, status)
	}
	return "Bearer " + got.Token
}

// each asserts one line of the matrix with one kind of credential, which leaves
// the actions of lab and own.
func (m *matrixHub) each(u *matrixUser, kind, lab, own string, whole bool) {
	m.Helper()
	for _, visibility := range []string{"public", "internal", "private", "missing"} {
		m.cell++
		role, what := u.role, fmt.Sprintf("%s, %s, %s", u, kind, visibility)
		if u.repository && visibility == "missing" {
			role = "none"
		}
		may := permitted[role][visibility]
		repo := "lab/" + visibility
		if visibility == "missing" {
			repo = fmt.Sprintf("lab/missing-%d", m.cell) // a push makes it
		}
		can := func(action int) bool { // at /v2/
			return may[action] == 'y' && (lab[action] == 'y') || visibility == "public" && action == 0
		}
		box := fmt.Sprintf("%s/box-%d", u.name, m.cell)
		if u.name == "" || u.robot {
			box = fmt.Sprintf("nobody/box-%d", m.cell)
		}
		as := m.registryAuth(u, kind, repo+":pull,push,delete", box+":pull,push", "vault/secret:pull")
		settings := as // for the API: the password itself, where there is one
		if whole {
			settings = m.basic(u.name)
		}
		m.reads(what, as, repo, visibility, can(0))
		m.mounts(what, as, repo, box, u.name != "" && own[1] == 'y', can(0), u.role == "admin" && lab[0] == 'y' && kind != "token for lab")
		m.settings(what, settings, repo, visibility, may, lab, whole, u.name == "")
		m.writes(what, as, repo, visibility, can)
		if whole || u.name == "" {
			status := http.StatusOK
			if !can(0) || visibility == "missing" {
				status = http.StatusNotFound
			}
			m.check(what+", page", status, "GET", "/"+repo, settings, "")
		}
	}
	m.organization(fmt.Sprintf("%s, %s", u, kind), u, kind, whole)
	m.lists(u, kind, lab, whole)
}

// reads asserts pulls of manifests and of blobs by digest.
func (m *matrixHub) reads(what, as, repo, visibility string, allowed bool) {
	m.Helper()
	status := func(there int) int {
		switch {
		case !allowed:
			return http.StatusUnauthorized
		case visibility == "missing":
			return http.StatusNotFound
		}
		return there
	}
	m.check(what+", manifest", status(http.StatusOK), "GET", "/v2/"+repo+"/manifests/v1", as, "")
	m.check(what+", tags", status(http.StatusOK), "GET", "/v2/"+repo+"/tags/list", as, "")
	own, known := m.blobs[repo]
	if !known {
		own = m.blobs["lab/private"]
	}
	m.check(what+", blob", status(http.StatusOK), "GET", "/v2/"+repo+"/blobs/"+own, as, "")
	// What lies in other repositories is not there, whether the caller may read them or not.
	open := m.check(what+", blob of a public repository", status(http.StatusNotFound), "GET", "/v2/"+repo+"/blobs/"+m.blobs["open/shelf"], as, "")
	secret := m.check(what+", blob of a secret repository", status(http.StatusNotFound), "GET", "/v2/"+repo+"/blobs/"+m.blobs["vault/secret"], as, "")
	if o, s := strings.ReplaceAll(string(open.body), m.blobs["open/shelf"], "D"), strings.ReplaceAll(string(secret.body), m.blobs["vault/secret"], "D"); o != s {
		m.Errorf("%s: answers tell blobs of other repositories apart: %s %s", what, o, s)
	}
}

// mounts asserts that a mount gives nothing that the caller cannot read.
func (m *matrixHub) mounts(what, as, repo, box string, push, read, secret bool) {
	m.Helper()
	try := func(from, digest string, allowed bool) reply {
		m.Helper()
		status := http.StatusUnauthorized
		switch {
		case push && allowed:
			status = http.StatusCreated
		case push:
			status = http.StatusAccepted // an upload begins
		}
		got := m.check(what+", mount from "+from, status, "POST", "/v2/"+box+"/blobs/uploads/?mount="+digest+"&from="+from, as, "")
		if push {
			there := http.StatusNotFound
			if allowed {
				there = http.StatusOK
			}
			m.check(what+", after a mount from "+from, there, "GET", "/v2/"+box+"/blobs/"+digest, as, "")
		}
		return got
	}
	if digest, known := m.blobs[repo]; known {
		try(repo, digest, read)
	}
	missing := try("vault/nothing", m.blobs["vault/secret"], false)
	hidden := try("vault/secret", m.blobs["vault/secret"], secret)
	if !secret && (len(hidden.body) != len(missing.body) || !slices.Equal(names(hidden.header), names(missing.header))) {
		m.Errorf("%s: mounts from hidden and from missing repositories differ: %v %v", what, hidden, missing)
	}
}

// writes asserts pushes, moves of tags and deletes, and that refused ones change nothing.
func (m *matrixHub) writes(what, as, repo, visibility string, can func(int) bool) {
	m.Helper()
	status := func(action, done int) int {
		if !can(action) {
			return http.StatusUnauthorized
		}
		return done
	}
	if visibility == "missing" {
		m.check(what+", delete", status(2, http.StatusNotFound), "DELETE", "/v2/"+repo+"/manifests/v1", as, "")
		m.check(what+", push", status(1, http.StatusAccepted), "POST", "/v2/"+repo+"/blobs/uploads/", as, "")
		return
	}
	admin := m.jwt(m.basic(adminName), "repository:"+repo+":pull,push")
	tag := func(name string) string {
		m.Helper()
		return m.get("HEAD", "/v2/"+repo+"/manifests/"+name, admin, "").header.Get("Docker-Content-Digest")
	}
	digests := [2]string{}
	for i, p := range m.manifests[repo] {
		digests[i] = fmt.Sprintf("sha256:%x", sha256.Sum256(p))
	}
	fresh, moved := fmt.Sprintf("fresh-%d", m.cell), fmt.Sprintf("moved-%d", m.cell)

	m.check(what+", push", status(1, http.StatusCreated), "PUT", "/v2/"+repo+"/manifests/"+fresh, as, string(m.manifests[repo][0]))
	m.check(what+", upload", status(1, http.StatusAccepted), "POST", "/v2/"+repo+"/blobs/uploads/", as, "")
	if got := tag(fresh); (got == digests[0]) != can(1) {
		m.Errorf("%s: after a push there is %q", what, got)
	}
	m.expect(http.StatusCreated, "PUT", "/v2/"+repo+"/manifests/"+moved, admin, string(m.manifests[repo][0]))
	m.check(what+", tag move", status(1, http.StatusCreated), "PUT", "/v2/"+repo+"/manifests/"+moved, as, string(m.manifests[repo][1]))
	want := digests[0]
	if can(1) {
		want = digests[1]
	}
	if got := tag(moved); got != want {
		m.Errorf("%s: after a tag move there is %q", what, got)
	}
	m.check(what+", delete", status(2, http.StatusAccepted), "DELETE", "/v2/"+repo+"/manifests/"+moved, as, "")
	if got := tag(moved); (got == "") != can(2) {
		m.Errorf("%s: after a delete there is %q", what, got)
	}
	if own := m.blobs[repo]; !can(2) {
		m.check(what+", delete a blob", http.StatusUnauthorized, "DELETE", "/v2/"+repo+"/blobs/"+own, as, "")
	}
}

// settings asserts the API: the model, its visibility, its gate and its roles.
func (m *matrixHub) settings(what, as, repo, visibility, may, lab string, whole, nobody bool) {
	m.Helper()
	path := "/api/v1/models/" + repo
	missing := visibility == "missing"
	there := func(status int) int {
		if missing {
			return http.StatusNotFound
		}
		return status
	}
	read := there(http.StatusOK)
	if (may[0] != 'y' || lab[0] != 'y' && !whole) && visibility != "public" {
		if read = http.StatusUnauthorized; whole {
			read = http.StatusForbidden
		}
	}
	m.check(what+", model", read, "GET", path, as, "")
	status := func(action, done int) int {
		switch {
		case nobody:
			return http.StatusUnauthorized
		case !whole || may[action] != 'y':
			return http.StatusForbidden
		}
		return done
	}
	body := `{"visibility":"` + visibility + `"}`
	if missing {
		body = `{"visibility":"public"}`
	}
	m.check(what+", visibility", status(3, there(http.StatusOK)), "PATCH", path, as, body)
	m.check(what+", terms gate", status(3, http.StatusNoContent), "DELETE", "/api/v1/terms-gates/"+repo, as, "")
	m.check(what+", give a role", status(4, there(http.StatusOK)), "PUT", path+"/members/guest", as, `{"role":"reader"}`)
	m.check(what+", take a role", status(4, there(http.StatusNoContent)), "DELETE", path+"/members/guest", as, "")
}

// organization asserts what is about the organization, and the hub.
func (m *matrixHub) organization(what string, u *matrixUser, kind string, whole bool) {
	m.Helper()
	as := m.registryAuth(u, kind, "lab/public:pull,push,delete")
	if whole {
		as = m.basic(u.name)
	}
	may := permitted[u.role]["private"]
	if u.repository {
		may = "-----"
	}
	status := func(allowed bool, done int) int {
		switch {
		case u.name == "":
			return http.StatusUnauthorized
		case !whole || !allowed:
			return http.StatusForbidden
		}
		return done
	}
	m.check(what+", members", status(may[0] == 'y', http.StatusOK), "GET", "/api/v1/orgs/lab/members", as, "")
	m.check(what+", give a role", status(may[4] == 'y', http.StatusOK), "PUT", "/api/v1/orgs/lab/members/guest", as, `{"role":"reader"}`)
	m.check(what+", take a role", status(may[4] == 'y', http.StatusNoContent), "DELETE", "/api/v1/orgs/lab/members/guest", as, "")
	m.check(what+", gate", status(may[3] == 'y', http.StatusOK), "PUT", "/api/v1/orgs/lab/lineage-gate", as, `{"gate":"warn"}`)
	m.check(what+", policy", status(may[3] == 'y', http.StatusOK), "GET", "/api/v1/orgs/lab/policy", as, "")
	m.check(what+", gate of another", status(u.role == "admin", http.StatusOK), "PUT", "/api/v1/orgs/vault/lineage-gate", as, `{"gate":"warn"}`)
	m.check(what+", policy of the hub", status(u.role == "admin", http.StatusOK), "GET", "/api/v1/policy", as, "")
	m.check(what+", audit log", status(u.role == "admin", http.StatusOK), "GET", "/api/v1/audit?limit=1", as, "")
	m.check(what+", own tokens", status(true, http.StatusOK), "GET", "/api/v1/tokens", as, "")
}

// lists asserts that lists and search show what may be pulled and nothing else.
func (m *matrixHub) lists(u *matrixUser, kind, lab string, whole bool) {
	m.Helper()
	token := m.registryAuth(u, kind, "lab/public:pull", "lab/internal:pull", "lab/private:pull")
	as := token
	if whole {
		as = m.basic(u.name)
	}
	for path, authorization := range map[string]string{
		"/api/v1/models?limit=100":               as,
		"/api/v1/models?limit=100&q=private":     as,
		"/api/v1/models?limit=100&q=internal":    as,
		"/v2/_catalog?n=1000":                    token,
		"/api/models?author=lab&limit=100":       as,
		"/api/models?search=lab%2Fpri&limit=100": as,
	} {
		got := m.check(fmt.Sprintf("%s, %s, list", u, kind), http.StatusOK, "GET", path, authorization, "")
		for _, visibility := range []string{"public", "internal", "private"} {
			query := must(url.ParseQuery(strings.TrimPrefix(path[strings.IndexByte(path, '?'):], "?")))(m.T)
			sought := strings.HasPrefix("lab/"+visibility, query.Get("search")) && strings.Contains(visibility, query.Get("q"))
			want := sought && permitted[u.role][visibility][0] == 'y' && (visibility == "public" || lab[0] == 'y')
			if shown := bytes.Contains(got.body, []byte(`"lab/`+visibility+`"`)); shown != want {
				m.Errorf("%s, %s: %s shows lab/%s: %t, want %t", u, kind, path, visibility, shown, want)
			}
		}
		if bytes.Contains(got.body, []byte("vault/secret")) && u.role != "admin" {
			m.Errorf("%s, %s: %s shows vault/secret", u, kind, path)
		}
	}
}

func (m *matrixHub) basic(name string) string { return m.basicWith(name, testPassword) }

func (m *matrixHub) basicWith(name, password string) string {
	req := &http.Request{Header: http.Header{}}
	req.SetBasicAuth(name, password)
	return req.Header.Get("Authorization")
}

// jwt returns a token of the token endpoint.
func (m *matrixHub) jwt(basic string, scopes ...string) string {
	m.Helper()
	for i, s := range scopes {
		if !strings.HasPrefix(s, "repository:") {
			scopes[i] = "repository:" + s
		}
	}
	got := m.expect(http.StatusOK, "GET", "/token?"+url.Values{"service": {"carat"}, "scope": scopes}.Encode(), basic, "")
	var a tokens
	if err := json.Unmarshal(got.body, &a); err != nil {
		m.Fatal(err)
	}
	return "Bearer " + a.Token
}

func (m *matrixHub) get(method, path, authorization, body string) reply {
	m.Helper()
	req := must(http.NewRequestWithContext(m.Context(), method, m.url+path, strings.NewReader(body)))(m.T)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	switch {
	case strings.Contains(path, "/manifests/") && body != "":
		req.Header.Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
	case strings.HasPrefix(path, "/api/"):
		req.Header.Set("Content-Type", "application/json")
	}
	return must(send(req))(m.T)
}

// expect is get for what the test cannot go on without.
func (m *matrixHub) expect(status int, method, path, authorization, body string) reply {
	m.Helper()
	got := m.get(method, path, authorization, body)
	if got.status != status {
		m.Fatalf("%s %s: %d, want %d: %s", method, path, got.status, status, got.body)
	}
	return got
}

// check is get for what the test is about.
func (m *matrixHub) check(what string, status int, method, path, authorization, body string) reply {
	m.Helper()
	got := m.get(method, path, authorization, body)
	if got.status != status {
		m.Errorf("%s: %s %s: %d, want %d: %.300s", what, method, path, got.status, status, got.body)
	}
	return got
}

func names(h http.Header) []string {
	list := []string{}
	for name := range h {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}
