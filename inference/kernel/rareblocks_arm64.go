//go:build !purego

package kernel

import "github.com/carat-hub/carat/inference/tensor"

// rareBlocks are for all engines that have nothing better for a type.
var rareBlocks = map[tensor.Type]block{
	tensor.IQ1S:   {true, dotIQ1SNEON, decodeIQ1S},
	tensor.IQ1M:   {false, dotIQ1MNEON, decodeIQ1M},
	tensor.IQ2XXS: {true, dotIQ2XXSNEON, decodeIQ2XXS},
	tensor.IQ2XS:  {false, dotIQ2XSNEON, decodeIQ2XS},
	tensor.IQ2S:   {false, dotIQ2SNEON, decodeIQ2S},
	tensor.IQ3XXS: {true, dotIQ3XXSNEON, decodeIQ3XXS},
	tensor.IQ3S:   {true, dotIQ3SNEON, decodeIQ3S},
	tensor.TQ1_0:  {true, dotTQ1_0NEON, decodeTQ1_0},
	tensor.Q1_0:   {true, dotQ1_0NEON, decodeQ1_0},
	tensor.Q2_0:   {true, dotQ2_0NEON, decodeQ2_0},
	tensor.NVFP4:  {false, dotNVFP4NEON, decodeNVFP4},
}
