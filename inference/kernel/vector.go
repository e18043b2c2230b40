//go:build (amd64 || arm64) && !purego

package kernel

import (
	"math"
	"slices"
	"unsafe"

	"github.com/carat-hub/carat/inference/tensor"
)

type tileFunc func(w *byte, wStride int, x *float32, steps int, acc *float32)

// tiles are the kernels for one format: four rows with a vector, and a single row.
type tiles struct{ four, single tileFunc }

type dotFunc func(w *byte, rows, blocks int, q *int8, scale, sum, out *float32)

// block is the kernels for a block type. wide says that 32 weights share a scale; otherwise 16 do.
type block struct {
	wide   bool
	dot    dotFunc
	decode func(src *byte, blocks int, dst *float32)
}

// panelFunc multiplies a panel with a number of vectors, mixFunc adds up weighted rows.
type (
	panelFunc func(panel *float32, cols int, x *float32, xStride int, sums *float32)
	mixFunc   func(weights *float32, n int, v *float32, stride int, out *float32)
)

// mixer is a kernel that sets so many elements.
type mixer struct {
	width int
	mix   mixFunc
}

// elementwise are kernels that take so many values a step; what is left over is plain.
type elementwise struct {
	lanes          int
	largest        func(x []float32) float32
	exp            func(x []float32, shift float32) (sum float64)
	swiglu         func(gate, up *float32, steps int)
	gelu, geluTanh func(x *float32, steps int)
}

// vector is an engine of assembly, whose sums are held in a number of lanes until the end. The kernels that all engines for a processor
// share are called by name. Where there are several for the same, those that take most at once come first.
type vector struct {
	needs          string
	lanes          int
	f32, f16, bf16 tiles
	reduce         func(acc *float32, n int, out *float32)
	panels         []panelFunc // for one vector, for two, and so on
	mixers         []mixer
	elementwise    []elementwise
	blocks         map[tensor.Type]block // before those of rareBlocks
}

func (e *vector) name() string { return e.needs }

// block returns the kernels for a block type.
func (e *vector) block(t tensor.Type) (k block, ok bool) {
	if k, ok = e.blocks[t]; !ok {
		k, ok = rareBlocks[t]
	}
	return k, ok
}

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
			k.four(at, stride, &x[0], steps, &acc[0])
		} else {
			n = 1
			k.single(at, stride, &x[0], steps, &acc[0])
		}
		e.reduce(&acc[0], n, &out[r])
		r += n
	}
}

func (e *vector) integerDots(t tensor.Type, w []byte, x activations, out []float32, _ *scratch) {
	n := len(x.q)
	size, ok := t.Size(int64(n))
	k, known := e.block(t)
	if !ok || !known || n == 0 || len(x.scale) != n/32 || len(x.sum16) != n/16 || len(x.sum32) != n/32 || len(out) == 0 || int64(len(w)) != size*int64(len(out)) {
		panic("kernel: rows of another length than the activations")
	}
	fillGrid(t)
	elements, _ := t.Block()
	sum := &x.sum16[0]
	if k.wide {
		sum = &x.sum32[0]
	}
	k.dot(&w[0], len(out), n/elements, &x.q[0], &x.scale[0], sum, &out[0])
}

// A panel is 16 rows by at most panelCols columns, a multiple of all blocks, so that it stays in the first-level cache while all
// vectors pass.
const panelRows, panelCols = 16, 256

func (e *vector) products(t tensor.Type, w []byte, rows int, x []float32, n int, out []float32, s *scratch) error {
	cols, size := len(x)/n, len(w)/rows
	if want, ok := t.Size(int64(cols)); !ok || cols == 0 || len(x) != n*cols || len(w) != rows*size || int64(size) != want || len(out) < rows*n {
		panic("kernel: a panel of another shape than its vectors")
	}
	elements, bytes := t.Block()
	decoded, panel := grow(&s.values, panelRows*panelCols), grow(&s.panel, panelRows*panelCols)
	sums := grow(&s.sums, panelRows*n)
	for top := 0; top < rows; top += panelRows {
		height := min(panelRows, rows-top)
		clear(sums)
		for left := 0; left < cols; left += panelCols {
			width := min(panelCols, cols-left)
			for r := range height {
				from := (top+r)*size + left/elements*bytes
				if err := e.decode(t, decoded[r*panelCols:][:width], w[from:from+width/elements*bytes]); err != nil {
					return err
				}
			}
			turn(decoded, panel, width)
			e.multiplyPanel(panel, width, x[left:], cols, n, sums)
		}
		for i := range n {
			copy(out[i*rows+top:][:height], sums[i*panelRows:])
		}
	}
	return nil
}

// turn stores the first columns of a decoded panel one after the other. Rows that the matrix does not have are turned too; nobody
// looks at their sums.
func turn(decoded, panel []float32, cols int) {
	steps := cols / 8
	if steps > 0 {
		transpose(&decoded[0], panelCols*4, steps, &panel[0])
	}
	for c := 8 * steps; c < cols; c++ {
		for r := range panelRows {
			panel[c*panelRows+r] = decoded[r*panelCols+c]
		}
	}
}

func (e *vector) decode(t tensor.Type, dst []float32, src []byte) error {
	if want, ok := t.Size(int64(len(dst))); !ok || int64(len(src)) != want {
		panic("kernel: a row of another length than its decoding")
	}
	switch {
	case t == tensor.F16 && len(dst)%8 == 0:
		decodeF16(&src[0], len(dst)/8, &dst[0])
	case t == tensor.BF16 && len(dst)%8 == 0:
		decodeBF16(&src[0], len(dst)/8, &dst[0])
	default:
		k, ok := e.block(t)
		if !ok {
			return tensor.Decode(t, dst, src)
		}
		fillGrid(t)
		elements, _ := t.Block()
		k.decode(&src[0], len(dst)/elements, &dst[0])
	}
	return nil
}

