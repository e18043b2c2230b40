//go:build !purego

package kernel

import (
	"unsafe"

	"golang.org/x/sys/cpu"

	"github.com/carat-hub/carat/inference/tensor"
)

// surveying tells whether this processor has what the kernels need.
var surveying = cpu.X86.HasAVX2 && cpu.X86.HasFMA && cpu.X86.HasF16C

// blockSums are the kernels for the types whose blocks need no decoding.
var blockSums = map[tensor.Type]func(w *byte, rows, blocks int, out *float32){
	tensor.Q4_0: sumsQ4_0, tensor.Q4_1: sumsQ4_1, tensor.Q5_0: sumsQ5_0, tensor.Q5_1: sumsQ5_1, tensor.Q8_0: sumsQ8_0,
	tensor.IQ4NL: sumsIQ4NL, tensor.MXFP4: sumsMXFP4, tensor.Q2K: sumsQ2K, tensor.Q3K: sumsQ3K, tensor.Q4K: sumsQ4K,
	tensor.Q5K: sumsQ5K, tensor.Q6K: sumsQ6K, tensor.Q8K: sumsQ8K, tensor.IQ4XS: sumsIQ4XS, tensor.TQ2_0: sumsTQ2_0,
}

// surveyRows is Survey.Rows for the types that it knows. The lengths were checked before.
func surveyRows(t tensor.Type, w []byte, cols int, out []RowSums) (known, exact bool) {
	if !surveying {
		return false, false
	}
	first := (*float32)(unsafe.Pointer(&out[0]))
	elements, bytes := t.Block()
	steps := cols / 16
	switch {
	case blockSums[t] != nil:
		blockSums[t](&w[0], len(out), cols/elements, first)
		return true, false
	case steps == 0:
		return false, false
	case t == tensor.F32:
		sumsF32(&w[0], cols*bytes, len(out), steps, first)
	case t == tensor.F16:
		sumsF16(&w[0], cols*bytes, len(out), steps, first)
	case t == tensor.BF16:
		sumsBF16(&w[0], cols*bytes, len(out), steps, first)
	default:
		return false, false
	}
	if tail := cols % 16; tail > 0 {
		var values [16]float32
		for r := range out {
			for i := range values[:tail] {
				values[i] = elementAt(t, w[((r+1)*cols-tail)*bytes:], i)
			}
			out[r].join(plainSums(values[:tail]))
		}
	}
	return true, true
}

// surveyValues is plainSums in registers.
func surveyValues(values []float32) (r RowSums, ok bool) {
	steps := len(values) / 16
	if !surveying || steps == 0 {
		return r, false
	}
	sumsF32((*byte)(unsafe.Pointer(&values[0])), 0, 1, steps, (*float32)(unsafe.Pointer(&r)))
	r.join(plainSums(values[16*steps:]))
	return r, true
}

func readBytes(p []byte) byte {
	var out [32]byte
	if surveying && len(p) >= 256 {
		read(&p[0], len(p)/256, &out[0])
	}
	return out[0]
}
