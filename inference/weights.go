package inference

import (
	"fmt"
	"slices"
	"strings"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/kernel"
	"github.com/carat-hub/carat/inference/tensor"
)

// tensorNames says what the two file formats call the tensors of a decoder. Layer names have the layer's number in place of %d.
type tensorNames struct {
	embedding, norm, output                          string
	attentionNorm, q, k, v, o                        string
	feedForwardNorm, gate, up, down, ropeFrequencies string
}

var ggufNames = tensorNames{
	embedding: "token_embd", norm: "output_norm", output: "output",
	attentionNorm: "blk.%d.attn_norm", q: "blk.%d.attn_q", k: "blk.%d.attn_k", v: "blk.%d.attn_v", o: "blk.%d.attn_output",
	feedForwardNorm: "blk.%d.ffn_norm", gate: "blk.%d.ffn_gate", up: "blk.%d.ffn_up", down: "blk.%d.ffn_down",
	ropeFrequencies: "rope_freqs.weight",
}

var safetensorsNames = tensorNames{
	embedding: "model.embed_tokens", norm: "model.norm", output: "lm_head",
	attentionNorm: "model.layers.%d.input_layernorm",
	q:             "model.layers.%d.self_attn.q_proj", k: "model.layers.%d.self_attn.k_proj",
	v: "model.layers.%d.self_attn.v_proj", o: "model.layers.%d.self_attn.o_proj",
	feedForwardNorm: "model.layers.%d.post_attention_layernorm",
	gate:            "model.layers.%d.mlp.gate_proj", up: "model.layers.%d.mlp.up_proj", down: "model.layers.%d.mlp.down_proj",
}

// linear is a matrix with an optional bias.
type linear struct {
	*kernel.Matrix
	bias []float32
}

type layer struct {
	attentionNorm, feedForwardNorm []float32
	q, k, v, o, gate, up, down     linear
}

type weights struct {
	embedding *kernel.Matrix
	layers    []layer
	norm      []float32
	output    linear
}

// binder finds tensors by name, checks their shapes and remembers which were used.
type binder struct {
	c      *container
	d      *Description
	byName map[string]*storedTensor
	used   map[string]bool
	// dry checks names, shapes and types and reads no data.
	dry bool
}

// bind connects the description's graph to the tensors of c; with dry it only checks that it could. A tensor that is missing or has another shape gives a
// *fault.Malformed; a type without a kernel, or a tensor that the graph does not know, a *fault.Unsupported.
func bind(c *container, d *Description, dry bool) (*weights, error) {
	b := &binder{c: c, d: d, byName: make(map[string]*storedTensor, len(c.tensors)), used: map[string]bool{}, dry: dry}
	for i := range c.tensors {
		b.byName[c.tensors[i].name] = &c.tensors[i]
	}
	names := &safetensorsNames
	if c.gguf != nil {
		names = &ggufNames
	}
	w := &weights{}
	var err error
	embedding, err := b.linear(names.embedding, -1, d.Hidden)
	if err != nil {
		return nil, err
	}
	w.embedding = embedding.Matrix
	if w.norm, err = b.vector(names.norm+".weight", d.Hidden); err != nil {
		return nil, err
	}
	w.output = linear{Matrix: w.embedding}
	if d.TiedEmbeddings {
		b.used[names.output+".weight"] = true
	} else if b.byName[names.output+".weight"] != nil {
		if w.output, err = b.linear(names.output, w.embedding.Rows, d.Hidden); err != nil {
			return nil, err
		}
	} else {
		d.TiedEmbeddings = true
	}
	if err := b.ropeFactors(names.ropeFrequencies); err != nil {
		return nil, err
	}
	for i := range d.Layers {
		l, err := b.layer(names, i)
		if err != nil {
			return nil, err
		}
		w.layers = append(w.layers, l)
	}
	for _, t := range c.tensors {
		if !b.used[t.name] && !strings.HasSuffix(t.name, ".rotary_emb.inv_freq") {
			return nil, fault.NewUnsupported("architecture", "tensor %.120q is no part of a %s decoder", t.name, d.Architecture)
		}
	}
	return w, nil
}

