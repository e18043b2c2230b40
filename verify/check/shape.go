package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/carat-hub/carat/inference"
)

// layerPrefixes are what comes before a layer's number in tensor names.
var layerPrefixes = []string{"model.layers.", "blk."}

// splitLayer cuts a tensor's name into layer number and the rest; ok is false
// for a tensor outside the layers.
func splitLayer(name string) (layer int, rest string, ok bool) {
	for _, p := range layerPrefixes {
		tail, found := strings.CutPrefix(name, p)
		if !found {
			continue
		}
		number, rest, _ := strings.Cut(tail, ".")
		n, err := strconv.ParseInt(number, 10, 32)
		return int(n), rest, err == nil && n >= 0
	}
	return 0, "", false
}

// maxLayers bounds what a configuration may declare.
const maxLayers = 10_000

// missingLayers says which layers that the configuration declares have no
// tensors. More than it declares is in order: some models carry a layer that
// predicts further tokens; an ONNX graph may fold any tensor into others.
func missingLayers(f *inference.Facts) []string {
	seen := map[int]bool{}
	for _, t := range f.Tensors {
		if n, _, ok := splitLayer(t.Name); ok {
			seen[n] = true
		}
	}
	if len(seen) == 0 || f.Layers == 0 || f.Format == "onnx" {
		return nil
	}
	if f.Layers > maxLayers {
		return []string{fmt.Sprintf("the configuration declares %d layers", f.Layers)}
	}
	for n := range f.Layers {
		if !seen[n] {
			return []string{fmt.Sprintf("layer %d of %d has no tensors", n, f.Layers)}
		}
	}
	return nil
}

// plainDecoders are the architectures whose layers have exactly the shapes
// below.
var plainDecoders = []string{"llama", "mistral", "qwen2", "qwen3"}

// shapes returns what the configuration says of matrices by their names, those
// of layers without the layer, in the naming of Hugging Face and of GGUF. Sizes that are not known are 0.
func shapes(f *inference.Facts) map[string][]int {
	head := f.HeadDim
	if head == 0 && f.Heads > 0 {
		head = f.HiddenSize / f.Heads
	}
	hidden, inner, query, key := f.HiddenSize, f.FeedForwardSize, f.Heads*head, f.KVHeads*head
	return map[string][]int{
		"model.embed_tokens.weight": {f.VocabularySize, hidden}, "token_embd.weight": {f.VocabularySize, hidden},
		"self_attn.q_proj.weight": {query, hidden}, "attn_q.weight": {query, hidden},
		"self_attn.k_proj.weight": {key, hidden}, "attn_k.weight": {key, hidden},
		"self_attn.v_proj.weight": {key, hidden}, "attn_v.weight": {key, hidden},
		"self_attn.o_proj.weight": {hidden, query}, "attn_output.weight": {hidden, query},
		"mlp.gate_proj.weight": {inner, hidden}, "ffn_gate.weight": {inner, hidden},
		"mlp.up_proj.weight": {inner, hidden}, "ffn_up.weight": {inner, hidden},
		"mlp.down_proj.weight": {hidden, inner}, "ffn_down.weight": {hidden, inner},
	}
}

// wrongShapes says which tensors do not have the shape that the configuration
// gives them, for architectures whose shapes are known.
func wrongShapes(f *inference.Facts) []string {
	if !slices.Contains(plainDecoders, f.Architecture) || f.Format == "onnx" || max(f.HiddenSize, f.Heads, f.KVHeads, f.HeadDim, f.FeedForwardSize) > 1<<30 {
		return nil
	}
	byName := shapes(f)
	var wrong []string
	for _, t := range f.Tensors {
		name := t.Name
		if _, rest, ok := splitLayer(name); ok {
			name = rest
		}
		want := byName[name]
		if want == nil || packed(f, t) {
			continue
		}
		if len(t.Shape) != 2 || want[0] != 0 && t.Shape[0] != want[0] || want[1] != 0 && t.Shape[1] != want[1] {
			wrong = append(wrong, fmt.Sprintf("tensor %q has shape %v, but the configuration gives %v", t.Name, t.Shape, want))
		}
	}
	return wrong
}

// packed reports whether a tensor is stored in a form of which the shape
// tells nothing, as some quantizations of safetensors do.
func packed(f *inference.Facts, t inference.TensorFact) bool {
	return f.Format == "safetensors" && !strings.Contains(t.DType, "F")
}
