package inference

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/inference/tensor"
)

// convertible are the architectures of folders that convert writes, with what GGUF files call them. They are laid out as Llama is:
// one tensor for each name of tensorNames, and keys for all that differs.
var convertible = map[string]string{"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "granite": "granite"}

// convert sets the keys of a GGUF file for a folder, and lists its tensors.
func (c *container) convert(ctx context.Context, w *gguf.Writer, name string) ([]quantizable, error) {
	d, err := c.describe(ctx)
	if err != nil {
		return nil, err
	}
	// A dry bind knows all tensors and their shapes to be right.
	bound, err := bind(ctx, c, d, bindOptions{dry: true})
	if err != nil {
		return nil, err
	}
	arch, ok := convertible[d.Architecture]
	switch {
	case !ok:
		return nil, fault.NewUnsupported("conversion", "%s models cannot be written as GGUF from a folder", d.Architecture)
	case d.Experts != nil:
		return nil, fault.NewUnsupported("conversion", "experts of %s models cannot be written as GGUF from a folder", d.Architecture)
	case d.Window > 0 && d.Window < d.Context:
		return nil, fault.NewUnsupported("conversion", "GGUF files of %s models cannot say that there is a sliding window", arch)
	}
	w.Set("general.architecture", arch)
	w.Set("general.type", "model")
	if name != "" {
		w.Set("general.name", name)
	}
	c.setSizes(w, d, arch)
	tensors, err := c.setRope(w, d, arch)
	if err != nil {
		return nil, err
	}
	rows := bound.embedding.Rows
	w.Set(arch+".vocab_size", uint32(rows))
	if err := c.setTokenizer(ctx, w, rows); err != nil {
		return nil, err
	}
	return append(tensors, c.renamed(d)...), nil
}

func (c *container) setSizes(w *gguf.Writer, d *Description, arch string) {
	for _, k := range []struct {
		key   string
		value int
	}{
		{"context_length", d.Context},
		{"embedding_length", d.Hidden},
		{"block_count", d.Layers},
		{"feed_forward_length", d.FeedForward},
		{"attention.head_count", d.Heads},
		{"attention.head_count_kv", d.KVHeads},
		{"attention.key_length", d.HeadDim},
		{"attention.value_length", d.ValueDim},
	} {
		w.Set(arch+"."+k.key, uint32(k.value))
	}
	w.Set(arch+".attention.layer_norm_rms_epsilon", d.NormEpsilon)
	if d.family.scaled == graniteScales {
		w.Set(arch+".attention.scale", d.AttentionScale)
		w.Set(arch+".embedding_scale", d.EmbeddingScale)
		w.Set(arch+".residual_scale", d.ResidualScale)
		w.Set(arch+".logit_scale", 1/d.LogitScale)
	}
}

// setRope sets the keys of the rotary embedding. Frequencies that differ from the plain ones, as Llama 3 scales them, become the
// tensor of their factors.
func (c *container) setRope(w *gguf.Writer, d *Description, arch string) ([]quantizable, error) {
	r := &d.Rope
	dim := 2 * len(r.Frequencies)
	w.Set(arch+".rope.dimension_count", uint32(dim))
	w.Set(arch+".rope.freq_base", float32(r.base))
	if r.Long != nil || r.Dynamic != 0 || r.Scale != 1 || d.LocalRope != nil {
		return nil, fault.NewUnsupported("conversion", "a rotary embedding that changes with the length of the sequence")
	}
	plain := newRope(r.Adjacent, r.base, dim)
	factors, scaled := make([]float32, len(r.Frequencies)), false
	for i, f := range r.Frequencies {
		factors[i] = float32(plain.Frequencies[i] / f)
		scaled = scaled || math.Abs(float64(factors[i])-1) > 1e-6
	}
	if !scaled {
		return nil, nil
	}
	if arch != "llama" {
		return nil, fault.NewUnsupported("conversion", "GGUF files of %s models have no scaled rotary embedding of this kind", arch)
	}
	const name = "rope_freqs.weight"
	b := make([]byte, 4*len(factors))
	for i, f := range factors {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(f))
	}
	c.open[name] = memoryFile(b)
	return []quantizable{{name: name, layer: -1, source: storedTensor{
		name: name, typ: tensor.F32, shape: []int{len(factors)}, file: name, size: int64(len(b)),
	}}}, nil
}

// memoryFile is a file that only is in memory.
type memoryFile []byte

func (m memoryFile) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 || off > int64(len(m)) {
		return 0, io.EOF
	}
	n := copy(b, m[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (m memoryFile) Size() int64 { return int64(len(m)) }
func (memoryFile) Close() error  { return nil }

func (c *container) setTokenizer(ctx context.Context, w *gguf.Writer, rows int) error {
	x, err := c.readExtras(ctx)
	if err != nil {
		return err
	}
	tok, err := c.tokenizer(ctx, x)
	if errors.Is(err, fs.ErrNotExist) {
		return fault.NewUnsupported("conversion", "a folder without %s", tokenizerName)
	}
	if err != nil {
		return err
	}
	if err := tok.SetGGUF(w, rows); err != nil {
		return err
	}
	eos, hasEOS := tok.EOS()
	for _, id := range c.endTokens(x, tok) {
		if id >= 0 && id < rows && (!hasEOS || id != eos) {
			key := "tokenizer.ggml.eot_token_id"
			if !hasEOS {
				key = "tokenizer.ggml.eos_token_id"
			}
			w.Set(key, uint32(id))
			break
		}
	}
	if x.chatTemplate != "" {
		w.Set("tokenizer.chat_template", x.chatTemplate)
	}
	return nil
}

// renamed lists the tensors by the names that GGUF files use. Rows of queries and keys are put in the order that the architecture's
// GGUF files have them in.
func (c *container) renamed(d *Description) []quantizable {
	from, to := d.family.folder, d.family.gguf
	names := map[string]quantizable{}
	add := func(old, new string, layer, permuted int) {
		if old == "" || new == "" {
			return
		}
		if layer >= 0 {
			old, new = fmt.Sprintf(old, layer), fmt.Sprintf(new, layer)
		}
		for _, suffix := range []string{".weight", ".bias"} {
			names[old+suffix] = quantizable{name: new + suffix, layer: layer, permuted: permuted}
		}
	}
	heads, kvHeads := 0, 0
	if d.family.ropeAdjacent && !d.family.folderAdjacent {
		heads, kvHeads = d.Heads, d.KVHeads
	}
	add(from.embedding, to.embedding, -1, 0)
	add(from.norm, to.norm, -1, 0)
	if !d.TiedEmbeddings {
		add(from.output, to.output, -1, 0)
	}
	for l := range d.Layers {
		for _, n := range []struct {
			from, to string
			permuted int
		}{
			{from.attentionNorm, to.attentionNorm, 0},
			{from.feedForwardNorm, to.feedForwardNorm, 0},
			{from.q, to.q, heads},
			{from.k, to.k, kvHeads},
			{from.v, to.v, 0},
			{from.o, to.o, 0},
			{from.qNorm, to.qNorm, 0},
			{from.kNorm, to.kNorm, 0},
			{from.gate, to.gate, 0},
			{from.up, to.up, 0},
			{from.down, to.down, 0},
		} {
			add(n.from, n.to, l, n.permuted)
		}
	}
	var tensors []quantizable
	for _, t := range c.tensors {
		q, ok := names[t.name]
		if !ok {
			continue // the dry bind has found that it is needless
		}
		q.source = t
		tensors = append(tensors, q)
	}
	inOrder(tensors)
	return tensors
}
