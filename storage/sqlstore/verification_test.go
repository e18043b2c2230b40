package sqlstore

import (
	"slices"
	"testing"
	"time"

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
		check(t, b.FinishVerification(ctx, first.ID, &verify.Report{State: verify.StatePassed, CheckSet: verify.CheckSet, Subject: &d}, verify.Publication{}))
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

func TestUninspected(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		b.repo(t, "org/a", auth.Public)
		for _, s := range []string{"known", "broken", "first", "second"} {
			check(t, b.PutManifest(ctx, model("org/a", s, registry.Tag(s))))
		}
		check(t, b.SaveFacts(ctx, "org/a", digest("known"), &registry.Facts{Format: "gguf"}, ""))
		check(t, b.SaveFacts(ctx, "org/a", digest("broken"), nil, "the files could not be read"))
		b.clock.advance(time.Hour)
		check(t, b.PutManifest(ctx, model("org/a", "new", "new")))
		found, err := b.Uninspected(ctx, start.Add(time.Minute), 0, 10)
		check(t, err)
		if len(found) != 2 || found[0].Digest != digest("first") || found[1].Digest != digest("second") || found[0].Name != "org/a" {
			t.Fatalf("found %+v", found)
		}
		rest, err := b.Uninspected(ctx, start.Add(time.Minute), found[0].ID, 10)
		check(t, err)
		if x := diff(found[1:], rest); x != "" {
			t.Errorf("after the first (-want +got):\n%s", x)
		}
		if one, err := b.Uninspected(ctx, start.Add(time.Minute), 0, 1); err != nil || len(one) != 1 {
			t.Errorf("limited to one: %+v, %v", one, err)
		}

		// What is stale is inspected anew, and known until then.
		_, err = b.db.writer.ExecContext(ctx, "UPDATE versions SET stale = 1 WHERE digest = $1", digest("known"))
		check(t, err)
		if found, err := b.Uninspected(ctx, start.Add(time.Minute), 0, 10); err != nil || len(found) != 3 || found[0].Digest != digest("known") {
			t.Errorf("with a stale one: %+v, %v", found, err)
		}
		check(t, b.SaveFacts(ctx, "org/a", digest("known"), &registry.Facts{Format: "gguf"}, ""))
		if found, err := b.Uninspected(ctx, start.Add(time.Minute), 0, 10); err != nil || len(found) != 2 {
			t.Errorf("after it was inspected: %+v, %v", found, err)
		}
	})
}

func TestCancelWithTheLastTag(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		b.repo(t, "org/a", auth.Public)
		d := digest("one")
		state := func(want verify.State) verify.Verification {
			t.Helper()
			v, err := b.Verification(ctx, "org/a", d)
			check(t, err)
			if v.State != want {
				t.Errorf("state %s, want %s", v.State, want)
			}
			return v
		}
		check(t, b.PutManifest(ctx, model("org/a", "one", "v1", "latest")))
		first := state(verify.StatePending)
		check(t, b.DeleteTag(ctx, "org/a", "v1"))
		state(verify.StatePending) // another tag is left
		check(t, b.PutManifest(ctx, model("org/a", "two", "latest")))
		state(verify.StateCancelled) // its last tag has moved
		report := &verify.Report{State: verify.StatePassed, CheckSet: verify.CheckSet, Subject: &d}
		check(t, b.SaveProgress(ctx, first.ID, report)) // by a worker that has not noticed
		check(t, b.FinishVerification(ctx, first.ID, report, verify.Publication{}))
		state(verify.StateCancelled)
		if pending, err := b.Unfinished(ctx, 0, 10); err != nil || len(pending) != 1 || pending[0].Digest != digest("two") {
			t.Errorf("unfinished are %+v, %v", pending, err)
		}

		check(t, b.PutManifest(ctx, model("org/a", "one", "again")))
		second := state(verify.StatePending)
		if n := len(b.outbox.jobs); second.ID == first.ID || n != 3 || b.outbox.jobs[2].Verification != second.ID {
			t.Errorf("verification %d after %d, %d jobs", second.ID, first.ID, n)
		}
		check(t, b.FinishVerification(ctx, second.ID, report, verify.Publication{}))
		check(t, b.DeleteTag(ctx, "org/a", "again"))
		state(verify.StatePassed) // what is done stays
		check(t, b.PutManifest(ctx, model("org/a", "one", "again")))
		if len(b.outbox.jobs) != 3 {
			t.Error("a version that passed is verified once more for its tag")
		}
	})
}
