package reference

import "math"

// Norm maps a vector to one of the same length.
type Norm func(x []float64) []float64

// RMSNorm divides x by its root mean square and multiplies it by gain (Zhang and Sennrich 2019, Root Mean Square Layer
// Normalization, equation 4). eps is added to the mean square, as in Llama's code.
func RMSNorm(x, gain []float64, eps float64) []float64 {
	rms := math.Sqrt(Dot(x, x)/float64(len(x)) + eps)
	y := make([]float64, len(x))
	for i := range x {
		y[i] = x[i] / rms * gain[i]
	}
	return y
}

// LayerNorm shifts x to mean zero, divides it by its standard deviation, and applies gain and bias (Ba, Kiros and Hinton 2016,
// Layer Normalization, equations 3 and 4). eps is added to the variance; a nil bias is zero.
func LayerNorm(x, gain, bias []float64, eps float64) []float64 {
	mean := 0.0
	for _, v := range x {
		mean += v / float64(len(x))
	}
	centred := Map(x, func(v float64) float64 { return v - mean })
	deviation := math.Sqrt(Dot(centred, centred)/float64(len(x)) + eps)
	for i := range centred {
		centred[i] = centred[i] / deviation * gain[i]
		if bias != nil {
			centred[i] += bias[i]
		}
	}
	return centred
}

// EachHead normalises the parts of a vector on their own, the i-th of them by the i-th norm (Henry et al. 2020, Query-Key
// Normalization for Transformers; Dehghani et al. 2023, Scaling Vision Transformers to 22 Billion Parameters, section 2, which
// has learned norms of queries and keys). One norm alone serves all parts, which have size elements then.
func EachHead(size int, norms ...Norm) Norm {
	return func(x []float64) []float64 {
		var y []float64
		for i := 0; i*size < len(x); i++ {
			y = append(y, norms[min(i, len(norms)-1)](x[i*size:(i+1)*size])...)
		}
		return y
	}
}
