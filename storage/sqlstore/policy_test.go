package sqlstore

import (
	"testing"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

func TestPolicies(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		put := func(scope registry.Name, text string, at int64) {
			t.Helper()
			check(t, b.PutPolicy(ctx, registry.PolicyText{Scope: scope, Text: text, By: "admin", At: time.Unix(at, 0).UTC()}))
		}
		put("", "hub one", 1)
		put("acme", "acme one", 2)
		put("acme", "acme two", 3)
		put("lab", "lab one", 4)
		put("lab", "", 5)
		got, err := b.Policies(ctx)
		check(t, err)
		if d := diff(map[registry.Name]string{"": "hub one", "acme": "acme two"}, got); d != "" {
			t.Errorf("in force (-want +got):\n%s", d)
		}
		history, err := b.PolicyHistory(ctx, "acme", 10)
		check(t, err)
		want := []registry.PolicyText{
			{Scope: "acme", Text: "acme two", By: "admin", At: time.Unix(3, 0).UTC()},
			{Scope: "acme", Text: "acme one", By: "admin", At: time.Unix(2, 0).UTC()},
		}
		if d := diff(want, history); d != "" {
			t.Errorf("history (-want +got):\n%s", d)
		}
		if history, err := b.PolicyHistory(ctx, "lab", 1); err != nil || len(history) != 1 || history[0].Text != "" {
			t.Errorf("what was taken away: %+v %v", history, err)
		}
	})
}

// TestPushedBy: who pushed a version first stays known.
func TestPushedBy(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		const n = registry.Name("org/m")
		b.repo(t, n, auth.Public)
		for _, by := range []string{"anna", "bert"} {
			w := model(n, "one", "v1")
			w.Version.PushedBy = by
			check(t, b.PutManifest(t.Context(), w))
		}
		v, err := b.Version(t.Context(), n, registry.Reference{Tag: "v1"})
		check(t, err)
		if v.PushedBy != "anna" {
			t.Errorf("pushed by %q", v.PushedBy)
		}
	})
}
