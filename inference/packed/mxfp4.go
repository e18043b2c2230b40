package packed

import (
	"github.com/carat-hub/carat/inference/tensor"
)

// mxfp4 is the layout of gpt-oss: blocks of 32 elements in 16 bytes, the first of two elements in a byte's lower half, and the
// exponents of the blocks in a tensor of their own.
type mxfp4 struct {
	cols   int
	blocks []byte // {…, cols/32, 16}
	scales []byte // {…, cols/32}
}

// newMXFP4 makes a stack of matrices of the tensors blocks, {…, rows, cols/32, 16}, and scales, {…, rows, cols/32}.
func newMXFP4(blocks, scales Tensor) (*Matrix, error) {
	n := len(blocks.Shape)
	if n < 3 || blocks.Shape[n-1] != 16 {
		return nil, malformed(blocks.Name, "shape %v is not of blocks of 16 bytes", blocks.Shape)
	}
	if err := blocks.of(tensor.U8); err != nil {
		return nil, err
	}
	if err := scales.want(blocks.Shape[:n-1], tensor.U8); err != nil {
		return nil, err
	}
	shape := append([]int(nil), blocks.Shape[:n-1]...)
	shape[n-2] *= 32
	return newMatrix(&mxfp4{shape[n-2], blocks.Data, scales.Data}, shape...), nil
}

func (m *mxfp4) decode(dst []float32, first, count int) {
	var block [17]byte
	for b := first * m.cols / 32; len(dst) >= 32; b++ {
		// GGUF's block has the exponent in front and the elements of its halves together.
		block[0] = m.scales[b]
		from := m.blocks[16*b : 16*b+16]
		for i := range 8 {
			low, high := from[i], from[i+8]
			block[1+2*i] = low&15 | high<<4
			block[2+2*i] = low>>4 | high&0xf0
		}
		_ = tensor.Decode(tensor.MXFP4, dst[:32], block[:]) // the lengths fit
		dst = dst[32:]
	}
}
