//go:build !purego

package kernel

import "github.com/carat-hub/carat/inference/tensor"

// rareBlocks are for all engines that have nothing better for a type.
var rareBlocks = map[tensor.Type]block{
	tensor.IQ1S:   {true, dotIQ1SAVX2, decodeIQ1S},
	tensor.IQ1M:   {false, dotIQ1MAVX2, decodeIQ1M},
	tensor.IQ2XXS: {true, dotIQ2XXSAVX2, decodeIQ2XXS},
	tensor.IQ2XS:  {false, dotIQ2XSAVX2, decodeIQ2XS},
	tensor.IQ2S:   {false, dotIQ2SAVX2, decodeIQ2S},
	tensor.IQ3XXS: {true, dotIQ3XXSAVX2, decodeIQ3XXS},
	tensor.IQ3S:   {true, dotIQ3SAVX2, decodeIQ3S},
	tensor.TQ1_0:  {true, dotTQ1_0AVX2, decodeTQ1_0},
	tensor.Q1_0:   {true, dotQ1_0AVX2, decodeQ1_0},
	tensor.Q2_0:   {true, dotQ2_0AVX2, decodeQ2_0},
	tensor.NVFP4:  {false, dotNVFP4AVX2, decodeNVFP4},
}
