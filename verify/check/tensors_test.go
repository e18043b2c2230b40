package check

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/verifytest"
)

// tensorChecks are those of the group tensors.
var tensorChecks = []check{valuesCheck, constantsCheck, duplicatesCheck, orderCheck, outliersCheck}

// tensorFindings runs the checks of the group on every model among files.
func tensorFindings(t *testing.T, files verify.Files) map[string]finding {
	t.Helper()
	found := map[string]finding{}
	for _, p := range partsOf(files) {
		m := &model{files: files, part: p, report: &verify.Report{}, engine: core{}}
		for _, c := range tensorChecks {
			f, err := c.run(t.Context(), m)
			if err != nil {
				t.Fatalf("%s: %v", c.id, err)
			}
			if _, err := json.Marshal(f.evidence); err != nil {
				t.Errorf("%s: %v", c.id, err)
			}
			found[p.name+c.id] = f
		}
	}
	return found
}

// edited is a tensor of a model, by its name in safetensors or in GGUF.
func edited(t *testing.T, m *verifytest.Model, names ...string) *verifytest.Tensor {
	t.Helper()
	for _, n := range names {
		if x := m.Find(n); x != nil {
			return x
		}
	}
	t.Fatalf("the model has none of %q", names)
	return nil
}

// TestTensorDamage breaks the example in its safetensors and GGUF forms, and expects the right check to name the right tensor.
func TestTensorDamage(t *testing.T) {
	t.Parallel()
	down := func(t *testing.T, m *verifytest.Model, layer string) *verifytest.Tensor {
		return edited(t, m, "model.layers."+layer+".mlp.down_proj.weight", "blk."+layer+".ffn_down.weight")
	}
	norm := func(t *testing.T, m *verifytest.Model, layer string) *verifytest.Tensor {
		return edited(t, m, "model.layers."+layer+".input_layernorm.weight", "blk."+layer+".attn_norm.weight")
	}
	all := func(x *verifytest.Tensor, v float32) {
		values := x.Values()
		for i := range values {
			values[i] = v
		}
		x.Set(values)
	}
	tests := map[string]struct {
		damage  func(t *testing.T, m *verifytest.Model) (named string)
		check   string
		outcome verify.Outcome
		reason  string
	}{
		"a constant matrix": {func(t *testing.T, m *verifytest.Model) string {
			x := down(t, m, "1")
			all(x, 0.5)
			return x.Name
		}, idConstants, verify.OutcomeFailed, " everywhere"},
		"an untrained norm": {func(t *testing.T, m *verifytest.Model) string {
			x := norm(t, m, "2")
			all(x, 1)
			return x.Name
		}, idConstants, verify.OutcomeFailed, "is 1 everywhere, those of the other layers are not"},
		"a zeroed norm": {func(t *testing.T, m *verifytest.Model) string {
			x := norm(t, m, "0")
			all(x, 0)
			return x.Name
		}, idConstants, verify.OutcomeFailed, "is 0 everywhere"},
		"one kind of norms at 1": {func(t *testing.T, m *verifytest.Model) string {
			for _, l := range []string{"0", "1", "2", "3"} {
				all(norm(t, m, l), 1)
			}
			return strings.Replace(norm(t, m, "0").Name, "0", "*", 1)
		}, idConstants, verify.OutcomeWarned, "are constant in 4 of 4 layers"},
		"the last norm at 1": {func(t *testing.T, m *verifytest.Model) string {
			x := edited(t, m, "model.norm.weight", "output_norm.weight")
			all(x, 1)
			return x.Name
		}, idConstants, verify.OutcomeWarned, "is 1 everywhere, others are not"},
		"a matrix of another layer": {func(t *testing.T, m *verifytest.Model) string {
			x, other := down(t, m, "1"), down(t, m, "0")
			x.Data, x.Type = slices.Clone(other.Data), other.Type
			return x.Name
		}, idDuplicates, verify.OutcomeFailed, "is the same as"},
		"a layer twice": {func(t *testing.T, m *verifytest.Model) string {
			for _, x := range m.Tensors {
				if n, rest := x.Layer(); n == 2 {
					other := edited(t, m, "model.layers.1."+rest, "blk.1."+rest)
					x.Data, x.Type = slices.Clone(other.Data), other.Type
				}
			}
			return "layer 2"
		}, idDuplicates, verify.OutcomeWarned, "is the same as layer 1"},
		"one value far out": {func(t *testing.T, m *verifytest.Model) string {
			x := down(t, m, "2")
			v := x.Values()
			v[len(v)/2] = 60000
			x.Set(v)
			return x.Name
		}, idOutliers, verify.OutcomeFailed, "times a usual one, in other layers"},
		"one value rather far out": {func(t *testing.T, m *verifytest.Model) string {
			x := down(t, m, "2")
			v := x.Values()
			v[len(v)/2] = 150
			x.Set(v)
			return x.Name
		}, idOutliers, verify.OutcomeWarned, "times a usual one, in other layers"},
		"a value far out of the embedding": {func(t *testing.T, m *verifytest.Model) string {
			x := edited(t, m, "model.embed_tokens.weight", "token_embd.weight")
			v := x.Values()
			v[77] = 6e6
			if m.GGUF() {
				v[77] = 2e5
			}
			x.Set(v)
			return x.Name
		}, idOutliers, verify.OutcomeFailed, "times a usual one"},
		"a matrix eight times as large": {func(t *testing.T, m *verifytest.Model) string {
			x := down(t, m, "1")
			v := x.Values()
			for i := range v {
				v[i] *= 8
			}
			x.Set(v)
			return x.Name
		}, idOutliers, verify.OutcomeFailed, "are of size"},
		"the end of a matrix is zero": {func(t *testing.T, m *verifytest.Model) string {
			x := down(t, m, "1")
			clear(x.Data[len(x.Data)*3/4:])
			return x.Name
		}, idOutliers, verify.OutcomeFailed, "of the rows"},
		"a shuffled layer": {func(t *testing.T, m *verifytest.Model) string {
			damage(t, "one layer's weights shuffled", m, 2)
			return "attn" // some of them
		}, idOrder, verify.OutcomeFailed, "in random order"},
	}
	llama := verifytest.TinyLlama(t)
	forms := map[string]*verifytest.Model{"BF16": llama, "Q8_0": llama.Quantized(t, "q8_0"), "Q4_K": llama.Quantized(t, "q4_k_m")}
	for form, whole := range forms {
		for name, tt := range tests {
			t.Run(form+"/"+name, func(t *testing.T) {
				t.Parallel()
				m := whole.Clone()
				named := tt.damage(t, m)
				files := m.Open(t)
				defer files.Close()
				found := tensorFindings(t, files)
				f := found[tt.check]
				if f.outcome != tt.outcome || !strings.Contains(f.reason, named) || !strings.Contains(f.reason, tt.reason) {
					t.Errorf("%s %s: %s; want %s of %s", tt.check, f.outcome, f.reason, tt.outcome, named)
				}
			})
		}
	}
}

