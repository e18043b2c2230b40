//go:build !purego

package kernel

import (
	"maps"

	"github.com/carat-hub/carat/inference/tensor"
)

// The engines for processors with instructions for dot products of bytes (VNNI) differ from those without by the kernels for them.
var (
	avx2VNNI   = avx2.with("AVX2 with VNNI", dotsAVXVNNI)
	avx512VNNI = avx512.with("AVX-512 with VNNI", dotsAVX512VNNI)
)

// with returns an engine that takes another kernel for the products of each of the types.
func (e vector) with(needs string, dots map[tensor.Type]dotFunc) vector {
	e.needs, e.blocks = needs, maps.Clone(e.blocks)
	for t, dot := range dots {
		b, ok := e.blocks[t]
		if !ok {
			b = rareBlocks[t]
		}
		b.dot = dot
		e.blocks[t] = b
	}
	return e
}

var dotsAVXVNNI = map[tensor.Type]dotFunc{
	tensor.Q4_0:   dotQ4_0AVXVNNI,
	tensor.Q4_1:   dotQ4_1AVXVNNI,
	tensor.Q5_0:   dotQ5_0AVXVNNI,
	tensor.Q5_1:   dotQ5_1AVXVNNI,
	tensor.Q8_0:   dotQ8_0AVXVNNI,
	tensor.IQ4NL:  dotIQ4NLAVXVNNI,
	tensor.MXFP4:  dotMXFP4AVXVNNI,
	tensor.Q2K:    dotQ2KAVXVNNI,
	tensor.Q3K:    dotQ3KAVXVNNI,
	tensor.Q4K:    dotQ4KAVXVNNI,
	tensor.Q5K:    dotQ5KAVXVNNI,
	tensor.Q6K:    dotQ6KAVXVNNI,
	tensor.Q8K:    dotQ8KAVXVNNI,
	tensor.IQ4XS:  dotIQ4XSAVXVNNI,
	tensor.TQ2_0:  dotTQ2_0AVXVNNI,
	tensor.IQ1S:   dotIQ1SAVXVNNI,
	tensor.IQ1M:   dotIQ1MAVXVNNI,
	tensor.IQ2XXS: dotIQ2XXSAVXVNNI,
	tensor.IQ2XS:  dotIQ2XSAVXVNNI,
	tensor.IQ2S:   dotIQ2SAVXVNNI,
	tensor.IQ3XXS: dotIQ3XXSAVXVNNI,
	tensor.IQ3S:   dotIQ3SAVXVNNI,
	tensor.TQ1_0:  dotTQ1_0AVXVNNI,
	tensor.Q1_0:   dotQ1_0AVXVNNI,
	tensor.Q2_0:   dotQ2_0AVXVNNI,
	tensor.NVFP4:  dotNVFP4AVXVNNI,
}

var dotsAVX512VNNI = map[tensor.Type]dotFunc{
	tensor.Q4_0:   dotQ4_0AVX512VNNI,
	tensor.Q4_1:   dotQ4_1AVX512VNNI,
	tensor.Q5_0:   dotQ5_0AVX512VNNI,
	tensor.Q5_1:   dotQ5_1AVX512VNNI,
	tensor.Q8_0:   dotQ8_0AVX512VNNI,
	tensor.IQ4NL:  dotIQ4NLAVX512VNNI,
	tensor.MXFP4:  dotMXFP4AVX512VNNI,
	tensor.Q2K:    dotQ2KAVX512VNNI,
	tensor.Q3K:    dotQ3KAVX512VNNI,
	tensor.Q4K:    dotQ4KAVX512VNNI,
	tensor.Q5K:    dotQ5KAVX512VNNI,
	tensor.Q6K:    dotQ6KAVX512VNNI,
	tensor.Q8K:    dotQ8KAVX512VNNI,
	tensor.IQ4XS:  dotIQ4XSAVX512VNNI,
	tensor.TQ2_0:  dotTQ2_0AVX512VNNI,
	tensor.IQ1S:   dotIQ1SAVX512VNNI,
	tensor.IQ1M:   dotIQ1MAVX512VNNI,
	tensor.IQ2XXS: dotIQ2XXSAVX512VNNI,
	tensor.IQ2XS:  dotIQ2XSAVX512VNNI,
	tensor.IQ2S:   dotIQ2SAVX512VNNI,
	tensor.IQ3XXS: dotIQ3XXSAVX512VNNI,
	tensor.IQ3S:   dotIQ3SAVX512VNNI,
	tensor.TQ1_0:  dotTQ1_0AVX512VNNI,
	tensor.Q1_0:   dotQ1_0AVX512VNNI,
	tensor.Q2_0:   dotQ2_0AVX512VNNI,
	tensor.NVFP4:  dotNVFP4AVX512VNNI,
}
