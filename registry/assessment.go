package registry

import (
	"context"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/text"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/licenses/lineage"
	"github.com/carat-hub/carat/licenses/openness"
	"github.com/carat-hub/carat/licenses/term"
)

// Assessment is in what way a version is open: its terms, what the rules of
// lineage find, and its level of openness. It is computed from facts and the
// catalogue whenever it is asked for, so that a base or a rule that changed
// shows at once.
type Assessment struct {
	Terms    term.Statement  `json:"terms"`
	Lineage  lineage.Report  `json:"lineage"`
	Works    []lineage.Work  `json:"works"` // what it was made from, the version itself first
	Openness openness.Result `json:"openness"`
}

// Assess computes the assessment of a version as p may see it.
func (r *Registry) Assess(ctx context.Context, p auth.Principal, v *Version) (*Assessment, error) {
	a, err := r.Ancestry(ctx, p, v)
	if err != nil {
		return nil, err
	}
	return a.Assess(r.now()), nil
}

// Ask answers a question about the terms of a version as p may see it.
func (r *Registry) Ask(ctx context.Context, p auth.Principal, v *Version, q term.Question) (*term.Answer, error) {
	a, err := r.Ancestry(ctx, p, v)
	if err != nil {
		return nil, err
	}
	answer := term.Ask(a.Graph, q)
	return &answer, nil
}

// Assess computes the assessment of the root.
func (a *Ancestry) Assess(now time.Time) *Assessment {
	result := a.openness(a.Graph.Root, map[string]*openness.Result{}, map[string]bool{})
	if result == nil {
		result = new(openness.Evaluate(openness.Input{}))
	}
	s := Assessment{Terms: term.New(a.Graph), Lineage: lineage.Evaluate(a.Graph, lineage.Options{Now: now, Waivers: a.Waivers}), Openness: *result}
	for _, w := range a.ordered() {
		s.Works = append(s.Works, *w)
	}
	return &s
}

// ordered lists the works, nearest first.
func (a *Ancestry) ordered() []*lineage.Work {
	list := []*lineage.Work{a.Graph.Works[a.Graph.Root]}
	seen := map[string]bool{a.Graph.Root: true}
	for i := 0; i < len(list); i++ {
		for _, e := range list[i].Edges {
			if w := a.Graph.Works[e.To]; w != nil && !seen[e.To] {
				seen[e.To] = true
				list = append(list, w)
			}
		}
	}
	return list
}

// openness evaluates a work after its bases; nil when nothing is known of it,
// or when it is its own ancestor.
func (a *Ancestry) openness(id string, done map[string]*openness.Result, under map[string]bool) *openness.Result {
	if r, ok := done[id]; ok {
		return r
	}
	w := a.Graph.Works[id]
	if w == nil || w.Hidden || w.Unknown || under[id] {
		return nil
	}
	in := openness.Input{Access: openness.AccessOpen}
	if w.ByName {
		// Its weights and texts are where it is published, not here.
		in.Claims = []openness.Claim{{Component: openness.Parameters, Evidence: []openness.Evidence{{Grade: openness.Declared, From: "name"}}}}
		in.Distribution = openness.Licence{Expression: w.Expression, Text: openness.None}
	} else {
		in = InputOf(a.Versions[id], w.Text)
	}
	if id == a.Graph.Root && len(a.Affirmations) > 0 {
		in.Affirmation = &a.Affirmations[0].Affirmation
	}
	under[id] = true
	for _, e := range w.Edges {
		to := a.Graph.Works[e.To]
		if e.Relation == lineage.Dataset || e.Relation == lineage.Outputs || e.Relation == lineage.Distill || to == nil {
			continue
		}
		name := to.Name
		if to.Hidden {
			name = lineage.Hidden
		}
		in.Bases = append(in.Bases, openness.Base{Name: name, Relation: openness.Relation(e.Relation), Result: a.openness(e.To, done, under)})
	}
	delete(under, id)
	r := openness.Evaluate(in)
	done[id] = &r
	return &r
}

// InputOf is what a version, whose licence's text was identified, shows of its
// own openness, without its bases.
func InputOf(v *Version, t lineage.Text) openness.Input {
	in := openness.Input{Access: openness.AccessOpen}
	f := v.Facts
	if f == nil {
		return in
	}
	if f.Card.Gated {
		in.Access = openness.AccessClick
	}
	files := make([]openness.File, 0, len(v.Files))
	for _, x := range v.Files {
		if !x.Packed {
			files = append(files, openness.File{Path: x.Path, MediaType: x.MediaType, Digest: x.Digest.String()})
		}
	}
	card := openCard(v)
	in.Claims, in.Data = openness.Detect(files, card), openness.DetectData(files, card)
	in.Distribution = licenceOf(f, t)
	if f.MOF != "" {
		if m, err := openness.ParseMOFFile([]byte(f.MOF)); err == nil {
			in.Claims = append(in.Claims, m.Claims()...)
			in.Releases = map[openness.Type]openness.Licence{}
			for t, l := range m.Releases {
				in.Releases[t] = l.Licence()
			}
		}
	}
	return in
}

// licenceOf is the licence that the card declares, with what its text is.
func licenceOf(f *Facts, t lineage.Text) openness.Licence {
	l := openness.Licence{Expression: DeclaredExpression(f), Text: openness.None}
	if l.Expression.IsZero() && f.Card.LicenseID != "" {
		l.Problem = "the card declares " + clipRunes(clean(f.Card.LicenseID), 80) + ", which is no licence that can be told"
	}
	if f.License.Text == "" {
		return l
	}
	l.Text = openness.Stored
	resolved := l.Expression.Resolve()
	switch {
	case len(t.Refs) == 0 && len(t.Contains) > 0:
		l.Match = openness.MatchOther
	case len(t.Refs) == 0:
		l.Match = openness.MatchUnknown
	default:
		l.Match = openness.MatchSame
		if t.Confirmed {
			l.Match = openness.MatchReviewed
		}
		for _, ref := range t.Refs {
			if !resolved.Has(ref) {
				l.Match = openness.MatchOther
			}
		}
	}
	return l
}

// maxLinks is how many addresses of a card are looked at.
const maxLinks = 256

var cardLink = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`https?://[^\s<>"'\)\]]+`) })

// openCard is what a card shows of components.
func openCard(v *Version) openness.Card {
	c := openness.Card{Datasets: v.Facts.Card.Datasets, Results: v.Facts.Card.Results}
	for _, f := range v.Files {
		if strings.EqualFold(f.Path, "README.md") {
			c.Path = f.Path
		}
	}
	body := v.Facts.Card.Body
	c.Words = len(strings.Fields(body))
	c.Links = cardLink().FindAllString(body, maxLinks)
	src := []byte(body)
	for n := goldmark.DefaultParser().Parse(text.NewReader(src)).FirstChild(); n != nil; n = n.NextSibling() {
		if n.Kind() == ast.KindHeading && len(c.Headings) < maxLinks {
			c.Headings = append(c.Headings, clipRunes(plainText(n, src), maxTitle))
		}
	}
	return c
}
