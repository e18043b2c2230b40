package registry

import (
	"context"
	"errors"
	"slices"
	"strings"
	"unicode"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/licenses/lineage"
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
	// Waivers are those of the root's findings that are signed by this hub.
	Waivers []lineage.Waiver
	// Affirmations are those of the root that are signed by this hub, the oldest first.
	Affirmations []Affirmation

	texts *texts // by which texts were identified
}

// NewAncestry is the lineage of a version as far as its bases are known by
// their names alone.
func NewAncestry(v *Version) *Ancestry {
	a := newAncestry(v, programTexts())
	_ = a.follow(v, nil, func(declared string) (string, error) { return a.add(named(declared, "")), nil }) // nothing is looked up that could fail
	return a
}

// newAncestry is the lineage of a version of which no base is known yet.
func newAncestry(v *Version, t *texts) *Ancestry {
	root := workOf(v, t)
	return &Ancestry{
		texts:    t,
		Graph:    &lineage.Graph{Root: root.ID, Works: map[string]*lineage.Work{root.ID: root}},
		Versions: map[string]*Version{root.ID: v},
	}
}

// Ancestry follows the bases of a version through the hub: those that signed
// provenance names first, then those that card and configuration declare. A base
// that p may not see is in it as a hidden work, of which nothing is told; one
// that is not here is known by its name, or not at all.
func (r *Registry) Ancestry(ctx context.Context, p auth.Principal, v *Version) (*Ancestry, error) {
	t, err := r.texts(ctx)
	if err != nil {
		return nil, err
	}
	a := newAncestry(v, t)
	queue := []*Version{v}
	looked := 0
	for ; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		known, bases, err := r.attestedEdges(ctx, p, a, at, &looked)
		if err != nil {
			return nil, err
		}
		queue = append(queue, bases...)
		err = a.follow(at, known, func(declared string) (string, error) {
			looked++
			id, base, err := r.base(ctx, p, a, declared, "", looked <= maxAncestors)
			if base != nil {
				queue = append(queue, base)
			}
			return id, err
		})
		if err != nil {
			return nil, err
		}
	}
	if a.Waivers, err = r.waivers(ctx, v); err != nil {
		return nil, err
	}
	a.Affirmations, err = r.affirmations(ctx, v)
	return a, err
}

// follow adds the declared edges of a version that is in the lineage, but for
// those that are known by better evidence; find adds a base by its declared name
// and returns the id of its work.
func (a *Ancestry) follow(v *Version, known map[string]bool, find func(declared string) (string, error)) error {
	if v.Facts == nil {
		return nil
	}
	w := a.Graph.Works[workID(v)]
	for _, b := range v.Facts.Bases {
		if known[BaseKey(b.Name)] {
			continue
		}
		id, err := find(b.Name)
		if err != nil {
			return err
		}
		w.Edges = append(w.Edges, lineage.Edge{To: id, Relation: relationOf(b.Relation), Origin: originOf(b.From)})
	}
	for _, d := range v.Facts.Card.Datasets {
		if !known[datasetID(d)] {
			w.Edges = append(w.Edges, lineage.Edge{To: a.dataset(d), Relation: lineage.Dataset, Origin: lineage.FromCard})
		}
	}
	return nil
}

// add puts a work into the lineage unless it is there, and returns its id.
func (a *Ancestry) add(w *lineage.Work) string {
	if a.Graph.Works[w.ID] == nil {
		a.Graph.Works[w.ID] = w
	}
	return w.ID
}

// named is a model that is not here, with what is known of its name. sha256 is
// the digest of the version that is meant, "" when nobody says which.
func named(declared, sha256 string) *lineage.Work {
	w := &lineage.Work{ID: "name:" + BaseKey(declared), Name: declared, Unknown: true}
	if sha256 != "" {
		w.ID += "@sha256:" + sha256
	}
	if declared == "" {
		w.Name = "sha256:" + sha256
	}
	if f, ok := licenses.OfModel(BaseKey(declared)); ok {
		w.Unknown, w.ByName = false, true
		w.Declared, w.Expression = f.ID, licenses.Licence(f.SPDX)
		w.Modality = modalityOfName(w.ID)
	}
	return w
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
	return a.add(&lineage.Work{ID: datasetID(name), Name: name, Dataset: true, Unknown: true})
}

