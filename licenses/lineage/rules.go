package lineage

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/carat-hub/carat/licenses"
)

// known returns the licences of an ancestor, and notes what is not known of them: L16.
func (e *evaluation) known(a *Ancestor) []*licenses.Fact {
	w := a.Work
	switch {
	case w.Hidden:
		e.unknown(a, fmt.Sprintf("it is %s, so that its terms are not known", a.way()))
		return nil
	case w.Unknown && w.Dataset:
		// Whether the terms of data reach the weights is disputed, so that the terms of these stay known.
		e.add("L16", SeverityInfo, a, nil, "", fmt.Sprintf("it is %s, whose licence is not known here", a.way()))
		return nil
	case w.Unknown:
		e.unknown(a, fmt.Sprintf("it is %s, of which nothing is known here", a.way()))
		return nil
	}
	terms := w.Expression.Resolve()
	if len(terms.Facts)+len(terms.Unknown) == 0 || len(terms.Unknown) > 0 {
		e.unknown(a, fmt.Sprintf("it is %s, whose licence is not known", a.way()))
	}
	return terms.Facts
}

// ancestor applies the rules that compare the root with one ancestor.
func (e *evaluation) ancestor(a *Ancestor) {
	w := a.Work
	facts := e.known(a)
	for _, f := range facts {
		switch {
		case w.Dataset:
			e.dataset(a, f)
		case a.Carries:
			e.carried(a, f)
		case a.Trained:
			e.outputs(a, f)
		}
	}
	if w.Access == AccessManual && e.root.Access == AccessOpen && a.Carries {
		for _, f := range facts {
			if f.Redistribute.Answer != licenses.AnswerYes {
				e.add("L18", SeverityWarn, a, f, "redistribute", fmt.Sprintf("who publishes %s chooses who gets it, its licence does not let everybody pass it on, and this one is open to all", w.Shown()))
			}
		}
	}
}

// carried applies the rules about a licence of weights that the root contains or changes.
func (e *evaluation) carried(a *Ancestor, f *licenses.Fact) {
	e.noDerivatives(a, f)
	e.flow(a, f)
	e.sameBytes(a, f)
	e.name(a, f)
	e.files(a, f)
	e.display(a, f)
	e.commercial(a, f)
}

// flow is L01, L08 and L14: terms that derivatives have to carry on.
func (e *evaluation) flow(a *Ancestor, f *licenses.Fact) {
	if requires(e.root.Expression, f) {
		return
	}
	demand := ""
	switch f.Derivatives.Value {
	case licenses.FlowSameLicense:
		demand = "demands the same licence of derivatives"
	case licenses.FlowSameAgreement:
		demand = "demands the same agreement of derivatives"
	case licenses.FlowRestrictions:
		demand = "demands its restrictions on use to be carried on"
	case licenses.FlowCopyAndPolicy:
		demand = "demands the agreement and its acceptable-use policy to be passed on with derivatives"
	case licenses.TermUnknown:
		e.unknown(a, fmt.Sprintf("what %s demands of derivatives is not known", f.Name))
		return
	default:
		return
	}
	fix := declare(e.root, f)
	if other := e.sameFamily(f); other != nil {
		e.add("L14", SeverityError, a, f, "derivatives", fmt.Sprintf("%s is declared, but it is %s, which is under the %s", other.Name, a.way(), f.Name), fix)
		return
	}
	if rail(f) {
		// Others with restrictions on use of their own may be similar enough.
		for _, own := range e.own.Facts {
			if own.Use != nil && own.Use.Value != licenses.TermUnknown {
				return
			}
		}
		e.add("L08", SeverityError, a, f, "derivatives", fmt.Sprintf("it is %s; the %s %s, and %s has none", a.way(), f.Name, demand, declared(e.root)), fix)
		return
	}
	e.add("L01", SeverityError, a, f, "derivatives", fmt.Sprintf("it is %s; the %s %s, and %s is declared", a.way(), f.Name, demand, declared(e.root)), fix)
}

// rail reports whether a licence attaches restrictions on use that flow down.
func rail(f *licenses.Fact) bool {
	return f.Derivatives.Value == licenses.FlowRestrictions && f.Use != nil
}

