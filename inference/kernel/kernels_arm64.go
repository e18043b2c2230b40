//go:build !purego

package kernel

import (
	"golang.org/x/sys/cpu"

	"github.com/carat-hub/carat/inference/tensor"
)

// vectorEngines returns what this processor can run, the fastest last. Every one has NEON.
func vectorEngines() []engine {
	engines := []engine{&neon}
	if cpu.ARM64.HasASIMDDP {
		engines = append(engines, &neonDot)
	}
	return engines
}

var neon = vector{
	needs: "NEON", lanes: 16, reduce: reduceNEON, blocks: blocksNEON,
	f32:  tiles{tileF32x4NEON, tileF32x1NEON},
	f16:  tiles{tileF16x4NEON, tileF16x1NEON},
	bf16: tiles{tileBF16x4NEON, tileBF16x1NEON},

	panels: []panelFunc{panelx1, panelx2, panelx3, panelx4, panelx5, panelx6},
	mixers: []mixer{{64, mixx8}, {8, mixx1}},

	elementwise: []elementwise{{8, largestOf, expOf, swiglu, gelu, geluTanh}},
}

// neonDot multiplies bytes with the instructions for dot products.
var neonDot = vector{
	needs: "NEON with dot products", lanes: neon.lanes, reduce: neon.reduce, blocks: blocksDot,
	f32: neon.f32, f16: neon.f16, bf16: neon.bf16, panels: neon.panels, mixers: neon.mixers, elementwise: neon.elementwise,
}

var blocksNEON = map[tensor.Type]block{
	tensor.Q4_0:  {true, dotQ4_0NEON, decodeQ4_0},
	tensor.Q4_1:  {true, dotQ4_1NEON, decodeQ4_1},
	tensor.Q5_0:  {true, dotQ5_0NEON, decodeQ5_0},
	tensor.Q5_1:  {true, dotQ5_1NEON, decodeQ5_1},
	tensor.Q8_0:  {true, dotQ8_0NEON, decodeQ8_0},
	tensor.IQ4NL: {true, dotIQ4NLNEON, decodeIQ4NL},
	tensor.MXFP4: {true, dotMXFP4NEON, decodeMXFP4},
	tensor.Q2K:   {false, dotQ2KNEON, decodeQ2K},
	tensor.Q3K:   {false, dotQ3KNEON, decodeQ3K},
	tensor.Q4K:   {true, dotQ4KNEON, decodeQ4K},
	tensor.Q5K:   {true, dotQ5KNEON, decodeQ5K},
	tensor.Q6K:   {false, dotQ6KNEON, decodeQ6K},
	tensor.Q8K:   {true, dotQ8KNEON, decodeQ8K},
	tensor.IQ4XS: {true, dotIQ4XSNEON, decodeIQ4XS},
	tensor.TQ2_0: {true, dotTQ2_0NEON, decodeTQ2_0},
}

var blocksDot = map[tensor.Type]block{
	tensor.Q4_0:   {true, dotQ4_0Dot, decodeQ4_0},
	tensor.Q4_1:   {true, dotQ4_1Dot, decodeQ4_1},
	tensor.Q5_0:   {true, dotQ5_0Dot, decodeQ5_0},
	tensor.Q5_1:   {true, dotQ5_1Dot, decodeQ5_1},
	tensor.Q8_0:   {true, dotQ8_0Dot, decodeQ8_0},
	tensor.IQ4NL:  {true, dotIQ4NLDot, decodeIQ4NL},
	tensor.MXFP4:  {true, dotMXFP4Dot, decodeMXFP4},
	tensor.Q2K:    {false, dotQ2KDot, decodeQ2K},
	tensor.Q3K:    {false, dotQ3KDot, decodeQ3K},
	tensor.Q4K:    {true, dotQ4KDot, decodeQ4K},
	tensor.Q5K:    {true, dotQ5KDot, decodeQ5K},
	tensor.Q6K:    {false, dotQ6KDot, decodeQ6K},
	tensor.Q8K:    {true, dotQ8KDot, decodeQ8K},
	tensor.IQ4XS:  {true, dotIQ4XSDot, decodeIQ4XS},
	tensor.TQ2_0:  {true, dotTQ2_0Dot, decodeTQ2_0},
	tensor.IQ1S:   {true, dotIQ1SDot, decodeIQ1S},
	tensor.IQ1M:   {false, dotIQ1MDot, decodeIQ1M},
	tensor.IQ2XXS: {true, dotIQ2XXSDot, decodeIQ2XXS},
	tensor.IQ2XS:  {false, dotIQ2XSDot, decodeIQ2XS},
	tensor.IQ2S:   {false, dotIQ2SDot, decodeIQ2S},
	tensor.IQ3XXS: {true, dotIQ3XXSDot, decodeIQ3XXS},
	tensor.IQ3S:   {true, dotIQ3SDot, decodeIQ3S},
	tensor.TQ1_0:  {true, dotTQ1_0Dot, decodeTQ1_0},
	tensor.Q1_0:   {true, dotQ1_0Dot, decodeQ1_0},
	tensor.Q2_0:   {true, dotQ2_0Dot, decodeQ2_0},
	tensor.NVFP4:  {false, dotNVFP4Dot, decodeNVFP4},
}
