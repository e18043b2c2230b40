package main

// mediumBlocks are the types whose blocks hold 64 or 128 elements, which dotMedium multiplies. Their scales are in one register: full
// of the same, or one for each 16 weights.
func mediumBlocks() []*block { return []*block{q1(), q2(), nvfp4()} }

// dotMedium multiplies rows with a vector of 8-bit activations, a run of weights with the same scale at a time.
func (b *block) dotMedium(p *program, m product) {
	f := p.function("dot"+b.name+m.suffix, "w *byte, rows int, blocks int, q *int8, scale *float32, sum *float32, out *float32",
		"sets out to the products of rows of blocks and activations, whose sums it does not need. rows and blocks are not 0.")
	w, rows, out := f.param("w"), f.param("rows"), f.param("out")
	q, scale, blocks := f.gp(), f.gp(), f.gp()
	b.constants(f)
	f.label("row")
	f.reload("q", q)
	f.reload("scale", scale)
	f.reload("blocks", blocks)
	sums := f.vecs(2)
	f.zero(sums...)
	f.loop("block", blocks, func() {
		f.goes("PRFM %d(%s), PLDL1KEEP", ahead, w)
		scales, _ := b.scales(f, w)
		size := b.elements / b.runs()
		var waiting []vec
		run := 0
		b.weights(f, w, func(v vec) {
			if waiting = append(waiting, v); 16*len(waiting) < size {
				return
			}
			x, factor := f.load(q, run*size, len(waiting)), f.vec()
			products := m.add(f, waiting, x)
			f.op("ldr", factor.s(), scale.at(run*size/32*4))
			f.op("fmul", factor.s4(), scales[0].s4(), factor.lane(0))
			f.op("scvtf", products.s4(), products.s4())
			f.op("fmla", sums[run%2].s4(), products.s4(), factor.lane(run%4))
			f.free(append(append(waiting, x...), products, factor)...)
			waiting = nil
			run++
		})
		f.free(scales...)
		f.advance(w, b.bytes)
		f.advance(q, b.elements)
		f.advance(scale, b.elements/8)
	})
	f.total(sums...)
	f.op("str", sums[0].s(), out.next(4))
	f.goes("SUB $1, %s", rows)
	f.goes("CBNZ %s, row", rows)
	f.ret()
}

// q1 has one bit for each weight: twice the bit, less one.
func q1() *block {
	var signs signing
	var least vec
	return &block{
		name: "Q1_0", elements: 128, bytes: 18, wide: true,
		constants: func(f *function) { signs, least = f.signing(), f.filled(255) },
		scales:    func(f *function, w gp) (scales, minima []vec) { return f.oneScale(f.half(w, 0)) },
		weights: func(f *function, w gp, emit func(vec)) {
			for run := range 4 {
				bits := f.vec()
				f.op("ldr", bits.s(), w.at(2+4*run))
				for half := range 2 {
					mask, v := f.vec(), f.vec()
					f.op("tbl", mask.b16(), bits.b16(), signs.each[half].b16()) // the byte with each weight's bit
					f.op("cmtst", mask.b16(), mask.b16(), signs.one.b16())
					f.op("sub", v.b16(), least.b16(), mask.b16())
					f.op("sub", v.b16(), v.b16(), mask.b16())
					f.free(mask)
					emit(v)
				}
				f.free(bits)
			}
		},
	}
}

// q2 has two bits for each weight, less one, four neighbours in a byte.
func q2() *block {
	var each, shifts, three, one vec
	return &block{
		name: "Q2_0", elements: 64, bytes: 18, wide: true,
		constants: func(f *function) {
			each = f.bytesOf("fourTimes", 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3)
			shifts = f.bytesOf("pairsOfBits", 0, -2, -4, -6)
			three, one = f.filled(3), f.filled(1)
		},
		scales: func(f *function, w gp) (scales, minima []vec) { return f.oneScale(f.half(w, 0)) },
		weights: func(f *function, w gp, emit func(vec)) {
			for i := range 4 {
				v := f.vec()
				f.op("ldr", v.s(), w.at(2+4*i))
				f.op("tbl", v.b16(), v.b16(), each.b16())
				f.op("ushl", v.b16(), v.b16(), shifts.b16())
				f.op("and", v.b16(), v.b16(), three.b16())
				f.op("sub", v.b16(), v.b16(), one.b16())
				emit(v)
			}
		},
	}
}

// nvfp4 has levels for halves of bytes, as MXFP4, and a number of 8 bits as scale of each 16.
func nvfp4() *block {
	var low, table, numbers vec
	return &block{
		name: "NVFP4", elements: 64, bytes: 36,
		constants: func(f *function) {
			low, numbers = f.filled(15), f.filled(0x7f)
			table = f.bytesOf("levelsMXFP4", 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12)
		},
		scales: func(f *function, w gp) (scales, minima []vec) {
			// Exponent and fraction lie in half-precision numbers as in these bytes, but for 8 that the exponents differ by and the
			// halving that doubled levels want. 0x7f is zero.
			s, none, factor := f.vec(), f.vec(), f.float("float128", 128)
			f.op("ldr", s.s(), w.at(0))
			f.op("cmeq", none.b16(), s.b16(), numbers.b16())
			f.op("bic", s.b16(), s.b16(), none.b16())
			f.op("and", s.b16(), s.b16(), numbers.b16())
			f.op("sxtl", s.h8(), s.b8())
			f.op("shl", s.h8(), s.h8(), imm(7))
			f.op("fcvtl", s.s4(), s.h4())
			f.op("fmul", s.s4(), s.s4(), factor.lane(0))
			f.free(none, factor)
			return []vec{s}, nil
		},
		weights: func(f *function, w gp, emit func(vec)) {
			for i := range 4 {
				v := f.vec()
				f.op("ldr", v.d(), w.at(4+8*i))
				lower, upper := f.halves(v, low)
				f.op("zip1", lower.d2(), lower.d2(), upper.d2())
				f.op("tbl", lower.b16(), table.b16(), lower.b16())
				f.free(upper)
				emit(lower)
			}
		},
	}
}
