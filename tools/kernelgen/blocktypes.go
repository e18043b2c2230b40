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

// words returns a register full of a 16-bit integer.
func words(name string, value int8) reg.VecVirtual {
	v := YMM()
	VPMOVSXBW(bytesOf(name, repeat(value, 16)...), v)
	return v
}

func repeat(value int8, n int) []int8 {
	s := make([]int8, n)
	for i := range s {
		s[i] = value
	}
	return s
}

// widen returns 16 unsigned bytes as words.
func widen(m Mem) reg.VecVirtual {
	v := YMM()
	VPMOVZXBW(m, v)
	return v
}

// masked returns v & mask.
func masked(mask, v reg.VecVirtual) reg.VecVirtual {
	to := YMM()
	VPAND(mask, v, to)
	return to
}

// shifted returns the words of v shifted to the right, to the left when n is negative.
func shifted(n int, v reg.VecVirtual) reg.VecVirtual {
	to := YMM()
	switch {
	case n == 0:
		return v
	case n < 0:
		VPSLLW(Imm(uint64(-n)), v, to)
	default:
		VPSRLW(Imm(uint64(n)), v, to)
	}
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
		name: "Q8_0", elements: 32, bytes: 34, wide: true, constants: func() {},
		scales: func(w reg.GPVirtual) (scales, minima []reg.VecVirtual) { return []reg.VecVirtual{half(Mem{Base: w})}, nil },
		weights: func(w reg.GPVirtual, emit func(int, reg.VecVirtual)) {
			for i := range 2 {
				v := YMM()
				VPMOVSXBW(Mem{Base: w, Disp: 2 + 16*i}, v)
				emit(i, v)
			}
		},
	}
}

// halfScales are those of blocks that begin with a scale and, where the weights are not centred, a minimum.
func halfScales(centred bool) func(reg.GPVirtual) (scales, minima []reg.VecVirtual) {
	return func(w reg.GPVirtual) (scales, minima []reg.VecVirtual) {
		scales = []reg.VecVirtual{half(Mem{Base: w})}
		if !centred {
			minima = []reg.VecVirtual{half(Mem{Base: w, Disp: 2})}
		}
		return scales, minima
	}
}

// fours have 16 bytes, whose low halves are the first 16 weights and whose high halves the others.
func fours(name string, bytes int) *block {
	var low, centre reg.VecVirtual
	centred := bytes == 18
	return &block{
		name: name, elements: 32, bytes: bytes, wide: true,
		constants: func() {
			low = words("fifteen", 15)
			if centred {
				centre = words("eight", 8)
			}
		},
		scales: halfScales(centred),
		weights: func(w reg.GPVirtual, emit func(int, reg.VecVirtual)) {
			v := widen(Mem{Base: w, Disp: bytes - 16})
			for i, x := range []reg.VecVirtual{masked(low, v), shifted(4, v)} {
				if centred {
					VPSUBW(centre, x, x)
				}
				emit(i, x)
			}
		},
	}
}

// fives have a fifth bit for each weight in 32 bits before the bytes of fours.
func fives(name string, bytes int) *block {
	var low, bits, fifth, zero reg.VecVirtual
	centred := bytes == 22
	return &block{
		name: name, elements: 32, bytes: bytes, wide: true,
		constants: func() {
			low = words("fifteen", 15)
			bits, zero = YMM(), YMM()
			VMOVDQU(bitWords(), bits)
			if centred {
				fifth = words("minusSixteen", -16)
				VPXOR(zero, zero, zero)
			} else {
				fifth = words("sixteen", 16)
			}
		},
		scales: halfScales(centred),
		weights: func(w reg.GPVirtual, emit func(int, reg.VecVirtual)) {
			v := widen(Mem{Base: w, Disp: bytes - 16})
			for i, x := range []reg.VecVirtual{masked(low, v), shifted(4, v)} {
				high := YMM()
				VPBROADCASTW(Mem{Base: w, Disp: bytes - 20 + 2*i}, high)
				VPAND(bits, high, high)
				if centred {
					// 16 is taken off where the bit is not set: the upper bits of a negative number come with it.
					VPCMPEQW(zero, high, high)
				} else {
					VPCMPEQW(bits, high, high)
				}
				VPAND(fifth, high, high)
				VPOR(high, x, x)
				emit(i, x)
			}
		},
	}
}

// bitWords is memory with the words 1, 2, 4, … 1<<15.
func bitWords() Mem {
	var s []int8
	for i := range 16 {
		s = append(s, int8(uint16(1<<i)&0xff), int8(uint16(1<<i)>>8))
	}
	return bytesOf("bits", s...)
}