// damage replaces a model by what one of verifytest's damages makes of it.
func damage(t *testing.T, name string, m *verifytest.Model, seed int) {
	t.Helper()
	for _, d := range verifytest.Damages() {
		if d.Name == name {
			c, ok := d.Make(t, verifytest.Good{Name: "m", Kind: verifytest.Decoder, Model: m}, seed)
			if !ok {
				t.Fatalf("%s does not apply", name)
			}
			*m = *c.Model
			return
		}
	}
	t.Fatalf("there is no damage %q", name)
}

// TestTensorDetection makes damages of many seeds that the group must find, whatever the place.
func TestTensorDetection(t *testing.T) {
	t.Parallel()
	goods := verifytest.GoodModels(t)
	for name, checks := range map[string][]string{
		"flipped bits in a weight block": {idValues, idOutliers},
		"one NaN":                        {idValues},
		"byte-swapped tensor":            {idValues, idOutliers},
		"norm weights at 1":              {idConstants},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			missed, of := 0, 0
			for _, d := range verifytest.Damages() {
				for _, g := range goods {
					for seed := range 3 {
						if d.Name != name {
							continue
						}
						c, ok := d.Make(t, g, seed)
						if !ok {
							continue
						}
						of++
						files := c.Model.Open(t)
						found := tensorFindings(t, files)
						files.Close()
						if !slices.ContainsFunc(checks, func(id string) bool {
							return found[id].outcome == verify.OutcomeFailed || found[id].outcome == verify.OutcomeWarned
						}) {
							missed++
							t.Logf("%s, seed %d: %s", g.Name, seed, c.What)
						}
					}
				}
			}
			if of < 12 || missed > of/20 {
				t.Errorf("%d of %d missed", missed, of)
			}
		})
	}
}

