//go:build !purego

package kernel

import (
	"iter"
	"math"
	"unsafe"

	"golang.org/x/sys/cpu"

	"github.com/carat-hub/carat/inference/tensor"
)

// vectorEngines returns what this processor can run, the fastest last.
func vectorEngines() []engine {
	var engines []engine
	if x := &cpu.X86; x.HasAVX2 && x.HasFMA && x.HasF16C {
		engines = append(engines, &avx2)
		if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL {
			engines = append(engines, &avx512)
		}
	}
	return engines
}

type tileFunc func(w *byte, wStride int, x *float32, xStride int, steps int, acc *float32)

// tiles are the kernels for one format: four rows and one to three vectors, and a single row with a single vector.
type tiles struct {
	four   [3]tileFunc
	single tileFunc
}

// vector is an engine of assembly, whose sums are held in a number of lanes until the end.
type vector struct {
	needs          string
	lanes          int
	f32, f16, bf16 tiles
	reduce         func(acc *float32, n int, out *float32)
}

var avx2 = vector{
	needs:  "AVX2",
	lanes:  8,
	f32:    tiles{[3]tileFunc{tileF32x4x1AVX2, tileF32x4x2AVX2, tileF32x4x3AVX2}, tileF32x1x1AVX2},
	f16:    tiles{[3]tileFunc{tileF16x4x1AVX2, tileF16x4x2AVX2, tileF16x4x3AVX2}, tileF16x1x1AVX2},
	bf16:   tiles{[3]tileFunc{tileBF16x4x1AVX2, tileBF16x4x2AVX2, tileBF16x4x3AVX2}, tileBF16x1x1AVX2},
	reduce: reduceAVX2,
}

var avx512 = vector{
	needs:  "AVX-512",
	lanes:  16,
	f32:    tiles{[3]tileFunc{tileF32x4x1AVX512, tileF32x4x2AVX512, tileF32x4x3AVX512}, tileF32x1x1AVX512},
	f16:    tiles{[3]tileFunc{tileF16x4x1AVX512, tileF16x4x2AVX512, tileF16x4x3AVX512}, tileF16x1x1AVX512},
	bf16:   tiles{[3]tileFunc{tileBF16x4x1AVX512, tileBF16x4x2AVX512, tileBF16x4x3AVX512}, tileBF16x1x1AVX512},
	reduce: reduceAVX512,
}

func (e *vector) name() string { return e.needs }

// panelCols is how many columns products works on at a time, a multiple of all blocks: eight decoded rows stay in the
// first-level cache while all vectors pass.
const panelCols, panelRows = 512, 8

func (e *vector) dots(t tensor.Type, w []byte, x, out []float32, s *scratch) bool {
	var k *tiles
	switch t {
	case tensor.F32:
		k = &e.f32
	case tensor.F16:
		k = &e.f16
	case tensor.BF16:
		k = &e.bf16
	default:
		return plain{}.dots(t, w, x, out, s)
	}
	_, element := t.Block()
	if len(x) == 0 || len(w) != len(out)*len(x)*element {
		panic("kernel: rows of another length than the vector")
	}
	e.rows(k, &w[0], len(x)*element, x, out, s)
	if tail := len(x) % e.lanes; tail > 0 {
		for r := range out {
			row := w[((r+1)*len(x)-tail)*element:]
			for i, v := range x[len(x)-tail:] {
				out[r] += elementAt(t, row, i) * v
			}
		}
	}
	return true
}

// rows sets out to the products of x and rows that lie stride bytes apart from w on, without the columns that fill no register.
func (e *vector) rows(k *tiles, w *byte, stride int, x, out []float32, s *scratch) {
	steps := len(x) / e.lanes
	if steps == 0 {
		clear(out)
		return
	}
	acc := grow(&s.lanes, 4*e.lanes)
	for r := 0; r < len(out); {
		clear(acc)
		at, n := (*byte)(unsafe.Add(unsafe.Pointer(w), r*stride)), 4
		if len(out)-r >= 4 {
			k.four[0](at, stride, &x[0], 0, steps, &acc[0])
		} else {
			n = 1
			k.single(at, stride, &x[0], 0, steps, &acc[0])
		}
		e.reduce(&acc[0], n, &out[r])
		r += n
	}
}

