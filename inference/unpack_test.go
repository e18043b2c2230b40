package inference

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/carat-hub/carat/inference/packed/packtest"
)

// shelf collects tensors for a safetensors file.
type shelf struct {
	header map[string]any
	data   []byte
}

func (s *shelf) add(name, dtype string, shape []int, data []byte) {
	if s.header == nil {
		s.header = map[string]any{}
	}
	s.header[name] = map[string]any{"dtype": dtype, "shape": append([]int{}, shape...), "data_offsets": []int{len(s.data), len(s.data) + len(data)}}
	s.data = append(s.data, data...)
}

func (s *shelf) floats(name string, shape []int, values []float32) {
	s.add(name, "F32", shape, f32Bytes(values))
}

func (s *shelf) file(t testing.TB) []byte {
	t.Helper()
	h, err := json.Marshal(s.header)
	if err != nil {
		t.Fatal(err)
	}
	return append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(h))), h...), s.data...)
}

func jsonOf(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// quantized is a Llama model whose matrices pack makes, and the same model with their values in plain floating-point numbers.
func quantized(t testing.TB, hidden, feed, layers int, quantization any, pack func(r *rand.Rand, rows, cols int) packtest.Matrix) (stored, plain map[string][]byte) {
	t.Helper()
	r := rand.New(rand.NewPCG(5, 6))
	var s, p shelf
	both := func(name string, shape []int, n int) {
		v := make([]float32, n)
		for i := range v {
			v[i] = r.Float32() + 0.5
		}
		s.floats(name, shape, v)
		p.floats(name, shape, v)
	}
	both("model.embed_tokens.weight", []int{40, hidden}, 40*hidden)
	both("model.norm.weight", []int{hidden}, hidden)
	for l := range layers {
		name := fmt.Sprintf("model.layers.%d.", l)
		both(name+"input_layernorm.weight", []int{hidden}, hidden)
		both(name+"post_attention_layernorm.weight", []int{hidden}, hidden)
		for _, m := range []struct {
			name       string
			rows, cols int
		}{
			{"self_attn.q_proj", hidden, hidden},
			{"self_attn.k_proj", hidden / 2, hidden},
			{"self_attn.v_proj", hidden / 2, hidden},
			{"self_attn.o_proj", hidden, hidden},
			{"mlp.gate_proj", feed, hidden},
			{"mlp.up_proj", feed, hidden},
			{"mlp.down_proj", hidden, feed},
		} {
			x := pack(r, m.rows, m.cols)
			for _, part := range x.Parts {
				s.add(name+m.name+part.Suffix, part.DType, part.Shape, part.Data)
			}
			v := make([]float32, len(x.Values))
			for i := range v {
				v[i] = float32(x.Values[i])
			}
			p.floats(name+m.name+".weight", []int{m.rows, m.cols}, v)
		}
		both(name+"self_attn.q_proj.bias", []int{hidden}, hidden)
	}
	config := map[string]any{
		"model_type": "llama", "hidden_size": hidden, "intermediate_size": feed, "num_hidden_layers": layers, "num_attention_heads": 4,
		"num_key_value_heads": 2, "max_position_embeddings": 64, "vocab_size": 40, "tie_word_embeddings": true,
	}
	plain = map[string][]byte{configName: jsonOf(t, config), weightsName: p.file(t)}
	config["quantization_config"] = quantization
	return map[string][]byte{configName: jsonOf(t, config), weightsName: s.file(t)}, plain
}

type packing struct {
	quantization any
	pack         func(r *rand.Rand, rows, cols int) packtest.Matrix
}

var packings = map[string]packing{
	"fp8": {object{"quant_method": "fp8", "weight_block_size": []int{48, 32}}, func(r *rand.Rand, rows, cols int) packtest.Matrix {
		return packtest.Scaled(r, rows, cols, "F8_E4M3", ".weight_scale_inv", [2]int{48, 32}, 1)
	}},
	"compressed-tensors-fp8": {object{"quant_method": "compressed-tensors", "format": "float-quantized", "config_groups": object{
		"group_0": object{"weights": object{"num_bits": 8, "type": "float", "strategy": "channel"}},
	}}, func(r *rand.Rand, rows, cols int) packtest.Matrix {
		return packtest.Scaled(r, rows, cols, "F8_E4M3", ".weight_scale", [2]int{1, 0}, 1)
	}},
	"compressed-tensors-int4": {object{"quant_method": "compressed-tensors", "format": "pack-quantized", "config_groups": object{
		"group_0": object{"weights": object{"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32}},
	}}, func(r *rand.Rand, rows, cols int) packtest.Matrix { return packtest.Words(r, rows, cols, 4, 32, true) }},
	"gptq-int4": {object{"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": true}, func(r *rand.Rand, rows, cols int) packtest.Matrix {
		return packtest.GPTQ(r, rows, cols, 4, 32, true, false, false, true)
	}},
	"gptq-int3": {object{"quant_method": "gptq", "bits": 3, "group_size": -1, "checkpoint_format": "gptq_v2"}, func(r *rand.Rand, rows, cols int) packtest.Matrix {
		return packtest.GPTQ(r, rows, cols, 3, -1, false, true, true, false)
	}},
	"awq-int4": {object{"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm", "zero_point": true}, func(r *rand.Rand, rows, cols int) packtest.Matrix {
		return packtest.AWQ(r, rows, cols, 32)
	}},
	"bitsandbytes-int8": {object{"quant_method": "bitsandbytes", "load_in_8bit": true}, func(r *rand.Rand, rows, cols int) packtest.Matrix {
		m := packtest.Scaled(r, rows, cols, "I8", ".SCB", [2]int{1, 0}, 1.0/127)
		m.Parts = append(m.Parts, packtest.Part{Suffix: ".weight_format", DType: "U8", Data: []byte{0}})
		return m
	}},
	"bitsandbytes-nf4": {object{"quant_method": "bitsandbytes", "load_in_4bit": true, "bnb_4bit_quant_type": "nf4"}, func(r *rand.Rand, rows, cols int) packtest.Matrix {
		return packtest.FourBit(r, rows, cols, "nf4", 64, true)
	}},
}

// TestQuantizedFolders compares the logits of quantized models with those of the same weights in F32.
func TestQuantizedFolders(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	ids := []int{1, 9, 3, 3, 0, 22, 17}
	for name, c := range packings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stored, plain := quantized(t, 64, 96, 2, c.quantization, c.pack)
			run := func(files Files, o SessionOptions) [][]float32 {
				m, err := Open(ctx, files)
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				return evalAll(t, session(t, m, o), ids)
			}
			want := run(memory(plain), SessionOptions{Threads: 2})
			dir := t.TempDir()
			for name, b := range stored {
				if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			mapped, err := OpenPath(dir)
			if err != nil {
				t.Fatal(err)
			}
			for how, got := range map[string][][]float32{
				"read":   run(memory(stored), SessionOptions{Threads: 2}),
				"mapped": run(mapped, SessionOptions{Threads: 1, Batch: 3}),
			} {
				for i := range want {
					largest := 0.0
					for _, v := range want[i] {
						largest = math.Max(largest, math.Abs(float64(v)))
					}
					if d := largestDifference(want[i], got[i]); !(d <= 2e-5*largest) {
						t.Errorf("%s: logits of position %d differ by %g, the largest is %g", how, i, d, largest)
					}
				}
			}
			facts, err := Inspect(ctx, mapped)
			if err != nil || !facts.Runnable || facts.Quantization != name {
				t.Errorf("%v, %+v", err, facts)
			}
		})
	}
}

// TestQuantizedMatricesStayPacked measures what opening allocates beside the mapping, and beside what the same model takes whose
// matrices are not quantized: names and norms.
func TestQuantizedMatricesStayPacked(t *testing.T) {
	// Not parallel: it counts the allocations of the whole process.
	opening := func(content map[string][]byte) int {
		dir := t.TempDir()
		for name, b := range content {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		files, err := OpenPath(dir)
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m, err := Open(context.Background(), files)
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		return int(after.TotalAlloc - before.TotalAlloc)
	}
	for name, c := range packings {
		stored, plain := quantized(t, 256, 1024, 1, c.quantization, c.pack)
		if more, file := opening(stored)-opening(plain), len(stored[weightsName]); more > file/5 {
			t.Errorf("%s: %d bytes allocated for a file of %d", name, more, file)
		}
	}
}

// FuzzOpenFolder opens folders of foreign configurations and weights and runs what opens.
func FuzzOpenFolder(f *testing.F) {
	for _, c := range packings {
		stored, _ := quantized(f, 64, 32, 1, c.quantization, c.pack)
		f.Add(stored[configName], stored[weightsName])
	}
	for i := range generatedArchitectures {
		switch g := &generatedArchitectures[i]; g.name {
		case "llama4", "gpt-oss", "granitemoe", "deepseek3", "gemma3", "glm4moe", "exaone4":
			inner := func(c map[string]any) map[string]any { return c }
			if g.name == "gemma3" {
				inner = func(c map[string]any) map[string]any { return object{"model_type": "gemma3", "text_config": c} }
			}
			files := g.rebuilt(f, inner, func(name string) string { return name }, nil)
			var both [2][]byte
			for i, name := range []string{configName, weightsName} {
				b, err := readAll(context.Background(), files, name, 1<<30)
				if err != nil {
					f.Fatal(err)
				}
				both[i] = b
			}
			f.Add(both[0], both[1])
		}
	}
	f.Fuzz(func(t *testing.T, config, weights []byte) {
		m, err := Open(context.Background(), memory(map[string][]byte{configName: config, weightsName: weights}))
		if err != nil {
			if strings.Contains(err.Error(), "runtime error") {
				t.Fatal(err)
			}
			return
		}
		defer m.Close()
		s := m.NewSession(SessionOptions{Threads: 1, Context: 8})
		defer s.Close()
		if _, err := s.Eval(context.Background(), []int{0, 0, 0}); err != nil && strings.Contains(err.Error(), "runtime error") {
			t.Fatal(err)
		}
	})
}
