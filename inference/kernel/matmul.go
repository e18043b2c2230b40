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

// row returns the encoded row i. buf is used, and grown when it is too small, only if the matrix is not in memory.
func (m *Matrix) row(i int, buf *[]byte) ([]byte, error) {
	if m.data != nil {
		return m.data[i*m.rowBytes : (i+1)*m.rowBytes], nil
	}
	if cap(*buf) < m.rowBytes {
		*buf = make([]byte, m.rowBytes)
	}
	b := (*buf)[:m.rowBytes]
	if n, err := m.r.ReadAt(b, m.off+int64(i)*int64(m.rowBytes)); n < len(b) {
		return nil, fmt.Errorf("read weights: %w", err)
	}
	return b, nil
}

// Row decodes row i into dst, which has Cols elements. A fault on a mapped file that was cut short is returned as an error.
func (m *Matrix) Row(i int, dst []float32) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer guard(&err)
	if i < 0 || i >= m.Rows || len(dst) != m.Cols {
		return fmt.Errorf("row %d into %d elements of a %d x %d matrix", i, len(dst), m.Rows, m.Cols)
	}
	var buf []byte
	b, err := m.row(i, &buf)
	if err != nil {
		return err
	}
	return tensor.Decode(m.Type, dst, b)
}

// Product computes matrix products on a pool. It keeps its scratch memory between calls and belongs to one goroutine.
type Product struct {
	pool    *Pool
	scratch []productScratch // of each worker

	m    *Matrix
	bias []float32
	x, y []float32
	n    int
}

type productScratch struct {
	raw []byte
	row []float32
	_   [64]byte // keeps the workers' slices on cache lines of their own
}

// NewProduct returns a Product that runs on p.
func NewProduct(p *Pool) *Product {
	return &Product{pool: p, scratch: make([]productScratch, p.Threads())}
}

// Mul sets y[i*m.Rows+r] to the dot product of row r of m and x[i*m.Cols:(i+1)*m.Cols], times m.Scale, plus bias[r] when bias is not nil,
// for i from 0 to n-1.
func (p *Product) Mul(m *Matrix, bias, x []float32, n int, y []float32) error {
	if len(x) < n*m.Cols || len(y) < n*m.Rows || bias != nil && len(bias) != m.Rows {
		return fmt.Errorf("multiply %d x %d by %d vectors in %d elements into %d", m.Rows, m.Cols, n, len(x), len(y))
	}
	p.m, p.bias, p.x, p.y, p.n = m, bias, x, y, n
	return p.pool.Run(p, m.Rows)
}

// Do computes the output rows lo to hi-1 of Mul; it is there for the pool.
func (p *Product) Do(worker, lo, hi int) error {
	m, s := p.m, &p.scratch[worker]
	for r := lo; r < hi; r++ {
		b, err := m.row(r, &s.raw)
		if err != nil {
			return err
		}
		bias := float32(0)
		if p.bias != nil {
			bias = p.bias[r]
		}
		if p.n == 1 {
			if sum, ok := dotBytes(m.Type, b, p.x[:m.Cols]); ok {
				p.y[r] = sum*m.Scale + bias
				continue
			}
		}
		if cap(s.row) < m.Cols {
			s.row = make([]float32, m.Cols)
		}
		row := s.row[:m.Cols]
		if err := tensor.Decode(m.Type, row, b); err != nil {
			return err
		}
		for i := range p.n {
			p.y[i*m.Rows+r] = Dot(row, p.x[i*m.Cols:(i+1)*m.Cols])*m.Scale + bias
		}
	}
	return nil
}
