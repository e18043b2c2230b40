//go:build !purego

package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/carat-hub/carat/inference/tensor"
)

// TestSurveyors tests all kernels that this processor can run, also those that it has better ones for.
func TestSurveyors(t *testing.T) {
	t.Parallel()
	for _, s := range surveyors {
		for _, typ := range surveyedTypes() {
			// Blocks of 32: two at a time, and one that is left; floats: whole steps, and a tail.
			for _, shape := range [][2]int{{1, 256}, {5, 512}, {3, 4864}, {2, 32}, {3, 96}, {4, 7}, {7, 40}, {2, 63}, {1, 1000}} {
				if elements, _ := typ.Block(); shape[1]%elements != 0 {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/%dx%d", s.needs, typ, shape[0], shape[1]), func(t *testing.T) {
					t.Parallel()
					for seed := range uint64(20) {
						raw, values := surveyWeights(t, rand.New(rand.NewPCG(seed, uint64(typ))), typ, shape[0], shape[1])
						out := make([]RowSums, shape[0])
						known, exact := s.rows(typ, raw, shape[1], out)
						if !known {
							return
						}
						for r, got := range out {
							if row := values[r*shape[1]:][:shape[1]]; !tiny(row) {
								checkSums(t, row, got, exact)
								// Random weights come near to what their scales allow; looser bounds cost decoding.
								if widest := max(-slices.Min(row), slices.Max(row)); len(row) >= 256 && max(-got.Low, got.High) > 2*widest {
									t.Errorf("bounds %g, %g of weights from %g to %g", got.Low, got.High, slices.Min(row), slices.Max(row))
								}
							}
						}
					}
				})
			}
		}
	}
}

// TestSurveyorsExtremes gives blocks all bits, and none, and scales that are not finite.
func TestSurveyorsExtremes(t *testing.T) {
	t.Parallel()
	for _, s := range surveyors {
		for typ := range s.blocks {
			t.Run(fmt.Sprintf("%s/%s", s.needs, typ), func(t *testing.T) {
				t.Parallel()
				elements, size := typ.Block()
				for _, fill := range []byte{0x00, 0x7b, 0x80, 0xff, 0x7f, 0x0f, 0xf0, 0x33} {
					for _, half := range []uint16{0x0000, 0x0001, 0x8001, 0x3c00, 0xbc00, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00} {
						raw := make([]byte, 3*size)
						for i := range raw {
							raw[i] = fill
						}
						for b := range 3 {
							for _, at := range halvesOf[typ] {
								raw[b*size+at], raw[b*size+at+1] = byte(half), byte(half>>8)
							}
						}
						values := make([]float32, 3*elements)
						if err := tensor.Decode(typ, values, raw); err != nil {
							t.Fatal(err)
						}
						finite := true
						for _, v := range values {
							finite = finite && !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) && math.Abs(float64(v)) < 1e15
						}
						var out [1]RowSums
						if known, _ := s.rows(typ, raw, len(values), out[:]); !known {
							t.Fatal("not known")
						}
						if q := float64(out[0].Squares); !finite && q-q == 0 && math.Abs(q) < 1e30 {
							t.Errorf("fill %x, scale %x: the squares are %v", fill, half, q)
						}
						if finite && !tiny(values) {
							checkSums(t, values, out[0], false)
						}
					}
				}
			})
		}
	}
}

// tiny reports whether the squares of values are lost in float32, which callers of Survey know of.
func tiny(values []float32) bool {
	squares := 0.0
	for _, v := range values {
		squares += float64(v) * float64(v)
	}
	return squares < 1e-30
}

// halvesOf are where the half-precision scales of a block lie.
var halvesOf = map[tensor.Type][]int{
	tensor.Q4_0: {0}, tensor.Q4_1: {0, 2}, tensor.Q5_0: {0}, tensor.Q5_1: {0, 2}, tensor.Q8_0: {0}, tensor.IQ4NL: {0}, tensor.Q2K: {80, 82},
	tensor.Q3K: {108}, tensor.Q4K: {0, 2}, tensor.Q5K: {0, 2}, tensor.Q6K: {208}, tensor.IQ4XS: {0}, tensor.TQ2_0: {64},
}
