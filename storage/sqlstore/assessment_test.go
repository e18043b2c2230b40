package sqlstore

import (
	"testing"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

func TestAssessments(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		const base, tuned = registry.Name("org/base"), registry.Name("org/tuned")
		digests := map[registry.Name]registry.Digest{}
		for _, n := range []registry.Name{base, tuned} {
			b.repo(t, n, auth.Public)
			w := model(n, string(n), "v1")
			check(t, b.PutManifest(ctx, w))
			digests[n] = w.Manifest.Digest
		}
		due := func(want ...registry.Name) []registry.DueAssessment {
			t.Helper()
			list, err := b.DueAssessments(ctx, 10)
			check(t, err)
			got := []registry.Name{}
			for _, d := range list {
				got = append(got, d.Name)
			}
			if d := diff(append([]registry.Name{}, want...), got); d != "" {
				t.Errorf("due (-want +got):\n%s", d)
			}
			return list
		}
		result := func(level int) *registry.AssessmentSummary {
			return &registry.AssessmentSummary{
				RuleSet: "one", Input: "in", Expression: "MIT", Terms: "open", Claimed: level, Verified: level, Errors: 1,
				Findings:  []registry.AssessedFinding{{ID: "f", Rule: "L01", Severity: "error", Message: "m"}},
				CreatedAt: b.now(), CheckedAt: b.now(),
			}
		}
		save := func(list []registry.DueAssessment, level int) {
			t.Helper()
			var done []registry.DoneAssessment
			for _, d := range list {
				x := registry.DoneAssessment{DueAssessment: d, Summary: result(level)}
				if d.Name == tuned {
					x.Bases = []string{registry.BaseDigest(base)}
				}
				done = append(done, x)
			}
			check(t, b.SaveAssessments(ctx, done))
		}

		due()
		for _, n := range []registry.Name{base, tuned} {
			check(t, b.SaveFacts(ctx, n, digests[n], &registry.Facts{}, ""))
		}
		save(due(base, tuned), 3)
		due()

		// What it was made from changes, also while it is assessed.
		check(t, b.SaveFacts(ctx, base, digests[base], &registry.Facts{}, ""))
		list := due(base, tuned)
		check(t, b.SaveFacts(ctx, base, digests[base], &registry.Facts{}, ""))
		save(list, 3)
		save(due(base, tuned), 3)
		check(t, b.SetVisibility(ctx, base, auth.Private))
		save(due(tuned), 3)
		check(t, b.DeleteTag(ctx, base, "v1"))
		save(due(tuned), 3)
		again := model(base, string(base), "v2") // a tag on a version that is known
		check(t, b.PutManifest(ctx, again))
		save(due(tuned), 3)

		// The same result is no history, another one is.
		history := func(want ...int) {
			t.Helper()
			list, err := b.Assessments(ctx, tuned, digests[tuned], 10)
			check(t, err)
			got := []int{}
			for _, x := range list {
				got = append(got, x.Verified)
			}
			if d := diff(want, got); d != "" {
				t.Errorf("history (-want +got):\n%s", d)
			}
		}
		history(3)
		b.clock.advance(time.Hour)
		check(t, b.PutWaiver(ctx, tuned, digests[tuned], "f", []byte("signed"), b.now().Add(time.Hour)))
		save(due(tuned), 2)
		history(2, 3)
		v, err := b.Version(ctx, tuned, registry.Reference{Tag: "v1"})
		check(t, err)
		want := result(2)
		want.Findings = nil
		if d := diff(want, v.Assessment); d != "" {
			t.Errorf("of the version (-want +got):\n%s", d)
		}
		for level, want := range map[int]int{0: 2, 2: 2, 3: 1, 4: 0} {
			if _, total, err := b.Models(ctx, registry.ModelQuery{Openness: level, Sight: auth.Sight{All: true}, Limit: 10}); err != nil || total != want {
				t.Errorf("%d models of level %d, want %d (%v)", total, level, want, err)
			}
		}

		// So does an affirmation, and taking it away.
		check(t, b.PutAffirmation(ctx, tuned, digests[tuned], "A. Reviewer", []byte("signed")))
		save(due(tuned), 2)
		check(t, b.DeleteAffirmation(ctx, tuned, digests[tuned], "A. Reviewer"))
		save(due(tuned), 2)

		// The end of a waiver and other rules are found, in batches.
		mark := func(rules string, limit, want int) {
			t.Helper()
			if n, err := b.MarkAssessments(ctx, rules, limit); err != nil || n != want {
				t.Errorf("marked %d for %s, want %d (%v)", n, rules, want, err)
			}
		}
		mark("one", 10, 0)
		b.clock.advance(2 * time.Hour)
		mark("one", 10, 1)
		save(due(tuned), 2)
		mark("one", 10, 0)
		mark("two", 1, 1)
		mark("two", 10, 1)
		mark("two", 10, 0)

		// What is deleted is not due any more.
		check(t, b.DeleteManifest(ctx, tuned, digests[tuned]))
		list, err = b.DueAssessments(ctx, 10)
		check(t, err)
		save(list, 3)
		due()
	})
}
