package reference

import "math"

// Softmax returns exp(x) divided by its sum (Bridle 1990). Subtracting the largest element first changes nothing but the
// range of what is computed.
func Softmax(x []float64) []float64 {
	largest := math.Inf(-1)
	for _, v := range x {
		largest = math.Max(largest, v)
	}
	y := Map(x, func(v float64) float64 { return math.Exp(v - largest) })
	sum := 0.0
	for _, v := range y {
		sum += v
	}
	return Scale(y, 1/sum)
}

// Sigmoid is 1/(1+exp(-x)).
func Sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// SiLU is x times its sigmoid (Elfwing, Uchibe and Doya 2017, Sigmoid-Weighted Linear Units; Ramachandran, Zoph and Le 2017,
// Searching for Activation Functions, where it is Swish with beta 1).
func SiLU(x float64) float64 { return x * Sigmoid(x) }

// GELU is x times the probability that a normally distributed variable is below x (Hendrycks and Gimpel 2016, Gaussian Error
// Linear Units, section 2).
func GELU(x float64) float64 { return x * math.Erfc(-x/math.Sqrt2) / 2 }

// GELUTanh is the approximation of GELU in the same section of its paper.
func GELUTanh(x float64) float64 {
	return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
}

// GELUQuick is the coarser approximation of the same paper, x times the sigmoid of 1.702x.
func GELUQuick(x float64) float64 { return x * Sigmoid(1.702*x) }

// ReLU is the positive part (Nair and Hinton 2010, Rectified Linear Units Improve Restricted Boltzmann Machines).
func ReLU(x float64) float64 { return math.Max(0, x) }

// ReLUSquared is the square of the positive part (So et al. 2021, Primer: Searching for Efficient Transformers).
func ReLUSquared(x float64) float64 { return math.Pow(ReLU(x), 2) }

// SoftCap bounds x smoothly: limit times tanh(x/limit) (Gemma 2 2024, section 2, logit soft-capping).
func SoftCap(x, limit float64) float64 { return limit * math.Tanh(x/limit) }

// GLU is a gated unit: the activation of the gate times the other half (Shazeer 2020, GLU Variants Improve Transformer,
// equation 5). SiLU makes it SwiGLU, GELU makes it GeGLU.
func GLU(activation func(float64) float64) func(gate, up float64) float64 {
	return func(gate, up float64) float64 { return activation(gate) * up }
}

// ClampedSwiGLU is the gated unit of gpt-oss (OpenAI 2025, gpt-oss-120b and gpt-oss-20b Model Card, section 2.2, and the
// published code): both halves are clamped to 7, the gate only from above, the sigmoid is that of GELUQuick, and the other
// half has one added.
func ClampedSwiGLU(gate, up float64) float64 {
	gate, up = math.Min(gate, 7), math.Max(-7, math.Min(up, 7))
	return GELUQuick(gate) * (up + 1)
}

// Feed is a feed-forward layer: Down of the hidden vector, which is Ungated of Up (Vaswani et al. 2017, Attention Is All You
// Need, equation 2) or Gated of Gate and Up (Shazeer 2020, equation 6).
type Feed struct {
	Gate, Up, Down Linear
	Gated          func(gate, up float64) float64
	Ungated        func(up float64) float64
	// Divisors divide the hidden vector of an ungated layer, element by element; nil: none (MPT with activation-aware scales).
	Divisors []float64
}

// Apply returns the layer's output for one position.
func (f Feed) Apply(x []float64) []float64 {
	hidden := f.Up.Apply(x)
	if f.Gated == nil {
		hidden = Map(hidden, f.Ungated)
		for i, d := range f.Divisors {
			hidden[i] /= d
		}
		return f.Down.Apply(hidden)
	}
	for i, gate := range f.Gate.Apply(x) {
		hidden[i] = f.Gated(gate, hidden[i])
	}
	return f.Down.Apply(hidden)
}
