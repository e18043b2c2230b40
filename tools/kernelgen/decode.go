package main

import (
	. "github.com/mmcloughlin/avo/build" //nolint:staticcheck // the form that avo's programs have
	. "github.com/mmcloughlin/avo/operand"
)

func decode(f format) {
	name := "decode" + f.name
	TEXT(name, NOSPLIT, "func(src *byte, steps int, dst *float32)")
	Pragma("noescape")
	Doc(name + " turns eight elements per step into float32. steps is not 0.")
	src, steps, dst := param("src"), param("steps"), param("dst")
	loop("next", steps, func() {
		v := YMM()
		f.load(Mem{Base: src}, v)
		VMOVUPS(v, Mem{Base: dst})
		ADDQ(U32(8*f.bytes), src)
		ADDQ(Imm(32), dst)
	})
	VZEROUPPER()
	RET()
}
