package inference

import (
	"fmt"
	"math"
	"slices"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/kernel"
)

// Alteration is another reading of a model's weights than the one that its files declare. Zero values keep what is declared.
type Alteration struct {
	// RopeBase is that of the rotary embedding; scaling that was applied on top of the declared base stays.
	RopeBase float64
	// Heads is how many query heads share the width of the declared ones. As many fewer or more heads of keys and values go with
	// them, so that a head's size stays the same for both.
	Heads int
	// Epsilon is that of the norms.
	Epsilon float32
	// Layers are the layers that run, in their order; one may be left out.
	Layers []int
}

// Altered returns a model that reads the weights of m in another way, and shares them: it takes next to no memory or time. It is for
// asking whether what the files declare is right: training makes a model best at the reading that it was trained with, so that another one that
// predicts text better tells of a wrong declaration, or of layers in the wrong order. Closing it does nothing; after m is closed
// its sessions return ErrClosed.
//
// It returns an *UnsupportedError where the alteration makes no sense for the model: a base where nothing is rotated, heads that do
// not divide the width, or whose number went into how the weights were read, and layers that do not exist.
func (m *Model) Altered(a Alteration) (*Model, error) {
	d, w := *m.desc, *m.weights
	if err := d.alterHeads(a.Heads, &w); err != nil {
		return nil, err
	}
	if a.RopeBase != 0 {
		if !(a.RopeBase > 1) || d.Rope.base <= 1 || len(d.Rope.Frequencies) == 0 {
			return nil, fault.NewUnsupported("alteration", "a base of %g where it is %g", a.RopeBase, d.Rope.base)
		}
		d.Rope = d.Rope.rebased(a.RopeBase)
	}
	if a.Epsilon != 0 {
		d.NormEpsilon = a.Epsilon
	}
	if a.Layers != nil {
		if err := d.alterLayers(a.Layers, &w); err != nil {
			return nil, err
		}
	}
	return &Model{
		facts: m.facts, desc: &d, weights: &w, tok: m.tok, tokErr: m.tokErr, eos: m.eos, chatTemplate: m.chatTemplate, of: m.original(),
	}, nil
}

// original is the model whose files are open.
func (m *Model) original() *Model {
	if m.of != nil {
		return m.of
	}
	return m
}

// RopeBase returns the base of the rotary embedding; 0 when there is none.
func (d *Description) RopeBase() float64 {
	if len(d.Rope.Frequencies) == 0 {
		return 0
	}
	return d.Rope.base
}

// rebased returns the embedding with another base and the scaling that it has.
func (r RopeDescription) rebased(base float64) RopeDescription {
	dim := 2 * len(r.Frequencies)
	was, is := kernel.RopeFrequencies(r.base, dim), kernel.RopeFrequencies(base, dim)
	scaled := func(f []float64) []float64 {
		f = slices.Clone(f)
		for i := range f {
			f[i] *= is[i] / was[i]
		}
		return f
	}
	r.Frequencies, r.Long, r.base = scaled(r.Frequencies), scaled(r.Long), base
	return r
}

// alterHeads divides the width of queries, keys and values among another number of heads.
func (d *Description) alterHeads(heads int, w *weights) error {
	if heads == 0 || heads == d.Heads {
		return nil
	}
	refused := func(why string) error {
		return fault.NewUnsupported("alteration", "%d heads in place of %d: %s", heads, d.Heads, why)
	}
	width, kv := d.Heads*d.HeadDim, d.KVHeads*d.HeadDim
	if heads < 0 || width%max(heads, 1) != 0 || kv%max(width/max(heads, 1), 1) != 0 {
		return refused("they do not divide the width")
	}
	size := width / heads
	if d.Latent != nil || w.relative != nil || d.ValueDim != d.HeadDim || d.LocalRope != nil {
		return refused("heads are not alike")
	}
	for i := range w.layers {
		l := &w.layers[i]
		if l.dealt || l.sinks != nil || l.queryNorm.weight != nil && d.family.qkNorm != wholeQKNorm {
			return refused("the number of heads is part of the weights")
		}
	}
	if n := len(d.Rope.Frequencies); n > 0 {
		rotated := 2 * n * size / d.HeadDim
		if rotated%2 != 0 || rotated == 0 {
			return refused("what is rotated does not fit")
		}
		plain := kernel.RopeFrequencies(d.Rope.base, 2*n)
		for i, f := range d.Rope.Frequencies {
			if math.Abs(f-plain[i]) > 1e-9*plain[i] {
				return refused("the rotary embedding is scaled")
			}
		}
		r := newRope(d.Rope.Adjacent, d.Rope.base, rotated)
		r.Scale = d.Rope.Scale
		d.Rope = r
	}
	if usual := 1 / math.Sqrt(float64(d.HeadDim)); d.AttentionScale == float32(usual) {
		d.AttentionScale = float32(1 / math.Sqrt(float64(size)))
	}
	d.Heads, d.KVHeads, d.HeadDim, d.ValueDim = heads, kv/size, size, size
	if d.Heads%d.KVHeads != 0 {
		return refused("they cannot share the keys and values")
	}
	return nil
}

// alterLayers puts layers in another order. What the description says of a place stays with the place, unless layers are left out.
func (d *Description) alterLayers(order []int, w *weights) error {
	layers := make([]layer, len(order))
	for i, l := range order {
		if l < 0 || l >= len(w.layers) {
			return fault.NewUnsupported("alteration", "layer %d of %d", l, len(w.layers))
		}
		layers[i] = w.layers[l]
	}
	if len(order) == 0 {
		return fault.NewUnsupported("alteration", "a model without layers")
	}
	if len(order) != d.Layers {
		d.Windowed, d.Unrotated = picked(d.Windowed, order), picked(d.Unrotated, order)
	}
	w.layers, d.Layers = layers, len(layers)
	return nil
}

// picked returns what a list says of the layers in order; one that is too short says nothing of those that it lacks.
func picked(list []bool, order []int) []bool {
	var out []bool
	for _, l := range order {
		if l >= len(list) {
			break
		}
		out = append(out, list[l])
	}
	return out
}

// String says what is altered.
func (a Alteration) String() string {
	switch {
	case a.RopeBase != 0:
		return fmt.Sprintf("a rope base of %g", a.RopeBase)
	case a.Heads != 0:
		return fmt.Sprintf("%d heads", a.Heads)
	case a.Epsilon != 0:
		return fmt.Sprintf("a norm epsilon of %g", a.Epsilon)
	case a.Layers != nil:
		return fmt.Sprintf("the layers %v", a.Layers)
	}
	return "what is declared"
}