// nibbleLevels emits the levels that the halves of 16 bytes at m stand for, as the words i and i+1.
func nibbleLevels(m Mem, i int, low, table reg.VecVirtual, emit func(int, reg.VecVirtual)) {
	v, upper := XMM(), XMM()
	VMOVDQU(m, v)
	VPSRLW(Imm(4), v, upper)
	for half, x := range []reg.VecVirtual{v, upper} {
		y := YMM()
		VPAND(low, x, x)
		VPSHUFB(x, table, x)
		VPMOVSXBW(x, y)
		emit(i+half, y)
	}
}

// table returns registers with 16 times 15, and with the levels.
func table(name string, values []int8) (low, levels reg.VecVirtual) {
	low, levels = XMM(), XMM()
	VMOVDQU(bytesOf("fifteen", repeat(15, 16)...), low)
	VMOVDQU(bytesOf(name, values...), levels)
	return low, levels
}

// levels have halves of bytes that stand for levels.
func levels(name string, bytes int, tableName string, values ...int8) *block {
	var low, t reg.VecVirtual
	scales := halfScales(true)
	if name == "MXFP4" {
		scales = func(w reg.GPVirtual) (scales, minima []reg.VecVirtual) { return []reg.VecVirtual{powerHalf(w)}, nil }
	}
	return &block{
		name: name, elements: 32, bytes: bytes, wide: true,
		constants: func() { low, t = table(tableName, values) },
		scales:    scales,
		weights: func(w reg.GPVirtual, emit func(int, reg.VecVirtual)) {
			nibbleLevels(Mem{Base: w, Disp: bytes - 16}, 0, low, t, emit)
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
			low = words("fifteen", 15)
			if q == 48 {
				fifth = words("sixteen", 16)
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
			floats(s, half(Mem{Base: w}))
			floats(m, half(Mem{Base: w, Disp: 2}))
			return []reg.VecVirtual{s}, []reg.VecVirtual{m}
		},
		weights: func(w reg.GPVirtual, emit func(int, reg.VecVirtual)) {
			var high [2]reg.VecVirtual
			if q == 48 {
				for i := range high {
					high[i] = widen(Mem{Base: w, Disp: 16 + 16*i})
				}
			}
			for pair := range 4 {
				var v [2]reg.VecVirtual
				for i := range v {
					v[i] = widen(Mem{Base: w, Disp: q + 32*pair + 16*i})
				}
				for run := range 2 {
					for i := range v {
						var x reg.VecVirtual
						if run == 0 {
							x = masked(low, v[i])
						} else {
							x = shifted(4, v[i])
						}
						if q == 48 {
							VPOR(masked(fifth, shifted(2*pair+run-4, high[i])), x, x)
						}
						emit(4*pair+2*run+i, x)
					}
				}
			}
		},
	}
}

// q6k has the lower four bits of 128 weights in 64 bytes and the upper two in 32; its scales are signed bytes for 16 weights each.
func q6k() *block {
	var low, upper, centre reg.VecVirtual
	return &block{
		name: "Q6K", elements: 256, bytes: 210,
		constants: func() { low, upper, centre = words("fifteen", 15), words("fortyEight", 48), words("thirtyTwo", 32) },
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
				for i := range 2 {
					high := widen(Mem{Base: w, Disp: 128 + 32*n + 16*i})
					for j := range 2 {
						v := widen(Mem{Base: w, Disp: 64*n + 32*j + 16*i})
						for k := range 2 {
							var x reg.VecVirtual
							if k == 0 {
								x = masked(low, v)
							} else {
								x = shifted(4, v)
							}
							VPOR(masked(upper, shifted(2*j+4*k-4, high)), x, x)
							VPSUBW(centre, x, x)
							emit(8*n+2*j+4*k+i, x)
						}
					}
				}
			}
		},
	}
}

// twoBits calls each with the two-bit weights of a half of 128, which lie in 32 bytes from w+at on.
func twoBits(w reg.GPVirtual, at, half int, three reg.VecVirtual, each func(i, sixteen, part int, x reg.VecVirtual)) {
	for sixteen := range 2 {
		v := widen(Mem{Base: w, Disp: at + 32*half + 16*sixteen})
		for part := range 4 {
			each(8*half+2*part+sixteen, sixteen, part, masked(three, shifted(2*part, v)))
		}
	}
}

