package main

// quantize turns activations into blocks of 32 8-bit integers with a scale.
func quantize(p *program) {
	f := p.function("quantize", "x *float32, blocks int, q *int8, scale *float32, sums16 *float32, sums32 *float32",
		"rounds blocks of 32 to multiples of a 127th of the largest of each, and sets the sums of each 16 and 32. blocks is not 0.")
	x, blocks, q, scale, sums16, sums32 := f.param("x"), f.param("blocks"), f.param("q"), f.param("scale"), f.param("sums16"), f.param("sums32")
	steps, least, magnitude := f.float("steps", 127), f.float("least", 0x1p-100), f.constant("magnitude", 0x7fffffff)
	f.loop("next", blocks, func() {
		v := f.load(x, 0, 8)
		// As integers, the bits of a NaN are larger than those of any number: the scale shows it.
		most := f.vecs(8)
		for i := range v {
			f.op("and", most[i].b16(), v[i].b16(), magnitude.b16())
		}
		for n := 4; n > 0; n /= 2 {
			for i := range n {
				f.op("umax", most[i].s4(), most[i].s4(), most[i+n].s4())
			}
		}
		limit, step, inverse, tiny := most[0], most[1], most[2], most[3]
		f.op("umaxv", limit.s(), limit.s4())
		f.op("dup", limit.s4(), limit.lane(0))
		f.op("fcmgt", tiny.s4(), least.s4(), limit.s4()) // not of a NaN, which is kept
		f.op("fdiv", step.s4(), limit.s4(), steps.s4())
		f.op("fdiv", inverse.s4(), steps.s4(), limit.s4())
		f.op("bic", step.b16(), step.b16(), tiny.b16())
		f.op("bic", inverse.b16(), inverse.b16(), tiny.b16())
		f.op("str", step.s(), scale.next(4))
		for _, v := range v {
			f.op("fmul", v.s4(), v.s4(), inverse.s4())
			f.op("fcvtns", v.s4(), v.s4())
		}
		for i := 0; i < 8; i += 2 {
			f.op("sqxtn", v[i].h4(), v[i].s4())
			f.op("sqxtn2", v[i].h8(), v[i+1].s4())
		}
		for i := 0; i < 8; i += 4 {
			f.op("sqxtn", v[i].b8(), v[i].h8())
			f.op("sqxtn2", v[i].b16(), v[i+2].h8())
		}
		f.store([]vec{v[0], v[4]}, q, 0)
		f.op("saddlp", v[0].h8(), v[0].b16())
		f.op("saddlp", v[4].h8(), v[4].b16())
		f.op("addp", v[0].h8(), v[0].h8(), v[4].h8())
		f.op("saddlp", v[0].s4(), v[0].h8())
		f.op("addp", v[0].s4(), v[0].s4(), v[0].s4())
		f.op("scvtf", v[0].s4(), v[0].s4())
		f.op("fmul", v[0].s4(), v[0].s4(), step.lane(0))
		f.op("str", v[0].d(), sums16.next(8))
		f.op("faddp", v[0].s(), v[0].s2())
		f.op("str", v[0].s(), sums32.next(4))
		f.free(v...)
		f.free(most...)
		f.advance(x, 128)
		f.advance(q, 32)
	})
	f.ret()
}
