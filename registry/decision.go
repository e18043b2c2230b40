package registry

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/carat-hub/carat/provenance"
)

// written returns what somebody wrote, without what is no text and without
// blanks around it, and whether there is something, of at most limit bytes.
func written(s string, limit int) (string, bool) {
	s = strings.TrimSpace(clean(s))
	return s, s != "" && len(s) <= limit
}

// signDecision signs what an administrator decided about a version: an in-toto
// statement about its manifest in a DSSE envelope.
func (r *Registry) signDecision(ctx context.Context, v *Version, predicateType string, predicate any) ([]byte, error) {
	statement, err := provenance.EncodeStatement([]provenance.Resource{{Name: string(v.Name), Digest: map[string]string{string(v.Digest.Algorithm()): v.Digest.Hex()}}},
		predicateType, predicate)
	if err != nil {
		return nil, err
	}
	envelope, _, err := r.notary.SignStatement(ctx, statement)
	return envelope, err
}

// openDecisions returns the predicates of those envelopes that this hub signed.
// Any other is none. Which version they are about the caller compares.
func openDecisions[P any](ctx context.Context, r *Registry, predicateType string, envelopes [][]byte) ([]P, error) {
	if len(envelopes) == 0 || r.ownKeys == nil {
		return nil, nil
	}
	keys, err := r.ownKeys(ctx)
	if err != nil {
		return nil, err
	}
	trust, now := provenance.Trust{}.With(keys...), r.now()
	var list []P
	for _, p := range envelopes {
		e, err := provenance.ReadEnvelope(p)
		if err != nil {
			continue
		}
		if _, err := e.Verify(trust, now); err != nil {
			continue
		}
		s, err := provenance.ReadStatement(e.Payload)
		if err != nil || s.PredicateType != predicateType {
			continue
		}
		var x P
		if err := json.Unmarshal(s.Predicate, &x); err == nil {
			list = append(list, x)
		}
	}
	return list, nil
}
