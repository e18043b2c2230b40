//go:build !purego

package kernel

import (
	"maps"
	"unsafe"

	"golang.org/x/sys/cpu"

	"github.com/carat-hub/carat/inference/tensor"
)

// surveyor are the kernels that one kind of processor has for Survey.
type surveyor struct {
	needs  string
	blocks map[tensor.Type]func(w *byte, rows, blocks int, out *float32)
	// floats add up steps of so many elements of rows that lie stride bytes apart.
	floats map[tensor.Type]func(w *byte, stride, rows, steps int, out *float32)
	step   int
}

var narrowSurveyor = surveyor{
	needs: "AVX2",
	blocks: map[tensor.Type]func(w *byte, rows, blocks int, out *float32){
		tensor.Q4_0: sumsQ4_0, tensor.Q4_1: sumsQ4_1, tensor.Q5_0: sumsQ5_0, tensor.Q5_1: sumsQ5_1, tensor.Q8_0: sumsQ8_0,
		tensor.IQ4NL: sumsIQ4NL, tensor.MXFP4: sumsMXFP4, tensor.Q2K: sumsQ2K, tensor.Q3K: sumsQ3K, tensor.Q4K: sumsQ4K,
		tensor.Q5K: sumsQ5K, tensor.Q6K: sumsQ6K, tensor.Q8K: sumsQ8K, tensor.IQ4XS: sumsIQ4XS, tensor.TQ2_0: sumsTQ2_0,
	},
	floats: map[tensor.Type]func(w *byte, stride, rows, steps int, out *float32){tensor.F32: sumsF32, tensor.F16: sumsF16, tensor.BF16: sumsBF16},
	step:   16,
}

var wideSurveyor = surveyor{
	needs: "AVX-512 with VNNI",
	blocks: with(narrowSurveyor.blocks, map[tensor.Type]func(w *byte, rows, blocks int, out *float32){
		tensor.Q8_0: sumsQ8_0AVX512, tensor.Q4K: sumsQ4KAVX512, tensor.Q5K: sumsQ5KAVX512, tensor.Q6K: sumsQ6KAVX512,
	}),
	floats: map[tensor.Type]func(w *byte, stride, rows, steps int, out *float32){
		tensor.F32: sumsF32AVX512, tensor.F16: sumsF16AVX512, tensor.BF16: sumsBF16AVX512,
	},
	step: 32,
}

// with returns the kernels of m, and others in the place of some.
func with[F any](m, others map[tensor.Type]F) map[tensor.Type]F {
	all := maps.Clone(m)
	maps.Copy(all, others)
	return all
}

// surveyors are those that this processor can run, the fastest last.
var surveyors = func() (list []*surveyor) {
	x := &cpu.X86
	if !x.HasAVX2 || !x.HasFMA || !x.HasF16C {
		return nil
	}
	list = append(list, &narrowSurveyor)
	if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL && x.HasAVX512VNNI {
		list = append(list, &wideSurveyor)
	}
	return list
}()

func fastestSurveyor() *surveyor {
	if len(surveyors) == 0 {
		return nil
	}
	return surveyors[len(surveyors)-1]
}

// surveyRows is Survey.Rows for the types that it knows. The lengths were checked before.
func surveyRows(t tensor.Type, w []byte, cols int, out []RowSums) (known, exact bool) {
	return fastestSurveyor().rows(t, w, cols, out)
}

func (s *surveyor) rows(t tensor.Type, w []byte, cols int, out []RowSums) (known, exact bool) {
	if s == nil {
		return false, false
	}
	first := (*float32)(unsafe.Pointer(&out[0]))
	elements, bytes := t.Block()
	if sums := s.blocks[t]; sums != nil {
		sums(&w[0], len(out), cols/elements, first)
		return true, false
	}
	sums, steps := s.floats[t], cols/s.step
	if sums == nil || steps == 0 {
		return false, false
	}
	sums(&w[0], cols*bytes, len(out), steps, first)
	if tail := cols % s.step; tail > 0 {
		var values [32]float32
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
	s := fastestSurveyor()
	if s == nil || len(values) < s.step {
		return r, false
	}
	steps := len(values) / s.step
	s.floats[tensor.F32]((*byte)(unsafe.Pointer(&values[0])), 0, 1, steps, (*float32)(unsafe.Pointer(&r)))
	r.join(plainSums(values[s.step*steps:]))
	return r, true
}

func readBytes(p []byte) byte {
	var out [32]byte
	if len(surveyors) > 0 && len(p) >= 256 {
		read(&p[0], len(p)/256, &out[0])
	}
	return out[0]
}
