package main

import (
	"bytes"
	"crypto/ed25519"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/carat-hub/carat/internal/toolbin"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify/attestation"
)

const userPassword = "a long enough password"

// TestTerms demands that terms are accepted, and pulls as somebody who has not
// and then has.
func TestTerms(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, _ *theHub, url string) {
		admin, u, host := user{t.TempDir()}, user{t.TempDir()}, strings.TrimPrefix(url, "http://")
		admin.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
		admin.must(t, userPassword, "user", "add", host, "jane", "--password-stdin")
		if _, errs, code := admin.carat(t, userPassword, "user", "add", host, "jane/doe", "--password-stdin"); code != 1 || !strings.Contains(errs, "a name has at most 64") {
			t.Errorf("a user named like a model: exit code %d\n%s", code, errs)
		}
		u.must(t, userPassword, "login", host, "-u", "jane", "--password-stdin")
		ref := host + "/acme/model:v1"
		admin.must(t, "", "push", withCard(t, "m", "---\nlicense: apache-2.0\npipeline_tag: text-generation\n---\n# One\n"), ref, "--wait")
		u.must(t, "", "pull", ref, "-o", filepath.Join(t.TempDir(), "before"))
		u.expect(t, 1, "log in as an administrator", "terms", "gate", host+"/acme", "auto")
		admin.must(t, "", "terms", "gate", host+"/acme", "auto", "--prompt", "Tell us who you are.", "--field", "Company:text", "--field", "Country:country")
		admin.expect(t, 0, `"mode": "auto"`, "terms", "gate", host+"/acme")
		admin.expect(t, 2, "a mode is off, auto or manual", "terms", "gate", host+"/acme", "always")
		admin.expect(t, 2, "unknown kind \"colour\"", "terms", "gate", host+"/acme", "auto", "--field", "Company:colour")

		oras := func(home string) (string, error) {
			t.Helper()
			cmd := exec.CommandContext(t.Context(), toolbin.Path(t, "oras"), "pull", "--plain-http", ref, "-o", filepath.Join(t.TempDir(), "oras"))
			cmd.Env = append(os.Environ(), "HOME="+home, "DOCKER_CONFIG="+home)
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			err := cmd.Run()
			return out.String(), err
		}
		page := url + "/acme/model/terms?ref="
		for name, home := range map[string]string{"a stranger": t.TempDir(), "a user": u.home} {
			if out, err := oras(home); err == nil || !strings.Contains(out, "have to be accepted first; see "+page) {
				t.Errorf("oras as %s: %v\n%s", name, err, out)
			}
		}
		admin.must(t, "", "pull", ref, "-o", filepath.Join(t.TempDir(), "admin"))
		refused := filepath.Join(t.TempDir(), "refused")
		u.expect(t, 1, "--accept-terms", "pull", ref, "-o", refused)
		u.expect(t, 1, `"Company" has to be filled in`, "pull", ref, "-o", refused, "--accept-terms")
		u.expect(t, 1, `"Country" has to be the two letters of a country, like FR`, "terms", "accept", ref, "--yes", "--field", "Company=Acme", "--field", "Country=France")
		if _, err := os.Stat(refused); !os.IsNotExist(err) {
			t.Errorf("a refused pull left something: %v", err)
		}
		u.must(t, "", "pull", ref, "-o", filepath.Join(t.TempDir(), "accepted"), "--accept-terms", "--field", "Company=Acme", "--field", "Country=fr")
		if out, err := oras(u.home); err != nil {
			t.Errorf("oras after acceptance: %v\n%s", err, out)
		}
		if out, err := oras(t.TempDir()); err == nil {
			t.Errorf("oras as a stranger, after another one's acceptance:\n%s", out)
		}
		u.expect(t, 0, "Your acceptance: accepted", "terms", "show", ref)

		// The receipt, without the hub.
		keys, receipt := filepath.Join(u.home, "hub.pub"), filepath.Join(u.home, "receipt.json")
		write(t, keys, []byte(u.must(t, "", "keys", host)))
		write(t, receipt, []byte(u.must(t, "", "receipt", "get", host+"/acme/model")))
		u.expect(t, 0, "valid: jane accepted the terms of acme/model@sha256:", "receipt", "verify", receipt, "--key", keys)
		u.expect(t, 0, "Country: FR", "receipt", "verify", receipt, "--key", keys)
		forged := filepath.Join(u.home, "forged.json")
		write(t, forged, bytes.Replace(read(t, receipt), []byte("jane"), []byte("john"), 1))
		u.expect(t, 1, "it was somebody else who accepted", "receipt", "verify", forged, "--key", keys)
		foreign := filepath.Join(u.home, "foreign.pub")
		write(t, foreign, attestation.NewKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey)).PEM())
		u.expect(t, 1, "key", "receipt", "verify", receipt, "--key", foreign)

		// Looser terms do not ask again, tighter ones do.
		ref = host + "/acme/model:v2"
		admin.must(t, "", "push", withCard(t, "m", "---\nlicense: cc-by-nc-4.0\npipeline_tag: text-generation\n---\n# Two\n"), ref, "--wait")
		u.expect(t, 1, "have become tighter and have to be accepted again", "pull", ref, "-o", refused)
		if out, err := oras(u.home); err == nil || !strings.Contains(out, "have become tighter") {
			t.Errorf("oras of tighter terms: %v\n%s", err, out)
		}
		u.must(t, "", "pull", ref, "-o", filepath.Join(t.TempDir(), "again"), "--accept-terms", "--field", "Company=Acme", "--field", "Country=FR")
		u.must(t, "", "pull", host+"/acme/model:v1", "-o", filepath.Join(t.TempDir(), "v1"))

		// An administrator decides.
		admin.must(t, "", "terms", "gate", host+"/acme/asked", "manual")
		admin.must(t, "", "push", example, host+"/acme/asked:v1", "--wait")
		u.expect(t, 1, "an administrator has not decided yet", "pull", host+"/acme/asked:v1", "-o", refused, "--accept-terms")
		u.expect(t, 1, "a user who may do that", "terms", "requests", host)
		requests := admin.must(t, "", "terms", "requests", host)
		lines := strings.Split(strings.TrimSpace(requests), "\n")
		if len(lines) != 2 || !strings.Contains(lines[1], `{"user":"jane"}`) {
			t.Fatalf("requests:\n%s", requests)
		}
		admin.must(t, "", "terms", "decide", host, strings.Fields(lines[1])[0], "accept")
		u.must(t, "", "pull", host+"/acme/asked:v1", "-o", filepath.Join(t.TempDir(), "asked"))
		admin.must(t, "", "terms", "gate", host+"/acme/free", "off")
		admin.must(t, "", "push", example, host+"/acme/free:v1", "--wait")
		user{t.TempDir()}.must(t, "", "pull", host+"/acme/free:v1", "-o", filepath.Join(t.TempDir(), "free"))

		// The log, whole; with an entry taken out; and after somebody was erased from it.
		log := filepath.Join(u.home, "log.jsonl")
		write(t, log, []byte(admin.must(t, "", "receipt", "log", host)))
		u.expect(t, 0, "valid: 3 entries", "receipt", "verify-log", log, "--key", keys)
		entries := strings.SplitAfter(string(read(t, log)), "\n")
		write(t, forged, []byte(entries[0]+entries[2]))
		u.expect(t, 1, "line 2: not a receipt of an acceptance: the entry before it was changed, or taken out", "receipt", "verify-log", forged, "--key", keys)
		admin.expect(t, 0, "erased from 3 entries", "terms", "erase", host, "jane")
		erased := admin.must(t, "", "receipt", "log", host)
		if strings.Contains(erased, "jane") || strings.Contains(erased, "Acme") {
			t.Errorf("erased, and still there:\n%s", erased)
		}
		write(t, log, []byte(erased))
		u.expect(t, 0, "valid: 3 entries", "receipt", "verify-log", log, "--key", keys)
		u.expect(t, 0, "jane accepted", "receipt", "verify", receipt, "--key", keys) // her own copy
	})
}

