package sqlstore

import (
	"testing"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

func TestReverify(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		const n, newer = registry.Name("org/a"), verify.CheckSet + 1
		b.repo(t, n, auth.Public)
		for _, v := range []struct {
			text string
			tags []registry.Tag
		}{
			{"untagged", nil},
			{"oldest", []registry.Tag{"v1"}},
			{"newest", []registry.Tag{"v2"}},
			{"unfinished", []registry.Tag{"v3"}},
			{"up to date", []registry.Tag{"v4"}},
			{"cancelled", []registry.Tag{"v5"}},
		} {
			check(t, b.PutManifest(ctx, model(n, v.text, v.tags...)))
			b.clock.advance(time.Hour)
		}
		for text, set := range map[string]int{"untagged": verify.CheckSet, "oldest": verify.CheckSet, "newest": verify.CheckSet, "up to date": newer} {
			d := digest("%s", text)
			v, err := b.Verification(ctx, n, d)
			check(t, err)
			check(t, b.FinishVerification(ctx, v.ID, &verify.Report{State: verify.StateFailed, CheckSet: set, Subject: &d}, verify.Publication{}))
		}
		check(t, b.DeleteTag(ctx, n, "v5"))
		b.outbox.jobs = nil
		asks := func(set, limit int, want ...string) {
			t.Helper()
			b.outbox.jobs = nil
			got, err := b.Reverify(ctx, set, limit)
			check(t, err)
			if got != len(want) || len(b.outbox.jobs) != len(want) {
				t.Fatalf("asked for %d, %d jobs, want %d", got, len(b.outbox.jobs), len(want))
			}
			for i, text := range want {
				if w := b.outbox.jobs[i]; w.Digest != digest("%s", text) || !w.Again {
					t.Errorf("work %d is %+v, want that of %s", i, w, text)
				}
			}
		}
		asks(verify.CheckSet, 10)
		asks(newer, 2, "newest", "oldest")
		asks(newer, 10, "untagged")
		asks(newer, 10)
		history, err := b.Verifications(ctx, n, digest("newest"), 10)
		check(t, err)
		if len(history) != 2 || history[0].State != verify.StatePending || history[1].State != verify.StateFailed {
			t.Errorf("history %+v", history)
		}
	})
}

// TestReverifyInTurns: of nodes that ask at once, one does.
func TestReverifyInTurns(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		b.repo(t, "org/a", auth.Public)
		w := model("org/a", "one", "v1")
		check(t, b.PutManifest(t.Context(), w))
		b.finish(t, "org/a", w.Manifest.Digest, verify.StatePassed)
		asked := make([]int, 4)
		for _, err := range together(len(asked), func(i int) (err error) {
			asked[i], err = b.Reverify(t.Context(), verify.CheckSet+1, 10)
			return err
		}) {
			check(t, err)
		}
		sum := 0
		for _, n := range asked {
			sum += n
		}
		if history, err := b.Verifications(t.Context(), "org/a", w.Manifest.Digest, 10); err != nil || sum != 1 || len(history) != 2 {
			t.Errorf("asked %v times, %d verifications, %v", asked, len(history), err)
		}
	})
}
