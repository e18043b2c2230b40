package policy

import "time"

// Action is what somebody wants to do with a version.
type Action string

// The actions.
const (
	Pull Action = "pull"
	Push Action = "push"
)

// Principal is who asks. What a caller says of itself is nil until it said it.
type Principal struct {
	Name          string // "" for nobody who is known
	Admin         bool
	Role          string   // in the repository, "" for none
	Organizations []string // that it is a member of

	Country                        *string // ISO 3166-1 alpha-2, as asserted
	Commercial                     *bool   // whether it wants to use the model commercially
	MonthlyUsers, AnnualRevenueUSD *int64
	Purpose                        *string // "research", "evaluation", "production" …
}

// License is what is known of the terms of a version, over its lineage too.
type License struct {
	Expression   string   // SPDX expression as declared, "" for none
	IDs          []string // licences that it names
	Openness     string   // "open", "restricted", "unclear"
	Commercial   string   // "yes", "no", "conditional", "unknown"
	Modify       string
	Redistribute string
	Restrictions []string // kinds, such as "research" or "territory"
	Territories  []string // regions where it grants nothing, ISO 3166-1 alpha-2 or "EU"
	OSI          bool     // every licence that counts is approved by the Open Source Initiative
	TextMatch    bool     // the licence's text is there and is that of the declared licence
}

// Lineage is what the rules about descent found.
type Lineage struct {
	Errors, Warnings int
	Findings         []string // ids of rules that fired and are not waived, "L01"
	Bases            []string // names of all ancestors that are known
	Unknown          bool     // an ancestor is not known
}

// Version is what is pushed or pulled.
type Version struct {
	Repository string // "org/name"
	Digest     string

	// Pending says that the files have not been read, so that of what follows
	// only the verification is known.
	Pending bool

	Format     string
	Files      []string // formats that can hold programs, such as "pickle"
	Parameters int64

	License      License
	Lineage      Lineage
	Claimed      int    // level of openness
	Verified     int    // level of openness by evidence
	OSAID        string // "fails", "candidate", "affirmed"
	Verification string // state: "passed", "failed", "unsupported", "pending" …
	Signed       bool   // a signature was checked with a trusted key
}

// Request is one question.
type Request struct {
	Principal Principal
	Action    Action
	Version   Version
	At        time.Time
}

// Reason is a rule that spoke.
type Reason struct {
	Rule    string `json:"rule"`    // its @id, or "policy 1" …
	Message string `json:"message"` // its @reason, or that it forbids
}

// Decision is the answer. Denied and Warned name rules; Missing the facts
// that rules asked for and nobody gave, such as "principal.country". Deferred
// are rules about a push that cannot be asked before the files have been read.
type Decision struct {
	Allowed  bool     `json:"allowed"`
	Denied   []Reason `json:"denied,omitempty"`
	Warned   []Reason `json:"warned,omitempty"`
	Missing  []string `json:"missing,omitempty"`
	Deferred []Reason `json:"deferred,omitempty"`
}
