package term

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/licenses/lineage"
)

// Item is one thing that a licence says.
type Item struct {
	What  string `json:"what"`            // field of the facts that say so, "commercial"
	Words string `json:"words"`           // in plain words
	Quote string `json:"quote,omitempty"` // words that have to be shown or kept
	Source
}

// Source is where an item comes from.
type Source struct {
	Licence string         `json:"licence"`           // SPDX id or LicenseRef
	Name    string         `json:"name"`              // of the licence
	Section string         `json:"section,omitempty"` // where it says so, "" when that is not known
	From    string         `json:"from,omitempty"`    // the ancestor that it is the licence of, "" for the model's own
	Path    []lineage.Step `json:"path,omitempty"`
	Checked bool           `json:"checked"` // the facts rest on the whole text
}

// Statement is what one may, must and must not do.
type Statement struct {
	Openness licenses.Openness `json:"openness"` // of all licences together
	// Commercial, Modify and Redistribute are what the strictest licence says.
	Commercial   Permission `json:"commercial"`
	Modify       Permission `json:"modify"`
	Redistribute Permission `json:"redistribute"`

	May     []Item   `json:"may"`
	Must    []Item   `json:"must"`
	MustNot []Item   `json:"mustNot"`
	Unclear []string `json:"unclear,omitempty"` // what is not known; then nothing may be taken for permitted
	// Thresholds are the least limits of users and revenue.
	Thresholds  []licenses.Limit `json:"thresholds,omitempty"`
	Territories []string         `json:"territories,omitempty"` // where some licence grants nothing
	Licences    []Source         `json:"licences"`              // all of them
}

// Permission is what all licences together say of one use.
type Permission struct {
	Answer licenses.Answer `json:"answer"`
	Words  string          `json:"words,omitempty"` // the conditions of all of them
	Source                 // of the strictest one
}

// strictness orders answers: the last of several is the one that holds.
var strictness = []licenses.Answer{licenses.AnswerYes, licenses.AnswerConditional, licenses.AnswerUnknown, licenses.AnswerNo}

// restrict adds what another licence says.
func (p *Permission) restrict(by licenses.Permission, source Source) {
	line := by.Line()
	stricter := slices.Index(strictness, by.Answer) - slices.Index(strictness, p.Answer)
	switch {
	case p.Name == "" || stricter > 0:
		p.Answer, p.Words, p.Source = by.Answer, line.Words, source
	case stricter == 0 && line.Words != "" && !strings.Contains(p.Words, line.Words):
		p.Words = strings.TrimPrefix(p.Words+"; "+line.Words, "; ")
	}
}

// New makes the statement about the root of a graph.
func New(g *lineage.Graph) Statement {
	terms, unknown := lineage.Terms(g)
	s := Statement{Openness: licenses.OpennessOpen, May: []Item{}, Must: []Item{}, MustNot: []Item{}, Unclear: unknown, Licences: []Source{}}
	if len(unknown) > 0 || len(terms) == 0 {
		s.Openness = licenses.OpennessUnclear
	}
	permitted := map[string]bool{"commercial": true, "modify": true, "redistribute": true}
	modality := g.Modality()
	for _, t := range terms {
		s.add(t, permitted, modality)
	}
	for _, p := range []*Permission{&s.Commercial, &s.Modify, &s.Redistribute} {
		if p.Name == "" || len(unknown) > 0 && p.Answer != licenses.AnswerNo {
			*p = Permission{Answer: licenses.AnswerUnknown, Source: p.Source}
		}
	}
	if len(unknown) == 0 && len(terms) > 0 {
		for _, p := range permissions {
			if permitted[p.field] {
				s.May = append(s.May, Item{What: p.field, Words: p.yes, Source: sourceOf(terms[0], p.field)})
			}
		}
	}
	slices.Sort(s.Territories)
	s.Territories = slices.Compact(s.Territories)
	return s
}

// permissions are what all licences together may permit.
var permissions = []struct{ field, yes, no string }{
	{"commercial", "use it commercially", "use it commercially"},
	{"modify", "change it and make other models from it", "change it or make other models from it"},
	{"redistribute", "pass it on", "pass it on"},
}

func sourceOf(t lineage.Term, field string) Source {
	return Source{Licence: t.Fact.SPDX, Name: t.Fact.Name, Section: t.Fact.Clauses[field], From: t.From, Path: t.Path, Checked: t.Fact.Checked()}
}

