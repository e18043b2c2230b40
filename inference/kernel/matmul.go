package kernel

import (
	"fmt"
	"io"
	"runtime/debug"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/tensor"
)

// Matrix is a weight matrix of Rows rows of Cols elements, encoded as Type. Its bytes stay where they are: in mapped memory, or
// in a file that is read a row at a time.
type Matrix struct {
	Type       tensor.Type
	Rows, Cols int
	// Scale multiplies every product with the matrix; NewMatrix and NewFileMatrix set it to 1.
	Scale float32

	rowBytes int
	data     []byte // nil when the rows are read from r
	r        io.ReaderAt
	off      int64
}

// NewMatrix describes a matrix of which data holds exactly the bytes. It returns a *fault.Unsupported for a type that cannot be
// run, and an error when shape and length do not agree.
func NewMatrix(t tensor.Type, rows, cols int, data []byte) (*Matrix, error) {
	m, err := newMatrix(t, rows, cols, int64(len(data)))
	if err != nil {
		return nil, err
	}
	m.data = data
	return m, nil
}

// NewFileMatrix describes a matrix whose size bytes lie in r from off on. Errors are as for NewMatrix.
func NewFileMatrix(t tensor.Type, rows, cols int, r io.ReaderAt, off, size int64) (*Matrix, error) {
	m, err := newMatrix(t, rows, cols, size)
	if err != nil {
		return nil, err
	}
	m.r, m.off = r, off
	return m, nil
}

func newMatrix(t tensor.Type, rows, cols int, size int64) (*Matrix, error) {
	if !t.Runnable() {
		return nil, fault.NewUnsupported("tensor type", "%s has no kernel yet", t)
	}
	rowBytes, ok := t.Size(int64(cols))
	if !ok || rows <= 0 || cols <= 0 || size%rowBytes != 0 || size/rowBytes != int64(rows) {
		return nil, fmt.Errorf("matrix of %d x %d %s in %d bytes", rows, cols, t, size)
	}
	return &Matrix{Type: t, Rows: rows, Cols: cols, Scale: 1, rowBytes: int(rowBytes)}, nil
}

// Row decodes row i into dst, which has Cols elements. A fault on a mapped file that was cut short is returned as an error.
func (m *Matrix) Row(i int, dst []float32) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer guard(&err)
	if i < 0 || i >= m.Rows || len(dst) != m.Cols {
		return fmt.Errorf("row %d into %d elements of a %d x %d matrix", i, len(dst), m.Rows, m.Cols)
	}
	var buf []byte
	b, err := m.rows(i, 1, &buf)
	if err != nil {
		return err
	}
	return tensor.Decode(m.Type, dst, b)
}

// rows returns count encoded rows from i on. buf is used, and grown when it is too small, only if the matrix is not in memory.
func (m *Matrix) rows(i, count int, buf *[]byte) ([]byte, error) {
	if m.data != nil {
		return m.data[i*m.rowBytes : (i+count)*m.rowBytes], nil
	}
	b := grow(buf, count*m.rowBytes)
	if n, err := m.r.ReadAt(b, m.off+int64(i)*int64(m.rowBytes)); n < len(b) {
		return nil, fmt.Errorf("read weights: %w", err)
	}
	return b, nil
}

// Product computes matrix products on a pool. It keeps its scratch memory between calls and belongs to one goroutine.
type Product struct {
	pool    *Pool
	engine  engine
	scratch []scratch // of each worker

	terms []Term
	x     []float32
	n     int

	integers activations // of x, for the types that want that
}

// Term is one of several products with the same vectors: Y[i*Matrix.Rows+r] is set to the dot product of row r of Matrix and the
// i-th vector, times Matrix.Scale, plus Bias[r] when Bias is not nil.
type Term struct {
	Matrix  *Matrix
	Bias, Y []float32
}

// NewProduct returns a Product that runs on p.
func NewProduct(p *Pool) *Product { return newProduct(p, best) }