func (b *binder) layer(names *tensorNames, i int) (l layer, err error) {
	d := b.d
	name := func(pattern string) string { return fmt.Sprintf(pattern, i) }
	for _, v := range []struct {
		to   *[]float32
		name string
	}{{&l.attentionNorm, names.attentionNorm}, {&l.feedForwardNorm, names.feedForwardNorm}} {
		if *v.to, err = b.vector(name(v.name)+".weight", d.Hidden); err != nil {
			return l, err
		}
	}
	for _, m := range []struct {
		to         *linear
		name       string
		rows, cols int
	}{
		{&l.q, names.q, d.Heads * d.HeadDim, d.Hidden},
		{&l.k, names.k, d.KVHeads * d.HeadDim, d.Hidden},
		{&l.v, names.v, d.KVHeads * d.HeadDim, d.Hidden},
		{&l.o, names.o, d.Hidden, d.Heads * d.HeadDim},
		{&l.gate, names.gate, d.FeedForward, d.Hidden},
		{&l.up, names.up, d.FeedForward, d.Hidden},
		{&l.down, names.down, d.Hidden, d.FeedForward},
	} {
		if *m.to, err = b.linear(name(m.name), m.rows, m.cols); err != nil {
			return l, err
		}
	}
	return l, nil
}

func (b *binder) malformed(name, format string, args ...any) error {
	f := "safetensors"
	if b.c.gguf != nil {
		f = "gguf"
	}
	return &fault.Malformed{Format: f, Where: name, Offset: -1, Reason: fmt.Sprintf(format, args...)}
}

// find returns the tensor of that name and shape; a length of -1 leaves a dimension open.
func (b *binder) find(name string, shape ...int) (*storedTensor, error) {
	t := b.byName[name]
	if t == nil {
		return nil, b.malformed(name, "tensor is missing")
	}
	b.used[name] = true
	if !slices.EqualFunc(t.shape, shape, func(has, want int) bool { return has == want || want < 0 }) {
		return nil, b.malformed(name, "shape is %v, the configuration wants %v", t.shape, shape)
	}
	return t, nil
}

// linear binds name.weight of rows x cols, and name.bias if there is one.
func (b *binder) linear(name string, rows, cols int) (linear, error) {
	t, err := b.find(name+".weight", rows, cols)
	if err != nil {
		return linear{}, err
	}
	if b.dry && t.typ.Runnable() {
		for _, suffix := range []string{".bias", ".scale", ".input_scale"} {
			b.used[name+suffix] = true
		}
		return linear{Matrix: &kernel.Matrix{Type: t.typ, Rows: t.shape[0], Cols: cols}}, nil
	}
	f, err := b.c.file(t.file)
	if err != nil {
		return linear{}, err
	}
	var l linear
	if m, ok := f.(Mapped); ok {
		l.Matrix, err = kernel.NewMatrix(t.typ, t.shape[0], cols, m.Bytes()[t.offset:t.offset+t.size])
	} else {
		l.Matrix, err = kernel.NewFileMatrix(t.typ, t.shape[0], cols, f, t.offset, t.size)
	}
	if err != nil {
		return linear{}, fmt.Errorf("tensor %s: %w", t.name, err)
	}
	if b.byName[name+".bias"] != nil {
		if l.bias, err = b.vector(name+".bias", t.shape[0]); err != nil {
			return linear{}, err
		}
	}
	return l, b.scale(name, &l)
}

// scale binds name.scale, one factor for the whole matrix. name.input_scale is for engines that quantize activations to 4 bits.
func (b *binder) scale(name string, l *linear) error {
	if b.byName[name+".scale"] == nil {
		return nil
	}
	v, err := b.vector(name+".scale", 1)
	if err != nil {
		return err
	}
	b.used[name+".input_scale"] = true
	feedForward := strings.Contains(name, ".ffn_")
	if feedForward && !families[b.d.Architecture].feedForwardScales {
		return nil
	}
	l.Scale = v[0]
	if feedForward {
		// The feed-forward layer adds its biases before it scales.
		for i := range l.bias {
			l.bias[i] *= l.Scale
		}
	}
	return nil
}

// vector reads a tensor of one dimension into memory.
func (b *binder) vector(name string, n int) ([]float32, error) {
	t, err := b.find(name, n)
	if err != nil {
		return nil, err
	}
	if b.dry {
		return nil, nil
	}
	f, err := b.c.file(t.file)
	if err != nil {
		return nil, err
	}
	raw := make([]byte, t.size)
	if got, err := f.ReadAt(raw, t.offset); got < len(raw) {
		return nil, fmt.Errorf("read tensor %s: %w", name, err)
	}
	v := make([]float32, n)
	if err := tensor.Decode(t.typ, v, raw); err != nil {
		return nil, fmt.Errorf("tensor %s: %w", name, err)
	}
	return v, nil
}

// ropeFactors divides the rotary frequencies by the tensor that GGUF files of Llama 3 carry for that. A factor that divides
// nothing is not looked for, as no weight's value is: the outputs then are no numbers.
func (b *binder) ropeFactors(name string) error {
	if name == "" || b.byName[name] == nil {
		return nil
	}
	factors, err := b.vector(name, len(b.d.RopeFrequencies))
	if err != nil {
		return err
	}
	for i, f := range factors {
		b.d.RopeFrequencies[i] /= float64(f)
	}
	return nil
}
