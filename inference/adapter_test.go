package inference

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/inference/tensor"
)

// loraPair are the matrices A, {rank, cols}, and B, {rows, rank}, of one module.
type loraPair struct {
	rank, rows, cols int
	a, b             []float32
}

func newPair(r *rand.Rand, rank, rows, cols int) loraPair {
	values := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(r.IntN(129)-64) / 256
		}
		return v
	}
	return loraPair{rank, rows, cols, values(rank * cols), values(rows * rank)}
}

// product is scale*B*A, {rows, cols}.
func (p loraPair) product(scale float64) []float32 {
	out := make([]float32, p.rows*p.cols)
	for i := range p.rows {
		for j := range p.cols {
			sum := 0.0
			for k := range p.rank {
				sum += float64(p.b[i*p.rank+k]) * float64(p.a[k*p.cols+j])
			}
			out[i*p.cols+j] = float32(scale * sum)
		}
	}
	return out
}

// merged adds what an adapter does to the tensors of a folder, as rewrite does it. It adapts every matrix but those of embeddings
// and the ones that skip names, and returns the adapter's own tensors.
func merged(r *rand.Rand, rank int, scale float64, transposed bool, skip func(string) bool, tensors map[string]toyTensor) *shelf {
	var s shelf
	for _, name := range sortedKeys(tensors) {
		module, ok := strings.CutSuffix(name, ".weight")
		t := tensors[name]
		if !ok || len(t.shape) != 2 || skip(module) {
			continue
		}
		rows, cols := t.shape[0], t.shape[1]
		turned := transposed && !strings.Contains(module, "lm_head")
		if turned {
			rows, cols = cols, rows
		}
		p := newPair(r, rank, rows, cols)
		s.floats("base_model.model."+module+".lora_A.weight", []int{rank, cols}, p.a)
		s.floats("base_model.model."+module+".lora_B.weight", []int{rows, rank}, p.b)
		add := p.product(scale)
		if turned {
			add = transpose(add, rows, cols)
		}
		t.values = append([]float32(nil), t.values...)
		for i := range add {
			t.values[i] += add[i]
		}
		tensors[name] = t
	}
	return &s
}

func folderOf(t testing.TB, config any, s *shelf) Files {
	t.Helper()
	return memory(map[string][]byte{adapterConfigName: jsonOf(t, config), adapterWeightsName: s.file(t)})
}

func openAdapted(t testing.TB, files Files, adapters ...Adapter) *Model {
	t.Helper()
	o := SessionOptions{Threads: 1, Context: 16, Batch: 4}
	estimate, err := EstimateMemory(t.Context(), files, o, adapters...)
	if err != nil {
		t.Fatal(err)
	}
	m, err := OpenWith(context.Background(), files, OpenOptions{Adapters: adapters})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	plain, err := EstimateMemory(t.Context(), files, o)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case m.Memory(o) != estimate:
		t.Errorf("the open model says %+v, the estimate was %+v", m.Memory(o), estimate)
	case len(adapters) > 0 && (estimate.Weights <= plain.Weights || estimate.Activations <= plain.Activations):
		t.Errorf("with adapters it takes %+v, without %+v", estimate, plain)
	}
	return m
}

// near compares logits with a tolerance in parts of the largest of a position.
func near(t *testing.T, what string, want, got [][]float32, tolerance float64) {
	t.Helper()
	for i := range want {
		largest := 0.0
		for _, v := range want[i] {
			largest = math.Max(largest, math.Abs(float64(v)))
		}
		if d := largestDifference(want[i], got[i]); !(d <= tolerance*largest) {
			t.Errorf("%s: logits of position %d differ by %g, the largest is %g", what, i, d, largest)
		}
	}
}

var adapterIDs = []int{1, 9, 3, 3, 0, 22, 17, 4}

