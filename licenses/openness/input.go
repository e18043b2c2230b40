package openness

import (
	"fmt"
	"time"

	"github.com/carat-hub/carat/licenses"
)

// Grade says how good the evidence for a claim is.
type Grade int

// The grades, from nothing to signed.
const (
	None     Grade = iota
	Declared       // E0: somebody says so
	Stated         // E1: with an address
	Fetched        // E2: the address was fetched here, or names content that cannot change (commit, DOI, SWHID)
	Stored         // E3: the bytes are stored here
	Signed         // E4: E2 or E3, named in a signed statement about this version
)

// String returns the grade as E0 to E4, and "" for None.
func (g Grade) String() string {
	if g < Declared || g > Signed {
		return ""
	}
	return "E" + string(rune('0'+int(g-Declared)))
}

// MarshalText implements encoding.TextMarshaler.
func (g Grade) MarshalText() ([]byte, error) { return []byte(g.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (g *Grade) UnmarshalText(p []byte) error {
	for x := None; x <= Signed; x++ {
		if x.String() == string(p) {
			*g = x
			return nil
		}
	}
	return fmt.Errorf("unknown grade of evidence %.10q", p)
}

// Evidence is one reason to believe that a component is there.
type Evidence struct {
	Grade  Grade  `json:"grade"`
	Path   string `json:"path,omitempty"`   // of a file of the version
	URL    string `json:"url,omitempty"`    // where it is
	Digest string `json:"digest,omitempty"` // of the bytes, "sha256:…"
	From   string `json:"from"`             // what says so: "file", "card", "mof.yml", "attestation", "base"
	Note   string `json:"note,omitempty"`
}

// Match tells how a licence's text compares with the declared id.
type Match string

// The matches. MatchUnknown is a text that was compared with nothing.
const (
	MatchUnknown  Match = ""         // no text, or one that is not known
	MatchSame     Match = "same"     // the text is that of the declared licence
	MatchOther    Match = "other"    // the text is another one
	MatchReviewed Match = "reviewed" // a reviewer decided that the text is the declared licence
)

// Licence is the licence of a component or of a release.
type Licence struct {
	Expression licenses.Expression `json:"expression,omitzero"`
	Problem    string              `json:"problem,omitempty"` // why there is no expression although something is declared
	Text       Grade               `json:"text"`              // of the licence's text; None when there is none
	Match      Match               `json:"match,omitempty"`
}

// IsZero reports whether nothing is declared.
func (l Licence) IsZero() bool { return l.Expression.IsZero() && l.Problem == "" }

// Claim is one component of a release.
type Claim struct {
	Component Component  `json:"component"`
	Evidence  []Evidence `json:"evidence"`
	Licence   Licence    `json:"licence,omitzero"` // its own; zero for that of the release
}

// Access says how one gets the weights from who publishes them.
type Access string

// The kinds of access. What a hub itself demands of its users is no access of the publisher.
const (
	AccessOpen    Access = "open"
	AccessClick   Access = "click-through" // terms have to be accepted, everybody may
	AccessManual  Access = "manual"        // somebody decides who gets it
	AccessPrivate Access = "private"
)

// Relation says how a version comes from a base.
type Relation string

// The relations that carry a base's weights on.
const (
	FineTune  Relation = "finetune"
	Adapter   Relation = "adapter"
	Quantized Relation = "quantized"
	Merge     Relation = "merge"
	Convert   Relation = "convert"
	Copy      Relation = "copy"
)

// Base is a model whose weights the version carries on.
type Base struct {
	Name     string   `json:"name"` // as it may be shown to the reader
	Relation Relation `json:"relation"`
	Result   *Result  `json:"result"` // nil when nothing is known of it
}

// DataInformation is what the Open Source AI Definition demands to be told of
// the training data: three texts, and the licence of them.
type DataInformation struct {
	Description Grade   `json:"description"` // complete description of all training data
	Public      Grade   `json:"public"`      // list of the publicly available data
	ThirdParty  Grade   `json:"thirdParty"`  // list of the data that third parties give out
	Licence     Licence `json:"licence,omitzero"`
}

// Affirmation is a named reviewer's judgement that a release meets the Open
// Source AI Definition. Whether its signature is valid the caller has checked.
type Affirmation struct {
	Reviewer string    `json:"reviewer"`
	At       time.Time `json:"at"`
	Reason   string    `json:"reason"`
}

// Profile chooses between readings of the Model Openness Framework. The zero
// value is that of its tool.
type Profile struct {
	UnlicensedDatasets bool `json:"unlicensedDatasets,omitempty"` // datasets need no licence for class I, as in the paper
	LibrariesRequired  bool `json:"librariesRequired,omitempty"`  // class II needs the supporting libraries, as in the tool's first version
}

// Input is all that the level of a version depends on.
type Input struct {
	Claims       []Claim          `json:"claims"`
	Releases     map[Type]Licence `json:"releases,omitempty"`    // licence of all code, data or documents of the release
	Distribution Licence          `json:"distribution,omitzero"` // licence of the release as a whole
	Access       Access           `json:"access"`
	Bases        []Base           `json:"bases,omitempty"`
	Data         DataInformation  `json:"data"`
	Affirmation  *Affirmation     `json:"affirmation,omitempty"`
	Profile      Profile          `json:"profile"`
}

// grade returns the best evidence for a component.
func (in *Input) grade(c Component) Grade {
	best := None
	for _, claim := range in.Claims {
		if claim.Component != c {
			continue
		}
		for _, e := range claim.Evidence {
			best = max(best, e.Grade)
		}
	}
	return best
}

// licence returns the licence of a component: its own, that of the release for
// its type, that of the release, or none.
func (in *Input) licence(c Component) Licence {
	for _, claim := range in.Claims {
		if claim.Component == c && !claim.Licence.IsZero() {
			return claim.Licence
		}
	}
	if l := in.Releases[c.Type()]; !l.IsZero() {
		return l
	}
	return in.Distribution
}