func newProduct(pool *Pool, e engine) *Product {
	return &Product{pool: pool, engine: e, scratch: make([]scratch, pool.Threads())}
}

const (
	// unitRows is how many rows of a matrix are computed together.
	unitRows = 16
	// fewVectors is up to which number of vectors it is faster to multiply each with encoded rows than to decode those.
	fewVectors = 4
)

// Mul computes one product with the n vectors of m.Cols elements in x.
func (p *Product) Mul(m *Matrix, bias, x []float32, n int, y []float32) error {
	return p.MulAll(x, n, Term{m, bias, y})
}

// MulAll computes products with the n vectors in x at once, which costs less than one after the other. All matrices have as many
// columns as a vector has elements. A few vectors and block types are multiplied as integers, x with 8 bits.
func (p *Product) MulAll(x []float32, n int, terms ...Term) error {
	if n <= 0 || len(terms) == 0 {
		return nil
	}
	cols := terms[0].Matrix.Cols
	units, integers := 0, false
	for _, t := range terms {
		m := t.Matrix
		if m.Cols != cols || len(x) < n*cols || len(t.Y) < n*m.Rows || t.Bias != nil && len(t.Bias) != m.Rows {
			return fmt.Errorf("multiply %d x %d by %d vectors in %d elements into %d", m.Rows, m.Cols, n, len(x), len(t.Y))
		}
		units += m.units()
		integers = integers || integer(m.Type)
	}
	p.terms, p.x, p.n = append(p.terms[:0], terms...), x[:n*cols], n
	if n <= fewVectors && integers {
		p.integers.resize(len(p.x))
		p.engine.quantize(p.x, p.integers)
	}
	return p.pool.Run(p, units)
}

// units is how many units of rows a matrix has.
func (m *Matrix) units() int { return (m.Rows + unitRows - 1) / unitRows }

// Do computes the units lo to hi-1 of output rows of all terms; it is there for the pool.
func (p *Product) Do(worker, lo, hi int) error {
	s := &p.scratch[worker]
	for i := range p.terms {
		t := &p.terms[i]
		units := t.Matrix.units()
		for unit := max(lo, 0); unit < min(hi, units); unit++ {
			if err := p.rows(t, unit*unitRows, s); err != nil {
				return err
			}
		}
		lo, hi = lo-units, hi-units
	}
	return nil
}

// rows computes a unit of rows from top on.
func (p *Product) rows(t *Term, top int, s *scratch) error {
	m := t.Matrix
	rows := min(unitRows, m.Rows-top)
	w, err := m.rows(top, rows, &s.raw)
	if err != nil {
		return err
	}
	out := grow(&s.out, rows*p.n)
	if err := p.unit(m, w, rows, out, s); err != nil {
		return err
	}
	for i := range p.n {
		y, sums := t.Y[i*m.Rows+top:][:rows], out[i*rows:][:rows]
		for r, sum := range sums {
			y[r] = sum * m.Scale
		}
		if t.Bias != nil {
			Add(y, t.Bias[top:top+rows])
		}
	}
	return nil
}

// unit sets out, {n, rows}, to the products with the rows in w.
func (p *Product) unit(m *Matrix, w []byte, rows int, out []float32, s *scratch) error {
	if p.n <= fewVectors {
		for i := range p.n {
			switch to := out[i*rows : (i+1)*rows]; {
			case integer(m.Type):
				p.engine.integerDots(m.Type, w, p.integers.slice(i*m.Cols, (i+1)*m.Cols), to, s)
			case !p.engine.dots(m.Type, w, p.x[i*m.Cols:(i+1)*m.Cols], to, s):
				return p.engine.products(m.Type, w, rows, p.x, p.n, out, s)
			}
		}
		return nil
	}
	return p.engine.products(m.Type, w, rows, p.x, p.n, out, s)
}
