package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build" //nolint:staticcheck // the form that avo's programs have
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// mix adds rows that are weighted.
func mix() {
	for _, m := range []struct {
		w       width
		vectors int
	}{{ymm, 8}, {ymm, 1}, {zmm, 8}, {zmm, 4}, {zmm, 1}} {
		w, bytes := m.w, 4*m.w.lanes
		name := fmt.Sprintf("mixx%d%s", m.vectors, w.suffix)
		TEXT(name, NOSPLIT, "func(weights *float32, n int, v *float32, stride int, out *float32)")
		Pragma("noescape")
		Doc(fmt.Sprintf("%s sets %d floats of out for each of its registers to the weighted sum of n rows, which lie stride bytes apart. n is not 0.", name, w.lanes))
		weights, n, v, stride, out := param("weights"), param("n"), param("v"), param("stride"), param("out")
		sums := make([]reg.VecVirtual, m.vectors)
		for i := range sums {
			sums[i] = w.zero()
		}
		loop("next", n, func() {
			weight := w.vec()
			VBROADCASTSS(Mem{Base: weights}, weight)
			for i := range sums {
				VFMADD231PS(Mem{Base: v, Disp: bytes * i}, weight, sums[i])
			}
			ADDQ(Imm(4), weights)
			ADDQ(stride, v)
		})
		for i := range sums {
			VMOVUPS(sums[i], Mem{Base: out, Disp: bytes * i})
		}
		VZEROUPPER()
		RET()
	}
}

func largest(w width) {
	name := "largest" + w.suffix
	TEXT(name, NOSPLIT, "func(x *float32, steps int, lanes *float32)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s sets lanes to the largest of every %d values. A NaN may be passed over. steps is not 0.", name, w.lanes))
	x, steps, lanes := param("x"), param("steps"), param("lanes")
	v := w.vec()
	VMOVUPS(Mem{Base: x}, v)
	loop("next", steps, func() {
		VMAXPS(Mem{Base: x}, v, v)
		ADDQ(Imm(w.bytes()), x)
	})
	VMOVUPS(v, Mem{Base: lanes})
	VZEROUPPER()
	RET()
}

var constants = map[string]Mem{}

// constant returns a register full of value, which the file holds once under the name.
func (w width) constant(name string, value float32) reg.VecVirtual {
	if _, ok := constants[name]; !ok {
		constants[name] = ConstData(name, F32(value))
	}
	v := w.vec()
	VBROADCASTSS(constants[name], v)
	return v
}

// exp replaces x by its exponential, accurate to about 2 units in the last place between -87.3 and 88.3; what is outside is
// taken as the nearer of these, and NaN stays NaN.
//
// With n the integer nearest to x/ln 2, it is 2^n times the exponential of the small rest, for which eight terms of the series do.
func (w width) exp(x reg.VecVirtual) {
	// Of two operands with a NaN the second is the result, which is x.
	VMAXPS(x, w.constant("expLeast", -87.3), x)
	VMINPS(x, w.constant("expMost", 88.3), x)
	n, whole := w.vec(), w.vec()
	VMULPS(w.constant("log2E", 1.44269504), x, n)
	VCVTPS2DQ(n, whole)
	VCVTDQ2PS(whole, n)
	VFNMADD231PS(w.constant("ln2High", 0.693359375), n, x)
	VFNMADD231PS(w.constant("ln2Low", -2.12194440e-4), n, x)
	sum := w.constant("term7", 1.0/5040)
	for _, t := range []struct {
		name  string
		value float32
	}{{"term6", 1.0 / 720}, {"term5", 1.0 / 120}, {"term4", 1.0 / 24}, {"term3", 1.0 / 6}, {"term2", 0.5}, {"term1", 1}, {"term0", 1}} {
		VFMADD213PS(w.constant(t.name, t.value), x, sum)
	}
	// The bits of 1 are those of 2^0: adding n to the exponent makes 2^n.
	VPSLLD(Imm(23), whole, whole)
	VPADDD(w.constant("term0", 1), whole, whole)
	VMULPS(whole, sum, x)
}