// TestTermsPage accepts terms by the form, as a browser sends it.
func TestTermsPage(t *testing.T) {
	t.Parallel()
	_, address := startHub(t, serveConfig{}, nil)
	admin, host := user{t.TempDir()}, strings.TrimPrefix(address, "http://")
	admin.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
	admin.must(t, userPassword, "user", "add", host, "jane", "--password-stdin")
	admin.must(t, "", "push", example, host+"/acme/model:v1", "--wait")
	admin.must(t, "", "terms", "gate", host+"/acme", "auto", "--field", "Use:select:research,product")
	page := address + "/acme/model/terms?ref=v1"
	ask := func(method, name string, form url.Values, header ...string) reply {
		t.Helper()
		req := must(http.NewRequestWithContext(t.Context(), method, page, strings.NewReader(form.Encode())))(t)
		if name != "" {
			req.SetBasicAuth(name, userPassword)
		}
		if form != nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		return must(send(req))(t)
	}
	if got := ask(http.MethodGet, "", nil); got.status != http.StatusOK || !strings.Contains(string(got.body), "Sign in</a> to accept") {
		t.Errorf("a stranger's page: status %d\n%s", got.status, got.body)
	}
	shown := string(ask(http.MethodGet, "jane", nil).body)
	_, rest, ok := strings.Cut(shown, `name="termsKey" value="`)
	key, _, _ := strings.Cut(rest, `"`)
	if !ok || !strings.Contains(shown, `<option>product</option>`) {
		t.Fatalf("the form:\n%s", shown)
	}
	form := url.Values{"termsKey": {key}, "field.Use": {"product"}}
	for name, got := range map[string]reply{
		"from another site": ask(http.MethodPost, "jane", form, "Sec-Fetch-Site", "cross-site"),
		"by nobody":         ask(http.MethodPost, "", form),
		"without an answer": ask(http.MethodPost, "jane", url.Values{"termsKey": {key}}),
		"of other terms":    ask(http.MethodPost, "jane", url.Values{"termsKey": {registry.DigestOf(registry.SHA256, nil).String()}, "field.Use": {"product"}}),
	} {
		want := map[string]int{"from another site": 403, "by nobody": 401, "without an answer": 400, "of other terms": 409}[name]
		if got.status != want {
			t.Errorf("%s: status %d, want %d", name, got.status, want)
		}
	}
	if got := ask(http.MethodPost, "jane", form, "Sec-Fetch-Site", "same-origin"); got.status != http.StatusOK && got.status != http.StatusSeeOther {
		t.Errorf("accepted: status %d\n%s", got.status, got.body)
	}
	if got := ask(http.MethodGet, "jane", nil); !strings.Contains(string(got.body), "You have accepted these terms.") {
		t.Errorf("the page after it:\n%s", got.body)
	}
}

