package inference

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/inference/tensor"
)

// scanTensor is a tensor of a file that only a scan reads.
type scanTensor struct {
	name  string
	typ   tensor.Type
	shape []int
	data  []byte
}

func scanFile(t testing.TB, tensors ...scanTensor) []byte {
	t.Helper()
	var w gguf.Writer
	w.Set("general.architecture", "none")
	for _, x := range tensors {
		w.Add(x.name, x.typ, x.shape, x.data)
	}
	var b bytes.Buffer
	if err := w.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func scanAll(t testing.TB, s Scanner, file []byte) map[string]TensorScan {
	t.Helper()
	all := map[string]TensorScan{}
	files := FromSources(map[string]Source{"a.gguf": {bytes.NewReader(file), int64(len(file))}})
	if err := s.Scan(t.Context(), files, func(x TensorScan) error { all[x.Name] = x; return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

// normal are values of a normal distribution, those of each row times a factor.
func normal(r *rand.Rand, rows, cols int, factor func(row, col int) float64) []float32 {
	v := make([]float32, rows*cols)
	for i := range v {
		v[i] = float32(r.NormFloat64() * factor(i/cols, i%cols))
	}
	return v
}

func stored(t testing.TB, typ tensor.Type, values []float32) []byte {
	t.Helper()
	size, _ := typ.Size(int64(len(values)))
	b := make([]byte, size)
	if err := tensor.Encode(typ, b, values); err != nil {
		t.Fatal(err)
	}
	return b
}

// scannedTypes are types that the pass reads in different ways.
var scannedTypes = []tensor.Type{tensor.F32, tensor.F16, tensor.BF16, tensor.Q8_0, tensor.Q4_0, tensor.Q4K, tensor.Q6K}

func TestScanAgreesWithDecoding(t *testing.T) {
	t.Parallel()
	for _, typ := range scannedTypes {
		for _, shape := range [][]int{{260, 512}, {5, 7, 256}, {10240}, {2, 32768}} {
			t.Run(fmt.Sprint(typ, shape), func(t *testing.T) {
				t.Parallel()
				n, _ := tensor.Elements(shape)
				values := normal(rand.New(rand.NewPCG(1, uint64(n))), 1, int(n), func(int, int) float64 { return 0.02 })
				for i := range 600 {
					values[i] = 0
				}
				data := stored(t, typ, values)
				if err := tensor.Decode(typ, values, data); err != nil {
					t.Fatal(err)
				}
				got := scanAll(t, Scanner{}, scanFile(t, scanTensor{"w", typ, shape, data}))["w"]
				want := TensorScan{Elements: n, Min: math.Inf(1), Max: math.Inf(-1)}
				var squares float64
				for _, v := range values {
					x := float64(v)
					want.Min, want.Max = min(want.Min, x), max(want.Max, x)
					want.Mean += x / float64(n)
					squares += x * x
					if x == 0 {
						want.Zero++
					}
				}
				want.RMS = math.Sqrt(squares / float64(n))
				if got.Min != want.Min || got.Max != want.Max || got.Elements != n {
					t.Errorf("between %g and %g, want %g and %g", got.Min, got.Max, want.Min, want.Max)
				}
				if math.Abs(got.RMS-want.RMS) > 1e-5*want.RMS || math.Abs(got.Mean-want.Mean) > 1e-5*want.RMS {
					t.Errorf("mean %g, RMS %g, want %g, %g", got.Mean, got.RMS, want.Mean, want.RMS)
				}
				if !typ.Quantized() && got.Zero != want.Zero {
					t.Errorf("%d zero, want %d", got.Zero, want.Zero)
				}
				if k := got.Sample.Kurtosis; k < 2.8 || k > 3.3 {
					t.Errorf("kurtosis %g", k)
				}
				if matrix := len(shape) > 1; matrix != (got.Rows.Vectors > 0) || matrix && math.Abs(got.Rows.Deviation-got.Rows.Chance) > 0.5*got.Rows.Chance && shape[0] > 2 && shape[0] < 100 {
					t.Errorf("rows %+v", got.Rows)
				}
			})
		}
	}
}

func TestScanSpread(t *testing.T) {
	t.Parallel()
	const rows, cols = 700, 512
	byRow := func(r, _ int) float64 { return math.Exp(0.3 * math.Sin(float64(r))) }
	byColumn := func(_, c int) float64 { return math.Exp(0.3 * math.Sin(float64(c))) }
	even := func(int, int) float64 { return 1 }
	deviation := 0.3 / math.Sqrt2
	for _, typ := range scannedTypes {
		for name, tt := range map[string]struct {
			factor        func(r, c int) float64
			rows, columns float64
		}{"rows": {byRow, deviation, 0}, "columns": {byColumn, 0, deviation}, "neither": {even, 0, 0}} {
			t.Run(fmt.Sprint(typ, name), func(t *testing.T) {
				t.Parallel()
				data := stored(t, typ, normal(rand.New(rand.NewPCG(1, 2)), rows, cols, tt.factor))
				got := scanAll(t, Scanner{}, scanFile(t, scanTensor{"w", typ, []int{rows, cols}, data}))["w"]
				for what, x := range map[string]struct {
					got  Spread
					want float64
				}{"rows": {got.Rows, tt.rows}, "columns": {got.Sample.Columns, tt.columns}} {
					want := math.Hypot(x.want, x.got.Chance)
					if math.Abs(x.got.Deviation-want) > 0.15*want {
						t.Errorf("%s: deviation %g, by chance %g, want %g", what, x.got.Deviation, x.got.Chance, want)
					}
				}
			})
		}
	}
}

// TestScanDoesNotDependOnThreads has tensors of many chunks with a few values that are far out.
func TestScanDoesNotDependOnThreads(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	var list []scanTensor
	for i, typ := range scannedTypes {
		values := normal(r, 22, 1024, func(row, _ int) float64 { return float64(1 + row%7) })
		values[r.IntN(len(values))] = 500
		if i%2 == 0 && !typ.Quantized() {
			values[r.IntN(len(values))] = float32(math.NaN())
		}
		list = append(list, scanTensor{fmt.Sprint("t", i), typ, []int{1100, 1024}, bytes.Repeat(stored(t, typ, values), 50)})
	}
	list = append(list, scanTensor{"again", list[3].typ, list[3].shape, list[3].data})
	file := scanFile(t, list...)
	one := scanAll(t, Scanner{Threads: 1}, file)
	if one["again"].SameAs != "t3" || one["t3"].SameAs != "" {
		t.Errorf("again is the same as %q, t3 as %q", one["again"].SameAs, one["t3"].SameAs)
	}
	var mu sync.Mutex
	rows := 0
	visiting := Scanner{Threads: 5, Row: func(_, _ int, values []float32) {
		mu.Lock()
		defer mu.Unlock()
		rows += len(values)
	}}
	five := scanAll(t, visiting, file)
	if diff := cmp.Diff(one, five); diff != "" {
		t.Errorf("(-one thread +five):\n%s", diff)
	}
	var sampled, lost int64
	for _, s := range five {
		sampled += s.Sample.Elements
		lost += s.NaN
	}
	if n := int64(rows); n < sampled || n > sampled+lost {
		t.Errorf("%d elements visited, %d sampled", n, sampled)
	}
}

// TestScanExtremes has values of all magnitudes, whose squares float32 does not hold.
func TestScanExtremes(t *testing.T) {
	t.Parallel()
	for _, x := range []float64{1e-45, 1e-30, 1e-10, 1, 1e10, 1e25, 3e38} {
		values := make([]float32, 8192)
		for i := range values {
			values[i] = float32(x)
			if i%2 == 1 {
				values[i] = -values[i]
			}
		}
		got := scanAll(t, Scanner{}, scanFile(t, scanTensor{"w", tensor.F32, []int{8, 1024}, stored(t, tensor.F32, values)}))["w"]
		want := float64(values[0])
		if got.Max != want || got.Min != -want || math.Abs(got.RMS-want) > 1e-6*want || got.NaN+got.Inf+got.Zero != 0 {
			t.Errorf("%g: %+v", x, got)
		}
		if got.Rows.Vectors != 8 || got.Rows.Deviation > 1e-6 || math.Abs(got.Rows.Mean-math.Log(want*32)) > 1e-3 {
			t.Errorf("%g: rows %+v", x, got.Rows)
		}
	}
	zeros := scanAll(t, Scanner{}, scanFile(t, scanTensor{"w", tensor.Q4K, []int{300, 1024}, make([]byte, 300*4*144)}))["w"]
	want := TensorScan{Name: "w", DType: "Q4_K", Shape: []int{300, 1024}, Elements: 300 * 1024, Zero: 300 * 1024}
	want.Rows.Zero, want.Sample.Elements, want.Sample.Zero = 300, zeros.Sample.Elements, zeros.Sample.Elements
	want.Sample.Columns.Zero = 1024
	if diff := cmp.Diff(want, zeros, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestScanEnds(t *testing.T) {
	t.Parallel()
	data := stored(t, tensor.F32, make([]float32, 1<<18))
	file := scanFile(t, scanTensor{"a", tensor.F32, []int{256, 1024}, data}, scanTensor{"b", tensor.F32, []int{256, 1024}, data})
	files := FromSources(map[string]Source{"a.gguf": {bytes.NewReader(file), int64(len(file))}})
	mine := errors.New("mine")
	calls := 0
	if err := ScanTensors(t.Context(), files, func(TensorScan) error { calls++; return mine }); !errors.Is(err, mine) || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := ScanTensors(ctx, files, func(TensorScan) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	cut := FromSources(map[string]Source{"a.gguf": {bytes.NewReader(file[:len(file)-100]), int64(len(file))}})
	if err := ScanTensors(t.Context(), cut, func(TensorScan) error { return nil }); err == nil {
		t.Error("a file that ends early was read")
	}
}
