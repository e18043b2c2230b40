package tensor

import "math"

// minifloat describes an 8-bit float.
type minifloat struct {
	mantissa, bias int
	// infinite says that the largest exponent means infinity and NaN as in IEEE 754. Otherwise it is an exponent like the others,
	// and only nans are no numbers.
	infinite bool
	nans     []byte
}

// table returns the value of each bit pattern.
func (f minifloat) table() (t [256]float32) {
	for i := range t {
		fraction := i & (1<<f.mantissa - 1)
		exponent := i & 0x7f >> f.mantissa
		switch {
		case f.infinite && exponent == 0x7f>>f.mantissa:
			t[i] = float32(math.Inf(1))
			if fraction != 0 {
				t[i] = float32(math.NaN())
			}
		case exponent == 0:
			t[i] = float32(math.Ldexp(float64(fraction), 1-f.bias-f.mantissa))
		default:
			t[i] = float32(math.Ldexp(float64(fraction+1<<f.mantissa), exponent-f.bias-f.mantissa))
		}
		if i >= 128 {
			t[i] = -t[i]
		}
	}
	for _, i := range f.nans {
		t[i] = float32(math.NaN())
	}
	return t
}

var (
	e4m3     = minifloat{mantissa: 3, bias: 7, nans: []byte{0x7f, 0xff}}.table()
	e5m2     = minifloat{mantissa: 2, bias: 15, infinite: true}.table()
	e4m3fnuz = minifloat{mantissa: 3, bias: 8, nans: []byte{0x80}}.table()
	e5m2fnuz = minifloat{mantissa: 2, bias: 16, nans: []byte{0x80}}.table()
	e8m0     = powers()
)

// powers returns 2^(i-127), the values of the scale type E8M0; 255 is NaN.
func powers() (t [256]float32) {
	for i := range t {
		t[i] = float32(math.Ldexp(1, i-127))
	}
	t[255] = float32(math.NaN())
	return t
}

func decodeBytes(table *[256]float32) func(dst []float32, src []byte) {
	return func(dst []float32, src []byte) {
		src = src[:min(len(src), len(dst))]
		for i, b := range src {
			dst[i] = table[b]
		}
	}
}
