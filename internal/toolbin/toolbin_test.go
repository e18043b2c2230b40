package toolbin_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/carat-hub/carat/internal/toolbin"
)

// TestPath runs every pinned program, so that a pin that does not build fails here and not in a test of the product.
func TestPath(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, want string
		args       []string
	}{
		{"versitygw", "Version", []string{"--version"}},
		{"oras", "1.3.6", []string{"version"}},
		{"crane", "v0.22.1", []string{"version"}},
		{"regctl", "v0.11.7", []string{"version"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			out, err := exec.Command(toolbin.Path(t, tc.name), tc.args...).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if !strings.Contains(string(out), tc.want) {
				t.Errorf("%s %v printed %q, want it to contain %q", tc.name, tc.args, out, tc.want)
			}
		})
	}
}

func TestPathAtOnce(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			path, err := toolbin.Build("conformance")
			if err != nil {
				t.Error(err)
				return
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o100 == 0 {
				t.Errorf("%s: not a program: %v", path, err)
			}
		})
	}
	wg.Wait()
}

func TestBuildUnknown(t *testing.T) {
	t.Parallel()
	if path, err := toolbin.Build("no-such-program"); err == nil {
		t.Errorf("Build = %s, want an error for a program that no module pins", path)
	}
}

func TestRoot(t *testing.T) {
	t.Parallel()
	root, err := toolbin.Root()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "internal", "toolbin", "toolbin.go")); err != nil {
		t.Errorf("Root = %s: %v", root, err)
	}
}
