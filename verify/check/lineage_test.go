package check_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/check"
	"github.com/carat-hub/carat/verify/lineage"
)

// each changes the values of every tensor that keep says nothing against.
func (f folder) each(keep func(name string) bool, edit func(r *rand.Rand, v []float32)) {
	f.t.Helper()
	heads, _ := f.weights()
	for i, name := range slices.Sorted(maps.Keys(heads)) {
		if keep != nil && keep(name) {
			continue
		}
		r := rand.New(rand.NewPCG(7, uint64(i)))
		f.change(name, func(raw []uint16) {
			v := make([]float32, len(raw))
			for i, b := range raw {
				v[i] = math.Float32frombits(uint32(b) << 16)
			}
			edit(r, v)
			for i, x := range v {
				raw[i] = uint16((math.Float32bits(x) + 1<<15) >> 16)
			}
		})
	}
}

// noise moves weights by a share of their root mean square, as training does.
func noise(share float64) func(r *rand.Rand, v []float32) {
	return func(r *rand.Rand, v []float32) {
		var squares float64
		for _, x := range v {
			squares += float64(x) * float64(x)
		}
		scale := share * math.Sqrt(squares/float64(len(v)))
		for i := range v {
			v[i] += float32(scale * r.NormFloat64())
		}
	}
}

func norms(name string) bool { return strings.Contains(name, "norm") }

// anew gives a model weights of its own.
func anew(r *rand.Rand, v []float32) {
	for i := range v {
		v[i] = float32(0.1 * (r.Float64() - 0.5))
	}
}

// card writes a card that declares bases.
func (f folder) card(relation string, bases ...string) {
	f.t.Helper()
	front := "base_model:\n"
	for _, b := range bases {
		front += "- " + b + "\n"
	}
	if relation != "" {
		front += "base_model_relation: " + relation + "\n"
	}
	f.write("README.md", []byte("---\n"+front+"---\n# A model\n"))
}

// quantized returns a folder with the model of f as a GGUF file.
func (f folder) quantized(typ string) folder {
	f.t.Helper()
	files, err := inference.OpenPath(f.dir)
	if err != nil {
		f.t.Fatal(err)
	}
	var out bytes.Buffer
	if err := inference.Quantize(f.t.Context(), files, &out, inference.QuantizeOptions{Type: typ}); err != nil {
		f.t.Fatal(err)
	}
	q := folder{f.t, f.t.TempDir()}
	q.write("model.gguf", out.Bytes())
	return q
}

// narrower cuts the feed-forward layers to half their width.
func (f folder) narrower() {
	f.t.Helper()
	heads, data := f.weights()
	var cut []byte
	for _, name := range slices.Sorted(maps.Keys(heads)) {
		h := heads[name]
		p := data[h.Offsets[0]:h.Offsets[1]]
		for i, n := range h.Shape {
			if n == 512 {
				h.Shape[i] = 256
				p = p[:len(p)/2]
			}
		}
		h.Offsets = [2]int64{int64(len(cut)), int64(len(cut) + len(p))}
		cut = append(cut, p...)
		heads[name] = h
	}
	f.save("model.safetensors", heads, cut)
	f.config("intermediate_size", 256)
}

// adapter returns a folder with an adapter of some rank for the queries of the example.
func adapter(t *testing.T, rank, declared, width int) folder {
	t.Helper()
	f := folder{t, t.TempDir()}
	p, err := json.Marshal(map[string]any{
		"peft_type": "LORA", "base_model_name_or_path": "org/base", "r": declared, "lora_alpha": 16, "target_modules": []string{"q_proj"},
	})
	if err != nil {
		t.Fatal(err)
	}
	f.write("adapter_config.json", p)
	r := rand.New(rand.NewPCG(3, 4))
	heads := map[string]tensorHead{}
	var data []byte
	for l := range 4 {
		for half, shape := range map[string][]int{"A": {rank, width}, "B": {256, rank}} {
			start := int64(len(data))
			for range shape[0] * shape[1] {
				data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(0.05*r.NormFloat64())))
			}
			heads[fmt.Sprintf("base_model.model.model.layers.%d.self_attn.q_proj.lora_%s.weight", l, half)] = tensorHead{
				DType: "F32", Shape: shape, Offsets: [2]int64{start, int64(len(data))},
			}
		}
	}
	f.save("adapter_model.safetensors", heads, data)
	return f
}

