package sqlstore

import (
	"testing"
	"time"

	"github.com/carat-hub/carat/registry"
)

func TestLineageGates(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		check(t, b.SetGate(ctx, "acme", registry.GateOff))
		check(t, b.SetLineageGate(ctx, "acme", registry.GateBlock))
		check(t, b.SetLineageGate(ctx, "lab", registry.GateWarn))
		check(t, b.SetLineageGate(ctx, "lab", ""))
		got, err := b.LineageGates(ctx)
		check(t, err)
		if d := diff(map[string]registry.Gate{"acme": registry.GateBlock}, got); d != "" {
			t.Errorf("gates of lineage (-want +got):\n%s", d)
		}
		if got, err := b.Gates(ctx); err != nil || got["acme"] != registry.GateOff {
			t.Errorf("gates of verification: %v %v", got, err)
		}
		if err := b.SetLineageGate(ctx, "acme", "open"); err == nil {
			t.Error("an unknown gate was stored")
		}
	})
}

func TestWaivers(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		d, until := registry.DigestOf(registry.SHA256, nil), time.Unix(100, 0)
		check(t, b.PutWaiver(ctx, "org/m", d, "f1", []byte("first"), until))
		check(t, b.PutWaiver(ctx, "org/m", d, "f1", []byte("second"), until))
		check(t, b.PutWaiver(ctx, "org/m", d, "f2", []byte("other"), until))
		got, err := b.Waivers(ctx, "org/m", d)
		check(t, err)
		if len(got) != 2 || string(got[0]) != "second" || string(got[1]) != "other" {
			t.Errorf("waivers: %q", got)
		}
		if got, err := b.Waivers(ctx, "org/other", d); err != nil || len(got) != 0 {
			t.Errorf("of another model: %q %v", got, err)
		}
		check(t, b.DeleteWaiver(ctx, "org/m", d, "f1"))
		if err := b.DeleteWaiver(ctx, "org/m", d, "f1"); !registry.IsCode(err, registry.CodeManifestUnknown) {
			t.Errorf("taken away twice: %v", err)
		}
	})
}
