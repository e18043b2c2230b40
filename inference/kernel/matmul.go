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

	m    *Matrix
	bias []float32
	x, y []float32
	n    int

	integers activations // of x, for the types that want that
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

// Mul sets y[i*m.Rows+r] to the dot product of row r of m and x[i*m.Cols:(i+1)*m.Cols], times m.Scale, plus bias[r] when bias is not nil,
// for i from 0 to n-1. A few vectors and block types are multiplied as integers, x with 8 bits.
func (p *Product) Mul(m *Matrix, bias, x []float32, n int, y []float32) error {
	if len(x) < n*m.Cols || len(y) < n*m.Rows || bias != nil && len(bias) != m.Rows {
		return fmt.Errorf("multiply %d x %d by %d vectors in %d elements into %d", m.Rows, m.Cols, n, len(x), len(y))
	}
	if n <= 0 {
		return nil
	}
	x = x[:n*m.Cols]
	p.m, p.bias, p.x, p.y, p.n = m, bias, x, y, n
	if n <= fewVectors && integer(m.Type) {
		p.integers.resize(len(x))
		p.engine.quantize(x, p.integers)
	}
	return p.pool.Run(p, (m.Rows+unitRows-1)/unitRows)
}

// Do computes the units lo to hi-1 of output rows of Mul; it is there for the pool.
func (p *Product) Do(worker, lo, hi int) error {
	m, s := p.m, &p.scratch[worker]
	for unit := lo; unit < hi; unit++ {
		top := unit * unitRows
		rows := min(unitRows, m.Rows-top)
		w, err := m.rows(top, rows, &s.raw)
		if err != nil {
			return err
		}
		out := grow(&s.out, rows*p.n)
		if err := p.unit(w, rows, out, s); err != nil {
			return err
		}
		for i := range p.n {
			y, sums := p.y[i*m.Rows+top:][:rows], out[i*rows:][:rows]
			for r, sum := range sums {
				y[r] = sum * m.Scale
			}
			if p.bias != nil {
				Add(y, p.bias[top:top+rows])
			}
		}
	}
	return nil
}

// unit sets out, {n, rows}, to the products with the rows in w.
func (p *Product) unit(w []byte, rows int, out []float32, s *scratch) error {
	m := p.m
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