func (e *vector) integerDots(t tensor.Type, w []byte, x activations, out []float32, s *scratch) {
	blocks := len(x.scale)
	if t != tensor.Q8_0 || blocks == 0 || len(x.q) != 32*blocks || len(w) != len(out)*blocks*34 {
		panic("kernel: rows of another length than the activations")
	}
	acc := grow(&s.lanes, 4*8)
	for r := 0; r < len(out); {
		clear(acc)
		n := 4
		if len(out)-r >= 4 {
			dotQ8x4AVX2(&w[r*blocks*34], blocks*34, &x.q[0], &x.scale[0], blocks, &acc[0])
		} else {
			n = 1
			dotQ8x1AVX2(&w[r*blocks*34], blocks*34, &x.q[0], &x.scale[0], blocks, &acc[0])
		}
		reduceAVX2(&acc[0], n, &out[r])
		r += n
	}
}

func (e *vector) products(t tensor.Type, w []byte, rows int, x []float32, n int, out []float32, s *scratch) error {
	cols, size := len(x)/n, len(w)/rows
	if want, ok := t.Size(int64(cols)); !ok || cols == 0 || len(x) != n*cols || len(w) != rows*size || int64(size) != want || len(out) < rows*n {
		panic("kernel: a panel of another shape than its vectors")
	}
	elements, bytes := t.Block()
	lanes := grow(&s.lanes, panelRows*n*e.lanes)
	for top := 0; top < rows; top += panelRows {
		height := min(panelRows, rows-top)
		clear(lanes)
		var panel []float32
		left, width := 0, 0
		for ; left < cols; left += width {
			width = min(panelCols, cols-left)
			panel = grow(&s.panel, height*width)
			for r := range height {
				from := (top+r)*size + left/elements*bytes
				if err := e.decode(t, panel[r*width:(r+1)*width], w[from:from+width/elements*bytes]); err != nil {
					return err
				}
			}
			if steps := width / e.lanes; steps > 0 {
				for p := range pieces(height, n) {
					k := e.f32.single
					if p.rows == 4 {
						k = e.f32.four[p.vectors-1]
					}
					first := (*byte)(unsafe.Pointer(&panel[p.row*width]))
					k(first, width*4, &x[p.vector*cols+left], cols*4, steps, &lanes[p.at*e.lanes])
				}
			}
		}
		sums := grow(&s.sums, height*n)
		e.reduce(&lanes[0], height*n, &sums[0])
		tail := width % e.lanes
		for p := range pieces(height, n) {
			for i := range p.vectors {
				to := out[(p.vector+i)*rows+top+p.row:][:p.rows]
				copy(to, sums[p.at+i*p.rows:])
				if tail == 0 {
					continue
				}
				for r := range to {
					weights, v := panel[(p.row+r+1)*width-tail:], x[(p.vector+i+1)*cols-tail:]
					for c := range tail {
						to[r] += weights[c] * v[c]
					}
				}
			}
		}
	}
	return nil
}

// piece is a part of a panel that one call of a tile computes; at is where its sums begin.
type piece struct{ row, rows, vector, vectors, at int }

// pieces cuts a panel into tiles. Rows pass fastest, because a few vectors stay in the cache beside all of the rows.
func pieces(rows, vectors int) iter.Seq[piece] {
	return func(yield func(piece) bool) {
		at := 0
		for i := 0; i < vectors; i += 3 {
			n := min(3, vectors-i)
			for r := 0; r < rows; {
				p := piece{r, 4, i, n, at}
				if rows-r < 4 {
					for j := range n {
						if !yield(piece{r, 1, i + j, 1, at + j}) {
							return
						}
					}
					r, at = r+1, at+n
					continue
				}
				if !yield(p) {
					return
				}
				r, at = r+4, at+4*n
			}
		}
	}
}

