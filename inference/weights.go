package inference

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/kernel"
	"github.com/carat-hub/carat/inference/tensor"
)

// linear is a matrix with an optional bias.
type linear struct {
	*kernel.Matrix
	bias     []float32
	adapters []lowRank
}

// norm is the weight and bias of a norm; without a weight there is none.
type norm struct{ weight, bias []float32 }

// gated is a feed-forward layer.
type gated struct {
	gate, up, down linear
	// divisor divides what goes into down, element by element, when it is not nil.
	divisor []float32
}

// experts is a feed-forward layer whose tokens go to some experts each.
type experts struct {
	router linear
	// selection is added to the scores to choose experts, not to weigh them.
	selection []float32
	each      []gated
	shared    *gated
	// sharedRouter, when not nil, weighs what shared adds.
	sharedRouter *kernel.Matrix
}

// latent is what makes queries, keys and values of multi-head latent attention.
type latent struct {
	queryDown, queryUp linear
	queryNorm, norm    norm
	down               linear
	key, value         []linear // of each head
}

type layer struct {
	attentionNorm, postAttention, feedForwardNorm, postFeedForward norm
	// afterAttention and afterFeedForward apply to the residual stream.
	afterAttention, afterFeedForward norm
	// queryNorm and keyNorm apply to parts as long as their weights, or to heads with weights of their own.
	queryNorm, keyNorm norm
	q, k, v, o         linear
	dealt              bool // q, k and v were dealt out of one matrix head by head
	latent             *latent
	sinks              []float32
	parallel           bool
	feed               gated
	experts            *experts // in place of feed
}

type weights struct {
	embedding     *kernel.Matrix
	positions     *kernel.Matrix // nil without learned positions
	types         *kernel.Matrix // of the first and second text of a pair; nil without
	relative      []float32      // {heads, distances}: what attention gains by distance; nil without
	embeddingNorm norm
	// embeddingAdapters have a row of down for each token.
	embeddingAdapters []lowRank
	layers            []layer
	norm              norm
	output            linear    // nothing where no next token is predicted
	outputScale       []float32 // of each row of output; nil without
	// At most one head stands on top of the final states.
	classifier, tagger, masked *head
	dense                      []dense // behind the pooling, one after the other
	// decoded is how many bytes of the weights are copies in memory, made or, by a dry bind, to be made.
	decoded int64
}

// binder finds tensors by name, checks their shapes and remembers which were used.
type binder struct {
	c      *container
	d      *Description
	names  *tensorNames
	byName map[string]*storedTensor
	used   map[string]bool
	// decoded counts the bytes of weights that are kept in memory.
	decoded int64
	bindOptions
}

type bindOptions struct {
	// dry checks names, shapes and types and reads no data.
	dry bool
	// progress, when not nil, is called as OpenOptions says.
	progress func(done, layers int)
	// adapters are added to the matrices; a dry bind has none.
	adapters []*adapter
}

