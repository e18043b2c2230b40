package hub_test

import (
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/auth/authtest"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
	"github.com/carat-hub/carat/server/hub"
	"github.com/carat-hub/carat/storage/sqlstore"
)

// directory is the API over a database with an administrator, root, and users,
// whose passwords are their names.
func directory(t *testing.T, names ...string) (*bundle, *sqlstore.Store) {
	t.Helper()
	ctx := t.Context()
	db, err := sqlstore.Open(ctx, "sqlite:"+filepath.Join(t.TempDir(), "carat.db"), sqlstore.OpenOptions{Unsafe: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s := sqlstore.New(db, sqlstore.Options{})
	for _, name := range append(names, "root") {
		hash, err := auth.HashPassword(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.CreateUser(ctx, auth.User{Name: name, PasswordHash: hash, Admin: name == "root"}); err != nil {
			t.Fatal(err)
		}
	}
	signer, _ := authtest.Signer(t, make([]byte, auth.SeedLen))
	r := registry.New(registry.Options{Store: s})
	access := server.NewAccess(r)
	h, err := server.New(server.Options{
		Users: s, Tokens: s, Signer: signer, Repositories: r, Logger: slog.New(slog.DiscardHandler),
		Routes: []server.Routes{hub.New(hub.Options{Models: r, Users: s, Directory: s, Gates: r, Lineages: r, Access: access})},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &bundle{t: t, handler: h, signer: signer}, s
}

// step is one request of somebody, "" for nobody, and what must come of it.
type step struct {
	who, method, path, body string
	status                  int
	want                    string // in the answer
}

func (b *bundle) walk(steps []step) {
	b.t.Helper()
	for _, s := range steps {
		authorization := ""
		switch {
		case strings.HasPrefix(s.who, auth.AccessTokenPrefix):
			authorization = "Bearer " + s.who
		case s.who != "":
			authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(s.who+":"+s.who))
		}
		w := b.send(s.method, "/api/v1"+s.path, s.body, "Authorization", authorization, "Content-Type", "application/json")
		if w.Code != s.status || !strings.Contains(w.Body.String(), s.want) {
			b.t.Errorf("%s: %s %s %s: %d %s, want %d %s", s.who, s.method, s.path, s.body, w.Code, w.Body, s.status, s.want)
		}
	}
}

func TestOrganizations(t *testing.T) {
	t.Parallel()
	b, _ := directory(t, "jane", "john", "joan")
	b.walk([]step{
		{"", "GET", "/orgs", "", 401, "UNAUTHORIZED"},
		{"jane", "POST", "/orgs", `{"name":"acme"}`, 403, "DENIED"},
		{"root", "POST", "/orgs", `{"name":"ACME"}`, 400, "REQUEST_INVALID"},
		{"root", "POST", "/orgs", `{"name":"a/b"}`, 400, "REQUEST_INVALID"},
		{"root", "POST", "/orgs", `{"name":"acme+ci"}`, 400, "REQUEST_INVALID"},
		{"root", "POST", "/orgs", `{"name":"` + strings.Repeat("x", 65) + `"}`, 400, "REQUEST_INVALID"},
		{"root", "POST", "/orgs", `{"name":"api"}`, 409, "reserved"},
		{"root", "POST", "/orgs", `{"name":"jane"}`, 409, "that of an organization"},
		{"root", "POST", "/orgs", `{"name":"acme","owner":"nobody"}`, 404, "no user"},
		{"root", "POST", "/orgs", `{"name":"acme","description":"` + strings.Repeat("x", 2001) + `"}`, 400, "description"},
		{"root", "POST", "/orgs", `{"name":"acme","description":"rockets","owner":"jane"}`, 201, `"name":"acme","description":"rockets"`},
		{"root", "POST", "/orgs", `{"name":"acme"}`, 409, "CONFLICT"},
		{"root", "POST", "/users", `{"name":"acme","password":"long enough password"}`, 409, "organization"},
		{"root", "POST", "/users", `{"name":"login","password":"long enough password"}`, 409, "reserved"},

		{"jane", "GET", "/orgs", "", 200, `"role":"owner"`},
		{"john", "GET", "/orgs/acme", "", 403, "DENIED"},
		{"john", "GET", "/orgs/nothing", "", 403, "DENIED"}, // the same
		{"root", "GET", "/orgs/nothing", "", 404, "NAME_UNKNOWN"},
		{"jane", "PUT", "/orgs/acme/members/john", `{"role":"king"}`, 400, "REQUEST_INVALID"},
		{"jane", "PUT", "/orgs/acme/members/john", `{"role":""}`, 400, "a role is"},
		{"jane", "PUT", "/orgs/acme/members/nobody", `{"role":"reader"}`, 404, "no user"},
		{"jane", "PUT", "/orgs/acme/members/john", `{"role":"maintainer"}`, 200, `{"user":"john","role":"maintainer"}`},
		{"john", "GET", "/orgs/acme", "", 200, `"role":"maintainer"`},
		{"john", "GET", "/orgs/acme/members", "", 200, `[{"user":"jane","role":"owner"},{"user":"john","role":"maintainer"}]`},
		{"john", "PATCH", "/orgs/acme", `{"description":"bigger rockets"}`, 200, "bigger"},
		{"john", "PUT", "/orgs/acme/members/john", `{"role":"owner"}`, 403, "DENIED"},
		{"john", "DELETE", "/orgs/acme", "", 403, "DENIED"},
		{"jane", "DELETE", "/orgs/acme/members/jane", "", 409, "at least one owner"},
		{"jane", "PUT", "/orgs/acme/members/jane", `{"role":"reader"}`, 409, "at least one owner"},
		{"jane", "PUT", "/orgs/acme/members/john", `{"role":"owner"}`, 200, ""},
		{"jane", "DELETE", "/orgs/acme/members/jane", "", 204, ""},
		{"jane", "GET", "/orgs/acme/members", "", 403, "DENIED"},
		{"john", "DELETE", "/orgs/john", "", 409, "name space of a user"},
		{"john", "DELETE", "/orgs/acme", "", 204, ""},
		{"root", "GET", "/orgs/acme", "", 404, "NAME_UNKNOWN"},
		{"root", "POST", "/orgs", `{"name":"acme"}`, 201, `"name":"acme"`},
	})
}

func TestTeams(t *testing.T) {
	t.Parallel()
	b, s := directory(t, "jane", "john", "joan")
	if _, err := s.CreateRepository(t.Context(), registry.Repository{Name: "acme/llama", Visibility: auth.Private}); err != nil {
		t.Fatal(err)
	}
	b.walk([]step{
		{"root", "PUT", "/orgs/acme/members/jane", `{"role":"owner"}`, 200, ""},
		{"john", "POST", "/orgs/acme/teams", `{"name":"devs"}`, 403, "DENIED"},
		{"jane", "POST", "/orgs/acme/teams", `{"name":"De vs"}`, 400, "REQUEST_INVALID"},
		{"jane", "POST", "/orgs/acme/teams", `{"name":"devs"}`, 201, "devs"},
		{"jane", "POST", "/orgs/acme/teams", `{"name":"devs"}`, 409, "CONFLICT"},
		{"jane", "PUT", "/orgs/acme/teams/none/members/john", "", 404, "no such team"},
		{"jane", "PUT", "/orgs/acme/teams/devs/members/nobody", "", 404, "no user"},
		{"jane", "PUT", "/orgs/acme/teams/devs/members/john", "", 204, ""},
		{"jane", "PUT", "/orgs/acme/teams/devs/members/john", "", 204, ""},
		{"john", "GET", "/models/acme/llama", "", 403, "DENIED"}, // a team without roles
		{"john", "GET", "/orgs", "", 200, `"name":"john"`},
		{"jane", "PUT", "/orgs/acme/teams/devs/roles", `{"scope":"jane","role":"reader"}`, 400, "own organization"},
		{"jane", "PUT", "/orgs/acme/teams/devs/roles", `{"scope":"acme/none","role":"reader"}`, 404, "NAME_UNKNOWN"},
		{"jane", "PUT", "/orgs/acme/teams/devs/roles", `{"scope":"acme/llama"}`, 400, "a role is"},
		{"jane", "PUT", "/orgs/acme/teams/devs/roles", `{"scope":"acme/llama","role":"reader"}`, 204, ""},
		{"john", "GET", "/models/acme/llama", "", 200, `"visibility":"private"`},
		{"john", "PATCH", "/models/acme/llama", `{"visibility":"public"}`, 403, "DENIED"},
		{"john", "GET", "/orgs", "", 200, `"name":"acme"`},
		{"john", "GET", "/orgs/acme", "", 403, "DENIED"}, // a role in a model is none in the organization
		{"jane", "PUT", "/orgs/acme/teams/devs/roles", `{"scope":"acme/llama","role":"maintainer"}`, 204, ""},
		{"john", "PATCH", "/models/acme/llama", `{"visibility":"internal"}`, 200, "internal"},
		{"jane", "PUT", "/orgs/acme/teams/devs/roles", `{"scope":"acme","role":"reader"}`, 204, ""},
		{"john", "GET", "/orgs/acme/teams", "", 200, `"name":"devs","members":["john"],"roles":[{"scope":"acme","role":"reader"},{"scope":"acme/llama","role":"maintainer"}]`},
		{"john", "POST", "/orgs/acme/teams", `{"name":"others"}`, 403, "DENIED"},
		{"jane", "DELETE", "/orgs/acme/teams/devs/roles?scope=acme/llama", "", 204, ""},
		{"john", "PATCH", "/models/acme/llama", `{"visibility":"private"}`, 403, "DENIED"},
		{"jane", "DELETE", "/orgs/acme/teams/devs/members/john", "", 204, ""},
		{"john", "GET", "/orgs/acme/teams", "", 403, "DENIED"},
		{"jane", "DELETE", "/orgs/acme/teams/devs", "", 204, ""},
		{"jane", "DELETE", "/orgs/acme/teams/devs", "", 404, "no such team"},
		{"jane", "GET", "/orgs/acme/teams", "", 200, `{"teams":[]}`},
		{"jane", "GET", "/models/acme/llama/members", "", 200, `{"members":[]}`},
		{"joan", "GET", "/models/acme/llama", "", 200, "internal"}, // whoever is signed in
		{"", "GET", "/models/acme/llama", "", 401, "UNAUTHORIZED"},
	})
}

func TestRobots(t *testing.T) {
	t.Parallel()
	b, s := directory(t, "jane", "john")
	for _, n := range []registry.Name{"acme/llama", "acme/other", "lab/model"} {
		if _, err := s.CreateRepository(t.Context(), registry.Repository{Name: n, Visibility: auth.Private}); err != nil {
			t.Fatal(err)
		}
	}
	b.walk([]step{
		{"root", "PUT", "/orgs/acme/members/jane", `{"role":"owner"}`, 200, ""},
		{"root", "PUT", "/orgs/acme/members/john", `{"role":"maintainer"}`, 200, ""},
		{"john", "POST", "/orgs/acme/robots", `{"name":"ci"}`, 403, "DENIED"},
		{"john", "GET", "/orgs/acme/robots", "", 403, "DENIED"},
		{"jane", "POST", "/orgs/acme/robots", `{"name":"c+i"}`, 400, "REQUEST_INVALID"},
		{"jane", "POST", "/orgs/acme/robots", `{"name":"ci"}`, 201, `{"name":"ci","user":"acme+ci"}`},
		{"jane", "POST", "/orgs/acme/robots", `{"name":"ci"}`, 409, "CONFLICT"},
		{"jane", "PUT", "/models/acme/llama/members/acme+ci", `{"role":"maintainer"}`, 200, ""},
		{"root", "PUT", "/orgs/lab/members/acme+ci", `{"role":"reader"}`, 409, "own organization only"},
		{"root", "PATCH", "/users/acme+ci", `{"password":"long enough password"}`, 404, "no user"},
		{"root", "PATCH", "/users/acme+ci", `{"admin":true}`, 404, "no user"},
		{"jane", "POST", "/orgs/acme/robots/none/tokens", `{"name":"t","access":"read"}`, 404, "no such robot"},
		{"acme+ci", "GET", "/orgs", "", 401, "UNAUTHORIZED"}, // it has no password, not even ""
	})
	w := b.send("GET", "/api/v1/orgs", "", "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("acme+ci:")))
	if w.Code != http.StatusUnauthorized {
		t.Errorf("a robot without a password: %d", w.Code)
	}
	w = b.send("POST", "/api/v1/orgs/acme/robots/ci/tokens", `{"name":"pipeline","access":"write","expires":3600}`,
		"Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("jane:jane")), "Content-Type", "application/json")
	var made struct {
		ID    int64
		Token string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &made); err != nil || w.Code != http.StatusCreated || !auth.IsAccessToken(made.Token) || w.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	b.walk([]step{
		{made.Token, "GET", "/models/acme/llama", "", 200, "private"},
		{made.Token, "GET", "/models/acme/other", "", 401, "UNAUTHORIZED"},
		{made.Token, "GET", "/models/lab/model", "", 401, "UNAUTHORIZED"},
		{made.Token, "PATCH", "/models/acme/llama", `{"visibility":"public"}`, 403, "DENIED"}, // tokens are for content
		{made.Token, "GET", "/orgs/acme", "", 403, "DENIED"},
		{made.Token, "POST", "/tokens", `{"name":"t","access":"read"}`, 403, "DENIED"},
		{"jane", "GET", "/orgs/acme/robots", "", 200, `"roles":{"acme/llama":"maintainer"}`},
		{"jane", "GET", "/orgs/acme/robots", "", 200, `"lastUsedAt"`},
		{"root", "GET", "/users/acme+ci/tokens", "", 200, `"name":"pipeline"`},
		{"root", "GET", "/users/nobody/tokens", "", 404, "no user"},
		{"jane", "GET", "/users/acme+ci/tokens", "", 403, "DENIED"},
		{"root", "GET", "/users", "", 200, `"name":"jane"`},
		{"jane", "DELETE", "/orgs/acme/robots/ci/tokens/99", "", 404, "no such token"},
		{"jane", "DELETE", "/tokens/1", "", 404, "no such token"}, // it is not hers
		{"jane", "DELETE", "/orgs/acme/robots/ci/tokens/1", "", 204, ""},
		{made.Token, "GET", "/models/acme/llama", "", 401, "UNAUTHORIZED"},
		{"jane", "POST", "/orgs/acme/robots/ci/tokens", `{"name":"t","access":"read"}`, 201, "hf_"},
		{"root", "DELETE", "/users/acme+ci/tokens/2", "", 204, ""},
		{"jane", "POST", "/orgs/acme/robots/ci/tokens", `{"name":"t","access":"read"}`, 201, "hf_"},
		{"jane", "DELETE", "/orgs/acme/robots/ci", "", 204, ""}, // with the token
		{"jane", "DELETE", "/orgs/acme/robots/ci", "", 404, "no such robot"},
		{"jane", "GET", "/models/acme/llama/members", "", 200, `{"members":[]}`},
	})
	if users, err := s.Users(t.Context()); err != nil || len(users) != 3 {
		t.Errorf("users %v, %v", users, err)
	}
}

func TestChangeUser(t *testing.T) {
	t.Parallel()
	b, s := directory(t, "jane")
	b.walk([]step{
		{"jane", "GET", "/users", "", 403, "DENIED"},
		{"jane", "PATCH", "/users/jane", `{"admin":true}`, 403, "DENIED"},
		{"root", "PATCH", "/users/nobody", `{"admin":true}`, 404, "no user"},
		{"root", "PATCH", "/users/jane", `{"password":"short"}`, 400, "at least 12"},
		{"root", "PATCH", "/users/root", `{"admin":false}`, 409, "at least one administrator"},
		{"root", "PATCH", "/users/jane", `{"admin":true}`, 200, `"admin":true`},
		{"jane", "PATCH", "/users/root", `{"admin":false}`, 200, `"admin":false`},
		{"root", "GET", "/users", "", 403, "DENIED"},
		{"jane", "PATCH", "/users/root", `{"password":"another long password"}`, 200, ""},
		{"root", "GET", "/orgs", "", 401, "UNAUTHORIZED"},
	})
	if _, err := auth.Authenticate(t.Context(), s, "root", "another long password"); err != nil {
		t.Errorf("the new password: %v", err)
	}
}
