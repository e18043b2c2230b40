package packed

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/tensor"
)

// fourBit is the layout of bitsandbytes for NF4 and FP4: the elements in order, two to a byte, the first in its upper half, as
// indices of a table whose values are multiplied by the largest magnitude of their block.
type fourBit struct {
	cols, size int // of a row, of a block
	weight     []byte
	table      [16]float32
	largest    Tensor // of each block
	// nested is nil unless the magnitudes are 8-bit indices of a table themselves, in blocks with magnitudes of their own.
	nested *nested
}

type nested struct {
	size    int
	table   []float32
	largest []float32
	offset  float32
}

// quantState is the JSON document that bitsandbytes stores as a tensor beside each matrix.
type quantState struct {
	Type         string  `json:"quant_type"`
	Block        int     `json:"blocksize"`
	Shape        []int   `json:"shape"`
	NestedBlock  int     `json:"nested_blocksize"`
	NestedOffset float32 `json:"nested_offset"`
}

// maxQuantState bounds that document.
const maxQuantState = 4096

// fourBitParts are the tensors of one matrix; those of a nested quantization have no names without it.
type fourBitParts struct {
	weight, largest, table, state, nestedLargest, nestedTable Tensor
}

// newFourBit makes a matrix of the shape that the state tells. Without data the shape stays open.
func newFourBit(p fourBitParts) (*Matrix, error) {
	if err := p.table.want([]int{16}, tensor.F32); err != nil {
		return nil, err
	}
	// The bytes of the elements can be stored as if they were of another type.
	if err := p.weight.of(slices.Concat(scaleTypes, []tensor.Type{tensor.U8, tensor.I8})...); err != nil {
		return nil, err
	}
	if err := p.state.want([]int{p.state.elements()}, tensor.U8); err != nil {
		return nil, err
	}
	if n := p.state.elements(); n > maxQuantState {
		return nil, malformed(p.state.Name, "%d bytes exceed the limit of %d", n, maxQuantState)
	}
	isNested := p.nestedLargest.Name != ""
	if isNested {
		if err := p.nestedTable.want([]int{256}, tensor.F32); err != nil {
			return nil, err
		}
		if err := p.nestedLargest.of(tensor.F32); err != nil {
			return nil, err
		}
		if err := p.largest.of(tensor.U8); err != nil {
			return nil, err
		}
	} else if err := p.largest.of(tensor.F32); err != nil {
		return nil, err
	}
	if p.weight.Data == nil {
		return &Matrix{}, nil
	}
	var s quantState
	if err := json.Unmarshal(bytes.TrimRight(p.state.Data, "\x00"), &s); err != nil {
		return nil, malformed(p.state.Name, "%v", err)
	}
	elements, ok := tensor.Elements(s.Shape)
	switch {
	case s.Type != "nf4" && s.Type != "fp4":
		return nil, fault.NewUnsupported("quantization", "%.40q of bitsandbytes", s.Type)
	case len(s.Shape) != 2 || !ok || elements/2+elements%2 != int64(len(p.weight.Data)):
		return nil, malformed(p.state.Name, "shape %v in %d bytes", s.Shape, len(p.weight.Data))
	case s.Block < 1 || p.largest.elements() != tiles(int(elements), s.Block):
		return nil, malformed(p.largest.Name, "%d magnitudes, %d elements in blocks of %d", p.largest.elements(), elements, s.Block)
	case isNested && (s.NestedBlock < 1 || p.nestedLargest.elements() != tiles(p.largest.elements(), s.NestedBlock)):
		return nil, malformed(p.nestedLargest.Name, "%d magnitudes for blocks of %d", p.nestedLargest.elements(), s.NestedBlock)
	}
	f := &fourBit{cols: s.Shape[1], size: s.Block, weight: p.weight.Data, largest: p.largest}
	table, err := p.table.floats()
	if err != nil {
		return nil, err
	}
	copy(f.table[:], table)
	if isNested {
		f.nested = &nested{size: s.NestedBlock, offset: s.NestedOffset}
		if f.nested.table, err = p.nestedTable.floats(); err != nil {
			return nil, err
		}
		if f.nested.largest, err = p.nestedLargest.floats(); err != nil {
			return nil, fmt.Errorf("nested magnitudes: %w", err)
		}
	}
	return newMatrix(f, s.Shape...), nil
}

func (f *fourBit) decode(dst []float32, first, count int) {
	at := first * f.cols
	for len(dst) > 0 {
		n := min(f.size-at%f.size, len(dst))
		largest := f.magnitude(at / f.size)
		for i := range dst[:n] {
			b := f.weight[(at+i)/2]
			if (at+i)%2 == 0 {
				b >>= 4
			}
			dst[i] = f.table[b&15] * largest
		}
		dst, at = dst[n:], at+n
	}
}

// magnitude returns the largest magnitude of a block.
func (f *fourBit) magnitude(block int) float32 {
	if n := f.nested; n != nil {
		return n.table[f.largest.Data[block]]*n.largest[block/n.size] + n.offset
	}
	return element(tensor.F32, f.largest.Data, block)
}