// sameFamily returns another version of a licence that the root declares.
func (e *evaluation) sameFamily(f *licenses.Fact) *licenses.Fact {
	for _, own := range e.own.Facts {
		if own.Family == f.Family && f.Family == "llama" || own.Family == f.Family && f.Family == "gemma" {
			return own
		}
	}
	return nil
}

func declared(w *Work) string {
	if w.Expression.IsZero() {
		return "no licence"
	}
	return w.Expression.String()
}

// declare is the fix that keeps a licence, with the id that a card on Hugging Face has for it.
func declare(root *Work, f *licenses.Fact) Fix {
	x := declareWith(root, f)
	text := "declare " + x
	if text == "declare "+f.SPDX && !strings.Contains(f.ID, ":") && !strings.EqualFold(f.ID, f.SPDX) {
		text += " (license: " + f.ID + ")"
	}
	return Fix{Kind: FixLicense, Text: text, Where: "README.md", Declare: x}
}

// declareWith is the expression that the root should declare.
func declareWith(w *Work, f *licenses.Fact) string {
	own := w.Expression.Resolve()
	for _, x := range own.Facts {
		// A permissive licence adds nothing to one that has to be kept.
		if x.Openness() != licenses.OpennessOpen || x.Derivatives.Value == licenses.FlowSameLicense {
			return licenses.And(licenses.Licence(f.SPDX), w.Expression).String()
		}
	}
	return f.SPDX
}

// sameBytes is L02: who only stores weights in another way has nothing to license.
func (e *evaluation) sameBytes(a *Ancestor, f *licenses.Fact) {
	for _, x := range a.Path {
		if !x.Relation.sameBytes() {
			return
		}
	}
	if requires(e.root.Expression, f) {
		return
	}
	e.add("L02", SeverityError, a, f, "redistribute", fmt.Sprintf("it is %s: the weights are those of %s, which is under the %s, and %s is declared", a.way(), a.Work.Shown(), f.Name, declared(e.root)),
		Fix{Kind: FixLicense, Text: "declare " + f.SPDX + ", joined by AND with what was added", Where: "README.md"})
}

// name is L03: names of derivatives.
func (e *evaluation) name(a *Ancestor, f *licenses.Fact) {
	d := f.Naming
	if d == nil || d.Kind != licenses.DutyPrefix || d.Text == "" || e.root.Name == "" {
		return
	}
	for _, x := range a.Path {
		if x.Relation.sameBytes() {
			continue
		}
		_, name, found := strings.Cut(e.root.Name, "/")
		if !found {
			name = e.root.Name
		}
		if !strings.HasPrefix(plain(name), plain(d.Text)) {
			e.add("L03", SeverityError, a, f, "naming", fmt.Sprintf("it is %s; the %s demands a name that begins with %q", a.way(), f.Name, d.Text),
				Fix{Kind: FixName, Text: strings.ReplaceAll(d.Text, " ", "-") + "-" + name, Where: ""})
		}
		return
	}
}

// plain keeps the letters and digits of a name.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, s)
}

// files is L04: what has to come with copies.
func (e *evaluation) files(a *Ancestor, f *licenses.Fact) {
	var missing []string
	var fixes []Fix
	for _, d := range f.Files {
		switch d.Kind {
		case licenses.DutyCopy:
			if !slices.ContainsFunc(slices.Concat(e.root.Text.Refs, e.root.Text.Contains), func(ref string) bool {
				l, ok := licenses.Lookup(ref)
				return ok && sameLicence(l, f)
			}) {
				missing = append(missing, "a copy of the licence")
				fixes = append(fixes, Fix{Kind: FixFile, Text: "the text of the " + f.Name + " (" + f.URL + ")", Where: "LICENSE"})
			}
		case licenses.DutyNotice:
			if d.Text != "" && !strings.Contains(squeeze(e.root.Notice), squeeze(d.Text)) {
				missing = append(missing, fmt.Sprintf("the notice %q", d.Text))
				fixes = append(fixes, Fix{Kind: FixNotice, Text: d.Text, Where: "NOTICE"})
			}
		case licenses.DutyChanges:
			if !e.root.Changes && !a.first().sameBytes() {
				missing = append(missing, "a statement of what was changed")
				fixes = append(fixes, Fix{Kind: FixNotice, Text: "This model was made from " + a.Work.named() + " and changed.", Where: "NOTICE"})
			}
		}
	}
	if len(missing) > 0 {
		e.add("L04", SeverityError, a, f, "files", fmt.Sprintf("it is %s; the %s demands %s, which is not there", a.way(), f.Name, strings.Join(missing, " and ")), fixes...)
	}
}

