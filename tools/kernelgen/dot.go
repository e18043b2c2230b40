package main

import (
	. "github.com/mmcloughlin/avo/build" //nolint:staticcheck // the form that avo's programs have
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// tile multiplies rows of weights with a vector, a register of lanes at a time. The sums stay in lanes.
func tile(w width, f format, rows int) {
	name := "tile" + f.name + "x" + string(rune('0'+rows)) + w.name
	TEXT(name, NOSPLIT, "func(w *byte, wStride int, x *float32, steps int, acc *float32)")
	Pragma("noescape")
	Doc(name + " adds the products of whole registers to the lanes of acc, which is {rows, lanes}. wStride is in bytes; steps is not 0.")
	weights, stride := param("w"), param("wStride")
	at := rowAddresses(weights, stride, rows)
	// What the next call reads follows in memory: fetching it while this one computes is what makes the kernel as fast as
	// memory. An address beyond the weights is harmless.
	next := GP64()
	LEAQ(Mem{Base: weights, Index: stride, Scale: 4}, next)
	nextAt := rowAddresses(next, stride, rows)
	x, steps, acc := param("x"), param("steps"), param("acc")
	sums := make([]reg.VecVirtual, rows)
	for i := range sums {
		sums[i] = w.vec()
		VMOVUPS(Mem{Base: acc, Disp: i * w.lanes * 4}, sums[i])
	}
	loop("next", steps, func() {
		v := w.vec()
		VMOVUPS(Mem{Base: x}, v)
		for r := range rows {
			row := w.vec()
			PREFETCHT0(nextAt[r])
			f.load(at[r], row)
			VFMADD231PS(v, row, sums[r])
		}
		ADDQ(U32(w.lanes*f.bytes), weights)
		ADDQ(U32(w.lanes*f.bytes), next)
		ADDQ(U32(w.lanes*4), x)
	})
	for i := range sums {
		VMOVUPS(sums[i], Mem{Base: acc, Disp: i * w.lanes * 4})
	}
	VZEROUPPER()
	RET()
}

// sumLanes returns the sum of the lanes in the lowest one: halves are added until four are left, then pairs.
func sumLanes(v reg.VecVirtual, lanes int) reg.VecVirtual {
	x := XMM()
	if lanes == 16 {
		high := YMM()
		VEXTRACTF64X4(Imm(1), v, high)
		VADDPS(high, v.AsY(), high)
		VEXTRACTF128(Imm(1), high, x)
		VADDPS(x, high.AsX(), x)
	} else {
		VEXTRACTF128(Imm(1), v, x)
		VADDPS(x, v.AsX(), x)
	}
	VHADDPS(x, x, x)
	VHADDPS(x, x, x)
	return x
}

func reduce(w width) {
	TEXT("reduce"+w.name, NOSPLIT, "func(acc *float32, n int, out *float32)")
	Pragma("noescape")
	Doc("reduce" + w.name + " sets out[i] to the sum of the i-th group of lanes of acc. n is not 0.")
	acc, n, out := param("acc"), param("n"), param("out")
	loop("next", n, func() {
		v := w.vec()
		VMOVUPS(Mem{Base: acc}, v)
		VMOVSS(sumLanes(v, w.lanes), Mem{Base: out})
		ADDQ(U32(w.lanes*4), acc)
		ADDQ(Imm(4), out)
	})
	VZEROUPPER()
	RET()
}
