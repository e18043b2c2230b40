package main

import (
	"fmt"
	"strings"
)

// vec is a vector register, gp a general-purpose one.
type (
	vec uint32
	gp  uint32
)

func (r gp) String() string { return fmt.Sprintf("R%d", uint32(r)) }

// operand is what an instruction works on.
type operand struct {
	register uint32
	kind     string // lanes, such as "4s"; a scalar's "q", "d", "s" or "h"; or one of the below
	n        int    // a lane's number, an offset or a number
}

const (
	lane   = "lane"   // a lane of 32 bits
	memory = "memory" // at an offset
	next   = "next"   // at an address that is advanced afterwards
	number = "number"
)

func (v vec) b16() operand       { return operand{uint32(v), "16b", 0} }
func (v vec) b8() operand        { return operand{uint32(v), "8b", 0} }
func (v vec) h8() operand        { return operand{uint32(v), "8h", 0} }
func (v vec) h4() operand        { return operand{uint32(v), "4h", 0} }
func (v vec) s4() operand        { return operand{uint32(v), "4s", 0} }
func (v vec) s2() operand        { return operand{uint32(v), "2s", 0} }
func (v vec) d2() operand        { return operand{uint32(v), "2d", 0} }
func (v vec) lane(i int) operand { return operand{uint32(v), lane, i} }
func (v vec) q() operand         { return operand{uint32(v), "q", 0} }
func (v vec) d() operand         { return operand{uint32(v), "d", 0} }
func (v vec) s() operand         { return operand{uint32(v), "s", 0} }
func (v vec) h() operand         { return operand{uint32(v), "h", 0} }

func (r gp) at(offset int) operand   { return operand{uint32(r), memory, offset} }
func (r gp) next(offset int) operand { return operand{uint32(r), next, offset} }
func imm(n int) operand              { return operand{0, number, n} }

// String is the operand in the syntax of the processor's manual.
func (o operand) String() string {
	switch o.kind {
	case lane:
		return fmt.Sprintf("v%d.s[%d]", o.register, o.n)
	case "q", "d", "s", "h":
		return fmt.Sprintf("%s%d", o.kind, o.register)
	case memory:
		if o.n == 0 {
			return fmt.Sprintf("[x%d]", o.register)
		}
		return fmt.Sprintf("[x%d, #%d]", o.register, o.n)
	case next:
		return fmt.Sprintf("[x%d], #%d", o.register, o.n)
	case number:
		return fmt.Sprintf("#%d", o.n)
	}
	return fmt.Sprintf("v%d.%s", o.register, o.kind)
}

// shape returns how wide the operand's lanes are, as the power of two of bytes, and bit 30 when they fill the register.
func (o operand) shape() (size, all uint32) {
	for i, kinds := range [][2]string{{"8b", "16b"}, {"4h", "8h"}, {"2s", "4s"}, {"1d", "2d"}} {
		switch o.kind {
		case kinds[0]:
			return uint32(i), 0
		case kinds[1]:
			return uint32(i), 1 << 30
		}
	}
	panic("not lanes: " + o.String())
}

// An encoder returns the word for operands, the result first.
type encoder func(o ...operand) uint32

// instructions has the encodings of what the kernels use. They are those of the Arm Architecture Reference Manual for the A profile,
// section C4.1, where the instructions of a class differ by a few bits.
var instructions = map[string]encoder{
	"add": same(0x0e208400), "sub": same(0x2e208400), "addp": same(0x0e20bc00), "umax": same(0x2e206400), "umaxv": fromSource(0x2e30a800),
	"ushl": same(0x2e204400), "ushr": right(0x2f000400), "shl": left(0x0f005400), "cmtst": same(0x0e208c00),
	"and": unsized(0x0e201c00), "bic": unsized(0x0e601c00), "orr": unsized(0x0ea01c00), "eor": unsized(0x2e201c00),
	"cnt": unsized(0x0e205800), "mul": same(0x0e209c00), "cmhs": same(0x2e203c00), "cmeq": same(0x2e208c00),
	"zip1": same(0x0e003800), "zip2": same(0x0e007800), "uzp1": same(0x0e001800), "uzp2": same(0x0e005800), "trn1": same(0x0e002800), "trn2": same(0x0e006800), "tbl": unsized(0x0e000000),
	"mov": move, "dup": spread, "movi": filled,

	"fadd": unsized(0x0e20d400), "faddp": pairwise, "fsub": unsized(0x0ea0d400), "fdiv": unsized(0x2e20fc00), "fneg": unsized(0x2ea0f800),
	"fmax": unsized(0x0e20f400), "fmin": unsized(0x0ea0f400), "fcmgt": unsized(0x2ea0e400),
	"fmul": products(0x2e20dc00, 0x9000), "fmla": products(0x0e20cc00, 0x1000), "fmls": products(0x0ea0cc00, 0x5000),

	"sdot":  unsized(0x0e809400),
	"smull": fromSource(0x0e20c000), "smlal2": fromSource(0x0e208000), "saddlp": fromSource(0x0e202800), "sadalp": fromSource(0x0e206800),
	"sqxtn": same(0x0e214800), "sqxtn2": same(0x0e214800), "sxtl": widened, "sxtl2": widened,
	"shll": fromSource(0x2e213800), "shll2": fromSource(0x2e213800), "fcvtl": halves, "fcvtl2": halves, "fcvtn": unsized(0x0e616800), "fcvtn2": unsized(0x0e616800),
	"scvtf": unsized(0x0e21d800), "fcvtns": unsized(0x0e21a800), "fcvt": func(o ...operand) uint32 { return 0x1ee24000 | registers(o) },

	"ldr": scaled(1 << 22), "str": scaled(0), "ldur": unscaled(1 << 22), "ldp": pair(1 << 22), "stp": pair(0),
}

