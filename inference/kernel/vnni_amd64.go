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
		b := e.blocks[t]
		b.dot = dot
		e.blocks[t] = b
	}
	return e
}

var dotsAVXVNNI = map[tensor.Type]dotFunc{
	tensor.Q4_0:  dotQ4_0AVXVNNI,
	tensor.Q4_1:  dotQ4_1AVXVNNI,
	tensor.Q5_0:  dotQ5_0AVXVNNI,
	tensor.Q5_1:  dotQ5_1AVXVNNI,
	tensor.Q8_0:  dotQ8_0AVXVNNI,
	tensor.IQ4NL: dotIQ4NLAVXVNNI,
	tensor.MXFP4: dotMXFP4AVXVNNI,
	tensor.Q2K:   dotQ2KAVXVNNI,
	tensor.Q3K:   dotQ3KAVXVNNI,
	tensor.Q4K:   dotQ4KAVXVNNI,
	tensor.Q5K:   dotQ5KAVXVNNI,
	tensor.Q6K:   dotQ6KAVXVNNI,
	tensor.Q8K:   dotQ8KAVXVNNI,
	tensor.IQ4XS: dotIQ4XSAVXVNNI,
	tensor.TQ2_0: dotTQ2_0AVXVNNI,
}

var dotsAVX512VNNI = map[tensor.Type]dotFunc{
	tensor.Q4_0:  dotQ4_0AVX512VNNI,
	tensor.Q4_1:  dotQ4_1AVX512VNNI,
	tensor.Q5_0:  dotQ5_0AVX512VNNI,
	tensor.Q5_1:  dotQ5_1AVX512VNNI,
	tensor.Q8_0:  dotQ8_0AVX512VNNI,
	tensor.IQ4NL: dotIQ4NLAVX512VNNI,
	tensor.MXFP4: dotMXFP4AVX512VNNI,
	tensor.Q2K:   dotQ2KAVX512VNNI,
	tensor.Q3K:   dotQ3KAVX512VNNI,
	tensor.Q4K:   dotQ4KAVX512VNNI,
	tensor.Q5K:   dotQ5KAVX512VNNI,
	tensor.Q6K:   dotQ6KAVX512VNNI,
	tensor.Q8K:   dotQ8KAVX512VNNI,
	tensor.IQ4XS: dotIQ4XSAVX512VNNI,
	tensor.TQ2_0: dotTQ2_0AVX512VNNI,
}
