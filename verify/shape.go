package verify

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// dimensions are the sizes that a model's configuration gives; 0 where it
// says nothing.
type dimensions struct {
	hidden, heads, kvHeads, headDim, inner, vocab int64
}

// layerPrefixes are what comes before a layer's number in tensor names.
var layerPrefixes = []string{"model.layers.", "blk."}

// splitLayer cuts a tensor's name into layer number and the rest; ok is false
// for a tensor outside the layers.
func splitLayer(name string) (layer int64, rest string, ok bool) {
	for _, p := range layerPrefixes {
		tail, found := strings.CutPrefix(name, p)
		if !found {
			continue
		}
		number, rest, _ := strings.Cut(tail, ".")
		n, err := strconv.ParseInt(number, 10, 32)
		return n, rest, err == nil && n >= 0
	}
	return 0, "", false
}

// maxLayers bounds what a configuration may declare.
const maxLayers = 10_000

// missingLayers says which layers that the configuration declares have no
// tensors. More than it declares is in order: some models carry a layer that
// predicts further tokens.
func (d *description) missingLayers() []string {
	seen := map[int64]bool{}
	for _, w := range d.weights {
		if n, _, ok := splitLayer(w.name); ok {
			seen[n] = true
		}
	}
	if len(seen) == 0 || d.facts.Layers == 0 {
		return nil
	}
	if d.facts.Layers > maxLayers {
		return []string{fmt.Sprintf("the configuration declares %d layers", d.facts.Layers)}
	}
	for n := range d.facts.Layers {
		if !seen[n] {
			return []string{fmt.Sprintf("layer %d of %d has no tensors", n, d.facts.Layers)}
		}
	}
	return nil
}

// plainDecoders are the architectures whose layers have exactly the shapes
// below.
var plainDecoders = []string{"llama", "mistral", "qwen2", "qwen3"}

// shapes returns what the configuration says of matrices by the ends of their
// names, in the naming of Hugging Face and of GGUF. Sizes that are not known are 0.
func (c dimensions) shapes() map[string][2]int64 {
	head := c.headDim
	if head == 0 && c.heads > 0 {
		head = c.hidden / c.heads
	}
	query, key := c.heads*head, c.kvHeads*head
	return map[string][2]int64{
		"self_attn.q_proj.weight": {query, c.hidden}, "attn_q.weight": {query, c.hidden},
		"self_attn.k_proj.weight": {key, c.hidden}, "attn_k.weight": {key, c.hidden},
		"self_attn.v_proj.weight": {key, c.hidden}, "attn_v.weight": {key, c.hidden},
		"self_attn.o_proj.weight": {c.hidden, query}, "attn_output.weight": {c.hidden, query},
		"mlp.gate_proj.weight": {c.inner, c.hidden}, "ffn_gate.weight": {c.inner, c.hidden},
		"mlp.up_proj.weight": {c.inner, c.hidden}, "ffn_up.weight": {c.inner, c.hidden},
		"mlp.down_proj.weight": {c.hidden, c.inner}, "ffn_down.weight": {c.hidden, c.inner},
	}
}

// wrongShapes says which tensors do not have the shape that the configuration
// gives them, for architectures whose shapes are known.
func (d *description) wrongShapes() []string {
	if !slices.Contains(plainDecoders, d.facts.Architecture) || max(d.dims.hidden, d.dims.heads, d.dims.kvHeads, d.dims.headDim, d.dims.inner) > 1<<30 {
		return nil
	}
	byName := d.dims.shapes()
	var wrong []string
	for _, w := range d.weights {
		want := [2]int64{0, 0}
		if _, rest, ok := splitLayer(w.name); ok {
			want = byName[rest]
		} else if slices.Contains(embeddings, w.name) {
			want = [2]int64{d.dims.vocab, d.dims.hidden}
		}
		if want == [2]int64{} || d.packedType(w) {
			continue
		}
		if len(w.shape) != 2 || want[0] != 0 && int64(w.shape[0]) != want[0] || want[1] != 0 && int64(w.shape[1]) != want[1] {
			wrong = append(wrong, fmt.Sprintf("tensor %q has shape %v, but the configuration gives %v", w.name, w.shape, want))
		}
	}
	return wrong
}

// packedType reports whether a weight is stored in a form of which the shape
// tells nothing, as some quantizations of safetensors do.
func (d *description) packedType(w weight) bool {
	return d.facts.Format == "safetensors" && !strings.Contains(w.typ.String(), "F")
}
