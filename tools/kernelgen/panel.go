package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build" //nolint:staticcheck // the form that avo's programs have
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// panel multiplies a panel of 16 rows, which is stored column by column, with up to six vectors: twelve sums of eight rows fill the
// registers, so that each step costs two loads of weights and a broadcast for each vector.
func panel(vectors int) {
	name := fmt.Sprintf("panelx%d", vectors)
	TEXT(name, NOSPLIT, "func(panel *float32, cols int, x *float32, xStride int, sums *float32)")
	Pragma("noescape")
	Doc(name + " adds the products of a panel {cols, 16} and vectors that lie xStride bytes apart to sums, which is {vectors, 16}. cols is not 0.")
	weights, cols, x, stride := param("panel"), param("cols"), param("x"), param("xStride")
	at := rowAddresses(x, stride, min(vectors, 3))
	upper := GP64()
	if vectors > 3 {
		LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, upper)
		ADDQ(x, upper)
		at = append(at, rowAddresses(upper, stride, vectors-3)...)
	}
	out := param("sums")
	sums := make([]reg.VecVirtual, 2*vectors)
	for i := range sums {
		sums[i] = YMM()
		VXORPS(sums[i], sums[i], sums[i])
	}
	step := func(i int) {
		low, high := YMM(), YMM()
		VMOVUPS(Mem{Base: weights, Disp: 64 * i}, low)
		VMOVUPS(Mem{Base: weights, Disp: 64*i + 32}, high)
		for v := range vectors {
			value := YMM()
			VBROADCASTSS(at[v].Offset(4*i), value)
			VFMADD231PS(low, value, sums[2*v])
			VFMADD231PS(high, value, sums[2*v+1])
		}
	}
	advance := func(n int) {
		ADDQ(U32(64*n), weights)
		ADDQ(U32(4*n), x)
		if vectors > 3 {
			ADDQ(U32(4*n), upper)
		}
	}
	SUBQ(Imm(4), cols)
	JLT(LabelRef("rest"))
	Label("four")
	for i := range 4 {
		step(i)
	}
	advance(4)
	SUBQ(Imm(4), cols)
	JGE(LabelRef("four"))
	Label("rest")
	ADDQ(Imm(4), cols)
	JE(LabelRef("done"))
	loop("one", cols, func() {
		step(0)
		advance(1)
	})
	Label("done")
	// The panel's own sums are added last: short sums round less than long ones.
	for i := range sums {
		VADDPS(Mem{Base: out, Disp: 32 * i}, sums[i], sums[i])
		VMOVUPS(sums[i], Mem{Base: out, Disp: 32 * i})
	}
	VZEROUPPER()
	RET()
}

// transpose stores 16 rows column by column: squares of eight are turned by three exchanges of ever larger parts.
func transpose() {
	const name = "transpose"
	TEXT(name, NOSPLIT, "func(src *float32, stride int, steps int, panel *float32)")
	Pragma("noescape")
	Doc(name + " stores eight columns per step of 16 rows, which lie stride bytes apart, as {columns, 16}. steps is not 0.")
	src, stride, steps, to := param("src"), param("stride"), param("steps"), param("panel")
	var base [4]reg.GPVirtual // of four rows each
	for i := range base {
		base[i] = GP64()
		if i == 0 {
			MOVQ(src, base[0])
			continue
		}
		LEAQ(Mem{Base: base[i-1], Index: stride, Scale: 4}, base[i])
	}
	var rows []Mem
	third := GP64()
	LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, third)
	for _, b := range base {
		rows = append(rows, Mem{Base: b}, Mem{Base: b, Index: stride, Scale: 1}, Mem{Base: b, Index: stride, Scale: 2}, Mem{Base: b, Index: third, Scale: 1})
	}
	loop("next", steps, func() {
		for half := range 2 {
			var a, b [8]reg.VecVirtual
			for i := range a {
				a[i] = YMM()
				VMOVUPS(rows[8*half+i], a[i])
			}
			for i := 0; i < 8; i += 2 {
				b[i], b[i+1] = YMM(), YMM()
				VUNPCKLPS(a[i+1], a[i], b[i])
				VUNPCKHPS(a[i+1], a[i], b[i+1])
			}
			for i := 0; i < 8; i += 4 {
				for j := range 2 {
					a[i+2*j], a[i+2*j+1] = YMM(), YMM()
					VSHUFPS(Imm(0x44), b[i+j+2], b[i+j], a[i+2*j])
					VSHUFPS(Imm(0xee), b[i+j+2], b[i+j], a[i+2*j+1])
				}
			}
			for i := range 4 {
				low, high := YMM(), YMM()
				VPERM2F128(Imm(0x20), a[i+4], a[i], low)
				VPERM2F128(Imm(0x31), a[i+4], a[i], high)
				VMOVUPS(low, Mem{Base: to, Disp: 64*i + 32*half})
				VMOVUPS(high, Mem{Base: to, Disp: 64*(i+4) + 32*half})
			}
		}
		for _, b := range base {
			ADDQ(Imm(32), b)
		}
		ADDQ(U32(512), to)
	})
	VZEROUPPER()
	RET()
}
