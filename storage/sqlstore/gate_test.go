package sqlstore

import (
	"testing"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

func TestGates(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		want := func(want map[string]registry.Gate) {
			t.Helper()
			got, err := b.Gates(ctx)
			check(t, err)
			if d := diff(want, got); d != "" {
				t.Errorf("gates (-want +got):\n%s", d)
			}
		}
		want(map[string]registry.Gate{})
		check(t, b.SetGate(ctx, "acme", registry.GateBlock))
		check(t, b.SetGate(ctx, "lab", registry.GateOff))
		check(t, b.SetGate(ctx, "lab", registry.GateWarn))
		want(map[string]registry.Gate{"acme": registry.GateBlock, "lab": registry.GateWarn})
		check(t, b.SetGate(ctx, "acme", ""))
		want(map[string]registry.Gate{"lab": registry.GateWarn})
		if err := b.SetGate(ctx, "acme", "open"); err == nil {
			t.Error("an unknown gate was stored")
		}
	})
}

// finish ends the newest verification of a version in a state, after asking
// for one when none is unfinished.
func (b bundle) finish(t testing.TB, n registry.Name, d registry.Digest, state verify.State) {
	t.Helper()
	v, err := b.RequestVerification(t.Context(), n, d)
	check(t, err)
	check(t, b.FinishVerification(t.Context(), v.ID, &verify.Report{State: state, CheckSet: verify.CheckSet, Subject: &d}, verify.Publication{}))
}

func TestStandings(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		const n = registry.Name("org/m")
		b.repo(t, n, auth.Public)
		shared, own, loose := b.blob(t, n, "shared"), b.blob(t, n, "own"), b.blob(t, n, "loose")
		first, second := model(n, "first"), model(n, "second")
		first.Blobs, second.Blobs = []registry.Digest{shared}, []registry.Digest{shared, own}
		note := manifest(n, "note")
		check(t, b.PutManifest(ctx, first))
		check(t, b.PutManifest(ctx, second))
		check(t, b.PutManifest(ctx, note))

		d := second.Manifest.Digest
		ofManifest := func(d registry.Digest, want registry.Standing) {
			t.Helper()
			got, err := b.ManifestStanding(ctx, n, d)
			check(t, err)
			if d := diff(want, got); d != "" {
				t.Errorf("standing (-want +got):\n%s", d)
			}
		}
		ofBlob := func(d registry.Digest, want registry.Standing) {
			t.Helper()
			got, err := b.BlobStanding(ctx, n, d)
			check(t, err)
			if d := diff(want, got); d != "" {
				t.Errorf("standing of a blob (-want +got):\n%s", d)
			}
		}
		ofManifest(note.Manifest.Digest, registry.Standing{Digest: note.Manifest.Digest, Free: true})
		ofManifest(digest("nothing"), registry.Standing{Digest: digest("nothing"), Free: true})
		ofBlob(loose, registry.Standing{})
		ofBlob(digest("nothing"), registry.Standing{})

		// A version stands by its newest verdict, and without one by its newest verification.
		ofManifest(d, registry.Standing{Digest: d, State: "pending"})
		for _, step := range []struct{ state, want verify.State }{
			{verify.StateError, verify.StateError},
			{verify.StateFailed, verify.StateFailed},
			{verify.StateError, verify.StateFailed},
			{verify.StateUnsupported, verify.StateUnsupported},
			{verify.StatePassed, verify.StatePassed},
			{verify.StateError, verify.StatePassed},
			{verify.StateFailed, verify.StateFailed},
		} {
			b.finish(t, n, d, step.state)
			ofManifest(d, registry.Standing{Digest: d, State: string(step.want)})
			_, err := b.RequestVerification(ctx, n, d)
			check(t, err)
			if step.want != verify.StateError {
				ofManifest(d, registry.Standing{Digest: d, State: string(step.want)}) // while another is pending
			}
		}
		ofBlob(own, registry.Standing{Digest: d, State: "failed"})
		ofBlob(shared, registry.Standing{Digest: d, State: "failed"}) // the newer of two that have not passed
		b.finish(t, n, first.Manifest.Digest, verify.StatePassed)
		ofBlob(shared, registry.Standing{Digest: first.Manifest.Digest, State: "passed"})
		ofBlob(own, registry.Standing{Digest: d, State: "failed"})

		// What another manifest refers to, of which nothing is verified, is free.
		other := manifest(n, "other")
		other.Blobs = []registry.Digest{own}
		check(t, b.PutManifest(ctx, other))
		ofBlob(own, registry.Standing{Digest: other.Manifest.Digest, Free: true})

		// Nothing of a version stays open when it is deleted.
		check(t, b.DeleteManifest(ctx, n, other.Manifest.Digest))
		check(t, b.DeleteManifest(ctx, n, d))
		ofBlob(own, registry.Standing{})
	})
}

// BenchmarkManifestBehindGate pulls verified versions under each gate.
func BenchmarkManifestBehindGate(b *testing.B) {
	for _, e := range engines {
		s := setup(b, e)
		s.repo(b, "org/m", auth.Public)
		w := model("org/m", "one", "v1")
		check(b, s.PutManifest(b.Context(), w))
		s.finish(b, "org/m", w.Manifest.Digest, verify.StatePassed)
		g, err := auth.Allow(auth.Principal{}, auth.Pull, auth.Resource{Repository: "org/m", Visibility: auth.Public})
		check(b, err)
		for _, gate := range []registry.Gate{registry.GateOff, registry.GateWarn, registry.GateBlock} {
			r := registry.New(registry.Options{Store: s, DefaultGate: gate})
			b.Run(string(e)+"/"+string(gate), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := r.Manifest(b.Context(), g, registry.Reference{Tag: "v1"}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
