package term

import (
	"fmt"
	"strings"

	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/licenses/lineage"
)

// Question is a use that somebody has in mind. Facts about who asks are nil
// until they are told.
type Question struct {
	Commercial    *bool  `json:"commercial,omitempty"`
	MonthlyUsers  *int64 `json:"monthlyUsers,omitempty"`
	AnnualRevenue *int64 `json:"annualRevenue,omitempty"` // in Currency
	Currency      string `json:"currency,omitempty"`      // ISO 4217, "USD" by default
	Country       string `json:"country,omitempty"`       // ISO 3166-1 alpha-2
	Purpose       string `json:"purpose,omitempty"`       // "research", "personal", "production" …
	// Modality is that of the model, where nobody else says it.
	Modality       lineage.Modality `json:"modality,omitempty"`
	Derive         bool             `json:"derive,omitempty"`       // make another model from it
	Redistribute   bool             `json:"redistribute,omitempty"` // pass it on, or what was made from it
	Host           bool             `json:"host,omitempty"`         // offer it as a service
	TrainOnOutputs bool             `json:"trainOnOutputs,omitempty"`
}

// Verdict is the answer in a word.
type Verdict string

// The verdicts.
const (
	Yes     Verdict = "yes"
	No      Verdict = "no"
	Depends Verdict = "depends"
)

// Reason is why.
type Reason struct {
	Verdict Verdict `json:"verdict"`
	Words   string  `json:"words"`
	Source
}

// Answer is what the licences say to a question.
type Answer struct {
	Verdict Verdict  `json:"verdict"`
	Because []Reason `json:"because,omitempty"`
	// DependsOn are the facts about who asks that were not told, or what has to be done first.
	DependsOn []string `json:"dependsOn,omitempty"`
	// Must is what has to be done when the answer is yes.
	Must []Item `json:"must,omitempty"`
}

// Ask answers a question about the root of a graph: no when any licence says
// no, depends when any depends on what is not known.
func Ask(g *lineage.Graph, q Question) Answer {
	terms, unknown := lineage.Terms(g)
	if q.Currency == "" {
		q.Currency = "USD"
	}
	a, modality := asker{q: q}, q.Modality
	if modality == lineage.ModalityUnknown {
		modality = g.Modality()
	}
	for _, t := range terms {
		a.t = t
		a.ask(modality)
	}
	for _, u := range unknown {
		a.answer.Because = append(a.answer.Because, Reason{Verdict: Depends, Words: u})
	}
	if len(terms) == 0 && len(unknown) == 0 {
		a.answer.Because = append(a.answer.Because, Reason{Verdict: Depends, Words: "no licence is known"})
	}
	a.answer.Verdict = Yes
	for _, r := range a.answer.Because {
		if r.Verdict == No || r.Verdict == Depends && a.answer.Verdict == Yes {
			a.answer.Verdict = r.Verdict
		}
	}
	if a.answer.Verdict != No {
		s := New(g)
		a.answer.Must = s.Must
	}
	return a.answer
}

type asker struct {
	q      Question
	t      lineage.Term
	answer Answer
}

func (a *asker) say(v Verdict, field, format string, args ...any) {
	a.answer.Because = append(a.answer.Because, Reason{v, fmt.Sprintf(format, args...), sourceOf(a.t, field)})
}

// depends says that the answer depends on something.
func (a *asker) depends(field, on, format string, args ...any) {
	a.say(Depends, field, format, args...)
	for _, x := range a.answer.DependsOn {
		if x == on {
			return
		}
	}
	a.answer.DependsOn = append(a.answer.DependsOn, on)
}

func (a *asker) ask(modality lineage.Modality) {
	f := a.t.Fact
	commercial := a.q.Commercial != nil && *a.q.Commercial
	switch {
	case a.q.Commercial == nil && f.Commercial.Answer != licenses.AnswerYes:
		a.depends("commercial", "whether the use is commercial", "the %s treats commercial use differently", f.Name)
	case commercial:
		a.permission("commercial", "commercial use", f.Commercial)
	}
	if a.q.Derive {
		a.permission("modify", "making other models from it", f.Modify)
	}
	if a.q.Redistribute {
		a.permission("redistribute", "passing it on", f.Redistribute)
		if a.q.Derive && f.Derivatives.Value == licenses.FlowNoDerivatives {
			a.say(No, "derivatives", "the %s lets nobody pass on changed versions", f.Name)
		}
	}
	if a.q.Host && f.Hosting.Answer != "" {
		a.permission("hosting", "offering it as a service", f.Hosting)
	}
	if a.q.TrainOnOutputs {
		a.outputs(commercial)
	}
	if x := f.Territory; x != nil && len(x.Regions) > 0 && (x.Scope != "multimodal" || modality != lineage.ModalityText) {
		switch {
		case a.q.Country == "":
			a.depends("territory", "the country", "the %s does not hold everywhere", f.Name)
		case !lineage.Within(a.q.Country, x.Regions):
		case x.Scope == "multimodal" && modality == lineage.ModalityUnknown:
			a.depends("territory", "whether the model is multimodal", "the %s grants nothing of multimodal models in %s", f.Name, a.q.Country)
		default:
			a.say(No, "territory", "the %s grants nothing in %s", f.Name, a.q.Country)
		}
	}
	if f.Use != nil {
		if f.Use.Value == licenses.TermUnknown {
			a.depends("use", "what the licence says of use", "whether the %s limits what it may be used for is not known", f.Name)
		} else {
			a.say(Yes, "use", "as long as it is not for what the %s forbids", f.Name)
		}
	}
}

