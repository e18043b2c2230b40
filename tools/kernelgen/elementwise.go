package main

import (
	. "github.com/mmcloughlin/avo/build" //nolint:staticcheck // the form that avo's programs have
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// mix adds rows that are weighted.
func mix() {
	for _, vectors := range []int{8, 1} {
		name := "mixx" + string(rune('0'+vectors))
		TEXT(name, NOSPLIT, "func(weights *float32, n int, v *float32, stride int, out *float32)")
		Pragma("noescape")
		Doc(name + " sets 8 floats of out for each of its registers to the weighted sum of n rows, which lie stride bytes apart. n is not 0.")
		weights, n, v, stride, out := param("weights"), param("n"), param("v"), param("stride"), param("out")
		sums := make([]reg.VecVirtual, vectors)
		for i := range sums {
			sums[i] = YMM()
			VXORPS(sums[i], sums[i], sums[i])
		}
		loop("next", n, func() {
			weight := YMM()
			VBROADCASTSS(Mem{Base: weights}, weight)
			for i := range sums {
				VFMADD231PS(Mem{Base: v, Disp: 32 * i}, weight, sums[i])
			}
			ADDQ(Imm(4), weights)
			ADDQ(stride, v)
		})
		for i := range sums {
			VMOVUPS(sums[i], Mem{Base: out, Disp: 32 * i})
		}
		VZEROUPPER()
		RET()
	}
}

func largest() {
	TEXT("largest", NOSPLIT, "func(x *float32, steps int, lanes *float32)")
	Pragma("noescape")
	Doc("largest sets lanes to the largest of every eighth value. A NaN may be passed over. steps is not 0.")
	x, steps, lanes := param("x"), param("steps"), param("lanes")
	v := YMM()
	VMOVUPS(Mem{Base: x}, v)
	loop("next", steps, func() {
		VMAXPS(Mem{Base: x}, v, v)
		ADDQ(Imm(32), x)
	})
	VMOVUPS(v, Mem{Base: lanes})
	VZEROUPPER()
	RET()
}

var constants = map[string]Mem{}

// constant returns a register full of value, which the file holds once under the name.
func constant(name string, value float32) reg.VecVirtual {
	if _, ok := constants[name]; !ok {
		constants[name] = ConstData(name, F32(value))
	}
	v := YMM()
	VBROADCASTSS(constants[name], v)
	return v
}

// exp replaces x by its exponential, accurate to about 2 units in the last place between -87.3 and 88.3; what is outside is
// taken as the nearer of these, and NaN stays NaN.
//
// With n the integer nearest to x/ln 2, it is 2^n times the exponential of the small rest, for which eight terms of the series do.
func exp(x reg.VecVirtual) {
	// Of two operands with a NaN the second is the result, which is x.
	VMAXPS(x, constant("expLeast", -87.3), x)
	VMINPS(x, constant("expMost", 88.3), x)
	n, whole := YMM(), YMM()
	VMULPS(constant("log2E", 1.44269504), x, n)
	VCVTPS2DQ(n, whole)
	VCVTDQ2PS(whole, n)
	VFNMADD231PS(constant("ln2High", 0.693359375), n, x)
	VFNMADD231PS(constant("ln2Low", -2.12194440e-4), n, x)
	sum := constant("term7", 1.0/5040)
	for _, t := range []struct {
		name  string
		value float32
	}{{"term6", 1.0 / 720}, {"term5", 1.0 / 120}, {"term4", 1.0 / 24}, {"term3", 1.0 / 6}, {"term2", 0.5}, {"term1", 1}, {"term0", 1}} {
		VFMADD213PS(constant(t.name, t.value), x, sum)
	}
	// The bits of 1 are those of 2^0: adding n to the exponent makes 2^n.
	VPSLLD(Imm(23), whole, whole)
	VPADDD(constant("term0", 1), whole, whole)
	VMULPS(whole, sum, x)
}

func exponentials() {
	TEXT("exp", NOSPLIT, "func(x *float32, steps int, shift float32, lanes *float32)")
	Pragma("noescape")
	Doc("exp sets each x to the exponential of x - shift and lanes to the sums of every eighth. steps is not 0.")
	x, steps, lanes := param("x"), param("steps"), param("lanes")
	shift, sums := YMM(), YMM()
	shiftAt, err := Param("shift").Resolve()
	if err != nil {
		panic(err)
	}
	VBROADCASTSS(shiftAt.Addr, shift)
	VXORPS(sums, sums, sums)
	loop("next", steps, func() {
		v := YMM()
		VMOVUPS(Mem{Base: x}, v)
		VSUBPS(shift, v, v)
		exp(v)
		VADDPS(v, sums, sums)
		VMOVUPS(v, Mem{Base: x})
		ADDQ(Imm(32), x)
	})
	VMOVUPS(sums, Mem{Base: lanes})
	VZEROUPPER()
	RET()

	TEXT("swiglu", NOSPLIT, "func(gate *float32, up *float32, steps int)")
	Pragma("noescape")
	Doc("swiglu sets gate to silu(gate) * up. steps is not 0.")
	gate, up, steps := param("gate"), param("up"), param("steps")
	sign, one := YMM(), constant("term0", 1)
	VPCMPEQD(sign, sign, sign)
	VPSLLD(Imm(31), sign, sign)
	loop("next", steps, func() {
		g, v := YMM(), YMM()
		VMOVUPS(Mem{Base: gate}, g)
		VXORPS(sign, g, v)
		exp(v)
		VADDPS(one, v, v)
		VDIVPS(v, g, v)
		VMULPS(Mem{Base: up}, v, v)
		VMOVUPS(v, Mem{Base: gate})
		ADDQ(Imm(32), gate)
		ADDQ(Imm(32), up)
	})
	VZEROUPPER()
	RET()
}

// gelu multiplies each value with the normal distribution's share below it. With z the value's size over the root of two, the share
// beyond it is half of erfc(z) = t*exp(-z*z + p(t)), t = 1/(1+z/2), p Chebyshev's polynomial for a relative error of 1.2e-7 (Press et
// al., Numerical Recipes, 6.2). What rounding takes off the square, where it would grow with the exponent, is put back.
func gelu() {
	TEXT("gelu", NOSPLIT, "func(x *float32, steps int)")
	Pragma("noescape")
	Doc("gelu sets x to x times the normal distribution. steps is not 0.")
	x, steps := param("x"), param("steps")
	loop("next", steps, func() {
		v, size, square, rest, t, share := YMM(), YMM(), YMM(), YMM(), YMM(), YMM()
		VMOVUPS(Mem{Base: x}, v)
		VPCMPEQD(size, size, size)
		VPSRLD(Imm(1), size, size)
		VANDPS(size, v, size)
		// Beyond 13 the share is no float32; of two operands with a NaN the second is the result.
		VMINPS(size, constant("geluMost", 16), size)
		VMULPS(size, size, square)
		VMOVAPS(square, rest)
		VFMSUB231PS(size, size, rest)
		VMOVAPS(size, t)
		VFMADD213PS(constant("term0", 1), constant("geluZ", 0.5/1.4142135623730951), t)
		VDIVPS(t, constant("term0", 1), t)
		sum := constant("erfc9", 0.17087277)
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
			VFMADD213PS(constant(c.name, c.value), t, sum)
		}
		exp(sum)
		half := constant("term2", 0.5)
		VMULPS(half, t, t)
		VMULPS(sum, t, t)
		VMOVAPS(half, share)
		VFNMADD213PS(constant("term0", 1), rest, share)
		VMULPS(share, t, t)
		VXORPS(share, share, share)
		VFNMADD231PS(half, square, share)
		exp(share)
		VMULPS(t, share, share)
		other := YMM()
		VSUBPS(share, constant("term0", 1), other)
		VBLENDVPS(v, share, other, share)
		VMULPS(v, share, v)
		VMOVUPS(v, Mem{Base: x})
		ADDQ(Imm(32), x)
	})
	VZEROUPPER()
	RET()
}

