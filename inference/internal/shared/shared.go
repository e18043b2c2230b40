package shared

import (
	"os"
	"path/filepath"
	"testing"
)

// Path returns the path of a file or folder of the reference data: below CARAT_SHARED_DATA, or below ../shared/data seen from a
// folder above the module. It skips the test when that is not there.
func Path(t testing.TB, elem ...string) string {
	t.Helper()
	name := filepath.Join(elem...)
	if root := os.Getenv("CARAT_SHARED_DATA"); root != "" {
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Fatalf("CARAT_SHARED_DATA is set: %v", err)
		}
		return filepath.Join(root, name)
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; filepath.Dir(dir) != dir; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "shared", "data", name)); err == nil {
			return filepath.Join(dir, "shared", "data", name)
		}
	}
	t.Skipf("reference data %s is not there; CARAT_SHARED_DATA names its folder", name)
	return ""
}
