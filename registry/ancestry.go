package registry

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/licenses/lineage"
	"github.com/carat-hub/carat/licenses/text"
)

// maxAncestors is how many models are looked up for one lineage. What is
// beyond them is only named.
const maxAncestors = 200

// latest is the tag by which a base without a version is looked up; where it
// is not there, the newest version stands for the model.
const latest = Tag("latest")

// Ancestry is the lineage of a version, as far as it is known here.
type Ancestry struct {
	Graph *lineage.Graph
	// Versions are those of the works that are here, by the id of the work.
	Versions map[string]*Version
}

// NewAncestry is the lineage of a version of which no base is known.
func NewAncestry(v *Version) *Ancestry {
	root := workOf(v)
	return &Ancestry{
		Graph:    &lineage.Graph{Root: root.ID, Works: map[string]*lineage.Work{root.ID: root}},
		Versions: map[string]*Version{root.ID: v},
	}
}

// Ancestry follows the bases of a version through the hub: those that signed
// provenance names first, then those that card and configuration declare. A base
// that p may not see is in it as a hidden work, of which nothing is told; one
// that is not here is known by its name, or not at all.
func (r *Registry) Ancestry(ctx context.Context, p auth.Principal, v *Version) (*Ancestry, error) {
	a := NewAncestry(v)
	queue := []*Version{v}
	for looked := 0; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		w := a.Graph.Works[workID(at)]
		known, follow, err := r.attestedEdges(ctx, p, a, at, &looked)
		if err != nil {
			return nil, err
		}
		queue = append(queue, follow...)
		if at.Facts == nil {
			continue
		}
		for _, b := range at.Facts.Bases {
			if known[BaseKey(b.Name)] {
				continue // by better evidence
			}
			looked++
			id, base, err := r.base(ctx, p, a, b.Name, "", looked <= maxAncestors)
			if err != nil {
				return nil, err
			}
			w.Edges = append(w.Edges, lineage.Edge{To: id, Relation: relationOf(b.Relation), Origin: originOf(b.From)})
			if base != nil {
				queue = append(queue, base)
			}
		}
		for _, d := range at.Facts.Card.Datasets {
			if known[datasetID(d)] {
				continue
			}
			w.Edges = append(w.Edges, lineage.Edge{To: a.dataset(d), Relation: lineage.Dataset, Origin: lineage.FromCard})
		}
	}
	return a, nil
}

// attestedEdges adds the edges of a version that provenance with a trusted
// signature names. It returns what it named and which versions are to be followed.
func (r *Registry) attestedEdges(ctx context.Context, p auth.Principal, a *Ancestry, at *Version, looked *int) (known map[string]bool, follow []*Version, err error) {
	list, err := r.attested(ctx, at)
	if err != nil {
		return nil, nil, err
	}
	known = map[string]bool{}
	w := a.Graph.Works[workID(at)]
	for _, d := range list {
		e := lineage.Edge{Relation: lineage.Relation(d.Relation), Origin: lineage.FromAttestation}
		if e.Relation == lineage.Dataset {
			e.To = a.dataset(d.Name)
			known[e.To] = true
		} else {
			*looked++
			var base *Version
			if e.To, base, err = r.base(ctx, p, a, d.Name, d.SHA256, *looked <= maxAncestors); err != nil {
				return nil, nil, err
			}
			if base != nil {
				follow = append(follow, base)
			}
			known[BaseKey(d.Name)] = true
		}
		if !slices.Contains(w.Edges, e) {
			w.Edges = append(w.Edges, e)
		}
	}
	return known, follow, nil
}

func datasetID(name string) string { return "dataset:" + name }

// dataset adds a dataset, of which no more than its name is known, and returns its id.
func (a *Ancestry) dataset(name string) string {
	id := datasetID(name)
	if a.Graph.Works[id] == nil {
		a.Graph.Works[id] = &lineage.Work{ID: id, Name: name, Dataset: true, Unknown: true}
	}
	return id
}