// registers returns the places of up to three of them.
func registers(o []operand) uint32 {
	var word uint32
	for i, o := range o {
		if o.kind != number {
			word |= o.register << []int{0, 5, 16}[i]
		}
	}
	return word
}

// same is encoded with the size of the result. The second forms of those that narrow fill its upper half.
func same(base uint32) encoder {
	return func(o ...operand) uint32 {
		size, all := o[0].shape()
		return base | size<<22 | all | registers(o)
	}
}

// unsized has only one kind of lanes, or float64 beside float32.
func unsized(base uint32) encoder {
	return func(o ...operand) uint32 {
		size, all := o[0].shape()
		return base | size/3<<22 | all | registers(o)
	}
}

// products multiplies float32 in lanes, with one lane as last operand too, whose other encoding has the operation elsewhere. fmul
// multiplies single numbers as well.
func products(base, operation uint32) encoder {
	return func(o ...operand) uint32 {
		switch {
		case o[0].kind == "s":
			return 0x1e200800 | registers(o)
		case o[2].kind == lane:
			i := uint32(o[2].n)
			return 0x4f800000 | operation | i&1<<21 | i>>1<<11 | registers(o)
		}
		return unsized(base)(o...)
	}
}

// fromSource is encoded with the size of the operand, whose upper half the second forms of those that widen take.
func fromSource(base uint32) encoder {
	return func(o ...operand) uint32 {
		size, all := o[1].shape()
		return base | size<<22 | all | registers(o)
	}
}

// halves turns half-precision numbers into float32, or these into float64.
func halves(o ...operand) uint32 {
	size, all := o[1].shape()
	return 0x0e217800 | (size-1)<<22 | all | registers(o)
}

func move(o ...operand) uint32 { return 0x4ea01c00 | o[1].register<<16 | registers(o) }

// right and left shift by a number that is encoded together with the size.
func right(base uint32) encoder {
	return func(o ...operand) uint32 {
		size, all := o[0].shape()
		return base | (16<<size-uint32(o[2].n))<<16 | all | registers(o)
	}
}

func left(base uint32) encoder {
	return func(o ...operand) uint32 {
		size, all := o[0].shape()
		return base | (8<<size+uint32(o[2].n))<<16 | all | registers(o)
	}
}

// widened extends the signs.
func widened(o ...operand) uint32 {
	size, all := o[1].shape()
	return 0x0f00a400 | 8<<size<<16 | all | registers(o)
}

// pairwise adds neighbours: those of two registers, or the lowest two lanes.
func pairwise(o ...operand) uint32 {
	if o[0].kind == "s" {
		return 0x7e30d800 | registers(o)
	}
	return unsized(0x2e20d400)(o...)
}

func spread(o ...operand) uint32 { return 0x4e040400 | uint32(o[1].n)<<19 | registers(o) }

func filled(o ...operand) uint32 {
	n := uint32(o[1].n)
	return 0x4f00e400 | n>>5<<16 | n&31<<5 | registers(o[:1])
}

// scalars are the bits of memory instructions for each size, and the bytes.
var scalars = map[string]struct {
	bits  uint32
	bytes int
}{"q": {0x3c800000, 16}, "d": {0xfc000000, 8}, "s": {0xbc000000, 4}, "h": {0x7c000000, 2}}

// scaled has an offset that is a multiple of the size, or advances the address afterwards.
func scaled(load uint32) encoder {
	return func(o ...operand) uint32 {
		size := scalars[o[0].kind]
		if o[1].kind == next {
			return unscaled(load)(o...) | 1<<10
		}
		return size.bits | 1<<24 | load | uint32(o[1].n/size.bytes)<<10 | registers(o)
	}
}

func unscaled(load uint32) encoder {
	return func(o ...operand) uint32 {
		if o[1].n < -256 || o[1].n > 255 {
			panic(fmt.Sprintf("%d bytes are too far away", o[1].n))
		}
		return scalars[o[0].kind].bits | load | uint32(o[1].n)&511<<12 | registers(o)
	}
}

func pair(load uint32) encoder {
	return func(o ...operand) uint32 {
		return 0xad000000 | load | uint32(o[2].n/16)<<15 | o[1].register<<10 | o[2].register<<5 | o[0].register
	}
}

// op appends an encoded instruction.
func (f *function) op(name string, o ...operand) {
	if last := o[len(o)-1]; name == "ldr" && last.kind == memory && last.n%scalars[o[0].kind].bytes != 0 {
		name = "ldur"
	}
	encode, ok := instructions[name]
	if !ok {
		panic("no encoding of " + name)
	}
	var s []string
	for i, o := range o {
		text := o.String()
		if name == "tbl" && i == 1 {
			text = "{" + text + "}"
		}
		s = append(s, text)
	}
	f.lines = append(f.lines, line{text: name + " " + strings.Join(s, ", "), word: encode(o...)})
}
