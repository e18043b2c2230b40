package main

// gridBlocks are the types whose weights are points of a grid, 4 or 8 at a time, most with signs of their own. The grids lie in
// variables of inference/kernel. How the types are laid out is told in inference/tensor.
func gridBlocks() []*block {
	return []*block{iq1s(), iq1m(), iq2xxs(), iq2xs(), iq2s(), iq3xxs(), iq3s()}
}

// points finds points by their numbers.
type points struct {
	grid, number, upper gp
}

func (f *function) points(name string) points {
	p := points{grid: f.gp(), number: f.gp(), upper: f.gp()}
	f.goes("MOVD $·%s(SB), %s", name, p.grid)
	return p
}

// eights returns two points of 8 bytes; number loads the number of the i-th.
func (f *function) eights(p points, number func(i int)) vec {
	v := f.vecs(2)
	for i, v := range v {
		number(i)
		f.goes("FMOVD (%s)(%s<<3), F%d", p.grid, p.number, v)
	}
	f.op("zip1", v[0].d2(), v[0].d2(), v[1].d2())
	f.free(v[1])
	return v[0]
}

// fours returns four points of 4 bytes.
func (f *function) fours(p points, number func(i int)) vec {
	v := f.vecs(4)
	for i, v := range v {
		number(i)
		f.goes("FMOVS (%s)(%s<<2), F%d", p.grid, p.number, v)
	}
	f.op("zip1", v[0].s4(), v[0].s4(), v[1].s4())
	f.op("zip1", v[2].s4(), v[2].s4(), v[3].s4())
	f.op("zip1", v[0].d2(), v[0].d2(), v[2].d2())
	f.free(v[1:]...)
	return v[0]
}

// byte loads a number of 8 bits.
func (f *function) byte(p points, w gp, at int) { f.goes("MOVBU %d(%s), %s", at, w, p.number) }

// above puts bits from bit first on of a byte, or of 16 bits, above the lower 8 of the number.
func (f *function) above(p points, w gp, load string, at, first, bits int) {
	f.goes("%s %d(%s), %s", load, at, w, p.upper)
	f.goes("UBFX $%d, %s, $%d, %s", first, p.upper, bits, p.upper)
	f.goes("ORR %s<<8, %s, %s", p.upper, p.number, p.number)
}

// signing has what spreads bits to the signs of bytes.
type signing struct {
	each [2]vec
	one  vec
}

func (f *function) signing() signing {
	return signing{
		each: [2]vec{
			f.bytesOf("eights", 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1),
			f.bytesOf("nextEights", 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3),
		},
		one: f.bytesOf("bits", 1, 2, 4, 8, 16, 32, 64, -128),
	}
}

// sign negates bytes of v whose bits are set in the first or the second half of 32 bits, the lowest lane.
func (f *function) sign(s signing, v, bits vec, half int) {
	mask := f.vec()
	f.op("tbl", mask.b16(), bits.b16(), s.each[half].b16()) // the byte with each weight's bit
	f.op("cmtst", mask.b16(), mask.b16(), s.one.b16())
	f.op("eor", v.b16(), v.b16(), mask.b16())
	f.op("sub", v.b16(), v.b16(), mask.b16())
	f.free(mask)
}

// evenSigns completes each 7 bits by an eighth so that an even number of them is set.
func (f *function) evenSigns(seven vec) {
	count := f.vec()
	f.op("cnt", count.b16(), seven.b16())
	f.op("shl", count.b16(), count.b16(), imm(7))
	f.op("orr", seven.b16(), seven.b16(), count.b16())
	f.free(count)
}

// spreadSevens turns four 7 bits in the lower 28 of each lane into signs.
func (f *function) spreadSevens(packed vec) vec {
	all, part := f.vec(), f.vec()
	for i := range 4 {
		mask := f.constant([]string{"seven0", "seven1", "seven2", "seven3"}[i], 0x7f<<(8*i))
		if i == 0 {
			f.op("and", all.b16(), packed.b16(), mask.b16())
		} else {
			f.op("shl", part.s4(), packed.s4(), imm(i))
			f.op("and", part.b16(), part.b16(), mask.b16())
			f.op("orr", all.b16(), all.b16(), part.b16())
		}
		f.free(mask)
	}
	f.free(part)
	f.evenSigns(all)
	return all
}

