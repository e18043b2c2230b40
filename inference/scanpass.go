package inference

import (
	"context"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/carat-hub/carat/inference/kernel"
	"github.com/carat-hub/carat/inference/tensor"
)

// How tensors are cut. What a scan finds depends on these, and on nothing else that is a matter of choice.
const (
	pieceElements = 4096 // of what is no matrix; a multiple of all blocks
	leastRow      = 32
	mostRow       = 32768
	chunkBytes    = 256 << 10 // of the rows that one thread takes at a time; they stay in the second-level cache
	wholeSample   = 1 << 17   // elements of a tensor that is looked at in full
	sampleShift   = 15        // log2 of about how many elements of a larger one are
)

// portion is what some rows of a tensor add up to.
type portion struct {
	nan, inf, zero int64
	sum, squares   float64
	low, high      float64
	exact          bool // zero is
	norms          norms
	sample         *sampled
	err            error
}

func newPortion() portion {
	return portion{low: math.Inf(1), high: math.Inf(-1), exact: true, norms: newNorms()}
}

func (p *portion) add(o *portion) {
	p.nan += o.nan
	p.inf += o.inf
	p.zero += o.zero
	p.sum += o.sum
	p.squares += o.squares
	p.low, p.high = min(p.low, o.low), max(p.high, o.high)
	p.exact = p.exact && o.exact
	p.norms.add(&o.norms)
}

// scanJob is one tensor of a pass.
type scanJob struct {
	index    int
	t        *storedTensor
	scan     TensorScan
	file     File
	offset   int64
	width    int // elements of a row
	rowSize  int // bytes
	rows     int // the last may be shorter where the tensor is no matrix
	matrix   bool
	perChunk int // rows
	stride   int // every how many rows one is in the sample
	count    int // of chunks

	chunks []portion
	left   atomic.Int64
	done   chan struct{}
	err    error

	mu        sync.Mutex // guards what is known of the extremes
	low, high float64
}

// columns is how many columns are added up.
func (j *scanJob) columns() int {
	if j.matrix {
		return j.width
	}
	return 0
}

// pass is a scan under way.
type pass struct {
	ctx  context.Context
	c    *container
	row  func(tensor, row int, values []float32)
	jobs []*scanJob

	mu        sync.Mutex // guards what follows, and the container
	job, next int        // the next chunk to be taken
	stop      atomic.Bool
	workers   sync.WaitGroup
}

func newPass(ctx context.Context, c *container, row func(tensor, row int, values []float32)) *pass {
	p := &pass{ctx: ctx, c: c, row: row, jobs: make([]*scanJob, len(c.tensors))}
	for i := range p.jobs {
		p.jobs[i] = &scanJob{index: i, t: &c.tensors[i], done: make(chan struct{})}
	}
	return p
}

func (p *pass) begin(threads int) {
	for range threads {
		p.workers.Go(p.work)
	}
}

// end returns when no thread works any more.
func (p *pass) end() {
	p.stop.Store(true)
	p.workers.Wait()
}

// finished returns a tensor once it has been read.
func (p *pass) finished(i int) (*scanJob, error) {
	j := p.jobs[i]
	select {
	case <-j.done:
	case <-p.ctx.Done():
		return nil, p.ctx.Err()
	}
	if j.err != nil {
		return nil, j.err
	}
	for i := range j.chunks {
		if err := j.chunks[i].err; err != nil {
			return nil, err
		}
	}
	return j, nil
}

// take returns the next chunk to be read, nil at the end.
func (p *pass) take() (*scanJob, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.job < len(p.jobs) && !p.stop.Load() {
		j := p.jobs[p.job]
		if p.next == 0 {
			j.err = p.prepare(j)
		}
		if p.next < j.count {
			p.next++
			return j, p.next - 1
		}
		if j.count == 0 {
			close(j.done)
		}
		p.job++
		p.next = 0
	}
	return nil, 0
}

// prepare finds out where a tensor lies and how it is cut.
func (p *pass) prepare(j *scanJob) (err error) {
	defer guard(&err)
	t := j.t
	j.scan = TensorScan{Name: t.name, DType: t.typ.String(), Shape: slices.Clone(t.shape)}
	if j.scan.Skipped = scannable(t); j.scan.Skipped != "" {
		return nil
	}
	if j.file, err = p.c.file(t.file); err != nil {
		return err
	}
	if t.locate != nil {
		if t.offset, err = t.locate(); err != nil {
			return err
		}
	}
	j.offset = t.offset
	j.scan.Elements, _ = tensor.Elements(t.shape)
	if j.scan.Elements == 0 {
		return nil
	}
	j.width, j.matrix = shapeOfScan(t)
	size, _ := t.typ.Size(int64(j.width))
	j.rowSize = int(size)
	j.rows = int((j.scan.Elements + int64(j.width) - 1) / int64(j.width))
	j.perChunk = max(1, chunkBytes/j.rowSize)
	j.stride = 1
	if j.scan.Elements > wholeSample {
		// Odd, so that what repeats in rows, such as heads, is seen at all places.
		j.stride = int(j.scan.Elements>>sampleShift) | 1
	}
	j.low, j.high = math.Inf(1), math.Inf(-1)
	j.count = (j.rows + j.perChunk - 1) / j.perChunk
	j.left.Store(int64(j.count))
	j.chunks = make([]portion, j.count)
	return nil
}

// reader is what one thread keeps.
type reader struct {
	survey  kernel.Survey
	sums    []kernel.RowSums
	squares []float64 // of the rows' norms
	values  []float32
	raw     []byte
}

