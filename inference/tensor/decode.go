package tensor

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/carat-hub/carat/inference/fault"
)

// decoders turn the elements that both dst and src have room for into float32. They neither allocate nor fail.
var decoders = [typeCount]func(dst []float32, src []byte){
	F64: decodeF64, F32: decodeF32, F16: decodeF16, BF16: decodeBF16,
	F8E4M3: decodeBytes(&e4m3), F8E5M2: decodeBytes(&e5m2), F8E4M3FNUZ: decodeBytes(&e4m3fnuz), F8E5M2FNUZ: decodeBytes(&e5m2fnuz),
	F8E8M0: decodeBytes(&e8m0),
	Bool:   decodeU8, U8: decodeU8, U16: decodeU16, U32: decodeU32, U64: decodeU64,
	I8: decodeI8, I16: decodeI16, I32: decodeI32, I64: decodeI64,
	Q4_0: decodeQ4_0, Q4_1: decodeQ4_1, Q5_0: decodeQ5_0, Q5_1: decodeQ5_1, Q8_0: decodeQ8_0,
	Q2K: decodeQ2K, Q3K: decodeQ3K, Q4K: decodeQ4K, Q5K: decodeQ5K, Q6K: decodeQ6K, Q8K: decodeQ8K,
	IQ1S: decodeIQ1S, IQ1M: decodeIQ1M, IQ2XXS: decodeIQ2XXS, IQ2XS: decodeIQ2XS, IQ2S: decodeIQ2S,
	IQ3XXS: decodeIQ3XXS, IQ3S: decodeIQ3S, IQ4NL: decodeIQ4NL, IQ4XS: decodeIQ4XS,
	Q1_0: decodeQ1, Q2_0: decodeQ2, TQ1_0: decodeTQ1, TQ2_0: decodeTQ2, MXFP4: decodeMXFP4, NVFP4: decodeNVFP4,
}

// Decodable reports whether Decode knows the type.
func (t Type) Decodable() bool { return t < typeCount && decoders[t] != nil }

// Runnable reports whether a matrix of the type can be multiplied as it is: Decode knows it, and it is neither an integer type,
// whose elements mean nothing without scales stored elsewhere, nor the type of such scales.
func (t Type) Runnable() bool {
	switch t {
	case F64, F32, F16, BF16, F8E4M3, F8E5M2, F8E4M3FNUZ, F8E5M2FNUZ:
		return true
	}
	return t.Quantized() && t.Decodable()
}

// Decode turns src into float32, rounding types that hold more than 24 bits. len(dst) is the number of elements and src holds
// exactly their blocks. Block types give bit for bit what ggml's reference gives. It allocates nothing.
// It returns a *fault.Unsupported for a type that is not Decodable.
func Decode(t Type, dst []float32, src []byte) error {
	if !t.Decodable() {
		return fault.NewUnsupported("tensor type", "%s cannot be turned into float32 yet", t)
	}
	want, ok := t.Size(int64(len(dst)))
	if !ok || int64(len(src)) != want {
		return fmt.Errorf("decode %d elements of %s from %d bytes", len(dst), t, len(src))
	}
	decoders[t](dst, src)
	return nil
}

func decodeF64(dst []float32, src []byte) {
	for i := range dst[:min(len(dst), len(src)/8)] {
		dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:])))
	}
}

func decodeF32(dst []float32, src []byte) {
	for ; len(dst) >= 8 && len(src) >= 32; dst, src = dst[8:], src[32:] {
		d, b := (*[8]float32)(dst), (*[32]byte)(src)
		d[0] = math.Float32frombits(binary.LittleEndian.Uint32(b[:]))
		d[1] = math.Float32frombits(binary.LittleEndian.Uint32(b[4:]))
		d[2] = math.Float32frombits(binary.LittleEndian.Uint32(b[8:]))
		d[3] = math.Float32frombits(binary.LittleEndian.Uint32(b[12:]))
		d[4] = math.Float32frombits(binary.LittleEndian.Uint32(b[16:]))
		d[5] = math.Float32frombits(binary.LittleEndian.Uint32(b[20:]))
		d[6] = math.Float32frombits(binary.LittleEndian.Uint32(b[24:]))
		d[7] = math.Float32frombits(binary.LittleEndian.Uint32(b[28:]))
	}
	for i := range dst[:min(len(dst), len(src)/4)] {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
	}
}

func decodeF16(dst []float32, src []byte) {
	table := HalfTable()
	for ; len(dst) >= 8 && len(src) >= 16; dst, src = dst[8:], src[16:] {
		d, b := (*[8]float32)(dst), (*[16]byte)(src)
		d[0] = table[binary.LittleEndian.Uint16(b[:])]
		d[1] = table[binary.LittleEndian.Uint16(b[2:])]
		d[2] = table[binary.LittleEndian.Uint16(b[4:])]
		d[3] = table[binary.LittleEndian.Uint16(b[6:])]
		d[4] = table[binary.LittleEndian.Uint16(b[8:])]
		d[5] = table[binary.LittleEndian.Uint16(b[10:])]
		d[6] = table[binary.LittleEndian.Uint16(b[12:])]
		d[7] = table[binary.LittleEndian.Uint16(b[14:])]
	}
	for i := range dst[:min(len(dst), len(src)/2)] {
		dst[i] = table[binary.LittleEndian.Uint16(src[2*i:])]
	}
}

func decodeBF16(dst []float32, src []byte) {
	for ; len(dst) >= 8 && len(src) >= 16; dst, src = dst[8:], src[16:] {
		d, b := (*[8]float32)(dst), (*[16]byte)(src)
		d[0] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[:])) << 16)
		d[1] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[2:])) << 16)
		d[2] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[4:])) << 16)
		d[3] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[6:])) << 16)
		d[4] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[8:])) << 16)
		d[5] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[10:])) << 16)
		d[6] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[12:])) << 16)
		d[7] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[14:])) << 16)
	}
	for i := range dst[:min(len(dst), len(src)/2)] {
		dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16)
	}
}

func decodeU8(dst []float32, src []byte) {
	for i := range dst[:min(len(dst), len(src))] {
		dst[i] = float32(src[i])
	}
}

func decodeU16(dst []float32, src []byte) {
	for i := range dst[:min(len(dst), len(src)/2)] {
		dst[i] = float32(binary.LittleEndian.Uint16(src[2*i:]))
	}
}

func decodeU32(dst []float32, src []byte) {
	for i := range dst[:min(len(dst), len(src)/4)] {
		dst[i] = float32(binary.LittleEndian.Uint32(src[4*i:]))
	}
}

func decodeU64(dst []float32, src []byte) {
	for i := range dst[:min(len(dst), len(src)/8)] {
		dst[i] = float32(binary.LittleEndian.Uint64(src[8*i:]))
	}
}

func decodeI8(dst []float32, src []byte) {
	for i := range dst[:min(len(dst), len(src))] {
		dst[i] = float32(int8(src[i]))
	}
}

func decodeI16(dst []float32, src []byte) {
	for i := range dst[:min(len(dst), len(src)/2)] {
		dst[i] = float32(int16(binary.LittleEndian.Uint16(src[2*i:])))
	}
}

func decodeI32(dst []float32, src []byte) {
	for i := range dst[:min(len(dst), len(src)/4)] {
		dst[i] = float32(int32(binary.LittleEndian.Uint32(src[4*i:])))
	}
}

func decodeI64(dst []float32, src []byte) {
	for i := range dst[:min(len(dst), len(src)/8)] {
		dst[i] = float32(int64(binary.LittleEndian.Uint64(src[8*i:])))
	}
}
