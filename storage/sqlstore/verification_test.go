package sqlstore

import (
	"slices"
	"testing"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

func TestOneUnfinishedVerification(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		b.repo(t, "org/a", auth.Public)
		d := digest("one")
		check(t, b.PutManifest(ctx, model("org/a", "one", "v1")))
		first, err := b.Verification(ctx, "org/a", d)
		check(t, err)
		asked, err := b.RequestVerification(ctx, "org/a", d)
		check(t, err)
		if x := diff(first, asked); x != "" {
			t.Errorf("requested while one is pending (-want +got):\n%s", x)
		}
		check(t, b.FinishVerification(ctx, first.ID, &verify.Report{State: verify.StatePassed, CheckSet: verify.CheckSet, Subject: &d}, registry.Digest{}))
		ids := make([]int64, 8)
		for _, err := range together(len(ids), func(i int) error {
			v, err := b.RequestVerification(ctx, "org/a", d)
			ids[i] = v.ID
			return err
		}) {
			check(t, err)
		}
		history, err := b.Verifications(ctx, "org/a", d, 10)
		check(t, err)
		if len(history) != 2 || len(slices.Compact(ids)) != 1 || ids[0] != history[0].ID || len(b.outbox.jobs) != 2 {
			t.Errorf("%d verifications after requests that got %v, %d jobs", len(history), ids, len(b.outbox.jobs))
		}
	})
}
