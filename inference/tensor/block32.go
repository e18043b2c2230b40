package tensor

import (
	"encoding/binary"
	"math"
)

// The decoders of ggml's block types take blocks off src and 32, 64, 128 or 256 elements off dst until one of them is used up.
// Every product is rounded to float32 before anything is added to it, as ggml's reference does: the conversions around products
// keep compilers from fusing them into the addition.

// counting returns the float32 values from first on.
func counting(first int) (t [64]float32) {
	for i := range t {
		t[i] = float32(first + i)
	}
	return t
}

var (
	unsigned = counting(0)
	signed2  = counting(-1)
	signed3  = counting(-4)
	signed4  = counting(-8)
	signed5  = counting(-16)
	signed6  = counting(-32)

	// nonLinear are the 16 levels of IQ4_NL and IQ4_XS.
	nonLinear = [64]float32{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}
	// float4 are twice the values of the OCP E2M1 format.
	float4 = [64]float32{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}
)

func half(b []byte) float32 { return HalfTable()[binary.LittleEndian.Uint16(b)] }

// nibbles decodes 16 bytes: their low halves are the first 16 elements, their high halves the others.
func nibbles(d *[32]float32, q *[16]byte, levels *[64]float32, scale float32) {
	for j, b := range q {
		d[j] = scale * levels[b&15]
		d[j+16] = scale * levels[b>>4]
	}
}

func decodeQ4_0(dst []float32, src []byte) {
	for ; len(dst) >= 32 && len(src) >= 18; dst, src = dst[32:], src[18:] {
		nibbles((*[32]float32)(dst), (*[16]byte)(src[2:]), &signed4, half(src))
	}
}

func decodeIQ4NL(dst []float32, src []byte) {
	for ; len(dst) >= 32 && len(src) >= 18; dst, src = dst[32:], src[18:] {
		nibbles((*[32]float32)(dst), (*[16]byte)(src[2:]), &nonLinear, half(src))
	}
}

// powerHalf returns half of 2^(e-127), the scale that an MXFP4 block's exponent byte stands for; half, because float4 is doubled.
func powerHalf(e byte) float32 {
	if e < 2 {
		return math.Float32frombits(0x00200000 << e)
	}
	return math.Float32frombits(uint32(e-1) << 23)
}

func decodeMXFP4(dst []float32, src []byte) {
	for ; len(dst) >= 32 && len(src) >= 17; dst, src = dst[32:], src[17:] {
		nibbles((*[32]float32)(dst), (*[16]byte)(src[1:]), &float4, powerHalf(src[0]))
	}
}

func decodeQ4_1(dst []float32, src []byte) {
	for ; len(dst) >= 32 && len(src) >= 20; dst, src = dst[32:], src[20:] {
		d, scale, least := (*[32]float32)(dst), half(src), half(src[2:])
		for j, b := range (*[16]byte)(src[4:]) {
			d[j] = float32(scale*unsigned[b&15]) + least
			d[j+16] = float32(scale*unsigned[b>>4]) + least
		}
	}
}

func decodeQ5_0(dst []float32, src []byte) {
	for ; len(dst) >= 32 && len(src) >= 22; dst, src = dst[32:], src[22:] {
		d, scale, high := (*[32]float32)(dst), half(src), binary.LittleEndian.Uint32(src[2:])
		for j, b := range (*[16]byte)(src[6:]) {
			d[j] = scale * signed5[b&15|byte(high>>j&1)<<4]
			d[j+16] = scale * signed5[b>>4|byte(high>>(j+16)&1)<<4]
		}
	}
}

func decodeQ5_1(dst []float32, src []byte) {
	for ; len(dst) >= 32 && len(src) >= 24; dst, src = dst[32:], src[24:] {
		d, scale, least, high := (*[32]float32)(dst), half(src), half(src[2:]), binary.LittleEndian.Uint32(src[4:])
		for j, b := range (*[16]byte)(src[8:]) {
			d[j] = float32(scale*unsigned[b&15|byte(high>>j&1)<<4]) + least
			d[j+16] = float32(scale*unsigned[b>>4|byte(high>>(j+16)&1)<<4]) + least
		}
	}
}

func decodeQ8_0(dst []float32, src []byte) {
	for ; len(dst) >= 32 && len(src) >= 34; dst, src = dst[32:], src[34:] {
		d, scale := (*[32]float32)(dst), half(src)
		for j, b := range (*[32]byte)(src[2:]) {
			d[j] = scale * float32(int8(b))
		}
	}
}

// nvScale returns half of an NVFP4 scale: an E4M3 number whose sign bit is ignored. ggml takes 0x7f, but not 0xff, for zero.
func nvScale(b byte) float32 {
	switch b {
	case 0x7f:
		return 0
	case 0xff:
		return 240
	}
	return e4m3[b&0x7f] / 2
}

func decodeNVFP4(dst []float32, src []byte) {
	for ; len(dst) >= 64 && len(src) >= 36; dst, src = dst[64:], src[36:] {
		for sub := range 4 {
			d, scale := (*[16]float32)(dst[sub*16:]), nvScale(src[sub])
			for j, b := range (*[8]byte)(src[4+sub*8:]) {
				d[j] = scale * float4[b&15]
				d[j+8] = scale * float4[b>>4]
			}
		}
	}
}
