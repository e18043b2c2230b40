package hfapi

import (
	"strings"
	"testing"

	"github.com/carat-hub/carat/registry"
)

func TestIsCommit(t *testing.T) {
	t.Parallel()
	for rev, want := range map[string]bool{
		strings.Repeat("a", 40): true, strings.Repeat("0", 40): true, strings.Repeat("A", 40): false, strings.Repeat("a", 39): false, strings.Repeat("a", 64): false, strings.Repeat("g", 40): false, "": false,
	} {
		if got := isCommit(rev); got != want {
			t.Errorf("%q: %v", rev, got)
		}
	}
}

func TestPointerSize(t *testing.T) {
	t.Parallel()
	f := registry.File{Path: "a", Digest: registry.DigestOf(registry.SHA256, nil), Size: 12345}
	// The text that Git LFS keeps in the place of such a file, by its specification.
	if got := lfsOf(&f); got.PointerSize != 130 || got.OID != f.Digest.Hex() {
		t.Errorf("%+v", got)
	}
	f.Digest = registry.DigestOf(registry.SHA512, nil)
	if got := lfsOf(&f); got != nil {
		t.Errorf("of another algorithm: %+v", got)
	}
}
