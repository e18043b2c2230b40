package lineage

import (
	"fmt"
	"strings"

	"github.com/carat-hub/carat/licenses"
)

// Evaluate applies the rules to the root of a graph. The same graph and options give the same report.
func Evaluate(g *Graph, o Options) Report {
	r := Report{RuleSet: RuleSet, Findings: []Finding{}}
	root := g.Works[g.Root]
	if root == nil {
		return r
	}
	w := g.walk()
	e := evaluation{root: root, own: root.Expression.Resolve(), options: o, report: &r, ancestors: w.ancestors, modality: g.Modality()}
	e.terms = collect(e.own, w.ancestors)
	if w.tooLarge {
		e.unknown(nil, fmt.Sprintf("the lineage has more than %d works, or goes back further than %d; the rest was not looked at", MaxWorks, maxDepth))
	}
	if w.cyclic {
		e.unknown(nil, "the lineage leads in a circle, so that nobody can tell what came first")
	}
	e.ownLicence()
	for _, a := range w.ancestors {
		e.ancestor(a)
	}
	e.merge()
	e.shareAlike()
	e.territories()
	e.thresholds()
	r.apply(o)
	return r
}

// evaluation is one under way.
type evaluation struct {
	root      *Work
	own       licenses.Resolution // the root's declared licence
	options   Options
	report    *Report
	ancestors []*Ancestor
	modality  Modality
	terms     []Term
}

// add notes a finding. a and f are nil where it is about the root alone.
func (e *evaluation) add(rule string, s Severity, a *Ancestor, f *licenses.Fact, field, message string, fixes ...Fix) {
	x := Finding{Rule: rule, Severity: s, Message: message, Fixes: fixes}
	licence := ""
	if f != nil {
		licence, x.Clause = f.SPDX, clauseOf(f, field)
	}
	var against *Work
	if a != nil {
		against, x.Against, x.Path = a.Work, a.Work.Shown(), a.steps()
	}
	x.ID = findingID(rule, e.root, against, licence)
	e.report.Findings = append(e.report.Findings, x)
}

// unknown notes that something is not known: L16.
func (e *evaluation) unknown(a *Ancestor, message string) {
	e.report.Unknown = true
	e.add("L16", SeverityWarn, a, nil, "", message)
}

// steps are the way to an ancestor as it may be shown.
func (a *Ancestor) steps() []Step {
	list := make([]Step, len(a.Path))
	for i, x := range a.Path {
		list[i] = Step{x.Relation, x.Origin, a.Works[i].Shown()}
	}
	return list
}

// way says in words how the root comes from an ancestor.
func (a *Ancestor) way() string {
	words := map[Relation]string{
		FineTune: "fine-tuned from", Adapter: "an adapter of", Quantized: "quantized from", Merge: "merged from", Convert: "converted from",
		Copy: "a copy of", Distill: "distilled from", Outputs: "trained on outputs of", Dataset: "trained on",
	}
	var parts []string
	for i, x := range a.Path {
		parts = append(parts, words[x.Relation]+" "+a.Works[i].Shown())
	}
	return strings.Join(parts, ", which is ")
}

// ownLicence looks at the root's licence by itself: L15, and L16 for one that is not known.
func (e *evaluation) ownLicence() {
	t, root := e.root.Text, e.root
	for _, id := range e.own.Unknown {
		if family := licenses.Family(id); family != "" {
			e.unknown(nil, fmt.Sprintf("%s names no licence by itself, it is %s", quote(id), family))
			continue
		}
		e.unknown(nil, fmt.Sprintf("%s names no licence whose terms are known", quote(id)))
	}
	if len(e.own.Facts)+len(e.own.Unknown) == 0 {
		if root.Declared == "" {
			e.unknown(nil, "no licence is declared")
		} else {
			e.unknown(nil, fmt.Sprintf("the declared licence %s is none that can be told", quote(root.Declared)))
		}
		return
	}
	texts := t.Refs
	if len(texts) == 0 {
		texts = t.Contains
	}
	if len(texts) == 0 {
		return
	}
	for _, ref := range texts {
		if f, ok := licenses.Lookup(ref); ok && e.names(f) {
			if len(t.Refs) == 0 {
				e.add("L15", SeverityError, nil, f, "", fmt.Sprintf("%s is declared, and its text has more in it than that licence", f.Name), Fix{Kind: FixLicense, Text: "declare the licence that the whole text is, or ship the text alone", Where: "README.md"})
			}
			return
		}
	}
	f, _ := licenses.Lookup(texts[0])
	name := texts[0]
	if f != nil {
		name = f.Name
	}
	e.add("L15", SeverityError, nil, f, "", fmt.Sprintf("%s is declared, and the text is that of the %s", root.Expression, name),
		Fix{Kind: FixLicense, Text: "declare " + texts[0] + ", or ship the text of " + root.Expression.String(), Where: "README.md"})
}

// names reports whether the root's expression names a licence, by any id that means the same text.
func (e *evaluation) names(f *licenses.Fact) bool {
	for _, l := range e.root.Expression.Leaves() {
		if x, ok := licenses.Lookup(l.ID); ok && sameLicence(x, f) {
			return true
		}
	}
	return false
}

// sameLicence compares by the SPDX id; the ids with "-or-later" share a text with those without.
func sameLicence(a, b *licenses.Fact) bool {
	cut := func(s string) string { return strings.TrimSuffix(strings.TrimSuffix(s, "-or-later"), "-only") }
	return cut(a.SPDX) == cut(b.SPDX)
}

// requires reports whether the root's expression demands a licence to be kept, in every alternative.
func requires(x licenses.Expression, f *licenses.Fact) bool {
	if len(x.Parts) == 0 {
		l, ok := licenses.Lookup(x.ID)
		return ok && sameLicence(l, f)
	}
	for _, p := range x.Parts {
		if requires(p, f) != (x.Op == licenses.OpOr) {
			return x.Op != licenses.OpOr
		}
	}
	return x.Op == licenses.OpOr
}

// quote cuts a foreign word for a message.
func quote(s string) string {
	if len(s) > 60 {
		s = s[:60] + "…"
	}
	return fmt.Sprintf("%q", s)
}
