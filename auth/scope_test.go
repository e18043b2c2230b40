package auth_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/auth"
)

func TestParseScope(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]auth.Scope{
		"repository:acme/llama:pull":              {Type: "repository", Name: "acme/llama", Actions: []string{"pull"}},
		"repository:acme/llama:pull,push,delete":  {Type: "repository", Name: "acme/llama", Actions: []string{"pull", "push", "delete"}},
		"repository:acme/llama:pull,pull":         {Type: "repository", Name: "acme/llama", Actions: []string{"pull"}},
		"repository:hub.example:5000/a/b:pull":    {Type: "repository", Name: "hub.example:5000/a/b", Actions: []string{"pull"}},
		"registry:catalog:*":                      {Type: "registry", Name: "catalog", Actions: []string{"*"}},
		"repository:" + long("x", 255) + ":pull":  {Type: "repository", Name: long("x", 255), Actions: []string{"pull"}},
		"repository:a:a,b,c,d,e,f,g,h":            {Type: "repository", Name: "a", Actions: strings.Split("a,b,c,d,e,f,g,h", ",")},
		"repository:repository:a:b:push,metadata": {Type: "repository", Name: "repository:a:b", Actions: []string{"push", "metadata"}},
	} {
		got, err := auth.ParseScope(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
	for _, text := range []string{
		"", ":", "::", "repository", "repository:a", "repository::pull", ":a:pull", "repository:a:", "repository:a:,", "repository:a:pull,",
		"repository:a:PULL", "REPOSITORY:a:pull", "repository(plugin):a:pull", "repository:a b:pull", "repository:a\"b:pull", "repository:ä:pull",
		"repository:a\x00:pull", "repository:a\n:pull", "repository:a\\b:pull", "repository:a:pull;push",
		"repository:" + long("x", 256) + ":pull", long("r", 33) + ":a:pull", "repository:a:" + long("p", 17),
		"repository:a:a,b,c,d,e,f,g,h,i", long(":", 100_000),
	} {
		if s, err := auth.ParseScope(text); !errors.Is(err, auth.ErrScope) {
			t.Errorf("%.60q: %+v, %v", text, s, err)
		}
	}
}

func TestParseScopes(t *testing.T) {
	t.Parallel()
	got, err := auth.ParseScopes([]string{"repository:a:pull repository:b:push", "", "repository:a:push,pull"})
	if err != nil {
		t.Fatal(err)
	}
	want := []auth.Scope{
		{Type: "repository", Name: "a", Actions: []string{"pull", "push"}},
		{Type: "repository", Name: "b", Actions: []string{"push"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var many []string
	for i := range auth.MaxScopes + 1 {
		many = append(many, "repository:a"+string(rune('a'+i))+":pull")
	}
	if _, err := auth.ParseScopes(many[:auth.MaxScopes]); err != nil {
		t.Error(err)
	}
	if _, err := auth.ParseScopes(many); !errors.Is(err, auth.ErrScope) {
		t.Errorf("too many: %v", err)
	}
	if _, err := auth.ParseScopes([]string{"repository:a:a,b,c,d,e", "repository:a:f,g,h,i"}); !errors.Is(err, auth.ErrScope) {
		t.Errorf("too many actions after merging: %v", err)
	}
	if _, err := auth.ParseScopes([]string{long(" ", 1<<20)}); !errors.Is(err, auth.ErrScope) {
		t.Errorf("1 MiB of spaces: %v", err)
	}
}

func TestNarrow(t *testing.T) {
	t.Parallel()
	look := func(name string) (auth.Resource, error) {
		switch name {
		case "open/model":
			return auth.Resource{Repository: name, Visibility: auth.Public}, nil
		case "closed/model":
			return auth.Resource{Repository: name, Visibility: auth.Private}, nil
		case "new/model":
			return auth.Resource{Repository: name, Visibility: auth.Public, Missing: true}, nil
		}
		return auth.Resource{}, nil
	}
	asked, err := auth.ParseScopes([]string{
		"repository:open/model:pull,push,metadata repository:closed/model:* repository:new/model:push,pull repository:BAD:* registry:catalog:* other:thing:pull",
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		p    auth.Principal
		want string
	}{
		"anonymous": {auth.Principal{}, "repository:open/model:pull"},
		"user":      {auth.Principal{UserID: 2, Name: "u"}, "repository:open/model:pull registry:catalog:*"},
		"reader":    {auth.Principal{UserID: 2, Name: "u", Roles: auth.Roles{"closed/model": auth.Reader, "new": auth.Writer}}, "repository:open/model:pull repository:closed/model:pull repository:new/model:pull,push registry:catalog:*"},
		"admin": {
			auth.Principal{UserID: 1, Name: "a", Admin: true},
			"repository:open/model:pull,push repository:closed/model:pull,push,delete repository:new/model:pull,push registry:catalog:*",
		},
	} {
		granted, err := auth.Narrow(tc.p, asked, look)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range granted {
			got = append(got, s.String())
		}
		if diff := cmp.Diff(tc.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	broken := errors.New("database away")
	if _, err := auth.Narrow(auth.Principal{}, asked, func(string) (auth.Resource, error) { return auth.Resource{}, broken }); !errors.Is(err, broken) {
		t.Errorf("error of the look-up: %v", err)
	}
}

func FuzzParseScope(f *testing.F) {
	for _, s := range []string{"repository:a/b:pull,push", "registry:catalog:*", "repository:h:1/a:pull", "::", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := auth.ParseScope(text)
		if err != nil {
			return
		}
		again, err := auth.ParseScope(s.String())
		if err != nil {
			t.Fatalf("%q does not parse again: %v", s, err)
		}
		if diff := cmp.Diff(s, again); diff != "" {
			t.Error(diff)
		}
	})
}

func long(s string, n int) string { return strings.Repeat(s, n) }
