package main

// tq1 has bytes that are fractions of 256, whose digits to the base of 3 are weights plus one: five of each of 48 bytes, which lie in
// runs of 32 and 16, and four of each of the last 4.
func tq1() *block {
	var first, second, least, three, powers vec
	return &block{
		name: "TQ1_0", elements: 256, bytes: 54, wide: true,
		constants: func(f *function) {
			first, second, least, three = f.filled(86), f.filled(171), f.filled(255), f.filled(3)
			powers = f.bytesOf("powers", 1, 1, 1, 1, 3, 3, 3, 3, 9, 9, 9, 9, 27, 27, 27, 27)
		},
		scales: func(f *function, w gp) (scales, minima []vec) { return f.oneScale(f.half(w, 52)) },
		weights: func(f *function, w gp, emit func(vec)) {
			// A digit is what is carried when a byte is multiplied by 3; each comparison that holds is -1.
			digit := func(v vec) {
				x, carried := f.vec(), f.vec()
				f.op("cmhs", x.b16(), v.b16(), first.b16())
				f.op("cmhs", carried.b16(), v.b16(), second.b16())
				f.op("sub", x.b16(), least.b16(), x.b16())
				f.op("sub", x.b16(), x.b16(), carried.b16())
				f.free(carried)
				emit(x)
			}
			for _, run := range []struct{ from, registers int }{{0, 2}, {32, 1}} {
				v := f.load(w, run.from, run.registers)
				for n := range 5 {
					for _, v := range v {
						if n > 0 {
							f.op("mul", v.b16(), v.b16(), three.b16())
						}
						digit(v)
					}
				}
				f.free(v...)
			}
			last := f.vec()
			f.op("ldr", last.s(), w.at(48))
			f.op("dup", last.s4(), last.lane(0))
			f.op("mul", last.b16(), last.b16(), powers.b16())
			digit(last)
			f.free(last)
		},
	}
}