func exponentials(w width) {
	name := "exp" + w.suffix
	TEXT(name, NOSPLIT, "func(x *float32, steps int, shift float32, lanes *float32)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s sets each x to the exponential of x - shift and lanes to the sums of every %d. steps is not 0.", name, w.lanes))
	x, steps, lanes := param("x"), param("steps"), param("lanes")
	shift := w.vec()
	shiftAt, err := Param("shift").Resolve()
	if err != nil {
		panic(err)
	}
	VBROADCASTSS(shiftAt.Addr, shift)
	sums := w.zero()
	loop("next", steps, func() {
		v := w.vec()
		VMOVUPS(Mem{Base: x}, v)
		VSUBPS(shift, v, v)
		w.exp(v)
		VADDPS(v, sums, sums)
		VMOVUPS(v, Mem{Base: x})
		ADDQ(Imm(w.bytes()), x)
	})
	VMOVUPS(sums, Mem{Base: lanes})
	VZEROUPPER()
	RET()

	name = "swiglu" + w.suffix
	TEXT(name, NOSPLIT, "func(gate *float32, up *float32, steps int)")
	Pragma("noescape")
	Doc(name + " sets gate to silu(gate) * up. steps is not 0.")
	gate, up, steps := param("gate"), param("up"), param("steps")
	sign, one := w.vec(), w.constant("term0", 1)
	w.fill(sign)
	VPSLLD(Imm(31), sign, sign)
	loop("next", steps, func() {
		g, v := w.vec(), w.vec()
		VMOVUPS(Mem{Base: gate}, g)
		VXORPS(sign, g, v)
		w.exp(v)
		VADDPS(one, v, v)
		VDIVPS(v, g, v)
		VMULPS(Mem{Base: up}, v, v)
		VMOVUPS(v, Mem{Base: gate})
		ADDQ(Imm(w.bytes()), gate)
		ADDQ(Imm(w.bytes()), up)
	})
	VZEROUPPER()
	RET()
}

// gelu multiplies each value with the normal distribution's share below it. With z the value's size over the root of two, the share
// beyond it is half of erfc(z) = t*exp(-z*z + p(t)), t = 1/(1+z/2), p Chebyshev's polynomial for a relative error of 1.2e-7 (Press et
// al., Numerical Recipes, 6.2). What rounding takes off the square, where it would grow with the exponent, is put back.
func gelu(w width) {
	name := "gelu" + w.suffix
	TEXT(name, NOSPLIT, "func(x *float32, steps int)")
	Pragma("noescape")
	Doc(name + " sets x to x times the normal distribution. steps is not 0.")
	x, steps := param("x"), param("steps")
	loop("next", steps, func() {
		v, size, square, rest, t, share := w.vec(), w.vec(), w.vec(), w.vec(), w.vec(), w.vec()
		VMOVUPS(Mem{Base: x}, v)
		w.fill(size)
		VPSRLD(Imm(1), size, size)
		VANDPS(size, v, size)
		// Beyond 13 the share is no float32; of two operands with a NaN the second is the result.
		VMINPS(size, w.constant("geluMost", 16), size)
		VMULPS(size, size, square)
		VMOVAPS(square, rest)
		VFMSUB231PS(size, size, rest)
		VMOVAPS(size, t)
		VFMADD213PS(w.constant("term0", 1), w.constant("geluZ", 0.5/1.4142135623730951), t)
		VDIVPS(t, w.constant("term0", 1), t)
		sum := w.constant("erfc9", 0.17087277)
		for _, c := range []struct {
			name  string
			value float32
		}{
			{"erfc8", -0.82215223},
			{"erfc7", 1.48851587},
			{"erfc6", -1.13520398},
			{"erfc5", 0.27886807},
			{"erfc4", -0.18628806},
			{"erfc3", 0.09678418},
			{"erfc2", 0.37409196},
			{"erfc1", 1.00002368},
			{"erfc0", -1.26551223},
		} {
			VFMADD213PS(w.constant(c.name, c.value), t, sum)
		}
		w.exp(sum)
		half := w.constant("term2", 0.5)
		VMULPS(half, t, t)
		VMULPS(sum, t, t)
		VMOVAPS(half, share)
		VFNMADD213PS(w.constant("term0", 1), rest, share)
		VMULPS(share, t, t)
		VXORPS(share, share, share)
		VFNMADD231PS(half, square, share)
		w.exp(share)
		VMULPS(t, share, share)
		other := w.vec()
		VSUBPS(share, w.constant("term0", 1), other)
		w.choose(v, share, other)
		VMULPS(v, share, v)
		VMOVUPS(v, Mem{Base: x})
		ADDQ(Imm(w.bytes()), x)
	})
	VZEROUPPER()
	RET()
}

