package openness

import (
	"fmt"
	"slices"

	"github.com/carat-hub/carat/licenses"
)

// classes from the widest to the narrowest, as they are climbed.
var classes = []Class{ClassIII, ClassII, ClassI}

// required returns the components that a class needs. A research paper stands
// in for the technical report.
func (m measure) required(class Class) []Component {
	var list []Component
	for _, c := range components {
		optional := c.optional && (c.id != Libraries || !m.in.Profile.LibrariesRequired)
		if c.class >= class && !optional {
			list = append(list, c.id)
		}
	}
	if !m.passes(TechnicalReport) && m.passes(ResearchPaper) {
		i := slices.Index(list, TechnicalReport)
		if slices.Contains(list, ResearchPaper) {
			return slices.Delete(list, i, i+1)
		}
		list[i] = ResearchPaper
	}
	return list
}

// passes reports whether a component is there under an open licence.
func (m measure) passes(c Component) bool {
	need, _ := m.lack(c)
	return need == ""
}

// lack says what a component needs to count and what it has, "" for nothing.
func (m measure) lack(c Component) (need, have string) {
	if g := m.in.grade(c); g < m.needs(c) {
		return gradeWords(m.needs(c)), gradeWords(g)
	}
	if c == Datasets && m.in.Profile.UnlicensedDatasets {
		return "", ""
	}
	l := m.in.licence(c)
	if l.IsZero() || l.Problem != "" {
		return "an open licence", "none"
	}
	if l.Match == MatchOther {
		return "the text of the declared licence", "that of another one"
	}
	if s := judge(l.Expression); s.kind != licenses.OpennessOpen {
		return "an open licence", l.Expression.String()
	}
	return "", ""
}

// progress counts the components of each class.
func (m measure) progress() []Progress {
	list := make([]Progress, len(classes))
	for i, class := range classes {
		required := m.required(class)
		list[i] = Progress{Class: class, Required: len(required)}
		for _, c := range required {
			if m.passes(c) {
				list[i].Have++
			}
		}
	}
	return list
}

// missing lists what a class needs beyond what is there, and notes licences
// that were written for another kind of content.
func (m measure) missing(class Class, a *Assessment) []Blocker {
	var list []Blocker
	for _, c := range m.required(class) {
		if need, have := m.lack(c); need != "" {
			list = append(list, Blocker{c, need, have})
			continue
		}
		l := m.in.licence(c)
		if l.Expression.IsZero() {
			continue
		}
		if s := judge(l.Expression); len(s.content) > 0 && !slices.Contains(s.content, string(c.Type())) {
			n := fmt.Sprintf("%s: %s is open, and was not written for %s", c, l.Expression, c.Type())
			if !slices.Contains(a.Notices, n) {
				a.Notices = append(a.Notices, n)
			}
		}
	}
	return list
}
