package registry

import (
	"context"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/licenses/openness"
)

// AffirmationStore keeps the affirmations of versions.
type AffirmationStore interface {
	// Affirmations returns the signed affirmations of a version, the oldest first.
	Affirmations(ctx context.Context, n Name, d Digest) ([][]byte, error)
	// PutAffirmation stores a signed affirmation in the place of an earlier one of
	// the reviewer, and makes the version due for assessment.
	PutAffirmation(ctx context.Context, n Name, d Digest, reviewer string, envelope []byte) error
	// DeleteAffirmation takes one away, and makes the version due for assessment.
	// Errors: CodeManifestUnknown.
	DeleteAffirmation(ctx context.Context, n Name, d Digest, reviewer string) error
}

// Affirmation is the judgement of a named reviewer that a version meets the Open
// Source AI Definition, as this hub signed it.
type Affirmation struct {
	openness.Affirmation
	By      string `json:"by"`      // the administrator who entered it
	RuleSet string `json:"ruleSet"` // the rules by which it was a candidate
}

// affirmationType is the predicate type of a signed affirmation.
const affirmationType = "https://github.com/carat-hub/carat/affirmation/v1"

// Limits of an affirmation, in bytes.
const (
	maxReviewer    = 200
	maxAffirmation = 4000 // of the reason
)

// affirmationPredicate is what is signed.
type affirmationPredicate struct {
	Name        Name        `json:"name"`
	Digest      Digest      `json:"digest"`
	Affirmation Affirmation `json:"affirmation"`
}

// Affirm signs that a reviewer judges a version to meet the Open Source AI
// Definition. It has to be a candidate: what a machine can check no reviewer
// overrules. Only administrators may. Errors: auth.ErrDenied,
// auth.ErrUnauthenticated, CodeTermsInvalid.
func (r *Registry) Affirm(ctx context.Context, p auth.Principal, v *Version, reviewer, reason string) (*Affirmation, error) {
	if err := auth.Administer(p); err != nil {
		return nil, err
	}
	reviewer, named := written(reviewer, maxReviewer)
	reason, reasoned := written(reason, maxAffirmation)
	switch {
	case r.notary == nil:
		return nil, Errorf(CodeTermsInvalid, "this hub signs nothing")
	case !named || !reasoned:
		return nil, Errorf(CodeTermsInvalid, "an affirmation has a reviewer of at most %d bytes and a reason of at most %d", maxReviewer, maxAffirmation)
	}
	now := r.now()
	a, err := r.Ancestry(ctx, auth.Principal{}, v)
	if err != nil {
		return nil, err
	}
	if o := a.Assess(now).Openness.OSAID; o.State == openness.OSAIDFails {
		return nil, Errorf(CodeTermsInvalid, "it fails the Open Source AI Definition, which no reviewer can overrule: %s", o.Reasons[0])
	}
	x := Affirmation{openness.Affirmation{Reviewer: reviewer, At: now.UTC().Truncate(time.Second), Reason: reason}, p.Name, a.texts.ruleSet()}
	envelope, err := r.signDecision(ctx, v, affirmationType, affirmationPredicate{v.Name, v.Digest, x})
	if err != nil {
		return nil, err
	}
	if err := r.store.PutAffirmation(ctx, v.Name, v.Digest, reviewer, envelope); err != nil {
		return nil, err
	}
	r.forget(v)
	return &x, nil
}

// Disaffirm takes the affirmation of a reviewer away. Only administrators may.
// Errors: auth.ErrDenied, auth.ErrUnauthenticated, CodeManifestUnknown.
func (r *Registry) Disaffirm(ctx context.Context, p auth.Principal, v *Version, reviewer string) error {
	if err := auth.Administer(p); err != nil {
		return err
	}
	reviewer, _ = written(reviewer, maxReviewer)
	if err := r.store.DeleteAffirmation(ctx, v.Name, v.Digest, reviewer); err != nil {
		return err
	}
	r.forget(v)
	return nil
}

// Affirmations returns those of a version that this hub signed, the oldest
// first. Errors: auth.ErrDenied.
func (r *Registry) Affirmations(ctx context.Context, g auth.Grant, v *Version) ([]Affirmation, error) {
	if _, err := granted(g, auth.Pull); err != nil {
		return nil, err
	}
	return r.affirmations(ctx, v)
}

func (r *Registry) affirmations(ctx context.Context, v *Version) ([]Affirmation, error) {
	stored, err := r.store.Affirmations(ctx, v.Name, v.Digest)
	if err != nil {
		return nil, err
	}
	opened, err := openDecisions[affirmationPredicate](ctx, r, affirmationType, stored)
	var list []Affirmation
	for _, x := range opened {
		if x.Name == v.Name && x.Digest == v.Digest {
			list = append(list, x.Affirmation)
		}
	}
	return list, err
}
