package registry

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"testing"
	"time"

	"github.com/carat-hub/carat/licenses/openness"
	"github.com/carat-hub/carat/provenance"
)

// signer is a Notary with a key made from a byte.
type signer byte

func (s signer) key() ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = byte(s)
	return ed25519.NewKeyFromSeed(seed)
}

func (s signer) SignStatement(_ context.Context, statement []byte) ([]byte, string, error) {
	const payloadType = "application/vnd.in-toto+json"
	type signature struct {
		Sig []byte `json:"sig"`
	}
	envelope, err := json.Marshal(map[string]any{
		"payloadType": payloadType, "payload": statement,
		"signatures": []signature{{ed25519.Sign(s.key(), provenance.PAE(payloadType, statement))}},
	})
	return envelope, "", err
}

// TestAffirmationsOfTheHubOnly: what counts is signed by the hub, an affirmation
// and about the very version.
func TestAffirmationsOfTheHubOnly(t *testing.T) {
	t.Parallel()
	v := &Version{Name: "acme/m", Digest: DigestOf(SHA256, []byte("m"))}
	other := &Version{Name: "acme/m", Digest: DigestOf(SHA256, []byte("other"))}
	sign := func(s signer, about *Version, predicateType string) []byte {
		t.Helper()
		r := &Registry{notary: s}
		p, err := r.signDecision(t.Context(), about, predicateType, affirmationPredicate{about.Name, about.Digest, Affirmation{Affirmation: openness.Affirmation{Reviewer: "R"}}})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	own, err := provenance.NewKey(signer(1).key().Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		envelope []byte
		want     int
	}{
		"the hub's":            {sign(1, v, affirmationType), 1},
		"another key's":        {sign(2, v, affirmationType), 0},
		"of another kind":      {sign(1, v, waiverType), 0},
		"about another":        {sign(1, other, affirmationType), 0},
		"no envelope":          {[]byte("{}"), 0},
		"nothing that is JSON": {nil, 0},
	} {
		r := New(Options{
			Store:   &affirmed{envelope: tt.envelope},
			Clock:   func() time.Time { return time.Unix(0, 0) },
			OwnKeys: func(context.Context) ([]provenance.Key, error) { return []provenance.Key{own}, nil },
		})
		list, err := r.affirmations(t.Context(), v)
		if err != nil || len(list) != tt.want {
			t.Errorf("%s: %+v %v", name, list, err)
		}
	}
}

// affirmed is a store with one affirmation of every version.
type affirmed struct {
	Store
	envelope []byte
}

func (s *affirmed) Affirmations(context.Context, Name, Digest) ([][]byte, error) {
	return [][]byte{s.envelope}, nil
}
