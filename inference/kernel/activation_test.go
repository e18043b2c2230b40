package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLayerNorm(t *testing.T) {
	t.Parallel()
	near := cmp.Comparer(func(a, b float32) bool { return math.Abs(float64(a-b)) < 1e-6 })
	y := make([]float32, 4)
	// The mean is 2 and the variance 2.5; eps makes it 4.
	LayerNorm(y, []float32{0, 1, 3, 4}, []float32{1, 2, 1, 1}, []float32{0, 0, 5, 0}, 1.5)
	if d := cmp.Diff([]float32{-1, -1, 5.5, 1}, y, near); d != "" {
		t.Error(d)
	}
	LayerNorm(y, []float32{0, 1, 3, 4}, []float32{1, 2, 1, 1}, nil, 1.5)
	if d := cmp.Diff([]float32{-1, -1, 0.5, 1}, y, near); d != "" {
		t.Error(d)
	}
}

// TestActivate compares with published values: GELU(1) = 0.841345, its approximation 0.841192, SiLU(1) = 0.731059.
func TestActivate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		a     Activation
		x, up []float32
		want  []float32
	}{
		{"silu", SiLU, []float32{0, 1, -1}, nil, []float32{0, 0.731059, -0.268941}},
		{"swiglu", SiLU, []float32{0, 1}, []float32{3, 2}, []float32{0, 1.462117}},
		{"gelu", GELU, []float32{0, 1, -1, 10}, nil, []float32{0, 0.841345, -0.158655, 10}},
		{"gelu by tanh", GELUTanh, []float32{0, 1, -1, 10}, nil, []float32{0, 0.841192, -0.158808, 10}},
		{"geglu", GELUTanh, []float32{1}, []float32{-2}, []float32{-1.682384}},
		{"relu", ReLU, []float32{-3, 2}, nil, []float32{0, 2}},
		{"relu squared", ReLUSquared, []float32{-3, 2}, nil, []float32{0, 4}},
		{"tanh", Tanh, []float32{0, 1, -1}, nil, []float32{0, 0.761594, -0.761594}},
		{"clamped", ClampedSwiGLU, []float32{1, 100, 0}, []float32{1, -100, 5}, []float32{1.691591, -41.999719, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			near := cmp.Comparer(func(a, b float32) bool { return math.Abs(float64(a-b)) < 2e-6*max(1, math.Abs(float64(a))) })
			Activate(c.a, c.x, c.up)
			if d := cmp.Diff(c.want, c.x, near); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestAlibiSlopes has the slopes of the paper (Press et al. 2021) for 8 heads, and what its code adds for 12.
func TestAlibiSlopes(t *testing.T) {
	t.Parallel()
	eight := []float32{1. / 2, 1. / 4, 1. / 8, 1. / 16, 1. / 32, 1. / 64, 1. / 128, 1. / 256}
	near := cmp.Comparer(func(a, b float32) bool { return math.Abs(float64(a-b)) < 1e-7 })
	if d := cmp.Diff(eight, AlibiSlopes(8, 8), near); d != "" {
		t.Error(d)
	}
	twelve := append(eight, float32(math.Pow(2, -0.5)), float32(math.Pow(2, -1.5)), float32(math.Pow(2, -2.5)), float32(math.Pow(2, -3.5)))
	if d := cmp.Diff(twelve, AlibiSlopes(12, 8), near); d != "" {
		t.Error(d)
	}
}

// TestAttentionOptions compares with the definitions written out in float64: values of another size than keys, bounded scores,
// slopes and sinks.
func TestAttentionOptions(t *testing.T) {
	t.Parallel()
	const heads, kvHeads, dim, first, n = 4, 2, 8, 3, 4
	for i, c := range []Attention{
		{ValueDim: 5},
		{ValueDim: 8, Cap: 0.5},
		{ValueDim: 11, Slopes: AlibiSlopes(heads, 8)},
		{ValueDim: 8, Sinks: []float32{-2, 0, 1, 30}},
		{ValueDim: 3, Cap: 0.7, Window: 2, Slopes: AlibiSlopes(heads, 8), Sinks: []float32{1, 0, 1, 2}},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(uint64(i), 5))
			pool := NewPool(2)
			defer pool.Close()
			c.Heads, c.KVHeads, c.HeadDim, c.Scale = heads, kvHeads, dim, 0.6
			q, k := random(r, n*heads*dim), random(r, (first+n)*kvHeads*dim)
			v, out := random(r, (first+n)*kvHeads*c.ValueDim), make([]float32, n*heads*c.ValueDim)
			a := NewAttention(pool, c, first+n)
			if err := a.Run(q, k, v, out, first, n); err != nil {
				t.Fatal(err)
			}
			for at, got := range out {
				i, h, e := at/c.ValueDim/heads, at/c.ValueDim%heads, at%c.ValueDim
				var total, sum float64
				for j := 0; j <= first+i; j++ {
					if c.Window > 0 && first+i-j >= c.Window {
						continue
					}
					var score float64
					for x := range dim {
						score += float64(q[(i*heads+h)*dim+x]) * float64(k[(j*kvHeads+h/2)*dim+x])
					}
					score *= 0.6
					if c.Cap > 0 {
						score = float64(c.Cap) * math.Tanh(score/float64(c.Cap))
					}
					if c.Slopes != nil {
						score -= float64(c.Slopes[h]) * float64(first+i-j)
					}
					total += math.Exp(score)
					sum += math.Exp(score) * float64(v[(j*kvHeads+h/2)*c.ValueDim+e])
				}
				if c.Sinks != nil {
					total += math.Exp(float64(c.Sinks[h]))
				}
				if math.Abs(float64(got)-sum/total) > 1e-5 {
					t.Fatalf("query %d, head %d: got %v, want %v", i, h, got, sum/total)
				}
			}
		})
	}
}

// TestActivator gives exactly what Activate does, in pieces on several threads.
func TestActivator(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 8))
	for _, threads := range []int{1, 3} {
		pool := NewPool(threads)
		defer pool.Close()
		for _, n := range []int{1, activated, activated + 1, 5*activated + 77} {
			for _, a := range []Activation{SiLU, GELU, ClampedSwiGLU} {
				x, up := random(r, n), random(r, n)
				if a == GELU {
					up = nil
				}
				want := slices.Clone(x)
				Activate(a, want, up)
				if err := NewActivator(pool, a).Run(x, up); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(want, x) {
					t.Errorf("%d elements on %d threads differ for activation %d", n, threads, a)
				}
			}
		}
	}
}
