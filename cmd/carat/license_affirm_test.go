package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carat-hub/carat/registry"
)

// openSource makes a folder with all that the highest levels ask for.
func openSource(t *testing.T) string {
	t.Helper()
	words := strings.Repeat("What there is to say of this model, its training and its use. ", 10)
	dir := withCard(t, "open", "---\nlicense: apache-2.0\n---\n# Open\n\n"+words+
		"\n\n## Evaluation results\n\nGood.\n\n## Training data\n\nStories.\n\n## Publicly available data\n\nAll of it.\n\n## Third-party data\n\nNone.\n")
	write(t, filepath.Join(dir, "LICENSE"), read(t, "../../LICENSE"))
	weights := read(t, filepath.Join(dir, "model.safetensors"))
	for name, content := range map[string][]byte{
		"checkpoint-1/model.safetensors": weights, "tech_report.md": []byte(words), "data_card.md": []byte(words), "paper.tex": []byte(words),
		"train.py": []byte("pass\n"), "inference.py": []byte("pass\n"), "evaluate.py": []byte("pass\n"), "prepare_data.py": []byte("pass\n"), "requirements.txt": []byte("numpy\n"),
		"stories.jsonl": []byte("{}\n"), "eval.jsonl": []byte("{}\n"),
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name), content)
	}
	return dir
}

// TestAffirmation takes a version to level 7 and back.
func TestAffirmation(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, _ *theHub, url string) {
		u, stranger, host := user{t.TempDir()}, user{t.TempDir()}, strings.TrimPrefix(url, "http://")
		u.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
		u.must(t, "", "push", openSource(t), host+"/acme/open:v1", "--wait")
		u.must(t, "", "push", withCard(t, "m", "---\nlicense: apache-2.0\n---\n# M\n"), host+"/acme/less:v1", "--wait")
		ref := host + "/acme/open:v1"
		history := url + "/api/v1/models/acme/open/versions/v1/assessments"
		level := func(want int) {
			t.Helper()
			awaitJSON(t, history, func(l *assessments) bool { return len(l.Assessments) > 0 && l.Assessments[0].Verified == want })
		}
		stranger.expect(t, 0, "Open Source AI Definition: candidate", "license", "show", ref)
		level(6)
		affirm := []string{"license", "affirm", ref, "--reviewer", "Ada Reviewer", "--reason", "An equal model can be built from it."}
		stranger.expect(t, 1, "log in as an administrator", affirm...)
		u.expect(t, 2, "--reviewer is required", "license", "affirm", ref)
		u.expect(t, 1, "no reviewer can overrule", "license", "affirm", host+"/acme/less:v1", "--reviewer", "Ada Reviewer", "--reason", "So be it.")
		u.must(t, "", affirm...)
		stranger.expect(t, 0, "affirmed by Ada Reviewer", "license", "show", ref)
		stranger.expect(t, 0, "entered by "+adminName, "license", "affirm", ref, "--list")
		level(7)
		page := must(send(must(http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/acme/open/license?ref=v1", nil))(t)))(t)
		if !strings.Contains(string(page.body), "Ada Reviewer") || !strings.Contains(string(page.body), "An equal model can be built from it.") {
			t.Errorf("the page does not name the reviewer:\n%s", page.body)
		}
		awaitJSON(t, url+"/api/v1/models?openness=7", func(l *modelSummaries) bool { return l.Total == 1 && l.Models[0].Name == registry.Name("acme/open") })
		u.must(t, "", "license", "affirm", ref, "--reviewer", "Ada Reviewer", "--remove")
		level(6)
		u.expect(t, 1, "no affirmation", "license", "affirm", ref, "--reviewer", "Ada Reviewer", "--remove")
	})
}
