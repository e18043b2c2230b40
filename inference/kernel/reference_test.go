package kernel

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/internal/reference"
	"github.com/carat-hub/carat/inference/tensor"
)

func wide(x []float32) []float64 {
	if x == nil {
		return nil
	}
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// checkWide compares got with want, each element with its own tolerance.
func checkWide(t *testing.T, what string, got []float32, want []float64, tolerance func(i int) float64) {
	t.Helper()
	for i, v := range want {
		if !(math.Abs(float64(got[i])-v) <= tolerance(i)) {
			t.Fatalf("%s: element %d of %d is %v, want %v within %.2g", what, i, len(want), got[i], v, tolerance(i))
		}
	}
}

// relative allows steps roundings of each element, and what float32 has no room for.
func relative(want []float64, steps float64) func(i int) float64 {
	return func(i int) float64 { return steps*math.Abs(want[i])*0x1p-24 + 1e-37 }
}

// spread returns values over the whole range that sums of squares have in float32: 1e-15 to 1e15, of one size in each vector
// or of many.
func spread(r *rand.Rand, n int) []float32 {
	x, size, mixed := make([]float32, n), 30*r.Float64()-15, r.IntN(2) == 0
	for i := range x {
		if mixed {
			size = 30*r.Float64() - 15
		}
		x[i] = float32(r.NormFloat64() * math.Pow(10, size))
	}
	return x
}

func TestNormsAgreeWithReference(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(9, 1))
	for n := 1; n < 300; n = n*5/4 + 1 {
		for range 20 {
			x, gain, bias := spread(r, n), random(r, n), random(r, n)
			eps := []float32{0, 1e-6, 1e-5, 1}[r.IntN(4)]
			y := make([]float32, n)
			RMSNorm(y, x, gain, eps)
			want := reference.RMSNorm(wide(x), wide(gain), float64(eps))
			checkWide(t, "RMSNorm", y, want, relative(want, 4))
			if n == 1 && eps == 0 {
				continue // a variance of 0 divides nothing
			}
			LayerNorm(y, x, gain, nil, eps)
			want = reference.LayerNorm(wide(x), wide(gain), nil, float64(eps))
			// Where an element is near the mean the difference has the rounding of both.
			near := func(i int) float64 {
				return relative(want, 4)(i) + 1e-12*math.Abs(float64(gain[i]))*math.Sqrt(float64(n))
			}
			checkWide(t, "LayerNorm", y, want, near)
			LayerNorm(y, x, gain, bias, eps)
			biased := reference.LayerNorm(wide(x), wide(gain), wide(bias), float64(eps))
			checkWide(t, "LayerNorm with a bias", y, biased, func(i int) float64 {
				return near(i) + 2*0x1p-24*(math.Abs(biased[i])+math.Abs(float64(bias[i])))
			})
		}
	}
}

func TestSoftmaxAgreesWithReference(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(9, 2))
	for _, e := range engines() {
		for n := 1; n < 400; n = n*5/4 + 1 {
			for _, size := range []float64{1e-30, 1, 30, 1000, 1e30} {
				x := make([]float32, n)
				for i := range x {
					x[i] = float32(r.NormFloat64() * size)
				}
				want, y := reference.Softmax(wide(x)), append([]float32(nil), x...)
				e.softmax(y)
				largest := float64(slices.Max(x))
				checkWide(t, fmt.Sprintf("%s: softmax of values of %g", e.name(), size), y, want, func(i int) float64 {
					// The distance to the largest value is rounded; what it makes too small for all its digits may become 0.
					return want[i]*(1e-6+0x1p-24*(largest-float64(x[i]))) + 1e-37
				})
			}
		}
	}
}

