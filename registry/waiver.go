package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/licenses/lineage"
)

// LineageStore keeps what organizations do with versions that contradict the
// terms of what they were made from, and the waivers of findings.
type LineageStore interface {
	// LineageGates returns the gates of the organizations that have one of their own.
	LineageGates(ctx context.Context) (map[string]Gate, error)
	// SetLineageGate gives an organization a gate of its own, or takes it away when g is "".
	SetLineageGate(ctx context.Context, org string, g Gate) error
	// Waivers returns the signed waivers of a version.
	Waivers(ctx context.Context, n Name, d Digest) ([][]byte, error)
	// PutWaiver stores a signed waiver in the place of an earlier one of the finding.
	PutWaiver(ctx context.Context, n Name, d Digest, finding string, envelope []byte, expires time.Time) error
	// DeleteWaiver takes one away. Errors: CodeManifestUnknown.
	DeleteWaiver(ctx context.Context, n Name, d Digest, finding string) error
}

// LineageError says that a version contradicts the terms of what it was made
// from, and that its organization does not let it be pulled.
type LineageError struct {
	Name    Name
	Digest  Digest // of the version, zero for content of several
	Errors  int    // how many findings nobody waived
	First   string // the first of them in words
	Pending bool   // its files have not been read yet
}

// Error implements error; the client sees it.
func (e *LineageError) Error() string {
	if e.Pending {
		return fmt.Sprintf("the terms of %s are not known yet: its files have not been read", e.Name)
	}
	return fmt.Sprintf("%s contradicts the terms of what it was made from (%d findings): %s", e.Name, e.Errors, e.First)
}

// passTerms lets a pull through when the terms of what is asked for were
// accepted where they have to be, no policy forbids it, and they contradict
// none where that matters.
// versions finds the manifests that are asked for.
func (r *Registry) passTerms(ctx context.Context, g auth.Grant, n Name, versions func(context.Context) ([]Digest, error)) error {
	if err := r.passConsent(ctx, g, n, versions); err != nil {
		return err
	}
	if err := r.passPolicy(ctx, g, n, versions); err != nil {
		return err
	}
	gate, _, err := r.lineages.of(ctx, r.now(), orgOf(n))
	if err != nil || gate != GateBlock || g.MayPush() {
		return err
	}
	digests, err := versions(ctx)
	if err != nil {
		return err
	}
	refusal := &LineageError{Name: n}
	passed, err := r.anyVersion(ctx, n, digests, func(v *Version) (bool, error) {
		*refusal = LineageError{Name: n, Digest: v.Digest, Pending: v.Facts == nil}
		if refusal.Pending {
			return false, nil
		}
		k, err := r.known(ctx, v)
		if err != nil {
			return false, err
		}
		if refusal.Errors = k.report.Errors(); refusal.Errors == 0 {
			return true, nil
		}
		i := slices.IndexFunc(k.report.Findings, func(f lineage.Finding) bool {
			return f.Severity == lineage.SeverityError && f.Waived == nil
		})
		refusal.First = k.report.Findings[i].Message
		return false, nil
	})
	if passed || err != nil {
		return err
	}
	if len(digests) != 1 {
		refusal.Digest = Digest{}
	}
	if p := g.Principal(); p.Anonymous() && !p.Limited {
		return Wrap(errors.Join(refusal, auth.ErrUnauthenticated), CodeUnauthorized, refusal.Error())
	}
	return Wrap(refusal, CodeDenied, refusal.Error())
}

// OrgLineageGate returns what an organization does with pulls of versions that
// contradict the terms of what they were made from, and whether it is its own.
func (r *Registry) OrgLineageGate(ctx context.Context, org Name) (g Gate, own bool, err error) {
	if err := checkOrg(org); err != nil {
		return "", false, err
	}
	return r.lineages.of(ctx, r.now(), string(org))
}

