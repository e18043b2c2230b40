package check

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/verify"
)

// confident is a model that gives the token that comes next this much more than the others, and a little more or less each time. The
// ids of fakeEngine go round 0, 1, 2, 3.
func confident(by float32, seed uint64) func(int) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	return func(call int) []float32 {
		l := make([]float32, 4)
		l[call%4] = by + float32(r.NormFloat64()/10)
		return l
	}
}

func TestAlternatives(t *testing.T) {
	t.Parallel()
	refused := func(inference.Alteration) (decoder, error) { return nil, fault.NewUnsupported("alteration", "no") }
	// better gives another model for one reading and refuses the others.
	better := func(which func(inference.Alteration) bool, by float32) func(inference.Alteration) (decoder, error) {
		return func(a inference.Alteration) (decoder, error) {
			if !which(a) {
				return refused(a)
			}
			return &fakeEngine{logits: confident(by, 2)}, nil
		}
	}
	heads := func(a inference.Alteration) bool { return a.Heads == 4 }
	swapped := func(a inference.Alteration) bool { return len(a.Layers) == 3 && a.Layers[0] == 2 }
	without := func(a inference.Alteration) bool { return len(a.Layers) == 2 && a.Layers[0] == 1 }
	tests := map[string]struct {
		alter   func(inference.Alteration) (decoder, error)
		outcome verify.Outcome
		reason  string
		tried   int
	}{
		"nothing to try":   {refused, verify.OutcomePassed, "", 0},
		"worse":            {better(heads, 0.5), verify.OutcomePassed, "", 1},
		"as good":          {better(heads, 1), verify.OutcomePassed, "", 1},
		"better heads":     {better(heads, 3), verify.OutcomeFailed, "the number of heads is wrong: with 4 heads in place of 8 a token takes ", 1},
		"better order":     {better(swapped, 3), verify.OutcomeFailed, "layers are in the wrong order: with layers 0 and 2 swapped a token takes ", 1},
		"better without":   {better(without, 3), verify.OutcomeFailed, "a layer does harm: with layer 0 left out a token takes ", 1},
		"other vocabulary": {better(heads, 0), verify.OutcomePassed, "", 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &fakeEngine{logits: confident(1, 1), alter: tt.alter, description: inference.Description{Layers: 3, Heads: 8, NormEpsilon: 1e-6}}
			m := &model{engine: e, decoder: e, opts: verify.RunOptions{Level: verify.LevelStandard}}
			f, err := findBetter(t.Context(), m)
			if err != nil || f.outcome != tt.outcome || len(f.reason) < len(tt.reason) || f.reason[:len(tt.reason)] != tt.reason {
				t.Fatalf("%s: %q, %v; want %s: %q", f.outcome, f.reason, err, tt.outcome, tt.reason)
			}
			if ev := f.evidence.(alternativesEvidence); ev.Tried != tt.tried || ev.Tokens != 39 {
				t.Errorf("evidence %+v", ev)
			}
		})
	}
}

func TestAlternativesHaveABudget(t *testing.T) {
	t.Parallel()
	e := &fakeEngine{logits: confident(1, 1), description: inference.Description{Layers: 100, Heads: 8, NormEpsilon: 1e-6}}
	e.alter = func(inference.Alteration) (decoder, error) { return &fakeEngine{logits: confident(1, 3)}, nil }
	e.known.Parameters = 1e11
	m := &model{engine: e, decoder: e, opts: verify.RunOptions{Level: verify.LevelStandard}}
	f, err := findBetter(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	all := len(alternatives(&e.description))
	ev := f.evidence.(alternativesEvidence)
	if ev.Left == 0 || ev.Tried+ev.Left != all || ev.Tried > alternativeLeast/alternativeStep+1 {
		t.Errorf("%d tried, %d left of %d", ev.Tried, ev.Left, all)
	}
	m.opts.Level = verify.LevelFull
	if f, err = findBetter(t.Context(), m); err != nil || f.evidence.(alternativesEvidence).Left != 0 {
		t.Errorf("%+v, %v", f.evidence, err)
	}
}

func TestSwaps(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff([][2]int{{0, 1}, {1, 2}, {0, 2}}, swaps(3)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := len(swaps(9)); got != 8 {
		t.Errorf("%d swaps of 9 layers, want those of neighbours", got)
	}
}

func TestCoupling(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	loose := make([]float64, 400)
	for i := range loose {
		loose[i] = r.Float64()
	}
	// near follows loose with some noise of its own, far does not.
	near, far := make([]float64, 400), make([]float64, 400)
	for i := range near {
		near[i], far[i] = loose[i]+r.Float64()/2, r.Float64()
	}
	tests := map[string]struct {
		norms   [][]float64 // {in, out} of layer 0, 1, …
		outcome verify.Outcome
		reason  string
	}{
		"all coupled":    {[][]float64{loose, near, loose, near, loose}, verify.OutcomePassed, ""},
		"none coupled":   {[][]float64{loose, far, loose, far, loose}, verify.OutcomePassed, ""},
		"one not":        {[][]float64{loose, near, loose, near, loose, near, far}, verify.OutcomeFailed, "feed-forward weights do not belong together: layer 5 has a correlation of "},
		"too few layers": {[][]float64{loose, far, loose}, verify.OutcomeSkipped, "there are 2 layers to compare"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &fakeEngine{norms: tt.norms, description: inference.Description{Layers: len(tt.norms) - 1}}
			f, err := compareCouplings(context.Background(), &model{engine: e})
			if err != nil || f.outcome != tt.outcome || len(f.reason) < len(tt.reason) || f.reason[:len(tt.reason)] != tt.reason {
				t.Errorf("%s: %q, %v; want %s: %q", f.outcome, f.reason, err, tt.outcome, tt.reason)
			}
		})
	}
}
