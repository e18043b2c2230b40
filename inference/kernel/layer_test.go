package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// TestNormsOfEngines compares the parts of RMSNorm with their plain reference, in place too.
func TestNormsOfEngines(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 7))
	for _, e := range vectorEngines() {
		for n := 1; n <= 70; n++ {
			for name, x := range extreme(r, n) {
				x = unaligned(x)
				want, got := plain{}.squares(x), e.squares(x)
				if !(math.Abs(want-got) <= 1e-14*want) && (want == want || got == got) && want != got {
					t.Fatalf("%s: squares of %d, %s: %v, want %v", e.name(), n, name, got, want)
				}
				mean, variance := plain{}.moments(x)
				gotMean, gotVariance := e.moments(x)
				size := 0.0
				for _, v := range x {
					size = max(size, math.Abs(float64(v)))
				}
				if finite := size <= math.MaxFloat32; finite && !(math.Abs(mean-gotMean) <= 1e-14*size && math.Abs(variance-gotVariance) <= 1e-13*size*size) ||
					finite == (gotMean-gotMean != 0) {
					t.Fatalf("%s: mean and variance of %d, %s: %v and %v, want %v and %v", e.name(), n, name, gotMean, gotVariance, mean, variance)
				}
				weight, scale := unaligned(random(r, n)), float32(r.NormFloat64())
				y, z := make([]float32, n), append([]float32(nil), x...)
				plain{}.weigh(y, x, weight, scale)
				e.weigh(z, z, weight, scale)
				for i := range y {
					if !near(y[i], z[i], math.Abs(float64(y[i]))) {
						t.Fatalf("%s: weighing %d, %s: %v is %v, want %v", e.name(), n, name, x[i], z[i], y[i])
					}
				}
				z = append(z[:0], x...)
				plain{}.standardize(y, x, weight, 0.5, float64(scale))
				e.standardize(z, z, weight, 0.5, float64(scale))
				for i := range y {
					if !near(y[i], z[i], math.Abs(float64(y[i]))) {
						t.Fatalf("%s: standardizing %d, %s: %v is %v, want %v", e.name(), n, name, x[i], z[i], y[i])
					}
				}
			}
		}
	}
}

// TestRotationsOfEngines compares rotary embeddings of all sizes with the plain ones; what is not rotated stays as it is.
func TestRotationsOfEngines(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 8))
	for _, e := range vectorEngines() {
		for half := 0; half <= 40; half++ {
			for _, adjacent := range []bool{false, true} {
				headDim := 2*half + r.IntN(4) + 1
				cos, sin := unaligned(random(r, half)), unaligned(random(r, half))
				for name, x := range extreme(r, 3*headDim) {
					want, got := append([]float32(nil), x...), unaligned(x)
					plain{}.rotate(want, headDim, cos, sin, adjacent)
					e.rotate(got, headDim, cos, sin, adjacent)
					for i := range want {
						// Where two terms nearly cancel out the difference has the rounding of both.
						size := 0.0
						for _, v := range x[i/headDim*headDim:][:headDim] {
							size = max(size, 4*math.Abs(float64(v)))
						}
						if math.IsNaN(size) {
							size = math.Inf(1)
						}
						if !near(want[i], got[i], size) {
							t.Fatalf("%s: %d pairs of %d, adjacent %v, %s: element %d is %v, want %v", e.name(), half, headDim, adjacent, name, i, got[i], want[i])
						}
					}
				}
			}
		}
	}
}

// TestLayersCheckLengths shows that no kernel is called with memory that is too short.
func TestLayersCheckLengths(t *testing.T) {
	t.Parallel()
	x := make([]float32, 64)
	for _, e := range vectorEngines() {
		for i, call := range []func(){
			func() { e.weigh(x[:31], x[:32], x[:32], 1) },
			func() { e.weigh(x[:32], x[:32], x[:31], 1) },
			func() { e.standardize(x[:31], x[:32], x[:32], 0, 1) },
			func() { e.standardize(x[:32], x[:32], x[:31], 0, 1) },
			func() { e.rotate(x, 32, x[:17], x[:17], false) },
			func() { e.rotate(x, 32, x[:16], x[:15], true) },
		} {
			t.Run(fmt.Sprintf("%s/%d", e.name(), i), func(t *testing.T) {
				t.Parallel()
				defer func() {
					if recover() == nil {
						t.Error("the kernel was called")
					}
				}()
				call()
			})
		}
	}
}

// BenchmarkLayer measures what lies between the products, for a vector of 2048 elements in heads of 64.
func BenchmarkLayer(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 9))
	const n, headDim = 2048, 64
	x, weight, y := random(r, n), random(r, n), make([]float32, n)
	angles := func() (cos, sin []float32) {
		for range headDim / 2 {
			s, c := math.Sincos(r.Float64())
			cos, sin = append(cos, float32(c)), append(sin, float32(s))
		}
		return cos, sin
	}
	cos, sin := angles()
	for _, e := range engines() {
		for name, run := range map[string]func(){
			"layer norm": func() {
				mean, variance := e.moments(x)
				e.standardize(y, x, weight, mean, variance)
			},
			"norm":          func() { e.weigh(y, x, weight, float32(e.squares(x))) },
			"rope halves":   func() { e.rotate(x, headDim, cos, sin, false) },
			"rope adjacent": func() { e.rotate(x, headDim, cos, sin, true) },
			"GELU":          func() { copy(y, x); e.gelu(GELU, y) },
		} {
			b.Run(name+"/"+e.name(), func(b *testing.B) {
				b.SetBytes(4 * n)
				for b.Loop() {
					run()
				}
			})
		}
	}
}