// add puts what one licence says into the statement.
func (s *Statement) add(t lineage.Term, permitted map[string]bool, modality lineage.Modality) {
	f := t.Fact
	s.Licences = append(s.Licences, sourceOf(t, ""))
	switch f.Openness() {
	case licenses.OpennessUnclear:
		s.Openness = licenses.OpennessUnclear
	case licenses.OpennessRestricted:
		if s.Openness == licenses.OpennessOpen {
			s.Openness = licenses.OpennessRestricted
		}
	}
	for i, p := range []licenses.Permission{f.Commercial, f.Modify, f.Redistribute} {
		x := permissions[i]
		[]*Permission{&s.Commercial, &s.Modify, &s.Redistribute}[i].restrict(p, sourceOf(t, x.field))
		if p.Answer != licenses.AnswerYes {
			permitted[x.field] = false
		}
		switch line := p.Line(); p.Answer {
		case licenses.AnswerNo:
			s.MustNot = append(s.MustNot, Item{What: x.field, Words: x.no, Source: sourceOf(t, x.field)})
		case licenses.AnswerConditional:
			s.May = append(s.May, Item{What: x.field, Words: x.yes + ": " + line.Words, Source: sourceOf(t, x.field)})
		case licenses.AnswerUnknown:
			s.Unclear = append(s.Unclear, fmt.Sprintf("whether the %s lets one %s is not known", f.Name, x.yes))
		}
		for _, l := range p.Limits {
			s.threshold(l)
		}
	}
	for _, d := range []struct {
		field string
		list  []licenses.Duty
	}{{"files", f.Files}, {"display", f.Display}, {"naming", naming(f)}} {
		for _, x := range d.list {
			if words := x.Words(); words != "" {
				s.Must = append(s.Must, Item{What: d.field, Words: words, Quote: x.Text, Source: sourceOf(t, d.field)})
			}
		}
	}
	if words := flowWords[f.Derivatives.Value]; words != "" {
		list := &s.Must
		if f.Derivatives.Value == licenses.FlowNoDerivatives {
			list = &s.MustNot
		}
		*list = append(*list, Item{What: "derivatives", Words: words, Source: sourceOf(t, "derivatives")})
	}
	if f.Use != nil && f.Use.Value != licenses.TermUnknown {
		s.MustNot = append(s.MustNot, Item{What: "use", Words: useWords[f.Use.Value], Source: sourceOf(t, "use")})
	}
	if words := outputWords[f.Outputs.Value]; words != "" {
		s.MustNot = append(s.MustNot, Item{What: "outputs", Words: words, Source: sourceOf(t, "outputs")})
	}
	if x := f.Territory; x != nil && (x.Scope != "multimodal" || modality != lineage.ModalityText) {
		words := map[string]string{licenses.TerritorySanctions: "use it against trade sanctions", licenses.TerritoryExport: "use it against export control"}[x.Rule]
		if len(x.Regions) > 0 {
			words = "use it in " + strings.Join(x.Regions, ", ")
			if x.Scope == "multimodal" && modality == lineage.ModalityUnknown {
				words += ", if it is multimodal"
			}
			s.Territories = append(s.Territories, x.Regions...)
		}
		s.MustNot = append(s.MustNot, Item{What: "territory", Words: words, Source: sourceOf(t, "territory")})
	}
}

func naming(f *licenses.Fact) []licenses.Duty {
	if f.Naming == nil {
		return nil
	}
	return []licenses.Duty{*f.Naming}
}

// threshold keeps the least limit for each metric.
func (s *Statement) threshold(l licenses.Limit) {
	for i, x := range s.Thresholds {
		if x.Metric == l.Metric && x.Unit == l.Unit {
			if l.Value < x.Value {
				s.Thresholds[i] = l
			}
			return
		}
	}
	s.Thresholds = append(s.Thresholds, l)
	slices.SortFunc(s.Thresholds, func(a, b licenses.Limit) int {
		return cmp.Or(cmp.Compare(a.Metric, b.Metric), cmp.Compare(a.Unit, b.Unit))
	})
}

var flowWords = map[string]string{
	licenses.FlowCopyAndPolicy: "pass the agreement and its acceptable-use policy on with derivatives",
	licenses.FlowRestrictions:  "carry the restrictions on use on to derivatives, as terms",
	licenses.FlowSameLicense:   "put derivatives under the same licence",
	licenses.FlowSameAgreement: "put derivatives under the same agreement",
	licenses.FlowNoDerivatives: "pass on changed versions",
}

var useWords = map[string]string{
	licenses.UseAttached:     "use it for what the attached list forbids",
	licenses.UseIncorporated: "use it for what the acceptable-use policy forbids, whose words may change",
	licenses.UseInText:       "use it for what the text forbids",
}

var outputWords = map[string]string{
	licenses.OutputsNonCommercial: "use its outputs commercially",
	licenses.OutputsResearch:      "use its outputs for anything but research",
	licenses.OutputsNonProduction: "use its outputs in production",
	licenses.OutputsNoOtherLLM:    "use its outputs to improve other language models",
	licenses.OutputsNoOtherAI:     "use its outputs to improve other AI models",
	licenses.OutputsNoFoundation:  "use its outputs to make foundation models",
	licenses.OutputsNoCompeting:   "use its outputs to make what competes",
	licenses.OutputsNo:            "use its outputs",
}

// Text writes the statement for people.
func (s *Statement) Text() string {
	var b strings.Builder
	section := func(title string, items []Item) {
		if len(items) == 0 {
			return
		}
		fmt.Fprintf(&b, "%s\n", title)
		for _, x := range items {
			fmt.Fprintf(&b, "  - %s\n      %s\n", x.Words, x.Source)
		}
	}
	fmt.Fprintf(&b, "Terms: %s\n", s.Openness)
	section("You may", s.May)
	section("You must", s.Must)
	section("You must not", s.MustNot)
	if len(s.Unclear) > 0 {
		b.WriteString("Not known\n")
		for _, u := range s.Unclear {
			fmt.Fprintf(&b, "  - %s\n", u)
		}
	}
	b.WriteString("These are facts about licences, not legal advice.\n")
	return b.String()
}

// String names the licence, the section, and whose licence it is.
func (s Source) String() string {
	t := s.Name
	if s.Section != "" {
		t += ", " + licenses.Section(s.Section)
	}
	if s.From != "" {
		t += " (of " + s.From + ")"
	}
	if !s.Checked {
		t += " [not checked against the whole text]"
	}
	return t
}
