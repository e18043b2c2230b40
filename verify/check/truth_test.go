package check

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/inference/tensor"
	"github.com/carat-hub/carat/verify"
)

// tensorOf is a tensor of zeros.
type tensorOf struct {
	name  string
	typ   tensor.Type
	shape []int
}

// ggufOf writes a GGUF file of tensors of zeros.
func ggufOf(t testing.TB, keys map[string]any, tensors ...tensorOf) string {
	t.Helper()
	w := &gguf.Writer{}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		w.Set(k, keys[k])
	}
	for _, x := range tensors {
		n, _ := tensor.Elements(x.shape)
		size, _ := x.typ.Size(n)
		w.Add(x.name, x.typ, x.shape, make([]byte, size))
	}
	var b bytes.Buffer
	if err := w.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// safetensorsOf writes a safetensors file of tensors in F32 whose values are small and equal.
func safetensorsOf(t testing.TB, shapes map[string][]int) string {
	t.Helper()
	type head struct {
		DType   string   `json:"dtype"`
		Shape   []int    `json:"shape"`
		Offsets [2]int64 `json:"data_offsets"`
	}
	heads, end := map[string]head{}, int64(0)
	for _, name := range slices.Sorted(maps.Keys(shapes)) {
		n, _ := tensor.Elements(shapes[name])
		heads[name] = head{"F32", shapes[name], [2]int64{end, end + 4*n}}
		end += 4 * n
	}
	p, err := json.Marshal(heads)
	if err != nil {
		t.Fatal(err)
	}
	for len(p)%8 != 0 {
		p = append(p, ' ')
	}
	return string(binary.LittleEndian.AppendUint64(nil, uint64(len(p)))) + string(p) + weightsOf(int(end))
}

// weightsOf are bytes of small numbers in float32 that differ.
func weightsOf(n int) string {
	p := make([]byte, 0, n)
	for i := range n / 4 {
		p = binary.LittleEndian.AppendUint32(p, 0x3c000000|uint32(i)*2654435761>>9)
	}
	return string(p)
}

func TestParametersCheck(t *testing.T) {
	t.Parallel()
	million := func(keys map[string]any) string {
		return ggufOf(t, keys, tensorOf{"blk.0.w", tensor.Q8_0, []int{1024, 1024}})
	}
	expect(t, parametersCheck, map[string]expectation{
		"right in the name":  {one("tiny-1M-Q8_0.gguf", million(nil)), verify.OutcomePassed, ""},
		"rounded":            {one("tiny-1.3m.gguf", million(nil)), verify.OutcomePassed, ""},
		"wrong in the name":  {one("tiny-7B-Q8_0.gguf", million(nil)), verify.OutcomeWarned, "name of the file says 7B, but there are 1048576 parameters"},
		"wrong label":        {one("x.gguf", million(map[string]any{"general.size_label": "7B"})), verify.OutcomeFailed, "general.size_label says 7B"},
		"experts":            {one("x.gguf", million(map[string]any{"general.size_label": "8x130K"})), verify.OutcomePassed, ""},
		"no name":            {one("x.gguf", million(nil)), verify.OutcomeSkipped, "no name says"},
		"quantization alone": {one("model-q4_k_m.gguf", million(nil)), verify.OutcomeSkipped, "no name says"},
		"title of the card": {
			map[string]string{"README.md": "# Big-70B\n", "model.safetensors": safetensorsOf(t, map[string][]int{"w": {8, 8}})},
			verify.OutcomeWarned, "title of the card says 70B",
		},
	})
}

func TestArchitectureCheck(t *testing.T) {
	t.Parallel()
	weights := safetensorsOf(t, map[string][]int{"w": {8, 8}})
	of := func(config, card string) map[string]string {
		return map[string]string{"model.safetensors": weights, "config.json": config, "README.md": card}
	}
	expect(t, architectureCheck, map[string]expectation{
		"same":          {of(`{"model_type":"llama","architectures":["LlamaForCausalLM"]}`, "---\ntags: [llama, text-generation]\n---\n"), verify.OutcomePassed, ""},
		"with dashes":   {of(`{"model_type":"xlm-roberta","architectures":["XLMRobertaModel"]}`, ""), verify.OutcomePassed, ""},
		"text part":     {of(`{"model_type":"gemma3_text","architectures":["Gemma3ForCausalLM"]}`, ""), verify.OutcomePassed, ""},
		"other class":   {of(`{"model_type":"llama","architectures":["Qwen2ForCausalLM"]}`, ""), verify.OutcomeWarned, "the class Qwen2ForCausalLM and the type llama"},
		"other tag":     {of(`{"model_type":"llama","architectures":["LlamaForCausalLM"]}`, "---\ntags: [qwen2]\n---\n"), verify.OutcomeWarned, "tags name qwen2"},
		"related names": {of(`{"model_type":"llama","architectures":["LlamaForCausalLM"]}`, "---\ntags: [mistral]\n---\n"), verify.OutcomePassed, ""},
	})
}

