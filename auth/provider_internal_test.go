package auth

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNameFrom(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"ada": "ada", "Ada.Lovelace": "ada.lovelace", "ada@example.org": "ada", "Ada  Lovelace": "ada-lovelace", "..ada..": "ada", "a__b--c": "a_b-c",
		"Åsa/../root": "sa-root", "": "", "@example.org": "", "日本": "", "a.-_b": "a.b", "user-7f/x": "user-7f-x",
	} {
		if got := nameFrom(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	if got := nameFrom(strings.Repeat("ab.", 100)); len(got) > maxProviderNames-3 {
		t.Errorf("a long name becomes %q", got)
	}
}

func TestRolesOf(t *testing.T) {
	t.Parallel()
	rules := []GroupRole{{"ml", "acme", Writer}, {"leads", "acme", Owner}, {"ml", "acme/m", Maintainer}, {"ops", "tools", Reader}}
	for name, tt := range map[string]struct {
		claim any
		want  Roles
	}{
		"a list":  {[]any{"ml", "leads", 7, "other"}, Roles{"acme": Owner, "acme/m": Maintainer, "tools": NoRole}},
		"one":     {"ops", Roles{"acme": NoRole, "acme/m": NoRole, "tools": Reader}},
		"none":    {nil, Roles{"acme": NoRole, "acme/m": NoRole, "tools": NoRole}},
		"garbage": {map[string]any{"ml": true}, Roles{"acme": NoRole, "acme/m": NoRole, "tools": NoRole}},
	} {
		if diff := cmp.Diff(tt.want, rolesOf(rules, groupsOf(tt.claim))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if n := len(groupsOf(make([]any, 0))); n != 0 {
		t.Errorf("%d groups", n)
	}
}
