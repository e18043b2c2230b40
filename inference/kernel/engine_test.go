package kernel

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/carat-hub/carat/inference/tensor"
)

// near tells whether a and b differ by no more than the rounding of sums of that size, or are both not finite.
func near(a, b float32, size float64) bool {
	x, y := float64(a), float64(b)
	if math.IsNaN(x-x) || math.IsNaN(y-y) {
		return math.IsNaN(x-x) && math.IsNaN(y-y)
	}
	return math.Abs(x-y) <= 1e-6*size
}

// unaligned returns a copy of x that begins at an odd element and ends where its memory does.
func unaligned[T any](x []T) []T { return append(make([]T, 1, len(x)+1), x...)[1:] }

// extreme gives vectors with what rounding and conversions may stumble over.
func extreme(r *rand.Rand, n int) map[string][]float32 {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	vectors := map[string][]float32{"normal": random(r, n), "zero": make([]float32, n)}
	for name, v := range map[string]float32{
		"nan": nan, "infinity": inf, "minus infinity": -inf, "largest": math.MaxFloat32, "subnormal": 1e-42, "tiny": 1e-30, "half's largest": 65504,
	} {
		x := random(r, n)
		x[r.IntN(n)] = v
		vectors[name] = x
		x = make([]float32, n)
		x[r.IntN(n)] = v
		vectors["only "+name] = x
	}
	vectors["all tiny"] = make([]float32, n)
	for i := range n {
		vectors["all tiny"][i] = float32(r.NormFloat64()) * 1e-38
	}
	return vectors
}

func magnitude(w, x []float32) float64 {
	sum := 0.0
	for i := range w {
		sum += math.Abs(float64(w[i]) * float64(x[i]))
	}
	return sum
}

// TestEnginesAgree compares every kernel with its plain reference: all lengths up to several registers, starts that are not
// aligned, ends at the end of their memory, and values that are extreme or no numbers.
func TestEnginesAgree(t *testing.T) {
	t.Parallel()
	for _, e := range vectorEngines() {
		for _, typ := range []tensor.Type{tensor.F32, tensor.F16, tensor.BF16} {
			t.Run(e.name()+"/dots "+typ.String(), func(t *testing.T) {
				t.Parallel()
				r := rand.New(rand.NewPCG(1, 1))
				for cols := 1; cols <= 70; cols++ {
					rows := 1 + cols%9
					for name, x := range extreme(r, cols) {
						weights := random(r, rows*cols)
						if name == "normal" {
							weights[r.IntN(rows*cols)] = float32(math.NaN())
						}
						raw := unaligned(encode(t, typ, weights))
						want, got := make([]float32, rows), make([]float32, rows)
						if !(plain{}.dots(typ, raw, x, want, nil)) || !e.dots(typ, raw, unaligned(x), got, &scratch{}) {
							t.Fatal("no kernel")
						}
						for i := range want {
							if !near(want[i], got[i], magnitude(weights[i*cols:(i+1)*cols], x)) {
								t.Fatalf("%d columns, %s: got %v, want %v", cols, name, got[i], want[i])
							}
						}
					}
				}
			})
		}
		t.Run(e.name()+"/integers", func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(1, 2))
			for blocks := 1; blocks <= 9; blocks++ {
				n := 32 * blocks
				for name, x := range extreme(r, n) {
					want, got := newActivations(n), newActivations(n)
					plain{}.quantize(x, want)
					e.quantize(unaligned(x), got)
					for i := range n {
						scale := want.scale[i/32]
						if !near(scale, got.scale[i/32], 0) || near(scale, scale, 0) && !math.IsInf(float64(scale), 0) && !math.IsNaN(float64(scale)) && want.q[i] != got.q[i] {
							t.Fatalf("%d blocks, %s: element %d (%v) is %d * %v, want %d * %v", blocks, name, i, x[i], got.q[i], got.scale[i/32], want.q[i], scale)
						}
					}
					rows := 1 + blocks%6
					weights := make([]byte, rows*blocks*34)
					for i := range weights {
						weights[i] = byte(r.Uint32()) // all integers, -128 among them
					}
					for b := range rows * blocks {
						binary.LittleEndian.PutUint16(weights[b*34:], tensor.HalfFromFloat(float32(r.NormFloat64())))
					}
					if name == "normal" {
						binary.LittleEndian.PutUint16(weights, []uint16{0x7c00, 0x7e01, 0xfc00, 1, 0x7bff}[blocks%5])
					}
					sums, gotSums := make([]float32, rows), make([]float32, rows)
					plain{}.integerDots(tensor.Q8_0, weights, want, sums, nil)
					e.integerDots(tensor.Q8_0, unaligned(weights), got, gotSums, &scratch{})
					decoded := make([]float32, rows*n)
					if err := tensor.Decode(tensor.Q8_0, decoded, weights); err != nil {
						t.Fatal(err)
					}
					var s scratch
					products, gotProducts := make([]float32, rows), make([]float32, rows)
					if err := (plain{}).products(tensor.Q8_0, weights, rows, x, 1, products, &s); err != nil {
						t.Fatal(err)
					}
					if err := e.products(tensor.Q8_0, unaligned(weights), rows, x, 1, gotProducts, &s); err != nil {
						t.Fatal(err)
					}
					for i := range rows {
						size := magnitude(decoded[i*n:(i+1)*n], x)
						if !near(sums[i], gotSums[i], size) || !near(products[i], gotProducts[i], size) {
							t.Fatalf("%d blocks, %s: got %v and %v, want %v and %v", blocks, name, gotSums[i], gotProducts[i], sums[i], products[i])
						}
					}
				}
			}
		})
		t.Run(e.name()+"/attention", func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(1, 3))
			for dim := 1; dim <= 140; dim++ {
				n, stride := r.IntN(12), dim+r.IntN(3)
				for name, q := range extreme(r, dim) {
					rows := unaligned(random(r, max(n-1, 0)*stride+dim))
					want, got := make([]float32, n), make([]float32, n)
					plain{}.scores(q, rows, stride, want, nil)
					e.scores(unaligned(q), rows, stride, got, &scratch{})
					for j := range n {
						if !near(want[j], got[j], magnitude(q, rows[j*stride:])) {
							t.Fatalf("%d elements, %s: score %v, want %v", dim, name, got[j], want[j])
						}
					}
				}
				for _, weights := range extreme(r, n+1) {
					rows := unaligned(random(r, n*stride+dim))
					want, got := random(r, dim), random(r, dim)
					plain{}.mix(weights, rows, stride, want)
					e.mix(unaligned(weights), rows, stride, got)
					for c := range dim {
						size := 0.0
						for j, w := range weights {
							size += math.Abs(float64(w) * float64(rows[j*stride+c]))
						}
						if !near(want[c], got[c], size) {
							t.Fatalf("%d elements of %d rows: got %v, want %v", dim, n+1, got[c], want[c])
						}
					}
				}
			}
		})
	}
}