// q2k has scales and minima of 4 bits for 16 weights each.
func q2k() *block {
	var three, fifteen reg.VecVirtual
	return &block{
		name: "Q2K", elements: 256, bytes: 84, subtracted: true,
		constants: func() {
			three, fifteen = words("three", 3), YMM()
			VPMOVSXBD(bytesOf("fifteen", repeat(15, 16)...), fifteen)
		},
		scales: func(w reg.GPVirtual) (scales, minima []reg.VecVirtual) {
			d, least := half(Mem{Base: w, Disp: 80}), half(Mem{Base: w, Disp: 82})
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
				twoBits(w, 16, half, three, func(i, _, _ int, x reg.VecVirtual) { emit(i, x) })
			}
		},
	}
}

// q3k has third bits in 32 bytes before the two lower ones, and 6-bit scales for 16 weights each.
func q3k() *block {
	var three, four, centre reg.VecVirtual
	return &block{
		name: "Q3K", elements: 256, bytes: 110,
		constants: func() {
			three, four, centre = words("three", 3), words("four", 4), YMM()
			VPMOVSXBD(bytesOf("thirtyTwo", repeat(32, 16)...), centre)
		},
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
			var high [2]reg.VecVirtual
			for i := range high {
				high[i] = widen(Mem{Base: w, Disp: 16 * i})
			}
			for half := range 2 {
				twoBits(w, 32, half, three, func(i, sixteen, part int, x reg.VecVirtual) {
					VPOR(masked(four, shifted(4*half+part-2, high[sixteen])), x, x)
					VPSUBW(four, x, x)
					emit(i, x)
				})
			}
		},
	}
}

// q8k has a float32 scale and 256 signed bytes.
func q8k() *block {
	return &block{
		name: "Q8K", elements: 256, bytes: 292, wide: true, constants: func() {},
		scales: func(w reg.GPVirtual) (scales, minima []reg.VecVirtual) {
			s := YMM()
			VBROADCASTSS(Mem{Base: w}, s)
			return []reg.VecVirtual{s}, nil
		},
		weights: func(w reg.GPVirtual, emit func(int, reg.VecVirtual)) {
			for i := range 16 {
				v := YMM()
				VPMOVSXBW(Mem{Base: w, Disp: 4 + 16*i}, v)
				emit(i, v)
			}
		},
	}
}

// iq4xs has the levels of IQ4_NL and scales of 6 bits for 32 weights each: the upper two bits of all in 16 bits, the lower four in 32.
func iq4xs() *block {
	var low, t, centre, fifteen, upper, fours, twos reg.VecVirtual
	return &block{
		name: "IQ4XS", elements: 256, bytes: 136, wide: true,
		constants: func() {
			low, t = table("nonLinear", nil)
			centre, fifteen, upper, fours, twos = YMM(), YMM(), YMM(), YMM(), YMM()
			VPMOVSXBD(bytesOf("thirtyTwo", repeat(32, 16)...), centre)
			VPMOVSXBD(bytesOf("fifteen", repeat(15, 16)...), fifteen)
			VPMOVSXBD(bytesOf("byFour", 0, 4, 8, 12, 16, 20, 24, 28), fours)
			VPMOVSXBD(bytesOf("byTwo", 0, 2, 4, 6, 8, 10, 12, 14), twos)
			VPMOVSXBD(bytesOf("fortyEight", repeat(48, 16)...), upper)
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
				nibbleLevels(Mem{Base: w, Disp: 8 + 16*run}, 2*run, low, t, emit)
			}
		},
	}
}

// tq2 has two bits for each weight, less one, and one scale at its end.
func tq2() *block {
	var three, one reg.VecVirtual
	return &block{
		name: "TQ2_0", elements: 256, bytes: 66, wide: true,
		constants: func() { three, one = words("three", 3), words("one", 1) },
		scales: func(w reg.GPVirtual) (scales, minima []reg.VecVirtual) {
			return []reg.VecVirtual{half(Mem{Base: w, Disp: 64})}, nil
		},
		weights: func(w reg.GPVirtual, emit func(int, reg.VecVirtual)) {
			for half := range 2 {
				var v [2]reg.VecVirtual
				for i := range v {
					v[i] = widen(Mem{Base: w, Disp: 32*half + 16*i})
				}
				for part := range 4 {
					for i := range v {
						x := masked(three, shifted(2*part, v[i]))
						VPSUBW(one, x, x)
						emit(8*half+2*part+i, x)
					}
				}
			}
		},
	}
}
