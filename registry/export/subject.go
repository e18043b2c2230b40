package export

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/licenses/lineage"
	"github.com/carat-hub/carat/registry"
)

// maxWorks is how many works a document names; what is beyond is counted.
const maxWorks = 500

// subject is a version with all that documents tell of it.
type subject struct {
	version    *registry.Version
	facts      *registry.Facts
	assessment *registry.Assessment
	works      []*work // what it was made from, the version itself first
	omitted    int     // works that are not among them
	sections   map[section]string
}

// work is the version or one of the works that it was made from.
type work struct {
	*lineage.Work
	title   string            // name as it may be shown
	ref     string            // of it in a document: "model", "work-1" …
	version *registry.Version // nil when it is not here
	licence licence
	uses    []use
}

// use says what a work was made from, and how.
type use struct {
	of       *work
	relation lineage.Relation
	origin   lineage.Origin
}

// data are the references of the datasets that a work was trained on.
func (w *work) data() (refs []string) {
	for _, u := range w.uses {
		if u.of.Dataset && !slices.Contains(refs, u.of.ref) {
			refs = append(refs, u.of.ref)
		}
	}
	return refs
}

// relationWords say how a work was made from the one whose name follows.
func relationWords(r lineage.Relation) string {
	words := map[lineage.Relation]string{
		lineage.FineTune: "a fine-tune of", lineage.Adapter: "an adapter for", lineage.Quantized: "a quantization of", lineage.Merge: "a merge with",
		lineage.Convert: "another file format of", lineage.Copy: "a copy of", lineage.Distill: "distilled from", lineage.Outputs: "trained on outputs of",
		lineage.Dataset: "trained on",
	}[r]
	if words == "" {
		words = "made from"
	}
	return words
}

// newSubject gathers what is known of the root. Errors: ErrNotInspected.
func newSubject(a *registry.Ancestry) (*subject, error) {
	v := a.Versions[a.Graph.Root]
	if v == nil || v.Facts == nil {
		return nil, ErrNotInspected
	}
	// Only waivers expire, and documents show none: any time gives the same.
	s := &subject{version: v, facts: v.Facts, assessment: a.Assess(v.CreatedAt), sections: sectionsOf(v.Facts.Card.Body)}
	byID := map[string]*work{}
	for i := range s.assessment.Works {
		x := &s.assessment.Works[i]
		if len(s.works) == maxWorks {
			s.omitted++
			continue
		}
		w := &work{Work: x, title: line(x.Name), ref: reference(i), version: a.Versions[x.ID], licence: licenceOf(x)}
		switch {
		case x.Hidden:
			w.title, w.version = lineage.Hidden, nil
		case w.title == "":
			w.title = "a work without a name"
		}
		byID[x.ID] = w
		s.works = append(s.works, w)
	}
	for _, w := range s.works {
		for _, e := range w.Edges {
			if to := byID[e.To]; to != nil && !w.Hidden {
				w.uses = append(w.uses, use{to, e.Relation, e.Origin})
			}
		}
	}
	return s, nil
}

func reference(i int) string {
	if i == 0 {
		return "model"
	}
	return "work-" + strconv.Itoa(i)
}

// root is the version itself as a work.
func (s *subject) root() *work { return s.works[0] }

// models are the models that it was made from, the nearest first.
func (s *subject) models() []*work { return s.pick(false) }

// datasets are the datasets among its works, those of ancestors too.
func (s *subject) datasets() []*work { return s.pick(true) }

func (s *subject) pick(dataset bool) (list []*work) {
	for _, w := range s.works[1:] {
		if w.Dataset == dataset {
			list = append(list, w)
		}
	}
	return list
}

// created is when the version came to the hub, as RFC 3339 with seconds.
func (s *subject) created() string { return s.version.CreatedAt.UTC().Format(time.RFC3339) }

// organization is the first part of the version's name.
func (s *subject) organization() string {
	org, _, _ := strings.Cut(string(s.version.Name), "/")
	return org
}

// licence is the licence of a work: as declared, and as its text confirms it.
type licence struct {
	written   string   // as the publisher wrote it, one line
	declared  string   // SPDX expression, "" when nothing that can be told is declared
	concluded string   // the same where a text here is known to be the declared licence, else ""
	refs      []string // ids in the expression that are not on the SPDX list
	text      []string // ids of the licences that the text here is
	facts     []*licenses.Fact
}

// licenceOf tells the licence of a work, nothing of a hidden one.
func licenceOf(w *lineage.Work) licence {
	if w.Hidden {
		return licence{}
	}
	l := licence{written: line(w.Declared), text: w.Text.Refs}
	e := listed(w.Expression)
	l.declared = e.String()
	if len(l.declared) > maxText {
		l.declared = ""
		return l
	}
	confirmed := len(l.text) > 0
	named := map[string]bool{}
	for _, leaf := range e.Leaves() {
		if named[leaf.ID] {
			continue
		}
		named[leaf.ID] = true
		confirmed = confirmed && leaf.Exception == "" && !leaf.OrLater && slices.Contains(l.text, leaf.ID)
		if strings.HasPrefix(leaf.ID, licenceRef) {
			l.refs = append(l.refs, leaf.ID)
		}
		if f, ok := licenses.Lookup(leaf.ID); ok {
			l.facts = append(l.facts, f)
		}
	}
	for _, ref := range l.text {
		confirmed = confirmed && named[ref]
	}
	if confirmed {
		l.concluded = l.declared
	}
	return l
}

// licenceRef begins ids of licences that are not on the SPDX list.
const licenceRef = "LicenseRef-"

// listed writes an expression with ids that SPDX takes: those of its list, and
// LicenseRef-* for all others.
func listed(e licenses.Expression) licenses.Expression {
	if len(e.Parts) > 0 {
		parts := make([]licenses.Expression, len(e.Parts))
		for i, p := range e.Parts {
			parts[i] = listed(p)
		}
		e.Parts = parts
		return e
	}
	if e.ID == "" {
		return e
	}
	f, known := licenses.Lookup(e.ID)
	switch {
	case known && f.SPDX != "":
		e.ID = f.SPDX
		if base, only := strings.CutSuffix(e.ID, "-only"); only && e.OrLater {
			e.ID, e.OrLater = base+"-or-later", false
		}
	case !strings.HasPrefix(e.ID, licenceRef):
		e.ID = licenceRef + e.ID
	}
	if strings.HasPrefix(e.ID, licenceRef) {
		// "+" and WITH are for listed licences; a colon is for other documents.
		e.ID, e.OrLater = licenceRef+strings.ReplaceAll(e.ID[len(licenceRef):], ":", "-"), false
		if e.Exception != "" {
			e.ID, e.Exception = e.ID+"-with-"+strings.ReplaceAll(e.Exception, ":", "-"), ""
		}
	}
	e.Exception = strings.ReplaceAll(e.Exception, ":", "-")
	return e
}

// or is what the licence is called where one word has to do.
func (l *licence) or(none string) string {
	switch {
	case l.declared != "":
		return l.declared
	case l.written != "":
		return l.written + " (not recognised)"
	}
	return none
}