func (f folder) files() verify.Files {
	f.t.Helper()
	files, err := verify.OpenPath(f.dir)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { files.Close() })
	return files
}

// beside verifies with bases.
func (f folder) beside(bases ...verify.Base) *verify.Report {
	f.t.Helper()
	return check.VerifyGroup(f.t.Context(), f.files(), verify.RunOptions{Bases: bases}, "lineage")
}

var baseDigest = registry.DigestOf(registry.SHA256, []byte("base"))

func (f folder) asBase(name string) verify.Base {
	return verify.Base{Name: name, Digest: &baseDigest, Files: f.files()}
}

// TestLineageOfBase compares models with what they declare to come from.
func TestLineageOfBase(t *testing.T) {
	t.Parallel()
	const name = "org/base"
	tests := map[string]struct {
		model    func(f folder) folder // made of the example
		base     func(f folder)        // what the example becomes as base
		relation string
		outcome  verify.Outcome
		verdict  lineage.Verdict
		reason   string
	}{
		"itself":               {func(f folder) folder { return f }, nil, "", verify.OutcomePassed, lineage.Confirmed, ""},
		"in shards":            {func(f folder) folder { f.shard(); return f }, nil, "quantized", verify.OutcomePassed, lineage.Confirmed, ""},
		"F16":                  {func(f folder) folder { return f.quantized("f16") }, nil, "quantized", verify.OutcomePassed, lineage.Confirmed, ""},
		"Q8_0":                 {func(f folder) folder { return f.quantized("q8_0") }, nil, "quantized", verify.OutcomePassed, lineage.Confirmed, ""},
		"Q6_K":                 {func(f folder) folder { return f.quantized("q6_k") }, nil, "", verify.OutcomePassed, lineage.Confirmed, ""},
		"Q4_K_M":               {func(f folder) folder { return f.quantized("q4_k_m") }, nil, "quantized", verify.OutcomePassed, lineage.Confirmed, ""},
		"Q4_0":                 {func(f folder) folder { return f.quantized("q4_0") }, nil, "quantized", verify.OutcomePassed, lineage.Confirmed, ""},
		"a fine-tune":          {func(f folder) folder { f.each(nil, noise(0.05)); return f }, nil, "finetune", verify.OutcomePassed, lineage.Confirmed, ""},
		"a far fine-tune":      {func(f folder) folder { f.each(norms, noise(0.8)); return f }, nil, "finetune", verify.OutcomePassed, lineage.Consistent, ""},
		"its quantization":     {func(f folder) folder { f.each(nil, noise(0.05)); return f.quantized("q4_k_m") }, nil, "", verify.OutcomePassed, lineage.Confirmed, ""},
		"tuned, not quantized": {func(f folder) folder { f.each(nil, noise(0.4)); return f.quantized("q8_0") }, nil, "quantized", verify.OutcomeWarned, lineage.Consistent, `38 of 38 weights differ more from org/base than their types explain`},
		"not tuned":            {func(f folder) folder { return f }, nil, "finetune", verify.OutcomeWarned, lineage.Consistent, "it is declared a fine-tune, but the weights are those of org/base"},
		"another base":         {func(f folder) folder { return f }, func(f folder) { f.each(norms, anew) }, "finetune", verify.OutcomeFailed, lineage.Contradicted, `nothing in common with those of org/base: the median cosine of 29 matrices is [-0-9.e]+$`},
		"another base of Q4_K": {func(f folder) folder { return f.quantized("q4_k_m") }, func(f folder) { f.each(norms, anew) }, "quantized", verify.OutcomeFailed, lineage.Contradicted, "nothing in common"},
		"another shape":        {func(f folder) folder { return f }, func(f folder) { f.narrower() }, "finetune", verify.OutcomeFailed, lineage.Contradicted, `^the weights do not fit those of org/base: layers.0.gate has 512 x 256 elements, in the base 256 x 256 elements; and 11 more$`},
		"layers swapped": {func(f folder) folder {
			swapLayers(f)
			return f.quantized("q8_0")
		}, nil, "quantized", verify.OutcomeFailed, lineage.Contradicted, "^it is no plain quantization: "},
		"a base that is broken": {func(f folder) folder { return f }, func(f folder) { f.write("model.safetensors", []byte("x")) }, "finetune", verify.OutcomeSkipped, lineage.Unknown, "^the base org/base cannot be read: read model.safetensors: malformed safetensors"},
		"of no known graph":     {func(f folder) folder { f.config("model_type", "mamba"); return f }, nil, "quantized", verify.OutcomePassed, lineage.Confirmed, ""},
	}
	for test, tt := range tests {
		t.Run(test, func(t *testing.T) {
			t.Parallel()
			model, base := tt.model(copyExample(t)), copyExample(t)
			if tt.base != nil {
				tt.base(base)
			}
			model.card(tt.relation, name)
			got := result(model.beside(base.asBase(name)), "lineage.base")
			var ev struct {
				Bases []struct {
					Verdict  lineage.Verdict
					Digest   *registry.Digest
					Matrices int
				}
			}
			if err := json.Unmarshal(got.Evidence, &ev); err != nil || len(ev.Bases) != 1 {
				t.Fatalf("%s %s: evidence %s, %v", got.Outcome, got.Reason, got.Evidence, err)
			}
			if got.Outcome != tt.outcome || ev.Bases[0].Verdict != tt.verdict || !regexp.MustCompile(tt.reason).MatchString(got.Reason) {
				t.Errorf("%s, %s: %s\n%s", got.Outcome, ev.Bases[0].Verdict, got.Reason, got.Evidence)
			}
			if ev.Bases[0].Digest == nil || *ev.Bases[0].Digest != baseDigest {
				t.Errorf("digest %v", ev.Bases[0].Digest)
			}
		})
	}
}

