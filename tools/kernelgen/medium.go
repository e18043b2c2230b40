package main

import (
	. "github.com/mmcloughlin/avo/build" //nolint:staticcheck // the form that avo's programs have
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// mediumBlocks are the types whose blocks hold 64 or 128 elements, which dotMedium multiplies. Their scales are in one register: full
// of the same, or with one for each 16 weights in its lower half.
func mediumBlocks() []*block { return []*block{q1(), q2(), nvfp4()} }

// dotMedium multiplies rows with a vector of 8-bit activations, 32 at a time.
func (b *block) dotMedium() {
	for _, p := range products() {
		b.dotMediumBy(p)
	}
}

func (b *block) dotMediumBy(p product) {
	name := "dot" + b.name + p.suffix
	TEXT(name, NOSPLIT, "func(w *byte, rows int, blocks int, q *int8, scale *float32, sum *float32, out *float32)")
	Pragma("noescape")
	run := "16"
	if b.wide {
		run = "32"
	}
	Doc(name + " sets out to the products of rows of blocks and activations, whose sums are those of each " + run + ". rows and blocks are not 0.")
	w, rows, out := param("w"), param("rows"), param("out")
	b.constants()
	times := p.start()
	Label("row")
	q, scale, sum, blocks := param("q"), param("scale"), param("sum"), param("blocks")
	sums := [2]reg.VecVirtual{YMM(), YMM()}
	for _, s := range sums {
		VXORPS(s, s, s)
	}
	loop("block", blocks, func() {
		b.prefetch(w)
		scales, _ := b.scales(w)
		b.weights(w, func(i int, v reg.VecVirtual) {
			factor := YMM()
			VBROADCASTSS(Mem{Base: scale, Disp: 4 * i}, factor)
			if b.wide {
				VMULPS(scales[0], factor, factor)
			} else {
				of := YMM()
				VPERMPS(scales[0], pairOf(int32(2*i)), of)
				VMULPS(of, factor, factor)
			}
			if b.signed {
				x := YMM()
				VMOVDQU(Mem{Base: q, Disp: 32 * i}, x)
				VPSIGNB(v, x, x)
				VPABSB(v, v)
				v = times(v, x)
			} else {
				v = times(v, Mem{Base: q, Disp: 32 * i})
				// The one that is to be taken off each weight is taken off the sum of the activations.
				lowest := XMM()
				VMOVSS(Mem{Base: sum, Disp: 4 * i}, lowest)
				VFNMADD231PS(scales[0], lowest.AsY(), sums[(i+1)%2])
			}
			VCVTDQ2PS(v, v)
			VFMADD231PS(factor, v, sums[i%2])
		})
		ADDQ(U32(b.bytes), w)
		ADDQ(U32(b.elements), q)
		ADDQ(U32(b.elements/8), scale)
		ADDQ(U32(4*b.runs()), sum)
	})
	VADDPS(sums[1], sums[0], sums[0])
	VMOVSS(sumLanes(sums[0], 8), Mem{Base: out})
	ADDQ(U32(4), out)
	DECQ(rows)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// pairOf returns the order that fills the halves of a register with two neighbours.
func pairOf(from int32) reg.VecVirtual {
	order := YMM()
	VMOVDQU(indices("pair"+string('0'+from/2), from, from, from, from, from+1, from+1, from+1, from+1), order)
	return order
}

// q1 has one bit for each weight: twice the bit, less one.
func q1() *block {
	var signs signing
	return &block{
		name: "Q1_0", elements: 128, bytes: 18, wide: true, centre: 1,
		constants: func() { signs = newSigning() },
		scales:    halfScales(false),
		weights: func(w reg.GPVirtual, emit func(int, reg.VecVirtual)) {
			two := filled("two", 2)
			for run := range 4 {
				v := YMM()
				VPBROADCASTD(Mem{Base: w, Disp: 2 + 4*run}, v)
				VPSHUFB(signs.each, v, v) // the byte with each weight's bit
				VPAND(signs.one, v, v)
				VPCMPEQB(signs.one, v, v)
				VPAND(two, v, v)
				emit(run, v)
			}
		},
	}
}

// q2 has two bits for each weight, less one, four neighbours in a byte.
func q2() *block {
	var each, pairs, digits reg.VecVirtual
	return &block{
		name: "Q2_0", elements: 64, bytes: 18, wide: true, centre: 1,
		constants: func() {
			each, digits = YMM(), YMM()
			var order []int8
			for i := range int8(32) {
				order = append(order, i/4)
			}
			VMOVDQU(bytesOf("byFours", order...), each)
			pairs = YMM()
			VPBROADCASTW(bytesOf("pairsOfBits", 3, 12), pairs)
			// A byte has one pair of bits or the other.
			VBROADCASTI128(bytesOf("digits", 0, 1, 2, 3, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0), digits)
		},
		scales: halfScales(false),
		weights: func(w reg.GPVirtual, emit func(int, reg.VecVirtual)) {
			for run := range 2 {
				v, upper := YMM(), YMM()
				VPBROADCASTQ(Mem{Base: w, Disp: 2 + 8*run}, v)
				VPSHUFB(each, v, v)
				VPSRLW(Imm(4), v, upper)
				VPBLENDW(Imm(0xaa), upper, v, v)
				VPAND(pairs, v, v)
				VPSHUFB(v, digits, v)
				emit(run, v)
			}
		},
	}
}

// nvfp4 has levels for halves of bytes, as MXFP4, and a number of 8 bits as scale of each 16.
func nvfp4() *block {
	var low, t reg.VecVirtual
	return &block{
		name: "NVFP4", elements: 64, bytes: 36, signed: true,
		constants: func() { low, t = table("float4", []int8{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}) },
		scales: func(w reg.GPVirtual) (scales, minima []reg.VecVirtual) {
			// Exponent and fraction lie in half-precision numbers as in these bytes, but for 8 that the exponents differ by and the
			// halving that doubled levels want. 0x7f is zero.
			s, none, factor := YMM(), XMM(), YMM()
			VMOVD(Mem{Base: w}, s.AsX())
			VPCMPEQB(lanes("byte127", 0x7f7f7f7f), s.AsX(), none)
			VPANDN(s.AsX(), none, s.AsX())
			VPAND(lanes("byte127", 0x7f7f7f7f), s.AsX(), s.AsX())
			VPMOVZXBW(s.AsX(), s.AsX())
			VPSLLW(Imm(7), s.AsX(), s.AsX())
			VCVTPH2PS(s.AsX(), s)
			VBROADCASTSS(floatOf(128), factor)
			VMULPS(factor, s, s)
			return []reg.VecVirtual{s}, nil
		},
		weights: func(w reg.GPVirtual, emit func(int, reg.VecVirtual)) {
			for run := range 2 {
				v, upper := YMM(), YMM()
				VBROADCASTI128(Mem{Base: w, Disp: 4 + 16*run}, v)
				VPERMQ(Imm(0x50), v, v) // eight bytes twice each
				VPSRLW(Imm(4), v, upper)
				VPBLENDD(Imm(0xcc), upper, v, v)
				VPAND(low, v, v)
				VPSHUFB(v, t, v)
				emit(run, v)
			}
		},
	}
}
