package licenses

import (
	"slices"
	"strings"
)

// Answer says whether a licence permits something.
type Answer string

// The answers. Everything that is not AnswerYes is not permitted to everybody.
const (
	AnswerYes         Answer = "yes"
	AnswerNo          Answer = "no"
	AnswerConditional Answer = "conditional" // the permission's other fields say how
	AnswerUnknown     Answer = "unknown"
)

// Permission is one thing that a licence permits or not.
type Permission struct {
	Answer Answer   `json:"answer"`
	Only   string   `json:"only,omitempty"`   // what it is permitted for, such as "research"
	Limits []Limit  `json:"limits,omitempty"` // who is permitted it, all of them
	Duties []string `json:"duties,omitempty"` // what has to be done for it, in words
	Note   string   `json:"note,omitempty"`
}

// Metric is what a limit measures.
type Metric string

// The metrics.
const (
	MetricMonthlyUsers  Metric = "monthly-users"  // active users in a month
	MetricAnnualRevenue Metric = "annual-revenue" // in the limit's unit
)

// Limit is a threshold beyond which a permission ends.
type Limit struct {
	Metric Metric `json:"metric"`
	Op     string `json:"op"` // "<" or "<="
	Value  int64  `json:"value"`
	Unit   string `json:"unit,omitempty"` // ISO 4217 code of a revenue
	At     string `json:"at,omitempty"`   // "release" when only the day of the release counts
}

// Duty is something that a licence demands.
type Duty struct {
	Kind string `json:"kind"`           // for example "copy", "notice", "show", "prefix"
	Text string `json:"text,omitempty"` // the exact words, where there are such
	Note string `json:"note,omitempty"`

	// Outputs says that the duty is that of models trained on outputs too.
	Outputs bool `json:"outputs,omitempty"`
}

// Term is one term of a licence as a word of a small vocabulary.
type Term struct {
	Value string `json:"value"`
	Note  string `json:"note,omitempty"`
}

// Territory is a limit on where a licence holds.
type Territory struct {
	Rule    string   `json:"rule"`              // "exclude", "no-grant", "sanctions", "export-control"
	Regions []string `json:"regions,omitempty"` // ISO 3166-1 alpha-2, or "EU"
	Scope   string   `json:"scope,omitempty"`   // "multimodal" when it is for such models only, "" for all
	Outputs bool     `json:"outputs,omitempty"` // outputs may not be used there either
	Note    string   `json:"note,omitempty"`
}

// Text is one text of a licence.
type Text struct {
	Language string `json:"language"`         // BCP 47 tag, "en"
	Digest   string `json:"digest"`           // hex SHA-256 of the normalised words, see licenses/text
	Source   string `json:"source,omitempty"` // where the text was read
}

// Lists names the lists of open licences on which a licence stands.
type Lists struct {
	OSI      bool   `json:"osi,omitempty"`      // approved by the Open Source Initiative
	FSF      bool   `json:"fsf,omitempty"`      // called free by the Free Software Foundation
	OpenData bool   `json:"openData,omitempty"` // a licence for open data or open content, as the Model Openness Framework lists them
	Model    bool   `json:"model,omitempty"`    // made for models and open by its terms, as OpenMDW is
	Note     string `json:"note,omitempty"`
}

// Any reports whether the licence stands on any list.
func (l Lists) Any() bool { return l.OSI || l.FSF || l.OpenData || l.Model }

// Fact is what is known of one text of a licence. Where a vendor changed the
// text under the same id there is a Fact for each text.
type Fact struct {
	ID       string   `json:"id"`                 // Hugging Face id; "other:" and the license_name where it has none
	SPDX     string   `json:"spdx,omitempty"`     // SPDX id or LicenseRef-*
	Variants []string `json:"variants,omitempty"` // further SPDX ids with the same facts
	Aliases  []string `json:"aliases,omitempty"`  // further ids that mean SPDX
	SameAs   string   `json:"sameAs,omitempty"`   // SPDX id whose text this entry's models carry
	NotOne   string   `json:"notOne,omitempty"`   // why the id names no single licence
	Name     string   `json:"name"`
	Family   string   `json:"family"`
	Version  string   `json:"version,omitempty"`
	URL      string   `json:"url,omitempty"` // https address of the text

	Effective string            `json:"effective,omitempty"` // first day of the text: "2006", "2006-01" or "2006-01-02"
	Texts     []Text            `json:"texts,omitempty"`     // texts that are known to be this licence
	Content   []string          `json:"content,omitempty"`   // what it is written for: "code", "data", "document", "model"
	Clauses   map[string]string `json:"clauses,omitempty"`   // field of this struct, as in JSON, to the section that says so: "naming": "1.b.i"

	Commercial   Permission `json:"commercial"`
	Modify       Permission `json:"modify"`
	Redistribute Permission `json:"redistribute"`
	Hosting      Permission `json:"hosting,omitzero"` // offering it as a service; zero when the licence says nothing of its own about that

	Naming      *Duty      `json:"naming,omitempty"`    // rule for the names of derivatives
	Files       []Duty     `json:"files,omitempty"`     // what copies must carry
	Display     []Duty     `json:"display,omitempty"`   // what must be shown or said
	Use         *Term      `json:"use,omitempty"`       // acceptable-use policy, nil when there is none
	Outputs     Term       `json:"outputs"`             // whether outputs may train other models
	Territory   *Territory `json:"territory,omitempty"` // nil when it holds everywhere
	Derivatives Term       `json:"derivatives"`         // terms that derivatives must carry
	Patents     Term       `json:"patents"`

	Lists  Lists  `json:"lists,omitzero"`
	MOF    Term   `json:"mof"`    // how the Model Openness Framework takes it for parameters: ok, open, no, unknown
	Source string `json:"source"` // what the facts rest on, see Checked
}

// Openness says in a word what the terms are.
type Openness string

// The kinds of terms. Only OpennessOpen may be called open.
const (
	OpennessOpen       Openness = "open"       // on a list of open licences, and no fact restricts it
	OpennessRestricted Openness = "restricted" // a fact restricts use, change or passing on
	OpennessUnclear    Openness = "unclear"    // neither is known
)

// Openness computes the kind of terms from the facts.
func (l *Fact) Openness() Openness {
	restricted, unsure := l.restrictions()
	switch {
	case l.NotOne != "":
		return OpennessUnclear
	case len(restricted) > 0:
		return OpennessRestricted
	case unsure || !l.Lists.Any() || l.MOF.Value == TermUnknown:
		return OpennessUnclear
	}
	return OpennessOpen
}

// The sources of facts.
const (
	SourceText     = "text"     // the text was read
	SourceStandard = "standard" // a standard licence, whose text is well known
	SourceList     = "list"     // a licence on a list of open ones: what the list stands for, and nothing more
	SourcePartial  = "partial"  // parts of the text, or what others say of it
	SourceMemory   = "memory"   // to be checked against the text
)

// Section writes where a licence says something: "section 1.b.i", or the name
// of the part that is no numbered section.
func Section(s string) string {
	if s != "" && s[0] >= '0' && s[0] <= '9' {
		return "section " + s
	}
	return s
}

// Checked reports whether the facts rest on the licence's full text, or on
// that of a standard licence.
func (l *Fact) Checked() bool { return l.Source == SourceText || l.Source == SourceStandard }

// ids returns every id by which the licence is called.
func (l *Fact) ids() []string {
	ids := slices.Concat([]string{l.ID, l.SPDX}, l.Variants, l.Aliases)
	if name, ok := strings.CutPrefix(l.ID, "other:"); ok {
		ids = append(ids, name)
	}
	return ids
}
