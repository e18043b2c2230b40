package inference

import (
	"context"
	"encoding/json"
	"maps"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/inference/packed/packtest"
)

// rebuilt changes a generated folder: its configuration, and the names of its tensors.
func (g *generated) rebuilt(t testing.TB, change func(config map[string]any) map[string]any, rename func(string) string, more map[string]toyTensor) Files {
	t.Helper()
	old := *g
	old.rewrite = func(tensors map[string]toyTensor) {
		if g.rewrite != nil {
			g.rewrite(tensors)
		}
		for name, tensor := range maps.Clone(tensors) {
			delete(tensors, name)
			tensors[rename(name)] = tensor
		}
		maps.Copy(tensors, more)
	}
	files := old.folder(t)
	b, err := readAll(context.Background(), files, configName, maxConfig)
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(b, &c); err != nil {
		t.Fatal(err)
	}
	weights, err := readAll(context.Background(), files, weightsName, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return memory(map[string][]byte{configName: jsonOf(t, change(c)), weightsName: weights})
}

func generatedNamed(t testing.TB, name string) *generated {
	t.Helper()
	for i := range generatedArchitectures {
		if g := generatedArchitectures[i]; g.name == name {
			return &g
		}
	}
	t.Fatalf("no generated model %s", name)
	return nil
}

// TestLanguageModelOfAnother compares language models that are parts of models that see with the same models alone.
func TestLanguageModelOfAnother(t *testing.T) {
	t.Parallel()
	ids := []int{1, 9, 3, 3, 0, 22, 17}
	run := func(files Files) ([][]float32, *Facts) {
		m, err := Open(context.Background(), files)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		return evalAll(t, session(t, m, SessionOptions{}), ids), m.Facts()
	}
	old := func(name string) string { return "language_model." + name }
	current := func(name string) string {
		if inner, ok := strings.CutPrefix(name, "model."); ok {
			return "model.language_model." + inner
		}
		return name
	}
	for _, c := range []struct {
		model, kind, architecture, seeing string
		rename                            func(string) string
	}{
		{"gemma3", "gemma3", "gemma3", "vision_tower.vision_model.embeddings.patch_embedding.weight", old},
		{"gemma3", "gemma3", "gemma3", "model.vision_tower.vision_model.embeddings.patch_embedding.weight", current},
		{"llama4", "llama4", "llama4", "vision_model.class_embedding", old},
		{"llama", "mistral3", "llama", "multi_modal_projector.linear_1.weight", old},
		{"llama", "llava", "llama", "model.multi_modal_projector.linear_1.weight", current},
	} {
		g := generatedNamed(t, c.model)
		same := func(name string) string { return name }
		want, alone := run(g.rebuilt(t, func(c map[string]any) map[string]any { return c }, same, nil))
		inner := func(config map[string]any) map[string]any {
			return map[string]any{"model_type": c.kind, "architectures": []string{"SeeingModel"}, "text_config": config, "vision_config": object{}}
		}
		more := map[string]toyTensor{c.seeing: {[]int{2}, []float32{1, 2}}}
		got, facts := run(g.rebuilt(t, inner, c.rename, more))
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s in %s: %s", c.model, c.kind, d)
		}
		if facts.Architecture != c.architecture || facts.ArchitectureName != "SeeingModel" || facts.Parameters != alone.Parameters+2 || facts.Layers != alone.Layers {
			t.Errorf("%s in %s: %v", c.model, c.kind, facts)
		}
	}
}

// TestMXFP4Experts compares gpt-oss in its published layout with the same values in F32.
func TestMXFP4Experts(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(8, 9))
	const hidden, feed, layers = genHidden, 64, 2
	var stored, plain shelf
	both := func(name string, n int, shape ...int) {
		v := make([]float32, n)
		for i := range v {
			v[i] = r.Float32() - 0.3
		}
		stored.floats(name, shape, v)
		plain.floats(name, shape, v)
	}
	both("model.embed_tokens.weight", genVocab*hidden, genVocab, hidden)
	both("model.norm.weight", hidden, hidden)
	both("lm_head.weight", genVocab*hidden, genVocab, hidden)
	for l := range layers {
		name := map[int]string{0: "model.layers.0.", 1: "model.layers.1."}[l]
		both(name+"input_layernorm.weight", hidden, hidden)
		both(name+"post_attention_layernorm.weight", hidden, hidden)
		both(name+"self_attn.q_proj.weight", genQ*hidden, genQ, hidden)
		both(name+"self_attn.k_proj.weight", genKVWidth*hidden, genKVWidth, hidden)
		both(name+"self_attn.v_proj.weight", genKVWidth*hidden, genKVWidth, hidden)
		both(name+"self_attn.o_proj.weight", hidden*genQ, hidden, genQ)
		both(name+"self_attn.sinks", genHeads, genHeads)
		both(name+"mlp.router.weight", genExperts*hidden, genExperts, hidden)
		both(name+"mlp.router.bias", genExperts, genExperts)
		both(name+"mlp.experts.gate_up_proj_bias", genExperts*2*feed, genExperts, 2*feed)
		both(name+"mlp.experts.down_proj_bias", genExperts*hidden, genExperts, hidden)
		for _, m := range []struct {
			name       string
			rows, cols int
		}{{"mlp.experts.gate_up_proj", 2 * feed, hidden}, {"mlp.experts.down_proj", hidden, feed}} {
			x := packtest.MXFP4(r, genExperts*m.rows, m.cols)
			for _, part := range x.Parts {
				stored.add(name+m.name+part.Suffix, part.DType, append([]int{genExperts, m.rows}, part.Shape[1:]...), part.Data)
			}
			var turned []float32
			for e := range genExperts {
				v := make([]float32, m.rows*m.cols)
				for i := range v {
					v[i] = float32(x.Values[e*len(v)+i])
				}
				turned = append(turned, transpose(v, m.rows, m.cols)...)
			}
			plain.floats(name+m.name, []int{genExperts, m.cols, m.rows}, turned)
		}
	}
	config := object{
		"model_type": "gpt_oss", "hidden_size": hidden, "intermediate_size": feed, "num_hidden_layers": layers,
		"num_attention_heads": genHeads, "num_key_value_heads": genKV, "head_dim": genDim, "max_position_embeddings": genContext,
		"num_local_experts": genExperts, "num_experts_per_tok": 3, "sliding_window": 5, "tie_word_embeddings": false,
		"layer_types": []string{"sliding_attention", "full_attention"},
	}
	run := func(s *shelf) [][]float32 {
		files := memory(map[string][]byte{configName: jsonOf(t, config), weightsName: s.file(t)})
		facts, err := Inspect(context.Background(), files)
		if err != nil || !facts.Runnable {
			t.Fatal(facts, err)
		}
		m, err := Open(context.Background(), files)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		return evalAll(t, session(t, m, SessionOptions{}), []int{1, 9, 3, 3, 0, 22, 17, 4, 4})
	}
	want := run(&plain)
	config["quantization_config"] = object{"quant_method": "mxfp4"}
	for i, got := range run(&stored) {
		largest := 0.0
		for _, v := range want[i] {
			largest = max(largest, math.Abs(float64(v)))
		}
		if d := largestDifference(want[i], got); !(d <= 1e-5*largest) {
			t.Errorf("position %d differs by %g, the largest is %g", i, d, largest)
		}
	}
}
