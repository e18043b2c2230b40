package main

import (
	. "github.com/mmcloughlin/avo/build" //nolint:staticcheck // the form that avo's programs have
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// scan writes what reads all weights once, into a file of its own.
func scan() {
	for _, f := range []format{f32, f16, bf16} {
		sums(f)
	}
	for _, b := range blocks() {
		if b.elements == 256 && !b.signed {
			b.sumsOfFours()
		} else {
			b.sums()
		}
	}
	read()
}

// read is the least that can be done with bytes, against which the rest is measured.
func read() {
	TEXT("read", NOSPLIT, "func(p *byte, steps int, out *byte)")
	Pragma("noescape")
	Doc("read sets 32 bytes of out to the exclusive or of those of p, 256 for each step. steps is not 0.")
	p, steps, out := param("p"), param("steps"), param("out")
	sums := make([]reg.VecVirtual, 4)
	for i := range sums {
		sums[i] = YMM()
		VPXOR(sums[i], sums[i], sums[i])
	}
	loop("next", steps, func() {
		for at := 0; at < 256; at += 64 {
			PREFETCHT0(Mem{Base: p, Disp: ahead + at})
		}
		for i := range 8 {
			VPXOR(Mem{Base: p, Disp: 32 * i}, sums[i%4], sums[i%4])
		}
		ADDQ(U32(256), p)
	})
	for _, s := range sums[1:] {
		VPXOR(s, sums[0], sums[0])
	}
	VMOVDQU(sums[0], Mem{Base: out})
	VZEROUPPER()
	RET()
}

// rowBytes is the size of kernel.RowSums.
const rowBytes = 20

// running are the registers in which a row adds up.
type running struct{ sum, squares, low, high reg.VecVirtual }

func newRunning() running { return running{YMM(), YMM(), YMM(), YMM()} }

// begin sets the registers to those of a row without weights.
func (r running) begin() {
	VXORPS(r.sum, r.sum, r.sum)
	VXORPS(r.squares, r.squares, r.squares)
	VBROADCASTSS(bitsAt("infinity", 0x7f800000), r.low)
	VBROADCASTSS(bitsAt("minusInfinity", 0xff800000), r.high)
}

// store writes the lanes of a row together to out.
func (r running) store(out reg.GPVirtual) {
	VMOVSS(sumLanes(r.sum, 8), Mem{Base: out})
	VMOVSS(sumLanes(r.squares, 8), Mem{Base: out, Disp: 4})
	VMOVSS(foldLanes(r.low, func(x, y reg.Register) { VMINPS(x, y, y) }), Mem{Base: out, Disp: 8})
	VMOVSS(foldLanes(r.high, func(x, y reg.Register) { VMAXPS(x, y, y) }), Mem{Base: out, Disp: 12})
}

// foldLanes puts the eight lanes of v into the lowest of the result.
func foldLanes(v reg.VecVirtual, fold func(x, y reg.Register)) reg.VecVirtual {
	x, y := XMM(), XMM()
	VEXTRACTF128(Imm(1), v, x)
	fold(v.AsX(), x)
	VMOVHLPS(x, x, y)
	fold(x, y)
	VMOVSHDUP(y, x)
	fold(y, x)
	return x
}

// constantBits returns a register full of a float32 of the given bits.
func constantBits(name string, bits uint32) reg.VecVirtual {
	v := YMM()
	VBROADCASTSS(bitsAt(name, bits), v)
	return v
}

// bitsAt returns memory with a float32 of the given bits, which the file holds once under the name.
func bitsAt(name string, bits uint32) Mem {
	if _, ok := constants[name]; !ok {
		constants[name] = ConstData(name, U32(bits))
	}
	return constants[name]
}

// sums adds up rows of floats.
func sums(f format) {
	name := "sums" + f.name
	TEXT(name, NOSPLIT, "func(w *byte, stride int, rows int, steps int, out *float32)")
	Pragma("noescape")
	Doc(name+" sets out to the RowSums of rows that lie stride bytes apart, of 16 elements for each step. A NaN may be passed over in Low",
		"and High. rows and steps are not 0.")
	w, stride, rows, out := param("w"), param("stride"), param("rows"), param("out")
	nothing := YMM()
	VXORPS(nothing, nothing, nothing)
	var upper reg.VecVirtual
	if f.name == bf16.name {
		upper = constantBits("upperHalf", 0xffff0000)
	}
	Label("row")
	// Two sets of registers take turns, so that an addition need not wait for the one before it.
	sets := [2]running{newRunning(), newRunning()}
	zeros := [2]reg.VecVirtual{YMM(), YMM()}
	for i, r := range sets {
		r.begin()
		VXORPS(zeros[i], zeros[i], zeros[i])
	}
	at, steps := GP64(), param("steps")
	MOVQ(w, at)
	loop("next", steps, func() {
		PREFETCHT0(Mem{Base: at, Disp: ahead})
		values := [2]reg.VecVirtual{YMM(), YMM()}
		if upper != nil {
			// Sums do not mind the order: every second value is in place already.
			both := load(Mem{Base: at})
			VPSLLD(Imm(16), both, values[0])
			VPAND(upper, both, values[1])
		} else {
			for i, v := range values {
				f.load(Mem{Base: at, Disp: 8 * f.bytes * i}, v)
			}
		}
		for i, r := range sets {
			v, equal := values[i], YMM()
			VADDPS(v, r.sum, r.sum)
			VFMADD231PS(v, v, r.squares)
			VMINPS(r.low, v, r.low)
			VMAXPS(r.high, v, r.high)
			VCMPPS(Imm(0), nothing, v, equal)
			VPSUBD(equal, zeros[i], zeros[i])
		}
		ADDQ(U32(16*f.bytes), at)
	})
	first, second := sets[0], sets[1]
	VADDPS(second.sum, first.sum, first.sum)
	VADDPS(second.squares, first.squares, first.squares)
	VMINPS(second.low, first.low, first.low)
	VMAXPS(second.high, first.high, first.high)
	VPADDD(zeros[1], zeros[0], zeros[0])
	first.store(out)
	VMOVD(foldLanes(zeros[0], func(x, y reg.Register) { VPADDD(x, y, y) }), Mem{Base: out, Disp: 16})
	ADDQ(stride, w)
	ADDQ(Imm(rowBytes), out)
	DECQ(rows)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}
