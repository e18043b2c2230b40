package packed

import (
	"slices"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/tensor"
)

// scaled is a matrix of 8-bit numbers with a scale for each tile of tileRows x tileCols.
type scaled struct {
	weight             Tensor
	scale              []float32
	cols               int
	tileRows, tileCols int
	across             int // tiles beside each other
}

// byteTypes are the types of elements that need a scale.
var byteTypes = []tensor.Type{tensor.F8E4M3, tensor.F8E5M2, tensor.I8}

// newScaled makes a matrix of weights {rows, cols}, each of which is multiplied by a scale: one for all, one for each row, or,
// when tile is not nil, one for each tile of that many rows and columns, the last of which may be smaller. factor multiplies
// all scales.
func newScaled(weight, scale Tensor, tile []int, factor float32) (*Matrix, error) {
	if len(weight.Shape) != 2 {
		return nil, fault.NewUnsupported("quantization", "scaled tensor %s of %d dimensions", weight.Name, len(weight.Shape))
	}
	if err := weight.of(byteTypes...); err != nil {
		return nil, err
	}
	if err := scale.of(slices.Concat(scaleTypes, []tensor.Type{tensor.F8E8M0})...); err != nil {
		return nil, err
	}
	rows, cols := weight.Shape[0], weight.Shape[1]
	s := &scaled{weight: weight, cols: cols, tileRows: max(rows, 1), tileCols: cols, across: 1}
	switch n := scale.elements(); {
	case tile != nil:
		s.tileRows, s.tileCols = tile[0], tile[1]
		s.across = tiles(cols, tile[1])
		if want := []int{tiles(rows, tile[0]), s.across}; !slices.Equal(scale.Shape, want) {
			return nil, malformed(scale.Name, "shape is %v, tiles of %v want %v", scale.Shape, tile, want)
		}
	case n == rows && (len(scale.Shape) == 1 || len(scale.Shape) == 2 && scale.Shape[1] == 1):
		s.tileRows = 1
	case n != 1:
		return nil, malformed(scale.Name, "shape is %v, which is neither one scale nor one for each of %d rows", scale.Shape, rows)
	}
	var err error
	if s.scale, err = scale.floats(); err != nil {
		return nil, err
	}
	for i := range s.scale {
		s.scale[i] *= factor
	}
	return newMatrix(s, rows, cols), nil
}

// tiles returns how many tiles of a size cover n.
func tiles(n, size int) int { return (n + size - 1) / size }

func (s *scaled) decode(dst []float32, first, count int) {
	for r := first; r < first+count; r++ {
		row := dst[(r-first)*s.cols : (r-first+1)*s.cols]
		// Type and length have been checked, so that there is no error.
		_ = tensor.Decode(s.weight.Type, row, s.weight.Data[r*s.cols:(r+1)*s.cols])
		for tile := 0; len(row) > 0; tile++ {
			n := min(s.tileCols, len(row))
			scale := s.scale[r/s.tileRows*s.across+tile]
			for i := range row[:n] {
				row[i] *= scale
			}
			row = row[n:]
		}
	}
}
