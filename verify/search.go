package verify

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify/lineage"
)

// LineageSearch is the id of the check whose result a hub completes: the
// checks take the fingerprint of a model's weights, and the hub, which alone
// knows the other models, searches among theirs.
const LineageSearch = "lineage.search"

// SearchEvidence is the evidence of that check.
type SearchEvidence struct {
	Fingerprint lineage.Fingerprint `json:"fingerprint"`
	Searched    int                 `json:"searched"`          // fingerprints with the same signature
	Similar     []SimilarModel      `json:"similar,omitempty"` // the nearest first
	// Unseen are similar models that not everybody may see, without a declared tie.
	Unseen int `json:"unseen,omitempty"`
}

// SimilarModel is a model that was there before and shares weights.
type SimilarModel struct {
	Name       registry.Name   `json:"name"`
	Digest     registry.Digest `json:"digest"` // of the nearest version
	Similarity float64         `json:"similarity"`
	Declared   bool            `json:"declared"` // both declare a common ancestor, which may be one of them
}

// FingerprintRecord is a stored fingerprint of a version.
type FingerprintRecord struct {
	Name        registry.Name
	Digest      registry.Digest // of the manifest
	Visibility  auth.Visibility // of the repository, now
	CreatedAt   time.Time       // of the version
	Fingerprint lineage.Fingerprint
	Bases       []string // that the version declares
}

// Fingerprints keeps the fingerprints of versions.
type Fingerprints interface {
	// SaveFingerprint stores the fingerprint of a version and the bases that it
	// declares, in place of earlier ones. Errors: registry.CodeManifestUnknown.
	SaveFingerprint(ctx context.Context, n registry.Name, d registry.Digest, f lineage.Fingerprint, bases []string) error
	// Fingerprints lists up to limit fingerprints with a signature, those of
	// the oldest versions first.
	Fingerprints(ctx context.Context, signature string, limit int) ([]FingerprintRecord, error)
}

const (
	// maxSearched is how many fingerprints of one signature are compared.
	maxSearched = 20_000
	// maxSimilar is how many similar models are named.
	maxSimilar = 16
)

// search looks for relatives of the version by the fingerprint in its report,
// completes the report with them, and stores the fingerprint.
func (s *Service) search(ctx context.Context, v registry.Version, bases []registry.DeclaredBase, r *Report) error {
	i := slices.IndexFunc(r.Results, func(x Result) bool { return x.ID == LineageSearch })
	if i < 0 || s.o.Fingerprints == nil || r.State == StateError {
		return nil
	}
	var ev SearchEvidence
	// What the checks say comes from where strangers' bytes are read.
	if err := json.Unmarshal(r.Results[i].Evidence, &ev); err != nil || !ev.Fingerprint.Valid() {
		return nil
	}
	var names []string
	for _, b := range bases {
		names = append(names, b.Name)
	}
	others, err := s.o.Fingerprints.Fingerprints(ctx, ev.Fingerprint.Signature, maxSearched)
	if err != nil {
		return fmt.Errorf("search for relatives of %s@%s: %w", v.Name, v.Digest, err)
	}
	if r.State != StateFailed { // damaged weights are nobody's base
		if err := s.o.Fingerprints.SaveFingerprint(ctx, v.Name, v.Digest, ev.Fingerprint, names); err != nil {
			return fmt.Errorf("keep the fingerprint of %s@%s: %w", v.Name, v.Digest, err)
		}
	}
	ev = relatives(v, ev.Fingerprint, names, others)
	if r.Results[i].Evidence, err = json.Marshal(ev); err != nil {
		return fmt.Errorf("encode the relatives: %w", err)
	}
	r.Results[i].Outcome, r.Results[i].Reason = ev.outcome()
	if r.State == StatePassed {
		r.Summary = r.PassSummary()
	}
	return nil
}

// outcome says what the search found.
func (ev SearchEvidence) outcome() (Outcome, string) {
	var named []string
	for _, m := range ev.Similar {
		if !m.Declared {
			named = append(named, fmt.Sprintf("%s (similarity %.2f)", m.Name, m.Similarity))
		}
	}
	if ev.Unseen > 0 {
		named = append(named, "a model that you cannot see")
	}
	if len(named) == 0 {
		return OutcomePassed, ""
	}
	return OutcomeWarned, "the weights are close to those of models that are not named as relatives: " + strings.Join(named, ", ")
}

// relatives compares a version with those of other models that were there
// before. Only models that everybody may see are named; those of the version's
// own organization that are private are left out, as its own drafts.
func relatives(v registry.Version, f lineage.Fingerprint, bases []string, others []FingerprintRecord) SearchEvidence {
	ev := SearchEvidence{Fingerprint: f}
	org, _, _ := v.Name.Split()
	declared := ancestry{}
	declared.add(string(v.Name), bases)
	nearest := map[registry.Name]SimilarModel{}
	unseen := map[registry.Name]bool{}
	for _, o := range others {
		declared.add(string(o.Name), o.Bases)
		if o.Name == v.Name || !o.CreatedAt.Before(v.CreatedAt) {
			continue
		}
		ev.Searched++
		similarity := lineage.Similarity(f, o.Fingerprint)
		theirs, _, _ := o.Name.Split()
		switch {
		case similarity < lineage.Akin:
		case o.Visibility == auth.Public:
			if similarity > nearest[o.Name].Similarity {
				nearest[o.Name] = SimilarModel{Name: o.Name, Digest: o.Digest, Similarity: similarity}
			}
		case theirs != org:
			unseen[o.Name] = true
		}
	}
	ancestors := declared.of(string(v.Name))
	for n := range unseen {
		if !declared.related(ancestors, string(n)) {
			ev.Unseen++
		}
	}
	for n, m := range nearest {
		m.Declared = declared.related(ancestors, string(n))
		m.Similarity = math.Round(m.Similarity*1e4) / 1e4
		ev.Similar = append(ev.Similar, m)
	}
	slices.SortFunc(ev.Similar, func(a, b SimilarModel) int {
		return cmp.Or(compareBool(a.Declared, b.Declared), cmp.Compare(b.Similarity, a.Similarity), cmp.Compare(a.Name, b.Name))
	})
	ev.Similar = ev.Similar[:min(len(ev.Similar), maxSimilar)]
	return ev
}

// compareBool puts false first.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// ancestry are the bases that models declare. What others declare of a model
// changes nothing for it.
type ancestry map[string][]string

func (a ancestry) add(name string, bases []string) {
	key := registry.BaseKey(name)
	for _, b := range bases {
		if b = registry.BaseKey(b); !slices.Contains(a[key], b) {
			a[key] = append(a[key], b)
		}
	}
}

// of returns a model with all from which chains of declared bases lead to it.
func (a ancestry) of(name string) map[string]bool {
	seen := map[string]bool{}
	for next := []string{registry.BaseKey(name)}; len(next) > 0; next = next[1:] {
		if !seen[next[0]] {
			seen[next[0]] = true
			next = append(next, a[next[0]]...)
		}
	}
	return seen
}

// related reports whether two models declare a common ancestor, which may be
// one of them.
func (a ancestry) related(known map[string]bool, name string) bool {
	for n := range a.of(name) {
		if known[n] {
			return true
		}
	}
	return false
}
