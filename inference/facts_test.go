package inference

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/inference/internal/readtest"
	"github.com/carat-hub/carat/inference/tensor"
)

var update = flag.Bool("update", false, "write the golden files")

func TestFactsGolden(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{"tiny-llama-folder": tinyFolder, "tiny-llama-gguf": tinyGGUF} {
		files, err := OpenPath(path)
		if err != nil {
			t.Fatal(err)
		}
		facts, err := Inspect(context.Background(), files)
		if err != nil {
			t.Fatal(err)
		}
		got, err := json.MarshalIndent(facts, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", name+".facts.json")
		if *update {
			if err := os.WriteFile(golden, append(got, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(strings.TrimSpace(string(want)), string(got)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if d := cmp.Diff(facts, open(t, path).Facts()); d != "" {
			t.Errorf("%s: the open model tells other facts: %s", name, d)
		}
	}
}

func TestInspectReadsOnlyHeaders(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(filepath.Join(tinyFolder, weightsName))
	if err != nil {
		t.Fatal(err)
	}
	r := &readtest.Counter{ReaderAt: bytes.NewReader(b)}
	facts, err := Inspect(context.Background(), FromSources(map[string]Source{weightsName: {r, int64(len(b))}}))
	if err != nil {
		t.Fatal(err)
	}
	if r.Reads != 2 || r.Bytes != 4096 || facts.Parameters != 2885888 || facts.Runnable || facts.Unsupported == "" {
		t.Errorf("%d reads of %d bytes, %v", r.Reads, r.Bytes, facts)
	}
	if b, err = os.ReadFile(tinyGGUF); err != nil {
		t.Fatal(err)
	}
	r = &readtest.Counter{ReaderAt: bytes.NewReader(b)}
	facts, err = Inspect(context.Background(), FromSources(map[string]Source{"x.gguf": {r, int64(len(b))}}))
	if err != nil || r.Reads > 2 || r.Last > 64<<10 || facts.Parameters != 2885888 || !facts.Runnable {
		t.Errorf("%d reads up to %d, %v, %v", r.Reads, r.Last, facts, err)
	}
}

// memory gives files by content.
func memory(files map[string][]byte) Files {
	sources := map[string]Source{}
	for name, b := range files {
		sources[name] = Source{bytes.NewReader(b), int64(len(b))}
	}
	return FromSources(sources)
}

// toy is a llama model of two layers with values from a fixed sequence, as tensors by their GGUF names.
type toy struct {
	keys    map[string]any
	tensors map[string]toyTensor
}

type toyTensor struct {
	shape  []int
	values []float32
}

func newToy() *toy {
	m := &toy{
		keys: map[string]any{
			"general.architecture": "llama", "llama.block_count": uint32(2), "llama.embedding_length": uint32(8),
			"llama.feed_forward_length": uint32(12), "llama.attention.head_count": uint32(2),
			"llama.attention.head_count_kv": uint32(1), "llama.context_length": uint32(16),
		},
		tensors: map[string]toyTensor{},
	}
	state := uint32(1)
	add := func(name string, shape ...int) {
		n, _ := tensor.Elements(shape)
		v := make([]float32, n)
		for i := range v {
			state = state*1664525 + 1013904223
			v[i] = float32(state>>8)/(1<<24) - 0.5
		}
		m.tensors[name] = toyTensor{shape, v}
	}
	add("token_embd.weight", 10, 8)
	add("output_norm.weight", 8)
	for l := range 2 {
		p := fmt.Sprintf("blk.%d.", l)
		add(p+"attn_norm.weight", 8)
		add(p+"ffn_norm.weight", 8)
		add(p+"attn_q.weight", 8, 8)
		add(p+"attn_k.weight", 4, 8)
		add(p+"attn_v.weight", 4, 8)
		add(p+"attn_output.weight", 8, 8)
		add(p+"ffn_gate.weight", 12, 8)
		add(p+"ffn_up.weight", 12, 8)
		add(p+"ffn_down.weight", 8, 12)
	}
	return m
}

func f32Bytes(values []float32) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

func (m *toy) gguf(t testing.TB) Files {
	t.Helper()
	var w gguf.Writer
	for _, k := range sortedKeys(m.keys) {
		w.Set(k, m.keys[k])
	}
	for _, n := range sortedKeys(m.tensors) {
		w.Add(n, tensor.F32, m.tensors[n].shape, f32Bytes(m.tensors[n].values))
	}
	var b bytes.Buffer
	if err := w.Write(&b); err != nil {
		t.Fatal(err)
	}
	return memory(map[string][]byte{"toy.gguf": b.Bytes()})
}

// folder writes the toy as safetensors in the given number of shards, with its names and rotary layout changed to what a folder
// has.
func (m *toy) folder(t testing.TB, shards int, config map[string]any) Files {
	t.Helper()
	base := map[string]any{
		"architectures": []string{"LlamaForCausalLM"}, "model_type": "llama", "hidden_size": 8, "intermediate_size": 12,
		"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 16,
		"rms_norm_eps": 1e-5, "tie_word_embeddings": true,
	}
	maps.Copy(base, config)
	files := map[string][]byte{}
	var err error
	if files[configName], err = json.Marshal(base); err != nil {
		t.Fatal(err)
	}
	headers, data := make([]map[string]any, shards), make([][]byte, shards)
	weightMap := map[string]string{}
	for i, n := range sortedKeys(m.tensors) {
		s := i % shards
		if headers[s] == nil {
			headers[s] = map[string]any{}
		}
		name := strings.NewReplacer(
			"token_embd", "model.embed_tokens", "output_norm", "model.norm", "blk.", "model.layers.",
			"attn_norm", "input_layernorm", "ffn_norm", "post_attention_layernorm", "attn_q", "self_attn.q_proj",
			"attn_k", "self_attn.k_proj", "attn_v", "self_attn.v_proj", "attn_output", "self_attn.o_proj",
			"ffn_gate", "mlp.gate_proj", "ffn_up", "mlp.up_proj", "ffn_down", "mlp.down_proj",
		).Replace(n)
		ts := m.tensors[n]
		b := f32Bytes(ts.values)
		if strings.Contains(n, "attn_q.weight") || strings.Contains(n, "attn_k.weight") {
			b = unpermute(b, ts.shape[0], 4, 8*4)
		}
		headers[s][name] = map[string]any{"dtype": "F32", "shape": ts.shape, "data_offsets": []int{len(data[s]), len(data[s]) + len(b)}}
		data[s] = append(data[s], b...)
		weightMap[name] = fmt.Sprintf("model-%05d-of-%05d.safetensors", s+1, shards)
	}
	for s := range shards {
		h, err := json.Marshal(headers[s])
		if err != nil {
			t.Fatal(err)
		}
		b := append(binary.LittleEndian.AppendUint64(nil, uint64(len(h))), h...)
		files[fmt.Sprintf("model-%05d-of-%05d.safetensors", s+1, shards)] = append(b, data[s]...)
	}
	if shards > 1 {
		if files["model.safetensors.index.json"], err = json.Marshal(map[string]any{"weight_map": weightMap}); err != nil {
			t.Fatal(err)
		}
	}
	return memory(files)
}

// unpermute turns rows whose neighbours are rotated together into rows whose halves are, head by head.
func unpermute(b []byte, rows, headDim, rowBytes int) []byte {
	out := make([]byte, len(b))
	for r := range rows {
		head, i := r/headDim, r%headDim
		to := head*headDim + i/2 + i%2*headDim/2
		copy(out[to*rowBytes:(to+1)*rowBytes], b[r*rowBytes:])
	}
	return out
}

func TestFormatsAgree(t *testing.T) {
	t.Parallel()
	ids := []int{1, 9, 3, 3, 0}
	run := func(files Files) [][]float32 {
		m, err := Open(context.Background(), files)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		return evalAll(t, session(t, m, SessionOptions{Threads: 2}), ids)
	}
	near := cmp.Comparer(func(a, b float32) bool { return math.Abs(float64(a-b)) < 1e-5 })
	want := run(newToy().gguf(t))
	for shards := 1; shards <= 3; shards++ {
		if d := cmp.Diff(want, run(newToy().folder(t, shards, nil)), near); d != "" {
			t.Errorf("%d shards: %s", shards, d)
		}
	}
	// Rotary scaling of Llama 3: config.json gives the rule, a GGUF file the resulting factors. The pairs' wavelengths are 2π
	// and 200π, against bounds of 12 and 3 for an original context of 12.
	scaled := newToy()
	scaled.tensors["rope_freqs.weight"] = toyTensor{[]int{2}, []float32{float32(1 / ((1-blend)/8 + blend)), 8}}
	folder := newToy().folder(t, 1, map[string]any{"rope_scaling": map[string]any{
		"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 12,
	}})
	if d := cmp.Diff(run(scaled.gguf(t)), run(folder), near); d != "" {
		t.Errorf("llama3 scaling: %s", d)
	}
	linear := newToy()
	linear.keys["llama.rope.scaling.type"], linear.keys["llama.rope.scaling.factor"] = "linear", float32(4)
	folder = newToy().folder(t, 1, map[string]any{"rope_scaling": map[string]any{"type": "linear", "factor": 4}})
	got := run(linear.gguf(t))
	if d := cmp.Diff(got, run(folder), near); d != "" || cmp.Equal(got, want, near) {
		t.Errorf("linear scaling: %s", d)
	}
	for _, key := range []string{"llama.rope.scaling.factor", "llama.rope.scale_linear"} {
		old := newToy()
		old.keys[key] = float32(4)
		if d := cmp.Diff(got, run(old.gguf(t))); d != "" {
			t.Errorf("%s without a type: %s", key, d)
		}
	}
	uniform := newToy()
	uniform.keys["llama.attention.head_count"] = []int32{2, 2}
	if d := cmp.Diff(want, run(uniform.gguf(t))); d != "" {
		t.Errorf("heads of each layer: %s", d)
	}
	// A window as long as the text changes nothing, a shorter one does.
	for window, same := range map[int]bool{5: true, 2: false} {
		mistral := newToy().folder(t, 1, map[string]any{"model_type": "mistral", "sliding_window": window})
		if cmp.Equal(want, run(mistral), near) != same {
			t.Errorf("window of %d: same logits is not %v", window, same)
		}
	}
}

// blend is the share of the unscaled frequency for a wavelength of 2π: 12/2π turns between 1 and 4.
const blend = (12/(2*math.Pi) - 1) / 3

func TestRefusedModels(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	folder := func(config map[string]any) Files { return newToy().folder(t, 1, config) }
	change := func(f func(*toy)) Files { m := newToy(); f(m); return m.gguf(t) }
	for _, c := range []struct {
		name        string
		files       Files
		unsupported bool
		says        string
	}{
		{"nothing", memory(nil), true, "no safetensors or GGUF"},
		{"two GGUF files", memory(map[string][]byte{"a.gguf": nil, "b.gguf": nil}), true, "2 models in GGUF files"},
		{"architecture", folder(map[string]any{"model_type": "mamba", "architectures": []string{"MambaForCausalLM"}}), true, `"MambaForCausalLM" (mamba)`},
		{"quantization", folder(map[string]any{"quantization_config": map[string]any{"quant_method": "aqlm"}}), true, `"aqlm" of safetensors`},
		{"activation", folder(map[string]any{"hidden_act": "xielu"}), true, "xielu"},
		{"rope scaling", folder(map[string]any{"rope_scaling": map[string]any{"rope_type": "spiral"}}), true, "spiral"},
		{"experts", change(func(m *toy) { m.keys["llama.expert_count"] = uint32(8) }), false, "used experts"},
		{"experts without tensors", change(func(m *toy) {
			m.keys["llama.expert_count"], m.keys["llama.expert_used_count"] = uint32(8), uint32(2)
		}), false, "blk.0.ffn_gate_inp.weight"},
		{"windows of too few layers", folder(map[string]any{"model_type": "mistral", "sliding_window": 4, "layer_types": []string{"full_attention"}}), false, "cover"},
		{"layers of another type", folder(map[string]any{"model_type": "mistral", "layer_types": []string{"full_attention", "linear_attention"}}), true, "linear_attention"},
		{"long rope with too few factors", folder(map[string]any{"rope_scaling": map[string]any{"type": "longrope", "long_factor": []float64{1}}}), false, "one for each"},
		{"yarn beyond reason", folder(map[string]any{"rope_scaling": map[string]any{"type": "yarn", "factor": -1}}), false, "out of range"},
		{"sizes of each layer", change(func(m *toy) { m.keys["llama.expert_count"] = []int32{2, 1} }), true, "differs between layers"},
		{"widths of too few layers", change(func(m *toy) {
			m.keys["llama.feed_forward_length"] = []int32{12, 13}
			m.keys["llama.block_count"] = uint32(3)
		}), false, "cover"},
		{"a step of no layers", folder(map[string]any{"num_experts": 2, "decoder_sparse_step": 0}), false, "a step of 0"},
		{"extra tensor", change(func(m *toy) { m.tensors["blk.0.attn_q_norm.weight"] = toyTensor{[]int{4}, make([]float32, 4)} }), true, "attn_q_norm"},
		{"part under another name", change(func(m *toy) { m.keys["split.count"] = uint32(3) }), false, "split.count is 3"},
		{"missing tensor", change(func(m *toy) { delete(m.tensors, "blk.1.ffn_up.weight") }), false, "blk.1.ffn_up.weight"},
		{"shape", change(func(m *toy) { m.keys["llama.feed_forward_length"] = uint32(13) }), false, "[12 8], the configuration wants [13 8]"},
		{"more layers than tensors", change(func(m *toy) { m.keys["llama.block_count"] = uint32(4000) }), false, "blk.2."},
		{"huge layer count", change(func(m *toy) { m.keys["llama.block_count"] = uint32(1 << 31) }), false, "layers"},
		{"no heads", change(func(m *toy) { m.keys["llama.attention.head_count"] = uint32(0) }), false, "heads"},
		{"heads that cannot be shared", change(func(m *toy) { m.keys["llama.attention.head_count_kv"] = uint32(3) }), false, "cannot share"},
		{"rotated dimensions", change(func(m *toy) { m.keys["llama.rope.dimension_count"] = uint32(64) }), false, "rotated"},
		{"epsilon", change(func(m *toy) { m.keys["llama.attention.layer_norm_rms_epsilon"] = float32(math.NaN()) }), false, "epsilon"},
		{"config that is no object", memory(map[string][]byte{configName: []byte("[1]"), weightsName: nil}), false, "not a JSON object"},
		{"fractional size", folder(map[string]any{"hidden_size": 8.5}), false, "hidden size"},
	} {
		m, err := Open(ctx, c.files)
		if err == nil {
			m.Close()
		}
		var unsupported *UnsupportedError
		var bad *MalformedError
		if c.unsupported && !errors.As(err, &unsupported) || !c.unsupported && !errors.As(err, &bad) || err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v", c.name, err)
		}
		if facts, err := Inspect(ctx, c.files); err == nil && (facts.Runnable || facts.Unsupported == "") {
			t.Errorf("%s: Inspect says it runs", c.name)
		}
	}
}

func TestScanTensors(t *testing.T) {
	t.Parallel()
	m := newToy()
	v := m.tensors["output_norm.weight"].values
	v[0], v[1], v[2], v[3] = float32(math.NaN()), float32(math.Inf(1)), 0, 7
	seen := map[string]TensorScan{}
	err := ScanTensors(context.Background(), m.gguf(t), func(s TensorScan) error {
		seen[s.Name] = s
		return nil
	})
	if err != nil || len(seen) != len(m.tensors) {
		t.Fatalf("%d tensors, %v", len(seen), err)
	}
	s := seen["output_norm.weight"]
	if s.NaN != 1 || s.Inf != 1 || s.Zero != 1 || s.Max != 7 || s.Elements != 8 || s.DType != "F32" {
		t.Errorf("%+v", s)
	}
	if s := seen["token_embd.weight"]; s.NaN+s.Inf != 0 || s.Min >= 0 || s.Max <= 0 || s.RMS < 0.2 || s.RMS > 0.4 {
		t.Errorf("%+v", s)
	}
	// NaN weights give an error or NaN, never a made-up token.
	broken, err := Open(context.Background(), m.gguf(t))
	if err != nil {
		t.Fatal(err)
	}
	defer broken.Close()
	if out, err := session(t, broken, SessionOptions{}).Generate(context.Background(), []int{1}, GenerateOptions{MaxTokens: 3}); err == nil {
		t.Errorf("generated %v from NaN weights", out)
	}
}

func TestRemoteCode(t *testing.T) {
	t.Parallel()
	facts, err := Inspect(context.Background(), newToy().folder(t, 1, map[string]any{
		"auto_map":    map[string]any{"AutoModel": "modeling.X"},
		"text_config": map[string]any{"_attn_implementation_internal": "other/repo"},
		"plain":       "value",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"auto_map", "text_config._attn_implementation_internal"}, facts.RemoteCode); d != "" {
		t.Error(d)
	}
}

func FuzzOpen(f *testing.F) {
	var b []byte
	var err error
	for _, m := range []*toy{newToy(), doubled()} {
		if b, err = readAll(context.Background(), m.gguf(f), "toy.gguf", 1<<20); err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, g := range generatedArchitectures {
		switch g.name {
		case "deepseek3", "deepseek2-absorbed", "falcon-40b", "gemma3", "gpt-oss", "mpt", "olmo3", "phi3-longrope", "qwen2moe",
			"llama4", "glm4moe", "ministral3", "minicpm3":
			if b, err = readAll(context.Background(), g.toy().gguf(f), "toy.gguf", 1<<20); err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	for _, g := range generatedEncoders {
		switch g.name {
		case "bert", "modern-bert", "nomic-bert", "roberta":
			if b, err = readAll(context.Background(), g.toy().gguf(f), "toy.gguf", 1<<20); err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Open(context.Background(), memory(map[string][]byte{"x.gguf": b}))
		noPanic(t, err)
		if err != nil {
			return
		}
		defer m.Close()
		encodeSome(t, m)
		if m.predicts() != nil {
			return
		}
		s := m.NewSession(SessionOptions{Threads: 1, Context: 8})
		defer s.Close()
		logits, err := s.Eval(context.Background(), []int{0, 0, 0})
		if err == nil && len(logits) != m.Vocabulary() {
			t.Fatalf("%d logits for a vocabulary of %d", len(logits), m.Vocabulary())
		}
	})
}

// encodeSome uses all that a model can do with whole texts.
func encodeSome(t *testing.T, m *Model) {
	t.Helper()
	ctx, ids := context.Background(), []int{0, 0, 0}
	e, err := m.NewEncoder(EncoderOptions{Threads: 1, MaxTokens: 8})
	if err != nil {
		return
	}
	defer e.Close()
	if v, err := e.EmbedTokens(ctx, ids); err == nil && len(v) != e.Size() {
		t.Fatalf("an embedding of %d elements, not %d", len(v), e.Size())
	}
	if scores, err := e.ClassifyTokens(ctx, ids); err == nil && len(scores) != len(e.Labels()) {
		t.Fatalf("%d scores for %d labels", len(scores), len(e.Labels()))
	}
	if logits, err := e.Predict(ctx, ids, 1); err == nil && len(logits) != 1 {
		t.Fatalf("%d predictions", len(logits))
	}
	if _, err := e.Tag(ctx, "a b"); err != nil {
		return
	}
}

// FuzzFolder opens folders of encoders with other configurations and modules.
func FuzzFolder(f *testing.F) {
	files := map[string]map[string][]byte{}
	for _, g := range generatedEncoders {
		all := contents(f, g.folder(f))
		files[g.name] = all
		f.Add(g.name, all[configName], []byte(`[]`), []byte(`{}`))
	}
	list, err := json.Marshal(modules("Pooling", "Normalize"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("bert", files["bert"][configName], list, []byte(`{"pooling_mode": "max"}`))
	f.Fuzz(func(t *testing.T, name string, config, modules, pooling []byte) {
		weights, ok := files[name]
		if !ok {
			return
		}
		m, err := Open(context.Background(), memory(map[string][]byte{
			configName: config, weightsName: weights[weightsName], modulesName: modules, "1_Pooling/" + configName: pooling,
		}))
		if err != nil {
			return
		}
		defer m.Close()
		encodeSome(t, m)
	})
}
