package main

import "fmt"

// format is how weights are stored and how lanes of them are loaded as float32.
type format struct {
	name  string
	bytes int
	// load returns registers of four from an address on; their number is even.
	load func(f *function, base gp, registers int) []vec
}

var (
	f32  = format{"F32", 4, func(f *function, base gp, registers int) []vec { return f.load(base, 0, registers) }}
	f16  = format{"F16", 2, wider("fcvtl")}
	bf16 = format{"BF16", 2, wider("shll")}
)

// wider loads 16 bits for each lane, which the instruction turns into float32: the lower half of a register, and its second form the
// upper half.
func wider(instruction string) func(f *function, base gp, registers int) []vec {
	return func(f *function, base gp, registers int) []vec {
		var all []vec
		for _, narrow := range f.load(base, 0, registers/2) {
			wide := f.vecs(2)
			if instruction == "shll" {
				f.op("shll", wide[0].s4(), narrow.h4(), imm(16))
				f.op("shll2", wide[1].s4(), narrow.h8(), imm(16))
			} else {
				f.op("fcvtl", wide[0].s4(), narrow.h4())
				f.op("fcvtl2", wide[1].s4(), narrow.h8())
			}
			f.free(narrow)
			all = append(all, wide...)
		}
		return all
	}
}

// lanes is how many sums a row has: four registers of them hide the latency of an addition.
const lanes = 16

// tile multiplies rows of weights with a vector, 16 elements at a time. The sums stay in lanes.
func tile(p *program, t format, rows int) {
	name := fmt.Sprintf("tile%sx%dNEON", t.name, rows)
	f := p.function(name, "w *byte, wStride int, x *float32, steps int, acc *float32",
		"adds the products of 16 columns a step to the lanes of acc, which is {rows, 16}. wStride is in bytes; steps is not 0.")
	base, stride, x, steps, acc := f.param("w"), f.param("wStride"), f.param("x"), f.param("steps"), f.param("acc")
	at, ahead := []gp{base}, []gp{f.gp()}
	// What the next call reads follows in memory: it is fetched while this one computes. An address beyond the weights is harmless.
	f.goes("ADD %s<<2, %s, %s", stride, base, ahead[0])
	for i := 1; i < rows; i++ {
		at, ahead = append(at, f.gp()), append(ahead, f.gp())
		f.goes("ADD %s, %s, %s", stride, at[i-1], at[i])
		f.goes("ADD %s, %s, %s", stride, ahead[i-1], ahead[i])
	}
	sums := f.load(acc, 0, 4*rows)
	f.loop("next", steps, func() {
		v := f.load(x, 0, 4)
		for r := range rows {
			f.goes("PRFM (%s), PLDL1KEEP", ahead[r])
			w := t.load(f, at[r], 4)
			for i := range w {
				f.op("fmla", sums[4*r+i].s4(), w[i].s4(), v[i].s4())
			}
			f.free(w...)
			f.advance(at[r], 16*t.bytes)
			f.advance(ahead[r], 16*t.bytes)
		}
		f.free(v...)
		f.advance(x, 64)
	})
	f.store(sums, acc, 0)
	f.ret()
}

// total adds up the lanes of registers, which must be a power of two, into the lowest lane of the first.
func (f *function) total(v ...vec) {
	for n := len(v) / 2; n > 0; n /= 2 {
		for i := range n {
			f.op("fadd", v[i].s4(), v[i].s4(), v[i+n].s4())
		}
	}
	f.op("faddp", v[0].s4(), v[0].s4(), v[0].s4())
	f.op("faddp", v[0].s(), v[0].s2())
}

func reduce(p *program) {
	f := p.function("reduceNEON", "acc *float32, n int, out *float32", "sets out[i] to the sum of the i-th group of lanes of acc. n is not 0.")
	acc, n, out := f.param("acc"), f.param("n"), f.param("out")
	f.loop("next", n, func() {
		v := f.load(acc, 0, 4)
		f.total(v...)
		f.op("str", v[0].s(), out.next(4))
		f.free(v...)
		f.advance(acc, 4*lanes)
	})
	f.ret()
}

func decode(p *program, t format) {
	f := p.function("decode"+t.name, "src *byte, steps int, dst *float32", "turns eight elements per step into float32. steps is not 0.")
	src, steps, dst := f.param("src"), f.param("steps"), f.param("dst")
	f.loop("next", steps, func() {
		v := t.load(f, src, 2)
		f.store(v, dst, 0)
		f.free(v...)
		f.advance(src, 8*t.bytes)
		f.advance(dst, 32)
	})
	f.ret()
}
