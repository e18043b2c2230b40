package verifytest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/carat-hub/carat/inference/tensor"
	"github.com/carat-hub/carat/verify"
)

func sqrt(v float64) float64 { return math.Sqrt(v) }

func dot(a, b []float64) float64 {
	sum := 0.0
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}

// Healthy is a sound variant of a good model, as people publish them.
type Healthy struct {
	Name string
	Kind Kind
	// Files are the paths and contents of a version's files.
	Files map[string][]byte
	// Base is the model that the variant descends from and declares, nil when it declares none.
	Base *Model
}

// Open writes the files into a folder of the test and opens them; they are closed with the test.
func (h Healthy) Open(t testing.TB) verify.Files {
	t.Helper()
	return open(t, h.Files)
}

// HealthyVariants are all variants. None of them may be said to be broken.
func HealthyVariants(t testing.TB) []Healthy {
	t.Helper()
	var list []Healthy
	add := func(name string, m *Model) {
		list = append(list, Healthy{Name: name, Kind: Decoder, Files: m.All(t)})
	}
	for _, g := range GoodModels(t) {
		list = append(list, Healthy{Name: g.Name, Kind: g.Kind, Files: g.Model.All(t)})
	}
	llama := TinyLlama(t)
	for _, kind := range []string{"q8_0", "q4_0", "q4_k", "q6_k", "f16", "f32", "bf16"} {
		add("GGUF "+kind, llama.Quantized(t, kind))
	}
	quantized := llama.Quantized(t, "q8_0")
	for name, change := range map[string]func() *Model{
		"sharded":                func() *Model { m := llama.Clone(); m.Shards = 3; return m },
		"split GGUF":             func() *Model { m := quantized.Clone(); m.Shards = 3; return m },
		"other order of tensors": func() *Model { m := llama.Clone(); shuffleOrder(m); return m },
		"other order in GGUF":    func() *Model { m := quantized.Clone(); shuffleOrder(m); return m },
		"renamed GGUF": func() *Model {
			m := quantized.Clone()
			m.Keys["general.name"] = "Another Name"
			m.Name = "other"
			return m
		},
		"half precision":             func() *Model { return llama.as(tensor.F16) },
		"single precision":           func() *Model { return llama.as(tensor.F32) },
		"fine-tune, low rank":        func() *Model { return llama.FineTune(1, 4, 0.05, 0) },
		"fine-tune, dense":           func() *Model { return llama.FineTune(2, 0, 0, 0.02) },
		"merge of two fine-tunes":    func() *Model { return Average(llama.FineTune(3, 4, 0.05, 0.01), llama.FineTune(4, 4, 0.05, 0.01)) },
		"quantized fine-tune":        func() *Model { return llama.FineTune(5, 4, 0.05, 0).Quantized(t, "q4_k_m") },
		"padded vocabulary":          func() *Model { return llama.padded(64) },
		"untied output":              func() *Model { return llama.untied() },
		"without generation_config":  func() *Model { m := llama.Clone(); delete(m.Files, "generation_config.json"); return m },
		"without card and licence":   func() *Model { m := llama.Clone(); delete(m.Files, "README.md"); delete(m.Files, "LICENSE"); return m },
		"without chat template":      func() *Model { m := llama.Clone(); m.untemplated(t); return m },
		"longer context declared":    func() *Model { m := llama.Clone(); m.Config["max_position_embeddings"] = 512.0; return m },
		"normalised epsilon changed": func() *Model { m := llama.Clone(); m.Config["rms_norm_eps"] = 1e-6; return m },
	} {
		add(name, change())
	}
	several := quantized.All(t)
	for name, p := range llama.Quantized(t, "q4_k_m").All(t) {
		several[name] = p
	}
	list = append(list, Healthy{Name: "two quantizations in one version", Kind: Decoder, Files: several})
	if dir, ok := Shared(t, "tiny-bert"); ok {
		bert := ReadFolder(t, dir)
		list = append(list, Healthy{Name: "bert in half precision", Kind: Encoder, Files: bert.as(tensor.F16).All(t)})
		cls := bert.Clone()
		delete(cls.Files, "modules.json")
		delete(cls.Files, "1_Pooling/config.json")
		list = append(list, Healthy{Name: "bert without pooling", Kind: Encoder, Files: cls.All(t)},
			Healthy{Name: "bert, fine-tuned", Kind: Encoder, Files: bert.FineTune(7, 4, 0.05, 0.02).All(t)},
			Healthy{Name: "bert, merge of two fine-tunes", Kind: Encoder, Files: Average(bert.FineTune(8, 4, 0.05, 0.01), bert.FineTune(9, 4, 0.05, 0.01)).All(t)})
	}
	tuned := llama.FineTune(6, 4, 0.05, 0)
	tuned.declareBase("demo/tiny-llama")
	list = append(list, Healthy{Name: "fine-tune that declares its base", Kind: Decoder, Files: tuned.All(t), Base: llama},
		Healthy{Name: "adapter", Kind: Decoder, Files: llama.Adapter(t, 4), Base: llama})
	slices.SortFunc(list, func(a, b Healthy) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func shuffleOrder(m *Model) {
	r := rand.New(rand.NewPCG(1, 2))
	r.Shuffle(len(m.Tensors), func(i, j int) { m.Tensors[i], m.Tensors[j] = m.Tensors[j], m.Tensors[i] })
}

// as returns the model with all tensors in another element type.
func (m *Model) as(to tensor.Type) *Model {
	c := m.Clone()
	for _, t := range c.Tensors {
		t.cast(to)
	}
	c.Config["torch_dtype"] = map[tensor.Type]string{tensor.F16: "float16", tensor.F32: "float32", tensor.BF16: "bfloat16"}[to]
	return c
}

// FineTune returns the model after a change such as further training makes: one of low rank to each matrix, whose length is a part
// of the matrix's own, and noise that is a part of each element's usual size.
func (m *Model) FineTune(seed uint64, rank int, lowRank, noise float64) *Model {
	c := m.Clone()
	r := rand.New(rand.NewPCG(seed, 7))
	for _, t := range c.matrices() {
		v := t.Values()
		size := 0.0
		for _, x := range v {
			size += float64(x) * float64(x)
		}
		size = sqrt(size / float64(len(v)))
		rows, cols := t.Shape[0], t.Cols()
		b, a := normal(r, rows*rank), normal(r, rank*cols)
		for i := range v {
			change := noise * r.NormFloat64()
			for k := range rank {
				change += lowRank / sqrt(float64(rank)) * b[i/cols*rank+k] * a[k*cols+i%cols]
			}
			v[i] += float32(size * change)
		}
		t.Set(v)
	}
	return c
}

func normal(r *rand.Rand, n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = r.NormFloat64()
	}
	return v
}

// Average returns the mean of two models of one shape.
func Average(a, b *Model) *Model {
	c := a.Clone()
	for i, t := range c.Tensors {
		v, w := t.Values(), b.Tensors[i].Values()
		for j := range v {
			v[j] = (v[j] + w[j]) / 2
		}
		t.Set(v)
	}
	return c
}

// padded returns the model with rows in its embedding that no token has.
func (m *Model) padded(rows int) *Model {
	c := m.Clone()
	t := c.embedding()
	t.Data = append(t.Data, make([]byte, len(t.Data)/t.Shape[0]*rows)...)
	t.Shape[0] += rows
	c.Config["vocab_size"] = float64(t.Shape[0])
	return c
}

// untied returns the model with an output layer of its own.
func (m *Model) untied() *Model {
	c := m.Clone()
	t := *c.embedding()
	t.Name, t.Data = "lm_head.weight", slices.Clone(t.Data)
	c.Tensors = append(c.Tensors, &t)
	c.Config["tie_word_embeddings"] = false
	return c
}

func (m *Model) untemplated(t testing.TB) {
	t.Helper()
	m.edit(t, "tokenizer_config.json", func(v map[string]any) { delete(v, "chat_template") })
}

// Adapter returns the files of a low-rank adapter of the model, as PEFT writes them.
func (m *Model) Adapter(t testing.TB, rank int) map[string][]byte {
	t.Helper()
	r := rand.New(rand.NewPCG(11, 7))
	var tensors []*Tensor
	for _, one := range m.matrices() {
		if !strings.Contains(one.Name, "q_proj") && !strings.Contains(one.Name, "v_proj") {
			continue
		}
		name := "base_model.model." + strings.TrimSuffix(one.Name, "weight")
		for part, shape := range map[string][]int{"lora_A": {rank, one.Cols()}, "lora_B": {one.Shape[0], rank}} {
			v := make([]float32, shape[0]*shape[1])
			for i := range v {
				v[i] = float32(r.NormFloat64() / 100)
			}
			low := &Tensor{Name: fmt.Sprintf("%s%s.weight", name, part), Type: tensor.F32, Shape: shape}
			low.Set(v)
			tensors = append(tensors, low)
		}
	}
	slices.SortFunc(tensors, func(a, b *Tensor) int { return strings.Compare(a.Name, b.Name) })
	return map[string][]byte{
		"README.md": []byte("---\nbase_model: demo/tiny-llama\nlibrary_name: peft\nlicense: apache-2.0\n---\n# An adapter\n"),
		"adapter_config.json": marshal(t, map[string]any{
			"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": 2 * rank, "lora_dropout": 0.05, "bias": "none",
			"target_modules": []string{"q_proj", "v_proj"}, "base_model_name_or_path": "demo/tiny-llama", "fan_in_fan_out": false,
		}),
		"adapter_model.safetensors": safetensorsFile(t, tensors),
	}
}
