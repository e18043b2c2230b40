package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carat-hub/carat/auth"
)

// TestAdminCommands goes the way of an organization, on a running hub and on its
// database.
func TestAdminCommands(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, h *theHub, url string) {
		host := strings.TrimPrefix(url, "http://")
		admin, jane, john, ci := user{t.TempDir()}, user{t.TempDir()}, user{t.TempDir()}, user{t.TempDir()}
		admin.expect(t, 1, "log in with the password", "admin", "user", "list", host)
		admin.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
		admin.expect(t, 2, "takes 2 arguments here", "admin", "org", "create", host)
		admin.expect(t, 2, "give one of", "admin", "user", "list", "--data", "x", "--database-url", "y")
		admin.expect(t, 1, "there is no database", "admin", "user", "list", "--data", t.TempDir())

		local := []string{"--database-url", h.config.DatabaseURL}
		if strings.HasPrefix(h.config.DatabaseURL, "sqlite:") {
			local = []string{"--data", filepath.Dir(strings.TrimPrefix(h.config.DatabaseURL, "sqlite:"))}
		}
		// Nobody is logged in here, and no server is asked.
		offline := func(stdin string, args ...string) string {
			t.Helper()
			return user{t.TempDir()}.must(t, stdin, append(append([]string{"admin"}, args...), local...)...)
		}
		admin.must(t, testPassword, "admin", "user", "add", host, "jane", "--password-stdin")
		offline(testPassword, "user", "add", "john", "--password-stdin")
		jane.must(t, testPassword, "login", host, "-u", "jane", "--password-stdin")
		john.must(t, testPassword, "login", host, "-u", "john", "--password-stdin")
		if got := offline("", "user", "list"); strings.Count(got, "\n") != 4 || !strings.Contains(got, "john") || strings.Count(got, "administrator") != 1 {
			t.Errorf("users:\n%s", got)
		}

		// Everybody owns the name space of their name, and nobody else's.
		jane.must(t, "", "push", example, host+"/jane/own:v1")
		jane.expect(t, 1, "", "push", example, host+"/acme/model:v1")
		offline("", "org", "create", "acme", "--owner", "jane", "--description", "rockets")
		jane.must(t, "", "push", example, host+"/acme/model:v1")
		jane.must(t, "", "visibility", host, "acme/model", "private")
		jane.expect(t, 1, "visibility must be", "visibility", host, "acme/model", "secret")
		john.expect(t, 1, "", "pull", host+"/acme/model:v1", "-o", filepath.Join(t.TempDir(), "x"))
		john.expect(t, 1, "403", "visibility", host, "acme/model", "public")

		jane.must(t, "", "admin", "org", "grant", host, "acme/model", "john", "reader")
		john.must(t, "", "pull", host+"/acme/model:v1", "-o", filepath.Join(t.TempDir(), "x"))
		if got := jane.must(t, "", "admin", "org", "members", host, "acme/model"); !strings.Contains(got, "john  reader") {
			t.Errorf("members:\n%s", got)
		}
		jane.must(t, "", "admin", "org", "revoke", host, "acme/model", "john")
		jane.must(t, "", "admin", "team", "create", host, "acme", "devs")
		jane.must(t, "", "admin", "team", "join", host, "acme", "devs", "john")
		jane.must(t, "", "admin", "team", "grant", host, "acme", "devs", "acme", "writer")
		john.must(t, "", "push", example, host+"/acme/model:v2")
		if got := john.must(t, "", "admin", "team", "list", host, "acme"); !strings.Contains(got, "devs  john     acme:writer") {
			t.Errorf("teams:\n%s", got)
		}
		offline("", "team", "leave", "acme", "devs", "john")
		john.expect(t, 1, "", "push", example, host+"/acme/model:v3")
		john.expect(t, 1, "403", "admin", "team", "join", host, "acme", "devs", "john")

		// Who is deleted leaves nothing behind, but what others have.
		admin.expect(t, 1, "acme: an organization keeps at least one owner", "admin", "user", "delete", host, "jane", "--yes")
		admin.must(t, "", "admin", "org", "grant", host, "acme", adminName, "owner")
		admin.expect(t, 1, "models in the user's name space", "admin", "user", "delete", host, "jane", "--yes")
		admin.must(t, "", "admin", "org", "revoke", host, "acme", adminName)
		offline(testPassword, "user", "add", "gone", "--password-stdin")
		gone := user{t.TempDir()}
		gone.must(t, testPassword, "login", host, "-u", "gone", "--password-stdin")
		gone.expect(t, 1, "403", "admin", "user", "delete", host, "john", "--yes")
		admin.expect(t, 1, "was not deleted", "admin", "user", "delete", host, "gone")
		admin.must(t, "", "admin", "user", "delete", host, "gone", "--yes")
		gone.expect(t, 1, "", "push", example, host+"/gone/model:v1")
		admin.expect(t, 1, "no user of that name", "admin", "user", "delete", host, "gone", "--yes")

		// A robot pushes by its token, in the place of a password.
		jane.must(t, "", "admin", "robot", "create", host, "acme", "ci", "--role", "writer", "--in", "acme/model")
		token := strings.TrimSpace(jane.must(t, "", "admin", "robot", "token", host, "acme", "ci", "pipeline", "--access", "write", "--expires", "1h"))
		if !auth.IsAccessToken(token) {
			t.Fatalf("token %q", token)
		}
		ci.must(t, token, "login", host, "-u", "acme+ci", "--password-stdin")
		ci.must(t, "", "push", example, host+"/acme/model:v3")
		ci.expect(t, 1, "", "push", example, host+"/acme/other:v1")
		if got := jane.must(t, "", "admin", "robot", "list", host, "acme"); !strings.Contains(got, "acme+ci") || !strings.Contains(got, "acme/model:writer") || !strings.Contains(got, "pipeline") || strings.Contains(got, token) {
			t.Errorf("robots:\n%s", got)
		}
		list := strings.Fields(strings.Split(strings.TrimSpace(offline("", "token", "list", "acme+ci")), "\n")[1])
		offline("", "token", "revoke", "acme+ci", list[0])
		ci.expect(t, 1, "", "push", example, host+"/acme/model:v4")
		jane.expect(t, 1, "there is no such token", "admin", "robot", "revoke", host, "acme", "ci", list[0])

		jane.expect(t, 1, "still has models", "admin", "org", "delete", host, "acme")
		admin.must(t, "", "admin", "org", "create", host, "empty")
		admin.must(t, "", "admin", "org", "describe", host, "empty", "nothing in it")
		if got := admin.must(t, "", "admin", "org", "list", host); !strings.Contains(got, "nothing in it") || !strings.Contains(got, "jane") {
			t.Errorf("organizations:\n%s", got)
		}
		admin.must(t, "", "admin", "org", "delete", host, "empty")

		// Recovery: the only administrator forgot the password.
		admin.expect(t, 1, "at least one administrator", "admin", "user", "demote", host, adminName)
		offline("a new long password", "user", "password", adminName, "--password-stdin")
		admin.expect(t, 1, "", "admin", "user", "list", host)
		offline("", "user", "promote", "jane")
		jane.must(t, "", "admin", "user", "demote", host, adminName)
		if u := must(h.store.User(t.Context(), adminName))(t); u.Admin {
			t.Error("the first administrator still is one")
		}

		// All of that is in the log, by whom.
		if got := jane.must(t, "", "audit", "export", host); strings.Count(got, `"actor":"carat"`) < 5 || !strings.Contains(got, `"org.create"`) || !strings.Contains(got, `"team.join"`) ||
			!strings.Contains(got, `"robot.create"`) || !strings.Contains(got, `"user":"acme+ci"`) || !strings.Contains(got, `"role.set"`) || !strings.Contains(got, `"password.set"`) || strings.Contains(got, token) {
			t.Errorf("audit log:\n%s", got)
		}
		req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/api/v1/users", nil))(t)
		req.Header.Set("Authorization", "Bearer "+token)
		if got := must(send(req))(t); got.status != http.StatusUnauthorized {
			t.Errorf("a revoked token: %d", got.status)
		}
	})
}
