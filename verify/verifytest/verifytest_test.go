package verifytest_test

import (
	"bytes"
	"maps"
	"math"
	"testing"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/verify/verifytest"
)

func logits(t *testing.T, m *verifytest.Model, ids []int) []float32 {
	t.Helper()
	model, err := inference.Load(t.Context(), m.Folder(t), inference.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	s := model.NewSession(inference.SessionOptions{Threads: 1})
	defer s.Close()
	out, err := s.Eval(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	return append([]float32{}, out...)
}

// TestConversionsKeepTheFunction compares the outputs of a model with those of itself as another architecture.
func TestConversionsKeepTheFunction(t *testing.T) {
	t.Parallel()
	llama := verifytest.TinyLlama(t)
	ids := []int{0, 2032, 335, 444, 262, 750, 389, 382, 262}
	want := logits(t, llama, ids)
	for name, m := range map[string]*verifytest.Model{
		"phi3": llama.Phi3(), "internlm2": llama.InternLM2(), "qwen2": llama.Qwen2(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := logits(t, m, ids)
			for i := range want {
				if d := math.Abs(float64(got[i] - want[i])); d > 1e-4 {
					t.Fatalf("logit %d is %g, not %g", i, got[i], want[i])
				}
			}
		})
	}
}

func same(a, b map[string][]byte) bool { return maps.EqualFunc(a, b, bytes.Equal) }

// TestDamagesAreDamages makes each damage on each model: a seed means one case, which is not the good model.
func TestDamagesAreDamages(t *testing.T) {
	t.Parallel()
	goods := verifytest.GoodModels(t)
	for _, d := range verifytest.Damages() {
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			applied := 0
			for _, g := range goods {
				whole := g.Model.All(t)
				for seed := range 3 {
					c, ok := d.Make(t, g, seed)
					if !ok {
						continue
					}
					applied++
					got := c.Model.All(t)
					if applied == 1 {
						again, _ := d.Make(t, g, seed)
						if c.What != again.What || !same(got, again.Model.All(t)) {
							t.Errorf("%s, seed %d: two makings differ", g.Name, seed)
						}
					}
					if same(got, whole) {
						t.Errorf("%s, seed %d: %s changed nothing", g.Name, seed, c.What)
					}
				}
			}
			if applied == 0 {
				t.Error("it applies to no model")
			}
		})
	}
}

func TestHealthyVariantsAreMany(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, h := range verifytest.HealthyVariants(t) {
		if names[h.Name] || len(h.Files) == 0 {
			t.Errorf("variant %q is there twice, or empty", h.Name)
		}
		names[h.Name] = true
	}
	if len(names) < 20 {
		t.Errorf("there are %d variants, want 20", len(names))
	}
}