// base finds a base and adds it: the version that sha256 names, which is that
// of its manifest or the root digest of its files, and without one the newest.
// It returns the version when its own bases are to be followed.
func (r *Registry) base(ctx context.Context, p auth.Principal, a *Ancestry, declared, sha256 string, look bool) (id string, v *Version, err error) {
	missing := named(declared, sha256)
	n, ok := BaseName(declared)
	if !ok || !look {
		return a.add(missing), nil, nil
	}
	visibility, exists, err := r.Visibility(ctx, n)
	if err != nil {
		return "", nil, err
	}
	if !exists {
		return a.add(missing), nil, nil
	}
	g, err := auth.Allow(p, auth.Pull, auth.Resource{Repository: string(n), Visibility: visibility})
	if err != nil {
		if !errors.Is(err, auth.ErrDenied) && !errors.Is(err, auth.ErrUnauthenticated) {
			return "", nil, err
		}
		return a.add(&lineage.Work{ID: "hidden:" + DigestOf(SHA256, []byte(n)).String(), Hidden: true}), nil, nil
	}
	found, err := r.baseVersion(ctx, g, sha256)
	if err != nil {
		return "", nil, err
	}
	if found == nil {
		return a.add(missing), nil, nil
	}
	w := workOf(found, a.texts)
	if a.Graph.Works[w.ID] != nil {
		return w.ID, nil, nil
	}
	a.Versions[w.ID] = found
	return a.add(w), found, nil
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
func workOf(v *Version, t *texts) *lineage.Work {
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
	w.Text = t.of(f)
	w.Notice, w.Card = f.License.Notice, f.Card.Body
	w.Changes = statesChanges(f.License.Notice) || statesChanges(f.Card.Body)
	w.Modality = modality(f)
	if f.Card.Gated {
		w.Access = lineage.AccessClick
	}
	return w
}

// changes are the words with which people state what they did to a base.
var changes = map[string]bool{
	"modified": true, "changed": true, "changes": true, "fine-tuned": true, "finetuned": true, "fine-tuning": true, "finetuning": true, "adapted": true,
	"merged": true, "quantized": true, "quantised": true, "derived": true, "pruned": true, "distilled": true,
}

// statesChanges finds a statement of what was done to the base.
func statesChanges(s string) bool {
	for w := range strings.FieldsFuncSeq(s, func(r rune) bool { return r != '-' && !unicode.IsLetter(r) }) {
		if len(w) <= len("fine-tuning") && changes[strings.ToLower(w)] {
			return true
		}
	}
	return false
}

// modality is what the card says the model is for.
func modality(f *Facts) lineage.Modality {
	switch p := f.Card.Pipeline; {
	case strings.Contains(p, "image"), strings.Contains(p, "video"), strings.Contains(p, "audio"), strings.Contains(p, "visual"), strings.Contains(p, "any-to-any"):
		return lineage.Multimodal
	case strings.HasPrefix(p, "text-"), p == "feature-extraction", p == "fill-mask", p == "sentence-similarity", p == "token-classification",
		p == "question-answering", p == "summarization", p == "translation", p == "zero-shot-classification":
		return lineage.ModalityText
	}
	return lineage.ModalityUnknown
}

// modalityOfName is what the name of a well-known model says. One that says
// nothing may be either.
func modalityOfName(name string) lineage.Modality {
	for _, word := range []string{"vision", "llama-4", "multimodal"} {
		if strings.Contains(name, word) {
			return lineage.Multimodal
		}
	}
	for _, word := range []string{"llama-3.2-1b", "llama-3.2-3b"} {
		if strings.Contains(name, word) {
			return lineage.ModalityText
		}
	}
	return lineage.ModalityUnknown
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