func (e *vector) decode(t tensor.Type, dst []float32, src []byte) error {
	if want, ok := t.Size(int64(len(dst))); !ok || int64(len(src)) != want {
		panic("kernel: a row of another length than its decoding")
	}
	switch {
	case t == tensor.F16 && len(dst)%8 == 0:
		decodeF16AVX2(&src[0], len(dst)/8, &dst[0])
	case t == tensor.BF16 && len(dst)%8 == 0:
		decodeBF16AVX2(&src[0], len(dst)/8, &dst[0])
	case t == tensor.Q8_0:
		decodeQ8AVX2(&src[0], len(dst)/32, &dst[0])
	default:
		return tensor.Decode(t, dst, src)
	}
	return nil
}

func (e *vector) quantize(x []float32, to activations) {
	blocks := len(to.scale)
	if len(x) != 32*blocks || len(to.q) != 32*blocks || blocks == 0 {
		panic("kernel: activations of another length than their values")
	}
	quantizeAVX2(&x[0], blocks, &to.q[0], &to.scale[0])
}

func (e *vector) scores(q, k []float32, stride int, out []float32, s *scratch) {
	if len(out) == 0 {
		return
	}
	if len(q) == 0 || stride < 0 || len(k) < (len(out)-1)*stride+len(q) {
		panic("kernel: keys of another length than their scores")
	}
	e.rows(&e.f32, (*byte)(unsafe.Pointer(&k[0])), stride*4, q, out, s)
	if tail := len(q) % e.lanes; tail > 0 {
		from := len(q) - tail
		for j := range out {
			key := k[j*stride+from:]
			for i, v := range q[from:] {
				out[j] += key[i] * v
			}
		}
	}
}

func (e *vector) mix(weights, v []float32, stride int, out []float32) {
	if len(weights) == 0 {
		clear(out)
		return
	}
	if stride < 0 || len(v) < (len(weights)-1)*stride+len(out) {
		panic("kernel: values of another length than their weights")
	}
	at := 0
	for ; len(out)-at >= 64; at += 64 {
		mixx8AVX2(&weights[0], len(weights), &v[at], stride*4, &out[at])
	}
	for ; len(out)-at >= 8; at += 8 {
		mixx1AVX2(&weights[0], len(weights), &v[at], stride*4, &out[at])
	}
	if at < len(out) {
		plain{}.mix(weights, v[at:], stride, out[at:])
	}
}

func (e *vector) softmax(x []float32) {
	steps := len(x) / 8
	if steps == 0 {
		plain{}.softmax(x)
		return
	}
	var lanes [8]float32
	largestAVX2(&x[0], steps, &lanes[0])
	limit := lanes[0]
	for _, v := range lanes[1:] {
		limit = max(limit, v)
	}
	tail := x[8*steps:]
	for _, v := range tail {
		limit = max(limit, v)
	}
	expAVX2(&x[0], steps, limit, &lanes[0])
	var sum float64
	for _, v := range lanes {
		sum += float64(v)
	}
	for i, v := range tail {
		e := math.Exp(float64(v - limit))
		tail[i] = float32(e)
		sum += e
	}
	scale := float32(1 / sum)
	for i := range x {
		x[i] *= scale
	}
}

func (e *vector) swiglu(gate, up []float32) {
	if len(gate) != len(up) {
		panic("kernel: gates of another length than their values")
	}
	steps := len(gate) / 8
	if steps > 0 {
		swigluAVX2(&gate[0], &up[0], steps)
	}
	plain{}.swiglu(gate[8*steps:], up[8*steps:])
}
