package packed

import (
	"encoding/binary"

	"github.com/carat-hub/carat/inference/tensor"
)

// words is the layout pack-quantized of compressed-tensors: the integers of a row fill words from the lowest bits on, and a
// group of a row's neighbouring integers, or all of them, has a scale.
type words struct {
	bits, cols, across int // across words make a row
	size, groups       int // inputs of a group, groups of a row
	weight             []byte
	scale              Tensor // {rows, groups}
	zeros              []byte // {rows/each, groups} words, which hold the zero points of neighbouring rows; nil without
}

type wordParts struct{ weight, scale, shape, zeros, index Tensor }

// newWords makes a matrix. Its shape is a tensor, without the data of which it stays open.
func newWords(p wordParts, bits int) (*Matrix, error) {
	if p.index.Name != "" {
		return nil, unsupported("compressed-tensors with groups in another order than the inputs")
	}
	if err := p.weight.of(tensor.I32); err != nil {
		return nil, err
	}
	if err := p.shape.want([]int{2}, tensor.I32, tensor.I64); err != nil {
		return nil, err
	}
	if len(p.weight.Shape) != 2 || len(p.scale.Shape) != 2 || p.scale.Shape[1] < 1 {
		return nil, malformed(p.weight.Name, "shapes %v and %v are no weights with scales", p.weight.Shape, p.scale.Shape)
	}
	each := 32 / bits
	rows, w := p.weight.Shape[0], &words{
		bits: bits, across: p.weight.Shape[1], groups: p.scale.Shape[1], weight: p.weight.Data, scale: p.scale, zeros: p.zeros.Data,
	}
	if err := p.scale.want([]int{rows, w.groups}, scaleTypes...); err != nil {
		return nil, err
	}
	if p.zeros.Name != "" {
		if err := p.zeros.want([]int{tiles(rows, each), w.groups}, tensor.I32); err != nil {
			return nil, err
		}
	}
	if p.weight.Data == nil {
		return &Matrix{}, nil
	}
	shape := [2]uint64{}
	for i := range shape {
		if shape[i] = uint64(word(p.shape.Data, i)); p.shape.Type == tensor.I64 {
			shape[i] = binary.LittleEndian.Uint64(p.shape.Data[8*i:])
		}
	}
	if shape[0] != uint64(rows) || shape[1] > uint64(w.across*each) || tiles(int(shape[1]), each) != w.across {
		return nil, malformed(p.shape.Name, "shape is %v, the weights have %d rows of %d words", shape, rows, w.across)
	}
	w.cols = int(shape[1])
	if w.size = w.cols / w.groups; w.size*w.groups != w.cols {
		return nil, malformed(p.scale.Name, "%d inputs do not make %d groups", w.cols, w.groups)
	}
	return newMatrix(w, rows, w.cols), nil
}

func (w *words) decode(dst []float32, first, count int) {
	each, mask := 32/w.bits, uint32(1)<<w.bits-1
	for r := first; r < first+count; r++ {
		row := dst[(r-first)*w.cols : (r-first+1)*w.cols]
		for g := range w.groups {
			zero := float32(int32(1) << (w.bits - 1))
			if w.zeros != nil {
				zero = float32(word(w.zeros, r/each*w.groups+g) >> (r % each * w.bits) & mask)
			}
			scale := element(w.scale.Type, w.scale.Data, r*w.groups+g)
			for i := g * w.size; i < (g+1)*w.size; i++ {
				q := word(w.weight, r*w.across+i/each) >> (i % each * w.bits) & mask
				row[i] = scale * (float32(int32(q)) - zero)
			}
		}
	}
}
