package inference

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/carat-hub/carat/inference/tensor"
)

// models is a folder to write the generated models to, so that another engine can compute testdata/architectures.json from them:
// for each the logits at the last of the ids 1 to 20, with a cache of 32-bit floats.
var models = flag.String("models", "", "write the generated models to this folder")

// generated is a model of one architecture with random weights: what its GGUF file holds, and how the same model looks as a
// folder, if it can.
type generated struct {
	name, arch string
	seed       uint64
	// keys are metadata without the architecture's name in front, unless they are the tokenizer's.
	keys map[string]any
	// ends and layer list tensors by their GGUF names without .weight; a plus sign adds a .bias. A name may begin with the one
	// layer that has it, or with the first layer and a dash.
	ends, layer string
	shapes      map[string][]int

	// names are the folder's names of ends and layer; %d stands for an expert or a head, and a dash leaves a tensor out.
	names, prefix string
	config        map[string]any
	permuted      bool // GGUF has the rows of queries and keys in another order
	grouped       bool // attn_qkv's rows come in groups
	transposed    bool // matrices of layers are stored with their inputs first
	padding       int  // rows of position_embd that a folder has in front
	onePlus       bool // norm weights are stored less one
	// tolerance is that of the reference, folderTolerance that of the folder, in parts of the largest logit.
	tolerance, folderTolerance float64
	layers                     int // in place of genLayers
	// rewrite changes the folder's tensors once they have their names.
	rewrite func(tensors map[string]toyTensor)
	// rename gives tensors of the GGUF file other names.
	rename func(name string) string
	// like names the architecture whose parts this one has, which the other engine does not run: only the folder is compared.
	like string
}

// The sizes of the generated models, unless their keys say otherwise.
const (
	genHidden, genFeed, genHeads, genKV, genDim = 32, 48, 4, 2, 8
	genLayers, genVocab, genContext             = 4, 40, 64
	genExperts, genExpertFeed                   = 6, 24
	genQ, genKVWidth                            = genHeads * genDim, genKV * genDim
)

var genShapes = map[string][]int{
	"token_embd": {genVocab, genHidden}, "output": {genVocab, genHidden}, "position_embd": {genContext, genHidden},
	"attn_q": {genQ, genHidden}, "attn_k": {genKVWidth, genHidden}, "attn_v": {genKVWidth, genHidden},
	"attn_qkv": {genQ + 2*genKVWidth, genHidden}, "attn_output": {genHidden, genQ},
	"attn_q_norm": {genDim}, "attn_k_norm": {genDim}, "attn_sinks": {genHeads},
	"ffn_gate": {genFeed, genHidden}, "ffn_up": {genFeed, genHidden}, "ffn_down": {genHidden, genFeed},
	"ffn_gate_inp": {genExperts, genHidden}, "ffn_gate_exps": {genExperts, genExpertFeed, genHidden},
	"ffn_up_exps": {genExperts, genExpertFeed, genHidden}, "ffn_down_exps": {genExperts, genHidden, genExpertFeed},
	"ffn_gate_shexp": {genExpertFeed, genHidden}, "ffn_up_shexp": {genExpertFeed, genHidden},
	"ffn_down_shexp": {genHidden, genExpertFeed}, "ffn_gate_inp_shexp": {genHidden}, "exp_probs_b.bias": {genExperts},
	"rope_factors_long": {genDim / 2}, "rope_factors_short": {genDim / 2},
}

// each calls f with every tensor: its name without layer, that layer or -1, and its shape.
func (g *generated) each(f func(base, suffix string, layer int, shape []int)) {
	list := func(names string, layer int) {
		for _, name := range strings.Fields(names) {
			if first, rest, ok := strings.Cut(name, "-"); ok {
				if from := int(first[0] - '0'); layer < from {
					continue
				}
				name = rest
			}
			if first, rest, ok := strings.Cut(name, ":"); ok {
				if layer != int(first[0]-'0') {
					continue
				}
				name = rest
			}
			base := strings.TrimSuffix(name, "+")
			shape := g.shapes[base]
			if shape == nil {
				shape = genShapes[base]
			}
			if shape == nil { // norms
				shape = []int{genHidden}
			}
			if strings.HasSuffix(base, ".bias") {
				f(strings.TrimSuffix(base, ".bias"), ".bias", layer, shape)
				continue
			}
			f(base, ".weight", layer, shape)
			if base != name {
				bias := shape
				if len(shape) > 1 {
					bias = shape[:len(shape)-1]
				}
				f(base, ".bias", layer, bias)
			}
		}
	}
	list(g.ends, -1)
	for l := range g.depth() {
		list(g.layer, l)
	}
}