// bind connects the description's graph to the tensors of c; a dry one only checks that it could. A tensor that is missing or
// has another shape gives a *fault.Malformed; a type without a kernel, or a tensor that the graph does not know, a
// *fault.Unsupported. It returns ctx's error soon after ctx ends.
func bind(ctx context.Context, c *container, d *Description, o bindOptions) (*weights, error) {
	if o.progress == nil {
		o.progress = func(int, int) {}
	}
	b, tensors, err := newBinder(c, d, o)
	if err != nil {
		return nil, err
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
	w.decoded = b.decoded
	return w, b.unadapted()
}

// newBinder prepares binding the tensors of c, which it also lists as the graph wants them.
func newBinder(c *container, d *Description, o bindOptions) (*binder, []storedTensor, error) {
	b := &binder{
		c: c, d: d, names: d.family.folder, byName: make(map[string]*storedTensor, len(c.tensors)), used: map[string]bool{},
		bindOptions: o,
	}
	if c.gguf != nil {
		b.names = d.family.gguf
	}
	tensors, err := c.unpacked(o.dry)
	if err != nil {
		return nil, nil, err
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
	return b, tensors, nil
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

func (b *binder) malformed(name, format string, args ...any) error {
	f := "safetensors"
	if b.c.gguf != nil {
		f = "gguf"
	}
	return &fault.Malformed{Format: f, Where: name, Offset: -1, Reason: fmt.Sprintf(format, args...)}
}

// stored returns the tensor of that name, which may lack the prefix of the architecture's names; nil when there is none.
func (b *binder) stored(name string) *storedTensor {
	if t := b.byName[name]; t != nil || b.names.prefix == "" {
		return t
	}
	return b.byName[strings.TrimPrefix(name, b.names.prefix)]
}

func (b *binder) has(name string) bool { return b.stored(name) != nil }

// find returns the tensor of that name and shape; a length of -1 leaves a dimension open.
func (b *binder) find(name string, shape ...int) (*storedTensor, error) {
	t := b.stored(name)
	if t == nil {
		return nil, b.malformed(name, "tensor is missing")
	}
	b.used[t.name] = true
	if t.packed != nil && t.shape == nil {
		t.shape = shape
	}
	if !slices.EqualFunc(t.shape, shape, func(has, want int) bool { return has == want || want < 0 }) {
		return nil, b.malformed(name, "shape is %v, the configuration wants %v", t.shape, shape)
	}
	return t, nil
}

// findFlat returns the tensor of that name whose last dimension is cols and whose others make up rows.
func (b *binder) findFlat(name string, rows, cols int) (*storedTensor, error) {
	t := b.stored(name)
	if t == nil {
		return nil, b.malformed(name, "tensor is missing")
	}
	b.used[t.name] = true
	if t.packed != nil && t.shape == nil {
		t.shape = []int{rows, cols}
	}
	n, ok := tensor.Elements(t.shape)
	if !ok || len(t.shape) == 0 || t.shape[len(t.shape)-1] != cols || n != int64(rows)*int64(cols) {
		return nil, b.malformed(name, "shape is %v, the configuration wants %d rows of %d", t.shape, rows, cols)
	}
	return t, nil
}

// linear binds name.weight of rows x cols, and name.bias if there is one.
func (b *binder) linear(name string, rows, cols int) (linear, error) {
	t, err := b.find(name+".weight", rows, cols)
	if err != nil {
		return linear{}, err
	}
	ls, err := b.cut(name, t, []int{t.shape[0]}, cols)
	if err != nil {
		return linear{}, err
	}
	return ls[0], nil
}

// cut makes one linear of each run of rows of t, which is name.weight, with the same runs of name.bias.
func (b *binder) cut(name string, t *storedTensor, runs []int, cols int) ([]linear, error) {
	total := 0
	for _, n := range runs {
		total += n
	}
	if b.dry && t.typ.Runnable() {
		for _, suffix := range []string{".bias", "_bias", ".scale", ".input_scale"} {
			if s := b.stored(name + suffix); s != nil {
				b.used[s.name] = true
				n, _ := tensor.Elements(s.shape)
				b.decoded += 4 * n
			}
		}
	}
	out := make([]linear, len(runs))
	first := 0
	for i, n := range runs {
		var err error
		if out[i].Matrix, err = b.matrix(t, first, n, cols); err != nil {
			return nil, err
		}
		first += n
	}
	if b.dry {
		return out, nil
	}
	bias, err := b.bias(name, total)
	if err != nil {
		return nil, err
	}
	for i := range out {
		if bias != nil {
			out[i].bias, bias = bias[:runs[i]:runs[i]], bias[runs[i]:]
		}
	}
	if err := b.scale(name, out); err != nil {
		return nil, err
	}
	return out, b.adapt(name, out, cols)
}

// bias reads name.bias, or name_bias of experts, into memory; nil when there is none.
func (b *binder) bias(name string, n int) ([]float32, error) {
	switch {
	case b.has(name + ".bias"):
		return b.flat(name+".bias", n)
	case b.has(name + "_bias"):
		return b.flat(name+"_bias", n)
	}
	return nil, nil
}

// matrix describes n rows of t from the first-th on.
func (b *binder) matrix(t *storedTensor, first, n, cols int) (*kernel.Matrix, error) {
	if _, whole := t.typ.Size(int64(cols)); b.dry && t.typ.Runnable() && whole {
		return &kernel.Matrix{Type: t.typ, Rows: n, Cols: cols}, nil
	}
	return b.c.matrix(t, first, n, cols)
}

// matrix describes n rows of t from the first-th on.
func (c *container) matrix(t *storedTensor, first, n, cols int) (*kernel.Matrix, error) {
	row, ok := t.typ.Size(int64(cols))
	f, err := c.reader(t)
	if err != nil {
		return nil, err
	}
	off, size := t.offset+int64(first)*row, int64(n)*row
	if !ok || off+size > t.offset+t.size {
		// The kernel refuses what has no rows of whole blocks, and says why.
		off, size = t.offset, t.size
	}
	var m *kernel.Matrix
	if mapped, isMapped := f.(Mapped); isMapped {
		m, err = kernel.NewMatrix(t.typ, n, cols, mapped.Bytes()[off:off+size])
	} else {
		m, err = kernel.NewFileMatrix(t.typ, n, cols, f, off, size)
	}
	if err != nil {
		return nil, fmt.Errorf("tensor %s: %w", t.name, err)
	}
	return m, nil
}

// scale binds name.scale, one factor for all of ls or one for each. name.input_scale is for engines that quantize activations to
// 4 bits.
func (b *binder) scale(name string, ls []linear) error {
	t := b.stored(name + ".scale")
	if t == nil {
		return nil
	}
	n := 1
	if elements, _ := tensor.Elements(t.shape); elements == int64(len(ls)) {
		n = len(ls)
	}
	v, err := b.flat(name+".scale", n)
	if err != nil {
		return err
	}
	b.used[name+".input_scale"] = true
	fam := b.d.family
	expert := strings.HasSuffix(name, "_exps")
	feedForward := strings.Contains(name, ".ffn_") && !expert
	if feedForward && !fam.feedForwardScales || expert && !fam.expertScales {
		return nil
	}
	for i := range ls {
		ls[i].Scale = v[min(i, n-1)]
		if feedForward {
			// The feed-forward layer adds its biases before it scales.
			for j := range ls[i].bias {
				ls[i].bias[j] *= ls[i].Scale
			}
		}
	}
	return nil
}

// norm binds name.weight and, if there is one, name.bias.
func (b *binder) norm(name string, n int) (v norm, err error) {
	switch {
	case name == "":
		return norm{}, nil
	case b.d.family.unweighted:
		b.decoded += 4 * int64(n)
		return norm{weight: slices.Repeat([]float32{1}, n)}, nil
	}
	if v.weight, err = b.flat(name+".weight", n); err != nil {
		return norm{}, err
	}
	if b.d.family.onePlus && b.c.gguf == nil {
		for i := range v.weight {
			v.weight[i]++
		}
	}
	if b.has(name + ".bias") {
		v.bias, err = b.flat(name+".bias", n)
	}
	return v, err
}

// flat reads a tensor of n elements, whatever its dimensions, into memory.
func (b *binder) flat(name string, n int) ([]float32, error) {
	t := b.stored(name)
	if t == nil {
		return nil, b.malformed(name, "tensor is missing")
	}
	b.used[t.name] = true
	if elements, ok := tensor.Elements(t.shape); !ok || elements != int64(n) {
		return nil, b.malformed(name, "shape is %v, the configuration wants %v", t.shape, []int{n})
	}
	b.decoded += 4 * int64(n)
	if b.dry {
		return nil, nil
	}
	return b.decode(t, n)
}

// decode reads the n elements of a tensor into memory.
func (b *binder) decode(t *storedTensor, n int) ([]float32, error) {
	raw, err := b.c.read(t)
	if err != nil {
		return nil, err
	}
	v := make([]float32, n)
	if err := tensor.Decode(t.typ, v, raw); err != nil {
		return nil, fmt.Errorf("tensor %s: %w", t.name, err)
	}
	return v, nil
}
