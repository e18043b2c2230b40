package licenses

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCompare(t *testing.T) {
	t.Parallel()
	look := func(id string) *Fact {
		f, ok := Lookup(id)
		if !ok {
			t.Fatal(id)
		}
		return f
	}
	grok := Versions("grok2-community")
	tests := []struct {
		name          string
		before, after *Fact
		want          Change
		field         string // one of the differences
	}{
		{"permissive to non-commercial", look("cc-by-4.0"), look("cc-by-nc-4.0"), ChangeTighter, "commercial"},
		{"and back", look("cc-by-nc-4.0"), look("cc-by-4.0"), ChangeLooser, "commercial"},
		{"another name for the same", look("mit"), look("mit(phi)"), ChangeNeutral, ""},
		{"copyleft", look("apache-2.0"), look("gpl-3.0"), ChangeTighter, "derivatives"},
		{"a territory", look("llama3.1"), look("llama3.2"), ChangeTighter, "territory"},
		{"a policy for a limit of revenue", grok[1], grok[0], ChangeTighter, "commercial"},
		{"to what nobody has read", look("mit"), look("h-research"), ChangeTighter, "commercial"},
		{"fewer users", look("llama3.1"), look("other:qwen"), ChangeTighter, "commercial"},
	}
	for _, tt := range tests {
		c := Compare(tt.before, tt.after)
		found := tt.field == ""
		for _, d := range c.Differences {
			found = found || d.Field == tt.field
		}
		if c.Change != tt.want || !found {
			t.Errorf("%s: %+v, want %s by %q", tt.name, c, tt.want, tt.field)
		}
	}
}

// TestCompareAll: nothing differs from itself, and what is looser one way is tighter the other way.
func TestCompareAll(t *testing.T) {
	t.Parallel()
	all := All()
	for _, a := range all {
		if c := Compare(a, a); c.Change != ChangeNeutral || len(c.Differences) != 0 {
			t.Errorf("%s differs from itself: %+v", a.ID, c)
		}
	}
	for _, a := range catalogued() {
		for _, b := range catalogued() {
			there, back := Compare(a, b), Compare(b, a)
			var fields [2][]string
			for i, c := range []Comparison{there, back} {
				for _, d := range c.Differences {
					fields[i] = append(fields[i], d.Field)
				}
			}
			if diff := cmp.Diff(fields[0], fields[1]); diff != "" {
				t.Fatalf("%s and %s differ in other fields the other way: %s", a.ID, b.ID, diff)
			}
			if there.Change == ChangeLooser && back.Change != ChangeTighter {
				t.Fatalf("%s to %s is looser, and %s back", a.ID, b.ID, back.Change)
			}
		}
	}
}
