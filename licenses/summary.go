package licenses

import (
	"fmt"
	"strconv"
	"strings"
)

// Summary is a licence in few words. It is made of facts and is no legal advice.
type Summary struct {
	Openness     Openness
	Restrictions []string // what keeps the terms from being open
	Commercial   Line
	Modification Line
	Redistribute Line
	Duties       []string // what copies must carry or show
	Checked      bool     // whether the facts rest on the full text
}

// Line is the answer to one question, with the conditions in words.
type Line struct {
	Answer Answer
	Words  string // conditions or a note, "" when there is nothing to add
}

// Summary computes the summary from the facts.
func (l *Fact) Summary() Summary {
	var restrictions []string
	for _, r := range l.Restrictions() {
		restrictions = append(restrictions, r.Words)
	}
	return Summary{
		Openness:     l.Openness(),
		Restrictions: restrictions,
		Commercial:   l.Commercial.Line(),
		Modification: l.Modify.Line(),
		Redistribute: l.Redistribute.Line(),
		Duties:       l.duties(),
		Checked:      l.Checked(),
	}
}

// Line is the permission in words.
func (p Permission) Line() Line {
	var words []string
	if p.Only != "" {
		words = append(words, p.Only+" only")
	}
	for _, x := range p.Limits {
		words = append(words, x.Words())
	}
	words = append(words, p.Duties...)
	if p.Note != "" {
		words = append(words, p.Note)
	}
	return Line{p.Answer, strings.Join(words, "; ")}
}

// Words says up to where the limit goes, in words.
func (x Limit) Words() string {
	bound := "up to "
	if x.Op == "<" {
		bound = "below "
	}
	s := bound + amount(x.Value)
	switch x.Metric {
	case MetricMonthlyUsers:
		s += " monthly users"
	case MetricAnnualRevenue:
		s += " " + x.Unit + " of annual revenue"
	default:
		s += " " + string(x.Metric)
	}
	if x.At == "release" {
		s += " on the day of the release"
	}
	return s
}

// amount writes a round number with a word.
func amount(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{1e9, "billion"}, {1e6, "million"}} {
		if n >= u.size && n%u.size == 0 {
			return fmt.Sprintf("%d %s", n/u.size, u.name)
		}
	}
	return strconv.FormatInt(n, 10)
}

// dutyWords are the sentences of the kinds of duties; %s takes the text.
var dutyWords = map[string]string{
	"copy":           "include the licence",
	"copy-or-link":   "include or link the licence",
	"notice":         "include the notice %s",
	"notice-if-any":  "keep the NOTICE file, if there is one",
	"notices":        "keep the notices",
	"origin-notices": "keep the notices of origin",
	"changes":        "state changes",
	"source":         "provide the source",
	"model-card":     "provide a model card",
	"impact-report":  "provide an impact report",
	"copyright":      "keep the copyright line",
	"credit":         "give credit",
	"no-endorsement": "claim no endorsement",
	"cite":           "cite in publications",
	"show":           "show %s",
	"prefix":         "start the names of derivatives with %s",
	"identify":       "identify derivatives",
}

// duties puts the demands that have to be met into words, without what is
// only encouraged or not known.
func (l *Fact) duties() []string {
	all := append(append([]Duty(nil), l.Files...), l.Display...)
	if l.Naming != nil {
		all = append(all, *l.Naming)
	}
	var out []string
	for _, d := range all {
		if words := d.Words(); words != "" {
			out = append(out, words)
		}
	}
	switch l.Derivatives.Value {
	case FlowSameLicense, FlowSameAgreement:
		out = append(out, "derivatives under the same terms")
	case FlowRestrictions, FlowCopyAndPolicy:
		out = append(out, "derivatives must carry the restrictions on")
	}
	return out
}

// Words says what the duty demands, "" for what is only encouraged or not known.
func (d Duty) Words() string {
	words, known := dutyWords[d.Kind]
	if !known {
		return ""
	}
	if strings.Contains(words, "%s") {
		text := "that the licence gives"
		if d.Text != "" {
			text = "“" + d.Text + "”"
		}
		words = fmt.Sprintf(words, text)
	}
	if d.Note != "" {
		words += " (" + d.Note + ")"
	}
	if d.Outputs {
		words += ", also of models trained on outputs"
	}
	return words
}