func (e *vector) quantize(x []float32, to activations) {
	blocks := len(to.scale)
	if len(x) != 32*blocks || len(to.q) != 32*blocks || len(to.sum16) != 2*blocks || len(to.sum32) != blocks || blocks == 0 {
		panic("kernel: activations of another length than their values")
	}
	quantize(&x[0], blocks, &to.q[0], &to.scale[0], &to.sum16[0], &to.sum32[0])
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
	for _, m := range e.mixers {
		for ; len(out)-at >= m.width; at += m.width {
			m.mix(&weights[0], len(weights), &v[at], stride*4, &out[at])
		}
	}
	if at < len(out) {
		plain{}.mix(weights, v[at:], stride, out[at:])
	}
}

func (e *vector) scoresOfAll(queries []float32, dim int, k []float32, stride, n int, out []float32, width int, s *scratch) {
	count := len(queries) / max(dim, 1)
	if dim <= 0 || n <= 0 || stride < dim || count == 0 || len(queries) != count*dim || len(k) < (n-1)*stride+dim ||
		width < n || len(out) < (count-1)*width+n {
		panic("kernel: keys of another length than their scores")
	}
	panel, sums := grow(&s.panel, panelRows*dim), grow(&s.sums, panelRows*count)
	for top := 0; top < n; top += panelRows {
		height := min(panelRows, n-top)
		steps := dim / 8
		if height < panelRows {
			steps = 0
		}
		if steps > 0 {
			transpose(&k[top*stride], stride*4, steps, &panel[0])
		}
		for r := range height {
			key := k[(top+r)*stride:]
			for c := 8 * steps; c < dim; c++ {
				panel[c*panelRows+r] = key[c]
			}
		}
		clear(sums)
		e.multiplyPanel(panel, dim, queries, dim, count, sums)
		for i := range count {
			copy(out[i*width+top:][:height], sums[i*panelRows:])
		}
	}
}

func (e *vector) mixAll(weights []float32, width, n int, v []float32, stride, dim int, out []float32, s *scratch) {
	count := len(out) / max(dim, 1)
	if dim <= 0 || n <= 0 || stride < dim || count == 0 || len(out) != count*dim || len(v) < (n-1)*stride+dim ||
		width < n || len(weights) < (count-1)*width+n {
		panic("kernel: values of another length than their weights")
	}
	panel, sums := grow(&s.panel, panelRows*panelCols), grow(&s.sums, panelRows*count)
	for left := 0; left < dim; left += panelRows {
		part := min(panelRows, dim-left)
		clear(sums)
		for top := 0; top < n; top += panelCols {
			height := min(panelCols, n-top)
			for r := range height {
				copy(panel[r*panelRows:][:part], v[(top+r)*stride+left:])
			}
			e.multiplyPanel(panel, height, weights[top:], width, count, sums)
		}
		for i := range count {
			Add(out[i*dim+left:][:part], sums[i*panelRows:])
		}
	}
}

// multiplyPanel adds the products of a panel {cols, 16} and n vectors, which lie stride elements apart, to sums.
func (e *vector) multiplyPanel(panel []float32, cols int, x []float32, stride, n int, sums []float32) {
	for i := 0; i < n; i += len(e.panels) {
		e.panels[min(len(e.panels), n-i)-1](&panel[0], cols, &x[i*stride], stride*4, &sums[i*panelRows])
	}
}

func (e *vector) softmax(x []float32) {
	limit := float32(math.Inf(-1))
	rest := x
	for _, k := range e.elementwise {
		if n := len(rest) / k.lanes * k.lanes; n > 0 {
			limit = max(limit, k.largest(rest[:n]))
			rest = rest[n:]
		}
	}
	for _, v := range rest {
		limit = max(limit, v)
	}
	var sum float64
	rest = x
	for _, k := range e.elementwise {
		if n := len(rest) / k.lanes * k.lanes; n > 0 {
			sum += k.exp(rest[:n], limit)
			rest = rest[n:]
		}
	}
	for i, v := range rest {
		e := math.Exp(float64(v - limit))
		rest[i] = float32(e)
		sum += e
	}
	scale := float32(1 / sum)
	for i := range x {
		x[i] *= scale
	}
}

// largestOf returns the largest value and expOf turns values into exponentials and returns their sum, eight at a time.
func largestOf(x []float32) float32 {
	var lanes [8]float32
	largest(&x[0], len(x)/8, &lanes[0])
	return slices.Max(lanes[:])
}

func expOf(x []float32, shift float32) float64 {
	var lanes [8]float32
	exp(&x[0], len(x)/8, shift, &lanes[0])
	return total(lanes[:])
}

func total(x []float32) (sum float64) {
	for _, v := range x {
		sum += float64(v)
	}
	return sum
}

func (e *vector) swiglu(gate, up []float32) {
	if len(gate) != len(up) {
		panic("kernel: gates of another length than their values")
	}
	for _, k := range e.elementwise {
		if steps := len(gate) / k.lanes; steps > 0 {
			k.swiglu(&gate[0], &up[0], steps)
			gate, up = gate[steps*k.lanes:], up[steps*k.lanes:]
		}
	}
	plain{}.swiglu(gate, up)
}

func (e *vector) gelu(a Activation, x []float32) {
	for _, k := range e.elementwise {
		kernel := k.gelu
		if a == GELUTanh {
			kernel = k.geluTanh
		}
		if steps := len(x) / k.lanes; steps > 0 {
			kernel(&x[0], steps)
			x = x[steps*k.lanes:]
		}
	}
	plain{}.gelu(a, x)
}
