package kernel

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/carat-hub/carat/inference/tensor"
)

// surveyedTypes are all that Survey.Rows takes.
func surveyedTypes() []tensor.Type {
	var types []tensor.Type
	for t := tensor.Invalid; t < math.MaxUint8; t++ {
		if t.Runnable() {
			types = append(types, t)
		}
	}
	return types
}

// surveyWeights are rows of random weights of a type that are not too large to be squared.
func surveyWeights(t testing.TB, r *rand.Rand, typ tensor.Type, rows, cols int) (raw []byte, values []float32) {
	t.Helper()
	elements, size := typ.Block()
	values = make([]float32, rows*cols)
	block := make([]byte, size)
	for at := 0; at < len(values); {
		for i := range block {
			block[i] = byte(r.Uint32())
		}
		part := values[at:][:elements]
		if err := tensor.Decode(typ, part, block); err != nil {
			t.Fatal(err)
		}
		fine := true
		for _, v := range part {
			fine = fine && math.Abs(float64(v)) < 1e12
		}
		if !fine {
			continue
		}
		raw = append(raw, block...)
		at += elements
	}
	return raw, values
}

func TestSurveyRows(t *testing.T) {
	t.Parallel()
	for _, typ := range surveyedTypes() {
		for _, shape := range [][2]int{{1, 256}, {5, 512}, {3, 4864}, {4, 7}, {7, 40}} {
			if elements, _ := typ.Block(); shape[1]%elements != 0 {
				continue
			}
			t.Run(fmt.Sprintf("%s/%dx%d", typ, shape[0], shape[1]), func(t *testing.T) {
				t.Parallel()
				raw, values := surveyWeights(t, rand.New(rand.NewPCG(3, uint64(typ))), typ, shape[0], shape[1])
				out := make([]RowSums, shape[0])
				var s Survey
				exact, err := s.Rows(typ, raw, shape[1], out)
				if err != nil {
					t.Fatal(err)
				}
				for r, got := range out {
					checkSums(t, values[r*shape[1]:][:shape[1]], got, exact)
				}
			})
		}
	}
}

// checkSums compares with sums in float64.
func checkSums(t *testing.T, values []float32, got RowSums, exact bool) {
	t.Helper()
	var sum, total, squares float64
	low, high := math.Inf(1), math.Inf(-1)
	zero := int32(0)
	for _, v := range values {
		x := float64(v)
		sum += x
		total += math.Abs(x)
		squares += x * x
		low, high = min(low, x), max(high, x)
		if x == 0 {
			zero++
		}
	}
	// What minima cancel is as large as the bounds are.
	widest := max(math.Abs(float64(got.Low)), math.Abs(float64(got.High)))
	slack := 1e-5 * widest
	if math.Abs(float64(got.Sum)-sum) > 1e-5*total+slack*float64(len(values)) {
		t.Errorf("sum %g, want %g", got.Sum, sum)
	}
	if math.Abs(float64(got.Squares)-squares) > 1e-4*squares+slack*widest*float64(len(values)) {
		t.Errorf("squares %g, want %g", got.Squares, squares)
	}
	if exact && (float64(got.Low) != low || float64(got.High) != high || got.Zero != zero) {
		t.Errorf("low %g, high %g, %d zero; want %g, %g, %d", got.Low, got.High, got.Zero, low, high, zero)
	}
	if float64(got.Low) > low+slack || float64(got.High) < high-slack {
		t.Errorf("bounds %g, %g; want at most %g, at least %g", got.Low, got.High, low, high)
	}
}

// TestSurveyNotFinite checks that no weight that is not finite hides.
func TestSurveyNotFinite(t *testing.T) {
	t.Parallel()
	for _, typ := range []tensor.Type{tensor.F32, tensor.F16, tensor.BF16} {
		for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
			for _, at := range []int{0, 9, 33, 36} {
				values := make([]float32, 37)
				values[at] = float32(v)
				raw := encode(t, typ, values)
				var s Survey
				out := make([]RowSums, 1)
				if _, err := s.Rows(typ, raw, len(values), out); err != nil {
					t.Fatal(err)
				}
				if q := float64(out[0].Squares); q-q == 0 {
					t.Errorf("%s: %g at %d gives %+v", typ, v, at, out[0])
				}
			}
		}
	}
}

// BenchmarkSurvey measures the sums in bytes of weights per second on one thread, in the first-level cache.
func BenchmarkSurvey(b *testing.B) {
	const width, size = 2048, 24 << 10
	types := []tensor.Type{tensor.F32, tensor.F16, tensor.BF16}
	for t := tensor.Invalid; t < math.MaxUint8; t++ {
		if integer(t) {
			types = append(types, t)
		}
	}
	for _, t := range types {
		one, _ := surveyWeights(b, rand.New(rand.NewPCG(1, 2)), t, 1, width)
		w := bytes.Repeat(one, size/len(one))
		out := make([]RowSums, size/len(one))
		b.Run(t.String(), func(b *testing.B) {
			b.SetBytes(int64(len(w)))
			var s Survey
			for b.Loop() {
				if _, err := s.Rows(t, w, width, out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
