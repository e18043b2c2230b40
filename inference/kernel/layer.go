package kernel

import "math"

// RMSNorm sets y to x divided by its root mean square (with eps added to the mean square) and multiplied by weight.
func RMSNorm(y, x, weight []float32, eps float32) {
	best.weigh(y[:len(x)], x, weight[:len(x)], rootMeanSquare(x, eps))
}

// LayerNorm sets y to x less its mean, divided by its standard deviation (with eps added to the variance), times weight, plus
// bias when bias is not nil.
func LayerNorm(y, x, weight, bias []float32, eps float32) {
	mean, variance := best.moments(x)
	best.standardize(y[:len(x)], x, weight[:len(x)], mean, 1/math.Sqrt(variance+float64(eps)))
	if bias != nil {
		Add(y[:len(x)], bias)
	}
}

// RMSNormHeads divides each head of x, of size elements, by its root mean square, as RMSNorm without weights does.
func RMSNormHeads(x []float32, size int, eps float32) {
	for ; len(x) >= size; x = x[size:] {
		Scale(x[:size], rootMeanSquare(x[:size], eps))
	}
}

// rootMeanSquare returns what to multiply x with so that its mean square is one.
func rootMeanSquare(x []float32, eps float32) float32 {
	return float32(1 / math.Sqrt(best.squares(x)/float64(len(x))+float64(eps)))
}

// squares has four sums, which need not wait for each other.
func (plain) squares(x []float32) float64 {
	var s0, s1, s2, s3 float64
	for ; len(x) >= 4; x = x[4:] {
		a, b, c, d := float64(x[0]), float64(x[1]), float64(x[2]), float64(x[3])
		s0, s1, s2, s3 = s0+a*a, s1+b*b, s2+c*c, s3+d*d
	}
	for _, v := range x {
		s0 += float64(v) * float64(v)
	}
	return s0 + s1 + s2 + s3
}

func (plain) weigh(y, x, weight []float32, scale float32) {
	y, weight = y[:len(x)], weight[:len(x)]
	for i, v := range x {
		y[i] = v * scale * weight[i]
	}
}

func (plain) moments(x []float32) (mean, variance float64) {
	var sum float64
	for _, v := range x {
		sum += float64(v)
	}
	mean = sum / float64(len(x))
	var squares float64
	for _, v := range x {
		squares += (float64(v) - mean) * (float64(v) - mean)
	}
	return mean, squares / float64(len(x))
}

func (plain) standardize(y, x, weight []float32, mean, scale float64) {
	y, weight = y[:len(x)], weight[:len(x)]
	for i, v := range x {
		y[i] = float32((float64(v)-mean)*scale) * weight[i]
	}
}

// Add adds b to a, element by element.
func Add(a, b []float32) {
	b = b[:len(a)]
	for i := range a {
		a[i] += b[i]
	}
}

// SwiGLU sets gate to silu(gate) * up, element by element.
func SwiGLU(gate, up []float32) { best.swiglu(gate, up[:len(gate)]) }

// Softmax turns x into probabilities in place.
func Softmax(x []float32) { best.softmax(x) }

func (plain) swiglu(gate, up []float32) {
	for i, g := range gate {
		gate[i] = g / (1 + float32(math.Exp(-float64(g)))) * up[i]
	}
}

func (plain) gelu(a Activation, x []float32) {
	for i, v := range x {
		x[i] = a.of(v)
	}
}

func (plain) softmax(x []float32) {
	largest := float32(math.Inf(-1))
	for _, v := range x {
		largest = max(largest, v)
	}
	var sum float64
	for i, v := range x {
		e := math.Exp(float64(v - largest))
		x[i] = float32(e)
		sum += e
	}
	scale := float32(1 / sum)
	for i := range x {
		x[i] *= scale
	}
}

// Rope rotates pairs of elements of each head by angles that grow with the position.
type Rope struct {
	// Adjacent pairs element 2i with 2i+1 (ggml's NORM); otherwise element i is paired with i+dim/2 (NEOX).
	Adjacent bool
	// Frequencies has one angle per position for each pair; its length is half of the rotated dimensions.
	Frequencies []float64
	// Scale multiplies the rotated elements; 0 means 1.
	Scale float32

	cos, sin []float32 // {positions, pairs}
}

// RopeFrequencies returns base^(-2i/dim) for each of the dim/2 pairs.
func RopeFrequencies(base float64, dim int) []float64 {
	f := make([]float64, dim/2)
	for i := range f {
		f[i] = math.Pow(base, -2*float64(i)/float64(dim))
	}
	return f
}

// Prepare computes the angles of n positions from first on for Apply.
func (r *Rope) Prepare(first, n int) {
	r.cos, r.sin = r.cos[:0], r.sin[:0]
	r.Extend(first, n)
}

// Extend computes the angles of n more positions, which come after those that are prepared.
func (r *Rope) Extend(first, n int) {
	scale := r.Scale
	if scale == 0 {
		scale = 1
	}
	for i := range n {
		for _, f := range r.Frequencies {
			sin, cos := math.Sincos(float64(first+i) * f)
			r.sin, r.cos = append(r.sin, scale*float32(sin)), append(r.cos, scale*float32(cos))
		}
	}
}

// From returns an embedding whose prepared positions are those of r from the i-th on, until the next Prepare or Extend of r.
func (r *Rope) From(i int) *Rope {
	part, at := *r, i*len(r.Frequencies)
	part.cos, part.sin = r.cos[at:], r.sin[at:]
	return &part
}

// Apply rotates each head of x, whose length is a multiple of headDim, for the i-th of the prepared positions.
func (r *Rope) Apply(x []float32, headDim, i int) {
	half := len(r.Frequencies)
	best.rotate(x, headDim, r.cos[i*half:(i+1)*half], r.sin[i*half:(i+1)*half], r.Adjacent)
}

func (plain) rotate(x []float32, headDim int, cos, sin []float32, adjacent bool) {
	half := len(cos)
	for ; len(x) >= headDim; x = x[headDim:] {
		for i := range half {
			a, b := i, i+half
			if adjacent {
				a, b = 2*i, 2*i+1
			}
			xa, xb := x[a], x[b]
			x[a] = xa*cos[i] - xb*sin[i]
			x[b] = xa*sin[i] + xb*cos[i]
		}
	}
}