// swapLayers swaps the feed-forward matrices of two layers.
func swapLayers(f folder) {
	heads, data := f.weights()
	for _, m := range []string{"gate", "up", "down"} {
		a, b := "model.layers.1.mlp."+m+"_proj.weight", "model.layers.2.mlp."+m+"_proj.weight"
		heads[a], heads[b] = heads[b], heads[a]
	}
	f.save("model.safetensors", heads, data)
}

func TestLineageWithoutBase(t *testing.T) {
	t.Parallel()
	f := copyExample(t)
	if got := result(f.beside(), "lineage.base"); got.ID != "" {
		t.Errorf("nothing is declared, but the report says %s %s", got.Outcome, got.Reason)
	}
	f.card("finetune", "org/base")
	r := check.Verify(t.Context(), f.files(), verify.RunOptions{Threads: 1})
	if got := result(r, "lineage.base"); got.Outcome != verify.OutcomeSkipped || got.Reason != "the base org/base is not here" || r.State != verify.StatePassed {
		t.Errorf("%s: %s %s", r.State, got.Outcome, got.Reason)
	}
	r = f.beside(verify.Base{Name: "org/base", Problem: "there is no room for it"})
	if got := result(r, "lineage.base"); got.Outcome != verify.OutcomeSkipped || !strings.HasSuffix(got.Reason, "there is no room for it") {
		t.Errorf("%s %s", got.Outcome, got.Reason)
	}
}

// TestLineageOfPrivateBase: the report says of a base that not everybody may see no more than whether it is the base.
func TestLineageOfPrivateBase(t *testing.T) {
	t.Parallel()
	f, other := copyExample(t), copyExample(t)
	f.card("finetune", "org/secret")
	other.narrower()
	got := result(f.beside(verify.Base{Name: "org/secret", Private: true, Files: other.files()}), "lineage.base")
	want := `{"bases":[{"name":"org/secret","relation":"finetune","from":"card","verdict":"contradicted","reason":"descent from org/secret is contradicted"}]}`
	if got.Outcome != verify.OutcomeFailed || got.Reason != "descent from org/secret is contradicted" || string(got.Evidence) != want {
		t.Errorf("%s %s %s", got.Outcome, got.Reason, got.Evidence)
	}
}

