package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/licenses/lineage"
	"github.com/carat-hub/carat/licenses/openness"
	"github.com/carat-hub/carat/provenance"
	"github.com/carat-hub/carat/registry"
)

// Levels that a summary states, beside "OPENNESS_L" and the verified level.
const (
	StatedLicenseMatched = "LICENSE_MATCHED" // the licence text in the version is that of the declared licence
	StatedLineageClean   = "LINEAGE_CLEAN"   // all of the lineage is known, and no rule of lineage is broken
	StatedChecksPassed   = "CHECKS_PASSED"   // the hub's verification passed
	statedFailed         = "FAILED"          // as SLSA has it
)

// Summarize publishes what was found of a version, by its verification and by
// the assessment that everybody may see. It does nothing until both are there,
// so that it may be called after each of them.
func (r *Recorder) Summarize(ctx context.Context, n registry.Name, d registry.Digest) error {
	v, err := r.o.Versions.Version(ctx, auth.System(string(n), auth.Pull), registry.Reference{Digest: d})
	if err != nil {
		return unlessGone(err)
	}
	last, err := r.o.Store.Verification(ctx, n, d)
	if err != nil {
		return unlessGone(err)
	}
	if v.Facts == nil || last.Report == nil || last.State != StatePassed && last.State != StateFailed {
		return nil
	}
	a, err := r.o.Assessor.Assess(ctx, auth.Principal{}, &v)
	if err != nil {
		return fmt.Errorf("assess %s@%s: %w", n, d, err)
	}
	policy, err := ruleSet()
	if err != nil {
		return err
	}
	at := last.Report.FinishedAt.UTC()
	var s provenance.Summary
	s.Verifier.ID, s.Verifier.Version = r.o.ID, map[string]string{"carat": r.o.Version}
	s.TimeVerified, s.ResourceURI, s.Policy = at, "pkg:oci/"+string(n)+"@"+d.String(), policy
	if !last.Referrer.IsZero() {
		s.InputAttestations = []provenance.Resource{{Digest: map[string]string{string(last.Referrer.Algorithm()): last.Referrer.Hex()}}}
	}
	s.VerificationResult, s.VerifiedLevels = "PASSED", stated(a, &v)
	if last.State == StateFailed {
		s.VerificationResult, s.VerifiedLevels = "FAILED", []string{statedFailed}
	}
	_, err = r.publish(ctx, &v, "summary.dsse.json", provenance.PredicateSummary, s, at.Truncate(time.Second))
	return unlessGone(err)
}

// stated is what may be said of a version that passed its verification.
func stated(a *registry.Assessment, v *registry.Version) []string {
	list := []string{StatedChecksPassed, fmt.Sprintf("OPENNESS_L%d", int(a.Openness.Verified.Level))}
	declared, text := registry.DeclaredExpression(v.Facts).Resolve(), a.Works[0].Text
	matched := len(text.Refs) > 0 && !text.Confirmed // who reads the summary elsewhere confirmed nothing
	for _, ref := range text.Refs {
		matched = matched && declared.Has(ref)
	}
	if matched {
		list = append(list, StatedLicenseMatched)
	}
	if cleanLineage(a) {
		list = append(list, StatedLineageClean)
	}
	return list
}

// cleanLineage reports whether nothing in the lineage is unknown or hidden and
// no finding is an error. One that was waived is still one: a waiver permits a
// pull here, and says nothing to who reads the summary elsewhere.
func cleanLineage(a *registry.Assessment) bool {
	for _, w := range a.Works {
		if w.Unknown || w.Hidden {
			return false
		}
	}
	return !a.Lineage.Unknown && !slices.ContainsFunc(a.Lineage.Findings, func(f lineage.Finding) bool { return f.Severity == lineage.SeverityError })
}

// ruleSet names the rules by which a summary was made: their versions, and the
// digest of them with the catalogue of licences.
func ruleSet() (provenance.Resource, error) {
	p, err := json.Marshal(map[string]any{
		"openness": openness.RuleSet, "lineage": lineage.RuleSet, "checks": CheckSet, "licenses": licenses.All(),
	})
	if err != nil {
		return provenance.Resource{}, fmt.Errorf("encode the rules: %w", err)
	}
	return provenance.Resource{
		URI:    fmt.Sprintf("https://github.com/carat-hub/carat/rules/openness-%d/lineage-%d/checks-%d", openness.RuleSet, lineage.RuleSet, CheckSet),
		Digest: map[string]string{"sha256": registry.DigestOf(registry.SHA256, p).Hex()},
	}, nil
}
