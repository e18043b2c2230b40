package lineage

import (
	"fmt"
	"slices"

	"github.com/carat-hub/carat/licenses"
)

// Term is a licence that a work is under: its own, or one of what its weights were made from.
type Term struct {
	Fact *licenses.Fact
	From string // name of the ancestor as it may be shown, "" for the work's own licence
	Path []Step // the way to it

	from *Ancestor
}

// of says whose licence it is.
func (t *Term) of() string {
	if t.from == nil {
		return ""
	}
	return " of " + t.From
}

// Terms are all licences that the root of a graph is under, each once, its own first, and what is not known of them, in words.
func Terms(g *Graph) (list []Term, unknown []string) {
	root := g.Works[g.Root]
	if root == nil {
		return nil, []string{"nothing is known of the work"}
	}
	w := g.walk()
	own := root.Expression.Resolve()
	list = collect(own, w.ancestors)
	e := evaluation{root: root, own: own, report: &Report{}, ancestors: w.ancestors}
	if w.tooLarge || w.cyclic {
		unknown = append(unknown, "the lineage is too large or leads in a circle")
	}
	e.ownLicence()
	for _, a := range w.ancestors {
		if !a.Carries {
			continue
		}
		for _, f := range e.known(a) {
			if f.Derivatives.Value == licenses.TermUnknown && !requires(root.Expression, f) {
				unknown = append(unknown, fmt.Sprintf("what %s demands of derivatives is not known", f.Name))
			}
		}
	}
	for _, f := range e.report.Findings {
		if f.Rule == "L16" && f.Severity == SeverityWarn || f.Rule == "L15" {
			unknown = append(unknown, f.Message)
		}
	}
	return list, unknown
}

// collect gathers the licences of the root and of whose weights it carries on.
func collect(own licenses.Resolution, ancestors []*Ancestor) []Term {
	var list []Term
	add := func(f *licenses.Fact, a *Ancestor) {
		if slices.ContainsFunc(list, func(t Term) bool { return t.Fact == f }) {
			return
		}
		t := Term{Fact: f, from: a}
		if a != nil {
			t.From, t.Path = a.Work.Shown(), a.steps()
		}
		list = append(list, t)
	}
	for _, f := range own.Facts {
		add(f, nil)
	}
	for _, a := range ancestors {
		if a.Carries && !a.Work.Hidden && !a.Work.Unknown && !a.Work.Dataset {
			for _, f := range a.Work.Expression.Resolve().Facts {
				add(f, a)
			}
		}
	}
	return list
}
