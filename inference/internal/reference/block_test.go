package reference

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func same(t *testing.T, what string, got, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d elements, want %d", what, len(got), len(want))
	}
	for i := range got {
		if !(math.Abs(got[i]-want[i]) <= 1e-12*math.Max(1, math.Abs(want[i]))) {
			t.Fatalf("%s: element %d is %v, want %v", what, i, got[i], want[i])
		}
	}
}

func randomVector(r *rand.Rand, n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = r.NormFloat64()
	}
	return v
}

func randomStates(r *rand.Rand, n, width int) [][]float64 {
	states := make([][]float64, n)
	for i := range states {
		states[i] = randomVector(r, width)
	}
	return states
}

func randomLinear(r *rand.Rand, rows, cols int) Linear {
	return Linear{Weight: randomStates(r, rows, cols)}
}

func ones(n int) []float64 { return slices.Repeat([]float64{1}, n) }

func TestLinear(t *testing.T) {
	t.Parallel()
	l := Linear{Weight: [][]float64{{1, 2, 3}, {4, 5, 6}}, Bias: []float64{10, 20}}
	same(t, "Wx+b", l.Apply([]float64{1, 0, -1}), []float64{8, 18})
	same(t, "one output", l.Cut(1, 2).Apply([]float64{1, 0, -1}), []float64{18})
	same(t, "outputs in another order", l.Pick([]int{1, 0, 1}).Apply([]float64{1, 0, -1}), []float64{18, 8, 18})
	turned := Linear{Weight: [][]float64{{1, 4}, {2, 5}, {3, 6}}, Bias: []float64{10, 20}}.Transposed()
	same(t, "transposed", turned.Apply([]float64{1, 0, -1}), []float64{8, 18})
	same(t, "second half", Tensor{Shape: []int{2, 2, 1}, Data: []float64{1, 2, 3, 4}}.Rows(1, 2)[1], []float64{4})
}

func TestNorms(t *testing.T) {
	t.Parallel()
	// The mean of the squares of 3 and 4 is 12.5; the mean of 0, 1, 3, 4 is 2 and their variance 2.5.
	same(t, "RMSNorm", RMSNorm([]float64{3, 4}, []float64{1, 2}, 12.5), []float64{3. / 5, 8. / 5})
	same(t, "LayerNorm", LayerNorm([]float64{0, 1, 3, 4}, []float64{1, 2, 1, 1}, []float64{0, 0, 5, 0}, 1.5), []float64{-1, -1, 5.5, 1})
	r := rand.New(rand.NewPCG(1, 1))
	for n := 2; n < 40; n++ {
		x := randomVector(r, n)
		scaled, moved := Scale(x, 1000), Map(x, func(v float64) float64 { return 3*v + 7 })
		same(t, "RMSNorm of a multiple", RMSNorm(scaled, ones(n), 0), RMSNorm(x, ones(n), 0))
		same(t, "LayerNorm of a multiple, shifted", LayerNorm(moved, ones(n), nil, 0), LayerNorm(x, ones(n), nil, 0))
		y := RMSNorm(x, ones(n), 0)
		same(t, "mean square", []float64{Dot(y, y)}, []float64{float64(n)})
		y = LayerNorm(x, ones(n), nil, 0)
		same(t, "mean", []float64{Dot(y, ones(n))}, []float64{0})
	}
	half := EachHead(2, func(x []float64) []float64 { return Scale(x, 2) }, func(x []float64) []float64 { return Scale(x, 3) })
	same(t, "norms of their own", half([]float64{1, 1, 1, 1}), []float64{2, 2, 3, 3})
	same(t, "one norm for all", EachHead(1, func([]float64) []float64 { return []float64{5} })(ones(3)), []float64{5, 5, 5})
}

func TestSoftmax(t *testing.T) {
	t.Parallel()
	same(t, "equal values", Softmax([]float64{7, 7, 7, 7}), []float64{0.25, 0.25, 0.25, 0.25})
	same(t, "logarithms", Softmax([]float64{math.Log(1), math.Log(2), math.Log(5)}), []float64{0.125, 0.25, 0.625})
	same(t, "shifted", Softmax([]float64{1000, 1000 + math.Ln2}), []float64{1. / 3, 2. / 3})
	same(t, "one", Softmax([]float64{-1e300}), []float64{1})
}

