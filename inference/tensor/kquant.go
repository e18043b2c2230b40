package tensor

import (
	"encoding/binary"
	"math"
)

// The K types divide 256 elements into sub-blocks of 16 or 32 whose scales, and minima where a type has them, are themselves
// low-bit multiples of the block's.

// affine returns scale*i - least for i below 16.
func affine(scale, least float32) (t [16]float32) {
	for i := range t {
		t[i] = float32(scale*unsigned[i]) - least
	}
	return t
}

func decodeQ2K(dst []float32, src []byte) {
	for ; len(dst) >= 256 && len(src) >= 84; dst, src = dst[256:], src[84:] {
		scales, scale, least := (*[16]byte)(src), half(src[80:]), half(src[82:])
		for sub, s := range scales {
			// Half n of the block keeps its 128 elements in 32 bytes, 2 bits of each byte for every 32 elements.
			n, shift := sub>>3, sub>>1&3*2
			d := (*[16]float32)(dst[sub*16:])
			step, low := scale*unsigned[s&15], least*unsigned[s>>4]
			var levels [4]float32
			for i := range levels {
				levels[i] = float32(step*unsigned[i]) - low
			}
			for j, b := range (*[16]byte)(src[16+n*32+sub&1*16:]) {
				d[j] = levels[b>>shift&3]
			}
		}
	}
}

// scalesQ3K unpacks 16 scales of 6 bits: 8 bytes hold their low halves and 4 bytes the upper two bits.
func scalesQ3K(b *[12]byte) (s [16]int8) {
	for i := range s {
		low := b[i&7] >> (i >> 3 * 4) & 15
		s[i] = int8(low|b[8+i&3]>>(i>>2*2)&3<<4) - 32
	}
	return s
}

func decodeQ3K(dst []float32, src []byte) {
	for ; len(dst) >= 256 && len(src) >= 110; dst, src = dst[256:], src[110:] {
		scales, scale := scalesQ3K((*[12]byte)(src[96:])), half(src[108:])
		for sub, s := range scales {
			n, shift := sub>>3, sub>>1&3*2
			d, high := (*[16]float32)(dst[sub*16:]), (*[16]byte)(src[sub&1*16:])
			step := scale * float32(s)
			for j, b := range (*[16]byte)(src[32+n*32+sub&1*16:]) {
				d[j] = step * signed3[b>>shift&3|high[j]>>(sub>>1)&1<<2]
			}
		}
	}
}

// scaleMin returns the 6-bit scale and minimum of sub-block i of a Q4_K or Q5_K block. The first four pairs have bytes of their own, the
// others lie in four bytes and the upper bits of the first.
func scaleMin(b *[12]byte, i int) (scale, least byte) {
	if i < 4 {
		return b[i] & 63, b[i+4] & 63
	}
	return b[i+4]&15 | b[i-4]>>6<<4, b[i+4]>>4 | b[i]>>6<<4
}

func decodeQ4K(dst []float32, src []byte) {
	for ; len(dst) >= 256 && len(src) >= 144; dst, src = dst[256:], src[144:] {
		scale, least, packed := half(src), half(src[2:]), (*[12]byte)(src[4:])
		for pair := range 4 {
			d := (*[64]float32)(dst[pair*64:])
			s0, m0 := scaleMin(packed, 2*pair)
			s1, m1 := scaleMin(packed, 2*pair+1)
			low := affine(scale*unsigned[s0&63], least*unsigned[m0&63])
			high := affine(scale*unsigned[s1&63], least*unsigned[m1&63])
			for j, b := range (*[32]byte)(src[16+pair*32:]) {
				d[j] = low[b&15]
				d[j+32] = high[b>>4]
			}
		}
	}
}

func decodeQ5K(dst []float32, src []byte) {
	for ; len(dst) >= 256 && len(src) >= 176; dst, src = dst[256:], src[176:] {
		scale, least, packed, fifth := half(src), half(src[2:]), (*[12]byte)(src[4:]), (*[32]byte)(src[16:])
		for pair := range 4 {
			d := (*[64]float32)(dst[pair*64:])
			s0, m0 := scaleMin(packed, 2*pair)
			s1, m1 := scaleMin(packed, 2*pair+1)
			step0, low0 := scale*unsigned[s0&63], least*unsigned[m0&63]
			step1, low1 := scale*unsigned[s1&63], least*unsigned[m1&63]
			for j, b := range (*[32]byte)(src[48+pair*32:]) {
				h := fifth[j] >> (2 * pair)
				d[j] = float32(step0*unsigned[b&15|h&1<<4]) - low0
				d[j+32] = float32(step1*unsigned[b>>4|h>>1&1<<4]) - low1
			}
		}
	}
}

func decodeQ6K(dst []float32, src []byte) {
	for ; len(dst) >= 256 && len(src) >= 210; dst, src = dst[256:], src[210:] {
		scale := half(src[208:])
		for n := range 2 {
			d, low := (*[128]float32)(dst[n*128:]), (*[64]byte)(src[n*64:])
			high, scales := (*[32]byte)(src[128+n*32:]), (*[8]byte)(src[192+n*8:])
			var step [8]float32
			for i, s := range scales {
				step[i] = scale * float32(int8(s))
			}
			for j, h := range high {
				s := j >> 4
				d[j] = step[s] * signed6[low[j]&15|h&3<<4]
				d[j+32] = step[s+2] * signed6[low[j+32]&15|h>>2&3<<4]
				d[j+64] = step[s+4] * signed6[low[j]>>4|h>>4&3<<4]
				d[j+96] = step[s+6] * signed6[low[j+32]>>4|h>>6<<4]
			}
		}
	}
}

// decodeQ8K leaves out the 16 sums that follow the elements; they only serve products.
func decodeQ8K(dst []float32, src []byte) {
	for ; len(dst) >= 256 && len(src) >= 292; dst, src = dst[256:], src[292:] {
		d, scale := (*[256]float32)(dst), math.Float32frombits(binary.LittleEndian.Uint32(src))
		for j, b := range (*[256]byte)(src[4:]) {
			d[j] = scale * float32(int8(b))
		}
	}
}

func decodeIQ4XS(dst []float32, src []byte) {
	for ; len(dst) >= 256 && len(src) >= 136; dst, src = dst[256:], src[136:] {
		scale, high := half(src), binary.LittleEndian.Uint16(src[2:])
		for sub := range 8 {
			s := src[4+sub>>1]>>(sub&1*4)&15 | byte(high>>(2*sub)&3)<<4
			step := scale * signed6[s&63]
			nibbles((*[32]float32)(dst[sub*32:]), (*[16]byte)(src[8+sub*16:]), &nonLinear, step)
		}
	}
}
