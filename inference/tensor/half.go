package tensor

import (
	"math"
	"sync"
)

// HalfTable returns the float32 value of each of the 65,536 half-precision bit patterns.
var HalfTable = sync.OnceValue(func() *[1 << 16]float32 {
	t := new([1 << 16]float32)
	for i := range t {
		t[i] = halfToFloat(uint16(i))
	}
	return t
})

// halfToFloat converts IEEE 754 binary16 exactly, subnormals, infinities and NaN included.
func halfToFloat(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	if h&0x7c00 == 0x7c00 {
		return math.Float32frombits(sign | 0x7f800000 | uint32(h&0x3ff)<<13)
	}
	// Moving exponent and mantissa into place leaves the exponent 112 too small; a multiplication repairs it exactly and
	// handles subnormals at the same time.
	magnitude := math.Float32frombits(uint32(h&0x7fff)<<13) * 0x1p112
	return math.Float32frombits(math.Float32bits(magnitude) | sign)
}

// HalfFromFloat rounds f to IEEE 754 binary16, to nearest, ties to even.
func HalfFromFloat(f float32) uint16 {
	b := math.Float32bits(f)
	sign := uint16(b >> 16 & 0x8000)
	b &= 0x7fffffff
	switch {
	case b > 0x7f800000:
		return sign | 0x7e00
	case b >= 0x477ff000: // rounds to 65536 or is larger
		return sign | 0x7c00
	case b < 0x38800000: // below 2^-14: adding 2^-1 aligns the mantissa to steps of 2^-24
		aligned := math.Float32frombits(b) + 0.5
		return sign | uint16(math.Float32bits(aligned)-math.Float32bits(0.5))
	}
	b += 0xfff + b>>13&1
	return sign | uint16((b-(112<<23))>>13)
}
