package auth_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/auth"
)

// The actions, in the order of the letters in the tables below, and two that there are not.
var actions = []auth.Action{auth.Pull, auth.Push, auth.Delete, auth.Maintain, auth.Manage, auth.Operate, auth.Self, "", "fly"}

const (
	org  = "acme"
	repo = "acme/llama"
)

// resources are what the columns of the first table below are about.
var resources = []auth.Resource{
	{Repository: repo, Visibility: auth.Public},
	{Repository: repo, Visibility: auth.Internal},
	{Repository: repo, Visibility: auth.Private},
	{Repository: repo, Visibility: auth.Public, Missing: true},
	{Repository: repo, Visibility: auth.Internal, Missing: true},
	{Repository: repo, Visibility: auth.Private, Missing: true},
	{Repository: repo},
	{Repository: repo, Visibility: "secret"},
	{Organization: org},
	{},
}

// byRole are the decisions on each of the resources for who comes with all that
// they may do: for each action y = allowed, u = ErrUnauthenticated, n = ErrDenied.
var byRole = map[string][10]string{
	//             public       internal     private      missing: public, internal, private           no visibility, unknown one  organization  hub
	"anonymous":  {"yuuuuuuuu", "uuuuuuuuu", "uuuuuuuuu", "uuuuuuuuu", "uuuuuuuuu", "uuuuuuuuu", "uuuuuuuuu", "uuuuuuuuu", "uuuuuuuuu", "uuuuuuuuu"},
	"":           {"ynnnnnnnn", "ynnnnnnnn", "nnnnnnnnn", "nnnnnnnnn", "nnnnnnnnn", "nnnnnnnnn", "nnnnnnnnn", "nnnnnnnnn", "nnnnnnnnn", "nnnnnnynn"},
	"reader":     {"ynnnnnnnn", "ynnnnnnnn", "ynnnnnnnn", "ynnnnnnnn", "ynnnnnnnn", "ynnnnnnnn", "ynnnnnnnn", "ynnnnnnnn", "ynnnnnnnn", "nnnnnnynn"},
	"writer":     {"yynnnnnnn", "yynnnnnnn", "yynnnnnnn", "yynnnnnnn", "yynnnnnnn", "yynnnnnnn", "yynnnnnnn", "yynnnnnnn", "ynnnnnnnn", "nnnnnnynn"},
	"maintainer": {"yyyynnnnn", "yyyynnnnn", "yyyynnnnn", "yyyynnnnn", "yyyynnnnn", "yyyynnnnn", "yyyynnnnn", "yyyynnnnn", "ynnynnnnn", "nnnnnnynn"},
	"owner":      {"yyyyynnnn", "yyyyynnnn", "yyyyynnnn", "yyyyynnnn", "yyyyynnnn", "yyyyynnnn", "yyyyynnnn", "yyyyynnnn", "ynnyynnnn", "nnnnnnynn"},
	"admin":      {"yyyyynnnn", "yyyyynnnn", "yyyyynnnn", "yyyyynnnn", "yyyyynnnn", "yyyyynnnn", "yyyyynnnn", "yyyyynnnn", "ynnyynnnn", "nnnnnyynn"},
}

// byCredential tells which actions on the repository a credential with scopes
// leaves to who has it.
var byCredential = map[string]struct {
	scopes []string
	leaves []auth.Action
}{
	"for nothing":            {nil, nil},
	"to pull":                {[]string{"repository:acme/llama:pull"}, []auth.Action{auth.Pull}},
	"to push":                {[]string{"repository:acme/llama:pull,push"}, []auth.Action{auth.Pull, auth.Push}},
	"only to push":           {[]string{"repository:acme/llama:push"}, []auth.Action{auth.Push}},
	"to delete":              {[]string{"repository:acme/llama:delete"}, []auth.Action{auth.Delete}},
	"for all":                {[]string{"repository:acme/llama:pull,push,delete"}, []auth.Action{auth.Pull, auth.Push, auth.Delete}},
	"for whatever":           {[]string{"repository:acme/llama:*"}, []auth.Action{auth.Pull, auth.Push, auth.Delete}},
	"two scopes":             {[]string{"repository:acme/other:*", "repository:acme/llama:pull"}, []auth.Action{auth.Pull}},
	"for more than there is": {[]string{"repository:acme/llama:maintain,manage,operate,self,fly"}, nil},
	"organization":           {[]string{"repository:acme/*:pull,push"}, []auth.Action{auth.Pull, auth.Push}},
	"everywhere":             {[]string{"repository:*:pull,push,delete"}, []auth.Action{auth.Pull, auth.Push, auth.Delete}},
	"another":                {[]string{"repository:acme/other:*"}, nil},
	"another organization":   {[]string{"repository:acm/*:*", "repository:acme2/*:*"}, nil},
	"its parent":             {[]string{"repository:acme:*"}, nil},
	"below it":               {[]string{"repository:acme/llama/*:*", "repository:acme/llama/x:*"}, nil},
	"catalogue":              {[]string{"registry:catalog:*"}, nil},
	"another type":           {[]string{"registry:acme/llama:*"}, nil},
}

