package kernel

import (
	"math"

	"github.com/carat-hub/carat/inference/tensor"
)

//go:generate go run -C ../../tools/kernelgen . -out ../../inference/kernel/vector_amd64.s -stubs ../../inference/kernel/vector_amd64.go -pkg kernel
//go:generate go run -C ../../tools/kernelgen . -part layer -out ../../inference/kernel/layer_amd64.s -stubs ../../inference/kernel/layer_amd64.go -pkg kernel
//go:generate go run -C ../../tools/kernelgen . -part rare -out ../../inference/kernel/rare_amd64.s -stubs ../../inference/kernel/rare_amd64.go -pkg kernel
//go:generate go run -C ../../tools/kernelgen ./arm64 -out ../../inference/kernel/vector_arm64.s -stubs ../../inference/kernel/vector_arm64.go

// engine is the inner loops for one kind of processor. Each output element has one order of operations, whichever rows are computed
// together with it; few vectors and many are added up in different orders. Engines differ from each other by the rounding of sums.
// Arguments that do not fit each other panic before memory outside them is touched.
type engine interface {
	// name is what the engine needs of the processor.
	name() string
	// dots sets out[r] to the product of x and row r of w, which holds len(out) rows encoded as t. It returns false for a
	// type that cannot be multiplied without decoding it.
	dots(t tensor.Type, w []byte, x, out []float32, s *scratch) bool
	// integerDots does that with activations that are integers, for the types of integer.
	integerDots(t tensor.Type, w []byte, x activations, out []float32, s *scratch)
	// products sets out[i*rows+r] to the product of row r of w, encoded as t, and vector i of the n in x.
	products(t tensor.Type, w []byte, rows int, x []float32, n int, out []float32, s *scratch) error
	// decode is tensor.Decode.
	decode(t tensor.Type, dst []float32, src []byte) error
	// quantize rounds x to integers.
	quantize(x []float32, to activations)
	// scores sets out[j] to the product of q and the elements of k from j*stride on.
	scores(q, k []float32, stride int, out []float32, s *scratch)
	// mix sets out to the sum of the elements of v from j*stride on, each times weights[j].
	mix(weights, v []float32, stride int, out []float32)
	// scoresOfAll does that for many queries of dim elements and n keys: query i's scores begin at out[i*width].
	scoresOfAll(queries []float32, dim int, k []float32, stride, n int, out []float32, width int, s *scratch)
	// mixAll adds to out, {…, dim}, the sums of n values for many weights, which begin width apart.
	mixAll(weights []float32, width, n int, v []float32, stride, dim int, out []float32, s *scratch)
	// softmax and swiglu are Softmax and SwiGLU.
	softmax(x []float32)
	swiglu(gate, up []float32)
	// gelu sets each element of x to the activation of it, GELU or GELUTanh.
	gelu(a Activation, x []float32)
	// squares returns the sum of the squares of x.
	squares(x []float32) float64
	// moments returns the mean of x and the variance.
	moments(x []float32) (mean, variance float64)
	// standardize sets y to x less mean, times scale, each element times that of weight.
	standardize(y, x, weight []float32, mean, scale float64)
	// weigh sets y to x times scale, each element times that of weight.
	weigh(y, x, weight []float32, scale float32)
	// rotate turns pairs of each headDim elements of x, neighbours or those half of all pairs apart, as Rope says.
	rotate(x []float32, headDim int, cos, sin []float32, adjacent bool)
}

// best is the engine for this processor.
var best = engines()[len(engines())-1]

// engines returns what this processor can run, the fastest last.
func engines() []engine { return append([]engine{plain{}}, vectorEngines()...) }

// scratch is memory that a worker keeps.
type scratch struct {
	raw                []byte
	out                []float32
	panel, lanes, sums []float32
	values             []float32
	queries, mixed     []float32
	states             []float32
	_                  [64]byte // keeps the workers' slices on cache lines of their own
}

// grow returns the first n elements of *b, which it makes anew when it is too small.
func grow[T any](b *[]T, n int) []T {
	if cap(*b) < n {
		*b = make([]T, n)
	}
	return (*b)[:n]
}

// activations are values in blocks of 32: 8-bit integers, each times the scale of its block.
type activations struct {
	q     []int8
	scale []float32
	sum16 []float32 // of each 16 values
	sum32 []float32
}

// newActivations returns room for n values, a multiple of 32.
func newActivations(n int) activations {
	var a activations
	a.resize(n)
	return a
}

