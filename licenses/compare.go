package licenses

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Change says what a difference means to those who accepted the terms before.
type Change string

// The changes.
const (
	ChangeNeutral Change = "neutral" // neither more nor less is permitted or demanded
	ChangeLooser  Change = "looser"
	ChangeTighter Change = "tighter" // less is permitted or more is demanded, or nobody can tell
)

// Difference is one fact that two texts have differently.
type Difference struct {
	Field  string `json:"field"` // of Fact, as in JSON
	Before string `json:"before"`
	After  string `json:"after"`
	Change Change `json:"change"`
	Clause string `json:"clause,omitempty"` // section of the later text, where it is known
}

// Comparison is what changes from one text to another.
type Comparison struct {
	Change      Change       `json:"change"` // tighter when anything is, looser when something is and nothing is tighter
	Differences []Difference `json:"differences"`
}

// Compare tells what changes for those who accepted before and are asked to
// accept after. What is unknown counts as tighter than everything that is known.
func Compare(before, after *Fact) Comparison {
	c := comparer{after: after, result: Comparison{Change: ChangeNeutral, Differences: []Difference{}}}
	c.permission("commercial", before.Commercial, after.Commercial)
	c.permission("modify", before.Modify, after.Modify)
	c.permission("redistribute", before.Redistribute, after.Redistribute)
	c.permission("hosting", silentIsYes(before.Hosting), silentIsYes(after.Hosting))
	c.duties("naming", one(before.Naming), one(after.Naming))
	c.duties("files", before.Files, after.Files)
	c.duties("display", before.Display, after.Display)
	c.terms("use", useOf(before), useOf(after), []string{"", UseInText, UseAttached, UseIncorporated, TermUnknown})
	c.terms("outputs", before.Outputs.Value, after.Outputs.Value, []string{
		OutputsFree, OutputsDisplayRule, OutputsNameRule, OutputsDerivative, OutputsNoCompeting, OutputsNoFoundation, OutputsNoOtherLLM, OutputsNoOtherAI,
		OutputsNonProduction, OutputsNonCommercial, OutputsResearch, OutputsNo, TermUnknown,
	})
	c.terms("derivatives", before.Derivatives.Value, after.Derivatives.Value, []string{
		FlowNone, FlowCopy, FlowCopyAndPolicy, FlowRestrictions, FlowSameLicense, FlowSameAgreement, FlowNoDerivatives, TermUnknown,
	})
	c.terms("patents", before.Patents.Value, after.Patents.Value, []string{PatentsGrant, PatentsNone, PatentsRetaliation, PatentsExcluded, TermUnknown})
	c.sets("territory", regionsOf(before), regionsOf(after))
	return c.result
}

type comparer struct {
	after  *Fact
	result Comparison
}

// add notes a difference; order is negative when after is looser.
func (c *comparer) add(field, before, after string, order int) {
	change := ChangeNeutral
	switch {
	case order < 0:
		change = ChangeLooser
	case order > 0:
		change = ChangeTighter
	}
	c.result.Differences = append(c.result.Differences, Difference{field, before, after, change, c.after.Clauses[field]})
	if change == ChangeTighter || change == ChangeLooser && c.result.Change == ChangeNeutral {
		c.result.Change = change
	}
}

// terms compares words that stand in order from loose to tight.
func (c *comparer) terms(field, before, after string, order []string) {
	if before != after {
		c.add(field, before, after, cmp.Compare(slices.Index(order, after), slices.Index(order, before)))
	}
}

func (c *comparer) permission(field string, before, after Permission) {
	b, a := before.Line(), after.Line()
	words := func(l Line) string { return strings.TrimSuffix(string(l.Answer)+": "+l.Words, ": ") }
	if words(b) == words(a) {
		return
	}
	order := []Answer{AnswerYes, AnswerConditional, AnswerNo, AnswerUnknown}
	by := cmp.Compare(slices.Index(order, after.Answer), slices.Index(order, before.Answer))
	if by == 0 && before.Answer == AnswerConditional {
		by = compareConditions(before, after)
	}
	c.add(field, words(b), words(a), by)
}

// compareConditions orders two conditional permissions: by what they are for,
// their limits and their duties. Where one is tighter here and looser there,
// it counts as tighter.
func compareConditions(before, after Permission) int {
	looser := false
	for _, by := range []int{
		compareOnly(before.Only, after.Only),
		compareLimits(before.Limits, after.Limits),
		compareBurdens(before.Duties, after.Duties),
	} {
		if by > 0 {
			return 1
		}
		looser = looser || by < 0
	}
	if looser {
		return -1
	}
	return 0
}

// compareBurdens says whether a burden was added (1), or some were only taken away (-1).
func compareBurdens(before, after []string) int {
	switch {
	case len(without(after, before)) > 0:
		return 1
	case len(without(before, after)) > 0:
		return -1
	}
	return 0
}

func compareOnly(before, after string) int {
	switch {
	case before == after:
		return 0
	case after == "":
		return -1
	}
	return 1
}

// compareLimits says whether a limit was added or lowered (1), or all were lifted or raised (-1).
func compareLimits(before, after []Limit) int {
	by := 0
	for _, a := range after {
		i := slices.IndexFunc(before, func(b Limit) bool { return b.Metric == a.Metric && b.Unit == a.Unit })
		if i < 0 || a.Value < before[i].Value || a.Value == before[i].Value && a.Op == "<" && before[i].Op == "<=" || a.At != before[i].At && a.At == "" {
			return 1
		}
		if a != before[i] {
			by = -1
		}
	}
	if len(after) < len(before) {
		by = -1
	}
	return by
}

func (c *comparer) duties(field string, before, after []Duty) {
	list := func(duties []Duty) (out []string) {
		for _, d := range duties {
			if d.Kind != "encouraged" {
				out = append(out, strings.TrimSpace(d.Kind+" "+d.Text))
			}
		}
		return out
	}
	c.sets(field, list(before), list(after))
}

// sets compares lists of which each entry is a burden.
func (c *comparer) sets(field string, before, after []string) {
	if by := compareBurdens(before, after); by != 0 {
		c.add(field, strings.Join(before, "; "), strings.Join(after, "; "), by)
	}
}

func without(list, others []string) (out []string) {
	for _, s := range list {
		if !slices.Contains(others, s) {
			out = append(out, s)
		}
	}
	return out
}

func silentIsYes(p Permission) Permission {
	if p.Answer == "" {
		p.Answer = AnswerYes
	}
	return p
}

func one(d *Duty) []Duty {
	if d == nil {
		return nil
	}
	return []Duty{*d}
}

func useOf(f *Fact) string {
	if f.Use == nil {
		return ""
	}
	return f.Use.Value
}

func regionsOf(f *Fact) (list []string) {
	if f.Territory == nil {
		return nil
	}
	if len(f.Territory.Regions) == 0 {
		return []string{f.Territory.Rule}
	}
	for _, r := range f.Territory.Regions {
		list = append(list, fmt.Sprintf("%s %s %s", f.Territory.Rule, r, f.Territory.Scope))
	}
	return list
}
