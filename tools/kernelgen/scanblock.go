package main

import (
	"math"
	"strconv"

	. "github.com/mmcloughlin/avo/build" //nolint:staticcheck // the form that avo's programs have
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// extremes returns between which integers the weights of a block lie once centre is taken off.
func (b *block) extremes() (low, high int) {
	switch b.name {
	case "Q8_0", "Q8K":
		return -128, 127
	case "IQ4NL", "IQ4XS":
		return -127, 113
	case "MXFP4":
		return -12, 12
	case "Q2K", "TQ2_0":
		high = 3
	case "Q3K":
		high = 7
	case "Q4_0", "Q4_1", "Q4K":
		high = 15
	case "Q5_0", "Q5_1", "Q5K":
		high = 31
	case "Q6K":
		high = 63
	default:
		panic("the range of " + b.name + " is not known")
	}
	return -b.centre, high - b.centre
}

// affine says whether the type has minima.
func (b *block) affine() bool { return b.subtracted || b.name == "Q4_1" || b.name == "Q5_1" }

// sums adds up rows of blocks without decoding them: of each run of weights only the sums of the integers and of their squares
// are needed, for with x = s*v - m they give those of x.
func (b *block) sums() {
	name := "sums" + b.name
	TEXT(name, NOSPLIT, "func(w *byte, rows int, blocks int, out *float32)")
	Pragma("noescape")
	Doc(name+" sets out to the RowSums of rows of blocks, whose Low and High are bounds that the scales set and whose Zero stays 0. rows and",
		"blocks are not 0.")
	var slopes, crosses, lows, highs Mem // s, and -2*s*m, for each run; the bounds
	if b.runs() > 1 {
		slopes, crosses = AllocLocal(4*b.runs()), AllocLocal(4*b.runs())
	}
	// Registers are scarce: only the simplest types keep the bounds in some.
	spilled := b.runs() > 1 || b.affine()
	if spilled {
		lows, highs = AllocLocal(32), AllocLocal(32)
	}
	w, rows, out := param("w"), param("rows"), param("out")
	b.constants()
	var centre reg.VecVirtual
	if b.centre != 0 {
		centre = filled("centre"+b.name, int8(b.centre))
	}
	var ones []int8
	for range 16 {
		ones = append(ones, 1, 0)
	}
	sums := adder{words: bytesOf("sixteenOnes", ones...)}
	if low, _ := b.extremes(); low < 0 {
		sums.bytes = filled("one", 1)
	} else {
		sums.bytes = YMM()
		VPXOR(sums.bytes, sums.bytes, sums.bytes)
	}
	Label("row")
	blocks := param("blocks")
	r := newRunning()
	r.begin()
	// An addition should not wait for the one before it, so that sums take turns.
	turns := [2]running{r, {sum: YMM(), squares: YMM()}}
	others := []reg.VecVirtual{turns[1].sum, turns[1].squares}
	var crossed reg.VecVirtual
	if b.affine() {
		crossed = YMM()
		others = append(others, crossed)
	}
	for _, v := range others {
		VXORPS(v, v, v)
	}
	if spilled {
		VMOVUPS(r.low, lows)
		VMOVUPS(r.high, highs)
	}
	body := func(turn int) {
		b.prefetch(w)
		scales, minima := b.scales(w)
		if !b.subtracted {
			for _, m := range minima {
				VXORPS(ymm.constant("minusZero", float32(math.Copysign(0, -1))), m, m)
			}
		}
		var cross reg.VecVirtual
		for i, s := range scales {
			var m reg.VecVirtual
			if b.affine() {
				m = minima[i]
			}
			if spilled {
				b.bound(s, m, lows, highs)
			} else {
				// The largest scale alone bounds the weights on both sides.
				x := YMM()
				VANDPS(constantBits("magnitude", 0x7fffffff), s, x)
				VMAXPS(r.high, x, r.high)
			}
			if b.runs() > 1 {
				VMOVUPS(s, slopes.Offset(32*i))
			}
			if m == nil {
				continue
			}
			cross = YMM()
			VMULPS(ymm.constant("minusTwo", -2), m, cross)
			VMULPS(s, cross, cross)
			if b.runs() > 1 {
				VMOVUPS(cross, crosses.Offset(32*i))
			}
			// Each lane stands for as many weights as share it.
			count := YMM()
			VMULPS(constantOf(b.elements/8/len(minima)), m, count)
			VSUBPS(count, r.sum, r.sum)
			VFMADD231PS(m, count, crossed)
		}
		b.weights(w, func(i int, v reg.VecVirtual) {
			if centre != nil {
				VPSUBB(centre, v, v)
			}
			total, squares := b.integers(v, sums)
			VCVTDQ2PS(total, total)
			VCVTDQ2PS(squares, squares)
			slope := scales[0]
			if b.runs() > 1 {
				slope = b.perRun(slopes, i)
				if b.affine() {
					cross = b.perRun(crosses, i)
				}
			}
			to := turns[(turn+i)%2]
			VFMADD231PS(total, slope, to.sum)
			if b.affine() {
				VFMADD231PS(total, cross, crossed)
			}
			VMULPS(slope, squares, squares)
			VFMADD231PS(squares, slope, to.squares)
		})
		ADDQ(U32(b.bytes), w)
	}
	// A small block has only one turn: the loop then holds two.
	Label("block")
	for turn := range 2 - b.elements/256 {
		if turn > 0 {
			JZ(LabelRef("end"))
		}
		body(turn)
		DECQ(blocks)
	}
	JNZ(LabelRef("block"))
	Label("end")
	VADDPS(turns[1].sum, r.sum, r.sum)
	VADDPS(turns[1].squares, r.squares, r.squares)
	if b.affine() {
		VADDPS(crossed, r.squares, r.squares)
	}
	if spilled {
		r.low, r.high = YMM(), YMM()
		VMOVUPS(lows, r.low)
		VMOVUPS(highs, r.high)
	} else {
		low, high := b.extremes()
		VMULPS(constantOf(max(-low, high)), r.high, r.high)
		VXORPS(ymm.constant("minusZero", float32(math.Copysign(0, -1))), r.high, r.low)
	}
	r.store(out)
	MOVL(U32(0), Mem{Base: out, Disp: 16})
	ADDQ(Imm(rowBytes), out)
	DECQ(rows)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// sumsOfFours is sums for blocks of 256 unsigned weights. The sums of four times 32 weights share a register, so that they become floats
// together; what is to be taken off the weights counts as a minimum.
func (b *block) sumsOfFours() {
	name := "sums" + b.name
	TEXT(name, NOSPLIT, "func(w *byte, rows int, blocks int, out *float32)")
	Pragma("noescape")
	Doc(name+" sets out to the RowSums of rows of blocks, whose Low and High are bounds that the scales set and whose Zero stays 0. rows and",
		"blocks are not 0.")
	slopes, crosses := AllocLocal(4*b.runs()), AllocLocal(4*b.runs()) // s, and -2*s*m, for each run
	lows, highs := AllocLocal(32), AllocLocal(32)
	w, rows, out := param("w"), param("rows"), param("out")
	b.constants()
	nothing, ones := YMM(), words("one", 1)
	VPXOR(nothing, nothing, nothing)
	Label("row")
	blocks := param("blocks")
	r := newRunning()
	r.begin()
	crossed := YMM()
	VXORPS(crossed, crossed, crossed)
	VMOVUPS(r.low, lows)
	VMOVUPS(r.high, highs)
	loop("block", blocks, func() {
		b.prefetch(w)
		scales, minima := b.scales(w)
		for i, s := range scales {
			var m reg.VecVirtual
			if minima != nil {
				m = minima[i]
			}
			b.bound(s, m, lows, highs)
			if m == nil {
				m = YMM()
				VMULPS(constantOf(b.centre), s, m)
			}
			cross, count := YMM(), YMM()
			VMULPS(ymm.constant("minusTwo", -2), m, cross)
			VMULPS(s, cross, cross)
			VMOVUPS(s, slopes.Offset(32*i))
			VMOVUPS(cross, crosses.Offset(32*i))
			// Each lane stands for as many weights as share it.
			VMULPS(constantOf(b.elements/8/len(scales)), m, count)
			VSUBPS(count, r.sum, r.sum)
			VFMADD231PS(m, count, crossed)
		}
		var group []int
		var totals, squares []reg.VecVirtual
		b.weights(w, func(i int, v reg.VecVirtual) {
			total, square := YMM(), YMM()
			VPSADBW(nothing, v, total)
			VPMADDUBSW(v, v, square)
			VPMADDWD(ones, square, square)
			group, totals, squares = append(group, i), append(totals, total), append(squares, square)
			if len(group)%2 == 1 {
				return
			}
			// The sums of two, then of four: {a, a, b, b} in each half, then {a, b, c, d}.
			totals, squares = pack(totals), pack(squares)
			last := len(squares) - 1
			VPMADDWD(ones, squares[last], squares[last])
			if len(group) < 4 {
				return
			}
			totals, squares = pack(totals), pack(squares)
			for _, x := range []reg.VecVirtual{totals[0], squares[0]} {
				VPMADDWD(ones, x, x)
				VCVTDQ2PS(x, x)
			}
			slope, cross := b.perGroup(slopes, group), b.perGroup(crosses, group)
			VFMADD231PS(totals[0], slope, r.sum)
			VFMADD231PS(totals[0], cross, crossed)
			VMULPS(slope, squares[0], squares[0])
			VFMADD231PS(squares[0], slope, r.squares)
			group, totals, squares = nil, nil, nil
		})
		ADDQ(U32(b.bytes), w)
	})
	VADDPS(crossed, r.squares, r.squares)
	r.low, r.high = YMM(), YMM()
	VMOVUPS(lows, r.low)
	VMOVUPS(highs, r.high)
	r.store(out)
	MOVL(U32(0), Mem{Base: out, Disp: 16})
	ADDQ(Imm(rowBytes), out)
	DECQ(rows)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// pack puts the last two registers of 32-bit integers, which fit in sixteen bits, into one.
func pack(v []reg.VecVirtual) []reg.VecVirtual {
	first, second := v[len(v)-2], v[len(v)-1]
	VPACKUSDW(second, first, first)
	return v[:len(v)-1]
}

// perGroup returns what is stored at m for each run, for the lanes of four times 32 weights: their first halves are in the lower
// lanes, in the order of group.
func (b *block) perGroup(m Mem, group []int) reg.VecVirtual {
	v := YMM()
	first := group[0] / 4 * 4
	if b.wide {
		VBROADCASTF128(m.Offset(4*first), v)
		return v
	}
	var order []int32
	name := "order"
	for half := range 2 {
		for _, i := range group {
			order = append(order, int32(2*(i-first)+half))
			name += strconv.Itoa(2*(i-first) + half)
		}
	}
	at := YMM()
	VMOVDQU(indices(name, order...), at)
	VPERMPS(m.Offset(8*first), at, v)
	return v
}

// bound widens what a row may lie between by the runs with the scales s and the minima m.
func (b *block) bound(s, m reg.VecVirtual, lows, highs Op) {
	low, high := b.extremes()
	var ends [2]reg.VecVirtual
	for i, v := range []int{low, high} {
		x := YMM()
		ends[i] = x
		switch {
		case v == 0 && m == nil:
			VXORPS(x, x, x)
		case v == 0:
			VXORPS(ymm.constant("minusZero", float32(math.Copysign(0, -1))), m, x)
		default:
			VMULPS(constantOf(v), s, x)
			if m != nil {
				VSUBPS(m, x, x)
			}
		}
	}
	least, most := YMM(), YMM()
	VMINPS(ends[0], ends[1], least)
	VMAXPS(ends[0], ends[1], most)
	VMINPS(lows, least, least)
	VMAXPS(highs, most, most)
	VMOVUPS(least, lows)
	VMOVUPS(most, highs)
}

// adder are constants with which bytes are added up: words are sixteen ones, bytes 32 ones where weights are signed, otherwise zeros.
type adder struct {
	words Mem
	bytes reg.VecVirtual
}

// integers returns the sums of 32 bytes and of their squares, in eight integers each.
func (b *block) integers(v reg.VecVirtual, by adder) (total, squares reg.VecVirtual) {
	total, squares = YMM(), YMM()
	low, high := b.extremes()
	if low >= 0 {
		VPSADBW(by.bytes, v, total)
		VPMADDUBSW(v, v, squares)
		VPMADDWD(by.words, squares, squares)
		return total, squares
	}
	if max(-low, high) <= 127 {
		VPMADDUBSW(v, by.bytes, total)
		VPMADDWD(by.words, total, total)
		VPABSB(v, squares)
		VPMADDUBSW(squares, squares, squares)
		VPMADDWD(by.words, squares, squares)
		return total, squares
	}
	// 128 is no signed byte: sixteen bits for each.
	lower, upper := YMM(), YMM()
	VPSLLW(Imm(8), v, lower)
	VPSRAW(Imm(8), lower, lower)
	VPSRAW(Imm(8), v, upper)
	VPADDW(lower, upper, total)
	VPMADDWD(by.words, total, total)
	VPMADDWD(lower, lower, lower)
	VPMADDWD(upper, upper, upper)
	VPADDD(lower, upper, squares)
	return total, squares
}

// perRun returns what is stored at m for each run, for the lanes of the i-th 32 weights.
func (b *block) perRun(m Mem, i int) reg.VecVirtual {
	v := YMM()
	if b.wide {
		VBROADCASTSS(m.Offset(4*i), v)
		return v
	}
	upper := YMM()
	VBROADCASTSS(m.Offset(8*i), v)
	VBROADCASTSS(m.Offset(8*i+4), upper)
	VPBLENDD(Imm(0xf0), upper, v, v)
	return v
}

// constantOf returns a register full of a small integer as float32.
func constantOf(n int) reg.VecVirtual {
	if n < 0 {
		return ymm.constant("minus"+strconv.Itoa(-n), float32(n))
	}
	return ymm.constant("plus"+strconv.Itoa(n), float32(n))
}