func TestActivationsAgreeWithReference(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(9, 3))
	for _, c := range []struct {
		a    Activation
		want func(float64) float64
	}{
		{SiLU, reference.SiLU},
		{GELU, reference.GELU},
		{GELUTanh, reference.GELUTanh},
		{ReLU, reference.ReLU},
		{ReLUSquared, reference.ReLUSquared},
	} {
		for n := 1; n < 200; n = n*5/4 + 1 {
			for _, size := range []float64{1e-20, 1, 8, 1e6} {
				x, up := make([]float32, n), random(r, n)
				for i := range x {
					x[i] = float32(r.NormFloat64() * size)
				}
				alone, gated := make([]float64, n), make([]float64, n)
				for i, v := range x {
					alone[i] = c.want(float64(v))
					gated[i] = reference.GLU(c.want)(float64(v), float64(up[i]))
				}
				// Far below zero all but ReLU are the small difference of 1 and something near it.
				tolerance := func(want []float64, factor []float32) func(i int) float64 {
					return func(i int) float64 {
						bound := 1e-6*math.Abs(want[i]) + 1e-30
						if x := float64(x[i]); x < 0 && c.a != SiLU {
							bound += 1e-15 * math.Abs(x*float64(factor[i]))
						}
						return bound
					}
				}
				ones := make([]float32, n)
				for i := range ones {
					ones[i] = 1
				}
				y := append([]float32(nil), x...)
				Activate(c.a, y, nil)
				checkWide(t, fmt.Sprintf("activation %d of values of %g", c.a, size), y, alone, tolerance(alone, ones))
				y = append(y[:0], x...)
				Activate(c.a, y, up)
				checkWide(t, fmt.Sprintf("gated activation %d of values of %g", c.a, size), y, gated, tolerance(gated, up))
				for i, v := range x {
					gated[i] = reference.ClampedSwiGLU(float64(v), float64(up[i])*size)
					up[i] *= float32(size)
				}
				Activate(ClampedSwiGLU, x, up)
				checkWide(t, fmt.Sprintf("clamped SwiGLU of values of %g", size), x, gated, func(i int) float64 { return 1e-6*math.Abs(gated[i]) + 1e-6 })
			}
		}
	}
	x := random(r, 99)
	want := reference.Each(func(x []float64) []float64 {
		return reference.Map(x, func(v float64) float64 { return reference.SoftCap(v, 0.5) })
	})([][]float64{wide(x)})[0]
	SoftCap(x, 0.5)
	checkWide(t, "soft cap", x, want, relative(want, 4))
}

func TestRopeAgreesWithReference(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(9, 4))
	for range 300 {
		headDim, heads := 1+r.IntN(70), 1+r.IntN(4)
		pairs := r.IntN(headDim/2 + 1)
		base := math.Exp(2 + 12*r.Float64())
		want := reference.Rope{Angles: reference.Angles(base, 2*pairs), Adjacent: r.IntN(2) == 0, Magnitude: 1}
		rope := Rope{Adjacent: want.Adjacent, Frequencies: RopeFrequencies(base, 2*pairs)}
		if r.IntN(2) == 0 {
			rope.Scale = float32(0.5 + r.Float64())
			want.Magnitude = float64(rope.Scale)
		}
		first := []int{0, 1, 1000, 1 << 20}[r.IntN(4)]
		rope.Prepare(first, 3)
		for i := range 3 {
			x := random(r, heads*headDim)
			var turned []float64
			for h := range heads {
				turned = append(turned, want.Rotate(wide(x[h*headDim:(h+1)*headDim]), first+i)...)
			}
			y := append([]float32(nil), x...)
			rope.Apply(y, headDim, i)
			// A position of a million takes seven digits of the angle.
			checkWide(t, fmt.Sprintf("%d pairs of %d elements at %d", pairs, headDim, first+i), y, turned, func(int) float64 {
				return 3e-6 + 1e-15*float64(first)
			})
		}
	}
}