func TestLineageOfAdapter(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		adapter folder
		here    bool
		outcome verify.Outcome
		state   verify.State
		reason  string
	}{
		"fits":          {adapter(t, 4, 4, 256), true, verify.OutcomePassed, verify.StatePassed, "^$"},
		"other width":   {adapter(t, 4, 4, 128), true, verify.OutcomeFailed, verify.StateFailed, `^the adapter does not fit org/base: .*lora_A.weight has shape \[4 128\], the model wants \[4 256\]`},
		"other rank":    {adapter(t, 4, 8, 256), true, verify.OutcomeFailed, verify.StateFailed, "the matrices have rank 4, the configuration says 8"},
		"base not here": {adapter(t, 4, 4, 256), false, verify.OutcomeSkipped, verify.StateUnsupported, "^the base org/base is not here$"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var bases []verify.Base
			if tt.here {
				bases = append(bases, copyExample(t).asBase("org/base"))
			}
			r := check.Verify(t.Context(), tt.adapter.files(), verify.RunOptions{Bases: bases})
			got := result(r, "lineage.adapter")
			if got.Outcome != tt.outcome || r.State != tt.state || !regexp.MustCompile(tt.reason).MatchString(got.Reason) {
				t.Errorf("%s: %s\n%s: %s", r.State, r.Summary, got.Outcome, got.Reason)
			}
		})
	}
}

func TestLineageOfMerge(t *testing.T) {
	t.Parallel()
	one, other := copyExample(t), copyExample(t)
	other.each(nil, noise(0.3))
	merged := copyExample(t)
	heads, data := one.weights()
	_, second := other.weights()
	for i := 0; i < len(data); i += 2 {
		x := math.Float32frombits(uint32(binary.LittleEndian.Uint16(data[i:])) << 16)
		y := math.Float32frombits(uint32(binary.LittleEndian.Uint16(second[i:])) << 16)
		binary.LittleEndian.PutUint16(data[i:], uint16((math.Float32bits(0.4*x+0.6*y)+1<<15)>>16))
	}
	merged.save("model.safetensors", heads, data)
	merged.card("", "org/one", "org/other")
	stranger := copyExample(t)
	stranger.each(norms, anew)
	stranger.card("merge", "org/one", "org/other")
	for name, tt := range map[string]struct {
		model   folder
		bases   []verify.Base
		outcome verify.Outcome
		reason  string
	}{
		"a mean":          {merged, []verify.Base{one.asBase("org/one"), other.asBase("org/other")}, verify.OutcomePassed, "^$"},
		"quantized":       {func() folder { q := merged.quantized("q4_k_m"); q.card("merge", "org/one", "org/other"); return q }(), []verify.Base{one.asBase("org/one"), other.asBase("org/other")}, verify.OutcomePassed, "^$"},
		"of strangers":    {stranger, []verify.Base{one.asBase("org/one"), other.asBase("org/other")}, verify.OutcomeFailed, "^no mixture of org/one, org/other explains the weights"},
		"one is not here": {merged, []verify.Base{one.asBase("org/one")}, verify.OutcomeSkipped, "^these bases of the merge are not here: org/other$"},
	} {
		got := result(tt.model.beside(tt.bases...), "lineage.merge")
		if got.Outcome != tt.outcome || !regexp.MustCompile(tt.reason).MatchString(got.Reason) {
			t.Errorf("%s: %s %s %s", name, got.Outcome, got.Reason, got.Evidence)
		}
		if name != "a mean" {
			continue
		}
		var ev struct{ Bases []struct{ Share float64 } }
		if err := json.Unmarshal(got.Evidence, &ev); err != nil || len(ev.Bases) != 2 || math.Abs(ev.Bases[0].Share-0.4) > 0.02 || math.Abs(ev.Bases[1].Share-0.6) > 0.02 {
			t.Errorf("shares in %s", got.Evidence)
		}
	}
}