func (p *pass) work() {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	var r reader
	for {
		j, i := p.take()
		if j == nil {
			return
		}
		j.chunks[i] = p.chunk(j, i, &r)
		if j.left.Add(-1) == 0 {
			close(j.done)
		}
	}
}

// chunk reads some rows of a tensor.
func (p *pass) chunk(j *scanJob, i int, r *reader) (out portion) {
	out = newPortion()
	if out.err = p.ctx.Err(); out.err != nil {
		return out
	}
	defer guard(&out.err)
	from, to := i*j.perChunk, min((i+1)*j.perChunk, j.rows)
	elements := min(int64(to)*int64(j.width), j.scan.Elements) - int64(from)*int64(j.width)
	size, _ := j.t.typ.Size(elements)
	raw, err := r.read(j.file, j.offset+int64(from)*int64(j.rowSize), int(size))
	if err != nil {
		out.err = err
		return out
	}
	whole := int(elements / int64(j.width))
	if out.err = p.rows(j, r, raw[:whole*j.rowSize], from, j.width, &out); out.err == nil && whole < to-from {
		out.err = p.rows(j, r, raw[whole*j.rowSize:], from+whole, int(elements)-whole*j.width, &out)
	}
	return out
}

// read returns bytes of a file, as they are mapped or copied.
func (r *reader) read(f File, at int64, size int) ([]byte, error) {
	if m, ok := f.(Mapped); ok {
		if b := m.Bytes(); at >= 0 && at+int64(size) <= int64(len(b)) {
			return b[at : at+int64(size)], nil
		}
	}
	if cap(r.raw) < size {
		r.raw = make([]byte, size)
	}
	b := r.raw[:size]
	if got, err := f.ReadAt(b, at); got < size {
		return nil, fmt.Errorf("read at %d: %w", at, err)
	}
	return b, nil
}

// rows adds up rows of the given width, which begin with the row of number first.
func (p *pass) rows(j *scanJob, r *reader, raw []byte, first, width int, out *portion) error {
	size, _ := j.t.typ.Size(int64(width))
	n := len(raw) / int(size)
	if n == 0 {
		return nil
	}
	r.sums = slices.Grow(r.sums[:0], n)[:n]
	exact, err := r.survey.Rows(j.t.typ, raw, width, r.sums)
	if err != nil {
		return err
	}
	out.exact = out.exact && exact
	j.mu.Lock()
	low, high := j.low, j.high
	j.mu.Unlock()
	least := leastSquares(width, exact)
	r.squares = slices.Grow(r.squares[:0], n)
	sampled := (j.stride - first%j.stride) % j.stride // the next row of the sample
	for i := range r.sums {
		s := &r.sums[i]
		inSample := i == sampled
		suspect := !reliable(s, least)
		extreme := float64(s.Low) < low || float64(s.High) > high
		if !suspect && !inSample && !extreme { // nearly all
			out.sum += float64(s.Sum)
			out.squares += float64(s.Squares)
			out.zero += int64(s.Zero)
			r.squares = append(r.squares, float64(s.Squares))
			continue
		}
		if inSample {
			sampled += j.stride
		}
		if suspect || inSample || !exact {
			r.values = slices.Grow(r.values[:0], width)[:width]
			if err := kernel.Decode(j.t.typ, r.values, raw[i*int(size):][:size]); err != nil {
				return err
			}
		}
		if inSample {
			if out.sample == nil {
				out.sample = newSampled(j.columns())
			}
			out.sample.take(r.values)
			if p.row != nil {
				p.row(j.index, first+i, r.values)
			}
		}
		if suspect {
			r.squares = append(r.squares, out.slowly(r.values))
		} else {
			out.sum += float64(s.Sum)
			out.squares += float64(s.Squares)
			out.zero += int64(s.Zero)
			r.squares = append(r.squares, float64(s.Squares))
		}
		switch {
		case suspect || !extreme:
		case exact:
			out.low, out.high = min(out.low, float64(s.Low)), max(out.high, float64(s.High))
		default:
			exactly := kernel.SumValues(r.values)
			out.low, out.high = min(out.low, float64(exactly.Low)), max(out.high, float64(exactly.High))
		}
		low, high = min(low, out.low), max(high, out.high)
	}
	if j.matrix {
		out.norms.count(r.squares)
	}
	j.mu.Lock()
	j.low, j.high = min(j.low, low), max(j.high, high)
	j.mu.Unlock()
	return nil
}

// leastSquares is how large the squares of a row must be, as a part of the square of its largest weight, for sums in float32 to be
// trusted: where they come from blocks, they may be lost beside the minima.
func leastSquares(width int, exact bool) float32 {
	if exact {
		return 0
	}
	return 1e-4 * float32(width)
}

// reliable reports whether the sums of a row in float32 are what they should be: all weights are finite, and neither too large nor too
// small to be squared, nor lost beside the minima of their blocks.
func reliable(s *kernel.RowSums, least float32) bool {
	q := s.Squares
	if q-q != 0 || s.Sum-s.Sum != 0 || q < 0 {
		return false
	}
	widest := s.High
	if -s.Low > widest {
		widest = -s.Low
	}
	return widest == 0 || q > 1e-25 && q > least*widest*widest
}

// slowly adds up a row in float64, and returns the square of its norm.
func (p *portion) slowly(values []float32) (squares float64) {
	var sum float64
	for _, v := range values {
		x := float64(v)
		switch {
		case x != x:
			p.nan++
			continue
		case math.IsInf(x, 0):
			p.inf++
			continue
		case x == 0:
			p.zero++
		}
		p.low, p.high = min(p.low, x), max(p.high, x)
		sum += x
		squares += x * x
	}
	p.sum += sum
	p.squares += squares
	return squares
}
