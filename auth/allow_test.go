package auth_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/carat-hub/carat/auth"
)

// TestAllow spells out the whole matrix of callers, actions and repositories.
func TestAllow(t *testing.T) {
	t.Parallel()

	const repo = "acme/llama"
	scopes := func(name string, actions ...string) []auth.Scope {
		return []auth.Scope{{Type: auth.TypeRepository, Name: name, Actions: actions}}
	}
	admin := auth.Principal{UserID: 1, Name: "admin", Admin: true}
	user := auth.Principal{UserID: 2, Name: "user"}
	with := func(p auth.Principal, s []auth.Scope) auth.Principal {
		p.Limited, p.Scopes = true, s
		return p
	}
	repos := []auth.Resource{
		{Repository: repo, Visibility: auth.Public},
		{Repository: repo, Visibility: auth.Private},
		{Repository: repo, Visibility: auth.Public, Missing: true},
		{Repository: repo, Visibility: auth.Private, Missing: true},
		{Repository: repo},
		{Visibility: auth.Public},
	}
	// One line per caller: for each repository above pull, push and delete;
	// y = allowed, u = ErrUnauthenticated, n = ErrDenied.
	for name, tc := range map[string]struct {
		p    auth.Principal
		want [6]string
	}{
		"anonymous":                    {auth.Principal{}, [6]string{"yuu", "uuu", "uuu", "uuu", "uuu", "nnn"}},
		"anonymous with token":         {with(auth.Principal{}, scopes(repo, "pull")), [6]string{"yuu", "uuu", "uuu", "uuu", "uuu", "nnn"}},
		"anonymous with forged rights": {with(auth.Principal{}, scopes(repo, "*")), [6]string{"yuu", "uuu", "uuu", "uuu", "uuu", "nnn"}},
		"user":                         {user, [6]string{"ynn", "nnn", "nnn", "nnn", "nnn", "nnn"}},
		"user with token":              {with(user, scopes(repo, "pull", "push", "delete")), [6]string{"yuu", "uuu", "uuu", "uuu", "uuu", "nnn"}},
		"admin":                        {admin, [6]string{"yyy", "yyy", "yyy", "yyy", "yyy", "nnn"}},
		"admin, token to pull":         {with(admin, scopes(repo, "pull")), [6]string{"yuu", "yuu", "yuu", "yuu", "yuu", "nnn"}},
		"admin, token to push":         {with(admin, scopes(repo, "push")), [6]string{"yyu", "uyu", "uyu", "uyu", "uyu", "nnn"}},
		"admin, token to delete":       {with(admin, scopes(repo, "delete")), [6]string{"yuy", "uuy", "uuy", "uuy", "uuy", "nnn"}},
		"admin, token for all":         {with(admin, scopes(repo, "*")), [6]string{"yyy", "yyy", "yyy", "yyy", "yyy", "nnn"}},
		"admin, token for another":     {with(admin, scopes("acme/other", "*")), [6]string{"yuu", "uuu", "uuu", "uuu", "uuu", "nnn"}},
		"admin, token for the parent":  {with(admin, scopes("acme", "*")), [6]string{"yuu", "uuu", "uuu", "uuu", "uuu", "nnn"}},
		"admin, token of another type": {
			with(admin, []auth.Scope{{Type: "registry", Name: repo, Actions: []string{"*"}}}),
			[6]string{"yuu", "uuu", "uuu", "uuu", "uuu", "nnn"},
		},
		"admin, token without scopes": {with(admin, nil), [6]string{"yuu", "uuu", "uuu", "uuu", "uuu", "nnn"}},
	} {
		for i, r := range repos {
			for j, a := range []auth.Action{auth.Pull, auth.Push, auth.Delete} {
				t.Run(fmt.Sprintf("%s/%s %+v", name, a, r), func(t *testing.T) {
					t.Parallel()
					g, err := auth.Allow(tc.p, a, r)
					var got byte
					switch {
					case err == nil:
						got = 'y'
					case errors.Is(err, auth.ErrUnauthenticated):
						got = 'u'
					case errors.Is(err, auth.ErrDenied):
						got = 'n'
					}
					if want := tc.want[i][j]; got != want {
						t.Fatalf("got %c (%v), want %c", got, err, want)
					}
					if permits := g.Permits(a); permits != (err == nil) {
						t.Errorf("grant permits %t, error %v", permits, err)
					}
					if err == nil && (g.Repository() != repo || g.Principal().Name != tc.p.Name) {
						t.Errorf("grant for %q to %q", g.Repository(), g.Principal().Name)
					}
				})
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
	for name, tc := range map[string]struct {
		p    auth.Principal
		want bool
	}{
		"anonymous":                     {auth.Principal{}, false},
		"anonymous with the scope":      {auth.Principal{Limited: true, Scopes: catalogue}, false},
		"user":                          {auth.Principal{UserID: 2}, false},
		"user with the scope":           {auth.Principal{UserID: 2, Limited: true, Scopes: catalogue}, false},
		"admin":                         {auth.Principal{UserID: 1, Admin: true}, true},
		"admin's token":                 {auth.Principal{UserID: 1, Admin: true, Limited: true}, false},
		"admin's token with the scope":  {auth.Principal{UserID: 1, Admin: true, Limited: true, Scopes: catalogue}, true},
		"admin's token for a catalogue": {auth.Principal{UserID: 1, Admin: true, Limited: true, Scopes: []auth.Scope{{Type: "repository", Name: "catalog", Actions: []string{"*"}}}}, false},
	} {
		if got := tc.p.Sight().All; got != tc.want {
			t.Errorf("%s: %t", name, got)
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
		"administrator's scoped token": {auth.Principal{UserID: 1, Admin: true, Limited: true, Scopes: []auth.Scope{{Type: "registry", Name: "catalog", Actions: []string{"*"}}}}, auth.ErrUnauthenticated},
		"user":                         {auth.Principal{UserID: 2}, auth.ErrDenied},
		"anonymous":                    {auth.Principal{}, auth.ErrUnauthenticated},
		"anonymous with a flag":        {auth.Principal{Admin: true}, auth.ErrUnauthenticated},
	} {
		if err := auth.Administer(tc.p); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