// SetOrgLineageGate changes it, or gives it the hub's way when g is "". Its
// maintainers may. Errors: auth.ErrDenied, auth.ErrUnauthenticated, CodeNameInvalid.
func (r *Registry) SetOrgLineageGate(ctx context.Context, p auth.Principal, org Name, g Gate) error {
	return r.lineages.set(ctx, p, org, g)
}

// waiverType is the predicate type of a signed waiver.
const waiverType = "https://github.com/carat-hub/carat/waiver/v1"

// maxWaiver bounds the reason of a waiver, in bytes, and longestWaiver how long one holds.
const (
	maxWaiver     = 1000
	longestWaiver = 2 * 366 * 24 * time.Hour
)

// waiverPredicate is what is signed.
type waiverPredicate struct {
	Name   Name           `json:"name"`
	Digest Digest         `json:"digest"`
	Waiver lineage.Waiver `json:"waiver"`
}

// Waive lets a finding of a version be until a time, for a reason that is
// signed and shown. Maintainers of the model may. Errors: auth.ErrDenied,
// auth.ErrUnauthenticated, CodeTermsInvalid, CodeManifestUnknown when there is no such finding.
func (r *Registry) Waive(ctx context.Context, p auth.Principal, v *Version, finding, reason string, expires time.Time) (*lineage.Waiver, error) {
	if err := auth.Oversee(p, auth.Maintain, string(v.Name)); err != nil {
		return nil, err
	}
	now := r.now()
	reason, reasoned := written(reason, maxWaiver)
	switch {
	case r.notary == nil:
		return nil, Errorf(CodeTermsInvalid, "this hub signs nothing")
	case !reasoned:
		return nil, Errorf(CodeTermsInvalid, "a waiver has a reason of at most %d bytes", maxWaiver)
	case !expires.After(now) || expires.After(now.Add(longestWaiver)):
		return nil, Errorf(CodeTermsInvalid, "a waiver ends, in two years at the latest")
	}
	a, err := r.Ancestry(ctx, auth.Principal{}, v)
	if err != nil {
		return nil, err
	}
	found := lineage.Evaluate(a.Graph, lineage.Options{Now: now}).Findings
	if !slices.ContainsFunc(found, func(f lineage.Finding) bool { return f.ID == finding }) {
		return nil, Errorf(CodeManifestUnknown, "there is no such finding of this version")
	}
	w := lineage.Waiver{Finding: finding, Reason: reason, By: p.Name, Expires: expires.UTC().Truncate(time.Second)}
	envelope, err := r.signDecision(ctx, v, waiverType, waiverPredicate{v.Name, v.Digest, w})
	if err != nil {
		return nil, err
	}
	if err := r.store.PutWaiver(ctx, v.Name, v.Digest, finding, envelope, w.Expires); err != nil {
		return nil, err
	}
	r.forget(v)
	return &w, nil
}

// Unwaive takes a waiver away. Maintainers of the model may. Errors: CodeManifestUnknown.
func (r *Registry) Unwaive(ctx context.Context, p auth.Principal, v *Version, finding string) error {
	if err := auth.Oversee(p, auth.Maintain, string(v.Name)); err != nil {
		return err
	}
	if err := r.store.DeleteWaiver(ctx, v.Name, v.Digest, finding); err != nil {
		return err
	}
	r.forget(v)
	return nil
}

// forget drops what is remembered of a version's terms on this node.
func (r *Registry) forget(v *Version) {
	r.consent.mu.Lock()
	defer r.consent.mu.Unlock()
	delete(r.consent.terms, workID(v))
}

// waivers returns the waivers of a version that this hub signed. Any other is none.
func (r *Registry) waivers(ctx context.Context, v *Version) ([]lineage.Waiver, error) {
	stored, err := r.store.Waivers(ctx, v.Name, v.Digest)
	if err != nil {
		return nil, err
	}
	opened, err := openDecisions[waiverPredicate](ctx, r, waiverType, stored)
	var list []lineage.Waiver
	for _, w := range opened {
		if w.Name == v.Name && w.Digest == v.Digest {
			list = append(list, w.Waiver)
		}
	}
	return list, err
}