// geluTanh multiplies each value x with the logistic function of y = 2*sqrt(2/pi)*(x + 0.044715*x*x*x), which is the usual approximation of
// GELU. The exponential makes the error of y one of the result, in parts: all of y is computed as a sum of two numbers.
func geluTanh() {
	TEXT("geluTanh", NOSPLIT, "func(x *float32, steps int)")
	Pragma("noescape")
	Doc("geluTanh sets x to its approximate GELU by tanh. steps is not 0.")
	x, steps := param("x"), param("steps")
	const scale, cubic = 1.5957691216057308, 0.044715
	// low is what rounding takes off a constant.
	low := func(c float64) float32 { return float32(c - float64(float32(c))) }
	loop("next", steps, func() {
		value, v := YMM(), YMM()
		square, squareLow, p, pLow, w, wLow := YMM(), YMM(), YMM(), YMM(), YMM(), YMM()
		VMOVUPS(Mem{Base: x}, value)
		// Beyond 16 the result is the value or nothing, and the square may be no number.
		VMINPS(value, constant("geluMost", 16), v)
		VMAXPS(v, constant("geluLeast", -16), v)
		one := constant("term0", 1)
		VMULPS(v, v, square)
		VMOVAPS(square, squareLow)
		VFMSUB231PS(v, v, squareLow)
		by := constant("geluCubic", cubic)
		VMULPS(by, square, p)
		VMOVAPS(p, pLow)
		VFMSUB231PS(by, square, pLow)
		VFMADD231PS(constant("geluCubicLow", low(cubic)), square, pLow)
		VFMADD231PS(by, squareLow, pLow)
		// w + wLow is 1 + p + pLow, whichever of the two is larger.
		back, rest := YMM(), YMM()
		VADDPS(p, one, w)
		VSUBPS(one, w, back)
		VSUBPS(back, w, rest)
		VSUBPS(rest, one, rest)
		VSUBPS(back, p, wLow)
		VADDPS(rest, wLow, wLow)
		VADDPS(pLow, wLow, wLow)
		y, yLow, z, zLow := YMM(), YMM(), YMM(), YMM()
		VMULPS(v, w, y)
		VMOVAPS(y, yLow)
		VFMSUB231PS(v, w, yLow)
		VFMADD231PS(v, wLow, yLow)
		by = constant("geluScale", -scale)
		VMULPS(by, y, z)
		VMOVAPS(z, zLow)
		VFMSUB231PS(by, y, zLow)
		VFMADD231PS(constant("geluScaleLow", -low(scale)), y, zLow)
		VFMADD231PS(by, yLow, zLow)
		exp(z)
		VFMADD231PS(z, zLow, z) // exp(z+zLow), zLow small
		VADDPS(constant("term0", 1), z, z)
		VDIVPS(z, value, value)
		VMOVUPS(value, Mem{Base: x})
		ADDQ(Imm(32), x)
	})
	VZEROUPPER()
	RET()
}