// TestExponentials compares softmax and SwiGLU, whose exponentials are approximated in registers.
func TestExponentials(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 4))
	for _, e := range vectorEngines() {
		for n := 1; n <= 70; n++ {
			for name, x := range extreme(r, n) {
				for i := range x {
					x[i] *= 10 // to the ends of what an exponential can be
				}
				up := random(r, n)
				want, got := unaligned(x), unaligned(x)
				plain{}.softmax(want)
				e.softmax(got)
				for i := range want {
					if !near(want[i], got[i], 1) {
						t.Fatalf("%s: softmax of %d, %s: %v is %v, want %v", e.name(), n, name, x[i], got[i], want[i])
					}
				}
				want, got = unaligned(x), unaligned(x)
				plain{}.swiglu(want, up)
				e.swiglu(got, up)
				for i := range want {
					if !near(want[i], got[i], math.Abs(float64(want[i]))+1e-30) {
						t.Fatalf("%s: SwiGLU of %d, %s: %v is %v, want %v", e.name(), n, name, x[i], got[i], want[i])
					}
				}
			}
		}
	}
}

// TestDecodeIsExact compares decoding in registers with the reference, for every half-precision value.
func TestDecodeIsExact(t *testing.T) {
	t.Parallel()
	all := make([]byte, 2<<16)
	blocks := make([]byte, 34<<8)
	for i := range 1 << 16 {
		binary.LittleEndian.PutUint16(all[2*i:], uint16(i))
	}
	for i := range 1 << 8 {
		binary.LittleEndian.PutUint16(blocks[34*i:], uint16(i*257))
		for j := range 32 {
			blocks[34*i+2+j] = byte(i + 8*j)
		}
	}
	for _, e := range vectorEngines() {
		v := e.(interface {
			decode(t tensor.Type, dst []float32, src []byte) error
		})
		for _, c := range []struct {
			typ tensor.Type
			src []byte
		}{{tensor.F16, all}, {tensor.BF16, all}, {tensor.F16, all[:26]}, {tensor.Q8_0, blocks}, {tensor.F32, all}} {
			elements, bytes := c.typ.Block()
			n := len(c.src) / bytes * elements
			want, got := make([]float32, n), make([]float32, n)
			if err := tensor.Decode(c.typ, want, c.src); err != nil {
				t.Fatal(err)
			}
			if err := v.decode(c.typ, got, unaligned(c.src)); err != nil {
				t.Fatal(err)
			}
			for i := range want {
				if want[i] != got[i] && (want[i] == want[i] || got[i] == got[i]) {
					t.Fatalf("%s %s: element %d is %v, want %v", e.name(), c.typ, i, got[i], want[i])
				}
			}
		}
	}
}

// TestEnginesCheckLengths shows that no kernel is called with memory that is too short.
func TestEnginesCheckLengths(t *testing.T) {
	t.Parallel()
	for _, e := range vectorEngines() {
		x := make([]float32, 64)
		for i, call := range []func(){
			func() { e.dots(tensor.F16, make([]byte, 255), x, x[:2], &scratch{}) },
			func() { e.dots(tensor.F32, nil, nil, x[:2], &scratch{}) },
			func() { e.integerDots(tensor.Q8_0, make([]byte, 67), newActivations(64), x[:1], &scratch{}) },
			func() {
				e.integerDots(tensor.Q8_0, make([]byte, 68), activations{make([]int16, 63), x[:2]}, x[:1], &scratch{})
			},
			func() { e.quantize(x, newActivations(32)) },
			func() { e.scores(x[:32], x, 33, x[:2], &scratch{}) },
			func() { e.mix(x[:2], x, 33, x[:32]) },
			func() { e.swiglu(x[:32], x[:31]) },
			func() {
				if err := e.products(tensor.F32, make([]byte, 255), 1, x, 1, x, &scratch{}); err != nil {
					t.Error(err)
				}
			},
			func() {
				if err := e.products(tensor.F32, make([]byte, 256), 1, x, 1, nil, &scratch{}); err != nil {
					t.Error(err)
				}
			},
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