func TestQuantizationCheck(t *testing.T) {
	t.Parallel()
	file := func(declared uint32, typ tensor.Type) string {
		return ggufOf(t, map[string]any{"general.file_type": declared}, tensorOf{"blk.0.w", typ, []int{256, 256}}, tensorOf{"n", tensor.F32, []int{256}})
	}
	expect(t, quantizationCheck, map[string]expectation{
		"Q8_0":                   {one("m-Q8_0.gguf", file(7, tensor.Q8_0)), verify.OutcomePassed, ""},
		"Q4_K_M":                 {one("m.q4_k_m.gguf", file(15, tensor.Q4K)), verify.OutcomePassed, ""},
		"Q8_0 that is Q2_K":      {one("m-Q8_0.gguf", file(7, tensor.Q2K)), verify.OutcomeFailed, "says Q8_0, which takes about 8.5 bits"},
		"named Q8_0, is Q4_K":    {one("m-Q8_0.gguf", file(15, tensor.Q4K)), verify.OutcomeFailed, "name of the file says Q8_0"},
		"key F16, is Q8_0":       {one("m.gguf", file(1, tensor.Q8_0)), verify.OutcomeFailed, "general.file_type says F16"},
		"named Q2_K, is Q8_0":    {one("m-Q2_K.gguf", file(7, tensor.Q8_0)), verify.OutcomeWarned, "no tensor is of such a type"},
		"fallback of small ones": {one("m-Q4_K_M.gguf", file(15, tensor.Q5_0)), verify.OutcomePassed, ""},
		"nothing said":           {one("m.gguf", ggufOf(t, nil, tensorOf{"w", tensor.F32, []int{4, 4}})), verify.OutcomeSkipped, "nothing says"},
		"tag without": {
			map[string]string{"README.md": "---\ntags: [gptq]\n---\n", "config.json": "{}", "model.safetensors": safetensorsOf(t, map[string][]int{"w": {8, 8}})},
			verify.OutcomeWarned, "are not quantized",
		},
		"method without": {
			map[string]string{"config.json": `{"quantization_config":{"quant_method":"awq"}}`, "model.safetensors": safetensorsOf(t, map[string][]int{"w": {8, 8}})},
			verify.OutcomeWarned, "no tensor holds integers",
		},
	})
}

func TestContextCheck(t *testing.T) {
	t.Parallel()
	of := func(config, card, tokenizer string) map[string]string {
		return map[string]string{
			"model.safetensors": safetensorsOf(t, map[string][]int{"transformer.wpe.weight": {64, 8}}),
			"config.json":       config, "README.md": card, "tokenizer_config.json": tokenizer,
		}
	}
	expect(t, contextCheck, map[string]expectation{
		"right":          {of(`{"n_positions":64}`, "", `{"model_max_length":64}`), verify.OutcomePassed, ""},
		"too few rows":   {of(`{"n_positions":65}`, "", "{}"), verify.OutcomeFailed, "65 tokens is declared, but there are only 64 positions"},
		"tokenizer":      {of(`{"n_positions":64}`, "", `{"model_max_length":128}`), verify.OutcomeWarned, "the tokenizer allows 128 tokens"},
		"no limit":       {of(`{"n_positions":64}`, "", `{"model_max_length":1000000000000000019884624838656}`), verify.OutcomePassed, ""},
		"card":           {of(`{"n_positions":64}`, "# M\nIt has a context length of 32,768 tokens.\n", "{}"), verify.OutcomeWarned, "claims a context of 32768"},
		"card in K":      {of(`{"n_positions":64}`, "# M\nA 128K context window.\n", "{}"), verify.OutcomeWarned, "claims a context of 131072"},
		"card of others": {of(`{"n_positions":64}`, "# M\nIn the context of 2024 elections.\n", "{}"), verify.OutcomePassed, ""},
		"scaling": {
			map[string]string{
				"model.safetensors": safetensorsOf(t, map[string][]int{"w": {8, 8}}),
				"config.json":       `{"max_position_embeddings":131072,"rope_scaling":{"factor":4,"original_max_position_embeddings":8192}}`,
			}, verify.OutcomeWarned, "scaling makes only 32768 of the 8192",
		},
	})
}

func TestLicenseCheck(t *testing.T) {
	t.Parallel()
	of := func(file, card string) map[string]string {
		return map[string]string{"m.gguf": ggufOf(t, map[string]any{"general.license": file}, tensorOf{"w", tensor.F32, []int{4, 4}}), "README.md": "---\nlicense: " + card + "\n---\n"}
	}
	expect(t, licenseCheck, map[string]expectation{
		"same":       {of("apache-2.0", "apache-2.0"), verify.OutcomePassed, ""},
		"other case": {of("Apache-2.0", "apache-2.0"), verify.OutcomePassed, ""},
		"other":      {of("mit", "apache-2.0"), verify.OutcomeWarned, "names the licence mit, the card apache-2.0"},
		"one only":   {of("mit", "other"), verify.OutcomeSkipped, "not named in both"},
	})
}