// TestTensorsOfGoodModels expects no finding on healthy models, and none that fails on toys with random weights.
func TestTensorsOfGoodModels(t *testing.T) {
	t.Parallel()
	expect := func(t *testing.T, files verify.Files) {
		t.Helper()
		defer files.Close()
		for id, f := range tensorFindings(t, files) {
			if f.outcome == verify.OutcomeFailed || f.outcome == verify.OutcomeWarned {
				t.Errorf("%s %s: %s", id, f.outcome, f.reason)
			}
		}
	}
	for _, g := range verifytest.GoodModels(t) {
		t.Run(g.Name, func(t *testing.T) {
			t.Parallel()
			expect(t, g.Model.Open(t))
		})
	}
	for _, folder := range []string{"gguf", "architectures"} {
		dir, ok := verifytest.Shared(t, folder)
		if !ok {
			t.Log("the reference data is not beside the module")
			continue
		}
		names, err := filepath.Glob(filepath.Join(dir, "*.gguf"))
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %d files, %v", dir, len(names), err)
		}
		for _, n := range names {
			t.Run(filepath.Base(n), func(t *testing.T) {
				t.Parallel()
				files, err := verify.OpenPath(n)
				if err != nil {
					t.Fatal(err)
				}
				expect(t, files)
			})
		}
	}
}

func TestKindOf(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		kind  string
		layer int
	}{
		"model.layers.12.mlp.experts.3.up_proj.weight": {"model.layers.*.mlp.experts.*.up_proj.weight", 12},
		"blk.0.attn_q.weight":                          {"blk.*.attn_q.weight", 0},
		"h.7.attn.c_attn.weight":                       {"h.*.attn.c_attn.weight", 7},
		"model.embed_tokens.weight":                    {"model.embed_tokens.weight", -1},
		"2_Dense/linear.weight":                        {"2_Dense/linear.weight", -1},
		"blk.99999999999999999999.x":                   {"blk.99999999999999999999.x", -1},
	} {
		if kind, layer := kindOf(name); kind != want.kind || layer != want.layer {
			t.Errorf("%s: %s, %d", name, kind, layer)
		}
	}
}

// TestTensorsAreReadOnce counts how often the weights are read for all checks of the group.
func TestTensorsAreReadOnce(t *testing.T) {
	t.Parallel()
	e := &countingEngine{}
	m := &model{report: &verify.Report{}, engine: e}
	for _, c := range tensorChecks {
		if _, err := c.run(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if e.scans != 1 {
		t.Errorf("%d times", e.scans)
	}
}

type countingEngine struct {
	core
	scans int
}

func (e *countingEngine) scan(_ context.Context, _ verify.Files, each func(inference.TensorScan) error) error {
	e.scans++
	return each(inference.TensorScan{Name: "a.weight", DType: "F32", Shape: []int{4}, Elements: 4, Min: 1, Max: 2, Mean: 1.5, RMS: 1.6})
}
