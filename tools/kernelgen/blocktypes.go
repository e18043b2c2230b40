package main

import (
	. "github.com/mmcloughlin/avo/build" //nolint:staticcheck // the form that avo's programs have
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// blocks are the types that are multiplied without decoding them to memory. How they are laid out is told in inference/tensor.
func blocks() []*block {
	return []*block{
		q8(), fours("Q4_0", 18), fours("Q4_1", 20), fives("Q5_0", 22), fives("Q5_1", 24),
		levels("IQ4NL", 18, "nonLinear", -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113),
		levels("MXFP4", 17, "float4", 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12),
		q2k(), q3k(), q45k("Q4K"), q45k("Q5K"), q6k(), q8k(), iq4xs(), tq2(),
	}
}

// half returns a register full of the half-precision number at m as float32.
func half(m Mem) reg.VecVirtual {
	v := YMM()
	VPBROADCASTW(m, v.AsX())
	VCVTPH2PS(v.AsX(), v)
	return v
}

// twoHalves returns registers full of two neighbouring half-precision numbers.
func twoHalves(m Mem) (first, second reg.VecVirtual) {
	first, second = YMM(), YMM()
	VMOVD(m, second.AsX())
	VCVTPH2PS(second.AsX(), second.AsX())
	VBROADCASTSS(second.AsX(), first)
	VMOVSHDUP(second.AsX(), second.AsX())
	VBROADCASTSS(second.AsX(), second)
	return first, second
}

// filled returns a register full of a byte.
func filled(name string, value int8) reg.VecVirtual {
	v := YMM()
	VPBROADCASTB(bytesOf(name, value), v)
	return v
}

// words returns a register full of a 16-bit integer.
func words(name string, value int8) reg.VecVirtual {
	v := YMM()
	VPBROADCASTW(bytesOf(name+"Word", value, 0), v)
	return v
}

// load returns 32 bytes.
func load(m Mem) reg.VecVirtual {
	v := YMM()
	VMOVDQU(m, v)
	return v
}

// spread returns 16 bytes twice, the second time with each upper half in the place of the lower one.
func spread(m Mem) reg.VecVirtual {
	v, upper := YMM(), YMM()
	VBROADCASTI128(m, v)
	VPSRLW(Imm(4), v, upper)
	VPBLENDD(Imm(0xf0), upper, v, v)
	return v
}

// bits returns those of mask after a shift of v to the right, to the left when n is negative. Bits that come from a neighbouring byte
// must not be in the mask.
func bits(v reg.VecVirtual, n int, mask reg.VecVirtual) reg.VecVirtual {
	to := YMM()
	switch {
	case n == 0:
		VPAND(mask, v, to)
		return to
	case n < 0:
		VPSLLW(Imm(uint64(-n)), v, to)
	default:
		VPSRLW(Imm(uint64(n)), v, to)
	}
	VPAND(mask, to, to)
	return to
}

// floats turns eight 32-bit integers into float32 in place and multiplies them.
func floats(v, by reg.VecVirtual) {
	VCVTDQ2PS(v, v)
	VMULPS(by, v, v)
}

// q8 has a scale and 32 signed bytes.
func q8() *block {
	return &block{
		name: "Q8_0", elements: 32, bytes: 34, wide: true, constants: func() {}, scales: halfScales(false), signed: true,
		weights: func(w reg.GPVirtual, emit func(int, reg.VecVirtual)) { emit(0, load(Mem{Base: w, Disp: 2})) },
	}
}

// halfScales are those of blocks that begin with a scale and perhaps a minimum.
func halfScales(minimum bool) func(reg.GPVirtual) (scales, minima []reg.VecVirtual) {
	return func(w reg.GPVirtual) (scales, minima []reg.VecVirtual) {
		if minimum {
			d, least := twoHalves(Mem{Base: w})
			return []reg.VecVirtual{d}, []reg.VecVirtual{least}
		}
		return []reg.VecVirtual{half(Mem{Base: w})}, nil
	}
}

// fours have 16 bytes, whose low halves are the first 16 weights and whose high halves the others.
func fours(name string, bytes int) *block {
	var low reg.VecVirtual
	b := &block{
		name: name, elements: 32, bytes: bytes, wide: true,
		constants: func() { low = filled("fifteen", 15) },
		scales:    halfScales(bytes == 20),
		weights: func(w reg.GPVirtual, emit func(int, reg.VecVirtual)) {
			v := spread(Mem{Base: w, Disp: bytes - 16})
			VPAND(low, v, v)
			emit(0, v)
		},
	}
	if bytes == 18 {
		b.centre = 8
	}
	return b
}

// fives have a fifth bit for each weight in 32 bits before the bytes of fours.
func fives(name string, bytes int) *block {
	var low, fifth, each, one reg.VecVirtual
	b := &block{
		name: name, elements: 32, bytes: bytes, wide: true,
		constants: func() {
			low, fifth, each, one = filled("fifteen", 15), filled("sixteen", 16), YMM(), YMM()
			VMOVDQU(bytesOf("eights", eights()...), each)
			VPBROADCASTQ(bytesOf("bits", 1, 2, 4, 8, 16, 32, 64, -128), one)
		},
		scales: halfScales(bytes == 24),
		weights: func(w reg.GPVirtual, emit func(int, reg.VecVirtual)) {
			v, high := spread(Mem{Base: w, Disp: bytes - 16}), YMM()
			VPBROADCASTD(Mem{Base: w, Disp: bytes - 20}, high)
			VPSHUFB(each, high, high) // the byte with each weight's bit
			VPAND(one, high, high)
			VPCMPEQB(one, high, high)
			VPAND(fifth, high, high)
			VPAND(low, v, v)
			VPOR(high, v, v)
			emit(0, v)
		},
	}
	if bytes == 22 {
		b.centre = 16
	}
	return b
}

// eights are the indices 0 to 3, eight times each.
func eights() []int8 {
	var s []int8
	for i := range int8(32) {
		s = append(s, i/8)
	}
	return s
}

// table returns registers with 32 times 15, and with 16 levels for each half.
func table(name string, values []int8) (low, levels reg.VecVirtual) {
	low, levels = filled("fifteen", 15), YMM()
	VBROADCASTI128(bytesOf(name, values...), levels)
	return low, levels
}

// nibbleLevels returns the levels that the halves of 16 bytes at m stand for.
func nibbleLevels(m Mem, low, table reg.VecVirtual) reg.VecVirtual {
	v := spread(m)
	VPAND(low, v, v)
	VPSHUFB(v, table, v)
	return v
}

// levels have halves of bytes that stand for levels.
func levels(name string, bytes int, tableName string, values ...int8) *block {
	var low, t reg.VecVirtual
	scales := halfScales(false)
	if name == "MXFP4" {
		scales = func(w reg.GPVirtual) (scales, minima []reg.VecVirtual) { return []reg.VecVirtual{powerHalf(w)}, nil }
	}
	return &block{
		name: name, elements: 32, bytes: bytes, wide: true, signed: true, scales: scales,
		constants: func() { low, t = table(tableName, values) },
		weights: func(w reg.GPVirtual, emit func(int, reg.VecVirtual)) {
			emit(0, nibbleLevels(Mem{Base: w, Disp: bytes - 16}, low, t))
		},
	}
}

// powerHalf returns half of the power of two whose exponent is the byte at w: the levels of MXFP4 are doubled.
func powerHalf(w reg.GPVirtual) reg.VecVirtual {
	exponent, bits, small := GP32(), GP32(), GP32()
	MOVBLZX(Mem{Base: w}, exponent)
	LEAL(Mem{Base: exponent, Disp: -1}, bits)
	SHLL(Imm(23), bits)
	// The two smallest are subnormal: 2^-128 and 2^-127.
	LEAL(Mem{Base: exponent, Disp: 1}, small)
	SHLL(Imm(21), small)
	CMPL(exponent, Imm(2))
	CMOVLCS(small, bits)
	v := YMM()
	VMOVD(bits, v.AsX())
	VBROADCASTSS(v.AsX(), v)
	return v
}

// bytes8 returns eight bytes in a 64-bit register as eight 32-bit integers.
func bytes8(s reg.GPVirtual) reg.VecVirtual {
	v := YMM()
	VMOVQ(s, v.AsX())
	VPMOVZXBD(v.AsX(), v)
	return v
}

// both puts 32 bits above others.
func both(low, high reg.GPVirtual) reg.GPVirtual {
	SHLQ(Imm(32), high)
	ORQ(high, low)
	return low
}

// bits32 loads 32 bits into a 64-bit register and keeps those of mask after a shift to the right.
func bits32(m Mem, shift uint64, mask uint32) reg.GPVirtual {
	v := GP64()
	MOVL(m, v.As32())
	if shift > 0 {
		SHRL(Imm(shift), v.As32())
	}
	ANDL(Imm(uint64(mask)), v.As32())
	return v
}

// integers returns a register full of a 32-bit integer.
func integers(name string, value int8) reg.VecVirtual {
	v := YMM()
	VPBROADCASTD(bytesOf(name+"Integer", value, 0, 0, 0), v)
	return v
}

// q45k has a scale and a minimum for 8 runs of 32, packed as 6 bits each in 12 bytes; Q5_K has the fifth bits in 32 bytes after that.
func q45k(name string) *block {
	var low, fifth reg.VecVirtual
	bytes, q := 144, 16
	if name == "Q5K" {
		bytes, q = 176, 48
	}
	return &block{
		name: name, elements: 256, bytes: bytes, wide: true, subtracted: true,
		constants: func() {
			low = filled("fifteen", 15)
			if q == 48 {
				fifth = filled("sixteen", 16)
			}
		},
		scales: func(w reg.GPVirtual) (scales, minima []reg.VecVirtual) {
			first, second, third := Mem{Base: w, Disp: 4}, Mem{Base: w, Disp: 8}, Mem{Base: w, Disp: 12}
			pack := func(four Mem, shift uint64) reg.VecVirtual {
				high, upper := bits32(third, shift, 0x0f0f0f0f), bits32(four, 2, 0x30303030)
				ORQ(upper, high)
				return bytes8(both(bits32(four, 0, 0x3f3f3f3f), high))
			}
			s, m := pack(first, 0), pack(second, 4)
			d, least := twoHalves(Mem{Base: w})
			floats(s, d)
			floats(m, least)
			return []reg.VecVirtual{s}, []reg.VecVirtual{m}
		},
		weights: func(w reg.GPVirtual, emit func(int, reg.VecVirtual)) {
			var high reg.VecVirtual
			if q == 48 {
				high = load(Mem{Base: w, Disp: 16})
			}
			for pair := range 4 {
				v := load(Mem{Base: w, Disp: q + 32*pair})
				for run := range 2 {
					x := bits(v, 4*run, low)
					if q == 48 {
						VPOR(bits(high, 2*pair+run-4, fifth), x, x)
					}
					emit(2*pair+run, x)
				}
			}
		},
	}
}

// q6k has the lower four bits of 128 weights in 64 bytes and the upper two in 32; its scales are signed bytes for 16 weights each.
func q6k() *block {
	var low, upper reg.VecVirtual
	return &block{
		name: "Q6K", elements: 256, bytes: 210, centre: 32,
		constants: func() { low, upper = filled("fifteen", 15), filled("fortyEight", 48) },
		scales: func(w reg.GPVirtual) (scales, minima []reg.VecVirtual) {
			d := half(Mem{Base: w, Disp: 208})
			for i := range 2 {
				s := YMM()
				VPMOVSXBD(Mem{Base: w, Disp: 192 + 8*i}, s)
				floats(s, d)
				scales = append(scales, s)
			}
			return scales, nil
		},
		weights: func(w reg.GPVirtual, emit func(int, reg.VecVirtual)) {
			for n := range 2 {
				high := load(Mem{Base: w, Disp: 128 + 32*n})
				for j := range 2 {
					v := load(Mem{Base: w, Disp: 64*n + 32*j})
					for k := range 2 {
						x := bits(v, 4*k, low)
						VPOR(bits(high, 2*j+4*k-4, upper), x, x)
						emit(4*n+j+2*k, x)
					}
				}
			}
		},
	}
}

// twoBits calls each with the two-bit weights of a half of 128, which lie in 32 bytes from w+at on.
func twoBits(w reg.GPVirtual, at, half int, three reg.VecVirtual, each func(i, part int, v reg.VecVirtual)) {
	v := load(Mem{Base: w, Disp: at + 32*half})
	for part := range 4 {
		each(4*half+part, part, bits(v, 2*part, three))
	}
}

// q2k has scales and minima of 4 bits for 16 weights each.
func q2k() *block {
	var three, fifteen reg.VecVirtual
	return &block{
		name: "Q2K", elements: 256, bytes: 84, subtracted: true,
		constants: func() { three, fifteen = filled("three", 3), integers("fifteen", 15) },
		scales: func(w reg.GPVirtual) (scales, minima []reg.VecVirtual) {
			d, least := twoHalves(Mem{Base: w, Disp: 80})
			for i := range 2 {
				s, m := YMM(), YMM()
				VPMOVZXBD(Mem{Base: w, Disp: 8 * i}, s)
				VPSRLD(Imm(4), s, m)
				VPAND(fifteen, s, s)
				floats(s, d)
				floats(m, least)
				scales, minima = append(scales, s), append(minima, m)
			}
			return scales, minima
		},
		weights: func(w reg.GPVirtual, emit func(int, reg.VecVirtual)) {
			for half := range 2 {
				twoBits(w, 16, half, three, func(i, _ int, v reg.VecVirtual) { emit(i, v) })
			}
		},
	}
}

// q3k has third bits in 32 bytes before the two lower ones, and 6-bit scales for 16 weights each.
func q3k() *block {
	var three, four, centre reg.VecVirtual
	return &block{
		name: "Q3K", elements: 256, bytes: 110, centre: 4,
		constants: func() { three, four, centre = filled("three", 3), filled("four", 4), integers("thirtyTwo", 32) },
		scales: func(w reg.GPVirtual) (scales, minima []reg.VecVirtual) {
			d := half(Mem{Base: w, Disp: 108})
			for i := range uint64(2) {
				four := func(j int) reg.GPVirtual {
					s := bits32(Mem{Base: w, Disp: 96 + 4*j}, 4*i, 0x0f0f0f0f)
					high := bits32(Mem{Base: w, Disp: 104}, 4*i+2*uint64(j), 0x03030303)
					SHLQ(Imm(4), high)
					ORQ(high, s)
					return s
				}
				s := bytes8(both(four(0), four(1)))
				VPSUBD(centre, s, s)
				floats(s, d)
				scales = append(scales, s)
			}
			return scales, nil
		},
		weights: func(w reg.GPVirtual, emit func(int, reg.VecVirtual)) {
			high := load(Mem{Base: w})
			for half := range 2 {
				twoBits(w, 32, half, three, func(i, part int, v reg.VecVirtual) {
					VPOR(bits(high, 4*half+part-2, four), v, v)
					emit(i, v)
				})
			}
		},
	}
}

// q8k has a float32 scale and 256 signed bytes.
func q8k() *block {
	return &block{
		name: "Q8K", elements: 256, bytes: 292, wide: true, constants: func() {}, signed: true,
		scales: func(w reg.GPVirtual) (scales, minima []reg.VecVirtual) {
			s := YMM()
			VBROADCASTSS(Mem{Base: w}, s)
			return []reg.VecVirtual{s}, nil
		},
		weights: func(w reg.GPVirtual, emit func(int, reg.VecVirtual)) {
			for i := range 8 {
				emit(i, load(Mem{Base: w, Disp: 4 + 32*i}))
			}
		},
	}
}

// iq4xs has the levels of IQ4_NL and scales of 6 bits for 32 weights each: the upper two bits of all in 16 bits, the lower four in 32.
func iq4xs() *block {
	var low, t, centre, fifteen, upper, fours, twos reg.VecVirtual
	return &block{
		name: "IQ4XS", elements: 256, bytes: 136, wide: true, signed: true,
		constants: func() {
			low, t = table("nonLinear", nil)
			centre, fifteen, upper = integers("thirtyTwo", 32), integers("fifteen", 15), integers("fortyEight", 48)
			fours, twos = YMM(), YMM()
			VMOVDQU(indices("byFour", 0, 4, 8, 12, 16, 20, 24, 28), fours)
			VMOVDQU(indices("byTwo", 0, 2, 4, 6, 8, 10, 12, 14), twos)
		},
		scales: func(w reg.GPVirtual) (scales, minima []reg.VecVirtual) {
			s, high := YMM(), YMM()
			VPBROADCASTD(Mem{Base: w, Disp: 4}, s)
			VPSRLVD(fours, s, s)
			VPAND(fifteen, s, s)
			VPBROADCASTW(Mem{Base: w, Disp: 2}, high)
			VPSRLD(Imm(16), high, high)
			VPSLLD(Imm(4), high, high)
			VPSRLVD(twos, high, high)
			VPAND(upper, high, high)
			VPOR(high, s, s)
			VPSUBD(centre, s, s)
			floats(s, half(Mem{Base: w}))
			return []reg.VecVirtual{s}, nil
		},
		weights: func(w reg.GPVirtual, emit func(int, reg.VecVirtual)) {
			for run := range 8 {
				emit(run, nibbleLevels(Mem{Base: w, Disp: 8 + 16*run}, low, t))
			}
		},
	}
}

// tq2 has two bits for each weight, less one, and one scale at its end.
func tq2() *block {
	var three reg.VecVirtual
	return &block{
		name: "TQ2_0", elements: 256, bytes: 66, wide: true, centre: 1,
		constants: func() { three = filled("three", 3) },
		scales: func(w reg.GPVirtual) (scales, minima []reg.VecVirtual) {
			return []reg.VecVirtual{half(Mem{Base: w, Disp: 64})}, nil
		},
		weights: func(w reg.GPVirtual, emit func(int, reg.VecVirtual)) {
			for half := range 2 {
				twoBits(w, 0, half, three, func(i, _ int, v reg.VecVirtual) { emit(i, v) })
			}
		},
	}
}
