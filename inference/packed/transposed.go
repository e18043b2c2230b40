package packed

import "github.com/carat-hub/carat/inference/tensor"

// transposed is a stack of matrices that are stored with their inputs first, of one of the types of scales.
type transposed struct {
	t       Tensor // {…, in, out}
	in, out int
}

// Transposed makes a stack of matrices {…, outputs, inputs} of a tensor {…, inputs, outputs} of 16-bit or 32-bit
// floating-point numbers. It returns a *fault.Malformed for others.
func Transposed(t Tensor) (*Matrix, error) {
	n := len(t.Shape)
	if n < 2 {
		return nil, malformed(t.Name, "shape %v is of no matrix", t.Shape)
	}
	if err := t.of(scaleTypes...); err != nil {
		return nil, err
	}
	shape := append([]int(nil), t.Shape...)
	shape[n-2], shape[n-1] = t.Shape[n-1], t.Shape[n-2]
	return newMatrix(&transposed{t, shape[n-1], shape[n-2]}, shape...), nil
}

func (m *transposed) decode(dst []float32, first, count int) {
	size, _ := m.t.Type.Size(1)
	width := int(size)
	var v [chunk]float32
	for count > 0 {
		one, out := first/m.out, first%m.out
		n := min(count, m.out-out, chunk)
		at := (one*m.in*m.out + out) * width
		for i := range m.in {
			from := m.t.Data[at+i*m.out*width:][:n*width]
			_ = tensor.Decode(m.t.Type, v[:n], from) // the lengths fit
			for r := range n {
				dst[r*m.in+i] = v[r]
			}
		}
		dst, first, count = dst[n*m.in:], first+n, count-n
	}
}
