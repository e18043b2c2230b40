package auth_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/carat-hub/carat/auth"
)

func TestPatterns(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		pattern, repository string
		want                bool
	}{
		{"*", "acme/m", true},
		{"acme/*", "acme/m", true},
		{"acme/*", "acme/m/deep", true},
		{"acme/*", "acme", false},
		{"acme/*", "acme-evil/m", false},
		{"acme/*", "other/m", false},
		{"acme/m", "acme/m", true},
		{"acme/m", "acme/m2", false},
		{"acme/m", "acme/m/deep", false},
		{"acme/sub/*", "acme/sub/m", true},
		{"acme/sub/*", "acme/m", false},
	} {
		if _, err := auth.ParsePatterns([]string{tc.pattern}); err != nil {
			t.Errorf("%s: %v", tc.pattern, err)
		}
		p := auth.Principal{UserID: 1, Name: "a", Admin: true, Limited: true, Scopes: []auth.Scope{{Type: auth.TypeRepository, Name: tc.pattern, Actions: []string{"pull"}}}}
		_, err := auth.Allow(p, auth.Pull, auth.Resource{Repository: tc.repository, Visibility: auth.Private})
		if (err == nil) != tc.want {
			t.Errorf("%s covers %s: %v", tc.pattern, tc.repository, err)
		}
		if _, err := auth.Allow(p, auth.Push, auth.Resource{Repository: tc.repository, Visibility: auth.Private}); err == nil {
			t.Errorf("%s permits what it does not name", tc.pattern)
		}
	}
	if list, err := auth.ParsePatterns(nil); err != nil || len(list) != 1 || list[0] != "*" {
		t.Errorf("none: %q, %v", list, err)
	}
	for _, p := range []string{"", "acme", "/*", "/", "acme/", "/m", "a//b", "acme/**", "acme*", "*/m", "acme/m*", "Acme/m", "acme/m:v1", "acme/m,x/y", "../x/ ", "**", strings.Repeat("a", 300) + "/*"} {
		if _, err := auth.ParsePatterns([]string{p}); !errors.Is(err, auth.ErrPattern) {
			t.Errorf("%q: %v", p, err)
		}
	}
	if _, err := auth.ParsePatterns(make([]string, auth.MaxPatterns+1)); !errors.Is(err, auth.ErrPattern) {
		t.Errorf("too many: %v", err)
	}
}
