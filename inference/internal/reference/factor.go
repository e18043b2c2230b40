package reference

import "strings"

// factors multiplies a matrix of a GGUF file by the numbers in its .scale tensor, one for the whole or one for each expert, as
// llama.cpp does (its graphs, at version 0.5.0): in attention before the bias is added, in feed-forward layers after it, and in
// feed-forward layers and experts only where the graph of the architecture asks for them. .input_scale is for kernels that
// compute in four bits.
func (r *reader) factors(l Linear, role string, layer, expert int) Linear {
	r.tensor(role, ".input_scale", layer)
	scale, ok := r.tensor(role, ".scale", layer)
	experts := strings.HasSuffix(role, "_exps")
	switch {
	case !ok || experts && !r.expertFactors, strings.HasSuffix(role, "_shexp"):
		return l
	case strings.HasPrefix(role, "ffn_") && !experts:
		if !r.feedFactors {
			return l
		}
		if l.Bias != nil {
			l.Bias = Scale(l.Bias, scale.Data[0])
		}
	}
	return Linear{Weight: Each(func(row []float64) []float64 { return Scale(row, scale.Data[expert]) })(l.Weight), Bias: l.Bias}
}