// TestAdaptedFolders compares models that are opened with an adapter for all their matrices with models whose weights have it
// merged in: such with experts, fused, grouped and transposed matrices, and compressed keys and values.
func TestAdaptedFolders(t *testing.T) {
	t.Parallel()
	const rank, alpha = 3, 5
	for _, name := range []string{"llama", "qwen2", "mixtral", "gemma", "phi3", "gpt2", "gptneox", "falcon-40b", "deepseek3", "glm4moe", "baichuan-7b", "internlm2"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := generatedNamed(t, name)
			skip := func(module string) bool {
				return strings.Contains(module, "embed") || strings.Contains(module, "wte") || strings.Contains(module, "wpe") ||
					name == "glm4moe" && strings.Contains(module, "layers.4")
			}
			m := openAdapted(t, g.folder(t))
			before := evalAll(t, session(t, m, SessionOptions{}), adapterIDs)
			var weights *shelf
			whole := *g
			whole.rewrite = func(tensors map[string]toyTensor) {
				if g.rewrite != nil {
					g.rewrite(tensors)
				}
				weights = merged(rand.New(rand.NewPCG(4, 2)), rank, float64(alpha)/rank, g.transposed, skip, tensors)
			}
			want := evalAll(t, session(t, openAdapted(t, whole.folder(t)), SessionOptions{}), adapterIDs)
			config := object{"peft_type": "LORA", "r": rank, "lora_alpha": alpha, "fan_in_fan_out": g.transposed}
			adapted := openAdapted(t, g.folder(t), Adapter{Files: folderOf(t, config, weights)})
			near(t, "merged", want, evalAll(t, session(t, adapted, SessionOptions{Threads: 2}), adapterIDs), 1e-5)
			near(t, "merged, in batches", want, evalAll(t, session(t, adapted, SessionOptions{Threads: 1, Batch: 3}), adapterIDs), 1e-5)
			if d := largestDifference(before[7], want[7]); d < 1e-2 {
				t.Errorf("the adapter changes next to nothing: %g", d)
			}
		})
	}
}

// TestAdapterFactors compares what configurations say of scales, for one module and the embeddings.
func TestAdapterFactors(t *testing.T) {
	t.Parallel()
	g := generatedNamed(t, "qwen2") // whose output is no copy of the embeddings
	r := rand.New(rand.NewPCG(6, 1))
	q, embedding := newPair(r, 4, genQ, genHidden), newPair(r, 2, genHidden, genVocab)
	const module = "model.layers.1.self_attn.q_proj"
	var s shelf
	s.floats("base_model.model."+module+".lora_A.weight", []int{4, genHidden}, q.a)
	s.floats("base_model.model."+module+".lora_B.weight", []int{genQ, 4}, q.b)
	s.floats("base_model.model.model.embed_tokens.lora_embedding_A", []int{2, genVocab}, embedding.a)
	s.floats("base_model.model.model.embed_tokens.lora_embedding_B", []int{genHidden, 2}, embedding.b)
	for name, c := range map[string]struct {
		config        object
		scale         float32
		q, embeddings float64 // what the products are multiplied by
	}{
		"plain":      {object{"r": 4, "lora_alpha": 6, "rank_pattern": object{"embed_tokens": 2}}, 0, 6.0 / 4, 6.0 / 2},
		"root":       {object{"r": 4, "lora_alpha": 6, "use_rslora": true, "rank_pattern": object{"embed_tokens": 2}}, 0, 3, 6 / math.Sqrt2},
		"patterns":   {object{"r": 2, "lora_alpha": 6, "alpha_pattern": object{`layers\.1\..*q_proj`: 8}, "rank_pattern": object{"q_proj": 4}}, 0, 2, 3},
		"scaled":     {object{"r": 4, "lora_alpha": 4, "rank_pattern": object{"model.embed_tokens": 2}}, 0.5, 0.5, 1},
		"backwards":  {object{"r": 4, "lora_alpha": 4, "rank_pattern": object{"model.embed_tokens": 2}}, -1, -1, -2},
		"by default": {object{"r": 4, "rank_pattern": object{"embed_tokens": 2}}, 0, 2, 4},
	} {
		whole := *g
		whole.rewrite = func(tensors map[string]toyTensor) {
			add := func(name string, values []float32) {
				x := tensors[name]
				x.values = append([]float32(nil), x.values...)
				for i := range values {
					x.values[i] += values[i]
				}
				tensors[name] = x
			}
			add(module+".weight", q.product(c.q))
			add("model.embed_tokens.weight", transpose(embedding.product(c.embeddings), genHidden, genVocab))
		}
		want := evalAll(t, session(t, openAdapted(t, whole.folder(t)), SessionOptions{}), adapterIDs)
		m := openAdapted(t, g.folder(t), Adapter{Files: folderOf(t, c.config, &s), Scale: c.scale})
		near(t, name, want, evalAll(t, session(t, m, SessionOptions{}), adapterIDs), 1e-5)
	}
	// Two adapters add up: one and its opposite are none.
	config := object{"r": 4, "rank_pattern": object{"embed_tokens": 2}}
	want := evalAll(t, session(t, openAdapted(t, g.folder(t)), SessionOptions{}), adapterIDs)
	m := openAdapted(t, g.folder(t), Adapter{Files: folderOf(t, config, &s)}, Adapter{Files: folderOf(t, config, &s), Scale: -1})
	near(t, "opposites", want, evalAll(t, session(t, m, SessionOptions{}), adapterIDs), 1e-5)
}