// TestTermsMaintainers: who maintains a model sees who asks for it and decides,
// and nobody else but administrators does.
func TestTermsMaintainers(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, h *theHub, address string) {
		host := strings.TrimPrefix(address, "http://")
		admin, jane, john, joan := user{t.TempDir()}, user{t.TempDir()}, user{t.TempDir()}, user{t.TempDir()}
		admin.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
		for name, u := range map[string]user{"jane": jane, "john": john, "joan": joan} {
			admin.must(t, userPassword, "user", "add", host, name, "--password-stdin")
			u.must(t, userPassword, "login", host, "-u", name, "--password-stdin")
		}
		for _, model := range []string{"acme/model", "acme/other"} {
			admin.must(t, "", "push", example, host+"/"+model+":v1", "--wait")
		}
		admin.must(t, "", "admin", "org", "grant", host, "acme/model", "jane", "maintainer")
		jane.must(t, "", "terms", "gate", host+"/acme/model", "manual")
		jane.expect(t, 1, "403", "terms", "gate", host+"/acme/other", "manual")
		jane.expect(t, 1, "403", "terms", "gate", host+"/acme", "manual")
		admin.must(t, "", "terms", "gate", host+"/acme/other", "manual")
		joan.must(t, "", "terms", "accept", host+"/acme/model:v1", "--yes")
		joan.must(t, "", "terms", "accept", host+"/acme/other:v1", "--yes")
		joan.expect(t, 1, "", "pull", host+"/acme/model:v1", "-o", filepath.Join(t.TempDir(), "x"))

		john.expect(t, 1, "403", "terms", "requests", host, "acme/model")
		jane.expect(t, 1, "403", "terms", "requests", host)
		jane.expect(t, 1, "403", "terms", "requests", host, "acme")
		jane.expect(t, 1, "403", "terms", "requests", host, "acme/other")
		all := must(h.store.AcceptanceLog(t.Context(), 0, 10))(t)
		if len(all) != 2 || all[0].Name != "acme/model" {
			t.Fatalf("acceptances: %+v", all)
		}
		if got := jane.must(t, "", "terms", "requests", host, "acme/model"); !strings.Contains(got, "joan") || strings.Contains(got, "acme/other") {
			t.Errorf("requests:\n%s", got)
		}
		id, other := strconv.FormatInt(all[0].ID, 10), strconv.FormatInt(all[1].ID, 10)
		john.expect(t, 1, "403", "terms", "decide", host, id, "accept")
		joan.expect(t, 1, "403", "terms", "decide", host, id, "accept")
		jane.expect(t, 1, "403", "terms", "decide", host, other, "accept")
		jane.expect(t, 1, "403", "terms", "decide", host, "99", "accept") // as one of another model
		admin.expect(t, 1, "404", "terms", "decide", host, "99", "accept")
		jane.must(t, "", "terms", "decide", host, id, "accept")
		joan.must(t, "", "pull", host+"/acme/model:v1", "-o", filepath.Join(t.TempDir(), "x"))
		joan.expect(t, 1, "", "pull", host+"/acme/other:v1", "-o", filepath.Join(t.TempDir(), "x"))
	})
}
