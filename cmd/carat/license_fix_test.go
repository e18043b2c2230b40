package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestLicenseFix mends a model until nothing is found that needs no decision.
func TestLicenseFix(t *testing.T) {
	t.Parallel()
	u := user{t.TempDir()}
	const card = "---\n# kept as it is\nlicense: apache-2.0   # chosen in a hurry\nbase_model: meta-llama/Llama-3.1-8B\nx_ours: [1, \"two\"]\n---\n# A fine-tune\n\nWords.\n"
	dir := withCard(t, "acme-8b", card)
	readme, notice := filepath.Join(dir, "README.md"), filepath.Join(dir, "NOTICE")
	before := contents(t, dir)

	out, errs, code := u.carat(t, "", "license", "fix", dir, "--diff")
	if code != 0 || !strings.Contains(out, "+Built with Llama\n") || !strings.Contains(out, "--- /dev/null\n+++ b/NOTICE\n") {
		t.Errorf("--diff: exit code %d\n%s%s", code, out, errs)
	}
	for _, want := range []string{"publish it under a name such as Llama-acme-8b", "add to LICENSE the text of the Llama 3.1", "declare LicenseRef-scancode-llama-3.1"} {
		if !strings.Contains(errs, want) {
			t.Errorf("it does not tell %q:\n%s", want, errs)
		}
	}
	u.expect(t, 1, "nobody can be asked", "license", "fix", dir)
	u.expect(t, 2, "give one of them", "license", "fix", dir, "--diff", "--yes")
	u.expect(t, 2, "is no folder", "license", "fix", readme)
	for name, text := range contents(t, dir) {
		if before[name] != text {
			t.Fatalf("%s was changed without asking", name)
		}
	}

	u.expect(t, 0, "changed NOTICE", "license", "fix", dir, "--yes", "--declare")
	if got, want := string(read(t, readme)), strings.Replace(card, "license: apache-2.0   #", "license: llama3.1   #", 1)+"\nBuilt with Llama\n"; got != want {
		t.Errorf("the card is now\n%s", got)
	}
	if text := string(read(t, notice)); !strings.Contains(text, "Llama 3.1 is licensed under") {
		t.Errorf("the notice is\n%s", text)
	}
	fixed := contents(t, dir)
	u.expect(t, 0, "nothing to change", "license", "fix", dir, "--yes", "--declare")
	for name, text := range contents(t, dir) {
		if fixed[name] != text {
			t.Errorf("%s was changed a second time", name)
		}
	}
	out, _, _ = u.carat(t, "", "license", "check", dir, "--name", "Llama-3.1-Acme")
	for _, rule := range []string{"L01", "L03", "L05"} {
		if strings.Contains(out, rule) {
			t.Errorf("%s is still found:\n%s", rule, out)
		}
	}
}
