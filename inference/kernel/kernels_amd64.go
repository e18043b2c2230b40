//go:build !purego

package kernel

import (
	"slices"

	"golang.org/x/sys/cpu"

	"github.com/carat-hub/carat/inference/tensor"
)

// vectorEngines returns what this processor can run, the fastest last.
func vectorEngines() []engine {
	var engines []engine
	if x := &cpu.X86; x.HasAVX2 && x.HasFMA && x.HasF16C {
		engines = append(engines, &avx2)
		if x.HasAVXVNNI {
			engines = append(engines, &avx2VNNI)
		}
		if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL {
			engines = append(engines, &avx512)
			if x.HasAVX512VNNI {
				engines = append(engines, &avx512VNNI)
			}
		}
	}
	return engines
}

var avx2 = vector{
	needs: "AVX2", lanes: 8, reduce: reduceAVX2, blocks: blocksAVX2,
	f32:  tiles{tileF32x4AVX2, tileF32x1AVX2},
	f16:  tiles{tileF16x4AVX2, tileF16x1AVX2},
	bf16: tiles{tileBF16x4AVX2, tileBF16x1AVX2},

	panels: []panelFunc{panelx1, panelx2, panelx3, panelx4, panelx5, panelx6},
	mixers: []mixer{{64, mixx8}, {8, mixx1}},

	elementwise: []elementwise{eight},
}

var avx512 = vector{
	needs: "AVX-512", lanes: 16, reduce: reduceAVX512, blocks: blocksAVX2,
	f32:  tiles{tileF32x4AVX512, tileF32x1AVX512},
	f16:  tiles{tileF16x4AVX512, tileF16x1AVX512},
	bf16: tiles{tileBF16x4AVX512, tileBF16x1AVX512},

	panels: []panelFunc{
		panelx1AVX512, panelx2AVX512, panelx3AVX512, panelx4AVX512, panelx5AVX512, panelx6AVX512,
		panelx7AVX512, panelx8AVX512, panelx9AVX512, panelx10AVX512, panelx11AVX512, panelx12AVX512,
	},
	mixers: []mixer{{128, mixx8AVX512}, {64, mixx4AVX512}, {16, mixx1AVX512}, {8, mixx1}},

	elementwise: []elementwise{sixteen, eight},
}

var (
	eight   = elementwise{8, largestOf, expOf, swiglu, gelu, geluTanh}
	sixteen = elementwise{16, largestOf16, expOf16, swigluAVX512, geluAVX512, geluTanhAVX512}
)

// largestOf16 and expOf16 are largestOf and expOf for 16 values at a time.
func largestOf16(x []float32) float32 {
	var lanes [16]float32
	largestAVX512(&x[0], len(x)/16, &lanes[0])
	return slices.Max(lanes[:])
}

func expOf16(x []float32, shift float32) float64 {
	var lanes [16]float32
	expAVX512(&x[0], len(x)/16, shift, &lanes[0])
	return total(lanes[:])
}

var blocksAVX2 = map[tensor.Type]block{
	tensor.Q4_0:  {true, dotQ4_0AVX2, decodeQ4_0},
	tensor.Q4_1:  {true, dotQ4_1AVX2, decodeQ4_1},
	tensor.Q5_0:  {true, dotQ5_0AVX2, decodeQ5_0},
	tensor.Q5_1:  {true, dotQ5_1AVX2, decodeQ5_1},
	tensor.Q8_0:  {true, dotQ8_0AVX2, decodeQ8_0},
	tensor.IQ4NL: {true, dotIQ4NLAVX2, decodeIQ4NL},
	tensor.MXFP4: {true, dotMXFP4AVX2, decodeMXFP4},
	tensor.Q2K:   {false, dotQ2KAVX2, decodeQ2K},
	tensor.Q3K:   {false, dotQ3KAVX2, decodeQ3K},
	tensor.Q4K:   {true, dotQ4KAVX2, decodeQ4K},
	tensor.Q5K:   {true, dotQ5KAVX2, decodeQ5K},
	tensor.Q6K:   {false, dotQ6KAVX2, decodeQ6K},
	tensor.Q8K:   {true, dotQ8KAVX2, decodeQ8K},
	tensor.IQ4XS: {true, dotIQ4XSAVX2, decodeIQ4XS},
	tensor.TQ2_0: {true, dotTQ2_0AVX2, decodeTQ2_0},
}
