package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/inference/tensor"
)

// TestMulOfEveryType multiplies matrices of random bytes in every type that can be run: the product is the one of the decoded
// elements, the same for a vector alone and for any number of threads.
func TestMulOfEveryType(t *testing.T) {
	t.Parallel()
	const rows, cols, n = 5, 512, 3
	seen := 0
	for typ := tensor.Invalid; typ < math.MaxUint8; typ++ {
		if !typ.Runnable() {
			continue
		}
		seen++
		t.Run(typ.String(), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(11, uint64(typ)))
			raw, weights := randomBlocks(t, r, typ, rows*cols)
			m, err := NewMatrix(typ, rows, cols, raw)
			if err != nil {
				t.Fatal(err)
			}
			x := random(r, n*cols)
			var first []float32
			for _, threads := range []int{1, 3} {
				pool := NewPool(threads)
				defer pool.Close()
				p := NewProduct(pool)
				y, alone := make([]float32, n*rows), make([]float32, n*rows)
				if err := p.Mul(m, nil, x, n, y); err != nil {
					t.Fatal(err)
				}
				for i := range n {
					if err := p.Mul(m, nil, x[i*cols:], 1, alone[i*rows:(i+1)*rows]); err != nil {
						t.Fatal(err)
					}
				}
				if first == nil {
					first = y
				}
				if !cmp.Equal(first, y) || !cmp.Equal(first, alone) {
					t.Errorf("%d threads, or a vector alone, give another product", threads)
				}
			}
			for i, got := range first {
				var want, scale, rounding float64
				for c := range cols {
					product := float64(weights[i%rows*cols+c]) * float64(x[i/rows*cols+c])
					want += product
					scale += math.Abs(product)
					if integer(typ) {
						block := x[i/rows*cols+c/32*32:][:32]
						rounding += math.Abs(float64(weights[i%rows*cols+c])) * float64(max(slices.Max(block), -slices.Min(block))) / 254
					}
				}
				if !(math.Abs(want-float64(got)) <= 1e-5*scale+rounding) {
					t.Errorf("row %d: got %v, want %v", i%rows, got, want)
				}
			}
		})
	}
	if seen < 30 {
		t.Errorf("only %d types can be run", seen)
	}
}

// randomBlocks returns random bytes of a type, and the n elements that they stand for: numbers of a size whose products stay finite.
func randomBlocks(t testing.TB, r *rand.Rand, typ tensor.Type, n int) (raw []byte, weights []float32) {
	t.Helper()
	elements, size := typ.Block()
	weights = make([]float32, n)
	raw = make([]byte, 0, n/elements*size)
	block := make([]byte, size)
	for len(raw) < cap(raw) {
		for i := range block {
			block[i] = byte(r.Uint32())
		}
		at := weights[len(raw)/size*elements:][:elements]
		if err := tensor.Decode(typ, at, block); err != nil {
			t.Fatal(err)
		}
		if moderate(at) {
			raw = append(raw, block...)
		}
	}
	return raw, weights
}

// moderate reports whether all of x are so small that sums of their products stay finite.
func moderate(x []float32) bool {
	for _, v := range x {
		if !(math.Abs(float64(v)) < 1e30) {
			return false
		}
	}
	return true
}
