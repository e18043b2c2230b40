package sqlstore

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

func TestConsentGates(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		g := registry.ConsentGate{Scope: "acme", Mode: registry.ConsentAuto, Prompt: "Who?\x00", Fields: []registry.ConsentField{{Name: "Use", Kind: registry.FieldSelect, Options: []string{"a"}}}}
		check(t, b.SetConsentGate(ctx, "acme", &registry.ConsentGate{Mode: registry.ConsentManual}))
		check(t, b.SetConsentGate(ctx, "acme", &g))
		check(t, b.SetConsentGate(ctx, "acme/free", &registry.ConsentGate{Mode: registry.ConsentOff}))
		got, err := b.ConsentGates(ctx)
		check(t, err)
		if d := diff(map[string]registry.ConsentGate{"acme": g, "acme/free": {Scope: "acme/free", Mode: registry.ConsentOff}}, got); d != "" {
			t.Errorf("gates (-want +got):\n%s", d)
		}
		check(t, b.SetConsentGate(ctx, "acme", nil))
		if got, err := b.ConsentGates(ctx); err != nil || len(got) != 1 {
			t.Errorf("after one was taken away: %v %v", got, err)
		}
	})
}

// acceptance is the entry that follows one with a hash.
func acceptance(userID int64, n registry.Name, salt string, previous registry.Digest) registry.Acceptance {
	return registry.Acceptance{
		Name: n, Digest: registry.DigestOf(registry.SHA256, []byte(n)), UserID: userID, State: registry.ConsentPending, At: time.Unix(5, 0).UTC(),
		Terms: registry.Terms{Licences: []registry.TermsLicence{{Ref: "MIT"}}}, Hash: registry.DigestOf(registry.SHA256, []byte(salt)), Previous: previous,
		Envelope: []byte("{}"), Salt: []byte(salt), Party: []byte(`{"user":"u"}`),
	}
}

func TestAcceptances(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		if d, err := b.LastAcceptance(ctx); err != nil || !d.IsZero() {
			t.Errorf("of an empty log: %s %v", d, err)
		}
		first := acceptance(1, "org/m", "a", registry.Digest{})
		id, err := b.AppendAcceptance(ctx, first)
		check(t, err)
		first.ID = id
		if _, err := b.AppendAcceptance(ctx, acceptance(1, "org/m", "b", registry.Digest{})); !errors.Is(err, registry.ErrLogMoved) {
			t.Errorf("a second first one: %v", err)
		}
		second := acceptance(2, "org/m", "c", first.Hash)
		second.ID, err = b.AppendAcceptance(ctx, second)
		check(t, err)
		if d, err := b.LastAcceptance(ctx); err != nil || d != second.Hash {
			t.Errorf("the last one: %s %v", d, err)
		}
		got, err := b.AcceptanceLog(ctx, 0, 10)
		check(t, err)
		if d := diff([]registry.Acceptance{first, second}, got); d != "" {
			t.Errorf("the log (-want +got):\n%s", d)
		}
		org, _, _ := first.Name.Split()
		for scope, want := range map[registry.Name]bool{first.Name: true, registry.Name(org): true, first.Name + "x": false, registry.Name(org + "x"): false, registry.Name(org[:1]): false, first.Name + "/x": false} {
			if got, err := b.AcceptancesOf(ctx, scope, 0, 10); err != nil || (len(got) > 0) != want || want && got[0].ID != first.ID {
				t.Errorf("acceptances of %s: %d, %v", scope, len(got), err)
			}
		}
		if got, err := b.AcceptanceLog(ctx, first.ID, 10); err != nil || len(got) != 1 {
			t.Errorf("the log after the first: %v %v", got, err)
		}
		check(t, b.DecideAcceptance(ctx, first.ID, registry.ConsentAccepted))
		if err := b.DecideAcceptance(ctx, first.ID, registry.ConsentDenied); !registry.IsCode(err, registry.CodeManifestUnknown) {
			t.Errorf("decided twice: %v", err)
		}
		if n, err := b.EraseParty(ctx, 1); err != nil || n != 1 {
			t.Errorf("erased: %d %v", n, err)
		}
		mine, err := b.Acceptances(ctx, 1, "org/m", 10)
		check(t, err)
		if len(mine) != 1 || mine[0].State != registry.ConsentAccepted || mine[0].Party != nil || mine[0].Salt != nil || mine[0].Hash != first.Hash {
			t.Errorf("after it: %+v", mine)
		}
		if other, err := b.Acceptances(ctx, 1, "org/other", 10); err != nil || len(other) != 0 {
			t.Errorf("for another model: %v %v", other, err)
		}
	})
}

// TestAcceptancesAtOnce adds entries from several sides: the log never branches.
func TestAcceptancesAtOnce(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		var wg sync.WaitGroup
		for side := range 4 {
			wg.Go(func() {
				for i := 0; i < 5; {
					last, err := b.LastAcceptance(ctx)
					if err != nil {
						t.Error(err)
						return
					}
					_, err = b.AppendAcceptance(ctx, acceptance(1, "org/m", strconv.Itoa(100*side+i), last))
					switch {
					case err == nil:
						i++
					case !errors.Is(err, registry.ErrLogMoved):
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		entries, err := b.AcceptanceLog(ctx, 0, 100)
		check(t, err)
		var last registry.Digest
		for _, e := range entries {
			if e.Previous != last {
				t.Fatal(fmt.Errorf("entry %d follows %s, not %s", e.ID, e.Previous, last))
			}
			last = e.Hash
		}
		if len(entries) != 20 {
			t.Errorf("%d entries", len(entries))
		}
	})
}

func TestManifestsOfBlob(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		const n = registry.Name("org/m")
		b.repo(t, n, auth.Public)
		shared, loose := b.blob(t, n, "shared"), b.blob(t, n, "loose")
		first, second := model(n, "first"), model(n, "second")
		first.Blobs, second.Blobs = []registry.Digest{shared}, []registry.Digest{shared}
		check(t, b.PutManifest(ctx, first))
		check(t, b.PutManifest(ctx, second))
		if got, err := b.ManifestsOfBlob(ctx, n, shared, 10); err != nil || len(got) != 2 {
			t.Errorf("of a shared one: %v %v", got, err)
		}
		if got, err := b.ManifestsOfBlob(ctx, n, loose, 10); err != nil || len(got) != 0 {
			t.Errorf("of a loose one: %v %v", got, err)
		}
	})
}