// resize makes room for n values.
func (a *activations) resize(n int) {
	*a = activations{grow(&a.q, n), grow(&a.scale, n/32), grow(&a.sum16, n/16), grow(&a.sum32, n/32)}
}

// slice returns the values from lo to hi-1, both multiples of 32.
func (a activations) slice(lo, hi int) activations {
	return activations{a.q[lo:hi], a.scale[lo/32 : hi/32], a.sum16[lo/16 : hi/16], a.sum32[lo/32 : hi/32]}
}

// integer tells whether single vectors are multiplied as integers with weights of the type, which is much faster than turning
// all weights into float32. All block types are.
func integer(t tensor.Type) bool { return t.Quantized() && t.Decodable() }

// plain is the engine for every processor, and the reference for the others.
type plain struct{}

func (plain) name() string { return "plain" }

func (plain) dots(t tensor.Type, w []byte, x, out []float32, _ *scratch) bool {
	size := len(w) / len(out)
	for r := range out {
		sum, ok := dotBytes(t, w[r*size:(r+1)*size], x)
		if !ok {
			return false
		}
		out[r] = sum
	}
	return true
}

func (plain) integerDots(t tensor.Type, w []byte, x activations, out []float32, s *scratch) {
	size := len(w) / len(out)
	values := grow(&s.values, len(x.q))
	for i, q := range x.q {
		values[i] = float32(q) * x.scale[i/32]
	}
	row := grow(&s.panel, len(x.q))
	for r := range out {
		if err := tensor.Decode(t, row, w[r*size:(r+1)*size]); err != nil {
			panic(err) // the lengths were checked before
		}
		out[r] = Dot(row, values)
	}
}

func (plain) products(t tensor.Type, w []byte, rows int, x []float32, n int, out []float32, s *scratch) error {
	cols, size := len(x)/n, len(w)/rows
	row := grow(&s.panel, cols)
	for r := range rows {
		if err := tensor.Decode(t, row, w[r*size:(r+1)*size]); err != nil {
			return err
		}
		for i := range n {
			out[i*rows+r] = Dot(row, x[i*cols:(i+1)*cols])
		}
	}
	return nil
}

func (plain) quantize(x []float32, to activations) {
	for b := range to.scale {
		largest := uint32(0) // as bits, so that a NaN is larger than any number and reaches the scale
		block := x[32*b : 32*b+32]
		for _, v := range block {
			largest = max(largest, math.Float32bits(v)&^(1<<31))
		}
		limit := math.Float32frombits(largest)
		to.scale[b] = limit / 127
		inverse := 127 / limit
		if limit < 0x1p-100 {
			to.scale[b], inverse = 0, 0
		}
		q := to.q[32*b : 32*b+32]
		if !(limit <= math.MaxFloat32) {
			clear(q)
		} else {
			for i, v := range block {
				q[i] = int8(math.RoundToEven(float64(v * inverse)))
			}
		}
		for half := range 2 {
			sum := int32(0)
			for _, v := range q[16*half : 16*half+16] {
				sum += int32(v)
			}
			to.sum16[2*b+half] = float32(sum) * to.scale[b]
		}
		to.sum32[b] = to.sum16[2*b] + to.sum16[2*b+1]
	}
}

func (plain) scores(q, k []float32, stride int, out []float32, _ *scratch) {
	for j := range out {
		out[j] = Dot(q, k[j*stride:j*stride+len(q)])
	}
}

func (plain) mix(weights, v []float32, stride int, out []float32) {
	clear(out)
	for j, weight := range weights {
		for c, x := range v[j*stride : j*stride+len(out)] {
			out[c] += weight * x
		}
	}
}

func (plain) decode(t tensor.Type, dst []float32, src []byte) error {
	return tensor.Decode(t, dst, src)
}

func (p plain) scoresOfAll(queries []float32, dim int, k []float32, stride, n int, out []float32, width int, s *scratch) {
	for i := range len(queries) / dim {
		p.scores(queries[i*dim:(i+1)*dim], k, stride, out[i*width:][:n], s)
	}
}

func (plain) mixAll(weights []float32, width, n int, v []float32, stride, dim int, out []float32, _ *scratch) {
	for i := range len(out) / dim {
		to := out[i*dim : (i+1)*dim]
		for j, weight := range weights[i*width:][:n] {
			for c, x := range v[j*stride : j*stride+dim] {
				to[c] += weight * x
			}
		}
	}
}
