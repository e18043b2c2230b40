package main

import (
	. "github.com/mmcloughlin/avo/build" //nolint:staticcheck // the form that avo's programs have
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// gridBlocks are the types whose weights are points of a grid, 4 or 8 at a time, most with signs of their own. The grids lie in
// variables of inference/kernel. How the types are laid out is told in inference/tensor.
//
// Numbers of points and signs are put together for a whole block in registers and laid down on the stack: what takes a dozen scalar
// instructions for each point takes a few for all.
func gridBlocks() []*block {
	return []*block{iq1s(), iq1m(), iq2xxs(), iq2xs(), iq2s(), iq3xxs(), iq3s()}
}

// pointer returns a register with the address of a variable of the package.
func pointer(name string) reg.GPVirtual {
	to := GP64()
	LEAQ(NewDataAddr(Symbol{Name: "·" + name}, 0), to)
	return to
}

// joined returns 32 bytes of points: four of 8 or eight of 4. number loads the number of the i-th.
func joined(grid reg.GPVirtual, size int, number func(i int, to reg.Register)) reg.VecVirtual {
	v := YMM()
	for i := range 32 / size {
		at, point := GP64(), v
		number(i, at.As32())
		if i > 0 {
			point = YMM()
		}
		m := Mem{Base: grid, Index: at, Scale: uint8(size)}
		if size == 8 {
			VPBROADCASTQ(m, point)
			if i > 0 {
				VPBLENDD(Imm(3<<(2*i)), point, v, v)
			}
			continue
		}
		VPBROADCASTD(m, point)
		if i > 0 {
			VPBLENDD(Imm(1<<i), point, v, v)
		}
	}
	return v
}

// signing has what spreads 32 bits to the signs of 32 bytes.
type signing struct{ each, one reg.VecVirtual }

func newSigning() signing {
	s := signing{each: YMM(), one: YMM()}
	VMOVDQU(bytesOf("eights", eights()...), s.each)
	VPBROADCASTQ(bytesOf("bits", 1, 2, 4, 8, 16, 32, 64, -128), s.one)
	return s
}

// apply negates the bytes of v whose bits are set.
func (s signing) apply(v reg.VecVirtual, bits Mem) {
	mask := YMM()
	VPBROADCASTD(bits, mask)
	VPSHUFB(s.each, mask, mask) // the byte with each weight's bit
	VPAND(s.one, mask, mask)
	VPCMPEQB(s.one, mask, mask)
	VPXOR(mask, v, v)
	VPSUBB(mask, v, v)
}

// evenSigns completes each 7 bits by an eighth so that an even number of them is set.
func evenSigns(seven reg.VecVirtual) {
	table, fifteen, low, high := YMM(), YMM(), YMM(), YMM()
	const odd = -128
	VBROADCASTI128(bytesOf("parity", 0, odd, odd, 0, odd, 0, 0, odd, odd, 0, 0, odd, 0, odd, odd, 0), table)
	VPBROADCASTB(bytesOf("fifteen", 15), fifteen)
	VPAND(fifteen, seven, low)
	VPSRLW(Imm(4), seven, high)
	VPAND(fifteen, high, high)
	VPSHUFB(low, table, low)
	VPSHUFB(high, table, high)
	VPXOR(low, high, high)
	VPOR(high, seven, seven)
}

// spreadSevens lays down the signs of eight runs of 32 weights, which are 7 bits for 8 weights each in the lower 28 bits of a lane.
func spreadSevens(packed reg.VecVirtual, to Mem) {
	all := YMM()
	VPAND(lanes("seven0", 0x7f), packed, all)
	for i := 1; i < 4; i++ {
		part := YMM()
		VPSLLD(Imm(uint64(i)), packed, part)
		VPAND(lanes("seven"+string(rune('0'+i)), 0x7f<<(8*i)), part, part)
		VPOR(part, all, all)
	}
	evenSigns(all)
	VMOVDQU(all, to)
}

// lanes returns memory with eight times the same 32-bit integer.
func lanes(name string, value uint32) Mem {
	var s []int8
	for range 8 {
		s = append(s, int8(value), int8(value>>8), int8(value>>16), int8(value>>24))
	}
	return bytesOf(name+"Lanes", s...)
}

// words16 returns memory with 16-bit integers, repeated to fill a register.
func words16(name string, values ...uint16) Mem {
	var s []int8
	for i := range 16 {
		v := values[i%len(values)]
		s = append(s, int8(v), int8(v>>8))
	}
	return bytesOf(name+"Words", s...)
}

// odd turns integers s into floats (2*s + 1) * by.
func odd(s, by reg.VecVirtual) {
	VPADDD(s, s, s)
	VPADDD(lanes("one", 1), s, s)
	floats(s, by)
}

// part returns a register full of the half-precision number at m times the inverse of a power of two.
func part(m Mem, name string, inverse float32) reg.VecVirtual {
	d := half(m)
	if _, ok := constants[name]; !ok {
		constants[name] = ConstData(name, F32(inverse))
	}
	factor := YMM()
	VBROADCASTSS(constants[name], factor)
	VMULPS(factor, d, d)
	return d
}

// nibbles returns the halves of eight bytes, those of a byte next to each other, the lower one first.
func nibbles(m Mem) reg.VecVirtual {
	v, upper := XMM(), XMM()
	VPMOVZXBW(m, v)
	VPSLLW(Imm(4), v, upper)
	VPOR(upper, v, v)
	VPAND(lanes("nibble", 0x0f0f0f0f), v, v)
	return v
}

// iq2xxs has for each 32 weights four numbers of points in bytes, and 28 bits of signs with a scale above them in the next 32 bits.
func iq2xxs() *block {
	var grid reg.GPVirtual
	var signs signing
	var packed reg.VecVirtual
	var stack Mem
	return &block{
		name: "IQ2XXS", elements: 256, bytes: 66, wide: true, signed: true,
		constants: func() { grid, signs, stack = pointer("gridIQ2XXS"), newSigning(), AllocLocal(32) },
		scales: func(w reg.GPVirtual) (scales, minima []reg.VecVirtual) {
			packed = load(Mem{Base: w, Disp: 2})
			VSHUFPS(Imm(0xdd), Mem{Base: w, Disp: 34}, packed, packed) // every second 32 bits
			VPERMQ(Imm(0xd8), packed, packed)
			s := YMM()
			VPSRLD(Imm(28), packed, s)
			odd(s, part(Mem{Base: w}, "eighth", 0.125))
			return []reg.VecVirtual{s}, nil
		},
		weights: func(w reg.GPVirtual, emit func(int, reg.VecVirtual)) {
			spreadSevens(packed, stack)
			for run := range 8 {
				v := joined(grid, 8, func(i int, to reg.Register) { MOVBLZX(Mem{Base: w, Disp: 2 + 8*run + i}, to) })
				signs.apply(v, stack.Offset(4*run))
				emit(run, v)
			}
		},
	}
}

// nibbleScales are those of blocks with half a byte for each 16 weights.
func nibbleScales(at int) func(reg.GPVirtual) (scales, minima []reg.VecVirtual) {
	return func(w reg.GPVirtual) (scales, minima []reg.VecVirtual) {
		all, d := nibbles(Mem{Base: w, Disp: at}), part(Mem{Base: w}, "eighth", 0.125)
		for i := range 2 {
			s := YMM()
			if i > 0 {
				VPSRLDQ(Imm(8), all, all)
			}
			VPMOVZXBD(all, s)
			odd(s, d)
			scales = append(scales, s)
		}
		return scales, nil
	}
}

// iq2xs has the number of a point in the lower 9 bits of 16, and 7 signs in the upper ones.
func iq2xs() *block {
	var grid reg.GPVirtual
	var signs signing
	var stack Mem
	return &block{
		name: "IQ2XS", elements: 256, bytes: 74, signed: true,
		constants: func() { grid, signs, stack = pointer("gridIQ2XS"), newSigning(), AllocLocal(96) },
		scales:    nibbleScales(66),
		weights: func(w reg.GPVirtual, emit func(int, reg.VecVirtual)) {
			var sevens [2]reg.VecVirtual
			for i := range sevens {
				v := load(Mem{Base: w, Disp: 2 + 32*i})
				sevens[i] = YMM()
				VPSRLW(Imm(9), v, sevens[i])
				VPAND(words16("nineBits", 511), v, v)
				VMOVDQU(v, stack.Offset(32+32*i))
			}
			VPACKUSWB(sevens[1], sevens[0], sevens[0])
			VPERMQ(Imm(0xd8), sevens[0], sevens[0]) // packing works on each half by itself
			evenSigns(sevens[0])
			VMOVDQU(sevens[0], stack)
			for run := range 8 {
				v := joined(grid, 8, func(i int, to reg.Register) { MOVWLZX(stack.Offset(32+8*run+2*i), to) })
				signs.apply(v, stack.Offset(4*run))
				emit(run, v)
			}
		},
	}
}

// repeated returns an order for VPSHUFB that makes 16-bit integers of count bytes or words, each of which is repeated to fill a
// register. A lower half gets the first ones.
func repeated(name string, count, size int) Mem {
	var s []int8
	for i := range 16 {
		at := int8(i * count / 16 * size)
		if size == 1 {
			s = append(s, at, -1)
		} else {
			s = append(s, at, at+1)
		}
	}
	return bytesOf(name, s...)
}

// numbers lays down 16 numbers of points: the lower 8 bits of each in a byte, and bits above them, which lie in a few bytes that are
// repeated, multiplied so that they come to their place, and masked.
func numbers(low, high Mem, order Mem, factors Mem, mask Mem, shift uint64, to Mem) {
	n, upper := YMM(), YMM()
	VPMOVZXBW(low, n)
	VPBROADCASTQ(high, upper)
	VPSHUFB(order, upper, upper)
	VPMULLW(factors, upper, upper)
	if shift > 0 {
		VPSRLW(Imm(shift), upper, upper)
	}
	VPAND(mask, upper, upper)
	VPOR(upper, n, n)
	VMOVDQU(n, to)
}

// iq2s has the lower bits of numbers, the signs, and two upper bits of each number.
func iq2s() *block {
	var grid reg.GPVirtual
	var signs signing
	var stack Mem
	return &block{
		name: "IQ2S", elements: 256, bytes: 82, signed: true,
		constants: func() { grid, signs, stack = pointer("gridIQ2S"), newSigning(), AllocLocal(64) },
		scales:    nibbleScales(74),
		weights: func(w reg.GPVirtual, emit func(int, reg.VecVirtual)) {
			for i := range 2 {
				numbers(Mem{Base: w, Disp: 2 + 16*i}, Mem{Base: w, Disp: 66 + 4*i}, repeated("fourBytes", 4, 1),
					words16("byTwoBits", 256, 64, 16, 4), words16("twoAbove", 0x300), 0, stack.Offset(32*i))
			}
			for run := range 8 {
				v := joined(grid, 8, func(i int, to reg.Register) { MOVWLZX(stack.Offset(8*run+2*i), to) })
				signs.apply(v, Mem{Base: w, Disp: 34 + 4*run})
				emit(run, v)
			}
		},
	}
}

// iq3xxs has for each 4 weights the number of a point, and after all of them signs and scales as iq2xxs.
func iq3xxs() *block {
	var grid reg.GPVirtual
	var signs signing
	var packed reg.VecVirtual
	var stack Mem
	return &block{
		name: "IQ3XXS", elements: 256, bytes: 98, wide: true, signed: true,
		constants: func() { grid, signs, stack = pointer("gridIQ3XXS"), newSigning(), AllocLocal(32) },
		scales: func(w reg.GPVirtual) (scales, minima []reg.VecVirtual) {
			packed = load(Mem{Base: w, Disp: 66})
			s := YMM()
			VPSRLD(Imm(28), packed, s)
			odd(s, part(Mem{Base: w}, "quarter", 0.25))
			return []reg.VecVirtual{s}, nil
		},
		weights: func(w reg.GPVirtual, emit func(int, reg.VecVirtual)) {
			spreadSevens(packed, stack)
			for run := range 8 {
				v := joined(grid, 4, func(i int, to reg.Register) { MOVBLZX(Mem{Base: w, Disp: 2 + 8*run + i}, to) })
				signs.apply(v, stack.Offset(4*run))
				emit(run, v)
			}
		},
	}
}

// iq3s has the lower 8 bits of numbers of points, the ninth ones, the signs, and scales in halves of bytes.
func iq3s() *block {
	var grid reg.GPVirtual
	var signs signing
	var stack Mem
	return &block{
		name: "IQ3S", elements: 256, bytes: 110, wide: true, signed: true,
		constants: func() { grid, signs, stack = pointer("gridIQ3S"), newSigning(), AllocLocal(128) },
		scales: func(w reg.GPVirtual) (scales, minima []reg.VecVirtual) {
			all, s := XMM(), YMM()
			VPMOVZXBW(Mem{Base: w, Disp: 102}, all) // the last four of these bytes
			VPSRLDQ(Imm(8), all, all)
			upper := XMM()
			VPSLLW(Imm(4), all, upper)
			VPOR(upper, all, all)
			VPAND(lanes("nibble", 0x0f0f0f0f), all, all)
			VPMOVZXBD(all, s)
			odd(s, half(Mem{Base: w}))
			return []reg.VecVirtual{s}, nil
		},
		weights: func(w reg.GPVirtual, emit func(int, reg.VecVirtual)) {
			each := make([]uint16, 16)
			for i := range each {
				each[i] = 1 << i
			}
			for i := range 4 {
				n, ninth := YMM(), YMM()
				VPMOVZXBW(Mem{Base: w, Disp: 2 + 16*i}, n)
				VPBROADCASTW(Mem{Base: w, Disp: 66 + 2*i}, ninth)
				VPAND(words16("eachBit", each...), ninth, ninth)
				VPCMPEQW(words16("eachBit", each...), ninth, ninth)
				VPAND(words16("ninthBit", 256), ninth, ninth)
				VPOR(ninth, n, n)
				VMOVDQU(n, stack.Offset(32*i))
			}
			for run := range 8 {
				v := joined(grid, 4, func(i int, to reg.Register) { MOVWLZX(stack.Offset(16*run+2*i), to) })
				signs.apply(v, Mem{Base: w, Disp: 74 + 4*run})
				emit(run, v)
			}
		},
	}
}

// iq1s has the lower bits of numbers in bytes and, for each 32 weights, 16 bits with three upper bits of four numbers, a scale, and
// whether an eighth is taken off the coordinates or added. All is times 8 here, so that it stays integer.
func iq1s() *block {
	var grid reg.GPVirtual
	var stack Mem
	return &block{
		name: "IQ1S", elements: 256, bytes: 50, wide: true, signed: true,
		constants: func() { grid, stack = pointer("gridIQ1"), AllocLocal(64) },
		scales: func(w reg.GPVirtual) (scales, minima []reg.VecVirtual) {
			s := YMM()
			VPMOVZXWD(Mem{Base: w, Disp: 34}, s)
			VPSRLD(Imm(12), s, s)
			VPAND(lanes("seven", 7), s, s)
			odd(s, part(Mem{Base: w}, "eighth", 0.125))
			return []reg.VecVirtual{s}, nil
		},
		weights: func(w reg.GPVirtual, emit func(int, reg.VecVirtual)) {
			for i := range 2 {
				numbers(Mem{Base: w, Disp: 2 + 16*i}, Mem{Base: w, Disp: 34 + 8*i}, repeated("fourWords", 4, 2),
					words16("byThreeBits", 1<<13, 1<<10, 1<<7, 1<<4), words16("threeAbove", 0x700), 5, stack.Offset(32*i))
			}
			one := filled("one", 1)
			for run := range 8 {
				v := joined(grid, 8, func(i int, to reg.Register) { MOVWLZX(stack.Offset(8*run+2*i), to) })
				eighth := YMM()
				VPBROADCASTW(Mem{Base: w, Disp: 34 + 2*run}, eighth)
				VPSRAW(Imm(15), eighth, eighth)
				VPOR(one, eighth, eighth) // -1 where the bit is set
				VPADDB(eighth, v, v)
				emit(run, v)
			}
		},
	}
}

// iq1m has for each 8 weights half a byte with three upper bits of the number and the direction of the eighth. The upper halves of
// bytes in the last four words are the block's scale; the rest of these has three bits for each 16 weights.
func iq1m() *block {
	var grid reg.GPVirtual
	var stack Mem
	return &block{
		name: "IQ1M", elements: 256, bytes: 56, signed: true,
		constants: func() { grid, stack = pointer("gridIQ1"), AllocLocal(64) },
		scales: func(w reg.GPVirtual) (scales, minima []reg.VecVirtual) {
			all, bits := GP64(), GP32()
			MOVQ(Mem{Base: w, Disp: 48}, all)
			for i := range 4 {
				v := GP64()
				MOVQ(all, v)
				SHRQ(Imm(uint64(12+12*i)), v)
				ANDL(U32(0xf<<(4*i)), v.As32())
				if i == 0 {
					MOVL(v.As32(), bits)
				} else {
					ORL(v.As32(), bits)
				}
			}
			d, factor := YMM(), YMM()
			VMOVD(bits, d.AsX())
			VCVTPH2PS(d.AsX(), d.AsX())
			VBROADCASTSS(d.AsX(), d)
			if _, ok := constants["eighth"]; !ok {
				constants["eighth"] = ConstData("eighth", F32(float32(0.125)))
			}
			VBROADCASTSS(constants["eighth"], factor)
			VMULPS(factor, d, d)
			for i := range int32(2) {
				s, order := YMM(), YMM()
				VPMOVZXWD(Mem{Base: w, Disp: 48}, s.AsX())
				VMOVDQU(indices("pairOfFour"+string('0'+i), 2*i, 2*i, 2*i, 2*i, 2*i+1, 2*i+1, 2*i+1, 2*i+1), order)
				VPERMD(s, order, s)
				VPSRLVD(indices("byThree", 0, 3, 6, 9, 0, 3, 6, 9), s, s)
				VPAND(lanes("seven", 7), s, s)
				odd(s, d)
				scales = append(scales, s)
			}
			return scales, nil
		},
		weights: func(w reg.GPVirtual, emit func(int, reg.VecVirtual)) {
			for i := range 2 {
				numbers(Mem{Base: w, Disp: 16 * i}, Mem{Base: w, Disp: 32 + 8*i}, repeated("eightBytes", 8, 1),
					words16("byFourBits", 256, 16), words16("threeAbove", 0x700), 0, stack.Offset(32*i))
			}
			one, order, mask := filled("one", 1), YMM(), YMM()
			var orders, masks []int8
			for i := range 32 {
				orders, masks = append(orders, int8(i/16)), append(masks, []int8{8, -128}[i/8%2])
			}
			VMOVDQU(bytesOf("twoHalves", orders...), order)
			VMOVDQU(bytesOf("fourths", masks...), mask)
			for run := range 8 {
				v := joined(grid, 8, func(i int, to reg.Register) { MOVWLZX(stack.Offset(8*run+2*i), to) })
				eighth := YMM()
				VPBROADCASTW(Mem{Base: w, Disp: 32 + 2*run}, eighth)
				VPSHUFB(order, eighth, eighth)
				VPAND(mask, eighth, eighth)
				VPCMPEQB(mask, eighth, eighth)
				VPOR(one, eighth, eighth)
				VPADDB(eighth, v, v)
				emit(run, v)
			}
		},
	}
}
