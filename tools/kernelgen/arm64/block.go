package main

import "fmt"

// block is a block type of ggml: how its weights are found, 16 at a time, and what they are multiplied with. The closures write the
// instructions for one block, which begins at w; registers that constants loaded keep their values.
type block struct {
	name string
	// A block holds 32 or 256 elements in so many bytes.
	elements, bytes int
	// wide says that 32 weights share a scale; otherwise 16 do.
	wide bool
	// constants loads what is needed for every block.
	constants func(f *function)
	// scales returns the scales as floats, and the minima where the type has any. A block of 32 has one in the lowest lane; one of 256
	// has one for each run of weights, four to a register, or one register full of the same.
	scales func(f *function, w gp) (scales, minima []vec)
	// subtracted says that minima are subtracted, not added.
	subtracted bool
	// weights calls emit with 16 signed bytes each, in their order. emit may change them, and frees them.
	weights func(f *function, w gp, emit func(v vec))
	// centre is to be taken off the weights.
	centre int
}

// runs is how many runs of weights with a scale of their own a block has.
func (b *block) runs() int {
	if b.wide {
		return b.elements / 32
	}
	return b.elements / 16
}

// product is a way to multiply bytes.
type product struct {
	suffix string
	// add returns four sums of the products of weights and activations.
	add func(f *function, weights, x []vec) vec
}

// multiplyDot needs the instruction for dot products, multiplyWide goes by way of 16 bits: two products fit, as activations are
// not -128.
var (
	multiplyDot = product{"Dot", func(f *function, weights, x []vec) vec {
		sum := f.vec()
		f.zero(sum)
		for i, w := range weights {
			f.op("sdot", sum.s4(), w.b16(), x[i].b16())
		}
		return sum
	}}
	multiplyWide = product{"NEON", func(f *function, weights, x []vec) vec {
		sum, pairs := f.vec(), f.vec()
		for i, w := range weights {
			f.op("smull", pairs.h8(), w.b8(), x[i].b8())
			f.op("smlal2", pairs.h8(), w.b16(), x[i].b16())
			f.op([]string{"saddlp", "sadalp"}[min(i, 1)], sum.s4(), pairs.h8())
		}
		f.free(pairs)
		return sum
	}}
)

// ahead is how many bytes before they are needed weights are fetched.
const ahead = 1536

// dot multiplies rows with a vector of 8-bit activations.
func (b *block) dot(p *program, m product) {
	run := 16
	if b.wide {
		run = 32
	}
	f := p.function("dot"+b.name+m.suffix, "w *byte, rows int, blocks int, q *int8, scale *float32, sum *float32, out *float32",
		fmt.Sprintf("sets out to the products of rows of blocks and activations, whose sums are those of each %d. rows and blocks are not 0.", run))
	w, rows, out := f.param("w"), f.param("rows"), f.param("out")
	q, scale, sum, blocks := f.gp(), f.gp(), f.gp(), f.gp()
	b.constants(f)
	var centre vec
	switch {
	case b.centre == 0:
	case b.elements == 32:
		centre = f.filled(b.centre)
	default:
		centre = f.float(fmt.Sprintf("float%d", b.centre), float32(b.centre))
	}
	f.label("row")
	f.reload("q", q)
	f.reload("scale", scale)
	f.reload("sum", sum)
	f.reload("blocks", blocks)
	sums := f.vecs(2)
	f.zero(sums...)
	// Two sums take turns, so that an addition need not wait for the one before it. A small block has only one: the loop then holds two.
	f.label("block")
	for turn := range 2 - b.elements/256 {
		if turn > 0 {
			f.goes("CBZ %s, end", blocks)
		}
		for at := 0; at < b.bytes; at += 64 {
			f.goes("PRFM %d(%s), PLDL1KEEP", ahead+at, w)
		}
		if b.elements == 32 {
			b.addSmall(f, m, w, q, scale, sum, centre, sums[turn], sums[1-turn])
		} else {
			b.addLarge(f, m, w, q, scale, sum, centre, sums)
		}
		f.advance(w, b.bytes)
		f.advance(q, b.elements)
		f.advance(scale, b.elements/8)
		f.advance(sum, 4*b.runs())
		f.goes("SUB $1, %s", blocks)
	}
	f.goes("CBNZ %s, block", blocks)
	f.label("end")
	f.total(sums...)
	f.op("str", sums[0].s(), out.next(4))
	f.goes("SUB $1, %s", rows)
	f.goes("CBNZ %s, row", rows)
	f.ret()
}

// lowest is how minima are added to a sum.
func (b *block) lowest() string {
	if b.subtracted || b.centre != 0 {
		return "fmls"
	}
	return "fmla"
}

