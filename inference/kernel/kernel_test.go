package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/tensor"
)

func random(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// encode stores x as t.
func encode(t testing.TB, typ tensor.Type, x []float32) []byte {
	t.Helper()
	var b []byte
	switch typ {
	case tensor.F32:
		for _, v := range x {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
	case tensor.F16:
		for _, v := range x {
			b = binary.LittleEndian.AppendUint16(b, tensor.HalfFromFloat(v))
		}
	case tensor.BF16:
		for _, v := range x {
			b = binary.LittleEndian.AppendUint16(b, uint16(math.Float32bits(v)>>16))
		}
	case tensor.Q8_0:
		b = make([]byte, len(x)/32*34)
		if err := tensor.QuantizeQ8(b, x); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func TestMulAgreesWithFloat64(t *testing.T) {
	t.Parallel()
	for _, e := range engines() {
		for _, typ := range []tensor.Type{tensor.F32, tensor.F16, tensor.BF16, tensor.Q8_0} {
			for _, cols := range []int{1, 13, 32, 96, 511, 1056} {
				for _, rows := range []int{1, 3, 7, 8, 21} {
					if typ == tensor.Q8_0 && cols%32 != 0 {
						continue
					}
					t.Run(fmt.Sprintf("%s/%s/%dx%d", e.name(), typ, rows, cols), func(t *testing.T) {
						t.Parallel()
						checkMul(t, e, typ, rows, cols)
					})
				}
			}
		}
	}
}

func checkMul(t *testing.T, e engine, typ tensor.Type, rows, cols int) {
	const most = 11
	r := rand.New(rand.NewPCG(uint64(rows), uint64(cols)))
	raw := encode(t, typ, random(r, rows*cols))
	weights := make([]float32, rows*cols)
	if err := tensor.Decode(typ, weights, raw); err != nil {
		t.Fatal(err)
	}
	x, bias := random(r, most*cols), random(r, rows)
	inMemory, err := NewMatrix(typ, rows, cols, raw)
	if err != nil {
		t.Fatal(err)
	}
	inFile, err := NewFileMatrix(typ, rows, cols, bytes.NewReader(append(make([]byte, 11), raw...)), 11, int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	inMemory.Scale, inFile.Scale = 0.5, 0.5
	var all []float32 // of the most vectors
	for _, threads := range []int{1, 3} {
		pool := NewPool(threads)
		defer pool.Close()
		p := newProduct(pool, e)
		for _, m := range []*Matrix{inMemory, inFile} {
			for n := most; n > 0; n-- {
				y := make([]float32, n*rows)
				if err := p.Mul(m, bias, x, n, y); err != nil {
					t.Fatal(err)
				}
				if all == nil {
					all = y
					for i, got := range all {
						row := i % rows
						want, size := float64(bias[row]), math.Abs(float64(bias[row]))
						for c := range cols {
							term := 0.5 * float64(weights[row*cols+c]) * float64(x[i/rows*cols+c])
							want, size = want+term, size+math.Abs(term)
						}
						if !(math.Abs(want-float64(got)) <= 1e-6*size) {
							t.Fatalf("vector %d, row %d: got %v, want %v", i/rows, row, got, want)
						}
					}
				}
				for i, got := range y {
					// Few vectors and many are added up in another order.
					bound := 0.0
					if n <= fewVectors {
						for c := range cols {
							bound += 1e-6 * math.Abs(0.5*float64(weights[i%rows*cols+c])*float64(x[i/rows*cols+c]))
						}
					}
					if integer(typ) && n <= fewVectors {
						// Half a step of each activation.
						for c := range cols {
							w := 0.5 * float64(weights[i%rows*cols+c])
							block := x[i/rows*cols+c/32*32:][:32]
							step := float64(max(slices.Max(block), -slices.Min(block))) / 127
							bound += math.Abs(w) * step / 2
						}
					}
					if want := all[i]; got != want && !(math.Abs(float64(got-want)) <= bound) {
						t.Fatalf("%d vectors, %d threads, product %d is %v, of %d vectors %v", n, threads, i, got, most, want)
					}
				}
			}
		}
	}
}

func TestMatrixErrors(t *testing.T) {
	t.Parallel()
	var unsupported *fault.Unsupported
	if _, err := NewMatrix(tensor.Q8_1, 1, 256, make([]byte, 288)); !errors.As(err, &unsupported) {
		t.Errorf("Q8_1: %v", err)
	}
	for _, c := range []struct{ rows, cols, bytes int }{{2, 2, 15}, {0, 2, 0}, {2, 0, 0}, {-1, 2, 8}, {1 << 62, 4, 16}} {
		if _, err := NewMatrix(tensor.F32, c.rows, c.cols, make([]byte, c.bytes)); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
	m, err := NewMatrix(tensor.F32, 2, 2, make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	pool := NewPool(1)
	defer pool.Close()
	if err := NewProduct(pool).Mul(m, nil, make([]float32, 3), 2, make([]float32, 4)); err == nil {
		t.Error("a short input was accepted")
	}
	if m.Row(2, make([]float32, 2)) == nil || m.Row(0, make([]float32, 1)) == nil {
		t.Error("a row outside the matrix was accepted")
	}
	short, err := NewFileMatrix(tensor.F32, 2, 2, bytes.NewReader(make([]byte, 10)), 0, 16)
	if err != nil {
		t.Fatal(err)
	}
	if err := NewProduct(pool).Mul(short, nil, make([]float32, 2), 1, make([]float32, 2)); err == nil {
		t.Error("a file cut short gave no error")
	}
}

type taskFunc func(worker, lo, hi int) error

func (f taskFunc) Do(worker, lo, hi int) error { return f(worker, lo, hi) }

func TestPool(t *testing.T) {
	t.Parallel()
	pool := NewPool(4)
	defer pool.Close()
	for _, rows := range []int{0, 1, 3, 1000} {
		seen := make([]atomic.Int32, rows)
		err := pool.Run(taskFunc(func(worker, lo, hi int) error {
			if worker < 0 || worker >= 4 {
				return errors.New("no such worker")
			}
			for i := lo; i < hi; i++ {
				seen[i].Add(1)
			}
			return nil
		}), rows)
		if err != nil {
			t.Fatal(err)
		}
		for i := range seen {
			if seen[i].Load() != 1 {
				t.Fatalf("row %d of %d was computed %d times", i, rows, seen[i].Load())
			}
		}
	}
	bad := errors.New("bad row")
	if err := pool.Run(taskFunc(func(_, _, hi int) error {
		if hi == 100 {
			return bad
		}
		return nil
	}), 100); !errors.Is(err, bad) {
		t.Errorf("error of a worker: %v", err)
	}
	if err := pool.Run(taskFunc(func(_, lo, _ int) error { panic("broken") }), 100); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("panic of a worker: %v", err)
	}
	if err := pool.Run(taskFunc(func(int, int, int) error { return nil }), 100); err != nil {
		t.Errorf("run after a panic: %v", err)
	}
}

// TestAttentionAgreesWithFloat64 compares with softmax(q·k/scale)·v written out, causal and both ways with a bias by distance.
func TestAttentionAgreesWithFloat64(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	const heads, kvHeads, dim, first, n = 4, 2, 8, 3, 19
	q, k, v := random(r, n*heads*dim), random(r, (first+n)*kvHeads*dim), random(r, (first+n)*kvHeads*dim)
	pool := NewPool(3)
	defer pool.Close()
	const behind, reach = 2, 2
	bias := random(r, heads*(2*reach+1))
	k, v = append(k, random(r, behind*kvHeads*dim)...), append(v, random(r, behind*kvHeads*dim)...)
	for i := range 8 * len(engines()) {
		window, both := []int{0, 1, 3, 100}[i%4], i/4%2 == 1
		a := NewAttention(pool, Attention{
			Heads: heads, KVHeads: kvHeads, HeadDim: dim, Scale: 0.3, Window: window, Bidirectional: both,
		}, first+n+behind)
		if both {
			a.Bias = bias
		}
		a.engine = engines()[i/8]
		out := make([]float32, n*heads*dim)
		if err := a.Run(q, k, v, out, first, n); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			for h := range heads {
				kv := h / (heads / kvHeads) * dim
				var total float64
				want := make([]float64, dim)
				for j := range first + n + behind {
					far := j - first - i
					switch {
					case both && window > 0 && (far > window/2 || -far > window/2), !both && (far > 0 || window > 0 && -far >= window):
						continue
					}
					var score float64
					for c := range dim {
						score += float64(q[(i*heads+h)*dim+c]) * float64(k[j*kvHeads*dim+kv+c])
					}
					score *= 0.3
					if both {
						score += float64(bias[h*(2*reach+1)+min(max(far, -reach), reach)+reach])
					}
					e := math.Exp(score)
					total += e
					for c := range dim {
						want[c] += e * float64(v[j*kvHeads*dim+kv+c])
					}
				}
				for c := range dim {
					if got := float64(out[(i*heads+h)*dim+c]); math.Abs(got-want[c]/total) > 1e-5 {
						t.Fatalf("window %d, both ways %v, query %d, head %d: got %v, want %v", window, both, i, h, got, want[c]/total)
					}
				}
			}
		}
		if err := a.Run(q, k, v, out, first+behind+1, n); err == nil {
			t.Error("attention beyond its buffers was accepted")
		}
	}
}

func TestRope(t *testing.T) {
	t.Parallel()
	// At position 2 and base 100 the pairs of four dimensions turn by 2 and 0.2.
	turn := func(x, y, angle float64) (float32, float32) {
		s, c := math.Sincos(angle)
		return float32(x*c - y*s), float32(x*s + y*c)
	}
	near := cmp.Comparer(func(a, b float32) bool { return math.Abs(float64(a-b)) < 1e-6 })
	for _, adjacent := range []bool{true, false} {
		rope := Rope{Adjacent: adjacent, Frequencies: RopeFrequencies(100, 4)}
		rope.Prepare(7, 1)
		rope.Extend(1, 2)
		rope = *rope.From(1)
		x := []float32{1, 2, 3, 4, 5, 1, 2, 3, 4, 5} // two heads of five, the last element of each is not rotated
		rope.Apply(x, 5, 1)
		want := []float32{0, 0, 0, 0, 5}
		if adjacent {
			want[0], want[1] = turn(1, 2, 2)
			want[2], want[3] = turn(3, 4, 0.2)
		} else {
			want[0], want[2] = turn(1, 3, 2)
			want[1], want[3] = turn(2, 4, 0.2)
		}
		if d := cmp.Diff(append(want, want...), x, near); d != "" {
			t.Errorf("adjacent %v: %s", adjacent, d)
		}
	}
}

func TestElementwise(t *testing.T) {
	t.Parallel()
	near := cmp.Comparer(func(a, b float32) bool { return math.Abs(float64(a-b)) < 1e-6 })
	y := make([]float32, 2)
	RMSNorm(y, []float32{3, 4}, []float32{1, 2}, 0)
	if d := cmp.Diff([]float32{float32(3 / math.Sqrt(12.5)), float32(8 / math.Sqrt(12.5))}, y, near); d != "" {
		t.Error(d)
	}
	gate := []float32{0, 1, -30}
	SwiGLU(gate, []float32{5, 2, 1})
	if d := cmp.Diff([]float32{0, float32(2 / (1 + math.Exp(-1))), 0}, gate, near); d != "" {
		t.Error(d)
	}
	p := []float32{1000, 1000, -1000}
	Softmax(p)
	if d := cmp.Diff([]float32{0.5, 0.5, 0}, p, near); d != "" {
		t.Error(d)
	}
}