func TestActivations(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		f         func(float64) float64
		x, want   float64
		tolerance float64
	}{
		// The normal distribution at 1 and 2 is 0.841344746068543 and 0.977249868051821.
		{"GELU", GELU, 1, 0.841344746068543, 1e-14},
		{"GELU", GELU, -2, -2 * (1 - 0.977249868051821), 1e-14},
		{"GELU", GELU, -40, 0, 1e-300},
		{"GELUTanh", GELUTanh, 1, 0.841344746068543, 2e-4},
		{"GELUTanh", GELUTanh, 0, 0, 0},
		{"GELUQuick", GELUQuick, 1, 1 / (1 + math.Exp(-1.702)), 1e-15},
		{"SiLU", SiLU, math.Log(3), math.Log(3) * 3 / 4, 1e-15},
		{"SiLU", SiLU, -800, 0, 1e-300},
		{"ReLU", ReLU, -3, 0, 0},
		{"ReLUSquared", ReLUSquared, 3, 9, 0},
		{"ReLUSquared", ReLUSquared, -3, 0, 0},
		{"Sigmoid", Sigmoid, 0, 0.5, 0},
	} {
		if got := c.f(c.x); !(math.Abs(got-c.want) <= c.tolerance) {
			t.Errorf("%s(%v) is %v, want %v", c.name, c.x, got, c.want)
		}
	}
	for x := -6.0; x < 6; x += 0.01 {
		if d := math.Abs(GELU(x) - GELUTanh(x)); d > 5e-4 {
			t.Errorf("GELU and its approximation differ by %v at %v", d, x)
		}
		if d := GELU(x) - GELU(-x) - x; math.Abs(d) > 1e-14 {
			t.Errorf("GELU(x) - GELU(-x) is not x at %v", x)
		}
		if d := SiLU(x) - SiLU(-x) - x; math.Abs(d) > 1e-14 {
			t.Errorf("SiLU(x) - SiLU(-x) is not x at %v", x)
		}
		if y := SoftCap(100*x, 3); math.Abs(y) > 3 || y*x < 0 || math.Abs(SoftCap(x/1e6, 3)-x/1e6) > 1e-12 {
			t.Errorf("soft cap of %v is %v", 100*x, y)
		}
	}
	if got, want := ClampedSwiGLU(100, 100), 7*Sigmoid(1.702*7)*8; got != want {
		t.Errorf("clamped from above: %v, want %v", got, want)
	}
	if got := ClampedSwiGLU(-2, -1); got != 0 {
		t.Errorf("the other half is -1: %v, want 0", got)
	}
	if got, want := ClampedSwiGLU(-20, -100), -6*-20*Sigmoid(1.702*-20); math.Abs(got-want) > 1e-15 {
		t.Errorf("clamped from below: %v, want %v", got, want)
	}
	f := Feed{
		Gate: Linear{Weight: [][]float64{{1, 0}}}, Up: Linear{Weight: [][]float64{{0, 1}}}, Down: Linear{Weight: [][]float64{{1}, {2}}},
		Gated: GLU(ReLU),
	}
	same(t, "gate open", f.Apply([]float64{3, 5}), []float64{15, 30})
	same(t, "gate shut", f.Apply([]float64{-3, 5}), []float64{0, 0})
	f = Feed{Up: f.Up, Down: f.Down, Ungated: ReLUSquared, Divisors: []float64{5}}
	same(t, "without a gate", f.Apply([]float64{0, 5}), []float64{5, 10})
}