func principal(t *testing.T, role string) auth.Principal {
	t.Helper()
	p := auth.Principal{UserID: 2, Name: "user", Admin: role == "admin"}
	switch role {
	case "anonymous":
		return auth.Principal{}
	case "", "admin":
	default:
		r, err := auth.ParseRole(role)
		if err != nil {
			t.Fatal(err)
		}
		p.Roles = auth.Roles{org: r}
	}
	return p
}

func decision(t *testing.T, p auth.Principal, a auth.Action, r auth.Resource) byte {
	t.Helper()
	g, err := auth.Allow(p, a, r)
	if permits := g.Permits(a); permits != (err == nil) {
		t.Errorf("%s %+v: the grant permits it: %t, error %v", a, r, permits, err)
	}
	switch {
	case err == nil:
		if g.Repository() != r.Repository || g.Principal().Name != p.Name {
			t.Errorf("%s %+v: grant for %q to %q", a, r, g.Repository(), g.Principal().Name)
		}
		return 'y'
	case errors.Is(err, auth.ErrUnauthenticated):
		return 'u'
	case errors.Is(err, auth.ErrDenied):
		return 'n'
	}
	t.Errorf("%s %+v: %v", a, r, err)
	return '?'
}

// TestAllow goes through the whole matrix of roles, credentials, actions and
// what they are aimed at.
func TestAllow(t *testing.T) {
	t.Parallel()
	cases := 0
	for role, want := range byRole {
		for i, r := range resources {
			whole := principal(t, role)
			for j, a := range actions {
				if got := decision(t, whole, a, r); got != want[i][j] {
					t.Errorf("%q %s %+v: %c, want %c", role, a, r, got, want[i][j])
				}
				cases++
				for name, credential := range byCredential {
					limited := whole
					scopes, err := auth.ParseScopes(credential.scopes)
					if err != nil {
						t.Fatal(err)
					}
					limited.Limited, limited.Scopes = true, scopes
					// What the credential leaves of what its owner may; what is public
					// stays so. Only what a scope can permit is worth another try.
					expect := byte('n')
					switch {
					case want[i][j] == 'y' && (slices.Contains(credential.leaves, a) && r.Repository != "" || a == auth.Pull && i == 0):
						expect = 'y'
					case role == "anonymous", r.Repository != "" && slices.Contains([]auth.Action{auth.Pull, auth.Push, auth.Delete}, a):
						expect = 'u'
					}
					if got := decision(t, limited, a, r); got != expect {
						t.Errorf("%q with a token %q: %s %+v: %c, want %c", role, name, a, r, got, expect)
					}
					cases++
				}
			}
		}
	}
	if want := 7 * 10 * 9 * 18; cases != want {
		t.Errorf("%d cases, want %d", cases, want)
	}
}

// TestAllowWhere is about where a role was given.
func TestAllowWhere(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		roles auth.Roles
		repo  string // the decisions on the private repository
		org   string // and on its organization
	}{
		"in the organization":         {auth.Roles{org: auth.Writer}, "yynnnnnnn", "ynnnnnnnn"},
		"in the repository":           {auth.Roles{repo: auth.Writer}, "yynnnnnnn", "nnnnnnnnn"},
		"owner of the repository":     {auth.Roles{repo: auth.Owner}, "yyyyynnnn", "nnnnnnnnn"},
		"more in the repository":      {auth.Roles{org: auth.Reader, repo: auth.Maintainer}, "yyyynnnnn", "ynnnnnnnn"},
		"more in the organization":    {auth.Roles{org: auth.Maintainer, repo: auth.Reader}, "yyyynnnnn", "ynnynnnnn"},
		"in another repository":       {auth.Roles{"acme/other": auth.Owner}, "nnnnnnnnn", "nnnnnnnnn"},
		"in one below":                {auth.Roles{"acme/llama/x": auth.Owner}, "nnnnnnnnn", "nnnnnnnnn"},
		"in another organization":     {auth.Roles{"acm": auth.Owner, "acme2": auth.Owner, "": auth.Owner, "*": auth.Owner, "acme/*": auth.Owner}, "nnnnnnnnn", "nnnnnnnnn"},
		"a role that there is not":    {auth.Roles{org: auth.Role(-1)}, "nnnnnnnnn", "nnnnnnnnn"},
		"no role":                     {auth.Roles{org: auth.NoRole}, "nnnnnnnnn", "nnnnnnnnn"},
		"one that the parent's is of": {auth.Roles{"acme/": auth.Owner}, "nnnnnnnnn", "nnnnnnnnn"},
	} {
		p := auth.Principal{UserID: 2, Name: "user", Roles: tc.roles}
		for j, a := range actions {
			if got := decision(t, p, a, auth.Resource{Repository: repo, Visibility: auth.Private}); got != tc.repo[j] {
				t.Errorf("%s: %s the repository: %c, want %c", name, a, got, tc.repo[j])
			}
			if got := decision(t, p, a, auth.Resource{Organization: org}); got != tc.org[j] {
				t.Errorf("%s: %s the organization: %c, want %c", name, a, got, tc.org[j])
			}
		}
	}
	// What nobody was proved to be has no rights, whatever else it says.
	forged := auth.Principal{Admin: true, Roles: auth.Roles{org: auth.Owner, repo: auth.Owner}}
	for _, a := range actions {
		for _, r := range resources[1:] {
			if got := decision(t, forged, a, r); got != 'u' {
				t.Errorf("nobody with forged rights: %s %+v: %c", a, r, got)
			}
		}
	}
}

