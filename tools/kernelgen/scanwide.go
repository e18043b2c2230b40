package main

import (
	. "github.com/mmcloughlin/avo/build" //nolint:staticcheck // the form that avo's programs have
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// scanWide writes the kernels of scan for the types that most files have, on processors with registers of 64 bytes and VNNI. Scales are
// multiplied as integers, which is exact, so that each block becomes floats only once.
func scanWide() {
	for _, f := range []format{f32, f16, bf16} {
		wideSums(f)
	}
	wideSumsQ8()
	wideSumsQ45K("Q4K")
	wideSumsQ45K("Q5K")
	wideSumsQ6K()
}

// wideRunning are the registers in which a row adds up.
type wideRunning struct{ sum, squares, low, high reg.VecVirtual }

func newWideRunning() wideRunning { return wideRunning{ZMM(), ZMM(), ZMM(), ZMM()} }

func (r wideRunning) begin() {
	clear512(r.sum, r.squares)
	VBROADCASTSS(bitsAt("infinity", 0x7f800000), r.low)
	VBROADCASTSS(bitsAt("minusInfinity", 0xff800000), r.high)
}

// store writes the lanes of a row together to out.
func (r wideRunning) store(out reg.GPVirtual) {
	add := func(x, y, to reg.Register) { VADDPS(x, y, to) }
	VMOVSS(foldLanes512(r.sum, add), Mem{Base: out})
	VMOVSS(foldLanes512(r.squares, add), Mem{Base: out, Disp: 4})
	VMOVSS(foldLanes512(r.low, func(x, y, to reg.Register) { VMINPS(x, y, to) }), Mem{Base: out, Disp: 8})
	VMOVSS(foldLanes512(r.high, func(x, y, to reg.Register) { VMAXPS(x, y, to) }), Mem{Base: out, Disp: 12})
}

// foldLanes512 puts the sixteen lanes of v into the lowest of the result, by instructions that know all 32 registers.
func foldLanes512(v reg.VecVirtual, fold func(x, y, to reg.Register)) reg.VecVirtual {
	eight, four, two := YMM(), XMM(), XMM()
	VEXTRACTF32X8(Imm(1), v, eight)
	fold(eight, v.AsY(), eight)
	VEXTRACTF32X4(Imm(1), eight, four)
	fold(four, eight.AsX(), four)
	for _, order := range []uint8{0x4e, 0xb1} {
		VPSHUFD(U8(order), four, two)
		fold(two, four, four)
	}
	return four
}

func clear512(list ...reg.VecVirtual) {
	for _, v := range list {
		VPXORD(v, v, v)
	}
}

// wideSums adds up rows of floats, 32 in a step.
func wideSums(f format) {
	name := "sums" + f.name + "AVX512"
	TEXT(name, NOSPLIT, "func(w *byte, stride int, rows int, steps int, out *float32)")
	Pragma("noescape")
	Doc(name+" sets out to the RowSums of rows that lie stride bytes apart, of 32 elements for each step. A NaN may be passed over in Low",
		"and High. rows and steps are not 0.")
	w, stride, rows, out := param("w"), param("stride"), param("rows"), param("out")
	nothing, one := ZMM(), ZMM()
	clear512(nothing)
	VPBROADCASTD(bitsAt("oneInteger", 1), one)
	var upper reg.VecVirtual
	if f.name == bf16.name {
		upper = ZMM()
		VPBROADCASTD(bitsAt("upperHalf", 0xffff0000), upper)
	}
	Label("row")
	// Two sets of registers take turns, so that an addition need not wait for the one before it.
	sets := [2]wideRunning{newWideRunning(), newWideRunning()}
	zeros := [2]reg.VecVirtual{ZMM(), ZMM()}
	for i, r := range sets {
		r.begin()
		clear512(zeros[i])
	}
	at, steps := GP64(), param("steps")
	MOVQ(w, at)
	loop("next", steps, func() {
		for line := 0; line < 32*f.bytes; line += 64 {
			PREFETCHT0(Mem{Base: at, Disp: wideAhead + line})
		}
		values := [2]reg.VecVirtual{ZMM(), ZMM()}
		if upper != nil {
			// Sums do not mind the order: every second value is in place already.
			both := ZMM()
			VMOVDQU32(Mem{Base: at}, both)
			VPSLLD(Imm(16), both, values[0])
			VPANDD(upper, both, values[1])
		} else {
			for i, v := range values {
				f.load(Mem{Base: at, Disp: 16 * f.bytes * i}, v)
			}
		}
		for i, r := range sets {
			v, equal := values[i], K()
			VADDPS(v, r.sum, r.sum)
			VFMADD231PS(v, v, r.squares)
			VMINPS(r.low, v, r.low)
			VMAXPS(r.high, v, r.high)
			VCMPPS(Imm(0), nothing, v, equal)
			VPADDD(one, zeros[i], equal, zeros[i])
		}
		ADDQ(U32(32*f.bytes), at)
	})
	first, second := sets[0], sets[1]
	VADDPS(second.sum, first.sum, first.sum)
	VADDPS(second.squares, first.squares, first.squares)
	VMINPS(second.low, first.low, first.low)
	VMAXPS(second.high, first.high, first.high)
	VPADDD(zeros[1], zeros[0], zeros[0])
	first.store(out)
	VMOVD(foldLanes512(zeros[0], func(x, y, to reg.Register) { VPADDD(x, y, to) }), Mem{Base: out, Disp: 16})
	ADDQ(stride, w)
	nextRow(rows, out)
}

// wideAhead is how many bytes before they are needed weights are fetched.
const wideAhead = 8192

// nextRow goes back to the label "row" while there are rows, and returns.
func nextRow(rows, out reg.GPVirtual) {
	ADDQ(Imm(rowBytes), out)
	DECQ(rows)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}
