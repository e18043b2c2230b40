package main

import (
	. "github.com/mmcloughlin/avo/build" //nolint:staticcheck // the form that avo's programs have
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// quantize turns activations into blocks of 32 8-bit integers with a scale.
func quantize() {
	const name = "quantize"
	TEXT(name, NOSPLIT, "func(x *float32, blocks int, q *int8, scale *float32, sums16 *float32, sums32 *float32)")
	Pragma("noescape")
	Doc(name + " rounds blocks of 32 to multiples of a 127th of the largest of each, and sets the sums of each 16 and 32. blocks is not 0.")
	x, blocks, q, scale, sums16, sums32 := param("x"), param("blocks"), param("q"), param("scale"), param("sums16"), param("sums32")
	mask, steps, least, ones := YMM(), YMM(), YMM(), YMM()
	bytes := YMM()
	VPABSB(allOnes(), bytes)
	VPABSW(allOnes(), ones)
	order := YMM()
	VMOVDQU(indices("packed", 0, 4, 1, 5, 2, 6, 3, 7), order)
	VPCMPEQD(mask, mask, mask)
	VPSRLD(Imm(1), mask, mask)
	VBROADCASTSS(ConstData("steps", F32(127)), steps)
	VBROADCASTSS(ConstData("least", F32(0x1p-100)), least)
	loop("next", blocks, func() {
		var v [4]reg.VecVirtual
		largest := YMM()
		for i := range v {
			v[i] = YMM()
			VMOVUPS(Mem{Base: x, Disp: 32 * i}, v[i])
			if i == 0 {
				VPAND(mask, v[i], largest)
				continue
			}
			magnitude := YMM()
			VPAND(mask, v[i], magnitude)
			// As integers, the bits of a NaN are larger than those of any number: the scale shows it.
			VPMAXUD(magnitude, largest, largest)
		}
		other, swapped := XMM(), XMM()
		VEXTRACTI128(Imm(1), largest, other)
		VPMAXUD(other, largest.AsX(), other)
		VPSHUFD(Imm(0x4e), other, swapped)
		VPMAXUD(swapped, other, other)
		VPSHUFD(Imm(0xb1), other, swapped)
		VPMAXUD(swapped, other, other)
		VPBROADCASTD(other, largest)
		inverse, keep := YMM(), YMM()
		VCMPPS(Imm(5), least, largest, keep) // not less than, so that a NaN is kept
		VDIVPS(largest, steps, inverse)
		VDIVPS(steps, largest, largest)
		VANDPS(keep, inverse, inverse)
		VANDPS(keep, largest, largest)
		VMOVSS(largest.AsX(), Mem{Base: scale})
		for i := range v {
			VMULPS(inverse, v[i], v[i])
			VCVTPS2DQ(v[i], v[i])
		}
		for i := 0; i < 4; i += 2 {
			VPACKSSDW(v[i+1], v[i], v[i])
		}
		VPACKSSWB(v[2], v[0], v[0])
		VPERMD(v[0], order, v[0]) // packing works on each half by itself
		VMOVDQU(v[0], Mem{Base: q})
		total := YMM()
		VPMADDUBSW(v[0], bytes, total)
		VPMADDWD(ones, total, total)
		VPHADDD(total, total, total)
		VPHADDD(total, total, total)
		VEXTRACTI128(Imm(1), total, other)
		VPUNPCKLDQ(other, total.AsX(), other)
		VCVTDQ2PS(other, other)
		VMULPS(largest.AsX(), other, other)
		VMOVLPS(other, Mem{Base: sums16})
		VHADDPS(other, other, other)
		VMOVSS(other, Mem{Base: sums32})
		ADDQ(Imm(8), sums16)
		ADDQ(Imm(4), sums32)
		ADDQ(Imm(128), x)
		ADDQ(Imm(32), q)
		ADDQ(Imm(4), scale)
	})
	VZEROUPPER()
	RET()
}

// allOnes returns a register full of bits: -1, whatever the size of the integers.
func allOnes() reg.VecVirtual {
	v := YMM()
	VPCMPEQD(v, v, v)
	return v
}
