package main

// squares adds in float64: what float32 can hold may have a square that it cannot.
func squares(p *program) {
	f := p.function("squares", "x *float32, steps int, sums *float64", "sets the 16 sums to those of the squares of every sixteenth value. steps is not 0.")
	x, steps, to := f.param("x"), f.param("steps"), f.param("sums")
	sums := f.vecs(8)
	f.zero(sums...)
	f.loop("next", steps, func() {
		for i, v := range f.load(x, 0, 4) {
			lower, upper := f.doubles(v)
			f.op("fmla", sums[2*i].d2(), lower.d2(), lower.d2())
			f.op("fmla", sums[2*i+1].d2(), upper.d2(), upper.d2())
			f.free(lower, upper)
		}
		f.advance(x, 64)
	})
	f.store(sums, to, 0)
	f.ret()
}

// double returns a register full of an argument of type float64.
func (f *function) double(name string) vec {
	v := f.vec()
	f.goes("FMOVD %s+%d(FP), F%d", name, f.arguments[name].offset, v)
	f.op("zip1", v.d2(), v.d2(), v.d2())
	return v
}

// doubles turns four float32 into float64, and frees them.
func (f *function) doubles(v vec) (lower, upper vec) {
	lower = f.vec()
	f.op("fcvtl", lower.d2(), v.s2())
	f.op("fcvtl2", v.d2(), v.s4())
	return lower, v
}

// deviations adds what values differ from a number by, and the squares of that.
func deviations(p *program) {
	f := p.function("deviations", "x *float32, steps int, from float64, sums *float64, squares *float64",
		"sets the 8 sums to those of every eighth value less a number, and squares to those of the squares. steps is not 0.")
	x, steps, from, to, squaresTo := f.param("x"), f.param("steps"), f.double("from"), f.param("sums"), f.param("squares")
	sums, squares := f.vecs(4), f.vecs(4)
	f.zero(sums...)
	f.zero(squares...)
	f.loop("next", steps, func() {
		for i, v := range f.load(x, 0, 2) {
			lower, upper := f.doubles(v)
			for j, v := range []vec{lower, upper} {
				f.op("fsub", v.d2(), v.d2(), from.d2())
				f.op("fadd", sums[2*i+j].d2(), sums[2*i+j].d2(), v.d2())
				f.op("fmla", squares[2*i+j].d2(), v.d2(), v.d2())
				f.free(v)
			}
		}
		f.advance(x, 32)
	})
	f.store(sums, to, 0)
	f.store(squares, squaresTo, 0)
	f.ret()
}

func standardize(p *program) {
	f := p.function("standardize", "y *float32, x *float32, weight *float32, mean float64, scale float64, steps int",
		"sets y to (x - mean) * scale * weight, eight a step. steps is not 0.")
	y, x, weight, mean, scale, steps := f.param("y"), f.param("x"), f.param("weight"), f.double("mean"), f.double("scale"), f.param("steps")
	f.loop("next", steps, func() {
		w := f.load(weight, 0, 2)
		var all []vec
		for i, v := range f.load(x, 0, 2) {
			lower, upper := f.doubles(v)
			for _, v := range []vec{lower, upper} {
				f.op("fsub", v.d2(), v.d2(), mean.d2())
				f.op("fmul", v.d2(), v.d2(), scale.d2())
			}
			f.op("fcvtn", lower.s2(), lower.d2())
			f.op("fcvtn2", lower.s4(), upper.d2())
			f.op("fmul", lower.s4(), lower.s4(), w[i].s4())
			f.free(upper)
			all = append(all, lower)
		}
		f.store(all, y, 0)
		f.free(append(all, w...)...)
		for _, at := range []gp{y, x, weight} {
			f.advance(at, 32)
		}
	})
	f.ret()
}

func weigh(p *program) {
	f := p.function("weigh", "y *float32, x *float32, weight *float32, scale float32, steps int",
		"sets y to x * scale * weight, eight a step. steps is not 0.")
	y, x, weight, steps := f.param("y"), f.param("x"), f.param("weight"), f.param("steps")
	scale := f.vec()
	f.goes("FMOVS scale+%d(FP), F%d", f.arguments["scale"].offset, scale)
	f.loop("next", steps, func() {
		v, w := f.load(x, 0, 2), f.load(weight, 0, 2)
		for i, v := range v {
			f.op("fmul", v.s4(), v.s4(), scale.lane(0))
			f.op("fmul", v.s4(), v.s4(), w[i].s4())
		}
		f.store(v, y, 0)
		f.free(append(v, w...)...)
		for _, at := range []gp{y, x, weight} {
			f.advance(at, 32)
		}
	})
	f.ret()
}

// rotate turns pairs whose elements are in a and b.
func (f *function) rotate(a, b, cos, sin vec) {
	x, y := f.vec(), f.vec()
	f.op("fmul", x.s4(), a.s4(), sin.s4())
	f.op("fmul", y.s4(), b.s4(), sin.s4())
	f.op("fmul", a.s4(), a.s4(), cos.s4())
	f.op("fmul", b.s4(), b.s4(), cos.s4())
	f.op("fsub", a.s4(), a.s4(), y.s4())
	f.op("fadd", b.s4(), b.s4(), x.s4())
	f.free(x, y)
}

func rotations(p *program) {
	f := p.function("rotateHalves", "a *float32, b *float32, cos *float32, sin *float32, steps int",
		"turns the pairs of a and b, eight a step. steps is not 0.")
	a, b, cos, sin, steps := f.param("a"), f.param("b"), f.param("cos"), f.param("sin"), f.param("steps")
	f.loop("next", steps, func() {
		v, w, c, s := f.load(a, 0, 2), f.load(b, 0, 2), f.load(cos, 0, 2), f.load(sin, 0, 2)
		for i := range v {
			f.rotate(v[i], w[i], c[i], s[i])
		}
		f.store(v, a, 0)
		f.store(w, b, 0)
		for _, registers := range [][]vec{v, w, c, s} {
			f.free(registers...)
		}
		for _, at := range []gp{a, b, cos, sin} {
			f.advance(at, 32)
		}
	})
	f.ret()

	f = p.function("rotatePairs", "x *float32, cos *float32, sin *float32, steps int", "turns pairs of neighbours, four a step. steps is not 0.")
	x, cos, sin, steps := f.param("x"), f.param("cos"), f.param("sin"), f.param("steps")
	f.loop("next", steps, func() {
		v, c, s, even, odd := f.load(x, 0, 2), f.load(cos, 0, 1)[0], f.load(sin, 0, 1)[0], f.vec(), f.vec()
		f.op("uzp1", even.s4(), v[0].s4(), v[1].s4())
		f.op("uzp2", odd.s4(), v[0].s4(), v[1].s4())
		f.rotate(even, odd, c, s)
		f.op("zip1", v[0].s4(), even.s4(), odd.s4())
		f.op("zip2", v[1].s4(), even.s4(), odd.s4())
		f.store(v, x, 0)
		f.free(append(v, c, s, even, odd)...)
		f.advance(x, 32)
		f.advance(cos, 16)
		f.advance(sin, 16)
	})
	f.ret()
}