func TestRouter(t *testing.T) {
	t.Parallel()
	// The gate gives each expert the logit in x.
	identity := func(n int) Linear {
		l := Linear{}
		for i := range n {
			row := make([]float64, n)
			row[i] = 1
			l.Weight = append(l.Weight, row)
		}
		return l
	}
	ln := math.Log
	four := []float64{ln(1), ln(2), ln(3), ln(4)}
	for _, c := range []struct {
		name    string
		router  Router
		x, want []float64
	}{
		{"softmax", Router{Top: 2, Scale: 1}, four, []float64{0, 0, 0.3, 0.4}},
		{"normalised", Router{Top: 2, Scale: 2, Normalise: true}, four, []float64{0, 0, 6. / 7, 8. / 7}},
		{"all", Router{Top: 4, Scale: 1}, four, []float64{0.1, 0.2, 0.3, 0.4}},
		{"sigmoid", Router{Top: 2, Scale: 1, Sigmoid: true}, four, []float64{0, 0, 0.75, 0.8}},
		{"chosen by bias", Router{Top: 2, Scale: 1, Bias: []float64{9, 0, 0, 0}}, four, []float64{0.1, 0, 0, 0.4}},
		{"group of the best", Router{Top: 2, Scale: 1, Groups: 2, TopGroups: 1}, []float64{ln(1), ln(5), ln(2), ln(2)}, []float64{0.1, 0.5, 0, 0}},
		{"group of the best two", Router{Top: 2, Scale: 1, Groups: 2, TopGroups: 1, RankTwo: true}, []float64{ln(1), ln(4), ln(3), ln(2)}, []float64{0.1, 0.4, 0, 0}},
		{"another group of the best two", Router{Top: 1, Scale: 1, Groups: 2, TopGroups: 1, RankTwo: true}, []float64{ln(0.5), ln(4), ln(3), ln(2.5)}, []float64{0, 0, 0.3, 0}},
	} {
		c.router.Gate = identity(4)
		same(t, c.name, c.router.Weights(c.x), c.want)
	}
	// With a jitter of 0.1 what lies at most a fifth below the best takes part: 0.9 of 1, then 0.5 only of 0.5 and 0.9.
	mixed := SparseMixer([]float64{0.5, 1, 0.9, -3}, 2, 0.1)
	same(t, "SparseMixer", mixed, []float64{0, 1 / (1 + math.Exp(-0.1)), 1, 0})
	same(t, "SparseMixer of all", SparseMixer(four, 4, 1e9), []float64{1, 2. / 3, 3. / 6, 4. / 10})

	// Every expert doubles, the shared one triples.
	by := func(f float64) Feed {
		down := identity(4)
		for i := range down.Weight {
			down.Weight[i] = Scale(down.Weight[i], f)
		}
		return Feed{Up: identity(4), Down: down, Ungated: func(v float64) float64 { return v }}
	}
	m := Mixture{Router: Router{Gate: identity(4), Top: 3, Scale: 1, Normalise: true}, Experts: []Feed{by(2), by(2), by(2), by(2)}}
	x := []float64{1, -2, 3, 0.5}
	same(t, "experts that agree", m.Apply(x), Scale(x, 2))
	shared := by(3)
	m.Shared = &shared
	same(t, "with a shared expert", m.Apply(x), Scale(x, 5))
	square := m
	square.Shared, square.Router = nil, Router{Gate: identity(4), Top: 1, Scale: 0.5, Normalise: true}
	for i := range square.Experts {
		square.Experts[i].Ungated = ReLUSquared
	}
	same(t, "an output weighed", square.Apply(x), []float64{1, 0, 9, 0.25})
	square.WeighInput = true
	same(t, "an input weighed", square.Apply(x), []float64{0.5, 0, 4.5, 0.125})
	m.Experts = []Feed{by(2), by(2), by(2), by(2)}
	m.SharedGate = Linear{Weight: [][]float64{{0, 0, 0, 0}}}
	same(t, "weighed by one half", m.Apply(x), Scale(x, 3.5))
}

func TestSteps(t *testing.T) {
	t.Parallel()
	double := Each(func(x []float64) []float64 { return Scale(x, 2) })
	addOne := func(x []float64) []float64 { return Map(x, func(v float64) float64 { return v + 1 }) }
	x := [][]float64{{3}}
	for _, c := range []struct {
		name string
		step Step
		want float64
	}{
		{"residual", Step{Branches: []Branch{{Half: double}}, Scale: 1}, 9},
		{"scaled", Step{Branches: []Branch{{Half: double}}, Scale: 0.5}, 6},
		{"norm before", Step{Branches: []Branch{{Before: addOne, Half: double}}, Scale: 1}, 11},
		{"norm after", Step{Branches: []Branch{{After: addOne, Half: double}}, Scale: 1}, 10},
		{"norm of the sum", Step{Branches: []Branch{{Half: double}}, Scale: 1, Norm: addOne}, 10},
		{"parallel", Step{Branches: []Branch{{Half: double}, {Before: addOne, Half: double}}, Scale: 0.5}, 10},
	} {
		same(t, c.name, c.step.Apply(x)[0], []float64{c.want})
	}
	if x[0][0] != 3 {
		t.Error("a step changed what it read")
	}
	m := Model{
		Embed: func(ids, _ []int) [][]float64 { return [][]float64{{float64(ids[0])}} }, Steps: []Step{{Branches: []Branch{{Half: double}}, Scale: 1}},
		Norm: addOne, Output: Linear{Weight: [][]float64{{1}, {-1}}}, LogitScale: 0.1, LogitCap: 2,
	}
	same(t, "logits", m.Logits([]int{3})[0], []float64{2 * math.Tanh(0.5), -2 * math.Tanh(0.5)})
}

func TestReadTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	good := func() Files {
		f := Files{Config: map[string]any{
			"model_type": "llama", "hidden_size": 2., "num_hidden_layers": 0., "num_attention_heads": 1., "tie_word_embeddings": true,
		}, Tensors: map[string]Tensor{
			"model.embed_tokens.weight": {[]int{1, 2}, []float64{3, 4}}, "model.norm.weight": {[]int{2}, []float64{1, 1}},
		}}
		return f
	}
	for name, spoil := range map[string]func(f Files){
		"architecture": func(f Files) { f.Config["model_type"] = "perceptron" },
		"sizes":        func(f Files) { delete(f.Config, "hidden_size") },
		"no layers":    func(Files) {},
		"tensors": func(f Files) {
			f.Config["num_hidden_layers"] = 1.
		},
	} {
		f := good()
		spoil(f)
		if m, err := Read(f, 1); err == nil || m != nil {
			t.Errorf("%s: no error", name)
		} else {
			t.Log(fmt.Sprint(err))
		}
	}
}
