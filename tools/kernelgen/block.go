package main

import (
	. "github.com/mmcloughlin/avo/build" //nolint:staticcheck // the form that avo's programs have
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// block is a block type of ggml: how its weights are found, 16 at a time, and what they are multiplied with. The closures write the
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
	// weights calls emit with 16 16-bit integers each; i counts them. Neighbours that share a scale come one after the other.
	weights func(w reg.GPVirtual, emit func(i int, words reg.VecVirtual))
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

// dot multiplies rows with a vector of 16-bit activations.
func (b *block) dot() {
	name := "dot" + b.name + "AVX2"
	TEXT(name, NOSPLIT, "func(w *byte, rows int, blocks int, q *int16, scale *float32, sum *float32, out *float32)")
	Pragma("noescape")
	Doc(name + " sets out to the products of rows of blocks and activations. rows and blocks are not 0.")
	var stack Mem
	if b.runs() > 1 {
		stack = AllocLocal(4 * b.runs())
	}
	w, rows, out := param("w"), param("rows"), param("out")
	b.constants()
	Label("row")
	q, scale, sum, blocks := param("q"), param("scale"), param("sum"), param("blocks")
	sums := [2]reg.VecVirtual{YMM(), YMM()}
	for _, s := range sums {
		VXORPS(s, s, s)
	}
	Label("block")
	b.prefetch(w)
	scales, minima := b.scales(w)
	add := VFMADD231PS
	if b.subtracted {
		add = VFNMADD231PS
	}
	switch {
	case b.runs() == 1:
		if minima != nil {
			pair := XMM()
			VMOVQ(Mem{Base: sum}, pair)
			VHADDPS(pair, pair, pair)
			// Only the lowest lane of the sum is one of the block's.
			VINSERTPS(Imm(0x0e), pair, pair, pair)
			add(minima[0], pair.AsY(), sums[1])
		}
		factor := YMM()
		VBROADCASTSS(Mem{Base: scale}, factor)
		VMULPS(factor, scales[0], scales[0])
	case b.wide:
		VMULPS(Mem{Base: scale}, scales[0], scales[0])
		VMOVUPS(scales[0], stack)
		if minima != nil {
			s := YMM()
			VMOVUPS(Mem{Base: sum}, s)
			VHADDPS(Mem{Base: sum, Disp: 32}, s, s)
			VPERMQ(Imm(0xd8), s, s)
			add(minima[0], s, sums[1])
		}
	default:
		for i, s := range scales {
			// Each scale of 32 activations belongs to two runs.
			factor := YMM()
			VMOVUPS(Mem{Base: scale, Disp: 16 * i}, factor.AsX())
			VPERMPS(factor, b.twice(), factor)
			VMULPS(factor, s, s)
			VMOVUPS(s, stack.Offset(32*i))
			if minima != nil {
				add(Mem{Base: sum, Disp: 32 * i}, minima[i], sums[1])
			}
		}
	}
	var held reg.VecVirtual
	b.weights(w, func(i int, words reg.VecVirtual) {
		VPMADDWD(Mem{Base: q, Disp: 32 * i}, words, words)
		if b.wide && i%2 == 0 {
			held = words
			return
		}
		run := i
		if b.wide {
			run = i / 2
			VPADDD(held, words, words)
		}
		VCVTDQ2PS(words, words)
		factor := scales[0]
		if b.runs() > 1 {
			factor = YMM()
			VBROADCASTSS(stack.Offset(4*run), factor)
		}
		VFMADD231PS(factor, words, sums[run%2])
	})
	ADDQ(U32(b.bytes), w)
	ADDQ(U32(2*b.elements), q)
	ADDQ(U32(b.elements/8), scale)
	ADDQ(U32(b.elements/4), sum)
	DECQ(blocks)
	JNZ(LabelRef("block"))
	VADDPS(sums[1], sums[0], sums[0])
	VMOVSS(sumLanes(sums[0], 8), Mem{Base: out})
	ADDQ(Imm(4), out)
	DECQ(rows)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// twice returns a register of the indices 0, 0, 1, 1, 2, 2, 3, 3.
func (b *block) twice() reg.VecVirtual {
	v := YMM()
	VPMOVZXBD(bytesOf("twice", 0, 0, 1, 1, 2, 2, 3, 3), v)
	return v
}

// decode turns blocks into float32 the way that ggml's reference rounds: each product by itself.
func (b *block) decode() {
	name := "decode" + b.name + "AVX2"
	TEXT(name, NOSPLIT, "func(src *byte, blocks int, dst *float32)")
	Pragma("noescape")
	Doc(name + " turns blocks into float32. blocks is not 0.")
	var steps, least Mem
	if b.runs() > 1 {
		steps, least = AllocLocal(4*b.runs()), AllocLocal(4*b.runs())
	}
	w, blocks, dst := param("src"), param("blocks"), param("dst")
	b.constants()
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
		b.weights(w, func(i int, words reg.VecVirtual) {
			run := i
			if b.wide {
				run = i / 2
			}
			var upper, step, low reg.VecVirtual = YMM(), nil, nil
			if b.runs() > 1 {
				step = YMM()
				VBROADCASTSS(steps.Offset(4*run), step)
				if minima != nil {
					low = YMM()
					VBROADCASTSS(least.Offset(4*run), low)
				}
			} else {
				step = scales[0]
				if minima != nil {
					low = minima[0]
				}
			}
			VEXTRACTI128(Imm(1), words, upper.AsX())
			VPMOVSXWD(words.AsX(), words)
			VPMOVSXWD(upper.AsX(), upper)
			for half, v := range []reg.VecVirtual{words, upper} {
				VCVTDQ2PS(v, v)
				VMULPS(step, v, v)
				if minima != nil {
					if b.subtracted {
						VSUBPS(low, v, v)
					} else {
						VADDPS(low, v, v)
					}
				}
				VMOVUPS(v, Mem{Base: dst, Disp: 64*i + 32*half})
			}
		})
		ADDQ(U32(b.bytes), w)
		ADDQ(U32(4*b.elements), dst)
	})
	VZEROUPPER()
	RET()
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
