//go:build (amd64 || arm64) && !purego

package kernel

import (
	"sync"

	"github.com/carat-hub/carat/inference/tensor"
)

// The grids that kernels look points up in. They are filled before the first kernel that reads them is called.
var (
	gridIQ1    [2048 * 8]int8 // times 8, so that an eighth can be added
	gridIQ2XXS [256 * 8]int8
	gridIQ2XS  [512 * 8]int8
	gridIQ2S   [1024 * 8]int8
	gridIQ3XXS [256 * 4]int8
	gridIQ3S   [512 * 4]int8
)

// grids fill what the kernels of a type read.
var grids = map[tensor.Type]func(){
	tensor.IQ1S:   fillIQ1,
	tensor.IQ1M:   fillIQ1,
	tensor.IQ2XXS: filling(tensor.IQ2XXS, gridIQ2XXS[:], 1),
	tensor.IQ2XS:  filling(tensor.IQ2XS, gridIQ2XS[:], 1),
	tensor.IQ2S:   filling(tensor.IQ2S, gridIQ2S[:], 1),
	tensor.IQ3XXS: filling(tensor.IQ3XXS, gridIQ3XXS[:], 1),
	tensor.IQ3S:   filling(tensor.IQ3S, gridIQ3S[:], 1),
}

var fillIQ1 = filling(tensor.IQ1S, gridIQ1[:], 8)

// filling returns a function that copies the grid of a type, times a factor, once.
func filling(t tensor.Type, to []int8, factor int8) func() {
	return sync.OnceFunc(func() {
		points := tensor.Grid(t)
		if len(points) != len(to) {
			panic("kernel: a grid of another length than its points: " + t.String())
		}
		for i, v := range points {
			to[i] = factor * v
		}
	})
}

// fillGrid prepares the kernels of a type.
func fillGrid(t tensor.Type) {
	if fill := grids[t]; fill != nil {
		fill()
	}
}