func TestAlibiSlopesAgreeWithReference(t *testing.T) {
	t.Parallel()
	for heads := 1; heads <= 130; heads++ {
		want := reference.AlibiSlopes(heads, 8)
		checkWide(t, "slopes", AlibiSlopes(heads, 8), want, relative(want, 2))
	}
}

// TestAttentionAgreesWithReference deals out sequences to several runs, as a session does.
func TestAttentionAgreesWithReference(t *testing.T) {
	t.Parallel()
	for i, e := range engines() {
		t.Run(e.name(), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(9, uint64(5+i)))
			pool := NewPool(2)
			defer pool.Close()
			for i := range 120 {
				kv := 1 + r.IntN(3)
				c := Attention{
					Heads: kv * (1 + r.IntN(3)), KVHeads: kv, HeadDim: 1 + r.IntN(40), ValueDim: 1 + r.IntN(40), Window: r.IntN(3) * r.IntN(9),
					Scale: float32([]float64{1e-3, 0.2, 3, 40}[r.IntN(4)]),
				}
				if r.IntN(3) == 0 {
					c.Cap = float32(1 + 20*r.Float64())
				}
				if r.IntN(3) == 0 {
					c.Slopes = AlibiSlopes(c.Heads, 8)
				}
				if r.IntN(3) == 0 {
					c.Sinks = random(r, c.Heads)
				}
				n := 1 + r.IntN(40)
				if i%40 == 0 {
					n += 250 // more than one panel
				}
				q, k, v := random(r, n*c.Heads*c.HeadDim), random(r, n*kv*c.HeadDim), random(r, n*kv*c.ValueDim)
				out := make([]float32, n*c.Heads*c.ValueDim)
				a := NewAttention(pool, c, n)
				a.engine = e
				keys, values := cached(t, kv, c.HeadDim, tensor.F32), cached(t, kv, c.ValueDim, tensor.F32)
				for first := 0; first < n; {
					m := 1 + r.IntN(n-first)
					if i%2 == 0 {
						setStates(t, keys, first, k[first*kv*c.HeadDim:], m)
						setStates(t, values, first, v[first*kv*c.ValueDim:], m)
						if err := a.RunCached(q[first*c.Heads*c.HeadDim:], keys, values, out[first*c.Heads*c.ValueDim:], first, m); err != nil {
							t.Fatal(err)
						}
					} else if err := a.Run(q[first*c.Heads*c.HeadDim:], k, v, out[first*c.Heads*c.ValueDim:], first, m); err != nil {
						t.Fatal(err)
					}
					first += m
				}
				checkAttention(t, c, n, q, k, v, out)
			}
		})
	}
}

