package kernel

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/carat-hub/carat/inference/tensor"
)

// least is a difference that subnormal factors can make.
const least = 1e-37

// near tells whether a and b differ by no more than the rounding of sums of that size, or are both not finite.
func near(a, b float32, size float64) bool {
	if math.IsInf(size, 1) {
		return true
	}
	x, y := float64(a), float64(b)
	if math.IsNaN(x-x) || math.IsNaN(y-y) {
		return math.IsNaN(x-x) && math.IsNaN(y-y)
	}
	return math.Abs(x-y) <= 1e-6*size+least
}

// unaligned returns a copy of x that begins at an odd element and ends where its memory does.
func unaligned[T any](x []T) []T { return append(make([]T, 1, len(x)+1), x...)[1:] }

// extreme gives vectors with what rounding and conversions may stumble over, always in the same order.
func extreme(r *rand.Rand, n int) iter.Seq2[string, []float32] {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	type vector struct {
		name string
		x    []float32
	}
	vectors := []vector{{"normal", random(r, n)}, {"zero", make([]float32, n)}}
	for _, v := range []struct {
		name  string
		value float32
	}{
		{"nan", nan},
		{"infinity", inf},
		{"minus infinity", -inf},
		{"largest", math.MaxFloat32},
		{"subnormal", 1e-42},
		{"tiny", 1e-30},
		{"half's largest", 65504},
	} {
		x, only := random(r, n), make([]float32, n)
		x[r.IntN(n)], only[r.IntN(n)] = v.value, v.value
		vectors = append(vectors, vector{v.name, x}, vector{"only " + v.name, only})
	}
	tiny := make([]float32, n)
	for i := range tiny {
		tiny[i] = float32(r.NormFloat64()) * 1e-38
	}
	vectors = append(vectors, vector{"all tiny", tiny})
	return func(yield func(string, []float32) bool) {
		for _, v := range vectors {
			if !yield(v.name, v.x) {
				return
			}
		}
	}
}

// magnitudeOfBlocks bounds the size of what is added up when weights are products less a minimum: each weight of a block counts
// like the largest.
func magnitudeOfBlocks(w, x []float32, elements int) float64 {
	sum, widest := 0.0, 0.0
	for ; len(w) > 0; w, x = w[elements:], x[elements:] {
		largest := 0.0
		for _, v := range w[:elements] {
			largest = max(largest, math.Abs(float64(v)))
		}
		for _, v := range x[:elements] {
			sum += largest * math.Abs(float64(v))
			widest = max(widest, math.Abs(float64(v)))
		}
	}
	if largest := max(sum, widest); largest > math.MaxFloat32/1e3 && largest <= math.MaxFloat64 {
		return math.Inf(1) // so large that one order of sums overflows where another does not
	}
	return 4 * sum // the largest weight is a poor measure where all are small differences of large products
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
		t.Run(e.name()+"/quantize", func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(1, 2))
			for n := 32; n <= 288; n += 32 {
				for name, x := range extreme(r, n) {
					want, got := newActivations(n), newActivations(n)
					plain{}.quantize(x, want)
					e.quantize(unaligned(x), got)
					for i := range n {
						scale := want.scale[i/32]
						finite := near(scale, scale, 0) && !math.IsInf(float64(scale), 0) && !math.IsNaN(float64(scale))
						if !near(scale, got.scale[i/32], 0) || finite && (want.q[i] != got.q[i] || want.sum16[i/16] != got.sum16[i/16] || want.sum32[i/32] != got.sum32[i/32]) {
							t.Fatalf("%d values, %s: element %d (%v) is %d * %v, want %d * %v", n, name, i, x[i], got.q[i], got.scale[i/32], want.q[i], scale)
						}
					}
				}
			}
		})
		for typ := tensor.Invalid; typ < math.MaxUint8; typ++ {
			if integer(typ) {
				t.Run(e.name()+"/"+typ.String(), func(t *testing.T) {
					t.Parallel()
					checkBlocks(t, e, typ)
				})
			}
		}
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

