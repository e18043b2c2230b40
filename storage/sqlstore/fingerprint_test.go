package sqlstore

import (
	"testing"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/lineage"
)

func TestFingerprints(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		b.repo(t, "org/a", auth.Public)
		b.repo(t, "org/b", auth.Private)
		check(t, b.PutManifest(ctx, model("org/a", "one", "v1")))
		b.clock.advance(time.Hour)
		check(t, b.PutManifest(ctx, model("org/b", "two", "v1")))
		check(t, b.PutManifest(ctx, model("org/b", "three", "v2")))

		print := func(signature string, bits ...byte) lineage.Fingerprint {
			return lineage.Fingerprint{Version: 1, Signature: signature, Bits: bits}
		}
		save := func(n registry.Name, text string, f lineage.Fingerprint, bases ...string) {
			t.Helper()
			check(t, b.SaveFingerprint(ctx, n, digest("%s", text), f, bases))
		}
		save("org/a", "one", print("l4-a", 9, 9))
		save("org/a", "one", print("l4-a", 1, 0, 255), "meta/x", "odd\x00name")
		save("org/b", "two", print("l4-a", 1, 2, 3))
		save("org/b", "three", print("l8-a", 1))
		wantCode(t, b.SaveFingerprint(ctx, "org/a", digest("gone"), print("l4-a", 1), nil), registry.CodeManifestUnknown)

		found, err := b.Fingerprints(ctx, "l4-a", 10)
		check(t, err)
		want := []verify.FingerprintRecord{
			{Name: "org/a", Digest: digest("one"), Visibility: auth.Public, CreatedAt: start, Fingerprint: print("l4-a", 1, 0, 255), Bases: []string{"meta/x", plain("odd\x00name")}},
			{Name: "org/b", Digest: digest("two"), Visibility: auth.Private, CreatedAt: start.Add(time.Hour), Fingerprint: print("l4-a", 1, 2, 3), Bases: []string{}},
		}
		if x := diff(want, found); x != "" {
			t.Errorf("(-want +got):\n%s", x)
		}
		if one, err := b.Fingerprints(ctx, "l4-a", 1); err != nil || len(one) != 1 {
			t.Errorf("limited to one: %+v, %v", one, err)
		}
		check(t, b.DeleteManifest(ctx, "org/a", digest("one")))
		if rest, err := b.Fingerprints(ctx, "l4-a", 10); err != nil || len(rest) != 1 {
			t.Errorf("after the version went: %+v, %v", rest, err)
		}
	})
}
