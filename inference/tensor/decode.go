package tensor

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync"

	"github.com/carat-hub/carat/inference/fault"
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

// Runnable reports whether Decode knows the type.
func (t Type) Runnable() bool {
	switch t {
	case F32, F16, BF16, Q8_0:
		return true
	}
	return false
}

// Decode turns src into float32. len(dst) is the number of elements and src holds exactly their blocks.
// It returns a *fault.Unsupported for a type that is not Runnable.
func Decode(t Type, dst []float32, src []byte) error {
	if !t.Runnable() {
		return fault.NewUnsupported("tensor type", "%s cannot be turned into float32 yet", t)
	}
	want, ok := t.Size(int64(len(dst)))
	if !ok || int64(len(src)) != want {
		return fmt.Errorf("decode %d elements of %s from %d bytes", len(dst), t, len(src))
	}
	switch t {
	case F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
	case F16:
		table := HalfTable()
		for i := range dst {
			dst[i] = table[binary.LittleEndian.Uint16(src[2*i:])]
		}
	case BF16:
		for i := range dst {
			dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16)
		}
	case Q8_0:
		table := HalfTable()
		for len(dst) >= 32 && len(src) >= 34 {
			scale := table[binary.LittleEndian.Uint16(src)]
			q, d := src[2:34], dst[:32]
			for i := range d {
				d[i] = scale * float32(int8(q[i]))
			}
			dst, src = dst[32:], src[34:]
		}
	}
	return nil
}

// QuantizeQ8 writes x as Q8_0 blocks. len(x) is a multiple of 32 and len(dst) is 34/32 of it.
func QuantizeQ8(dst []byte, x []float32) error {
	if len(x)%32 != 0 || len(dst) != len(x)/32*34 {
		return fmt.Errorf("quantize %d elements to %d bytes of Q8_0", len(x), len(dst))
	}
	for ; len(x) > 0; x, dst = x[32:], dst[34:] {
		var largest float32
		for _, v := range x[:32] {
			largest = max(largest, float32(math.Abs(float64(v))))
		}
		scale := largest / 127
		inverse := float32(0)
		if scale > 0 {
			inverse = 1 / scale
		}
		binary.LittleEndian.PutUint16(dst, HalfFromFloat(scale))
		for i, v := range x[:32] {
			dst[2+i] = byte(int8(math.Round(float64(v * inverse))))
		}
	}
	return nil
}
