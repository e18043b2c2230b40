package kernel

import (
	"math"

	"github.com/carat-hub/carat/inference/tensor"
)

//go:generate go run -C ../../tools/kernelgen . -part scan -out ../../inference/kernel/scan_amd64.s -stubs ../../inference/kernel/scan_amd64.go -pkg kernel
//go:generate go run -C ../../tools/kernelgen . -part scanwide -out ../../inference/kernel/scanwide_amd64.s -stubs ../../inference/kernel/scanwide_amd64.go -pkg kernel

// RowSums are what the weights of a row add up to, in float32. Sum and Squares are not finite when one of the weights is not,
// nor when they are too large.
type RowSums struct {
	Sum, Squares float32
	// Low and High are the least and the largest weight. NaN is passed over.
	Low, High float32
	// Zero is how many weights are 0.
	Zero int32
}

// Survey adds up rows of weights faster than decoding them would take. The zero Survey is ready; it serves one goroutine at a time.
type Survey struct {
	values []float32
}

// surveyed is how many elements are decoded at once where they must be, a multiple of all blocks.
const surveyed = 4096

// Rows sets each out to the sums of a row of cols elements, which lie in w one after the other, encoded as t, and tells whether
// Low, High and Zero are exact. When they are not, no weight lies outside of Low and High by more than rounding, and Zero is 0.
// The error is that of tensor.Decode.
func (s *Survey) Rows(t tensor.Type, w []byte, cols int, out []RowSums) (exact bool, err error) {
	size, ok := t.Size(int64(cols))
	if !ok || cols <= 0 || int64(len(w)) != size*int64(len(out)) {
		panic("kernel: rows of another length than their sums")
	}
	if len(out) == 0 {
		return true, nil
	}
	if known, exact := surveyRows(t, w, cols, out); known {
		return exact, nil
	}
	elements, bytes := t.Block()
	values := grow(&s.values, surveyed)
	for r := range out {
		row := w[r*int(size):][:size]
		out[r] = RowSums{Low: float32(math.Inf(1)), High: float32(math.Inf(-1))}
		for at := 0; at < cols; at += surveyed {
			part := values[:min(surveyed, cols-at)]
			if err := best.decode(t, part, row[at/elements*bytes:][:len(part)/elements*bytes]); err != nil {
				return true, err
			}
			out[r].join(SumValues(part))
		}
	}
	return true, nil
}

// Decode is tensor.Decode, as fast as this processor can. Lengths that do not fit each other panic.
func Decode(t tensor.Type, dst []float32, src []byte) error {
	if len(dst) == 0 {
		return nil
	}
	return best.decode(t, dst, src)
}

// Read reads bytes as fast as they can be read, for measurements, and returns something that depends on all but a few of the last.
func Read(p []byte) byte { return readBytes(p) }

// SumValues returns the sums of decoded values.
func SumValues(values []float32) RowSums {
	if s, ok := surveyValues(values); ok {
		return s
	}
	return plainSums(values)
}

// join adds those of further weights.
func (r *RowSums) join(o RowSums) {
	r.Sum += o.Sum
	r.Squares += o.Squares
	r.Low, r.High = min(r.Low, o.Low), max(r.High, o.High)
	r.Zero += o.Zero
}

// plainSums is the reference, in sixteen sums as the vectors have them.
func plainSums(values []float32) RowSums {
	var sum, squares [16]float32
	r := RowSums{Low: float32(math.Inf(1)), High: float32(math.Inf(-1))}
	for i, v := range values {
		sum[i%16] += v
		squares[i%16] += v * v
		if v < r.Low {
			r.Low = v
		}
		if v > r.High {
			r.High = v
		}
		if v == 0 {
			r.Zero++
		}
	}
	for i := range sum {
		r.Sum += sum[i]
		r.Squares += squares[i]
	}
	return r
}
