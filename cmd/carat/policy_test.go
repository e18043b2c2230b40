package main

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carat-hub/carat/registry"
)

const policyRules = `@id("clean")
@reason("What contradicts the terms of its bases is not for others.")
forbid (principal, action == Action::"push", resource)
when { resource.lineage.errors > 0 };

@id("france")
@reason("Not in France.")
forbid (principal, action == Action::"pull", resource)
when { resource.repository == "acme/abroad" && principal.country == "FR" };
`

// TestPolicyOnHub sets and tries rules, and pulls under them.
func TestPolicyOnHub(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, _ *theHub, url string) {
		u, stranger, host := user{t.TempDir()}, user{t.TempDir()}, strings.TrimPrefix(url, "http://")
		u.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
		good := withCard(t, "m", "---\nlicense: apache-2.0\n---\n# Good\n")
		u.must(t, "", "push", good, host+"/acme/good:v1", "--wait")
		u.must(t, "", "push", withCard(t, "m", llamaAsApache), host+"/acme/stripped:v1", "--wait")
		u.must(t, "", "push", good, host+"/acme/abroad:v1", "--wait")
		file := filepath.Join(t.TempDir(), "rules.cedar")
		write(t, file, []byte(policyRules))
		bad := filepath.Join(t.TempDir(), "bad.cedar")
		write(t, bad, []byte("permit (principal, action, resource);"))

		stranger.expect(t, 1, "log in as an administrator", "policy", "set", host+"/acme", file)
		stranger.expect(t, 1, "log in as an administrator", "policy", "show", host+"/acme")
		stranger.expect(t, 1, "log in as an administrator", "policy", "test", host+"/acme", file)
		u.expect(t, 1, "a rule can only forbid", "policy", "set", host+"/acme", bad)
		u.expect(t, 2, "give a file with rules, or --remove", "policy", "set", host+"/acme")
		u.expect(t, 0, "there is no policy", "policy", "show", host+"/acme")

		// A test names what would break, and changes nothing.
		out, errs, code := u.carat(t, "", "policy", "test", host+"/acme", file)
		if code != 1 || !strings.Contains(out, "breaks   acme/stripped:v1") || !strings.Contains(out, "clean: What contradicts") || !strings.Contains(out, "breaks   acme/abroad:v1") ||
			!strings.Contains(out, "not known: principal.country") || strings.Contains(out, "acme/good") || !strings.Contains(errs, "2 of 3 models could not be pulled any more") {
			t.Errorf("policy test: exit code %d\n%s%s", code, out, errs)
		}
		out, _, _ = u.carat(t, "", "policy", "test", host, file, "--country", "DE", "--json")
		var tested registry.PolicyTestResult
		if err := json.Unmarshal([]byte(out), &tested); err != nil || len(tested.Broken) != 1 || tested.Broken[0].Name != "acme/stripped" || tested.Models != 3 {
			t.Errorf("policy test of the hub in Germany: %v\n%s", err, out)
		}
		stranger.must(t, "", "pull", host+"/acme/stripped:v1", "-o", filepath.Join(t.TempDir(), "tested"))

		u.must(t, "", "policy", "set", host+"/acme", file)
		u.expect(t, 0, `@id("clean")`, "policy", "show", host+"/acme")
		refused := func(model, want string) {
			t.Helper()
			stranger.expect(t, 1, want, "pull", host+"/acme/"+model+":v1", "-o", filepath.Join(t.TempDir(), "refused"))
		}
		refused("stripped", "What contradicts the terms of its bases is not for others.")
		refused("abroad", "Not known: principal.country.")
		stranger.must(t, "", "pull", host+"/acme/good:v1", "-o", filepath.Join(t.TempDir(), "good"))
		u.must(t, "", "pull", host+"/acme/stripped:v1", "-o", filepath.Join(t.TempDir(), "admin"))

		// The answer names the rules and what they wanted to know.
		q := must(http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/v2/acme/abroad/manifests/v1", nil))(t)
		q.Header.Set("Authorization", "Bearer "+anonymousToken(t, url, "acme/abroad"))
		resp := must(send(q))(t)
		var body struct {
			Errors []struct {
				Code   string
				Detail struct {
					License, Action string
					Denied          []struct{ Rule, Message string }
					Missing         []string
				}
			}
		}
		if err := json.Unmarshal(resp.body, &body); err != nil || resp.status != http.StatusForbidden || len(body.Errors) != 1 {
			t.Fatalf("status %d: %v\n%s", resp.status, err, resp.body)
		}
		d := body.Errors[0].Detail
		if body.Errors[0].Code != "DENIED" || d.Action != "pull" || len(d.Denied) != 1 || d.Denied[0].Rule != "france" || len(d.Missing) != 1 || d.Missing[0] != "principal.country" ||
			!strings.HasPrefix(d.License, url+"/acme/abroad/license?ref=sha256") {
			t.Errorf("the refusal: %s", resp.body)
		}

		// A push tells what others will run into.
		_, errs, code = u.carat(t, "", "push", withCard(t, "m", llamaAsApache+"\nMore.\n"), host+"/acme/stripped:v2", "--wait")
		if code != 1 || !strings.Contains(errs, "nobody else can pull it: a policy forbids it") || !strings.Contains(errs, "policy: clean: ") {
			t.Errorf("a push that a policy forbids: exit code %d\n%s", code, errs)
		}
		write(t, file, []byte(`@id("robots") @reason("Robots push here.") forbid (principal, action == Action::"push", resource) unless { principal.name == "robot" };`))
		u.must(t, "", "policy", "set", host+"/acme", file)
		u.expect(t, 1, "Robots push here.", "push", good, host+"/acme/other:v1")
		u.must(t, "", "policy", "set", host+"/acme", "--remove")
		stranger.must(t, "", "pull", host+"/acme/abroad:v1", "-o", filepath.Join(t.TempDir(), "abroad"))
		if out := u.must(t, "", "policy", "show", host+"/acme", "--history"); strings.Count(out, "// by admin") != 3 || !strings.Contains(out, "// taken away") {
			t.Errorf("the history is\n%s", out)
		}
	})
}

