package main

import (
	"fmt"
	"math"
)

// mix adds rows that are weighted.
func mix(p *program) {
	for _, eights := range []int{8, 1} {
		f := p.function(fmt.Sprintf("mixx%d", eights), "weights *float32, n int, v *float32, stride int, out *float32",
			fmt.Sprintf("sets %d floats of out to the weighted sum of n rows, which lie stride bytes apart. n is not 0.", 8*eights))
		weights, n, v, stride, out := f.param("weights"), f.param("n"), f.param("v"), f.param("stride"), f.param("out")
		sums := f.vecs(2 * eights)
		f.zero(sums...)
		f.loop("next", n, func() {
			weight := f.vec()
			f.op("ldr", weight.s(), weights.next(4))
			for i := 0; i < len(sums); i += 4 {
				row := f.load(v, 16*i, min(4, len(sums)-i))
				for j, x := range row {
					f.op("fmla", sums[i+j].s4(), x.s4(), weight.lane(0))
				}
				f.free(row...)
			}
			f.free(weight)
			f.goes("ADD %s, %s", stride, v)
		})
		f.store(sums, out, 0)
		f.ret()
	}
}

func largest(p *program) {
	f := p.function("largest", "x *float32, steps int, lanes *float32", "sets lanes to the largest of every eighth value. steps is not 0.")
	x, steps, lanes := f.param("x"), f.param("steps"), f.param("lanes")
	most := f.load(x, 0, 2)
	f.loop("next", steps, func() {
		v := f.load(x, 0, 2)
		for i := range v {
			f.op("fmax", most[i].s4(), most[i].s4(), v[i].s4())
		}
		f.free(v...)
		f.advance(x, 32)
	})
	f.store(most, lanes, 0)
	f.ret()
}

// float returns a register full of a number.
func (f *function) float(name string, value float32) vec {
	return f.constant(name, math.Float32bits(value))
}

// exponential has the constants of exp.
type exponential struct {
	least, most, log2E, ln2High, ln2Low vec
	terms                               []vec // from the seventh power down
}

func (f *function) exponential() *exponential {
	e := &exponential{
		least: f.float("expLeast", -87.3), most: f.float("expMost", 88.3), log2E: f.float("log2E", 1.44269504),
		ln2High: f.float("ln2High", 0.693359375), ln2Low: f.float("ln2Low", -2.12194440e-4),
	}
	for i, term := range []float32{1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1} {
		e.terms = append(e.terms, f.float(fmt.Sprintf("term%d", 7-i), term))
	}
	return e
}

// one is a register full of it.
func (e *exponential) one() vec { return e.terms[len(e.terms)-1] }

// exp replaces each x by its exponential, accurate to about 2 units in the last place between -87.3 and 88.3; what is outside is
// taken as the nearer of these, and NaN stays NaN.
//
// With n the integer nearest to x/ln 2, it is 2^n times the exponential of the small rest, for which eight terms of the series do.
func (f *function) exp(e *exponential, x []vec) {
	whole, n := f.vecs(len(x)), f.vecs(len(x))
	each := func(step func(x, whole, n vec)) {
		for i := range x {
			step(x[i], whole[i], n[i])
		}
	}
	each(func(x, _, _ vec) { f.op("fmax", x.s4(), x.s4(), e.least.s4()) })
	each(func(x, _, _ vec) { f.op("fmin", x.s4(), x.s4(), e.most.s4()) })
	each(func(x, _, n vec) { f.op("fmul", n.s4(), x.s4(), e.log2E.s4()) })
	each(func(_, whole, n vec) { f.op("fcvtns", whole.s4(), n.s4()) })
	each(func(_, whole, n vec) { f.op("scvtf", n.s4(), whole.s4()) })
	each(func(x, _, n vec) { f.op("fmls", x.s4(), n.s4(), e.ln2High.s4()) })
	each(func(x, _, n vec) { f.op("fmls", x.s4(), n.s4(), e.ln2Low.s4()) })
	// From here on n is the sum of the series, whose last term is that before it.
	sum, other := n, f.vecs(len(x))
	each(func(_, _, n vec) { f.op("mov", n.b16(), e.terms[0].b16()) })
	for _, term := range append(e.terms[1:], e.one()) {
		for i := range x {
			f.op("mov", other[i].b16(), term.b16())
		}
		for i := range x {
			f.op("fmla", other[i].s4(), sum[i].s4(), x[i].s4())
		}
		sum, other = other, sum
	}
	// The bits of 1 are those of 2^0: adding n to the exponent makes 2^n.
	each(func(_, whole, _ vec) { f.op("shl", whole.s4(), whole.s4(), imm(23)) })
	each(func(_, whole, _ vec) { f.op("add", whole.s4(), whole.s4(), e.one().s4()) })
	for i := range x {
		f.op("fmul", x[i].s4(), sum[i].s4(), whole[i].s4())
	}
	f.free(whole...)
	f.free(sum...)
	f.free(other...)
}

func exponentials(p *program) {
	f := p.function("exp", "x *float32, steps int, shift float32, lanes *float32",
		"sets each x to the exponential of x - shift and lanes to the sums of every eighth. steps is not 0.")
	x, steps, lanes := f.param("x"), f.param("steps"), f.param("lanes")
	shift := f.vec()
	f.goes("FMOVS shift+%d(FP), F%d", f.arguments["shift"].offset, shift)
	f.op("dup", shift.s4(), shift.lane(0))
	e, sums := f.exponential(), f.vecs(2)
	f.zero(sums...)
	f.loop("next", steps, func() {
		v := f.load(x, 0, 2)
		for _, v := range v {
			f.op("fsub", v.s4(), v.s4(), shift.s4())
		}
		f.exp(e, v)
		for i, v := range v {
			f.op("fadd", sums[i].s4(), sums[i].s4(), v.s4())
		}
		f.store(v, x, 0)
		f.free(v...)
		f.advance(x, 32)
	})
	f.store(sums, lanes, 0)
	f.ret()

	f = p.function("swiglu", "gate *float32, up *float32, steps int", "sets gate to silu(gate) * up, eight a step. steps is not 0.")
	gate, up, steps := f.param("gate"), f.param("up"), f.param("steps")
	e = f.exponential()
	f.loop("next", steps, func() {
		g, v := f.load(gate, 0, 2), f.vecs(2)
		for i := range g {
			f.op("fneg", v[i].s4(), g[i].s4())
		}
		f.exp(e, v)
		u := f.load(up, 0, 2)
		for i := range g {
			f.op("fadd", v[i].s4(), v[i].s4(), e.one().s4())
			f.op("fdiv", v[i].s4(), g[i].s4(), v[i].s4())
			f.op("fmul", v[i].s4(), v[i].s4(), u[i].s4())
		}
		f.store(v, gate, 0)
		f.free(append(append(g, v...), u...)...)
		f.advance(gate, 32)
		f.advance(up, 32)
	})
	f.ret()
}