// base finds a base and adds it: the version that sha256 names, which is that
// of its manifest or the root digest of its files, and without one the newest.
// It returns the version when its own bases are to be followed.
func (r *Registry) base(ctx context.Context, p auth.Principal, a *Ancestry, declared, sha256 string, look bool) (id string, v *Version, err error) {
	named := &lineage.Work{ID: "name:" + BaseKey(declared), Name: declared, Unknown: true}
	if sha256 != "" {
		named.ID += "@sha256:" + sha256
	}
	if declared == "" {
		named.Name = "sha256:" + sha256
	}
	if f, ok := licenses.OfModel(BaseKey(declared)); ok {
		named.Unknown, named.ByName = false, true
		named.Declared, named.Expression = f.ID, licenses.Licence(f.SPDX)
	}
	add := func(w *lineage.Work) string {
		if a.Graph.Works[w.ID] == nil {
			a.Graph.Works[w.ID] = w
		}
		return w.ID
	}
	n, ok := BaseName(declared)
	if !ok || !look {
		return add(named), nil, nil
	}
	visibility, exists, err := r.Visibility(ctx, n)
	if err != nil {
		return "", nil, err
	}
	if !exists {
		return add(named), nil, nil
	}
	g, err := auth.Allow(p, auth.Pull, auth.Resource{Repository: string(n), Visibility: visibility})
	if err != nil {
		if !errors.Is(err, auth.ErrDenied) && !errors.Is(err, auth.ErrUnauthenticated) {
			return "", nil, err
		}
		return add(&lineage.Work{ID: "hidden:" + DigestOf(SHA256, []byte(n)).String(), Hidden: true}), nil, nil
	}
	found, err := r.baseVersion(ctx, g, sha256)
	if err != nil {
		return "", nil, err
	}
	if found == nil {
		return add(named), nil, nil
	}
	w := workOf(found)
	if a.Graph.Works[w.ID] != nil {
		return w.ID, nil, nil
	}
	a.Versions[w.ID] = found
	return add(w), found, nil
}

// maxBaseVersions is how many versions of a base are compared with a root digest.
const maxBaseVersions = 50

// baseVersion finds the version of a base, nil when it is not here.
func (r *Registry) baseVersion(ctx context.Context, g auth.Grant, sha256 string) (*Version, error) {
	ref, limit := Reference{Tag: latest}, 1
	if sha256 != "" {
		d, err := ParseDigest(string(SHA256) + ":" + sha256)
		if err != nil {
			return nil, nil //nolint:nilerr // what is no digest names no version
		}
		ref, limit = Reference{Digest: d}, maxBaseVersions
	}
	v, err := r.Version(ctx, g, ref)
	if err == nil {
		return &v, nil
	}
	if !IsCode(err, CodeManifestUnknown) {
		return nil, err
	}
	list, err := r.store.Versions(ctx, Name(g.Repository()), limit)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if sha256 == "" || list[i].Root() == sha256 {
			return &list[i], nil
		}
	}
	return nil, nil
}

func workID(v *Version) string { return string(v.Name) + "@" + v.Digest.String() }

// workOf is a version as the rules of lineage see it.
func workOf(v *Version) *lineage.Work {
	w := &lineage.Work{ID: workID(v), Name: string(v.Name)}
	f := v.Facts
	if f == nil {
		w.Unknown = true
		return w
	}
	w.Declared = f.Card.LicenseID
	if f.Card.LicenseName != "" {
		w.Declared = f.Card.LicenseName
	}
	w.Expression = DeclaredExpression(f)
	w.Text = TextOf(f)
	w.Notice, w.Card = f.License.Notice, f.Card.Body
	w.Changes = changed().MatchString(f.License.Notice) || changed().MatchString(f.Card.Body)
	w.Multimodal = multimodal(f)
	if f.Card.Gated {
		w.Access = lineage.AccessClick
	}
	return w
}

// changed finds a statement of what was done to the base.
var changed = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)\b(modified|changed|changes|fine-?tun(ed|ing)|adapted|merged|quanti[sz]ed|derived|pruned|distilled)\b`)
})

// multimodal reports whether a model takes or makes more than text, as far as its card says.
func multimodal(f *Facts) bool {
	p := f.Card.Pipeline
	return strings.Contains(p, "image") || strings.Contains(p, "video") || strings.Contains(p, "audio") || strings.Contains(p, "any-to-any") || strings.Contains(p, "visual")
}

// DeclaredExpression is the licence that a card declares: by the id of the
// catalogue, or as an SPDX expression. It is zero when it is neither.
func DeclaredExpression(f *Facts) licenses.Expression {
	if f.License.Declared != "" {
		return licenses.Licence(f.License.Declared)
	}
	id := f.Card.LicenseID
	if f.Card.LicenseName != "" && (id == "" || strings.EqualFold(id, "other")) {
		id = f.Card.LicenseName
	}
	e, err := licenses.ParseExpression(id)
	if err != nil {
		return licenses.Expression{}
	}
	return e
}

// TextOf tells which licence the text in a version is.
func TextOf(f *Facts) lineage.Text {
	if f.License.Text == "" {
		return lineage.Text{There: f.License.File != ""}
	}
	t := lineage.Text{There: true}
	if r, err := text.Known().Identify(f.License.Text); err == nil {
		t.Refs, t.Contains = r.Refs, r.Contains
	}
	return t
}

// relationOf is a declared relation in the words of the rules. One that is
// not declared is taken for a fine-tune, which most terms are strictest about.
func relationOf(s string) lineage.Relation {
	switch r := lineage.Relation(s); r {
	case lineage.Adapter, lineage.Quantized, lineage.Merge:
		return r
	}
	return lineage.FineTune
}

func originOf(from string) lineage.Origin {
	if from == "card" {
		return lineage.FromCard
	}
	return lineage.FromConfig
}