func TestGrantPermits(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		granted, asked auth.Action
		want           bool
	}{
		{auth.Pull, auth.Pull, true},
		{auth.Pull, auth.Push, false},
		{auth.Pull, auth.Delete, false},
		{auth.Push, auth.Pull, true},
		{auth.Push, auth.Push, true},
		{auth.Push, auth.Delete, false},
		{auth.Delete, auth.Pull, true},
		{auth.Delete, auth.Push, false},
		{auth.Delete, auth.Delete, true},
		{auth.Maintain, auth.Pull, true},
		{auth.Maintain, auth.Delete, false},
		{auth.Manage, auth.Maintain, false},
	} {
		if got := auth.System("a/b", tc.granted).Permits(tc.asked); got != tc.want {
			t.Errorf("grant to %s permits %s: %t", tc.granted, tc.asked, got)
		}
	}
	for _, a := range []auth.Action{auth.Pull, auth.Push, auth.Delete} {
		if (auth.Grant{}).Permits(a) {
			t.Errorf("the zero grant permits %s", a)
		}
	}
}

func TestSight(t *testing.T) {
	t.Parallel()
	catalogue := []auth.Scope{{Type: "registry", Name: "catalog", Actions: []string{"*"}}}
	pulls := func(names ...string) (list []auth.Scope) {
		for _, n := range names {
			list = append(list, auth.Scope{Type: auth.TypeRepository, Name: n, Actions: []string{"pull"}})
		}
		return list
	}
	for name, tc := range map[string]struct {
		p    auth.Principal
		want auth.Sight
	}{
		"anonymous":                     {auth.Principal{}, auth.Sight{}},
		"anonymous with a flag":         {auth.Principal{Admin: true}, auth.Sight{}},
		"anonymous with the scope":      {auth.Principal{Limited: true, Scopes: catalogue}, auth.Sight{}},
		"user":                          {auth.Principal{UserID: 2}, auth.Sight{UserID: 2}},
		"user with the scope":           {auth.Principal{UserID: 2, Limited: true, Scopes: catalogue}, auth.Sight{UserID: 2}},
		"user's token for one":          {auth.Principal{UserID: 2, Limited: true, Scopes: pulls("a/b")}, auth.Sight{UserID: 2, Within: []string{"a/b"}}},
		"user's token for two":          {auth.Principal{UserID: 2, Limited: true, Scopes: pulls("a/b", "c/*")}, auth.Sight{UserID: 2, Within: []string{"a/b", "c/*"}}},
		"user's token for all":          {auth.Principal{UserID: 2, Limited: true, Scopes: pulls("*")}, auth.Sight{UserID: 2}},
		"user's token to push":          {auth.Principal{UserID: 2, Limited: true, Scopes: []auth.Scope{{Type: auth.TypeRepository, Name: "*", Actions: []string{"push"}}}}, auth.Sight{UserID: 2, Within: []string{}}},
		"admin":                         {auth.Principal{UserID: 1, Admin: true}, auth.Sight{All: true, UserID: 1}},
		"admin's token":                 {auth.Principal{UserID: 1, Admin: true, Limited: true}, auth.Sight{All: true, UserID: 1, Within: []string{}}},
		"admin's token with the scope":  {auth.Principal{UserID: 1, Admin: true, Limited: true, Scopes: catalogue}, auth.Sight{All: true, UserID: 1}},
		"admin's token for a catalogue": {auth.Principal{UserID: 1, Admin: true, Limited: true, Scopes: pulls("catalog")}, auth.Sight{All: true, UserID: 1, Within: []string{"catalog"}}},
	} {
		if diff := cmp.Diff(tc.want, tc.p.Sight()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestAdminister(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		p    auth.Principal
		want error
	}{
		"administrator":                {auth.Principal{UserID: 1, Admin: true}, nil},
		"administrator's scoped token": {auth.Principal{UserID: 1, Admin: true, Limited: true, Scopes: []auth.Scope{{Type: "registry", Name: "catalog", Actions: []string{"*"}}}}, auth.ErrDenied},
		"user":                         {auth.Principal{UserID: 2}, auth.ErrDenied},
		"anonymous":                    {auth.Principal{}, auth.ErrUnauthenticated},
		"anonymous with a flag":        {auth.Principal{Admin: true}, auth.ErrUnauthenticated},
	} {
		if err := auth.Administer(tc.p); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
