package kernel

import (
	"encoding/binary"
	"math"

	"github.com/carat-hub/carat/inference/tensor"
)

//go:generate go run -C ../../tools/kernelgen . -out ../../inference/kernel/vector_amd64.s -stubs ../../inference/kernel/vector_amd64.go -pkg kernel

// engine is the inner loops for one kind of processor. Each output element has one order of operations, whichever rows and
// vectors are computed together with it. Engines differ from each other by the rounding of sums. Arguments that do not fit
// each other panic before memory outside them is touched.
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
	// quantize rounds x to integers.
	quantize(x []float32, to activations)
	// scores sets out[j] to the product of q and the elements of k from j*stride on.
	scores(q, k []float32, stride int, out []float32, s *scratch)
	// mix sets out to the sum of the elements of v from j*stride on, each times weights[j].
	mix(weights, v []float32, stride int, out []float32)
	// softmax and swiglu are Softmax and SwiGLU.
	softmax(x []float32)
	swiglu(gate, up []float32)
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
	_                  [64]byte // keeps the workers' slices on cache lines of their own
}

// grow returns the first n elements of *b, which it makes anew when it is too small.
func grow[T any](b *[]T, n int) []T {
	if cap(*b) < n {
		*b = make([]T, n)
	}
	return (*b)[:n]
}

// activations are values in blocks of 32: integers, each times the scale of its block. With 16 bits they are as exact as the
// sums of products are, and in registers of 32 bytes products with them are as fast as with 8 bits.
type activations struct {
	q     []int16
	scale []float32
}

// newActivations returns room for n values, a multiple of 32.
func newActivations(n int) activations {
	return activations{make([]int16, n), make([]float32, n/32)}
}

// integer tells whether single vectors are multiplied as integers with weights of the type, which is much faster than turning
// all weights into float32.
func integer(t tensor.Type) bool { return t == tensor.Q8_0 }

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

func (plain) integerDots(_ tensor.Type, w []byte, x activations, out []float32, _ *scratch) {
	size := len(w) / len(out)
	for r := range out {
		out[r] = dotQ8Int(w[r*size:(r+1)*size], x)
	}
}

func dotQ8Int(src []byte, x activations) float32 {
	table := tensor.HalfTable()
	var s [8]float32
	q := x.q
	for _, scale := range x.scale {
		d := table[binary.LittleEndian.Uint16(src)] * scale
		w, y := src[2:34], q[:32]
		for i := range s {
			lane := int32(int8(w[4*i]))*int32(y[4*i]) + int32(int8(w[4*i+1]))*int32(y[4*i+1]) +
				int32(int8(w[4*i+2]))*int32(y[4*i+2]) + int32(int8(w[4*i+3]))*int32(y[4*i+3])
			s[i] += d * float32(lane)
		}
		src, q = src[34:], q[32:]
	}
	return ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]))
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
		to.scale[b] = limit / 32767
		inverse := 32767 / limit
		if limit < 0x1p-100 {
			to.scale[b], inverse = 0, 0
		}
		q := to.q[32*b : 32*b+32]
		if !(limit <= math.MaxFloat32) {
			clear(q)
			continue
		}
		for i, v := range block {
			q[i] = int16(math.RoundToEven(float64(v * inverse)))
		}
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