func (g *generated) depth() int {
	if g.layers > 0 {
		return g.layers
	}
	return genLayers
}

// toy makes the GGUF side.
func (g *generated) toy() *toy {
	key := func(s string) string { return g.arch + "." + s }
	m := &toy{tensors: map[string]toyTensor{}, keys: map[string]any{
		"general.architecture": g.arch, "tokenizer.ggml.model": "none", key("vocab_size"): uint32(genVocab),
		key("block_count"): uint32(g.depth()), key("embedding_length"): uint32(genHidden), key("feed_forward_length"): uint32(genFeed),
		key("context_length"): uint32(genContext), key("attention.head_count"): uint32(genHeads),
		key("attention.head_count_kv"): uint32(genKV), key("attention.layer_norm_epsilon"): float32(1e-5),
		key("attention.layer_norm_rms_epsilon"): float32(1e-5), key("rope.dimension_count"): uint32(genDim),
		key("attention.key_length"): uint32(genDim), key("attention.value_length"): uint32(genDim),
	}}
	for k, v := range g.keys {
		if !strings.HasPrefix(k, "tokenizer.") {
			k = key(k)
		}
		m.keys[k] = v
	}
	r := rand.New(rand.NewPCG(g.seed, 17))
	g.each(func(base, suffix string, layer int, shape []int) {
		n, _ := tensor.Elements(shape)
		v := make([]float32, n)
		offset, width := float32(0), float32(0.7)
		switch {
		case suffix == ".weight" && strings.Contains(base, "norm"), strings.HasPrefix(base, "rope_"):
			offset, width = 1, 0.8
		case suffix == ".bias":
			width = 0.4
		}
		for i := range v {
			// The weights have few digits, which every decimal and binary form keeps.
			v[i] = offset + width*(float32(r.IntN(257))/256-0.5)
		}
		name := base + suffix
		if layer >= 0 {
			name = fmt.Sprintf("blk.%d.%s", layer, name)
		}
		if g.rename != nil {
			name = g.rename(name)
		}
		m.tensors[name] = toyTensor{shape, v}
	})
	return m
}

