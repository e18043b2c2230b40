package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build" //nolint:staticcheck // the form that avo's programs have
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// multiply writes a product: it turns 32 unsigned bytes into eight sums of four of their products with signed bytes at x, which is a
// register or memory. v may be changed.
type multiply func(v reg.VecVirtual, x Op) reg.VecVirtual

// product is a way to multiply bytes. start loads what all products need.
type product struct {
	suffix string
	start  func() multiply
}

// products are the ways of processors with AVX2 alone and of those with an instruction for dot products, which AVX-512 and AVX encode
// differently. All sums are exact: no two products overflow 16 bits, as activations are not -128.
func products() []product {
	return []product{
		{"AVX2", func() multiply {
			ones := words("one", 1)
			return func(v reg.VecVirtual, x Op) reg.VecVirtual {
				VPMADDUBSW(x, v, v)
				VPMADDWD(ones, v, v)
				return v
			}
		}},
		{"AVXVNNI", dotProducts(func(x Op, v, sums reg.VecVirtual) {
			if m, ok := x.(Mem); ok {
				x = load(m)
			}
			dotVEX(x, v, sums)
		})},
		{"AVX512VNNI", dotProducts(func(x Op, v, sums reg.VecVirtual) { VPDPBUSD(x, v, sums) })},
	}
}

// dotProducts are products by an instruction that adds to sums.
func dotProducts(add func(x Op, v, sums reg.VecVirtual)) func() multiply {
	return func() multiply {
		return func(v reg.VecVirtual, x Op) reg.VecVirtual {
			sums := ymm.zero()
			add(x, v, sums)
			return sums
		}
	}
}

// dotVEX writes VPDPBUSD with the prefix of AVX-VNNI. Go's assembler knows only the one of AVX-512.
func dotVEX(x, v Op, sums reg.VecVirtual) {
	i := &ir.Instruction{Opcode: "// VPDPBUSD", Inputs: []Op{x, v, sums}, Outputs: []Op{sums}, ISA: []string{"AVXVNNI"}}
	i.Operands = []Op{x, v, sums, encoding{U8(0), i}}
	Instruction(i)
}

// encoding is an operand that shows as the bytes of its instruction, on a line of their own.
type encoding struct {
	Constant
	of *ir.Instruction
}

func (e encoding) Asm() string {
	number := func(i int) byte { return byte(e.of.Operands[i].(reg.Physical).PhysicalIndex()) }
	s := "as VEX\n\t"
	for i, b := range dotBytes(number(0), number(1), number(2)) {
		if i > 0 {
			s += "; "
		}
		s += fmt.Sprintf("BYTE $%#02x", b)
	}
	return s
}

// dotBytes is VEX.256.66.0F38.W0 50 /r. The prefix holds the upper bits of the first and last register and all bits of the one between
// them, inverted.
func dotBytes(x, v, sums byte) [5]byte {
	const extension, sizeAndPrefix, registers = 0x02 | 1<<6, 1<<2 | 1, 3 << 6
	return [5]byte{
		0xc4,
		extension | (^sums>>3&1)<<7 | (^x>>3&1)<<5,
		sizeAndPrefix | (^v&15)<<3,
		0x50,
		registers | (sums&7)<<3 | x&7,
	}
}
