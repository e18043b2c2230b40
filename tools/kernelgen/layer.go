package main

import (
	. "github.com/mmcloughlin/avo/build" //nolint:staticcheck // the form that avo's programs have
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// layer are the kernels of norms and rotary embeddings. They multiply and add in separate steps, as the plain ones do.
func layer() {
	squares()
	deviations()
	standardize()
	weigh()
	rotateHalves()
	rotatePairs()
}

// squares adds in float64: what float32 can hold may have a square that it cannot.
func squares() {
	TEXT("squares", NOSPLIT, "func(x *float32, steps int, sums *float64)")
	Pragma("noescape")
	Doc("squares sets the 16 sums to those of the squares of every sixteenth value. steps is not 0.")
	x, steps, to := param("x"), param("steps"), param("sums")
	var sums [4]reg.VecVirtual
	for i := range sums {
		sums[i] = YMM()
		VXORPD(sums[i], sums[i], sums[i])
	}
	loop("next", steps, func() {
		for i := range sums {
			v := YMM()
			VCVTPS2PD(Mem{Base: x, Disp: 16 * i}, v)
			VFMADD231PD(v, v, sums[i]) // the square of 24 bits is exact either way
		}
		ADDQ(Imm(64), x)
	})
	for i := range sums {
		VMOVUPD(sums[i], Mem{Base: to, Disp: 32 * i})
	}
	VZEROUPPER()
	RET()
}

// scalar returns a register full of an argument, and double one of type float64.
func scalar(name string) reg.VecVirtual { return broadcast(name, VBROADCASTSS) }
func double(name string) reg.VecVirtual { return broadcast(name, VBROADCASTSD) }

func broadcast(name string, load func(...Op)) reg.VecVirtual {
	at, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	v := YMM()
	load(at.Addr, v)
	return v
}

// deviations adds what values differ from a number by, and the squares of that.
func deviations() {
	TEXT("deviations", NOSPLIT, "func(x *float32, steps int, from float64, sums *float64, squares *float64)")
	Pragma("noescape")
	Doc("deviations sets the 8 sums to those of every eighth value less a number, and squares to those of the squares. steps is not 0.")
	x, steps, from, to, squaresTo := param("x"), param("steps"), double("from"), param("sums"), param("squares")
	var sums, squares [2]reg.VecVirtual
	for i := range sums {
		sums[i], squares[i] = YMM(), YMM()
		VXORPD(sums[i], sums[i], sums[i])
		VXORPD(squares[i], squares[i], squares[i])
	}
	loop("next", steps, func() {
		for i := range sums {
			v := YMM()
			VCVTPS2PD(Mem{Base: x, Disp: 16 * i}, v)
			VSUBPD(from, v, v)
			VADDPD(v, sums[i], sums[i])
			VFMADD231PD(v, v, squares[i])
		}
		ADDQ(Imm(32), x)
	})
	for i := range sums {
		VMOVUPD(sums[i], Mem{Base: to, Disp: 32 * i})
		VMOVUPD(squares[i], Mem{Base: squaresTo, Disp: 32 * i})
	}
	VZEROUPPER()
	RET()
}

func standardize() {
	TEXT("standardize", NOSPLIT, "func(y *float32, x *float32, weight *float32, mean float64, scale float64, steps int)")
	Pragma("noescape")
	Doc("standardize sets y to (x - mean) * scale * weight, eight a step. steps is not 0.")
	y, x, weight, mean, scale, steps := param("y"), param("x"), param("weight"), double("mean"), double("scale"), param("steps")
	loop("next", steps, func() {
		for half := range 2 {
			v := YMM()
			VCVTPS2PD(Mem{Base: x, Disp: 16 * half}, v)
			VSUBPD(mean, v, v)
			VMULPD(scale, v, v)
			VCVTPD2PSY(v, v.AsX())
			VMULPS(Mem{Base: weight, Disp: 16 * half}, v.AsX(), v.AsX())
			VMOVUPS(v.AsX(), Mem{Base: y, Disp: 16 * half})
		}
		for _, at := range []reg.GPVirtual{y, x, weight} {
			ADDQ(Imm(32), at)
		}
	})
	VZEROUPPER()
	RET()
}

func weigh() {
	TEXT("weigh", NOSPLIT, "func(y *float32, x *float32, weight *float32, scale float32, steps int)")
	Pragma("noescape")
	Doc("weigh sets y to x * scale * weight, eight a step. steps is not 0.")
	y, x, weight, steps, scale := param("y"), param("x"), param("weight"), param("steps"), scalar("scale")
	loop("next", steps, func() {
		v := YMM()
		VMULPS(Mem{Base: x}, scale, v)
		VMULPS(Mem{Base: weight}, v, v)
		VMOVUPS(v, Mem{Base: y})
		for _, at := range []reg.GPVirtual{y, x, weight} {
			ADDQ(Imm(32), at)
		}
	})
	VZEROUPPER()
	RET()
}

func rotateHalves() {
	TEXT("rotateHalves", NOSPLIT, "func(a *float32, b *float32, cos *float32, sin *float32, steps int)")
	Pragma("noescape")
	Doc("rotateHalves turns the pairs of a and b, eight a step. steps is not 0.")
	a, b, cos, sin, steps := param("a"), param("b"), param("cos"), param("sin"), param("steps")
	loop("next", steps, func() {
		x, y, c, s, t := YMM(), YMM(), YMM(), YMM(), YMM()
		VMOVUPS(Mem{Base: a}, x)
		VMOVUPS(Mem{Base: b}, y)
		VMOVUPS(Mem{Base: cos}, c)
		VMOVUPS(Mem{Base: sin}, s)
		VMULPS(s, x, t)
		VMULPS(c, x, x)
		VMULPS(s, y, s)
		VMULPS(c, y, y)
		VSUBPS(s, x, x)
		VADDPS(y, t, y)
		VMOVUPS(x, Mem{Base: a})
		VMOVUPS(y, Mem{Base: b})
		for _, at := range []reg.GPVirtual{a, b, cos, sin} {
			ADDQ(Imm(32), at)
		}
	})
	VZEROUPPER()
	RET()
}

func rotatePairs() {
	TEXT("rotatePairs", NOSPLIT, "func(x *float32, cos *float32, sin *float32, steps int)")
	Pragma("noescape")
	Doc("rotatePairs turns pairs of neighbours, four a step. steps is not 0.")
	x, cos, sin, steps := param("x"), param("cos"), param("sin"), param("steps")
	loop("next", steps, func() {
		v, swapped, c, s := YMM(), YMM(), YMM(), YMM()
		VMOVUPS(Mem{Base: x}, v)
		VPERMILPS(Imm(0xb1), v, swapped)
		for i, at := range []reg.GPVirtual{cos, sin} {
			// Each angle belongs to two elements.
			to := []reg.VecVirtual{c, s}[i]
			VPMOVZXDQ(Mem{Base: at}, to)
			VMOVSLDUP(to, to)
		}
		VMULPS(c, v, v)
		VMULPS(s, swapped, swapped)
		VADDSUBPS(swapped, v, v) // subtracts in even lanes
		VMOVUPS(v, Mem{Base: x})
		ADDQ(Imm(32), x)
		ADDQ(Imm(16), cos)
		ADDQ(Imm(16), sin)
	})
	VZEROUPPER()
	RET()
}