// part returns the half-precision number at an address times a constant, in the lowest lane.
func (f *function) part(w gp, offset int, name string, factor float32) vec {
	d, by := f.half(w, offset), f.float(name, factor)
	f.op("fmul", d.s(), d.s(), by.s())
	f.free(by)
	return d
}

// odd turns integers s into floats (2*s + 1) times the lowest lane of by.
func (f *function) odd(s []vec, by vec) {
	one := f.constant("one", 1)
	for _, s := range s {
		f.op("shl", s.s4(), s.s4(), imm(1))
		f.op("orr", s.b16(), s.b16(), one.b16())
	}
	f.free(one)
	f.multiply(s, by)
}

// sevens are the types with 28 bits of signs and a scale above them for each 32 weights. packed loads these.
func sevens(name, grid string, bytes int, factorName string, factor float32, packed func(f *function, w gp) []vec, point func(f *function, p points, w gp, i int) vec) *block {
	var p points
	var signs signing
	var both []vec
	return &block{
		name: name, elements: 256, bytes: bytes, wide: true,
		constants: func(f *function) { p, signs = f.points(grid), f.signing() },
		scales: func(f *function, w gp) (scales, minima []vec) {
			both = packed(f, w)
			d := f.part(w, 0, factorName, factor)
			for _, v := range both {
				s := f.vec()
				f.op("ushr", s.s4(), v.s4(), imm(28))
				scales = append(scales, s)
			}
			f.odd(scales, d)
			f.free(d)
			return scales, nil
		},
		weights: func(f *function, w gp, emit func(vec)) {
			for four, v := range both {
				all := f.spreadSevens(v)
				for run := range 4 {
					bits := f.vec()
					f.op("dup", bits.s4(), all.lane(run))
					for half := range 2 {
						v := point(f, p, w, 2*(4*four+run)+half)
						f.sign(signs, v, bits, half)
						emit(v)
					}
					f.free(bits)
				}
				f.free(all, v)
			}
		},
	}
}

// iq2xxs has for each 32 weights four numbers of points in bytes, and signs and a scale in the next 32 bits.
func iq2xxs() *block {
	packed := func(f *function, w gp) []vec {
		v := f.load(w, 2, 4)
		for i := range 2 {
			f.op("uzp2", v[i].s4(), v[2*i].s4(), v[2*i+1].s4())
		}
		f.free(v[2:]...)
		return v[:2]
	}
	return sevens("IQ2XXS", "gridIQ2XXS", 66, "eighth", 0.125, packed, func(f *function, p points, w gp, i int) vec {
		return f.eights(p, func(j int) { f.byte(p, w, 2+i/2*8+i%2*2+j) })
	})
}

// iq3xxs has for each 4 weights the number of a point, and after all of them signs and scales.
func iq3xxs() *block {
	packed := func(f *function, w gp) []vec { return f.load(w, 66, 2) }
	return sevens("IQ3XXS", "gridIQ3XXS", 98, "quarter", 0.25, packed, func(f *function, p points, w gp, i int) vec {
		return f.fours(p, func(j int) { f.byte(p, w, 2+4*i+j) })
	})
}

// interleaved returns the halves of up to eight bytes, those of a byte next to each other, the lower one first.
func (f *function) interleaved(w gp, at int, eight bool) vec {
	v, low := f.vec(), f.filled(15)
	if eight {
		f.op("ldr", v.d(), w.at(at))
	} else {
		f.op("ldr", v.s(), w.at(at))
	}
	lower, upper := f.halves(v, low)
	f.op("zip1", lower.b16(), lower.b16(), upper.b16())
	f.free(low, upper)
	return lower
}

// oddBytes turns bytes s into 2*s + 1.
func (f *function) oddBytes(s vec) {
	one := f.filled(1)
	f.op("shl", s.b16(), s.b16(), imm(1))
	f.op("orr", s.b16(), s.b16(), one.b16())
	f.free(one)
}

// nibbleScales are those of blocks with half a byte for each 16 weights.
func nibbleScales(at int) func(*function, gp) (scales, minima []vec) {
	return func(f *function, w gp) (scales, minima []vec) {
		all, d := f.interleaved(w, at, true), f.part(w, 0, "eighth", 0.125)
		f.oddBytes(all)
		scales = f.scaled(all, d)
		f.free(d)
		return scales, nil
	}
}

