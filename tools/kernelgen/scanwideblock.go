package main

import (
	. "github.com/mmcloughlin/avo/build" //nolint:staticcheck // the form that avo's programs have
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// wideRows begins the kernel of a block type. Its body adds a block to the sums; it ends when blocks are none, which it counts down itself.
func wideRows(name string, constants func(), begin func() wideRunning, body func(w, blocks reg.GPVirtual), end func()) {
	name = "sums" + name + "AVX512"
	TEXT(name, NOSPLIT, "func(w *byte, rows int, blocks int, out *float32)")
	Pragma("noescape")
	Doc(name+" sets out to the RowSums of rows of blocks, whose Low and High are bounds that the scales set and whose Zero stays 0. rows and",
		"blocks are not 0.")
	w, rows, out := param("w"), param("rows"), param("out")
	constants()
	Label("row")
	r := begin()
	body(w, param("blocks"))
	end()
	r.store(out)
	MOVL(U32(0), Mem{Base: out, Disp: 16})
	nextRow(rows, out)
}

func widePrefetch(w reg.GPVirtual, bytes int) {
	for at := 0; at < bytes; at += 64 {
		PREFETCHT0(Mem{Base: w, Disp: wideAhead + at})
	}
}

// halfOf512 returns a register full of the half-precision number at m as float32.
func halfOf512(m Mem) reg.VecVirtual {
	v := ZMM()
	VPBROADCASTW(m, v.AsY())
	VCVTPH2PS(v.AsY(), v)
	return v
}

// filled512 returns a register full of a byte.
func filled512(name string, value int8) reg.VecVirtual {
	v := ZMM()
	VPBROADCASTB(bytesOf(name, value), v)
	return v
}

// words512 returns memory with 32 words, which it asks for by lane of eight and place in it.
func words512(name string, at func(lane, i int) int) Mem {
	var s []int8
	for lane := range 4 {
		for i := range 8 {
			s = append(s, int8(at(lane, i)), 0)
		}
	}
	return bytesOf(name, s...)
}

// indices512 returns a register with such words.
func indices512(name string, at func(lane, i int) int) reg.VecVirtual {
	v := ZMM()
	VMOVDQU16(words512(name, at), v)
	return v
}

// wideSumsQ8 takes two blocks at a time, one in each half of a register.
func wideSumsQ8() {
	const bytes = 34
	var ones, sign, magnitude reg.VecVirtual
	var r wideRunning
	wideRows("Q8_0", func() {
		ones, sign, magnitude = filled512("one", 1), filled512("signBit", -128), ZMM()
		VPBROADCASTD(bitsAt("magnitude", 0x7fffffff), magnitude)
	}, func() wideRunning {
		r = newWideRunning()
		r.begin()
		clear512(r.high) // the largest scale until the end
		return r
	}, func(w, blocks reg.GPVirtual) {
		add := func(v, d reg.VecVirtual) {
			total, squares, offset, x := ZMM(), ZMM(), ZMM(), ZMM()
			clear512(total, squares)
			VPDPBUSD(v, ones, total)
			// (v+128)*v is v*v and 128 times v.
			VPXORD(sign, v, x)
			VPDPBUSD(v, x, squares)
			VPSLLD(Imm(7), total, offset)
			VPSUBD(offset, squares, squares)
			VCVTDQ2PS(total, total)
			VCVTDQ2PS(squares, squares)
			VFMADD231PS(total, d, r.sum)
			VMULPS(d, squares, squares)
			VFMADD231PS(squares, d, r.squares)
			VPANDD(magnitude, d, d)
			VMAXPS(r.high, d, r.high)
		}
		SUBQ(Imm(2), blocks)
		JLT(LabelRef("last"))
		Label("two")
		widePrefetch(w, 2*bytes)
		v, d, second := ZMM(), ZMM(), XMM()
		VMOVDQU32(Mem{Base: w, Disp: 2}, v.AsY())
		VINSERTI64X4(Imm(1), Mem{Base: w, Disp: bytes + 2}, v, v)
		VPBROADCASTW(Mem{Base: w}, d.AsX())
		VPBROADCASTW(Mem{Base: w, Disp: bytes}, second)
		VINSERTI32X4(Imm(1), second, d.AsY(), d.AsY())
		VCVTPH2PS(d.AsY(), d)
		add(v, d)
		ADDQ(Imm(2*bytes), w)
		SUBQ(Imm(2), blocks)
		JGE(LabelRef("two"))
		Label("last")
		ADDQ(Imm(2), blocks)
		JZ(LabelRef("end"))
		// Zeros in the upper half add nothing.
		v, d = ZMM(), ZMM()
		VMOVDQU32(Mem{Base: w, Disp: 2}, v.AsY())
		VPBROADCASTW(Mem{Base: w}, d.AsX())
		VCVTPH2PS(d.AsX(), d.AsY())
		add(v, d)
		ADDQ(Imm(bytes), w)
		Label("end")
	}, func() {
		VMULPS_BCST(bitsAt("largestByte", 0x43000000), r.high, r.high)
		VPXORD_BCST(bitsAt("minusZero", 0x80000000), r.high, r.low)
	})
}

// packedTotals returns the sums of each eight bytes of four registers as words: in each lane two of each register, in order.
func packedTotals(v []reg.VecVirtual, nothing reg.VecVirtual) reg.VecVirtual {
	var totals [4]reg.VecVirtual
	for i := range totals {
		totals[i] = ZMM()
		VPSADBW(nothing, v[i], totals[i])
	}
	VPACKUSDW(totals[1], totals[0], totals[0])
	VPACKUSDW(totals[3], totals[2], totals[2])
	VPACKUSDW(totals[2], totals[0], totals[0])
	return totals[0]
}

// scaledSquares returns the sums of the squares of the bytes in v, none above 63, each four times the word of by that at picks for them: at[0]
// for those of the first two registers, which take turns in each lane, and at[1] for the others.
func scaledSquares(v []reg.VecVirtual, nothing, by reg.VecVirtual, at [2]reg.VecVirtual) reg.VecVirtual {
	squares := ZMM()
	for k := range at {
		first, second, scale := ZMM(), ZMM(), ZMM()
		VMOVDQA32(nothing, first) // not cleared by itself, which would have to be there before
		VMOVDQA32(nothing, second)
		VPDPBUSD(v[2*k], v[2*k], first)
		VPDPBUSD(v[2*k+1], v[2*k+1], second)
		VPACKUSDW(second, first, first)
		VPERMW(by, at[k], scale)
		if k == 0 {
			VPMADDWD(first, scale, squares)
		} else {
			VPDPWSSD(first, scale, squares)
		}
	}
	return squares
}

// wideSumsQ45K takes two blocks at a time, whose scales and minima share a register: eight scales as words in the first lane, eight minima in
// the second, and those of the other block in the third and fourth. A block that is left over comes with itself, whose factors are then
// zero. The weights of a block are seen in four registers: the lower halves of 64 bytes, which are two runs, the upper halves, and both of
// the next 64. runs are these runs, in the order of the halves of a register.
func wideSumsQ45K(name string) {
	runs := [4][2]int{{0, 2}, {1, 3}, {4, 6}, {5, 7}}
	bytes, q, top := 144, 16, uint32(0x41700000) // the largest weight: 15
	if name == "Q5K" {
		bytes, q, top = 176, 48, 0x41f80000 // 31
	}
	var low, fifth, nothing, ofTotals, ofCrosses reg.VecVirtual
	var ofSquares [2]reg.VecVirtual
	var minima, even reg.Register
	var r wideRunning
	var crossed, leastSum, leastSquares reg.VecVirtual
	// headWords are words for each scale and minimum of two blocks; -1 is no byte.
	headWords := func(name string, values [2][8]int8, empty int8) Mem {
		var list []int8
		for range 2 {
			for _, lane := range values {
				for _, v := range lane {
					if v < 0 {
						list = append(list, -128, -128)
					} else {
						list = append(list, v, empty)
					}
				}
			}
		}
		return bytesOf(name, list...)
	}
	wideRows(name, func() {
		low, nothing = filled512("fifteen", 15), ZMM()
		clear512(nothing)
		if q == 48 {
			fifth = filled512("sixteen", 16)
		}
		ofTotals = indices512("q4kTotals", func(lane, i int) int { return runs[i/2][lane/2] })
		ofCrosses = indices512("q4kCrosses", func(lane, i int) int { return 8 + runs[i/2][lane/2] })
		for k := range ofSquares {
			ofSquares[k] = indices512("q4kSquares"+string(rune('0'+k)), func(lane, i int) int { return runs[2*k+i/4][lane/2] })
		}
		mask := GP32()
		minima, even = K(), K()
		MOVL(U32(0xf0f0), mask)
		KMOVW(mask, minima)
		MOVL(U32(0x55555555), mask)
		KMOVD(mask, even)
	}, func() wideRunning {
		r = newWideRunning()
		r.begin()
		crossed, leastSum, leastSquares = ZMM(), ZMM(), ZMM()
		clear512(crossed, leastSum, leastSquares)
		return r
	}, func(w, blocks reg.GPVirtual) {
		Label("pair")
		widePrefetch(w, 2*bytes)
		other, lanes := GP64(), GP32()
		two := GP32()
		LEAQ(Mem{Base: w, Disp: bytes}, other)
		MOVL(U32(0xffff), lanes)
		MOVL(U32(0x00ff), two)
		CMPQ(blocks, Imm(1))
		CMOVQEQ(w, other)
		CMOVLEQ(two, lanes)
		whole := K()
		KMOVW(lanes, whole)

		// Four runs have six bits of a byte; the others four bits of another, and above them the two that are left of the first.
		head, s, high := ZMM(), ZMM(), ZMM()
		VBROADCASTI32X4(Mem{Base: w}, head.AsY())
		VBROADCASTI32X4(Mem{Base: other}, high.AsY())
		VINSERTI64X4(Imm(1), high.AsY(), head, head)
		VPSHUFB(headWords("q4kScales", [2][8]int8{{4, 5, 6, 7, 12, 13, 14, 15}, {8, 9, 10, 11, 12, 13, 14, 15}}, -128), head, s)
		VPSRLVW(headWords("q4kShift", [2][8]int8{{}, {0, 0, 0, 0, 4, 4, 4, 4}}, 0), s, s)
		VPANDD(headWords("q4kMask", [2][8]int8{{63, 63, 63, 63, 15, 15, 15, 15}, {63, 63, 63, 63, 15, 15, 15, 15}}, 0), s, s)
		VPSHUFB(headWords("q4kHigh", [2][8]int8{{-1, -1, -1, -1, 4, 5, 6, 7}, {-1, -1, -1, -1, 8, 9, 10, 11}}, -128), head, high)
		VPSRLW(Imm(2), high, high)
		VPTERNLOGD(U8(0xf8), headWords("q4kHighMask", [2][8]int8{{0, 0, 0, 0, 48, 48, 48, 48}, {0, 0, 0, 0, 48, 48, 48, 48}}, 0), high, s)
		// Their products with the scales: of scales the squares, of minima what crosses.
		products := ZMM()
		VSHUFI32X4(U8(0xa0), s, s, products)
		VPMULLW(s, products, products)

		// The factors of each lane: d, and the negative of dmin.
		factor := ZMM()
		VMOVDQU16(words512("q4kFactors", func(lane, i int) int { return 16*(lane%2) + i/4 }), factor)
		VPERMW(head, factor, factor)
		VCVTPH2PS_Z(factor.AsY(), whole, factor)
		VPXORD_BCST(bitsAt("minusZero", 0x80000000), factor, minima, factor)

		// What the weights of a run lie between: the minimum, and the largest weight above it. The minima alone also add up, to a 32nd of what
		// they are together.
		least, most, factors := ZMM(), ZMM(), ZMM()
		VMOVDQU16(words512("q4kOfMinima", func(lane, i int) int { return 16*(lane/2) + 4*(lane%2) + i/2 + 8 }), least)
		VMOVDQU16(words512("q4kOfScales", func(lane, i int) int { return 16*(lane/2) + 4*(lane%2) + i/2 }), most)
		VPERMW_Z(s, least, even, least)
		VPERMW_Z(s, most, even, most)
		VCVTDQ2PS(least, least)
		VCVTDQ2PS(most, most)
		VSHUFF32X4(U8(0xf5), factor, factor, factors)
		VMULPS(factors, least, least)
		VSHUFF32X4(U8(0xa0), factor, factor, factors)
		VMULPS(factors, most, most)
		VADDPS(least, leastSum, leastSum)
		VFMADD231PS(least, least, leastSquares)
		VFMADD132PS_BCST(bitsAt("largest"+name, top), least, most)
		for _, end := range []reg.VecVirtual{least, most} { // either may be the lower one
			VMINPS(r.low, end, r.low)
			VMAXPS(r.high, end, r.high)
		}

		for block, base := range []reg.GPVirtual{w, other} {
			scale, product := s, products
			if block == 1 {
				scale, product = ZMM(), ZMM()
				VEXTRACTI64X4(Imm(1), s, scale.AsY())
				VEXTRACTI64X4(Imm(1), products, product.AsY())
			}
			d, minimum := ZMM(), ZMM()
			VSHUFF32X4(U8([]uint8{0x00, 0xaa}[block]), factor, factor, d)
			VSHUFF32X4(U8([]uint8{0x55, 0xff}[block]), factor, factor, minimum)

			var v []reg.VecVirtual
			var fifths reg.VecVirtual
			if q == 48 {
				fifths = ZMM()
				VBROADCASTI64X4(Mem{Base: base, Disp: 16}, fifths)
			}
			for pair := range 2 {
				raw := Mem{Base: base, Disp: q + 64*pair}
				for nibble := range 2 {
					x := ZMM()
					if nibble == 0 {
						VPANDD(raw, low, x)
					} else {
						VPSRLW(Imm(4), raw, x)
						VPANDD(low, x, x)
					}
					if q == 48 {
						// The bit of each run goes to the fifth place.
						k, bit := 2*pair+nibble, ZMM()
						place := func(lane, _ int) int { return max(4-runs[k][lane/2], runs[k][lane/2]-4) }
						if pair == 0 {
							VPSLLVW(words512("q5kLeft"+string(rune('0'+k)), place), fifths, bit)
						} else {
							VPSRLVW(words512("q5kRight"+string(rune('0'+k)), place), fifths, bit)
						}
						VPTERNLOGD(U8(0xf8), fifth, bit, x) // x or both of the others
					}
					v = append(v, x)
				}
			}
			totals, crosses, by := packedTotals(v, nothing), ZMM(), ZMM()
			VPERMW(scale, ofTotals, by)
			VPERMW(product, ofCrosses, crosses)
			VPMADDWD(totals, crosses, crosses)
			VPMADDWD(totals, by, totals)
			squares := scaledSquares(v, nothing, product, ofSquares)
			VCVTDQ2PS(totals, totals)
			VCVTDQ2PS(crosses, crosses)
			VCVTDQ2PS(squares, squares)
			VFMADD231PS(totals, d, r.sum)
			VMULPS(d, squares, squares)
			VFMADD231PS(squares, d, r.squares)
			VMULPS(d, crosses, crosses)
			VFMADD231PS(crosses, minimum, crossed)
		}
		ADDQ(U32(2*bytes), w)
		SUBQ(Imm(2), blocks)
		JG(LabelRef("pair"))
		// The kernel goes on with the row behind the last block.
		JZ(LabelRef("end"))
		SUBQ(U32(bytes), w)
		Label("end")
	}, func() {
		thirtyTwo := bitsAt("thirtyTwoFloat", 0x42000000)
		VADDPS(crossed, crossed, crossed)
		VADDPS(crossed, r.squares, r.squares)
		VFMADD231PS_BCST(thirtyTwo, leastSum, r.sum)
		VFMADD231PS_BCST(thirtyTwo, leastSquares, r.squares)
	})
}

// wideSumsQ6K sees the weights of a block in four registers, each with four runs of 16.
func wideSumsQ6K() {
	const bytes = 210
	var low, upper, nothing, centre, offset, left, right, ofTotals reg.VecVirtual
	var ofSquares [2]reg.VecVirtual
	var r wideRunning
	wideRows("Q6K", func() {
		low, upper, centre, nothing, offset = filled512("fifteen", 15), filled512("fortyEight", 48), filled512("thirtyTwo", 32), ZMM(), ZMM()
		clear512(nothing)
		VPBROADCASTW(bytesOf("centreOfEight", 0, 1), offset)
		left = indices512("q6kLeft", func(lane, _ int) int { return 4 - 2*(lane/2) })
		right = indices512("q6kRight", func(lane, _ int) int { return 2 * (lane / 2) })
		ofTotals = indices512("q6kTotals", func(lane, i int) int { return 4*(i/2) + lane })
		for k := range ofSquares {
			ofSquares[k] = indices512("q6kSquares"+string(rune('0'+k)), func(lane, i int) int { return 4*(2*k+i/4) + lane })
		}
	}, func() wideRunning {
		r = newWideRunning()
		r.begin()
		return r
	}, func(w, blocks reg.GPVirtual) {
		loop("block", blocks, func() {
			widePrefetch(w, bytes)
			d := halfOf512(Mem{Base: w, Disp: 208})
			ends := ZMM()
			VPMOVSXBD(Mem{Base: w, Disp: 192}, ends)
			VCVTDQ2PS(ends, ends)
			VMULPS(d, ends, ends)
			VMINPS(r.low, ends, r.low) // of the scales until the end
			VMAXPS(r.high, ends, r.high)
			s, squared := ZMM(), ZMM()
			VPMOVSXBW(Mem{Base: w, Disp: 192}, s.AsY())
			VPMULLW(s.AsY(), s.AsY(), squared.AsY())
			var v []reg.VecVirtual
			for half := range 2 {
				raw, high := ZMM(), ZMM()
				VMOVDQU32(Mem{Base: w, Disp: 64 * half}, raw)
				VBROADCASTI64X4(Mem{Base: w, Disp: 128 + 32*half}, high)
				x, y, bits := ZMM(), ZMM(), ZMM()
				VPANDD(low, raw, x)
				VPSLLVW(left, high, bits)
				VPTERNLOGD(U8(0xf8), upper, bits, x) // x or both of the others
				VPSRLW(Imm(4), raw, y)
				VPANDD(low, y, y)
				VPSRLVW(right, high, high)
				VPTERNLOGD(U8(0xf8), upper, high, y)
				v = append(v, x, y)
			}
			totals, scale := packedTotals(v, nothing), ZMM()
			VPSUBW(offset, totals, totals)
			VPERMW(s, ofTotals, scale)
			VPMADDWD(totals, scale, totals)
			for _, x := range v {
				VPSUBB(centre, x, x)
				VPABSB(x, x)
			}
			squares := scaledSquares(v, nothing, squared, ofSquares)
			VCVTDQ2PS(totals, totals)
			VCVTDQ2PS(squares, squares)
			VFMADD231PS(totals, d, r.sum)
			VMULPS(d, squares, squares)
			VFMADD231PS(squares, d, r.squares)
			ADDQ(U32(bytes), w)
		})
	}, func() {
		// Weights lie between -32 and 31 times the scale.
		const minus32, plus31 = 0xc2000000, 0x41f80000
		least, most, x := ZMM(), ZMM(), ZMM()
		VMULPS_BCST(bitsAt("minus32Float", minus32), r.high, least)
		VMULPS_BCST(bitsAt("plus31Float", plus31), r.low, x)
		VMINPS(x, least, least)
		VMULPS_BCST(bitsAt("minus32Float", minus32), r.low, most)
		VMULPS_BCST(bitsAt("plus31Float", plus31), r.high, x)
		VMAXPS(x, most, most)
		VMOVAPS(least, r.low)
		VMOVAPS(most, r.high)
	})
}