// fingerprint takes that of a model by the check.
func (f folder) fingerprint() lineage.Fingerprint {
	f.t.Helper()
	r := check.VerifyGroup(f.t.Context(), f.files(), verify.RunOptions{Fingerprint: true}, "lineage")
	var ev verify.SearchEvidence
	if err := json.Unmarshal(result(r, "lineage.search").Evidence, &ev); err != nil {
		f.t.Fatalf("%s: %v", r.Summary, err)
	}
	if !ev.Fingerprint.Valid() {
		f.t.Fatalf("fingerprint %+v", ev.Fingerprint)
	}
	return ev.Fingerprint
}

// TestFingerprints: quantizations and fine-tunes have the example's
// fingerprint, nearly; models of the same shape with weights of their own have not.
func TestFingerprints(t *testing.T) {
	t.Parallel()
	example := copyExample(t)
	print := example.fingerprint()
	tuned, far, longer, stranger := copyExample(t), copyExample(t), copyExample(t), copyExample(t)
	tuned.each(nil, noise(0.05))
	far.each(norms, noise(0.5))
	longer.shard()
	stranger.each(norms, anew)
	related := map[string]folder{
		"Q8_0": example.quantized("q8_0"), "Q4_K_M": example.quantized("q4_k_m"), "Q4_0": example.quantized("q4_0"),
		"fine-tune": tuned, "far fine-tune": far, "sharded": longer, "Q4_0 of a fine-tune": tuned.quantized("q4_0"),
	}
	for name, f := range related {
		s := lineage.Similarity(print, f.fingerprint())
		t.Logf("%s: %.4f", name, s)
		if s < 0.8 {
			t.Errorf("%s: similarity %.3f", name, s)
		}
	}
	s := lineage.Similarity(print, stranger.fingerprint())
	t.Logf("stranger: %.4f", s)
	if s > lineage.Stranger {
		t.Errorf("a stranger: similarity %.3f", s)
	}
}

func TestRegression(t *testing.T) {
	t.Parallel()
	f := copyExample(t)
	before := f.verify()
	again := func(f folder, p *verify.Report) *verify.Report {
		return check.Verify(t.Context(), f.files(), verify.RunOptions{Previous: p})
	}
	r := again(f, before)
	if result(r, "regression.tensors").Outcome != verify.OutcomePassed || result(r, "regression.outputs").Outcome != verify.OutcomePassed {
		t.Errorf("the same again: %+v", r.Results)
	}
	r = again(f.quantized("q4_0"), before)
	if got := result(r, "regression.outputs"); got.Outcome != verify.OutcomePassed {
		t.Errorf("quantized: %s %s", got.Outcome, got.Reason)
	}
	worse := copyExample(t)
	worse.each(norms, noise(0.4))
	worse.config("max_position_embeddings", 512)
	r = again(worse, before)
	if got := result(r, "regression.outputs"); got.Outcome != verify.OutcomeWarned || !strings.HasPrefix(got.Reason, "perplexity was ") {
		t.Errorf("worse: %s %s", got.Outcome, got.Reason)
	}
	if got := result(r, "regression.tensors"); got.Outcome != verify.OutcomeWarned || got.Reason != "context length was 256, now 512" {
		t.Errorf("worse: %s %s", got.Outcome, got.Reason)
	}
	if r.State != verify.StatePassed {
		t.Errorf("worse: %s %s", r.State, r.Summary)
	}
	if got := result(again(f, &verify.Report{}), "regression.outputs"); got.Outcome != verify.OutcomeSkipped {
		t.Errorf("an empty report: %s %s", got.Outcome, got.Reason)
	}
}

// TestInspectBases: the facts name what card, adapter and GGUF keys declare.
func TestInspectBases(t *testing.T) {
	t.Parallel()
	a := adapter(t, 4, 4, 256)
	a.card("", "https://huggingface.co/Org/Base", "other/one")
	facts, err := check.Inspect(t.Context(), a.files())
	if facts == nil {
		t.Fatal(err)
	}
	want := []registry.DeclaredBase{{Name: "org/base", Relation: "adapter", From: "adapter"}, {Name: "other/one", Relation: "adapter", From: "card"}}
	if !slices.Equal(facts.Bases, want) {
		t.Errorf("bases %+v", facts.Bases)
	}
	if _, err := os.Stat(filepath.Join(a.dir, "adapter_config.json")); err != nil {
		t.Fatal(err)
	}
}
