package reference

import "math"

// Rope is a rotary position embedding (Su et al. 2021, RoFormer, section 3.2.2): the i-th pair of elements is turned by the
// position times the i-th angle. Elements beyond the pairs are left as they are (Black et al. 2022, GPT-NeoX-20B, section
// 2.1.1, where a quarter is turned).
type Rope struct {
	Angles []float64
	// Adjacent pairs elements 2i and 2i+1, as the paper does; otherwise the elements i and i+len(Angles) are paired, as
	// GPT-NeoX does.
	Adjacent bool
	// Magnitude multiplies the turned elements.
	Magnitude float64
}

// Rotate returns one head's query or key at a position.
func (r Rope) Rotate(x []float64, position int) []float64 {
	y := append([]float64(nil), x...)
	for i, angle := range r.Angles {
		a, b := i, i+len(r.Angles)
		if r.Adjacent {
			a, b = 2*i, 2*i+1
		}
		sin, cos := math.Sincos(float64(position) * angle)
		y[a] = r.Magnitude * (x[a]*cos - x[b]*sin)
		y[b] = r.Magnitude * (x[b]*cos + x[a]*sin)
	}
	return y
}

// Angles returns base^(-2i/dim) for the pairs of dim dimensions (RoFormer, equation 15, with base 10000).
func Angles(base float64, dim int) []float64 {
	a := make([]float64, dim/2)
	for i := range a {
		a[i] = 1 / math.Pow(base, float64(2*i)/float64(dim))
	}
	return a
}

// Interpolated returns the angles for positions squeezed by factor (Chen et al. 2023, Extending Context Window of Large
// Language Models via Positional Interpolation, equation 4).
func Interpolated(angles []float64, factor float64) []float64 { return Scale(angles, 1/factor) }

// Divided returns the angles divided by a factor each (Ding et al. 2024, LongRoPE, equation 2).
func Divided(angles, factors []float64) []float64 {
	a := make([]float64, len(angles))
	for i := range a {
		a[i] = angles[i] / factors[i]
	}
	return a
}

// LongMagnitude is the factor by which LongRoPE's authors scale queries and keys of a context that is extended by factor
// (Abdin et al. 2024, Phi-3 Technical Report, and its published code).
func LongMagnitude(factor, original float64) float64 {
	if factor <= 1 {
		return 1
	}
	return math.Sqrt(1 + math.Log(factor)/math.Log(original))
}

// NTK returns the angles with the base raised so that the slowest pair is slowed by scale and the fastest not at all (Peng et
// al. 2023, YaRN, section 3.1, NTK-aware interpolation).
func NTK(base float64, dim int, scale float64) []float64 {
	return Angles(base*math.Pow(scale, float64(dim)/float64(dim-2)), dim)
}

// DynamicScale is the scale that NTK takes for a sequence of length positions (YaRN, section 3.3, Dynamic Scaling, in the form
// of Hugging Face's library, where factor multiplies what the length exceeds the original by). At the original length it is 1.
func DynamicScale(factor, length, original float64) float64 {
	return math.Max(1, factor*length/original-(factor-1))
}

// YaRN returns angles by parts (Peng et al. 2023, YaRN, section 3.2, NTK-by-parts): pairs that turn more than fast times within
// the original context are kept, those that turn less than slow times are slowed by factor. Between the two the paper's ramp
// is linear in the number of turns, its authors' code, which everyone runs, linear in the number of the pair; this is the
// code's. With whole its ends are widened to whole numbers, as the code does unless told otherwise.
func YaRN(base float64, dim int, factor, original, fast, slow float64, whole bool) []float64 {
	// The pair that turns a given number of times within the original context.
	pair := func(turns float64) float64 {
		return float64(dim) / 2 * math.Log(original/(2*math.Pi*turns)) / math.Log(base)
	}
	from, to := pair(fast), pair(slow)
	if whole {
		from, to = math.Floor(from), math.Ceil(to)
	}
	from, to = math.Max(from, 0), math.Min(to, float64(dim-1))
	if from == to {
		to += 0.001
	}
	angles := Angles(base, dim)
	for i, a := range angles {
		slowed := math.Max(0, math.Min(1, (float64(i)-from)/(to-from)))
		angles[i] = (1-slowed)*a + slowed*a/factor
	}
	return angles
}

// YaRNMagnitude is the factor of queries and of keys that lowers the temperature of attention (YaRN, section 3.4, where it
// is the root of 1/t). weight is 1 in the paper; DeepSeek sets it otherwise.
func YaRNMagnitude(factor, weight float64) float64 {
	if factor <= 1 {
		return 1
	}
	return 0.1*weight*math.Log(factor) + 1
}

// Llama3 returns the angles of Llama 3.1 (Grattafiori et al. 2024, The Llama 3 Herd of Models, section 3.4.2, and the published
// code): wavelengths below original/high are kept, those above original/low are stretched by factor, and those between are
// blended linearly in original/wavelength.
func Llama3(angles []float64, factor, low, high, original float64) []float64 {
	return Map(angles, func(a float64) float64 {
		wavelength := 2 * math.Pi / a
		kept := math.Max(0, math.Min(1, (original/wavelength-low)/(high-low)))
		return kept*a + (1-kept)*a/factor
	})
}
