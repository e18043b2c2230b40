package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAudit(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, _ *theHub, url string) {
		admin, nobody, host := user{t.TempDir()}, user{t.TempDir()}, strings.TrimPrefix(url, "http://")
		nobody.expect(t, 1, "nobody is logged in", "audit", "export", host)
		nobody.expect(t, 2, "give one of", "audit", "verify")
		admin.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
		admin.must(t, "", "push", example, host+"/lab/model:v1")
		log := admin.must(t, "", "audit", "export", host)
		for _, want := range []string{
			`"action":"sign-in","userId":`, `"actor":"admin","address":"127.0.0.1","request":"`,
			`"action":"push"`, `"action":"tag.move"`, `"repository":"lab/model"`, `"tag":"v1"`,
		} {
			if !strings.Contains(log, want) {
				t.Errorf("the log lacks %s:\n%s", want, log)
			}
		}
		if out := admin.must(t, "", "audit", "verify", host); !strings.Contains(out, "valid: ") {
			t.Errorf("verify says %q", out)
		}
		file := filepath.Join(t.TempDir(), "audit.jsonl")
		write := func(s string) {
			t.Helper()
			if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(log)
		out := strings.Fields(nobody.must(t, "", "audit", "verify", "--file", file))
		last := out[len(out)-1]
		nobody.must(t, "", "audit", "verify", "--file", file, "--last", last)
		write(strings.Replace(log, "lab/model", "lab/other", 1))
		nobody.expect(t, 1, "is not what it was", "audit", "verify", "--file", file)
		lines := strings.SplitAfter(strings.TrimSpace(log), "\n")
		write(lines[0] + strings.Join(lines[2:], ""))
		nobody.expect(t, 1, "entry 3 follows entry 1", "audit", "verify", "--file", file)
		write(strings.Join(lines[:len(lines)-1], ""))
		nobody.expect(t, 1, "it has no entry "+last, "audit", "verify", "--file", file, "--last", last)
	})
}
