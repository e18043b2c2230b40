package verify_test

import (
	"testing"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

// FuzzBases: whatever strangers declare, a name that is looked up follows the
// grammar of names, and no base is listed twice.
func FuzzBases(f *testing.F) {
	f.Add("Meta/Llama", "https://huggingface.co/meta/llama", "merge", "../x")
	f.Add("https://hf.co/hf.co/a/b", "/home/model", "", "a/b\x00")
	f.Fuzz(func(t *testing.T, one, two, relation, other string) {
		list := verify.JoinBases(registry.Card{BaseModels: []string{one, two}, Relation: relation}, other, []string{two, other})
		for i, b := range list {
			n, ok := registry.BaseName(b.Name)
			if _, err := registry.ParseName(string(n)); ok != (err == nil) {
				t.Fatalf("%q is looked up as %q", b.Name, n)
			}
			for _, before := range list[:i] {
				if registry.SameBase(b.Name, before.Name) {
					t.Fatalf("%q and %q in one list", before.Name, b.Name)
				}
			}
		}
	})
}