// checkBlocks compares the products of one block type with single vectors, as integers, and with several.
func checkBlocks(t *testing.T, e engine, typ tensor.Type) {
	r := rand.New(rand.NewPCG(1, uint64(typ)))
	elements, _ := typ.Block()
	most := 9
	if testing.Short() {
		most = 3 // an emulated processor takes its time
	}
	for blocks := 1; blocks <= most; blocks++ {
		n, rows := elements*blocks, 1+blocks*5%19
		for name, x := range extreme(r, n) {
			weights, decoded := randomBlocks(t, r, typ, rows*n)
			q := newActivations(n)
			plain{}.quantize(x, q)
			want, got := make([]float32, rows), make([]float32, rows)
			plain{}.integerDots(typ, weights, q, want, &scratch{})
			e.integerDots(typ, unaligned(weights), q, got, &scratch{})
			for i := range rows {
				if !near(want[i], got[i], magnitudeOfBlocks(decoded[i*n:(i+1)*n], x, elements)) {
					t.Fatalf("%d blocks, %s: row %d of %d is %v, want %v", blocks, name, i, rows, got[i], want[i])
				}
			}
			const vectors = 8
			many := make([]float32, 0, vectors*n)
			for range vectors - 1 {
				many = append(many, random(r, n)...)
			}
			many = append(many, x...)
			want, got = make([]float32, vectors*rows), make([]float32, vectors*rows)
			if err := (plain{}).products(typ, weights, rows, many, vectors, want, &scratch{}); err != nil {
				t.Fatal(err)
			}
			if err := e.products(typ, unaligned(weights), rows, unaligned(many), vectors, got, &scratch{}); err != nil {
				t.Fatal(err)
			}
			for i := range want {
				if !near(want[i], got[i], magnitudeOfBlocks(decoded[i%rows*n:][:n], many[i/rows*n:], elements)) {
					t.Fatalf("%d blocks, %s: product %d with %d rows is %v, want %v", blocks, name, i, rows, got[i], want[i])
				}
			}
		}
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

// TestGELU compares both forms with their definitions over the whole range, in parts of the result.
func TestGELU(t *testing.T) {
	t.Parallel()
	var x []float32
	for v := float32(-13.5); v < 14; v += 1.0 / 512 {
		x = append(x, v, v+1.0/3000)
	}
	x = append(x, 1e-30, -1e-30, 0, 1e5, 1e20, math.MaxFloat32, -20, -1e20, -math.MaxFloat32)
	for a, want := range map[Activation]func(float64) float64{
		GELU: func(x float64) float64 { return x / 2 * math.Erfc(-x/math.Sqrt2) },
		GELUTanh: func(x float64) float64 {
			y := math.Sqrt(2/math.Pi) * (x + 0.044715*x*x*x)
			return x / (1 + math.Exp(-2*y))
		},
	} {
		for _, e := range vectorEngines() {
			got, worst := unaligned(x), 0.0
			e.gelu(a, got)
			for i, v := range x {
				want := want(float64(v))
				difference := math.Abs(float64(got[i]) - want)
				if math.Abs(want) > 1e-30 {
					worst = max(worst, difference/math.Abs(want))
				}
				if !(difference <= 1e-6*math.Abs(want)+1e-37*(1+math.Abs(float64(v)))) {
					t.Errorf("%s: activation %d of %v is %v, want %v", e.name(), a, v, got[i], want)
				}
			}
			t.Logf("%s: activation %d within %.2g", e.name(), a, worst)
			nan := make([]float32, 8)
			nan[3] = float32(math.NaN())
			if e.gelu(a, nan); nan[3] == nan[3] || nan[2] != 0 {
				t.Errorf("%s: activation %d of NaN and zero: %v", e.name(), a, nan)
			}
		}
	}
}

// TestDecodeIsExact compares decoding in registers with the reference: for every half-precision value, and for blocks of random bytes.
func TestDecodeIsExact(t *testing.T) {
	t.Parallel()
	all := make([]byte, 2<<16)
	for i := range 1 << 16 {
		binary.LittleEndian.PutUint16(all[2*i:], uint16(i))
	}
	sources := map[tensor.Type][]byte{tensor.F16: all, tensor.BF16: all, tensor.F32: all}
	r := rand.New(rand.NewPCG(1, 5))
	for typ := tensor.Invalid; typ < math.MaxUint8; typ++ {
		if integer(typ) {
			_, size := typ.Block()
			sources[typ] = make([]byte, size*2000)
			for i := range sources[typ] {
				sources[typ][i] = byte(r.Uint32())
			}
		}
	}
	for _, e := range vectorEngines() {
		for typ, src := range sources {
			elements, bytes := typ.Block()
			for _, count := range []int{len(src) / bytes, 13} {
				src := src[:count*bytes]
				want, got := make([]float32, count*elements), make([]float32, count*elements)
				if err := tensor.Decode(typ, want, src); err != nil {
					t.Fatal(err)
				}
				if err := e.decode(typ, got, unaligned(src)); err != nil {
					t.Fatal(err)
				}
				for i := range want {
					if want[i] != got[i] && (want[i] == want[i] || got[i] == got[i]) {
						t.Fatalf("%s %s: element %d is %v, want %v", e.name(), typ, i, got[i], want[i])
					}
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
			func() { e.integerDots(tensor.Q4K, make([]byte, 144), newActivations(128), x[:1], &scratch{}) },
			func() { e.integerDots(tensor.Q4K, make([]byte, 144), newActivations(256), nil, &scratch{}) },
			func() { e.integerDots(tensor.F16, make([]byte, 512), newActivations(256), x[:1], &scratch{}) },
			func() { e.dots(tensor.F16, make([]byte, 255), x, x[:2], &scratch{}) },
			func() { e.dots(tensor.F32, nil, nil, x[:2], &scratch{}) },
			func() { e.integerDots(tensor.Q8_0, make([]byte, 67), newActivations(64), x[:1], &scratch{}) },
			func() {
				e.integerDots(tensor.Q8_0, make([]byte, 68), activations{make([]int8, 63), x[:2], x[:4], x[:2]}, x[:1], &scratch{})
			},
			func() { e.quantize(x, newActivations(32)) },
			func() { e.scores(x[:32], x, 33, x[:2], &scratch{}) },
			func() { e.mix(x[:2], x, 33, x[:32]) },
			func() { e.scoresOfAll(x[:32], 16, x, 33, 3, x, 3, &scratch{}) },
			func() { e.scoresOfAll(x[:32], 16, x, 16, 3, x[:5], 3, &scratch{}) },
			func() { e.scoresOfAll(x[:32], 16, x, 16, 3, x, 2, &scratch{}) },
			func() { e.mixAll(x[:4], 2, 2, x, 60, 16, x[:32], &scratch{}) },
			func() { e.mixAll(x[:3], 2, 2, x, 16, 16, x[:32], &scratch{}) },
			func() { e.mixAll(x[:4], 1, 2, x, 16, 16, x[:32], &scratch{}) },
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