// addSmall adds the products with a block of 32 to a sum, and those of its minimum to the other.
func (b *block) addSmall(f *function, m product, w, q, scale, sum gp, centre, first, second vec) {
	scales, minima := b.scales(f, w)
	factor := f.vec()
	f.op("ldr", factor.s(), scale.at(0))
	f.op("fmul", factor.s(), factor.s(), scales[0].s())
	f.free(scales...)
	if minima != nil {
		total := f.vec()
		f.op("ldr", total.s(), sum.at(0))
		f.op(b.lowest(), second.s4(), total.s4(), minima[0].lane(0))
		f.free(append(minima, total)...)
	}
	var all []vec
	b.weights(f, w, func(v vec) {
		if b.centre != 0 {
			f.op("sub", v.b16(), v.b16(), centre.b16())
		}
		all = append(all, v)
	})
	x := f.load(q, 0, 2)
	products := m.add(f, all, x)
	f.op("scvtf", products.s4(), products.s4())
	f.op("fmla", first.s4(), products.s4(), factor.lane(0))
	f.free(append(append(all, x...), products, factor)...)
}

// addLarge adds the products with a block of 256 to two sums.
func (b *block) addLarge(f *function, m product, w, q, scale, sum gp, centre vec, sums []vec) {
	scales, minima := b.scales(f, w)
	of := func(v []vec, four int) vec { return v[min(four, len(v)-1)] }
	fours := b.runs() / 4
	for four := range fours {
		if minima == nil && b.centre == 0 {
			break
		}
		total := f.load(sum, 16*four, 1)[0]
		if b.centre != 0 {
			// What is taken off each weight is taken off the sum of the activations.
			f.op("fmul", total.s4(), total.s4(), centre.s4())
			f.op("fmls", sums[four%2].s4(), total.s4(), of(scales, four).s4())
		} else {
			f.op(b.lowest(), sums[four%2].s4(), total.s4(), of(minima, four).s4())
		}
		f.free(total)
	}
	f.free(minima...)
	factors := f.load(scale, 0, 2)
	if !b.wide {
		// Each scale of 32 activations belongs to two runs.
		var twice []vec
		for _, v := range factors {
			both := f.vecs(2)
			f.op("zip1", both[0].s4(), v.s4(), v.s4())
			f.op("zip2", both[1].s4(), v.s4(), v.s4())
			twice = append(twice, both...)
		}
		f.free(factors...)
		factors = twice
	}
	for four, v := range factors {
		f.op("fmul", v.s4(), v.s4(), of(scales, four).s4())
	}
	f.free(scales...)
	var waiting, runs []vec // weights of a run, and sums of the runs that share a register of factors
	at, four := 0, 0
	b.weights(f, w, func(v vec) {
		waiting = append(waiting, v)
		if len(waiting) < b.elements/b.runs()/16 {
			return
		}
		x := f.load(q, at, len(waiting))
		at += 16 * len(waiting)
		runs = append(runs, m.add(f, waiting, x))
		f.free(append(waiting, x...)...)
		waiting = nil
		if len(runs) < 4 {
			return
		}
		f.op("addp", runs[0].s4(), runs[0].s4(), runs[1].s4())
		f.op("addp", runs[2].s4(), runs[2].s4(), runs[3].s4())
		f.op("addp", runs[0].s4(), runs[0].s4(), runs[2].s4())
		f.op("scvtf", runs[0].s4(), runs[0].s4())
		f.op("fmla", sums[four%2].s4(), runs[0].s4(), factors[four].s4())
		f.free(runs...)
		runs, four = nil, four+1
	})
	f.free(factors...)
}

// decode turns blocks into float32 the way that ggml's reference rounds: each product by itself.
func (b *block) decode(p *program) {
	f := p.function("decode"+b.name, "src *byte, blocks int, dst *float32", "turns blocks into float32. blocks is not 0.")
	w, blocks, dst := f.param("src"), f.param("blocks"), f.param("dst")
	b.constants(f)
	var centre vec
	if b.centre != 0 {
		centre = f.filled(b.centre)
	}
	f.loop("block", blocks, func() {
		scales, minima := b.scales(f, w)
		i := 0
		b.weights(f, w, func(v vec) {
			run := i * b.runs() * 16 / b.elements
			four := run / 4
			if b.centre != 0 {
				f.op("sub", v.b16(), v.b16(), centre.b16())
			}
			words := f.widen(v)
			var least vec
			if minima != nil {
				least = f.vec()
				f.op("dup", least.s4(), minima[min(four, len(minima)-1)].lane(run%4))
			}
			for _, x := range words {
				f.op("scvtf", x.s4(), x.s4())
				f.op("fmul", x.s4(), x.s4(), scales[min(four, len(scales)-1)].lane(run%4))
				switch {
				case minima == nil:
				case b.subtracted:
					f.op("fsub", x.s4(), x.s4(), least.s4())
				default:
					f.op("fadd", x.s4(), x.s4(), least.s4())
				}
			}
			if minima != nil {
				f.free(least)
			}
			f.store(words, dst, 64*i)
			f.free(words...)
			i++
		})
		f.free(scales...)
		f.free(minima...)
		f.advance(w, b.bytes)
		f.advance(dst, 4*b.elements)
	})
	f.ret()
}

// widen returns 16 signed bytes as 32-bit integers, and frees them.
func (f *function) widen(v vec) []vec {
	low, words := f.vec(), f.vecs(4)
	f.op("sxtl", low.h8(), v.b8())
	f.op("sxtl2", v.h8(), v.b16())
	for i, half := range []vec{low, v} {
		f.op("sxtl", words[2*i].s4(), half.h4())
		f.op("sxtl2", words[2*i+1].s4(), half.h8())
	}
	f.free(low, v)
	return words
}
