package check

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

// sharedData returns the path of a file or folder of the reference data, which is no part of this repository: below
// CARAT_SHARED_DATA, or below ../shared/data seen from a folder above the module. It skips the test when that is not there.
func sharedData(t testing.TB, elem ...string) string {
	t.Helper()
	name := filepath.Join(elem...)
	if root := os.Getenv("CARAT_SHARED_DATA"); root != "" {
		return filepath.Join(root, name)
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; filepath.Dir(dir) != dir; dir = filepath.Dir(dir) {
		if p := filepath.Join(dir, "shared", "data", name); exists(p) {
			return p
		}
	}
	t.Skipf("reference data %s is not there; CARAT_SHARED_DATA names its folder", name)
	return ""
}

func exists(p string) bool {
	_, err := os.Stat(p)
	return err == nil
}

// filesOf makes the files of a version out of texts by their paths.
func filesOf(texts map[string]string) verify.Files {
	var files verify.Files
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		files = append(files, verify.NewFile(name, int64(len(texts[name])), registry.Digest{}, strings.NewReader(texts[name])))
	}
	return files
}

// run runs one check on files.
func (c check) on(t testing.TB, files verify.Files) finding {
	t.Helper()
	f, err := c.run(t.Context(), &model{files: files, part: partsOf(files)[0], engine: core{}, opts: verify.RunOptions{}.WithDefaults()})
	if err != nil {
		t.Fatal(err)
	}
	if f.outcome != verify.OutcomePassed && f.reason == "" {
		t.Errorf("%s without a reason", f.outcome)
	}
	return f
}
