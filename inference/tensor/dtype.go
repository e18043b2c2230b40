package tensor

import (
	"math"
	"math/bits"
)

// Type is the element type of a tensor. The zero Type is invalid.
type Type uint8

// The element types in use; those from Q1_0 on are ggml's block types.
const (
	Invalid Type = iota
	F64
	F32
	F16
	BF16
	F8E4M3
	F8E5M2
	F8E4M3FNUZ
	F8E5M2FNUZ
	F8E8M0
	F6E2M3
	F6E3M2
	F4
	C64
	C128
	Bool
	I2
	I4
	I8
	I16
	I32
	I64
	U2
	U4
	U8
	U16
	U32
	U64
	Q1_0
	Q2_0
	Q4_0
	Q4_1
	Q5_0
	Q5_1
	Q8_0
	Q8_1
	Q2K
	Q3K
	Q4K
	Q5K
	Q6K
	Q8K
	IQ1S
	IQ1M
	IQ2XXS
	IQ2XS
	IQ2S
	IQ3XXS
	IQ3S
	IQ4NL
	IQ4XS
	TQ1_0
	TQ2_0
	MXFP4
	NVFP4
	typeCount
)

type layout struct {
	name     string
	elements int // in one block
	bytes    int // of one block
}

var layouts = [typeCount]layout{
	F64: {"F64", 1, 8}, F32: {"F32", 1, 4}, F16: {"F16", 1, 2}, BF16: {"BF16", 1, 2},
	F8E4M3: {"F8_E4M3", 1, 1}, F8E5M2: {"F8_E5M2", 1, 1}, F8E8M0: {"F8_E8M0", 1, 1},
	F8E4M3FNUZ: {"F8_E4M3FNUZ", 1, 1}, F8E5M2FNUZ: {"F8_E5M2FNUZ", 1, 1},
	F6E2M3: {"F6_E2M3", 4, 3}, F6E3M2: {"F6_E3M2", 4, 3}, F4: {"F4", 2, 1}, C64: {"C64", 1, 8}, C128: {"C128", 1, 16},
	Bool: {"BOOL", 1, 1}, I2: {"I2", 4, 1}, I4: {"I4", 2, 1}, U2: {"U2", 4, 1}, U4: {"U4", 2, 1},
	I8: {"I8", 1, 1}, I16: {"I16", 1, 2}, I32: {"I32", 1, 4}, I64: {"I64", 1, 8},
	U8: {"U8", 1, 1}, U16: {"U16", 1, 2}, U32: {"U32", 1, 4}, U64: {"U64", 1, 8},
	Q1_0: {"Q1_0", 128, 18}, Q2_0: {"Q2_0", 64, 18},
	Q4_0: {"Q4_0", 32, 18}, Q4_1: {"Q4_1", 32, 20}, Q5_0: {"Q5_0", 32, 22}, Q5_1: {"Q5_1", 32, 24},
	Q8_0: {"Q8_0", 32, 34}, Q8_1: {"Q8_1", 32, 36},
	Q2K: {"Q2_K", 256, 84}, Q3K: {"Q3_K", 256, 110}, Q4K: {"Q4_K", 256, 144}, Q5K: {"Q5_K", 256, 176},
	Q6K: {"Q6_K", 256, 210}, Q8K: {"Q8_K", 256, 292},
	IQ1S: {"IQ1_S", 256, 50}, IQ1M: {"IQ1_M", 256, 56},
	IQ2XXS: {"IQ2_XXS", 256, 66}, IQ2XS: {"IQ2_XS", 256, 74}, IQ2S: {"IQ2_S", 256, 82},
	IQ3XXS: {"IQ3_XXS", 256, 98}, IQ3S: {"IQ3_S", 256, 110}, IQ4NL: {"IQ4_NL", 32, 18}, IQ4XS: {"IQ4_XS", 256, 136},
	TQ1_0: {"TQ1_0", 256, 54}, TQ2_0: {"TQ2_0", 256, 66}, MXFP4: {"MXFP4", 32, 17}, NVFP4: {"NVFP4", 64, 36},
}

// ggmlTypes are the numbers that GGUF files use; numbers that ggml has withdrawn (4, 5, 31-33, 36-38) stay out.
var ggmlTypes = map[uint32]Type{
	0: F32, 1: F16, 2: Q4_0, 3: Q4_1, 6: Q5_0, 7: Q5_1, 8: Q8_0, 9: Q8_1, 10: Q2K, 11: Q3K, 12: Q4K, 13: Q5K, 14: Q6K,
	15: Q8K, 16: IQ2XXS, 17: IQ2XS, 18: IQ3XXS, 19: IQ1S, 20: IQ4NL, 21: IQ3S, 22: IQ2S, 23: IQ4XS, 24: I8, 25: I16,
	26: I32, 27: I64, 28: F64, 29: IQ1M, 30: BF16, 34: TQ1_0, 35: TQ2_0, 39: MXFP4, 40: NVFP4, 41: Q1_0, 42: Q2_0,
}

// String returns the type's name as its format's documentation writes it ("BF16", "Q4_K", "F8_E4M3").
func (t Type) String() string {
	if t == Invalid || t >= typeCount {
		return "invalid"
	}
	return layouts[t].name
}

// Block returns how many elements one block holds and how many bytes it takes; 1 element for the plain types.
func (t Type) Block() (elements, bytes int) {
	if t >= typeCount {
		return 0, 0
	}
	return layouts[t].elements, layouts[t].bytes
}

// Quantized reports whether the type stores blocks of low-bit integers with scales.
func (t Type) Quantized() bool { return t >= Q1_0 && t < typeCount }

// FromGGML returns the type with ggml's number id, or Invalid when there is none.
func FromGGML(id uint32) Type { return ggmlTypes[id] }

// GGML returns ggml's number of the type; ok is false for types that GGUF files cannot hold.
func (t Type) GGML() (id uint32, ok bool) {
	for id, g := range ggmlTypes {
		if g == t {
			return id, true
		}
	}
	return 0, false
}

// Elements multiplies the dimensions of a shape. ok is false when one is negative or the product does not fit.
func Elements(shape []int) (n int64, ok bool) {
	p := uint64(1)
	for _, d := range shape {
		if d < 0 {
			return 0, false
		}
		hi, lo := bits.Mul64(p, uint64(d))
		if hi != 0 || lo > math.MaxInt64 {
			return 0, false
		}
		p = lo
	}
	return int64(p), true
}

// Size returns the bytes that n elements take. ok is false when n is negative or no multiple of the block, or when the size
// does not fit an int64.
func (t Type) Size(n int64) (size int64, ok bool) {
	e, b := t.Block()
	if e == 0 || n < 0 || n%int64(e) != 0 {
		return 0, false
	}
	hi, lo := bits.Mul64(uint64(n/int64(e)), uint64(b))
	if hi != 0 || lo > math.MaxInt64 {
		return 0, false
	}
	return int64(lo), true
}
