package main

// blocks are the types that are multiplied without decoding them to memory. How they are laid out is told in inference/tensor.
func blocks() []*block {
	return []*block{
		q8(), fours("Q4_0", 18), fours("Q4_1", 20), fives("Q5_0", 22), fives("Q5_1", 24),
		levels("IQ4NL", 18, nonLinear...),
		levels("MXFP4", 17, 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12),
		q2k(), q3k(), q45k("Q4K"), q45k("Q5K"), q6k(), q8k(), iq4xs(), tq2(),
	}
}

// nonLinear are the levels of IQ4_NL and IQ4_XS.
var nonLinear = []int8{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

// half returns the half-precision number at an address as float32 in the lowest lane.
func (f *function) half(w gp, offset int) vec {
	v := f.vec()
	f.op("ldr", v.h(), w.at(offset))
	f.op("fcvt", v.s(), v.h())
	return v
}

// bits returns those of mask after a shift of each byte to the right, to the left when n is negative.
func (f *function) bits(v vec, n int, mask vec) vec {
	to := f.vec()
	switch {
	case n == 0:
		f.op("and", to.b16(), v.b16(), mask.b16())
		return to
	case n < 0:
		f.op("shl", to.b16(), v.b16(), imm(-n))
	default:
		f.op("ushr", to.b16(), v.b16(), imm(n))
	}
	f.op("and", to.b16(), to.b16(), mask.b16())
	return to
}

// halves returns the lower and the upper halves of bytes, which it frees.
func (f *function) halves(v, low vec) (lower, upper vec) {
	lower = f.vec()
	f.op("and", lower.b16(), v.b16(), low.b16())
	f.op("ushr", v.b16(), v.b16(), imm(4))
	return lower, v
}

// scaled returns 16 signed bytes as floats times the lowest lane of by, and frees the bytes.
func (f *function) scaled(v, by vec) []vec {
	words := f.widen(v)
	f.multiply(words, by)
	return words
}

// multiply turns integers into floats times the lowest lane of by.
func (f *function) multiply(words []vec, by vec) {
	for _, x := range words {
		f.op("scvtf", x.s4(), x.s4())
		f.op("fmul", x.s4(), x.s4(), by.lane(0))
	}
}

// q8 has a scale and 32 signed bytes.
func q8() *block {
	return &block{
		name: "Q8_0", elements: 32, bytes: 34, wide: true, constants: func(*function) {}, scales: halfScales(false),
		weights: func(f *function, w gp, emit func(vec)) {
			for _, v := range f.load(w, 2, 2) {
				emit(v)
			}
		},
	}
}

// halfScales are those of blocks that begin with a scale and perhaps a minimum.
func halfScales(minimum bool) func(*function, gp) (scales, minima []vec) {
	return func(f *function, w gp) (scales, minima []vec) {
		if minimum {
			minima = []vec{f.half(w, 2)}
		}
		return []vec{f.half(w, 0)}, minima
	}
}

// fours have 16 bytes, whose low halves are the first 16 weights and whose high halves the others.
func fours(name string, bytes int) *block {
	var low vec
	b := &block{
		name: name, elements: 32, bytes: bytes, wide: true,
		constants: func(f *function) { low = f.filled(15) },
		scales:    halfScales(bytes == 20),
		weights: func(f *function, w gp, emit func(vec)) {
			first, second := f.halves(f.load(w, bytes-16, 1)[0], low)
			emit(first)
			emit(second)
		},
	}
	if bytes == 18 {
		b.centre = 8
	}
	return b
}

// fives have a fifth bit for each weight in 32 bits before the bytes of fours.
func fives(name string, bytes int) *block {
	var low, fifth, one vec
	var each [2]vec
	b := &block{
		name: name, elements: 32, bytes: bytes, wide: true,
		constants: func(f *function) {
			low, fifth = f.filled(15), f.filled(16)
			each[0] = f.bytesOf("eights", 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1)
			each[1] = f.bytesOf("nextEights", 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3)
			one = f.bytesOf("bits", 1, 2, 4, 8, 16, 32, 64, -128)
		},
		scales: halfScales(bytes == 24),
		weights: func(f *function, w gp, emit func(vec)) {
			bits := f.vec()
			f.op("ldr", bits.s(), w.at(bytes-20))
			first, second := f.halves(f.load(w, bytes-16, 1)[0], low)
			for i, v := range []vec{first, second} {
				high := f.vec()
				f.op("tbl", high.b16(), bits.b16(), each[i].b16()) // the byte with each weight's bit
				f.op("cmtst", high.b16(), high.b16(), one.b16())
				f.op("and", high.b16(), high.b16(), fifth.b16())
				f.op("orr", v.b16(), v.b16(), high.b16())
				f.free(high)
			}
			f.free(bits)
			emit(first)
			emit(second)
		},
	}
	if bytes == 22 {
		b.centre = 16
	}
	return b
}

// nibbleLevels calls emit with the levels that the halves of 16 bytes stand for.
func (f *function) nibbleLevels(w gp, offset int, low, table vec, emit func(vec)) {
	first, second := f.halves(f.load(w, offset, 1)[0], low)
	for _, v := range []vec{first, second} {
		f.op("tbl", v.b16(), table.b16(), v.b16())
		emit(v)
	}
}

// levels have halves of bytes that stand for levels.
func levels(name string, bytes int, values ...int8) *block {
	var low, table vec
	var exponent, bits, small gp
	b := &block{
		name: name, elements: 32, bytes: bytes, wide: true, scales: halfScales(false),
		constants: func(f *function) {
			low, table = f.filled(15), f.bytesOf("levels"+name, values...)
			exponent, bits, small = f.gp(), f.gp(), f.gp()
		},
		weights: func(f *function, w gp, emit func(vec)) { f.nibbleLevels(w, bytes-16, low, table, emit) },
	}
	if name != "MXFP4" {
		return b
	}
	// Half of the power of two whose exponent is a byte: the levels of MXFP4 are doubled.
	b.scales = func(f *function, w gp) (scales, minima []vec) {
		f.goes("MOVBU (%s), %s", w, exponent)
		f.goes("SUBW $1, %s, %s", exponent, bits)
		f.goes("LSLW $23, %s", bits)
		// The two smallest are subnormal: 2^-128 and 2^-127.
		f.goes("ADDW $1, %s, %s", exponent, small)
		f.goes("LSLW $21, %s", small)
		f.goes("CMPW $2, %s", exponent)
		f.goes("CSELW LO, %s, %s, %s", small, bits, bits)
		v := f.vec()
		f.goes("FMOVS %s, F%d", bits, v)
		return []vec{v}, nil
	}
	return b
}

// q45k has a scale and a minimum for 8 runs of 32, packed as 6 bits each in 12 bytes; Q5_K has the fifth bits in 32 bytes after that.
func q45k(name string) *block {
	var low, fifth, six, four, shifts vec
	bytes, q := 144, 16
	if name == "Q5K" {
		bytes, q = 176, 48
	}
	return &block{
		name: name, elements: 256, bytes: bytes, wide: true, subtracted: true,
		constants: func(f *function) {
			low, six, four = f.filled(15), f.filled(0x3f), f.filled(0x30)
			shifts = f.bytesOf("upperHalf", 0, 0, 0, 0, -4, -4, -4, -4)
			if q == 48 {
				fifth = f.filled(16)
			}
		},
		scales: func(f *function, w gp) (scales, minima []vec) {
			// Four scales and four minima have bytes of their own; the lower halves of the others share the bytes after those, and
			// their upper bits are those of the first ones.
			packed, shared := f.load(w, 4, 1)[0], f.vec()
			f.op("dup", shared.s4(), packed.lane(2))
			f.op("ushl", shared.b16(), shared.b16(), shifts.b16())
			f.op("and", shared.b16(), shared.b16(), low.b16())
			upper := f.bits(packed, 2, four)
			f.op("orr", shared.b16(), shared.b16(), upper.b16())
			f.op("and", packed.b16(), packed.b16(), six.b16())
			f.op("zip1", packed.s4(), packed.s4(), shared.s4())
			f.free(upper, shared)
			d, least := f.half(w, 0), f.half(w, 2)
			words := f.widen(packed)
			f.multiply(words[:2], d)
			f.multiply(words[2:], least)
			f.free(d, least)
			return words[:2], words[2:]
		},
		weights: func(f *function, w gp, emit func(vec)) {
			var high []vec
			if q == 48 {
				high = f.load(w, 16, 2)
			}
			for pair := range 4 {
				both := f.load(w, q+32*pair, 2)
				for run := range 2 {
					for i, v := range both {
						x := v
						if run == 0 {
							x = f.vec()
							f.op("and", x.b16(), v.b16(), low.b16())
						} else {
							f.op("ushr", x.b16(), v.b16(), imm(4))
						}
						if q == 48 {
							bit := f.bits(high[i], 2*pair+run-4, fifth)
							f.op("orr", x.b16(), x.b16(), bit.b16())
							f.free(bit)
						}
						emit(x)
					}
				}
			}
			f.free(high...)
		},
	}
}

// q6k has the lower four bits of 128 weights in 64 bytes and the upper two in 32; its scales are signed bytes for 16 weights each.
func q6k() *block {
	var low, upper vec
	return &block{
		name: "Q6K", elements: 256, bytes: 210, centre: 32,
		constants: func(f *function) { low, upper = f.filled(15), f.filled(48) },
		scales: func(f *function, w gp) (scales, minima []vec) {
			d := f.half(w, 208)
			scales = f.scaled(f.load(w, 192, 1)[0], d)
			f.free(d)
			return scales, nil
		},
		weights: func(f *function, w gp, emit func(vec)) {
			for n := range 2 {
				lower, high := f.load(w, 64*n, 4), f.load(w, 128+32*n, 2)
				for k := range 2 {
					for i, v := range lower {
						x := v
						if k == 0 {
							x = f.vec()
							f.op("and", x.b16(), v.b16(), low.b16())
						} else {
							f.op("ushr", x.b16(), v.b16(), imm(4))
						}
						two := f.bits(high[i%2], i/2*2+4*k-4, upper)
						f.op("orr", x.b16(), x.b16(), two.b16())
						f.free(two)
						emit(x)
					}
				}
				f.free(high...)
			}
		},
	}
}

// twoBits calls each with the two-bit weights of a half of 128, which lie in 32 bytes from w+at on; part counts in 32, i in 16.
func (f *function) twoBits(w gp, at, half int, three vec, each func(part, i int, v vec)) {
	both := f.load(w, at+32*half, 2)
	for part := range 4 {
		for i, v := range both {
			each(part, i, f.bits(v, 2*part, three))
		}
	}
	f.free(both...)
}

// q2k has scales and minima of 4 bits for 16 weights each.
func q2k() *block {
	var three, fifteen vec
	return &block{
		name: "Q2K", elements: 256, bytes: 84, subtracted: true,
		constants: func(f *function) { three, fifteen = f.filled(3), f.filled(15) },
		scales: func(f *function, w gp) (scales, minima []vec) {
			d, least := f.half(w, 80), f.half(w, 82)
			s, m := f.halves(f.load(w, 0, 1)[0], fifteen)
			scales, minima = f.scaled(s, d), f.scaled(m, least)
			f.free(d, least)
			return scales, minima
		},
		weights: func(f *function, w gp, emit func(vec)) {
			for half := range 2 {
				f.twoBits(w, 16, half, three, func(_, _ int, v vec) { emit(v) })
			}
		},
	}
}

// q3k has third bits in 32 bytes before the two lower ones, and 6-bit scales for 16 weights each.
func q3k() *block {
	var three, four, fifteen, centre, shifts vec
	return &block{
		name: "Q3K", elements: 256, bytes: 110, centre: 4,
		constants: func(f *function) {
			three, four, fifteen, centre = f.filled(3), f.filled(4), f.filled(15), f.filled(32)
			shifts = f.bytesOf("byTwo", 0, 0, 0, 0, -2, -2, -2, -2, -4, -4, -4, -4, -6, -6, -6, -6)
		},
		scales: func(f *function, w gp) (scales, minima []vec) {
			s, high, d := f.vec(), f.vec(), f.half(w, 108)
			f.op("ldr", s.d(), w.at(96))
			f.op("ldr", high.s(), w.at(104))
			lower, upper := f.halves(s, fifteen)
			f.op("zip1", lower.d2(), lower.d2(), upper.d2())
			f.op("dup", high.s4(), high.lane(0))
			f.op("ushl", high.b16(), high.b16(), shifts.b16())
			f.op("and", high.b16(), high.b16(), three.b16())
			f.op("shl", high.b16(), high.b16(), imm(4))
			f.op("orr", lower.b16(), lower.b16(), high.b16())
			f.op("sub", lower.b16(), lower.b16(), centre.b16())
			f.free(upper, high)
			scales = f.scaled(lower, d)
			f.free(d)
			return scales, nil
		},
		weights: func(f *function, w gp, emit func(vec)) {
			high := f.load(w, 0, 2)
			for half := range 2 {
				f.twoBits(w, 32, half, three, func(part, i int, v vec) {
					bit := f.bits(high[i], 4*half+part-2, four)
					f.op("orr", v.b16(), v.b16(), bit.b16())
					f.free(bit)
					emit(v)
				})
			}
			f.free(high...)
		},
	}
}

// oneScale fills a register with the lowest lane.
func (f *function) oneScale(v vec) (scales, minima []vec) {
	f.op("dup", v.s4(), v.lane(0))
	return []vec{v}, nil
}

// q8k has a float32 scale and 256 signed bytes.
func q8k() *block {
	var values gp
	return &block{
		name: "Q8K", elements: 256, bytes: 292, wide: true,
		constants: func(f *function) { values = f.gp() },
		scales: func(f *function, w gp) (scales, minima []vec) {
			v := f.vec()
			f.op("ldr", v.s(), w.at(0))
			return f.oneScale(v)
		},
		weights: func(f *function, w gp, emit func(vec)) {
			f.goes("ADD $4, %s, %s", w, values)
			for i := range 8 {
				for _, v := range f.load(values, 32*i, 2) {
					emit(v)
				}
			}
		},
	}
}

// iq4xs has the levels of IQ4_NL and scales of 6 bits for 32 weights each: the upper two bits of all in 16 bits, the lower four in 32.
func iq4xs() *block {
	var low, table, centre, fifteen, upper vec
	var byFour, byTwo [2]vec
	return &block{
		name: "IQ4XS", elements: 256, bytes: 136, wide: true,
		constants: func(f *function) {
			low, table = f.filled(15), f.bytesOf("levelsIQ4NL", nonLinear...)
			centre, fifteen, upper = f.constant("thirtyTwo", 32), f.constant("fifteen", 15), f.constant("fortyEight", 48)
			for i := range 2 {
				name, at := []string{"First", "Second"}[i], -4*i
				// A shift counts to the left. It is the lowest byte of a lane.
				shift := func(n int) uint32 { return uint32(uint8(n)) }
				byFour[i] = f.constant("byFour"+name, shift(4*at), shift(4*at-4), shift(4*at-8), shift(4*at-12))
				byTwo[i] = f.constant("byTwo"+name, shift(2*at+4), shift(2*at+2), shift(2*at), shift(2*at-2))
			}
		},
		scales: func(f *function, w gp) (scales, minima []vec) {
			lower, high, d := f.vec(), f.vec(), f.half(w, 0)
			f.op("ldr", lower.s(), w.at(4))
			f.op("ldr", high.h(), w.at(2))
			f.op("dup", lower.s4(), lower.lane(0))
			f.op("dup", high.s4(), high.lane(0))
			for i := range 2 {
				s, two := f.vec(), f.vec()
				f.op("ushl", s.s4(), lower.s4(), byFour[i].s4())
				f.op("and", s.b16(), s.b16(), fifteen.b16())
				f.op("ushl", two.s4(), high.s4(), byTwo[i].s4())
				f.op("and", two.b16(), two.b16(), upper.b16())
				f.op("orr", s.b16(), s.b16(), two.b16())
				f.op("sub", s.s4(), s.s4(), centre.s4())
				f.free(two)
				scales = append(scales, s)
			}
			f.multiply(scales, d)
			f.free(lower, high, d)
			return scales, nil
		},
		weights: func(f *function, w gp, emit func(vec)) {
			for run := range 8 {
				f.nibbleLevels(w, 8+16*run, low, table, emit)
			}
		},
	}
}

// tq2 has two bits for each weight, less one, and one scale at its end.
func tq2() *block {
	var three vec
	return &block{
		name: "TQ2_0", elements: 256, bytes: 66, wide: true, centre: 1,
		constants: func(f *function) { three = f.filled(3) },
		scales:    func(f *function, w gp) (scales, minima []vec) { return f.oneScale(f.half(w, 64)) },
		weights: func(f *function, w gp, emit func(vec)) {
			for half := range 2 {
				f.twoBits(w, 0, half, three, func(_, _ int, v vec) { emit(v) })
			}
		},
	}
}
