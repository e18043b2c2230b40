package sqlstore

import (
	"testing"
	"time"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

func TestLicenseTexts(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		const n = registry.Name("org/m")
		b.repo(t, n, auth.Public)
		for _, text := range []string{"inspected", "not inspected"} {
			check(t, b.PutManifest(ctx, model(n, text)))
		}
		inspected := digest("inspected")
		check(t, b.SaveFacts(ctx, n, inspected, &registry.Facts{}, ""))
		due := func(want int) {
			t.Helper()
			list, err := b.DueAssessments(ctx, 10)
			check(t, err)
			if len(list) != want || want > 0 && list[0].Digest != inspected {
				t.Fatalf("due: %+v, want %d", list, want)
			}
			var done []registry.DoneAssessment
			for _, d := range list {
				done = append(done, registry.DoneAssessment{DueAssessment: d})
			}
			check(t, b.SaveAssessments(ctx, done))
		}
		due(1)

		first := registry.StoredLicenseText{Digest: digest("first"), Ref: "LicenseRef-One", Text: "Terms, with \u00e9.", Envelope: []byte{0, 1, 2}}
		second := registry.StoredLicenseText{Digest: digest("second"), Ref: "LicenseRef-Two", Text: "Others.", Envelope: []byte("e")}
		check(t, b.PutLicenseText(ctx, first))
		due(1)
		b.clock.advance(time.Second)
		check(t, b.PutLicenseText(ctx, second))
		due(1)
		got, err := b.LicenseTexts(ctx)
		check(t, err)
		if d := diff([]registry.StoredLicenseText{first, second}, got); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		b.clock.advance(time.Second)
		first.Ref, first.Envelope = "LicenseRef-Three", []byte("again")
		check(t, b.PutLicenseText(ctx, first))
		check(t, b.DeleteLicenseText(ctx, second.Digest))
		due(1)
		got, err = b.LicenseTexts(ctx)
		check(t, err)
		if d := diff([]registry.StoredLicenseText{first}, got); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if err := b.DeleteLicenseText(ctx, second.Digest); !registry.IsCode(err, registry.CodeManifestUnknown) {
			t.Errorf("forgotten twice: %v", err)
		}
		due(0)

		var recorded []audit.Action
		all, _ := b.actions(t)
		for _, a := range all {
			if a == audit.ConfirmText || a == audit.ForgetText {
				recorded = append(recorded, a)
			}
		}
		if d := diff([]audit.Action{audit.ConfirmText, audit.ConfirmText, audit.ConfirmText, audit.ForgetText}, recorded); d != "" {
			t.Errorf("audited (-want +got):\n%s", d)
		}
	})
}