// iq2xs has the number of a point in the lower 9 bits of 16, and 7 signs in the upper ones.
func iq2xs() *block {
	var p points
	var signs signing
	return &block{
		name: "IQ2XS", elements: 256, bytes: 74,
		constants: func(f *function) { p, signs = f.points("gridIQ2XS"), f.signing() },
		scales:    nibbleScales(66),
		weights: func(f *function, w gp, emit func(vec)) {
			for part := range 2 {
				v := f.load(w, 2+32*part, 2)
				for _, v := range v {
					f.op("ushr", v.h8(), v.h8(), imm(9))
				}
				f.op("uzp1", v[0].b16(), v[0].b16(), v[1].b16())
				f.evenSigns(v[0])
				for run := range 4 {
					f.op("dup", v[1].s4(), v[0].lane(run))
					for half := range 2 {
						x := f.eights(p, func(i int) {
							f.goes("MOVHU %d(%s), %s", 2+32*part+8*run+4*half+2*i, w, p.number)
							f.goes("AND $511, %s, %s", p.number, p.number)
						})
						f.sign(signs, x, v[1], half)
						emit(x)
					}
				}
				f.free(v...)
			}
		},
	}
}

// signedBytes are weights whose signs are bits in bytes from at on.
func (f *function) signedBytes(signs signing, w gp, at int, point func(i int) vec, emit func(vec)) {
	for run := range 8 {
		bits := f.vec()
		f.op("ldr", bits.s(), w.at(at+4*run))
		for half := range 2 {
			v := point(2*run + half)
			f.sign(signs, v, bits, half)
			emit(v)
		}
		f.free(bits)
	}
}

// iq2s has the lower bits of numbers, the signs, and two upper bits of each number.
func iq2s() *block {
	var p points
	var signs signing
	return &block{
		name: "IQ2S", elements: 256, bytes: 82,
		constants: func(f *function) { p, signs = f.points("gridIQ2S"), f.signing() },
		scales:    nibbleScales(74),
		weights: func(f *function, w gp, emit func(vec)) {
			f.signedBytes(signs, w, 34, func(i int) vec {
				return f.eights(p, func(j int) {
					f.byte(p, w, 2+2*i+j)
					f.above(p, w, "MOVBU", 66+i/2, 4*(i%2)+2*j, 2)
				})
			}, emit)
		},
	}
}

// iq3s has the lower 8 bits of numbers of points, the ninth ones, the signs, and scales in halves of bytes.
func iq3s() *block {
	var p points
	var signs signing
	return &block{
		name: "IQ3S", elements: 256, bytes: 110, wide: true,
		constants: func(f *function) { p, signs = f.points("gridIQ3S"), f.signing() },
		scales: func(f *function, w gp) (scales, minima []vec) {
			all, d := f.interleaved(w, 106, false), f.half(w, 0)
			f.oddBytes(all)
			scales = f.scaled(all, d)
			f.free(scales[2:]...)
			f.free(d)
			return scales[:2], nil
		},
		weights: func(f *function, w gp, emit func(vec)) {
			f.signedBytes(signs, w, 74, func(i int) vec {
				return f.fours(p, func(j int) {
					f.byte(p, w, 2+4*i+j)
					f.above(p, w, "MOVBU", 66+i/2, 4*(i%2)+j, 1)
				})
			}, emit)
		},
	}
}

