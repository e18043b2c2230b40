package lineage

import "github.com/carat-hub/carat/licenses"

// Relation says how a work was made from another one.
type Relation string

// The relations. All but Outputs and Dataset carry weights on.
const (
	FineTune  Relation = "finetune"
	Adapter   Relation = "adapter"
	Quantized Relation = "quantized"
	Merge     Relation = "merge"
	Convert   Relation = "convert" // another file format
	Copy      Relation = "copy"
	Distill   Relation = "distill" // trained to say what the other one says
	Outputs   Relation = "outputs" // trained on, or a dataset made of, what the other one said
	Dataset   Relation = "dataset" // trained on it
)

// sameBytes reports whether the weights are the base's, stored in another way.
func (r Relation) sameBytes() bool { return r == Quantized || r == Convert || r == Copy }

// derives reports whether the work contains or changes the other one's weights.
func (r Relation) derives() bool {
	switch r {
	case FineTune, Adapter, Quantized, Merge, Convert, Copy:
		return true
	}
	return false
}

// Origin says who says so.
type Origin string

// The origins, from what counts most to what counts least.
const (
	FromAttestation Origin = "attestation"
	FromCard        Origin = "card"
	FromConfig      Origin = "config" // config.json, adapter_config.json or keys of GGUF
)

// Edge leads to what a work was made from.
type Edge struct {
	To       string   `json:"to"` // Work.ID
	Relation Relation `json:"relation"`
	Origin   Origin   `json:"origin"`
}

// Access says how one gets a work from who publishes it.
type Access string

// The kinds of access.
const (
	AccessOpen   Access = ""
	AccessClick  Access = "click-through"
	AccessManual Access = "manual"
)

// Modality says whether a model takes and makes text alone. Some licences
// grant less of those that do more.
type Modality string

// The modalities.
const (
	ModalityUnknown Modality = ""
	ModalityText    Modality = "text"
	Multimodal      Modality = "multimodal"
)

// Text is what is known of a work's licence text, see package text.
type Text struct {
	Refs     []string `json:"refs,omitempty"`     // licences that the text is
	Contains []string `json:"contains,omitempty"` // licences whose texts stand in it
	There    bool     `json:"there"`              // there is a text
	// Confirmed says that an administrator's word is needed for what Refs say.
	Confirmed bool `json:"confirmed,omitempty"`
}

// Work is a version of a model, or a dataset.
type Work struct {
	ID      string `json:"id"`
	Name    string `json:"name"` // "org/name"
	Dataset bool   `json:"dataset,omitempty"`
	// Hidden works are private to who reads the result. Nothing of them but
	// that they exist may show in it.
	Hidden bool `json:"hidden,omitempty"`
	// Unknown works are only named; nothing is known of them here.
	Unknown bool `json:"unknown,omitempty"`
	// ByName works are not here; their licence is the one that is known of the name.
	ByName bool `json:"byName,omitempty"`

	Declared   string              `json:"declared,omitempty"` // licence as the publisher wrote it
	Expression licenses.Expression `json:"expression,omitzero"`
	Text       Text                `json:"text"`

	Notice   string   `json:"-"`                 // what stands in its notices
	Card     string   `json:"-"`                 // its card, where displayed names are looked for
	Changes  bool     `json:"changes,omitempty"` // it says what was changed
	Access   Access   `json:"access,omitempty"`
	Modality Modality `json:"modality,omitempty"`

	Edges []Edge `json:"edges,omitempty"`
}

// Graph is a work with all that it was made from.
type Graph struct {
	Root  string           `json:"root"`
	Works map[string]*Work `json:"works"`
}

// Limits of a graph. What is beyond them is not looked at, and the result says so.
const (
	MaxWorks = 2000
	maxDepth = 64
)

// Modality is the root's, or where that is not known the one of the nearest
// work whose weights it carries on and of which it is.
func (g *Graph) Modality() Modality {
	root := g.Works[g.Root]
	if root == nil {
		return ModalityUnknown
	}
	if root.Modality != ModalityUnknown {
		return root.Modality
	}
	for _, a := range g.walk().ancestors {
		if a.Carries && a.Work.Modality != ModalityUnknown {
			return a.Work.Modality
		}
	}
	return ModalityUnknown
}

// Ancestor is a work that the root was made from, with the way to it.
type Ancestor struct {
	Work *Work
	// Path are the edges from the root to it, the shortest way; Works are what
	// they lead to.
	Path  []Edge
	Works []*Work
	// Carries says that the root contains or changes its weights, Trained that
	// the root learned from its outputs.
	Carries, Trained bool
}

// last is how the way to the ancestor ends.
func (a *Ancestor) first() Relation { return a.Path[0].Relation }

// walk finds all ancestors, the nearest first, in the order of edges.
type walk struct {
	ancestors []*Ancestor
	cyclic    bool
	tooLarge  bool
}

func (g *Graph) walk() walk {
	var w walk
	root := g.Works[g.Root]
	if root == nil {
		return w
	}
	seen := map[string]*Ancestor{}
	queue := []*Ancestor{{Work: root, Carries: true}}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, e := range at.Work.Edges {
			to := g.Works[e.To]
			if to == nil {
				to = &Work{ID: e.To, Unknown: true}
			}
			next := &Ancestor{
				Work: to, Path: append(at.Path[:len(at.Path):len(at.Path)], e), Works: append(at.Works[:len(at.Works):len(at.Works)], to),
				Carries: at.Carries && e.Relation.derives(),
				Trained: at.Trained && e.Relation != Dataset || e.Relation == Outputs || e.Relation == Distill,
			}
			if to == root || contains(at.Works, to) {
				w.cyclic = true
				continue
			}
			if before := seen[e.To]; before != nil {
				// Another way to it may carry more on.
				if (!next.Carries || before.Carries) && (!next.Trained || before.Trained) {
					continue
				}
				next.Carries, next.Trained = next.Carries || before.Carries, next.Trained || before.Trained
				*before = Ancestor{Work: to, Path: before.Path, Works: before.Works, Carries: next.Carries, Trained: next.Trained}
			} else {
				if len(w.ancestors) >= MaxWorks || len(next.Path) > maxDepth {
					w.tooLarge = true
					continue
				}
				seen[e.To] = next
				w.ancestors = append(w.ancestors, next)
			}
			if !to.Hidden && !to.Unknown {
				queue = append(queue, next)
			}
			if len(queue) > 4*MaxWorks {
				w.tooLarge = true
				return w
			}
		}
	}
	return w
}

func contains(list []*Work, w *Work) bool {
	for _, x := range list {
		if x == w {
			return true
		}
	}
	return false
}
