package main

import (
	. "github.com/mmcloughlin/avo/build" //nolint:staticcheck // the form that avo's programs have
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// block is a block type of ggml: how its weights are found, 32 at a time, and what they are multiplied with. The closures write the
// instructions for one block, which begins at w; registers that constants loaded keep their values.
type block struct {
	name string
	// A block holds 32 or 256 elements in so many bytes.
	elements, bytes int
	// wide says that 32 weights share a scale; otherwise 16 do.
	wide bool
	// constants loads what is needed for every block.
	constants func()
	// scales returns the scales as floats, and the minima where the type has any: registers with one for all, or with one for each
	// run of weights, eight to a register.
	scales func(w reg.GPVirtual) (scales, minima []reg.VecVirtual)
	// subtracted says that minima are subtracted, not added.
	subtracted bool
	// weights calls emit with 32 bytes each, in their order; i counts in 32.
	weights func(w reg.GPVirtual, emit func(i int, v reg.VecVirtual))
	// signed says that the bytes are signed. Otherwise centre is to be taken off them.
	signed bool
	centre int
}

// runs is how many runs of weights with a scale of their own a block has.
func (b *block) runs() int {
	if b.wide {
		return b.elements / 32
	}
	return b.elements / 16
}

// ahead is how many bytes before they are needed weights are fetched.
const ahead = 1536

func (b *block) prefetch(w reg.GPVirtual) {
	for at := 0; at < b.bytes; at += 64 {
		PREFETCHT0(Mem{Base: w, Disp: ahead + at})
	}
}

// dot multiplies rows with a vector of 8-bit activations.
func (b *block) dot() {
	for _, p := range products() {
		b.dotBy(p)
	}
}

func (b *block) dotBy(p product) {
	name := "dot" + b.name + p.suffix
	TEXT(name, NOSPLIT, "func(w *byte, rows int, blocks int, q *int8, scale *float32, sum *float32, out *float32)")
	Pragma("noescape")
	run := "16"
	if b.wide {
		run = "32"
	}
	Doc(name + " sets out to the products of rows of blocks and activations, whose sums are those of each " + run + ". rows and blocks are not 0.")
	var stack Mem
	if b.wide && b.runs() > 1 {
		stack = AllocLocal(4 * b.runs())
	}
	w, rows, out := param("w"), param("rows"), param("out")
	b.constants()
	times := p.start()
	Label("row")
	q, scale, sum, blocks := param("q"), param("scale"), param("sum"), param("blocks")
	sums := [2]reg.VecVirtual{YMM(), YMM()}
	for _, s := range sums {
		VXORPS(s, s, s)
	}
	// Two sums take turns, so that an addition need not wait for the one before it. A small block has only one: the loop then holds two.
	Label("block")
	for turn := range 2 - b.elements/256 {
		if turn > 0 {
			JZ(LabelRef("end"))
		}
		b.prefetch(w)
		b.add(w, q, scale, sum, stack, times, sums[turn], sums[1-turn])
		ADDQ(U32(b.bytes), w)
		ADDQ(U32(b.elements), q)
		ADDQ(U32(b.elements/8), scale)
		ADDQ(U32(4*b.runs()), sum)
		DECQ(blocks)
	}
	JNZ(LabelRef("block"))
	Label("end")
	VADDPS(sums[1], sums[0], sums[0])
	VMOVSS(sumLanes(sums[0], 8), Mem{Base: out})
	ADDQ(U32(4), out)
	DECQ(rows)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// add adds the products with a block to sums.
func (b *block) add(w, q, scale, sum reg.GPVirtual, stack Mem, times multiply, first, second reg.VecVirtual) {
	scales, minima := b.scales(w)
	subtracted := b.subtracted
	if b.centre != 0 {
		// What is taken off each weight is taken off the sum of the activations.
		subtracted = true
		centre := YMM()
		VBROADCASTSS(floatOf(b.centre), centre)
		for _, s := range scales {
			m := YMM()
			VMULPS(centre, s, m)
			minima = append(minima, m)
		}
	}
	add := VFMADD231PS
	if subtracted {
		add = VFNMADD231PS
	}
	switch {
	case b.elements == 32:
		factor := YMM()
		VBROADCASTSS(Mem{Base: scale}, factor)
		VMULPS(factor, scales[0], scales[0])
		if minima != nil {
			lowest := XMM()
			VMOVSS(Mem{Base: sum}, lowest)
			add(minima[0], lowest.AsY(), second)
		}
	case b.wide:
		VMULPS(Mem{Base: scale}, scales[0], scales[0])
		VMOVUPS(scales[0], stack)
		if minima != nil {
			add(Mem{Base: sum}, minima[0], second)
		}
	default:
		for i, s := range scales {
			if minima != nil {
				add(Mem{Base: sum, Disp: 32 * i}, minima[i], second)
			}
			// Each scale of 32 activations belongs to two runs.
			factor, twice := YMM(), YMM()
			VMOVUPS(Mem{Base: scale, Disp: 16 * i}, factor.AsX())
			VMOVDQU(indices("twice", 0, 0, 1, 1, 2, 2, 3, 3), twice)
			VPERMPS(factor, twice, factor)
			VMULPS(factor, s, s)
		}
	}
	b.weights(w, func(i int, v reg.VecVirtual) {
		if b.signed {
			// The instruction multiplies unsigned with signed bytes: the signs of the weights go over to the activations.
			x := YMM()
			VMOVDQU(Mem{Base: q, Disp: 32 * i}, x)
			VPSIGNB(v, x, x)
			VPABSB(v, v)
			v = times(v, x)
		} else {
			v = times(v, Mem{Base: q, Disp: 32 * i})
		}
		VCVTDQ2PS(v, v)
		factor := scales[0]
		switch {
		case b.elements == 32:
		case b.wide:
			factor = YMM()
			VBROADCASTSS(stack.Offset(4*i), factor)
		default:
			// The products of the first 16 are in the lower half of the register.
			factor = YMM()
			from := int32(2 * (i % 4))
			VMOVDQU(indices("pair"+string(rune('0'+i%4)), from, from, from, from, from+1, from+1, from+1, from+1), factor)
			VPERMPS(scales[i/4], factor, factor)
		}
		VFMADD231PS(factor, v, [2]reg.VecVirtual{first, second}[i%2])
	})
}

// decode turns blocks into float32 the way that ggml's reference rounds: each product by itself.
func (b *block) decode() {
	name := "decode" + b.name
	TEXT(name, NOSPLIT, "func(src *byte, blocks int, dst *float32)")
	Pragma("noescape")
	Doc(name + " turns blocks into float32. blocks is not 0.")
	var steps, least Mem
	if b.runs() > 1 {
		room := max(32, 4*b.runs())
		steps, least = AllocLocal(room), AllocLocal(room)
	}
	w, blocks, dst := param("src"), param("blocks"), param("dst")
	b.constants()
	var centre reg.VecVirtual
	if b.centre != 0 {
		centre = YMM()
		VPBROADCASTB(bytesOf("centre"+b.name, int8(b.centre)), centre)
	}
	loop("block", blocks, func() {
		scales, minima := b.scales(w)
		if b.runs() > 1 {
			for i, s := range scales {
				VMOVUPS(s, steps.Offset(32*i))
			}
			for i, m := range minima {
				VMOVUPS(m, least.Offset(32*i))
			}
		}
		// factors returns the scale and the minimum of 16 weights.
		factors := func(sixteen int) (step, low reg.VecVirtual) {
			if b.runs() == 1 {
				if minima != nil {
					low = minima[0]
				}
				return scales[0], low
			}
			run := sixteen
			if b.wide {
				run /= 2
			}
			step = YMM()
			VBROADCASTSS(steps.Offset(4*run), step)
			if minima != nil {
				low = YMM()
				VBROADCASTSS(least.Offset(4*run), low)
			}
			return step, low
		}
		b.weights(w, func(i int, v reg.VecVirtual) {
			if centre != nil {
				VPSUBB(centre, v, v)
			}
			upper, shifted := XMM(), XMM()
			VEXTRACTI128(Imm(1), v, upper)
			for sixteen, half := range []Op{v.AsX(), upper} {
				step, low := factors(2*i + sixteen)
				for eight := range 2 {
					x := YMM()
					if eight > 0 {
						VPSRLDQ(Imm(8), half, shifted)
						half = shifted
					}
					if b.signed || centre != nil {
						VPMOVSXBD(half, x)
					} else {
						VPMOVZXBD(half, x)
					}
					VCVTDQ2PS(x, x)
					VMULPS(step, x, x)
					switch {
					case minima == nil:
					case b.subtracted:
						VSUBPS(low, x, x)
					default:
						VADDPS(low, x, x)
					}
					VMOVUPS(x, Mem{Base: dst, Disp: 128*i + 64*sixteen + 32*eight})
				}
			}
		})
		ADDQ(U32(b.bytes), w)
		ADDQ(U32(4*b.elements), dst)
	})
	VZEROUPPER()
	RET()
}

// indices returns memory with 32-bit integers, which the file holds once under the name.
func indices(name string, values ...int32) Mem {
	var s []int8
	for _, v := range values {
		s = append(s, int8(v), 0, 0, 0)
	}
	return bytesOf(name, s...)
}

// floatOf returns memory with a small integer as float32.
func floatOf(n int) Mem {
	name := "float" + string(rune('A'+n%26)) + string(rune('A'+n/26))
	if _, ok := constants[name]; !ok {
		constants[name] = ConstData(name, F32(n))
	}
	return constants[name]
}

// bytesOf returns memory with the bytes, which the file holds once under the name.
func bytesOf(name string, values ...int8) Mem {
	if m, ok := constants[name]; ok {
		return m
	}
	s := make([]byte, len(values))
	for i, v := range values {
		s[i] = byte(v)
	}
	constants[name] = ConstData(name, String(s))
	return constants[name]
}
