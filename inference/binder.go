package inference

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/kernel"
)

// binder finds tensors by name, checks their shapes and remembers which were used.
type binder struct {
	c      *container
	d      *Description
	names  *tensorNames
	byName map[string]*storedTensor
	used   map[string]bool
	// decoded counts the bytes of weights that are kept in memory.
	decoded int64
	// adapterRank and adapterRows are the most that adapters have had so far.
	adapterRank, adapterRows int
	bindOptions
}

type bindOptions struct {
	// dry checks names, shapes and types and reads no data.
	dry bool
	// progress, when not nil, is called as OpenOptions says.
	progress func(done, layers int)
	// adapters are added to the matrices.
	adapters []*adapter
}

// bind connects the description's graph to the tensors of c; a dry one only checks that it could. A tensor that is missing or
// has another shape gives a *fault.Malformed; a type without a kernel, or a tensor that the graph does not know, a
// *fault.Unsupported. It returns ctx's error soon after ctx ends.
func bind(ctx context.Context, c *container, d *Description, o bindOptions) (*weights, error) {
	if o.progress == nil {
		o.progress = func(int, int) {}
	}
	b := &binder{
		c: c, d: d, names: d.family.folder, byName: make(map[string]*storedTensor, len(c.tensors)), used: map[string]bool{},
		bindOptions: o,
	}
	if c.gguf != nil {
		b.names = d.family.gguf
	}
	tensors, err := c.unpacked(o.dry)
	if err != nil {
		return nil, err
	}
	for i := range tensors {
		name := tensors[i].name
		b.byName[name] = &tensors[i]
		if d.family.encoder && c.gguf == nil {
			// The norms of old files are named as in their paper.
			if base, ok := strings.CutSuffix(name, ".gamma"); ok {
				b.byName[base+".weight"] = &tensors[i]
			} else if base, ok := strings.CutSuffix(name, ".beta"); ok {
				b.byName[base+".bias"] = &tensors[i]
			}
		}
	}
	w, err := b.ends()
	if err != nil {
		return nil, err
	}
	if err := b.rope(); err != nil {
		return nil, err
	}
	if err := b.heads(w); err != nil {
		return nil, err
	}
	b.progress(0, d.Layers)
	for i := range d.Layers {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		l, err := b.layer(i)
		if err != nil {
			return nil, err
		}
		w.layers = append(w.layers, l)
		b.progress(i+1, d.Layers)
	}
	for _, t := range tensors {
		if !b.used[t.name] && !b.needless(t.name) {
			return nil, fault.NewUnsupported("architecture", "tensor %.120q is no part of a %s model", t.name, d.Architecture)
		}
	}
	w.decoded, w.adapterRank, w.adapterRows = b.decoded, b.adapterRank, b.adapterRows
	return w, b.unadapted()
}

// ends binds what lies before and after the layers.
func (b *binder) ends() (w *weights, err error) {
	d, names := b.d, b.names
	w = &weights{}
	embedding, err := b.linear(names.embedding, -1, d.Hidden)
	if err != nil {
		return nil, err
	}
	w.embedding = embedding.Matrix
	if err := b.adaptEmbedding(w); err != nil {
		return nil, err
	}
	if names.positions != "" && (b.has(names.positions+".weight") || d.family.encoder && d.family.unrotated) {
		positions, err := b.linear(names.positions, -1, d.Hidden)
		if err != nil {
			return nil, err
		}
		w.positions = positions.Matrix
		if w.positions.Rows <= d.PositionOffset {
			return nil, b.malformed(names.positions+".weight", "%d rows end before the first position %d", w.positions.Rows, d.PositionOffset)
		}
		d.Context = min(d.Context, w.positions.Rows-d.PositionOffset)
	}
	if names.types != "" && b.has(names.types+".weight") {
		types, err := b.linear(names.types, -1, d.Hidden)
		if err != nil {
			return nil, err
		}
		w.types = types.Matrix
	}
	if names.relativeBias != "" {
		if w.relative, err = b.relativeBias(names.relativeBias + ".weight"); err != nil {
			return nil, err
		}
	}
	if names.embeddingNorm != "" && (b.has(names.embeddingNorm+".weight") || d.family.encoder) {
		if w.embeddingNorm, err = b.norm(names.embeddingNorm, d.Hidden); err != nil {
			return nil, err
		}
	}
	if w.norm, err = b.norm(names.norm, d.Hidden); err != nil {
		return nil, err
	}
	if d.family.encoder || b.c.gguf == nil && b.has(names.classifier.out+".weight") {
		return w, nil
	}
	w.output = linear{Matrix: w.embedding}
	switch {
	case d.TiedEmbeddings:
		b.used[names.output+".weight"] = true
	case b.has(names.output + ".weight"):
		if w.output, err = b.linear(names.output, w.embedding.Rows, d.Hidden); err != nil {
			return nil, err
		}
	default:
		d.TiedEmbeddings = true
	}
	if d.NormalisedOutput {
		if b.decoded += 4 * int64(w.output.Rows); !b.dry {
			w.outputScale, err = inverseNorms(w.output.Matrix)
		}
	}
	return w, err
}

// inverseNorms returns for each row of m what makes it a unit vector.
func inverseNorms(m *kernel.Matrix) ([]float32, error) {
	scale, row := make([]float32, m.Rows), make([]float32, m.Cols)
	for i := range scale {
		if err := m.Row(i, row); err != nil {
			return nil, err
		}
		sum := 0.0
		for _, v := range row {
			sum += float64(v) * float64(v)
		}
		scale[i] = float32(1 / max(math.Sqrt(sum), 1e-12))
	}
	return scale, nil
}

// needless says whether a tensor that the graph does not use changes nothing: constants, and numbers for other engines.
func (b *binder) needless(name string) bool {
	if b.d.unembeddable != nil && strings.Contains(name, "/") {
		return true // embeddings, which alone need it, are not made
	}
	if slices.ContainsFunc(b.names.ignored, func(s string) bool { return name == s || b.names.prefix != "" && b.names.prefix+name == s }) {
		return true
	}
	before, _, _ := strings.Cut(b.names.q, "%d")
	for l := b.d.Layers; l < b.d.Layers+b.d.Predicting; l++ {
		if strings.HasPrefix(name, fmt.Sprintf("%s%d.", before, l)) {
			return true
		}
	}
	for _, suffix := range []string{
		".rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias",
		"embeddings.position_ids", "embeddings.token_type_ids",
	} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}