// iq1s has the lower bits of numbers in bytes and, for each 32 weights, 16 bits with three upper bits of four numbers, a scale, and
// whether an eighth is taken off the coordinates or added. All is times 8 here, so that it stays integer.
func iq1s() *block {
	var p points
	return &block{
		name: "IQ1S", elements: 256, bytes: 50, wide: true,
		constants: func(f *function) { p = f.points("gridIQ1") },
		scales: func(f *function, w gp) (scales, minima []vec) {
			v, seven, d := f.load(w, 34, 1)[0], f.bytesOf("sevenWords", 7, 0), f.part(w, 0, "eighth", 0.125)
			f.op("ushr", v.h8(), v.h8(), imm(12))
			f.op("and", v.b16(), v.b16(), seven.b16())
			upper := f.vec()
			f.op("sxtl2", upper.s4(), v.h8())
			f.op("sxtl", v.s4(), v.h4())
			f.odd([]vec{v, upper}, d)
			f.free(seven, d)
			return []vec{v, upper}, nil
		},
		weights: func(f *function, w gp, emit func(vec)) {
			for run := range 8 {
				eighth := f.vec()
				f.goes("MOVHU %d(%s), %s", 34+2*run, w, p.number)
				f.goes("LSR $14, %s, %s", p.number, p.number)
				f.goes("AND $2, %s, %s", p.number, p.number)
				f.goes("MOVD $1, %s", p.upper)
				f.goes("SUB %s, %s, %s", p.number, p.upper, p.number) // 1 - 2*bit
				f.goes("VDUP %s, V%d.B16", p.number, eighth)
				for half := range 2 {
					v := f.eights(p, func(i int) {
						f.byte(p, w, 2+4*run+2*half+i)
						f.above(p, w, "MOVHU", 34+2*run, 3*(2*half+i), 3)
					})
					f.op("add", v.b16(), v.b16(), eighth.b16())
					emit(v)
				}
				f.free(eighth)
			}
		},
	}
}

// iq1m has for each 8 weights half a byte with three upper bits of the number and the direction of the eighth. The upper halves of
// bytes in the last four words are the block's scale; the rest of these has three bits for each 16 weights.
func iq1m() *block {
	var p points
	var fourths, one vec
	return &block{
		name: "IQ1M", elements: 256, bytes: 56,
		constants: func(f *function) {
			p = f.points("gridIQ1")
			fourths, one = f.bytesOf("fourths", 8, 8, 8, 8, 8, 8, 8, 8, -128, -128, -128, -128, -128, -128, -128, -128), f.filled(1)
		},
		scales: func(f *function, w gp) (scales, minima []vec) {
			// The registers for numbers of points are free meanwhile.
			all, bits := p.upper, p.number
			f.goes("MOVD 48(%s), %s", w, all)
			f.goes("UBFX $12, %s, $4, %s", all, bits)
			f.goes("LSR $28, %s, %s", all, all)
			for i := 1; i < 4; i++ {
				f.goes("BFI $%d, %s, $4, %s", 4*i, all, bits)
				f.goes("LSR $16, %s, %s", all, all)
			}
			d, by := f.vec(), f.float("eighth", 0.125)
			f.goes("FMOVS %s, F%d", bits, d)
			f.op("fcvt", d.s(), d.h())
			f.op("fmul", d.s(), d.s(), by.s())
			words, seven := f.vec(), f.bytesOf("sevenWords", 7, 0)
			shifts := f.bytesOf("byThree", 0, 0, -3, -1, -6, -1, -9, -1)
			f.op("ldr", words.d(), w.at(48))
			for i := range 2 {
				at := int8(4 * i)
				order := f.bytesOf([]string{"firstWords", "lastWords"}[i],
					at, at+1, at, at+1, at, at+1, at, at+1, at+2, at+3, at+2, at+3, at+2, at+3, at+2, at+3)
				v, upper := f.vec(), f.vec()
				f.op("tbl", v.b16(), words.b16(), order.b16())
				f.op("ushl", v.h8(), v.h8(), shifts.h8())
				f.op("and", v.b16(), v.b16(), seven.b16())
				f.op("sxtl2", upper.s4(), v.h8())
				f.op("sxtl", v.s4(), v.h4())
				f.free(order)
				scales = append(scales, v, upper)
			}
			f.odd(scales, d)
			f.free(d, by, words, seven, shifts)
			return scales, nil
		},
		weights: func(f *function, w gp, emit func(vec)) {
			for i := range 16 {
				v := f.eights(p, func(j int) {
					f.byte(p, w, 2*i+j)
					f.above(p, w, "MOVBU", 32+i, 4*j, 3)
				})
				eighth := f.vec()
				f.goes("MOVBU %d(%s), %s", 32+i, w, p.upper)
				f.goes("VDUP %s, V%d.B16", p.upper, eighth)
				f.op("cmtst", eighth.b16(), eighth.b16(), fourths.b16())
				f.op("orr", eighth.b16(), eighth.b16(), one.b16()) // -1 where the bit is set
				f.op("add", v.b16(), v.b16(), eighth.b16())
				f.free(eighth)
				emit(v)
			}
		},
	}
}