// save writes the GGUF form to the folder that -models names.
func (g *generated) save(t testing.TB, files Files) {
	t.Helper()
	if *models == "" {
		return
	}
	b, err := readAll(context.Background(), files, "toy.gguf", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*models, g.name+".gguf"), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// folder makes the same model as a folder.
func (g *generated) folder(t testing.TB) Files {
	t.Helper()
	config := map[string]any{
		"hidden_size": genHidden, "intermediate_size": genFeed, "num_hidden_layers": g.depth(), "num_attention_heads": genHeads,
		"num_key_value_heads": genKV, "max_position_embeddings": genContext, "vocab_size": genVocab, "rms_norm_eps": 1e-5,
		"tie_word_embeddings": !strings.Contains(" "+g.ends+" ", " output"+" ") && !strings.Contains(g.ends, " output+"),
	}
	maps.Copy(config, g.config)
	names := map[string]string{}
	for _, pair := range strings.Fields(g.names) {
		from, to, _ := strings.Cut(pair, "=")
		names[from] = to
	}
	m := g.toy()
	tensors := map[string]toyTensor{}
	add := func(name string, shape []int, values []float32) { tensors[name] = toyTensor{shape, values} }
	g.each(func(base, suffix string, layer int, shape []int) {
		to, ok := names[base]
		stored := base + suffix
		if layer >= 0 {
			stored, to = fmt.Sprintf("blk.%d.%s", layer, stored), fmt.Sprintf("%s%d.%s", g.prefix, layer, to)
		}
		if !ok {
			t.Fatalf("%s: no name for %s", g.name, base)
		}
		if names[base] == "-" {
			return
		}
		values := m.tensors[stored].values
		if strings.HasSuffix(to, ".weight") || strings.HasSuffix(to, "_bias") {
			suffix = ""
		}
		values, shape = g.arrange(base, suffix, shape, values)
		if !strings.Contains(to, "%d") {
			add(to+suffix, shape, values)
			return
		}
		size := len(values) / shape[0]
		for e := range shape[0] {
			add(fmt.Sprintf(to, e)+suffix, shape[1:], values[e*size:(e+1)*size])
		}
	})
	if g.rewrite != nil {
		g.rewrite(tensors)
	}
	var s shelf
	for _, name := range sortedKeys(tensors) {
		s.floats(name, tensors[name].shape, tensors[name].values)
	}
	return memory(map[string][]byte{configName: jsonOf(t, config), weightsName: s.file(t)})
}

// fuse makes one tensor of the gate and up matrices of a layer's experts, and one of their down matrices. With turned the inputs
// come first, and with that the outputs of gate and up in turn where alternating says so.
func fuse(gate, up, down, to, downTo string, turned, alternating bool) func(map[string]toyTensor) {
	return func(tensors map[string]toyTensor) {
		for l := range 16 {
			var halves, downs, biases, downBiases []float32
			take := func(name string, e int, suffix string) []float32 {
				name = fmt.Sprintf("model.layers.%d."+name, l, e) + suffix
				defer delete(tensors, name)
				return tensors[name].values
			}
			for e := range genExperts {
				g, u, d := take(gate, e, ".weight"), take(up, e, ".weight"), take(down, e, ".weight")
				if g == nil {
					break
				}
				both, bias := slices.Concat(g, u), slices.Concat(take(gate, e, ".bias"), take(up, e, ".bias"))
				if alternating {
					both, bias = alternate(both, genHidden), alternate(bias, 1)
				}
				if turned {
					both, d = transpose(both, 2*genExpertFeed, genHidden), transpose(d, genHidden, genExpertFeed)
				}
				halves, downs = append(halves, both...), append(downs, d...)
				biases, downBiases = append(biases, bias...), append(downBiases, take(down, e, ".bias")...)
			}
			if halves == nil {
				continue
			}
			shape, downShape := []int{genExperts, 2 * genExpertFeed, genHidden}, []int{genExperts, genHidden, genExpertFeed}
			if turned {
				shape[1], shape[2], downShape[1], downShape[2] = shape[2], shape[1], downShape[2], downShape[1]
			}
			name := fmt.Sprintf("model.layers.%d.", l)
			tensors[name+to], tensors[name+downTo] = toyTensor{shape, halves}, toyTensor{downShape, downs}
			if len(biases) > 0 {
				tensors[name+to+"_bias"] = toyTensor{[]int{genExperts, 2 * genExpertFeed}, biases}
				tensors[name+downTo+"_bias"] = toyTensor{[]int{genExperts, genHidden}, downBiases}
			}
		}
	}
}

// alternate takes rows of both halves in turn.
func alternate(v []float32, cols int) []float32 {
	var out []float32
	for i, half := 0, len(v)/2; i < half; i += cols {
		out = append(append(out, v[i:i+cols]...), v[half+i:half+i+cols]...)
	}
	return out
}

// pack makes one tensor of the queries, keys and values of each layer.
func pack(to string, names ...string) func(map[string]toyTensor) {
	return func(tensors map[string]toyTensor) {
		for l := range 64 {
			var all toyTensor
			for _, name := range names {
				name = fmt.Sprintf("model.layers.%d.%s.weight", l, name)
				part, ok := tensors[name]
				if !ok {
					return
				}
				if delete(tensors, name); all.shape == nil {
					all.shape = []int{0, part.shape[1]}
				}
				all.shape[0] += part.shape[0]
				all.values = append(all.values, part.values...)
			}
			tensors[fmt.Sprintf("model.layers.%d.%s.weight", l, to)] = all
		}
	}
}

// arrange brings the values of a tensor into the folder's order.
func (g *generated) arrange(base, suffix string, shape []int, values []float32) ([]float32, []int) {
	out := make([]float32, len(values))
	copy(out, values)
	cols := len(values) / shape[0]
	move := func(to func(row int) int) {
		for r := range shape[0] {
			copy(out[to(r)*cols:][:cols], values[r*cols:(r+1)*cols])
		}
	}
	half := func(r int) int { return r/genDim*genDim + r%genDim/2 + r%2*genDim/2 }
	switch {
	case g.permuted && (base == "attn_q" || base == "attn_k"):
		move(half)
	case g.grouped && base == "attn_qkv":
		kv := (shape[0] - genQ) / 2 / genDim
		share := genHeads / kv
		move(func(r int) int {
			if g.permuted && r < genQ+kv*genDim {
				r = half(r)
			}
			head, i := r/genDim, r%genDim
			switch {
			case head < genHeads:
				head += head / share * 2
			case head < genHeads+kv:
				head = (head-genHeads)*(share+2) + share
			default:
				head = (head-genHeads-kv)*(share+2) + share + 1
			}
			return head*genDim + i
		})
	case g.onePlus && suffix == ".weight" && strings.Contains(base, "norm"):
		for i := range out {
			out[i]--
		}
	case base == "position_embd":
		front := make([]float32, g.padding*cols)
		for i := range front {
			front[i] = 9
		}
		return append(front, values...), []int{shape[0] + g.padding, cols}
	case base == "ffn_gate_inp_shexp":
		return out, []int{1, shape[0]}
	case g.transposed && suffix == ".weight" && len(shape) == 2 && !strings.Contains(base, "embd"):
		return transpose(values, shape[0], shape[1]), []int{shape[1], shape[0]}
	}
	return out, shape
}

func TestGeneratedArchitectures(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/architectures.json")
	if err != nil {
		t.Fatal(err)
	}
	var want map[string][]float64
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	ids := make([]int, 20)
	for i := range ids {
		ids[i] = i + 1
	}
	run := func(t *testing.T, files Files, o SessionOptions) []float32 {
		m, err := Open(context.Background(), files)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		facts, err := Inspect(context.Background(), files)
		if err != nil || !facts.Runnable {
			t.Errorf("Inspect says %v, %v", facts, err)
		}
		all := evalAll(t, session(t, m, o), ids)
		return all[len(all)-1]
	}
	for i, g := range generatedArchitectures {
		g.seed = uint64(i)
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			m := g.toy()
			files := m.gguf(t)
			g.save(t, files)
			got := run(t, files, SessionOptions{Threads: 2})
			if again := run(t, files, SessionOptions{Threads: 3}); !bytes.Equal(f32Bytes(got), f32Bytes(again)) {
				t.Error("other logits with 3 threads")
			}
			far := func(what string, want func(i int) float64, tolerance float64) {
				largest, worst := 0.0, 0.0
				for i, v := range got {
					largest = math.Max(largest, math.Abs(want(i)))
					worst = math.Max(worst, math.Abs(float64(v)-want(i)))
				}
				t.Logf("%s differs by %.2g of the largest logit", what, worst/largest)
				if !(worst <= tolerance*largest) {
					t.Errorf("%s differs by %.3g of the largest logit %.3g", what, worst/largest, largest)
				}
			}
			again := run(t, files, SessionOptions{Threads: 2, Batch: 3})
			far("an evaluation in batches of 3", func(i int) float64 { return float64(again[i]) }, 1e-5)
			if g.like == "" {
				if len(want[g.name]) != len(got) {
					t.Fatalf("%d logits, want %d", len(got), len(want[g.name]))
				}
				far("the reference", func(i int) float64 { return want[g.name][i] }, max(g.tolerance, 1e-4))
			}
			if g.names != "" {
				folder := run(t, g.folder(t), SessionOptions{})
				far("the folder", func(i int) float64 { return float64(folder[i]) }, max(g.folderTolerance, 1e-5))
			}
		})
	}
}
