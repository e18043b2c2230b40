package verifytest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Good is a sound, trained model.
type Good struct {
	Name   string // of the model and its format
	Kind   Kind
	Model  *Model
	family string // models of one family have the same weights
}

// Kind is what a model is for.
type Kind string

// The kinds.
const (
	Decoder Kind = "decoder"
	Encoder Kind = "encoder"
)

// root is the folder of the module.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; filepath.Dir(dir) != dir; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	t.Fatal("no go.mod above the test")
	return ""
}

// TinyLlama is the example model: Llama, BF16.
func TinyLlama(t testing.TB) *Model {
	t.Helper()
	return ReadFolder(t, filepath.Join(root(t), "examples", "tiny-llama"))
}

// Shared returns the path of a file or folder of the reference data that may lie beside a clone, and whether it is there.
// CARAT_SHARED_DATA names its folder.
func Shared(t testing.TB, name string) (string, bool) {
	t.Helper()
	if dir := os.Getenv("CARAT_SHARED_DATA"); dir != "" {
		p := filepath.Join(dir, name)
		if _, err := os.Stat(p); err != nil {
			t.Fatalf("CARAT_SHARED_DATA is set: %v", err)
		}
		return p, true
	}
	for dir := root(t); filepath.Dir(dir) != dir; dir = filepath.Dir(dir) {
		p := filepath.Join(dir, "shared", "data", name)
		if _, err := os.Stat(p); err == nil {
			return p, true
		}
	}
	return "", false
}

// GoodModels are all good models: those that lie in the module or are made of what does and, where the reference data is beside it,
// those of the reference data.
func GoodModels(t testing.TB) []Good {
	t.Helper()
	llama := TinyLlama(t)
	list := []Good{
		{"llama safetensors", Decoder, llama, "tiny-llama"},
		{"llama GGUF Q4_K_M", Decoder, llama.Quantized(t, "q4_k_m"), "tiny-llama"},
		{"phi3 safetensors", Decoder, llama.Phi3(), "tiny-llama"},
		{"qwen2 GGUF F16", Decoder, llama.Qwen2().Quantized(t, "f16"), "tiny-llama"},
	}
	if dir, ok := Shared(t, "stories260K"); ok {
		stories := ReadFolder(t, dir)
		list = append(list, Good{"stories260K safetensors", Decoder, stories, "stories260K"},
			Good{"stories260K GGUF Q8_0", Decoder, stories.Quantized(t, "q8_0"), "stories260K"},
			Good{"internlm2 safetensors", Decoder, stories.InternLM2(), "stories260K"})
	}
	if dir, ok := Shared(t, "tiny-bert"); ok {
		list = append(list, Good{"bert safetensors", Encoder, ReadFolder(t, dir), "tiny-bert"},
			Good{"bert GGUF F32", Encoder, ReadGGUF(t, filepath.Join(dir, "tiny-bert-f32.gguf")), "tiny-bert"})
	}
	return list
}

// stack joins matrices of the same width below each other.
func stack(name string, parts ...*Tensor) *Tensor {
	t := &Tensor{Name: name, Type: parts[0].Type, Shape: []int{0, parts[0].Cols()}}
	for _, p := range parts {
		t.Shape[0] += p.Shape[0]
		t.Data = append(t.Data, p.Data...)
	}
	return t
}

// Phi3 returns a Llama model as Phi-3 has it, which gives the same outputs: queries, keys and values are one matrix, and so are both
// halves of the feed-forward layer.
func (m *Model) Phi3() *Model {
	c := m.Clone()
	c.Config["architectures"], c.Config["model_type"] = []any{"Phi3ForCausalLM"}, "phi3"
	var out []*Tensor
	for _, t := range c.Tensors {
		at := strings.TrimSuffix(t.Name, t.rest())
		find := func(name string) *Tensor { return c.Find(at + name) }
		switch t.rest() {
		case "self_attn.q_proj.weight":
			out = append(out, stack(at+"self_attn.qkv_proj.weight", t, find("self_attn.k_proj.weight"), find("self_attn.v_proj.weight")))
		case "mlp.gate_proj.weight":
			out = append(out, stack(at+"mlp.gate_up_proj.weight", t, find("mlp.up_proj.weight")))
		case "self_attn.k_proj.weight", "self_attn.v_proj.weight", "mlp.up_proj.weight":
		default:
			out = append(out, t)
		}
	}
	c.Tensors = out
	return c
}

// rest is the tensor's name in its layer.
func (t *Tensor) rest() string {
	_, name := t.Layer()
	return name
}

// InternLM2 returns a Llama model as InternLM2 has it, which gives the same outputs: other names, and a matrix in which the query
// heads of each key and value head come before it.
func (m *Model) InternLM2() *Model {
	c := m.Clone()
	c.Config["architectures"], c.Config["model_type"], c.Config["bias"] = []any{"InternLM2ForCausalLM"}, "internlm2", false
	names := map[string]string{
		"self_attn.o_proj.weight": "attention.wo.weight", "mlp.gate_proj.weight": "feed_forward.w1.weight",
		"mlp.up_proj.weight": "feed_forward.w3.weight", "mlp.down_proj.weight": "feed_forward.w2.weight",
		"input_layernorm.weight": "attention_norm.weight", "post_attention_layernorm.weight": "ffn_norm.weight",
		"model.embed_tokens.weight": "model.tok_embeddings.weight",
	}
	heads, kv := int(m.number("num_attention_heads", "")), int(m.number("num_key_value_heads", ""))
	var out []*Tensor
	for _, t := range c.Tensors {
		at := strings.TrimSuffix(t.Name, t.rest())
		switch t.rest() {
		case "self_attn.q_proj.weight":
			k, v := c.Find(at+"self_attn.k_proj.weight"), c.Find(at+"self_attn.v_proj.weight")
			var groups []*Tensor
			for g := range kv {
				groups = append(groups, t.rows(g*heads/kv, heads/kv, heads), k.rows(g, 1, kv), v.rows(g, 1, kv))
			}
			out = append(out, stack(at+"attention.wqkv.weight", groups...))
		case "self_attn.k_proj.weight", "self_attn.v_proj.weight":
		default:
			if name, ok := names[t.rest()]; ok {
				t.Name = at + name
			}
			out = append(out, t)
		}
	}
	c.Tensors = out
	return c
}

// rows returns n of the of equal parts of a matrix, from the first-th on.
func (t *Tensor) rows(first, n, of int) *Tensor {
	size := len(t.Data) / of
	return &Tensor{
		Name: t.Name, Type: t.Type, Shape: []int{t.Shape[0] / of * n, t.Cols()}, Data: t.Data[first*size : (first+n)*size],
	}
}

// Qwen2 returns a Llama model as Qwen2 has it, which gives the same outputs: queries, keys and values have biases, which are
// zero.
func (m *Model) Qwen2() *Model {
	c := m.Clone()
	c.Config["architectures"], c.Config["model_type"] = []any{"Qwen2ForCausalLM"}, "qwen2"
	delete(c.Config, "attention_bias")
	var out []*Tensor
	for _, t := range c.Tensors {
		out = append(out, t)
		if name := t.rest(); slices.Contains([]string{"self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"}, name) {
			out = append(out, &Tensor{
				Name: strings.TrimSuffix(t.Name, "weight") + "bias", Type: t.Type, Shape: []int{t.Shape[0]},
				Data: make([]byte, len(t.Data)/t.Cols()),
			})
		}
	}
	c.Tensors = out
	return c
}