// geluTanh multiplies each value x with the logistic function of y = 2*sqrt(2/pi)*(x + 0.044715*x*x*x), which is the usual approximation of
// GELU. The exponential makes the error of y one of the result, in parts: all of y is computed as a sum of two numbers.
func geluTanh(w width) {
	name := "geluTanh" + w.suffix
	TEXT(name, NOSPLIT, "func(x *float32, steps int)")
	Pragma("noescape")
	Doc(name + " sets x to its approximate GELU by tanh. steps is not 0.")
	x, steps := param("x"), param("steps")
	const scale, cubic = 1.5957691216057308, 0.044715
	// low is what rounding takes off a constant.
	low := func(c float64) float32 { return float32(c - float64(float32(c))) }
	loop("next", steps, func() {
		value, v := w.vec(), w.vec()
		square, squareLow, p, pLow, f, fLow := w.vec(), w.vec(), w.vec(), w.vec(), w.vec(), w.vec()
		VMOVUPS(Mem{Base: x}, value)
		// Beyond 16 the result is the value or nothing, and the square may be no number.
		VMINPS(value, w.constant("geluMost", 16), v)
		VMAXPS(v, w.constant("geluLeast", -16), v)
		one := w.constant("term0", 1)
		VMULPS(v, v, square)
		VMOVAPS(square, squareLow)
		VFMSUB231PS(v, v, squareLow)
		by := w.constant("geluCubic", cubic)
		VMULPS(by, square, p)
		VMOVAPS(p, pLow)
		VFMSUB231PS(by, square, pLow)
		VFMADD231PS(w.constant("geluCubicLow", low(cubic)), square, pLow)
		VFMADD231PS(by, squareLow, pLow)
		// f + fLow is 1 + p + pLow, whichever of the two is larger.
		back, rest := w.vec(), w.vec()
		VADDPS(p, one, f)
		VSUBPS(one, f, back)
		VSUBPS(back, f, rest)
		VSUBPS(rest, one, rest)
		VSUBPS(back, p, fLow)
		VADDPS(rest, fLow, fLow)
		VADDPS(pLow, fLow, fLow)
		y, yLow, z, zLow := w.vec(), w.vec(), w.vec(), w.vec()
		VMULPS(v, f, y)
		VMOVAPS(y, yLow)
		VFMSUB231PS(v, f, yLow)
		VFMADD231PS(v, fLow, yLow)
		by = w.constant("geluScale", -scale)
		VMULPS(by, y, z)
		VMOVAPS(z, zLow)
		VFMSUB231PS(by, y, zLow)
		VFMADD231PS(w.constant("geluScaleLow", -low(scale)), y, zLow)
		VFMADD231PS(by, yLow, zLow)
		w.exp(z)
		VFMADD231PS(z, zLow, z) // exp(z+zLow), zLow small
		VADDPS(w.constant("term0", 1), z, z)
		VDIVPS(z, value, value)
		VMOVUPS(value, Mem{Base: x})
		ADDQ(Imm(w.bytes()), x)
	})
	VZEROUPPER()
	RET()
}
