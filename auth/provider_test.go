package auth_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/auth"
)

func TestParseProviders(t *testing.T) {
	t.Parallel()
	list, err := auth.ParseProviders([]byte(`{"providers":[{"name":"corp","issuer":"https://id.example.org","clientId":"carat","clientSecretFile":"/run/secret",
		"roles":[{"group":"ml","scope":"acme","role":"writer"}]}]}`))
	if err != nil || len(list) != 1 || list[0].Roles[0] != (auth.GroupRole{Group: "ml", Scope: "acme", Role: auth.Writer}) || list[0].SecretFile != "/run/secret" {
		t.Errorf("%+v, %v", list, err)
	}
	for _, text := range []string{"", "[]", `{"providers":[{"secret":"x"}]}`, `{"providers":[]} x`, `{"providers":[{"roles":[{"role":"king"}]}]}`} {
		if list, err := auth.ParseProviders([]byte(text)); err == nil {
			t.Errorf("%q: %+v", text, list)
		}
	}
}

func TestNewProvidersRefuses(t *testing.T) {
	t.Parallel()
	good := auth.ProviderConfig{Name: "corp", Issuer: "https://id.example.org", ClientID: "carat"}
	with := func(edit func(*auth.ProviderConfig)) []auth.ProviderConfig {
		c := good
		edit(&c)
		return []auth.ProviderConfig{c}
	}
	for name, list := range map[string][]auth.ProviderConfig{
		"no name":       with(func(c *auth.ProviderConfig) { c.Name = "" }),
		"a path":        with(func(c *auth.ProviderConfig) { c.Name = "a/b" }),
		"a page's name": with(func(c *auth.ProviderConfig) { c.Name = "device" }),
		"http":          with(func(c *auth.ProviderConfig) { c.Issuer = "http://id.example.org" }),
		"a user in it":  with(func(c *auth.ProviderConfig) { c.Issuer = "https://a:b@id.example.org" }),
		"no client":     with(func(c *auth.ProviderConfig) { c.ClientID = "" }),
		"no role":       with(func(c *auth.ProviderConfig) { c.Roles = []auth.GroupRole{{Group: "a", Scope: "b"}} }),
		"two of a name": {good, good},
	} {
		if _, err := auth.NewProviders(list, nil, nil); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	p, err := auth.NewProviders([]auth.ProviderConfig{good}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]auth.ProviderTitle{{Name: "corp", Title: "corp"}}, p.Titles()); diff != "" {
		t.Error(diff)
	}
}

// TestFinishRefuses: nothing is asked of a provider for what was not begun here.
func TestFinishRefuses(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	p, err := auth.NewProviders([]auth.ProviderConfig{{Name: "corp", Issuer: "https://127.0.0.1:1", ClientID: "carat"}}, nil, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	flow := auth.Flow{Provider: "corp", State: "s", Nonce: "n", Verifier: "v", Begun: now}
	for name, tt := range map[string]struct {
		flow        auth.Flow
		state, code string
	}{
		"no flow":          {auth.Flow{Provider: "corp"}, "", "c"},
		"another state":    {flow, "x", "c"},
		"no code":          {flow, "s", ""},
		"a long code":      {flow, "s", strings.Repeat("c", 5<<10)},
		"too late":         {auth.Flow{Provider: "corp", State: "s", Begun: now.Add(-auth.FlowLife - 1)}, "s", "c"},
		"from the future":  {auth.Flow{Provider: "corp", State: "s", Begun: now.Add(time.Hour)}, "s", "c"},
		"another provider": {auth.Flow{Provider: "other", State: "s", Begun: now}, "s", "c"},
	} {
		if _, err := p.Finish(t.Context(), tt.flow, "https://hub/callback", tt.state, tt.code); !errors.Is(err, auth.ErrSignIn) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := p.Finish(ctx, flow, "https://hub/callback", "s", "c"); !errors.Is(err, auth.ErrIssuer) {
		t.Errorf("a provider that is away: %v", err)
	}
}
