package toolbin

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/carat-hub/carat/internal/need"
)

// Script returns a command that runs a script of tools/<name>, a package of npm, with Node and with the packages that
// its lock file pins. Where there is no Node the test is skipped, or fails in CI.
func Script(t testing.TB, name, script string, args ...string) *exec.Cmd {
	t.Helper()
	node, err := exec.LookPath("node")
	if err == nil {
		_, err = exec.LookPath("npm")
	}
	if err != nil {
		need.Missing(t, "Node with npm", "apt-get install nodejs npm")
	}
	folder, err := install(name)
	if err != nil {
		t.Fatal(err)
	}
	return exec.CommandContext(t.Context(), node, append([]string{filepath.Join(folder, script)}, args...)...)
}

// install copies tools/<name> to bin/tools/<name> and installs its packages there, unless that was done.
func install(name string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	pin, folder := filepath.Join(root, "tools", name), filepath.Join(root, "bin", "tools", name)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(folder + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	files, err := os.ReadDir(pin)
	if err != nil {
		return "", fmt.Errorf("no package under tools/ pins %s: %w", name, err)
	}
	done := filepath.Join(folder, ".installed")
	var from []string
	for _, f := range files {
		from = append(from, filepath.Join(pin, f.Name()))
	}
	if fresh(done, from...) {
		return folder, nil
	}
	for _, f := range from {
		p, err := os.ReadFile(f)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(folder, filepath.Base(f)), p, 0o644); err != nil {
			return "", err
		}
	}
	// Packages may not run programs of their own at their installation.
	cmd := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci of %s: %w\n%s", name, err, out)
	}
	return folder, os.WriteFile(done, nil, 0o644)
}
