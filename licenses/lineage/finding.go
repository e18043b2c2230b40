package lineage

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/carat-hub/carat/licenses"
)

// Severity is how bad a finding is.
type Severity string

// The severities.
const (
	SeverityError Severity = "error" // terms contradict each other
	SeverityWarn  Severity = "warn"  // they may, or something is missing
	SeverityInfo  Severity = "info"  // what has to be known
)

// Clause is where a licence says something.
type Clause struct {
	Licence string `json:"licence"`           // SPDX id or LicenseRef
	Name    string `json:"name"`              // of the licence
	Section string `json:"section,omitempty"` // "1.b.i", "" when it is not known
	URL     string `json:"url,omitempty"`
}

// Step is one edge of the way to an ancestor.
type Step struct {
	Relation Relation `json:"relation"`
	Origin   Origin   `json:"origin"`
	To       string   `json:"to"` // name as it may be shown
}

// Fix is what would mend a finding.
type Fix struct {
	Kind  FixKind `json:"kind"`
	Text  string  `json:"text"`            // what to write or do
	Where string  `json:"where,omitempty"` // file
	// Declare is the SPDX expression that a FixLicense wants to be declared,
	// "" when a person has to find it.
	Declare string `json:"declare,omitempty"`
}

// FixKind says what a fix changes.
type FixKind string

// The kinds of fixes. Those of files can be made without asking anybody.
const (
	FixLicense FixKind = "license" // the declared licence
	FixFile    FixKind = "file"    // a file has to be added
	FixNotice  FixKind = "notice"  // a line in NOTICE
	FixCard    FixKind = "card"    // a line in the card
	FixName    FixKind = "name"    // the model's name
)

// Finding is what a rule found.
type Finding struct {
	ID       string   `json:"id"` // the same for the same cause, for waivers
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	Message  string   `json:"message"`
	Against  string   `json:"against,omitempty"` // ancestor's name as it may be shown
	Path     []Step   `json:"path,omitempty"`
	Clause   *Clause  `json:"clause,omitempty"`
	Fixes    []Fix    `json:"fixes,omitempty"`
	Waived   *Waiver  `json:"waived,omitempty"`
}

// Waiver says that somebody who may decided to let a finding be, for a time.
// Whether its signature is valid the caller has checked.
type Waiver struct {
	Finding string    `json:"finding"` // Finding.ID
	Reason  string    `json:"reason"`
	By      string    `json:"by"`
	Expires time.Time `json:"expires"`
}

// Hidden is the name of works that the reader cannot see.
const Hidden = "a model that you cannot see"

// Shown is the name of a work as it may be shown.
func (w *Work) Shown() string {
	switch {
	case w.Hidden:
		return Hidden
	case w.ByName:
		return w.Name + " (by its name)"
	case w.Name != "":
		return w.Name
	}
	return w.ID
}

// named is the name of a work without how it is known, as it stands in notices.
func (w *Work) named() string {
	if w.ByName {
		return w.Name
	}
	return w.Shown()
}

// RuleSet is the version of the rules. It rises when the same graph may give other findings.
const RuleSet = 1

// Report is what the rules say of a work.
type Report struct {
	RuleSet  int       `json:"ruleSet"`
	Findings []Finding `json:"findings"`
	// Unknown says that the terms of something that the work was made from are
	// not known, so that the absence of findings means nothing.
	Unknown bool `json:"unknown"`
}

// Errors counts the findings of severity error that nobody waived.
func (r *Report) Errors() int { return r.count(SeverityError) }

// Warnings counts the findings of severity warn that nobody waived.
func (r *Report) Warnings() int { return r.count(SeverityWarn) }

func (r *Report) count(s Severity) (n int) {
	for _, f := range r.Findings {
		if f.Severity == s && f.Waived == nil {
			n++
		}
	}
	return n
}

// Options are what findings depend on beside the graph.
type Options struct {
	Regions []string  // where the work is offered: ISO 3166-1 alpha-2, or "EU"
	Waivers []Waiver  // that apply
	Now     time.Time // by which waivers expire
	// Severities overrides those of rules, "" leaves a rule out.
	Severities map[string]Severity
}

// findingID is stable over evaluations.
func findingID(rule string, root *Work, against *Work, licence string) string {
	other := ""
	if against != nil {
		other = against.ID
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{rule, root.ID, other, licence}, "\x00")))
	return hex.EncodeToString(sum[:8])
}

func clauseOf(f *licenses.Fact, field string) *Clause {
	return &Clause{Licence: f.SPDX, Name: f.Name, Section: f.Clauses[field], URL: f.URL}
}

// apply sets severities and waivers, and sorts the findings: the worst first.
func (r *Report) apply(o Options) {
	r.Findings = slices.DeleteFunc(r.Findings, func(f Finding) bool {
		s, set := o.Severities[f.Rule]
		return set && s == ""
	})
	for i := range r.Findings {
		f := &r.Findings[i]
		if s, set := o.Severities[f.Rule]; set {
			f.Severity = s
		}
		for _, w := range o.Waivers {
			if w.Finding == f.ID && o.Now.Before(w.Expires) {
				f.Waived = &w
			}
		}
	}
	order := []Severity{SeverityError, SeverityWarn, SeverityInfo}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		if d := slices.Index(order, a.Severity) - slices.Index(order, b.Severity); d != 0 {
			return d
		}
		return strings.Compare(a.Rule, b.Rule)
	})
}
