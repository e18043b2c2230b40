package main

import "fmt"

// each writes an instruction for each of some vectors.
func each(n int, step func(i int)) {
	for i := range n {
		step(i)
	}
}

// gelu multiplies each value with the normal distribution's share below it. With z the value's size over the root of two, the share
// beyond it is half of erfc(z) = t*exp(-z*z + p(t)), t = 1/(1+z/2), p Chebyshev's polynomial for a relative error of 1.2e-7 (Press et
// al., Numerical Recipes, 6.2). What rounding takes off the square, where it would grow with the exponent, is put back.
func gelu(p *program) {
	const n = 2
	f := p.function("gelu", "x *float32, steps int", "sets x to x times the normal distribution, eight a step. steps is not 0.")
	x, steps := f.param("x"), f.param("steps")
	e := f.exponential()
	half := e.terms[len(e.terms)-2]
	f.loop("next", steps, func() {
		v, size, square, less, t := f.load(x, 0, n), f.vecs(n), f.vecs(n), f.vecs(n), f.vecs(n)
		// Beyond 13 the share is no float32.
		magnitude, most, z := f.constant("magnitude", 0x7fffffff), f.float("geluMost", 16), f.float("geluZ", 0.5/1.4142135623730951)
		each(n, func(i int) {
			f.op("and", size[i].b16(), v[i].b16(), magnitude.b16())
			f.op("fmin", size[i].s4(), size[i].s4(), most.s4())
			f.op("fmul", square[i].s4(), size[i].s4(), size[i].s4())
			f.op("mov", less[i].b16(), square[i].b16())
			f.op("fmls", less[i].s4(), size[i].s4(), size[i].s4()) // what the square is too large by
			f.op("mov", t[i].b16(), e.one().b16())
			f.op("fmla", t[i].s4(), size[i].s4(), z.s4())
			f.op("fdiv", t[i].s4(), e.one().s4(), t[i].s4())
		})
		f.free(magnitude, most, z)
		f.free(size...)
		sum, other := f.vecs(n), f.vecs(n)
		for i, c := range []float32{
			0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368, -1.26551223,
		} {
			term := f.float(fmt.Sprintf("erfc%d", 9-i), c)
			each(n, func(j int) { f.op("mov", other[j].b16(), term.b16()) })
			if i > 0 {
				each(n, func(j int) { f.op("fmla", other[j].s4(), sum[j].s4(), t[j].s4()) })
			}
			f.free(term)
			sum, other = other, sum
		}
		f.free(other...)
		f.exp(e, sum)
		share := f.vecs(n)
		each(n, func(i int) {
			f.op("fmul", t[i].s4(), t[i].s4(), half.s4())
			f.op("fmul", t[i].s4(), t[i].s4(), sum[i].s4())
			f.op("mov", share[i].b16(), e.one().b16())
			f.op("fmla", share[i].s4(), less[i].s4(), half.s4())
			f.op("fmul", t[i].s4(), t[i].s4(), share[i].s4())
			f.op("fneg", share[i].s4(), square[i].s4())
			f.op("fmul", share[i].s4(), share[i].s4(), half.s4())
		})
		f.free(sum...)
		f.free(less...)
		f.free(square...)
		f.exp(e, share)
		zero := f.vec()
		f.zero(zero)
		rest, negative := f.vecs(n), f.vecs(n)
		each(n, func(i int) {
			f.op("fmul", share[i].s4(), share[i].s4(), t[i].s4())
			f.op("fsub", rest[i].s4(), e.one().s4(), share[i].s4())
			f.op("fcmgt", negative[i].s4(), zero.s4(), v[i].s4())
			f.op("and", share[i].b16(), share[i].b16(), negative[i].b16())
			f.op("bic", rest[i].b16(), rest[i].b16(), negative[i].b16())
			f.op("orr", share[i].b16(), share[i].b16(), rest[i].b16())
			f.op("fmul", v[i].s4(), v[i].s4(), share[i].s4())
		})
		f.store(v, x, 0)
		f.free(zero)
		for _, registers := range [][]vec{v, t, share, rest, negative} {
			f.free(registers...)
		}
		f.advance(x, 16*n)
	})
	f.ret()
}

