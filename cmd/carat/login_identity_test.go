package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/internal/oidctest"
)

// TestLoginWithIdentity is a pipeline that pushes without a stored secret: an
// OpenID provider that is not ours gives its job a token, and the hub takes it.
func TestLoginWithIdentity(t *testing.T) {
	t.Parallel()
	const main, branch = "repo:acme/m:ref:refs/heads/main", "repo:acme/m:ref:refs/heads/feature"
	ci := oidctest.Start(t, []string{"hub.example", "other"}, []string{main, branch})
	stranger := oidctest.Start(t, []string{"hub.example"}, []string{main})
	for _, p := range pairings {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			c, getenv := p.config(t)
			var later atomic.Int64
			c.clock = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
			c.Workloads = filepath.Join(t.TempDir(), "workloads.json")
			write(t, c.Workloads, must(json.Marshal(map[string]any{"rules": []auth.WorkloadRule{{
				Issuer: ci.Issuer, Audience: "hub.example", Subject: "repo:acme/*:ref:refs/heads/main", Claims: map[string]string{"email_verified": "true"},
				User: adminName, Repositories: []string{"acme/*"}, Access: "write", Lifetime: "30m",
			}}}))(t))
			_, base := startHub(t, c, getenv)
			host := strings.TrimPrefix(base, "http://")

			job := user{t.TempDir()}
			file := filepath.Join(t.TempDir(), "token")
			login := func(token string) []string {
				t.Helper()
				write(t, file, []byte(token+"\n"))
				return []string{"login", host, "--identity-token-file", file}
			}
			token := ci.IDToken(t, "hub.example", main)
			if got := job.must(t, "", login(token)...); got != "logged in to "+host+" for 30m0s: repository:acme/*:pull,push,delete\n" {
				t.Errorf("said %q", got)
			}
			job.must(t, "", "push", example, host+"/acme/m:v1")
			job.must(t, "", "pull", host+"/acme/m:v1", "-o", filepath.Join(t.TempDir(), "copy"))
			job.expect(t, 1, "401", "push", example, host+"/lab/m:v1")
			job.expect(t, 1, "takes the password itself", "token", "create", host, "more")
			if p := must(os.ReadFile(filepath.Join(job.home, "config.json")))(t); strings.Contains(string(p), token) {
				t.Error("the identity token is stored")
			}

			// Every other way is refused, and says why.
			nobody := user{t.TempDir()}
			nobody.expect(t, 1, "exchanged before", login(token)...)
			nobody.expect(t, 1, "no rule for its subject", login(ci.IDToken(t, "hub.example", branch))...)
			nobody.expect(t, 1, "no rule for its audience", login(ci.IDToken(t, "other", main))...)
			nobody.expect(t, 1, "not one that this hub trusts", login(stranger.IDToken(t, "hub.example", main))...)
			nobody.expect(t, 1, "signature", login(token[:len(token)-8]+"AAAAAAAA")...)
			nobody.expect(t, 2, "no identity token", login("")...)
			nobody.expect(t, 2, "no identity token", "login", host, "--identity-token-env", "CARAT_TEST_NO_SUCH_TOKEN")
			fresh := ci.IDToken(t, "hub.example", main)
			for name, tc := range map[string]struct {
				status int
				form   []string
			}{
				"no type":      {400, []string{"subject_token", fresh}},
				"another type": {400, []string{"subject_token", fresh, "subject_token_type", "urn:ietf:params:oauth:token-type:saml2"}},
				"another wish": {400, []string{"subject_token", fresh, "subject_token_type", "urn:ietf:params:oauth:token-type:id_token", "requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"}},
				"for another":  {400, []string{"subject_token", fresh, "subject_token_type", "urn:ietf:params:oauth:token-type:id_token", "actor_token", "x"}},
				"no token":     {401, []string{"subject_token_type", "urn:ietf:params:oauth:token-type:id_token"}},
				"as a JWT":     {200, []string{"subject_token", fresh, "subject_token_type", "urn:ietf:params:oauth:token-type:jwt"}},
			} {
				status, got := tokenForm(t, base, append([]string{"grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"}, tc.form...)...)
				if status != tc.status {
					t.Errorf("%s: status %d", name, status)
				}
				if status == http.StatusOK && (!auth.IsAccessToken(got.AccessToken) || got.ExpiresIn != 1800 || got.TokenType != "Bearer" || got.IssuedType != "urn:ietf:params:oauth:token-type:access_token" || got.RefreshToken != "") {
					t.Errorf("%s: %+v", name, got)
				}
			}

			// Its owner sees it, and who used it.
			owner := user{t.TempDir()}
			owner.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
			if list := owner.must(t, "", "token", "list", host); !strings.Contains(list, ci.Issuer+" "+main) {
				t.Errorf("tokens:\n%s", list)
			}
			// What the token endpoint gives for it ends with it.
			later.Store(int64(29 * time.Minute))
			req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/token?service=carat&scope=repository:acme/m:push", nil))(t)
			req.SetBasicAuth("x", job.password(t, host))
			if status, got := readTokens(t, req); status != http.StatusOK || got.ExpiresIn > 60 || got.ExpiresIn < 10 {
				t.Errorf("a token a minute before the end: %d, holds %d s", status, got.ExpiresIn)
			}
			// It ends by itself, and so does what has not been exchanged.
			unused := ci.IDToken(t, "hub.example", main)
			later.Store(int64(31 * time.Minute))
			job.expect(t, 1, "401", "push", example, host+"/acme/m:v2")
			later.Store(int64(61 * time.Minute))
			nobody.expect(t, 1, "expired", login(unused)...)
		})
	}
	t.Run("not set up", func(t *testing.T) {
		t.Parallel()
		_, base := startHub(t, serveConfig{}, nil)
		file := filepath.Join(t.TempDir(), "token")
		write(t, file, []byte("a.b.c"))
		user{t.TempDir()}.expect(t, 1, "trusts no issuers", "login", strings.TrimPrefix(base, "http://"), "--identity-token-file", file)
	})
}

func TestWorkloadRulesAreRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.json")
	write(t, bad, []byte(`{"rules":[{"issuer":"http://ci.example"}]}`))
	for _, path := range []string{bad, filepath.Join(dir, "missing.json")} {
		_, stderr, code := user{dir}.carat(t, "", "serve", "--data", filepath.Join(dir, "data"), "--addr", "127.0.0.1:0", "--sandbox", "none", "--workload-identities", path)
		if code != 1 || !strings.Contains(stderr, "--workload-identities") {
			t.Errorf("exit %d: %s", code, stderr)
		}
	}
}

// password returns what is stored for a host.
func (u user) password(t *testing.T, host string) string {
	t.Helper()
	store := must(client.DockerCredentials(u.home))(t)
	return must(store.Get(t.Context(), host))(t).Password
}
