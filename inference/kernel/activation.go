package kernel

import "math"

// Scale multiplies each element of x by f.
func Scale(x []float32, f float32) {
	for i := range x {
		x[i] *= f
	}
}

// SoftCap sets each element of x to limit*tanh(x/limit), which lies within limit of zero.
func SoftCap(x []float32, limit float32) {
	for i, v := range x {
		x[i] = limit * float32(math.Tanh(float64(v/limit)))
	}
}

// Activation is the function between the matrices of a feed-forward layer.
type Activation int

// The activations that models use.
const (
	// SiLU is x*sigmoid(x); with a gate it makes SwiGLU.
	SiLU Activation = iota
	// GELUTanh is GELU by its tanh approximation.
	GELUTanh
	// GELU is x*Phi(x), Phi the normal distribution.
	GELU
	// ReLU is max(x, 0).
	ReLU
	// ReLUSquared is max(x, 0)².
	ReLUSquared
	// Tanh is the hyperbolic tangent, which heads on top of encoders use.
	Tanh
	// ClampedSwiGLU bounds both halves to 7, sharpens the sigmoid by 1.702 and adds one to the ungated half. It needs a gate.
	ClampedSwiGLU
)

// Activate sets each element of x to the activation of it, multiplied by the element of up when up is not nil.
func Activate(a Activation, x, up []float32) {
	switch {
	case a == SiLU && up != nil:
		SwiGLU(x, up)
	case a == ClampedSwiGLU:
		for i, v := range x {
			g, u := min(v, 7), min(max(up[i], -7), 7)
			x[i] = g * sigmoid(1.702*g) * (u + 1)
		}
	default:
		if a == GELU || a == GELUTanh {
			best.gelu(a, x)
		} else {
			for i, v := range x {
				x[i] = a.of(v)
			}
		}
		if up != nil {
			for i, u := range up[:len(x)] {
				x[i] *= u
			}
		}
	}
}

// activated is how many elements a thread takes at once: a multiple of what registers hold, so that the pieces do not change how any
// element is computed.
const activated = 1 << 12

// Activator computes Activate on a pool, for activations that cost as much as some products. It belongs to one goroutine.
type Activator struct {
	pool  *Pool
	a     Activation
	x, up []float32
}

// NewActivator returns an Activator for an activation that runs on p.
func NewActivator(p *Pool, a Activation) *Activator { return &Activator{pool: p, a: a} }

// Run is Activate.
func (t *Activator) Run(x, up []float32) error {
	if len(x) <= activated {
		Activate(t.a, x, up)
		return nil
	}
	t.x, t.up = x, up
	return t.pool.Run(t, (len(x)+activated-1)/activated)
}

// Do computes the pieces lo to hi-1; it is there for the pool.
func (t *Activator) Do(_, lo, hi int) error {
	from, to := lo*activated, min(hi*activated, len(t.x))
	var up []float32
	if t.up != nil {
		up = t.up[from:to]
	}
	Activate(t.a, t.x[from:to], up)
	return nil
}

func (a Activation) of(v float32) float32 {
	x := float64(v)
	switch a {
	case GELUTanh:
		return float32(x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))))
	case GELU:
		return float32(x / 2 * (1 + math.Erf(x/math.Sqrt2)))
	case ReLU:
		return max(v, 0)
	case ReLUSquared:
		return max(v, 0) * max(v, 0)
	case Tanh:
		return float32(math.Tanh(x))
	}
	return v * sigmoid(v)
}

func sigmoid(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }

// Sigmoid sets each element of x to 1/(1+exp(-x)).
func Sigmoid(x []float32) {
	for i, v := range x {
		x[i] = sigmoid(v)
	}
}

// AlibiSlopes returns what each of heads heads loses per position of distance: powers of 2^(-bias/n) for the largest power of
// two n of heads, then odd powers of 2^(-bias/2n).
func AlibiSlopes(heads int, bias float64) []float32 {
	n := 1
	for 2*n <= heads {
		n *= 2
	}
	slopes := make([]float32, heads)
	for i := range slopes {
		power := float64(i + 1)
		if i >= n {
			power = float64(2*(i-n)+1) / 2
		}
		slopes[i] = float32(math.Exp2(-bias / float64(n) * power))
	}
	return slopes
}
