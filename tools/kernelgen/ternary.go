package main

import (
	. "github.com/mmcloughlin/avo/build" //nolint:staticcheck // the form that avo's programs have
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// tq1 has bytes that are fractions of 256, whose digits to the base of 3 are weights plus one: five of each of 48 bytes, which lie in
// runs of 32 and 16, and four of each of the last 4.
func tq1() *block {
	var first, second reg.VecVirtual
	// digit is what is carried when a byte is multiplied by 3.
	digit := func(v reg.VecVirtual) reg.VecVirtual {
		one, two := YMM(), YMM()
		VPMAXUB(first, v, one)
		VPCMPEQB(v, one, one)
		VPMAXUB(second, v, two)
		VPCMPEQB(v, two, two)
		VPADDB(two, one, one)
		VPABSB(one, one)
		return one
	}
	triple := func(v reg.VecVirtual) {
		twice := YMM()
		VPADDB(v, v, twice)
		VPADDB(twice, v, v)
	}
	return &block{
		name: "TQ1_0", elements: 256, bytes: 54, wide: true, centre: 1,
		constants: func() { first, second = filled("aThird", 86), filled("twoThirds", -256+171) },
		scales: func(w reg.GPVirtual) (scales, minima []reg.VecVirtual) {
			return []reg.VecVirtual{half(Mem{Base: w, Disp: 52})}, nil
		},
		weights: func(w reg.GPVirtual, emit func(int, reg.VecVirtual)) {
			v := load(Mem{Base: w})
			for n := range 5 {
				if n > 0 {
					triple(v)
				}
				emit(n, digit(v))
			}
			// Two digits of 16 bytes make 32 weights: the upper half is a digit ahead.
			low, high := YMM(), YMM()
			VBROADCASTI128(Mem{Base: w, Disp: 32}, low)
			VMOVDQU(low, high)
			triple(high)
			VPBLENDD(Imm(0xf0), high, low, low)
			for n := range 2 {
				if n > 0 {
					triple(low)
					triple(low)
				}
				emit(5+n, digit(low))
			}
			// Below the fifth digit of the 16 come those of the last 4, each with a power of its own.
			triple(low)
			triple(low)
			last := YMM()
			VPBROADCASTD(Mem{Base: w, Disp: 48}, last.AsX())
			VPMOVZXBW(last.AsX(), last)
			VPMULLW(words16("powers", 1, 1, 1, 1, 3, 3, 3, 3, 9, 9, 9, 9, 27, 27, 27, 27), last, last)
			VPAND(words16("lowByte", 255), last, last)
			upper := XMM()
			VEXTRACTI128(Imm(1), last, upper)
			VPACKUSWB(upper, last.AsX(), upper)
			VINSERTI128(Imm(1), upper, low, low)
			emit(7, digit(low))
		},
	}
}