// ggufAdapter writes an adapter of pairs by the names of tensors; a pair of a stack has as many values as that has matrices.
func ggufAdapter(t testing.TB, arch string, alpha float32, pairs map[string]loraPair, stack int) Files {
	t.Helper()
	var w gguf.Writer
	w.Set("general.type", "adapter")
	w.Set("general.architecture", arch)
	w.Set("adapter.type", "lora")
	w.Set("adapter.lora.alpha", alpha)
	w.Set("general.base_model.0.name", "Base")
	for _, name := range sortedKeys(pairs) {
		p := pairs[name]
		down, up := []int{p.rank, p.cols}, []int{p.rows, p.rank}
		switch {
		case strings.HasSuffix(name, "_exps"):
			down, up = []int{stack, p.rank, p.cols}, []int{stack, p.rows / stack, p.rank}
		case name == "token_embd":
			down = []int{p.cols, p.rank}
			p.a = transpose(p.a, p.rank, p.cols)
		}
		w.Add(name+".weight.lora_a", tensor.F32, down, f32Bytes(p.a))
		w.Add(name+".weight.lora_b", tensor.F32, up, f32Bytes(p.b))
	}
	var b bytes.Buffer
	if err := w.Write(&b); err != nil {
		t.Fatal(err)
	}
	return memory(map[string][]byte{"adapter.gguf": b.Bytes()})
}

func TestAdaptedGGUF(t *testing.T) {
	t.Parallel()
	for _, alpha := range []float32{0, 6} {
		g := generatedNamed(t, "mixtral")
		r := rand.New(rand.NewPCG(7, 3))
		m := g.toy()
		before := evalAll(t, session(t, openAdapted(t, m.gguf(t)), SessionOptions{}), adapterIDs)
		scale := 1.0
		if alpha != 0 {
			scale = float64(alpha) / 3
		}
		pairs := map[string]loraPair{}
		add := func(name string, values []float32) {
			x := m.tensors[name+".weight"]
			x.values = append([]float32(nil), x.values...)
			for i := range values {
				x.values[i] += values[i]
			}
			m.tensors[name+".weight"] = x
		}
		for l := range genLayers {
			for _, base := range []string{"attn_q", "attn_v", "attn_output", "ffn_gate_inp"} {
				name := fmt.Sprintf("blk.%d.%s", l, base)
				shape := m.tensors[name+".weight"].shape
				pairs[name] = newPair(r, 3, shape[0], shape[1])
				add(name, pairs[name].product(scale))
			}
			// Each expert has a pair of its own.
			name := fmt.Sprintf("blk.%d.ffn_down_exps", l)
			all := loraPair{rank: 3, rows: genExperts * genHidden, cols: genExpertFeed}
			var values []float32
			for range genExperts {
				p := newPair(r, 3, genHidden, genExpertFeed)
				all.a, all.b = append(all.a, p.a...), append(all.b, p.b...)
				values = append(values, p.product(scale)...)
			}
			pairs[name] = all
			add(name, values)
		}
		pairs["token_embd"] = newPair(r, 3, genHidden, genVocab)
		add("token_embd", transpose(pairs["token_embd"].product(scale), genHidden, genVocab))
		adapter := ggufAdapter(t, "llama", alpha, pairs, genExperts)
		want := evalAll(t, session(t, openAdapted(t, m.gguf(t)), SessionOptions{}), adapterIDs)
		adapted := openAdapted(t, g.toy().gguf(t), Adapter{Files: adapter})
		near(t, "merged", want, evalAll(t, session(t, adapted, SessionOptions{}), adapterIDs), 1e-5)
		if d := largestDifference(before[7], want[7]); d < 1e-2 {
			t.Errorf("the adapter changes next to nothing: %g", d)
		}
		facts, err := Inspect(context.Background(), adapter)
		if err != nil || facts.Runnable || facts.Adapter == nil || facts.Adapter.Base != "Base" || facts.Adapter.Rank != 3 || facts.Adapter.Alpha != float64(alpha) ||
			len(facts.Adapter.Modules) != len(pairs) || !strings.Contains(facts.Unsupported, `runs with the model that it adapts, "Base"`) {
			t.Errorf("%+v, %v", facts, err)
		}
	}
}

