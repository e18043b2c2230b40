package packed

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/tensor"
)

// Tensor is one stored tensor. Data is nil while only names, types and shapes are looked at.
type Tensor struct {
	Name  string
	Type  tensor.Type
	Shape []int
	Data  []byte
}

// Matrix is a matrix, or a stack of them, in a packed layout. It is safe for use by several goroutines at once.
type Matrix struct {
	// Shape is row-major; the last dimension is a row. It is nil when only the data tells it.
	Shape []int

	cols    int
	decoder decoder
	scratch sync.Pool // of *[]float32
}

// decoder knows one layout.
type decoder interface {
	// decode sets dst, {count, columns}, to rows from first on.
	decode(dst []float32, first, count int)
}

var _ io.ReaderAt = (*Matrix)(nil)

// newMatrix makes a matrix whose rows d decodes.
func newMatrix(d decoder, shape ...int) *Matrix {
	return &Matrix{Shape: shape, cols: shape[len(shape)-1], decoder: d}
}

// chunk is how many rows are decoded at once: as many as a kernel asks for, so that layouts with other rows interleaved are
// read once.
const chunk = 8

// Size returns the bytes of the matrix as ReadAt gives it.
func (m *Matrix) Size() int64 {
	n, _ := tensor.Elements(m.Shape)
	return 4 * n
}

// ReadAt reads the matrix as if it were stored as little-endian float32, row after row. It reads whole rows: offset and length
// are multiples of what a row takes. It returns io.EOF beyond the last row.
func (m *Matrix) ReadAt(b []byte, off int64) (int, error) {
	row := 4 * m.cols
	if row == 0 || off < 0 || off%int64(row) != 0 || len(b)%row != 0 {
		return 0, fmt.Errorf("read %d bytes at %d of rows of %d", len(b), off, row)
	}
	if off+int64(len(b)) > m.Size() {
		return 0, io.EOF
	}
	held, _ := m.scratch.Get().(*[]float32)
	if held == nil {
		v := make([]float32, chunk*m.cols)
		held = &v
	}
	defer m.scratch.Put(held)
	first := int(off / int64(row))
	for done := 0; done < len(b); {
		count := min(chunk, (len(b)-done)/row)
		v := (*held)[:count*m.cols]
		m.decoder.decode(v, first, count)
		encode(b[done:done+count*row], v)
		first, done = first+count, done+count*row
	}
	return len(b), nil
}

// encode writes v as little-endian float32.
func encode(to []byte, v []float32) {
	for ; len(v) >= 4 && len(to) >= 16; v, to = v[4:], to[16:] {
		x, b := (*[4]float32)(v), (*[16]byte)(to)
		binary.LittleEndian.PutUint32(b[:], math.Float32bits(x[0]))
		binary.LittleEndian.PutUint32(b[4:], math.Float32bits(x[1]))
		binary.LittleEndian.PutUint32(b[8:], math.Float32bits(x[2]))
		binary.LittleEndian.PutUint32(b[12:], math.Float32bits(x[3]))
	}
	for i, x := range v {
		binary.LittleEndian.PutUint32(to[4*i:], math.Float32bits(x))
	}
}

// Rows returns the matrix of every step-th row of m from first on, as a stack of matrices where m is one. first is less than
// step, and the rows of each matrix in m are a multiple of it.
func (m *Matrix) Rows(first, step int) *Matrix {
	shape := append([]int(nil), m.Shape...)
	shape[len(shape)-2] /= step
	return newMatrix(&skipping{m.decoder, m.cols, first, step}, shape...)
}

// skipping decodes every step-th row.
type skipping struct {
	of                decoder
	cols, first, step int
}

func (s *skipping) decode(dst []float32, first, count int) {
	for i := range count {
		s.of.decode(dst[i*s.cols:(i+1)*s.cols], s.first+(first+i)*s.step, 1)
	}
}

func malformed(where, format string, args ...any) error {
	return &fault.Malformed{Format: "safetensors", Where: where, Offset: -1, Reason: fmt.Sprintf(format, args...)}
}

// want checks the type and shape of a tensor.
func (t Tensor) want(shape []int, types ...tensor.Type) error {
	same := len(t.Shape) == len(shape)
	for i := 0; same && i < len(shape); i++ {
		same = t.Shape[i] == shape[i]
	}
	if !same {
		return malformed(t.Name, "shape is %v, its layout wants %v", t.Shape, shape)
	}
	return t.of(types...)
}

// of checks the type of a tensor.
func (t Tensor) of(types ...tensor.Type) error {
	for _, typ := range types {
		if t.Type == typ {
			return nil
		}
	}
	return malformed(t.Name, "elements are %s, its layout wants %v", t.Type, types)
}

// elements returns how many elements a tensor has. The reader of the file has checked that they fit.
func (t Tensor) elements() int {
	n, _ := tensor.Elements(t.Shape)
	return int(n)
}

// floats decodes a small tensor.
func (t Tensor) floats() ([]float32, error) {
	if t.Data == nil {
		return nil, nil
	}
	v := make([]float32, t.elements())
	if err := tensor.Decode(t.Type, v, t.Data); err != nil {
		return nil, fmt.Errorf("tensor %s: %w", t.Name, err)
	}
	return v, nil
}

// word returns the i-th little-endian 32-bit integer.
func word(b []byte, i int) uint32 { return binary.LittleEndian.Uint32(b[4*i:]) }

// element returns the i-th element of one of the types that scales have.
func element(t tensor.Type, b []byte, i int) float32 {
	switch t {
	case tensor.F16:
		return tensor.HalfTable()[binary.LittleEndian.Uint16(b[2*i:])]
	case tensor.BF16:
		return math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[2*i:])) << 16)
	}
	return math.Float32frombits(word(b, i))
}

// scaleTypes are the types of scales.
var scaleTypes = []tensor.Type{tensor.F16, tensor.BF16, tensor.F32}