func cached(t *testing.T, heads, dim int, typ tensor.Type) *Cache {
	t.Helper()
	c, err := NewCache(heads, dim, typ)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func setStates(t *testing.T, c *Cache, first int, x []float32, n int) {
	t.Helper()
	if err := c.Set(first, x, n); err != nil {
		t.Fatal(err)
	}
}

// TestAttentionOfRoundedStates compares caches of fewer bits with one that holds what they decode to.
func TestAttentionOfRoundedStates(t *testing.T) {
	t.Parallel()
	const heads, kv, dim, n = 6, 2, 64, 300
	for _, e := range engines() {
		for _, typ := range []tensor.Type{tensor.F16, tensor.Q8_0} {
			t.Run(e.name()+"/"+typ.String(), func(t *testing.T) {
				t.Parallel()
				r := rand.New(rand.NewPCG(10, 11))
				pool := NewPool(2)
				defer pool.Close()
				a := NewAttention(pool, Attention{Heads: heads, KVHeads: kv, HeadDim: dim, Scale: 0.125}, n)
				a.engine = e
				size, _ := typ.Size(kv * dim)
				round := func(c *Cache, x []float32) []float32 {
					setStates(t, c, 0, x, n)
					raw, out := make([]byte, size*n), make([]float32, len(x))
					for i := 0; i < len(x); i += dim {
						at := int64(i/dim) * size / kv
						if err := encodeState(typ, raw[at:at+size/kv], x[i:i+dim]); err != nil {
							t.Fatal(err)
						}
					}
					if err := tensor.Decode(typ, out, raw); err != nil {
						t.Fatal(err)
					}
					return out
				}
				keys, values := cached(t, kv, dim, typ), cached(t, kv, dim, typ)
				k, v, q := round(keys, random(r, n*kv*dim)), round(values, random(r, n*kv*dim)), random(r, n*heads*dim)
				for _, part := range [][2]int{{0, n}, {n - 3, 3}, {140, 1}} {
					first, m := part[0], part[1]
					want, got := make([]float32, m*heads*dim), make([]float32, m*heads*dim)
					if err := a.Run(q[first*heads*dim:], k, v, want, first, m); err != nil {
						t.Fatal(err)
					}
					if err := a.RunCached(q[first*heads*dim:], keys, values, got, first, m); err != nil {
						t.Fatal(err)
					}
					for i := range want {
						if !near(want[i], got[i], 10) {
							t.Fatalf("%d queries from %d on: element %d is %v, want %v", m, first, i, got[i], want[i])
						}
					}
				}
			})
		}
	}
}

func TestCacheErrors(t *testing.T) {
	t.Parallel()
	var unsupported *fault.Unsupported
	for _, c := range []struct {
		dim int
		typ tensor.Type
	}{{64, tensor.Q4_0}, {40, tensor.Q8_0}, {64, tensor.Invalid}} {
		if _, err := NewCache(1, c.dim, c.typ); !errors.As(err, &unsupported) {
			t.Errorf("%d elements of %s: %v", c.dim, c.typ, err)
		}
	}
	c := cached(t, 2, 4, tensor.F32)
	if c.Set(0, make([]float32, 7), 1) == nil || c.Set(-1, make([]float32, 8), 1) == nil {
		t.Error("vectors that are too short, or before the sequence, were accepted")
	}
	pool := NewPool(1)
	defer pool.Close()
	a := NewAttention(pool, Attention{Heads: 2, KVHeads: 2, HeadDim: 4}, 1000)
	if a.RunCached(make([]float32, 8), c, c, make([]float32, 8), 0, 1) == nil {
		t.Error("an empty cache was read")
	}
}

func checkAttention(t *testing.T, c Attention, n int, q, k, v, out []float32) {
	t.Helper()
	head := func(x []float32, heads, h, size int) [][]float64 {
		var states [][]float64
		for i := range n {
			states = append(states, wide(x[(i*heads+h)*size:][:size]))
		}
		return states
	}
	for h := range c.Heads {
		s := reference.Scores{Scale: float64(c.Scale), Cap: float64(c.Cap), Mask: reference.Window(c.Window)}
		if c.Slopes != nil {
			s.Bias = func(query, key int) float64 { return -float64(c.Slopes[h]) * float64(query-key) }
		}
		if c.Sinks != nil {
			sink := float64(c.Sinks[h])
			s.Sink = &sink
		}
		shared := h * c.KVHeads / c.Heads
		queries, keys := head(q, c.Heads, h, c.HeadDim), head(k, c.KVHeads, shared, c.HeadDim)
		for i, want := range s.Attend(queries, keys, head(v, c.KVHeads, shared, c.ValueDim)) {
			// A score's rounding grows with the terms of its sum, and a probability differs by as much in parts of itself.
			largest := 0.0
			for _, key := range keys[:i+1] {
				sum := 0.0
				for j := range key {
					sum += math.Abs(key[j] * queries[i][j])
				}
				largest = math.Max(largest, sum*float64(c.Scale))
			}
			checkWide(t, fmt.Sprintf("query %d of %d, head %d of %+v", i, n, h, c), out[(i*c.Heads+h)*c.ValueDim:], want, func(int) float64 {
				return 1e-5 + 2e-6*largest
			})
		}
	}
}