func (a *asker) permission(field, what string, p licenses.Permission) {
	f := a.t.Fact
	switch p.Answer {
	case licenses.AnswerYes:
	case licenses.AnswerNo:
		a.say(No, field, "the %s does not permit %s", f.Name, what)
	case licenses.AnswerUnknown:
		a.depends(field, "what the licence says of "+what, "whether the %s permits %s is not known", f.Name, what)
	default:
		a.conditions(field, what, p)
	}
}

// conditions asks whether the conditions of a permission are met.
func (a *asker) conditions(field, what string, p licenses.Permission) {
	f := a.t.Fact
	if p.Only != "" {
		switch {
		case p.Only == "unpublished" && a.q.Redistribute, p.Only == "verbatim" && a.q.Derive:
			a.say(No, field, "the %s permits %s %s only", f.Name, what, p.Only)
		case p.Only == "unpublished", p.Only == "verbatim":
		case a.q.Purpose != "" && a.q.Purpose == p.Only:
		case a.q.Commercial != nil && *a.q.Commercial:
			a.say(No, field, "the %s permits %s for %s only", f.Name, what, p.Only)
		case a.q.Commercial != nil && p.Only == "non-commercial":
		case a.q.Purpose != "":
			a.say(No, field, "the %s permits %s for %s only", f.Name, what, p.Only)
		default:
			a.depends(field, "the purpose", "the %s permits %s for %s only", f.Name, what, p.Only)
		}
	}
	for _, l := range p.Limits {
		a.limit(field, what, l)
	}
	for _, d := range p.Duties {
		a.depends(field, "to "+d, "the %s permits %s to those who %s", f.Name, what, d)
	}
	if p.Only == "" && len(p.Limits) == 0 && len(p.Duties) == 0 {
		a.depends(field, "the text of the licence", "the %s permits %s with conditions: %s", f.Name, what, p.Note)
	}
}

func (a *asker) limit(field, what string, l licenses.Limit) {
	name := a.t.Fact.Name
	var have *int64
	switch l.Metric {
	case licenses.MetricMonthlyUsers:
		have = a.q.MonthlyUsers
	case licenses.MetricAnnualRevenue:
		if a.q.AnnualRevenue != nil && l.Unit != a.q.Currency {
			a.depends(field, "the annual revenue in "+l.Unit, "the %s permits %s %s", name, what, l.Words())
			return
		}
		have = a.q.AnnualRevenue
	}
	switch {
	case have == nil:
		a.depends(field, map[licenses.Metric]string{licenses.MetricMonthlyUsers: "the number of monthly users", licenses.MetricAnnualRevenue: "the annual revenue"}[l.Metric], "the %s permits %s %s", name, what, l.Words())
	case *have < l.Value || *have == l.Value && l.Op == "<=":
		a.say(Yes, field, "the %s permits %s %s", name, what, l.Words())
	default:
		a.say(No, field, "the %s permits %s only %s", name, what, l.Words())
	}
}

// outputs asks whether outputs may train another model.
func (a *asker) outputs(commercial bool) {
	f := a.t.Fact
	switch f.Outputs.Value {
	case licenses.OutputsFree:
	case licenses.OutputsNameRule, licenses.OutputsDisplayRule:
		a.say(Yes, "outputs", "models that are trained on its outputs follow the naming or display rule of the %s", f.Name)
	case licenses.OutputsDerivative:
		a.say(Yes, "outputs", "models that are trained on its outputs are derivatives by the %s, and carry its terms", f.Name)
	case licenses.OutputsNonCommercial:
		if commercial {
			a.say(No, "outputs", "the %s does not permit outputs to be used commercially", f.Name)
		} else if a.q.Commercial == nil {
			a.depends("outputs", "whether the use is commercial", "the %s does not permit outputs to be used commercially", f.Name)
		}
	case licenses.OutputsResearch, licenses.OutputsNonProduction:
		if a.q.Purpose == "research" {
			return
		}
		a.say(No, "outputs", "the %s permits outputs to be used for research only", f.Name)
	case licenses.TermUnknown:
		a.depends("outputs", "what the licence says of outputs", "whether the %s lets outputs train other models is not known", f.Name)
	default:
		a.say(No, "outputs", "the %s forbids to %s", f.Name, outputWords[f.Outputs.Value])
	}
}

// Text writes the answer for people.
func (a *Answer) Text() string {
	var b strings.Builder
	switch a.Verdict {
	case Depends:
		b.WriteString("It depends")
		if len(a.DependsOn) > 0 {
			fmt.Fprintf(&b, " on %s", strings.Join(a.DependsOn, ", and on "))
		}
		b.WriteString(".\n")
	case No:
		b.WriteString("No.\n")
	default:
		b.WriteString("Yes.\n")
	}
	for _, v := range []Verdict{No, Depends, Yes} {
		for _, r := range a.Because {
			if r.Verdict != v {
				continue
			}
			fmt.Fprintf(&b, "  - %s\n", r.Words)
			if r.Name != "" {
				fmt.Fprintf(&b, "      %s\n", r.Source)
			}
		}
	}
	if len(a.Must) > 0 {
		b.WriteString("Then you must\n")
		for _, x := range a.Must {
			fmt.Fprintf(&b, "  - %s\n      %s\n", x.Words, x.Source)
		}
	}
	b.WriteString("These are facts about licences, not legal advice.\n")
	return b.String()
}
