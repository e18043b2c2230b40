package main

import (
	. "github.com/mmcloughlin/avo/build" //nolint:staticcheck // the form that avo's programs have
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// quantize turns activations into blocks of 32 16-bit integers with a scale.
func quantize() {
	const name = "quantizeAVX2"
	TEXT(name, NOSPLIT, "func(x *float32, blocks int, q *int16, scale *float32, sum *float32)")
	Pragma("noescape")
	Doc(name + " rounds blocks of 32 to multiples of a 32767th of the largest of each, and sets sum to the sums of each 16. blocks is not 0.")
	x, blocks, q, scale, sum := param("x"), param("blocks"), param("q"), param("scale"), param("sum")
	mask, steps, least, ones := YMM(), YMM(), YMM(), YMM()
	VPCMPEQW(ones, ones, ones)
	VPSRLW(Imm(15), ones, ones)
	VPCMPEQD(mask, mask, mask)
	VPSRLD(Imm(1), mask, mask)
	VBROADCASTSS(ConstData("steps", F32(32767)), steps)
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
			VPERMQ(Imm(0xd8), v[i], v[i])
			VMOVDQU(v[i], Mem{Base: q, Disp: 16 * i})
			VPMADDWD(ones, v[i], v[i])
		}
		VPHADDD(v[2], v[0], v[0])
		VPHADDD(v[0], v[0], v[0])
		VEXTRACTI128(Imm(1), v[0], other)
		VPADDD(other, v[0].AsX(), other)
		VCVTDQ2PS(other, other)
		VMULPS(largest.AsX(), other, other)
		VMOVLPS(other, Mem{Base: sum})
		ADDQ(Imm(8), sum)
		ADDQ(Imm(128), x)
		ADDQ(Imm(64), q)
		ADDQ(Imm(4), scale)
	})
	VZEROUPPER()
	RET()
}