// geluTanh multiplies each value x with the logistic function of y = 2*sqrt(2/pi)*(x + 0.044715*x*x*x), which is the usual approximation
// of GELU. The exponential makes the error of y one of the result, in parts: all of y is computed as a sum of two numbers.
func geluTanh(p *program) {
	const n, scale, cubic = 2, 1.5957691216057308, 0.044715
	f := p.function("geluTanh", "x *float32, steps int", "sets x to its approximate GELU by tanh, eight a step. steps is not 0.")
	x, steps := f.param("x"), f.param("steps")
	e := f.exponential()
	// low is what rounding takes off a constant.
	low := func(c float64) float32 { return float32(c - float64(float32(c))) }
	// product sets to and rest to the product of a and b, and what it is too small by.
	product := func(to, rest, a, b vec) {
		f.op("fmul", to.s4(), a.s4(), b.s4())
		f.op("fneg", rest.s4(), to.s4())
		f.op("fmla", rest.s4(), a.s4(), b.s4())
	}
	f.loop("next", steps, func() {
		value, z, zLow := f.load(x, 0, n), f.vecs(n), f.vecs(n)
		// Beyond 16 the result is the value or nothing, and the square may be no number.
		most, least := f.float("geluMost", 16), f.float("geluLeast", -16)
		each(n, func(i int) {
			f.op("fmin", z[i].s4(), value[i].s4(), most.s4())
			f.op("fmax", z[i].s4(), z[i].s4(), least.s4())
		})
		f.free(most, least)
		by, byLow := f.float("geluCubic", cubic), f.float("geluCubicLow", low(cubic))
		factor, factorLow := f.float("geluScale", -scale), f.float("geluScaleLow", -low(scale))
		each(n, func(i int) {
			v, t := z[i], f.vecs(6)
			square, squareLow, p, pLow, w, wLow := t[0], t[1], t[2], t[3], t[4], t[5]
			product(square, squareLow, v, v)
			product(p, pLow, by, square)
			f.op("fmla", pLow.s4(), byLow.s4(), square.s4())
			f.op("fmla", pLow.s4(), by.s4(), squareLow.s4())
			// w + wLow is 1 + p + pLow, whichever of the two is larger.
			back, rest := square, squareLow
			f.op("fadd", w.s4(), e.one().s4(), p.s4())
			f.op("fsub", back.s4(), w.s4(), e.one().s4())
			f.op("fsub", rest.s4(), w.s4(), back.s4())
			f.op("fsub", rest.s4(), e.one().s4(), rest.s4())
			f.op("fsub", wLow.s4(), p.s4(), back.s4())
			f.op("fadd", wLow.s4(), wLow.s4(), rest.s4())
			f.op("fadd", wLow.s4(), wLow.s4(), pLow.s4())
			y, yLow := p, pLow
			product(y, yLow, v, w)
			f.op("fmla", yLow.s4(), v.s4(), wLow.s4())
			product(z[i], zLow[i], factor, y)
			f.op("fmla", zLow[i].s4(), factorLow.s4(), y.s4())
			f.op("fmla", zLow[i].s4(), factor.s4(), yLow.s4())
			f.free(t...)
		})
		f.free(by, byLow, factor, factorLow)
		f.exp(e, z)
		each(n, func(i int) {
			f.op("fmla", z[i].s4(), z[i].s4(), zLow[i].s4()) // exp(z+zLow), zLow small
			f.op("fadd", z[i].s4(), z[i].s4(), e.one().s4())
			f.op("fdiv", value[i].s4(), value[i].s4(), z[i].s4())
		})
		f.store(value, x, 0)
		f.free(value...)
		f.free(z...)
		f.free(zLow...)
		f.advance(x, 16*n)
	})
	f.ret()
}