// anonymousToken is the token that everybody gets.
func anonymousToken(t *testing.T, url, repository string) string {
	t.Helper()
	resp := must(send(must(http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/token?service=carat&scope=repository:"+repository+":pull", nil))(t)))(t)
	var token struct{ Token string }
	if err := json.Unmarshal(resp.body, &token); err != nil || token.Token == "" {
		t.Fatalf("no token: %v\n%s", err, resp.body)
	}
	return token.Token
}

// TestPushBlocked: with --wait a push fails when its organization blocks what it found.
func TestPushBlocked(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, _ *theHub, url string) {
		u, host := user{t.TempDir()}, strings.TrimPrefix(url, "http://")
		u.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
		u.must(t, "", "license", "gate", host+"/acme", "block")
		dir := withCard(t, "m", llamaAsApache)
		_, errs, code := u.carat(t, "", "push", dir, host+"/acme/stripped:v1", "--wait")
		if code != 1 || !strings.Contains(errs, "of severity error") || !strings.Contains(errs, "section 1.b.i") || !strings.Contains(errs, "to mend in README.md: declare") {
			t.Errorf("a push of what is blocked: exit code %d\n%s", code, errs)
		}
		var a registry.Assessment
		if err := json.Unmarshal([]byte(u.must(t, "", "license", "show", host+"/acme/stripped:v1", "--json")), &a); err != nil {
			t.Fatal(err)
		}
		for _, f := range a.Lineage.Findings {
			if f.Severity == "error" {
				u.must(t, "", "license", "waive", host+"/acme/stripped:v1", f.ID, "--reason", "Agreed.", "--expires", time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339))
			}
		}
		u.must(t, "", "push", dir, host+"/acme/stripped:v1", "--wait")
	})
}
