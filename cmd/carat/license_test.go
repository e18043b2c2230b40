package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carat-hub/carat/licenses/lineage"
	"github.com/carat-hub/carat/registry"
)

// withCard copies the example model under another card, into a folder of that name.
func withCard(t *testing.T, name, card string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.CopyFS(dir, os.DirFS(example)); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "README.md"), []byte(card))
	return dir
}

// llamaAsApache is a fine-tune of a model of Meta's that says it were under another licence.
const llamaAsApache = "---\nlicense: apache-2.0\nbase_model: meta-llama/Llama-3.1-8B\npipeline_tag: text-generation\n---\n# A fine-tune\n"

func TestLicenseCommands(t *testing.T) {
	t.Parallel()
	u := user{t.TempDir()}
	stripped := withCard(t, "acme-8b", llamaAsApache)
	twist := filepath.Join(t.TempDir(), "LICENSE")
	text := string(read(t, "../../LICENSE"))
	write(t, twist, []byte(text+"\nYou must not use it on Sundays without permission.\n"))
	for _, tt := range []struct {
		name string
		code int
		want string
		args []string
	}{
		{"a licence", 0, "show “Built with Llama”", []string{"show", "llama3.1"}},
		{"an expression", 0, "CC Attribution-NonCommercial 4.0, section 2.a.1", []string{"show", "Apache-2.0 AND CC-BY-NC-4.0"}},
		{"a family", 1, `"openrail" names no licence by itself, it is a family of licences`, []string{"show", "openrail"}},
		{"no licence", 1, `nothing is known of a licence "Foo-1.0"`, []string{"show", "MIT AND Foo-1.0"}},
		{"no expression", 2, "names no licence either", []string{"show", "MIT AND AND"}},
		{"a text", 0, "It is Apache-2.0 (Apache License 2.0), word for word.", []string{"show", "../../LICENSE"}},
		{"a text with more in it", 0, "on sundays", []string{"show", twist}},
		{"a model", 0, "Openness, claimed: level 3", []string{"show", example}},
		{"as JSON", 0, `"spdx": "MIT"`, []string{"show", "mit", "--json"}},

		{"all", 0, "LicenseRef-Meta-Llama-3 ", []string{"list"}},
		{"some", 2, "not \"free\"", []string{"list", "--terms", "free"}},

		{"a tighter one", 0, ": tighter\n", []string{"compare", "mit", "llama3.1"}},
		{"a looser one", 0, ": looser\n", []string{"compare", "cc-by-nc-4.0", "cc-by-4.0"}},
		{"the same", 0, "No fact that is known differs.", []string{"compare", "mit", "mit"}},
		{"a text with a licence", 0, "No fact that is known differs.", []string{"compare", "../../LICENSE", "apache-2.0"}},
		{"a twisted text", 1, "is not word for word one licence", []string{"compare", twist, "apache-2.0"}},
		{"a day without a text", 1, "no text of gemma is known since 1999", []string{"compare", "gemma@1999", "gemma"}},

		{"a good model", 0, "Nothing contradicts the terms.", []string{"check", example}},
		{"a stripped licence", 1, "Llama 3.1 Community License, section 1.b.i", []string{"check", stripped}},
		{"a good name", 1, "L01", []string{"check", stripped, "--name", "Llama-3.1-Acme"}},
		{"a licence has no lineage", 2, "only models have a lineage", []string{"check", "mit"}},

		{"yes", 0, "Yes.", []string{"ask", "mit", "--commercial", "--derive", "--redistribute", "--host", "--train-on-outputs"}},
		{"no", 1, "No.", []string{"ask", "cc-by-nc-4.0", "--commercial"}},
		{"too many users", 1, "only up to 700 million monthly users", []string{"ask", "llama3.1", "--commercial", "--mau", "7.1e8"}},
		{"depends on users", 3, "the number of monthly users", []string{"ask", "llama3.1", "--commercial"}},
		{"depends on the model", 3, "whether the model is multimodal", []string{"ask", "llama4", "--commercial=false", "--country", "fr"}},
		{"not in a country", 1, "grants nothing in FR", []string{"ask", "llama4", "--commercial=false", "--country", "fr", "--modality", "multimodal"}},
		{"of a base", 1, "of meta-llama/Llama-3.1-8B", []string{"ask", stripped, "--commercial", "--mau", "1e9"}},
		{"of a text", 0, "Yes.", []string{"ask", "../../LICENSE", "--commercial"}},
		{"no number", 2, "--mau", []string{"ask", "mit", "--mau", "many"}},
		{"no modality", 2, "modality is text or multimodal", []string{"ask", "mit", "--modality", "smell"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			u.expect(t, tt.code, tt.want, append([]string{"license"}, tt.args...)...)
		})
	}
	out, _, _ := u.carat(t, "", "license", "check", stripped, "--name", "Llama-3.1-Acme")
	if strings.Contains(out, "L03") {
		t.Errorf("--name did not change the name:\n%s", out)
	}
}

