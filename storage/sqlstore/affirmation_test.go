package sqlstore

import (
	"testing"
	"time"

	"github.com/carat-hub/carat/registry"
)

func TestAffirmations(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		d := registry.DigestOf(registry.SHA256, nil)
		check(t, b.PutAffirmation(ctx, "org/m", d, "B", []byte("first")))
		b.clock.advance(time.Second)
		check(t, b.PutAffirmation(ctx, "org/m", d, "A", []byte("second")))
		got, err := b.Affirmations(ctx, "org/m", d)
		check(t, err)
		if len(got) != 2 || string(got[0]) != "first" || string(got[1]) != "second" {
			t.Errorf("affirmations: %q", got)
		}
		b.clock.advance(time.Second)
		check(t, b.PutAffirmation(ctx, "org/m", d, "B", []byte("again")))
		if got, err = b.Affirmations(ctx, "org/m", d); err != nil || len(got) != 2 || string(got[1]) != "again" {
			t.Errorf("affirmed again: %q %v", got, err)
		}
		if got, err := b.Affirmations(ctx, "org/other", d); err != nil || len(got) != 0 {
			t.Errorf("of another model: %q %v", got, err)
		}
		check(t, b.DeleteAffirmation(ctx, "org/m", d, "A"))
		if err := b.DeleteAffirmation(ctx, "org/m", d, "A"); !registry.IsCode(err, registry.CodeManifestUnknown) {
			t.Errorf("taken away twice: %v", err)
		}
	})
}