// squeeze makes one space of all that stands between words.
func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

// display is L05: what has to be shown.
func (e *evaluation) display(a *Ancestor, f *licenses.Fact) {
	for _, d := range f.Display {
		if d.Kind != licenses.DutyShow || d.Text == "" || d.Note != "" && strings.Contains(d.Note, "above") {
			continue
		}
		if !strings.Contains(strings.ToLower(squeeze(e.root.Card)), strings.ToLower(squeeze(d.Text))) {
			e.add("L05", SeverityWarn, a, f, "display", fmt.Sprintf("it is %s; the %s demands %q to be shown, and the card does not say it", a.way(), f.Name, d.Text), Fix{Kind: FixCard, Text: d.Text, Where: "README.md"})
		}
	}
}

// commercial is L06: what is not for commercial use cannot become so.
func (e *evaluation) commercial(a *Ancestor, f *licenses.Fact) {
	if f.Commercial.Answer != licenses.AnswerNo || len(e.own.Facts) == 0 || len(e.own.Unknown) > 0 {
		return
	}
	for _, own := range e.own.Facts {
		if own.Commercial.Answer != licenses.AnswerYes && own.Commercial.Answer != licenses.AnswerConditional {
			return
		}
	}
	e.add("L06", SeverityError, a, f, "commercial", fmt.Sprintf("it is %s, which the %s does not permit to be used commercially; %s does", a.way(), f.Name, declared(e.root)),
		declare(e.root, f))
}

// noDerivatives is L10.
func (e *evaluation) noDerivatives(a *Ancestor, f *licenses.Fact) {
	if f.Derivatives.Value != licenses.FlowNoDerivatives {
		return
	}
	for _, x := range a.Path {
		if x.Relation != Copy {
			e.add("L10", SeverityError, a, f, "derivatives", fmt.Sprintf("it is %s; the %s lets nobody pass on changed versions", a.way(), f.Name))
			return
		}
	}
}

// dataset is L07, and what outputs in a dataset were made with is an ancestor of its own.
func (e *evaluation) dataset(a *Ancestor, f *licenses.Fact) {
	nc, nd := f.Commercial.Answer == licenses.AnswerNo, f.Derivatives.Value == licenses.FlowNoDerivatives
	if nc || nd {
		what := "be used commercially"
		if !nc {
			what = "be changed and passed on"
		}
		e.add("L07", SeverityWarn, a, f, "commercial", fmt.Sprintf("it is %s, which the %s does not permit to %s; whether that reaches the weights is disputed", a.way(), f.Name, what))
	}
}

// outputs is L09: what was learned from another model's outputs.
func (e *evaluation) outputs(a *Ancestor, f *licenses.Fact) {
	limit := map[string]string{
		licenses.OutputsNoOtherLLM:    "to improve no other language model",
		licenses.OutputsNoOtherAI:     "to improve no other AI model",
		licenses.OutputsNoFoundation:  "to make no foundation model",
		licenses.OutputsNoCompeting:   "to make nothing that competes",
		licenses.OutputsNonCommercial: "for nothing commercial",
		licenses.OutputsNonProduction: "for nothing in production",
		licenses.OutputsResearch:      "for research alone",
		licenses.OutputsNo:            "for nothing",
	}[f.Outputs.Value]
	switch {
	case f.Outputs.Value == licenses.OutputsNameRule:
		if f.Naming != nil && f.Naming.Outputs {
			e.name(a, f)
		}
	case f.Outputs.Value == licenses.OutputsDisplayRule:
		e.display(a, f)
	case f.Outputs.Value == licenses.OutputsDerivative:
		e.flow(a, f)
		e.files(a, f)
		e.commercial(a, f)
	case f.Outputs.Value == licenses.TermUnknown:
		e.unknown(a, fmt.Sprintf("whether the %s lets outputs train other models is not known", f.Name))
	case limit != "" && !requires(e.root.Expression, f) && e.sameFamily(f) == nil:
		e.add("L09", SeverityError, a, f, "outputs", fmt.Sprintf("it is %s; the %s permits outputs to be used %s", a.way(), f.Name, limit))
	}
}