// TestLicenseOnHub pushes a model that says less than the licence of its base
// demands, and looks at what the hub says of it.
func TestLicenseOnHub(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, _ *theHub, url string) {
		u, stranger, host := user{t.TempDir()}, user{t.TempDir()}, strings.TrimPrefix(url, "http://")
		u.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
		_, told, code := u.carat(t, "", "push", withCard(t, "m", llamaAsApache), host+"/acme/tuned:v1", "--wait")
		if code != 0 || strings.Count(told, "terms: error L01: ") != 1 || !strings.Contains(told, "(Llama 3.1 Community License, section 1.b.i)") {
			t.Errorf("a push that strips a licence: exit code %d\n%s", code, told)
		}

		var a registry.Assessment
		if err := json.Unmarshal([]byte(stranger.must(t, "", "license", "show", host+"/acme/tuned:v1", "--json")), &a); err != nil {
			t.Fatal(err)
		}
		var stripped *lineage.Finding
		for i, f := range a.Lineage.Findings {
			if f.Rule == "L01" {
				stripped = &a.Lineage.Findings[i]
			}
		}
		if stripped == nil || stripped.Clause == nil || stripped.Clause.Section != "1.b.i" || !strings.HasPrefix(stripped.Against, "meta-llama/Llama-3.1-8B") {
			t.Errorf("the stripped licence: %+v", stripped)
		}
		if a.Terms.Openness != "restricted" || int(a.Openness.Verified.Level) > 2 {
			t.Errorf("terms %s, level %d", a.Terms.Openness, a.Openness.Verified.Level)
		}
		stranger.expect(t, 1, "contradict the terms", "license", "check", host+"/acme/tuned:v1")
		stranger.expect(t, 1, "No.", "license", "ask", host+"/acme/tuned:v1", "--commercial", "--mau", "1e9")
		stranger.expect(t, 3, "the number of monthly users", "license", "ask", host+"/acme/tuned:v1", "--commercial")
		page := must(send(must(http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/acme/tuned/license?ref=v1", nil))(t)))(t)
		if body := string(page.body); !strings.Contains(body, "L01") || !strings.Contains(body, "section 1.b.i") {
			t.Errorf("the page does not name the rule and the clause:\n%s", body)
		}

		// The organization keeps it from others, and then lets it be for a time.
		stranger.must(t, "", "pull", host+"/acme/tuned:v1", "-o", filepath.Join(t.TempDir(), "warned"))
		stranger.expect(t, 1, "log in as an administrator", "license", "gate", host+"/acme", "block")
		u.expect(t, 0, "warn (the hub's)", "license", "gate", host+"/acme")
		u.expect(t, 0, "block (its own)", "license", "gate", host+"/acme", "block")
		refused := filepath.Join(t.TempDir(), "refused")
		stranger.expect(t, 1, "contradicts the terms of what it was made from", "pull", host+"/acme/tuned:v1", "-o", refused)
		u.must(t, "", "pull", host+"/acme/tuned:v1", "-o", filepath.Join(t.TempDir(), "admin"))
		u.expect(t, 2, "is no day", "license", "waive", host+"/acme/tuned:v1", stripped.ID, "--reason", "x", "--expires", "soon")
		u.expect(t, 1, "there is no such finding", "license", "waive", host+"/acme/tuned:v1", "0123", "--reason", "x", "--expires", "2027-06-30")
		stranger.expect(t, 1, "log in as an administrator", "license", "waive", host+"/acme/tuned:v1", stripped.ID, "--reason", "x", "--expires", "2027-06-30")
		soon := time.Now().Add(6 * time.Second).UTC().Format(time.RFC3339)
		for i, f := range a.Lineage.Findings {
			if f.Severity != lineage.SeverityError {
				continue
			}
			until := "2027-06-30"
			if i == 0 {
				until = soon
			}
			u.must(t, "", "license", "waive", host+"/acme/tuned:v1", f.ID, "--reason", "Agreed with the vendor.", "--expires", until)
		}
		stranger.expect(t, 0, "waived by admin until", "license", "check", host+"/acme/tuned:v1")
		stranger.must(t, "", "pull", host+"/acme/tuned:v1", "-o", filepath.Join(t.TempDir(), "waived"))
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Second) { // the waiver ends, and the hub's memory of it
			if _, _, code := stranger.carat(t, "", "pull", host+"/acme/tuned:v1", "-o", refused); code != 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("a waiver holds beyond its end")
			}
			_ = os.RemoveAll(refused)
		}
		u.must(t, "", "license", "gate", host+"/acme", "default")

		// A base that is here says more than its name, and what it says now counts.
		u.must(t, "", "push", withCard(t, "m", "---\nlicense: apache-2.0\n---\n# Base\n"), host+"/acme/base:latest", "--wait")
		u.must(t, "", "push", withCard(t, "m", "---\nlicense: apache-2.0\nbase_model: acme/base\n---\n# Fine\n"), host+"/acme/fine:v1", "--wait")
		stranger.must(t, "", "license", "ask", host+"/acme/fine:v1", "--commercial", "--derive")
		u.must(t, "", "push", withCard(t, "m", "---\nlicense: cc-by-nc-4.0\n---\n# Base\n"), host+"/acme/base:latest", "--wait")
		stranger.expect(t, 1, "of acme/base", "license", "ask", host+"/acme/fine:v1", "--commercial", "--derive")
	})
}
