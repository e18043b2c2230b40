package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build" //nolint:staticcheck // the form that avo's programs have
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// widest is how many vectors a panel is multiplied with at once where 16 rows fit into a register. Two multiply-adds per cycle that take
// four cycles each need eight sums; more save loads of weights.
const widest = 12

// widePanel is panel with a register for each vector's sums, so that each step costs one load of weights, and one of a value that the
// multiplication spreads for each vector.
func widePanel(vectors int) {
	name := fmt.Sprintf("panelx%dAVX512", vectors)
	TEXT(name, NOSPLIT, "func(panel *float32, cols int, x *float32, xStride int, sums *float32)")
	Pragma("noescape")
	Doc(name + " adds the products of a panel {cols, 16} and vectors that lie xStride bytes apart to sums, which is {vectors, 16}. cols is not 0.")
	weights, cols, x, stride := param("panel"), param("cols"), param("x"), param("xStride")
	bases := []reg.GPVirtual{x} // of three vectors each
	at := rowAddresses(x, stride, min(vectors, 3))
	for v := 3; v < vectors; v += 3 {
		base := GP64()
		LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, base)
		ADDQ(bases[len(bases)-1], base)
		bases = append(bases, base)
		at = append(at, rowAddresses(base, stride, min(vectors-v, 3))...)
	}
	out := param("sums")
	sums := make([]reg.VecVirtual, vectors)
	for i := range sums {
		sums[i] = zmm.zero()
	}
	step := func(i int) {
		column := ZMM()
		VMOVUPS(Mem{Base: weights, Disp: 64 * i}, column)
		for v := range vectors {
			VFMADD231PS_BCST(at[v].Offset(4*i), column, sums[v])
		}
	}
	advance := func(n int) {
		ADDQ(U32(64*n), weights)
		for _, b := range bases {
			ADDQ(U32(4*n), b)
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
		VADDPS(Mem{Base: out, Disp: 64 * i}, sums[i], sums[i])
		VMOVUPS(sums[i], Mem{Base: out, Disp: 64 * i})
	}
	VZEROUPPER()
	RET()
}