func TestAdapterFacts(t *testing.T) {
	t.Parallel()
	var s shelf
	s.floats("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", []int{2, 8}, make([]float32, 16))
	s.floats("base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight", []int{8, 2}, make([]float32, 16))
	facts, err := Inspect(context.Background(), folderOf(t, object{
		"base_model_name_or_path": "org/model", "peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": []string{"v_proj", "q_proj"},
	}, &s))
	if err != nil {
		t.Fatal(err)
	}
	// What cannot be applied has facts too.
	if f, err := Inspect(context.Background(), folderOf(t, object{"peft_type": "IA3", "base_model_name_or_path": "org/model"}, &s)); err != nil || f.Adapter.Base != "org/model" {
		t.Errorf("%+v, %v", f, err)
	}
	want := &AdapterFacts{Base: "org/model", Rank: 2, Alpha: 4, Modules: []string{"q_proj", "v_proj"}}
	if d := cmp.Diff(want, facts.Adapter); d != "" || facts.Parameters != 32 || facts.Runnable {
		t.Errorf("%s, %+v", d, facts)
	}
}

func TestRefusedAdapters(t *testing.T) {
	t.Parallel()
	type tensors = map[string]toyTensor
	const q = "base_model.model.model.layers.1.self_attn.q_proj"
	good := func() tensors {
		return tensors{
			q + ".lora_A.weight": {[]int{2, 8}, make([]float32, 16)}, q + ".lora_B.weight": {[]int{8, 2}, make([]float32, 16)},
		}
	}
	with := func(config object, change func(tensors)) Files {
		all := good()
		if change != nil {
			change(all)
		}
		var s shelf
		for _, name := range sortedKeys(all) {
			s.floats(name, all[name].shape, all[name].values)
		}
		base := object{"r": 2, "lora_alpha": 2}
		maps.Copy(base, config)
		return folderOf(t, base, &s)
	}
	folder := newToy().folder(t, 1, nil)
	if m, err := OpenWith(context.Background(), folder, OpenOptions{Adapters: []Adapter{{Files: with(nil, nil)}}}); err != nil {
		t.Fatal(err)
	} else if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	pair := map[string]loraPair{"blk.0.attn_q": newPair(rand.New(rand.NewPCG(1, 1)), 2, 8, 8)}
	for name, c := range map[string]struct {
		model, adapter Files
		unsupported    bool
		says           string
	}{
		"another method":      {folder, with(object{"peft_type": "IA3"}, nil), true, `"IA3" instead of LORA`},
		"DoRA":                {folder, with(object{"use_dora": true}, nil), true, "DoRA"},
		"biases":              {folder, with(object{"bias": "all"}, nil), true, "trained biases"},
		"whole modules":       {folder, with(object{"modules_to_save": []string{"lm_head"}}, nil), true, "lm_head"},
		"a hopeless pattern":  {folder, with(object{"alpha_pattern": object{"(?=x)": 2}}, nil), true, `the pattern "(?=x)"`},
		"patterns that clash": {folder, with(object{"alpha_pattern": object{"q_proj": 2, "self_attn.q_proj": 3}}, nil), true, "matches several patterns"},
		"no rank":             {folder, with(object{"r": 0}, nil), false, "rank 0"},
		"another rank":        {folder, with(object{"r": 4}, nil), false, "have rank 2, the configuration says 4"},
		"an unknown module": {folder, with(nil, func(a tensors) {
			a["base_model.model.model.layers.2.self_attn.q_proj.lora_A.weight"], a["base_model.model.model.layers.2.self_attn.q_proj.lora_B.weight"] = a[q+".lora_A.weight"], a[q+".lora_B.weight"]
		}), false, `("model.layers.2.self_attn.q_proj"): the model has no such matrix`},
		"half a pair":       {folder, with(nil, func(a tensors) { delete(a, q+".lora_B.weight") }), false, "one of its two matrices is missing"},
		"a wider input":     {folder, with(nil, func(a tensors) { a[q+".lora_A.weight"] = toyTensor{[]int{2, 9}, make([]float32, 18)} }), false, "has shape [2 9], the model wants [2 8]"},
		"a shorter output":  {folder, with(nil, func(a tensors) { a[q+".lora_B.weight"] = toyTensor{[]int{7, 2}, make([]float32, 14)} }), false, "has shape [7 2], the model wants [8 2]"},
		"a vector":          {folder, with(nil, func(a tensors) { a[q+".lora_B.weight"] = toyTensor{[]int{7}, make([]float32, 7)} }), false, "is of no matrix"},
		"another tensor":    {folder, with(nil, func(a tensors) { a["x"] = toyTensor{[]int{1, 1}, make([]float32, 1)} }), true, `tensor "x" is no low-rank matrix`},
		"a model":           {folder, folder, true, "no adapter"},
		"for a folder":      {newToy().gguf(t), with(nil, nil), true, "must be alike"},
		"for a GGUF file":   {folder, ggufAdapter(t, "llama", 1, pair, 1), true, "must be alike"},
		"for another model": {newToy().gguf(t), ggufAdapter(t, "qwen2", 1, pair, 1), true, `for the architecture "qwen2"`},
	} {
		m, err := OpenWith(context.Background(), c.model, OpenOptions{Adapters: []Adapter{{Files: c.adapter}}})
		if err == nil {
			m.Close()
		}
		var unsupported *UnsupportedError
		var bad *MalformedError
		if c.unsupported && !errors.As(err, &unsupported) || !c.unsupported && !errors.As(err, &bad) || err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// FuzzAdapter opens a model with foreign adapters and runs what opens.
func FuzzAdapter(f *testing.F) {
	var s shelf
	for _, module := range []string{"model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj"} {
		cols := map[bool]int{true: 12, false: 8}[strings.HasSuffix(module, "down_proj")]
		s.floats("base_model.model."+module+".lora_A.weight", []int{2, cols}, make([]float32, 2*cols))
		s.floats("base_model.model."+module+".lora_B.weight", []int{8, 2}, make([]float32, 16))
	}
	s.floats("base_model.model.model.embed_tokens.lora_embedding_A", []int{2, 10}, make([]float32, 20))
	s.floats("base_model.model.model.embed_tokens.lora_embedding_B", []int{8, 2}, make([]float32, 16))
	f.Add([]byte(`{"r":2,"lora_alpha":4,"alpha_pattern":{"q_proj":3}}`), s.file(f))
	folder := newToy().folder(f, 1, nil)
	f.Fuzz(func(t *testing.T, config, weights []byte) {
		m, err := OpenWith(context.Background(), folder, OpenOptions{Adapters: []Adapter{
			{Files: memory(map[string][]byte{adapterConfigName: config, adapterWeightsName: weights})},
		}})
		if err != nil {
			return
		}
		defer m.Close()
		s := m.NewSession(SessionOptions{Threads: 1, Context: 8})
		defer s.Close()
		if _, err := s.Eval(context.Background(), []int{0, 1, 2}); err != nil {
			t.Fatal(err)
		}
	})
}