// merge is L17: a merge is under the licences of all of its parents at once.
func (e *evaluation) merge() {
	for _, a := range e.ancestors {
		if len(a.Path) != 1 || a.first() != Merge || a.Work.Hidden || a.Work.Unknown {
			continue
		}
		for _, f := range a.Work.Expression.Resolve().Facts {
			if f.Derivatives.Value != licenses.FlowNone && !requires(e.root.Expression, f) {
				e.add("L17", SeverityError, a, f, "derivatives", fmt.Sprintf("it is %s; a merge is under the licences of all its parents at once, and %s does not hold the %s", a.way(), declared(e.root), f.Name),
					Fix{Kind: FixLicense, Text: "declare the licences of all parents, joined by AND", Where: "README.md"})
			}
		}
	}
}

// shareAlike is L11: two licences that each demand all of a derivative.
func (e *evaluation) shareAlike() {
	var first *Ancestor
	var demanding *licenses.Fact
	for _, a := range e.ancestors {
		if !a.Carries || a.Work.Hidden || a.Work.Unknown {
			continue
		}
		for _, f := range a.Work.Expression.Resolve().Facts {
			if f.Derivatives.Value != licenses.FlowSameLicense {
				continue
			}
			if demanding == nil {
				first, demanding = a, f
				continue
			}
			if !sameLicence(f, demanding) && !compatible(f, demanding) {
				e.add("L11", SeverityError, a, f, "derivatives", fmt.Sprintf("the %s of %s and the %s of %s each demand that derivatives are under them alone", demanding.Name, first.Work.Shown(), f.Name, a.Work.Shown()))
				return
			}
		}
	}
}

// compatible lists licences that let their works be passed on under another share-alike licence.
func compatible(a, b *licenses.Fact) bool {
	pair := []string{a.SPDX, b.SPDX}
	slices.Sort(pair)
	return slices.ContainsFunc([][]string{{"AGPL-3.0-only", "GPL-3.0-only"}, {"CC-BY-SA-4.0", "GPL-3.0-only"}}, func(x []string) bool { return slices.Equal(x, pair) })
}

// territories is L12: where ancestors grant nothing.
func (e *evaluation) territories() {
	for _, t := range e.terms {
		x := t.Fact.Territory
		if x == nil || len(x.Regions) == 0 || x.Scope == "multimodal" && e.modality == ModalityText {
			continue
		}
		list := strings.Join(x.Regions, ", ")
		if x.Scope == "multimodal" && e.modality == ModalityUnknown {
			e.add("L12", SeverityWarn, t.from, t.Fact, "territory", fmt.Sprintf("the %s%s grants nothing in %s of models that are multimodal, and whether this one is, nobody says", t.Fact.Name, t.of(), list))
			continue
		}
		s, where := SeverityWarn, "whoever pulls it there has no licence"
		for _, r := range e.options.Regions {
			if Within(r, x.Regions) {
				s, where = SeverityError, "it is offered in "+r
			}
		}
		e.add("L12", s, t.from, t.Fact, "territory", fmt.Sprintf("the %s%s grants nothing in %s; %s", t.Fact.Name, t.of(), list, where))
	}
}

// thresholds is L13: how large users may be.
func (e *evaluation) thresholds() {
	for _, t := range e.terms {
		for _, x := range t.Fact.Commercial.Limits {
			e.add("L13", SeverityInfo, t.from, t.Fact, "commercial", fmt.Sprintf("the %s%s permits commercial use %s", t.Fact.Name, t.of(), x.Words()))
		}
	}
}
