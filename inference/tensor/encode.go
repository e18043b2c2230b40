package tensor

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/carat-hub/carat/inference/fault"
)

// encoders write whole blocks of x to dst and report whether the scales of all blocks fitted half precision. x is finite.
var encoders = [typeCount]func(dst []byte, x []float32) bool{
	Q4_0: encodeQ4_0, Q8_0: encodeQ8_0, Q4K: encodeQ4K, Q6K: encodeQ6K,
}

// Encodable reports whether Encode knows the type.
func (t Type) Encodable() bool {
	switch t {
	case F32, F16, BF16:
		return true
	}
	return t < typeCount && encoders[t] != nil
}

// Encode writes x as elements of type t, the reverse of Decode. len(x) is a multiple of the block and dst has the size of the
// result. F16 and BF16 are rounded to nearest, ties to even; block types get the scales that were found to leave the least
// squared error. The result depends on nothing but t and x.
// It returns a *fault.Unsupported for a type that is not Encodable, and an error for values that a block type cannot hold: those
// that are not finite, or so large that a scale exceeds half precision.
func Encode(t Type, dst []byte, x []float32) error {
	if !t.Encodable() {
		return fault.NewUnsupported("tensor type", "nothing is quantized to %s yet", t)
	}
	want, ok := t.Size(int64(len(x)))
	if !ok || int64(len(dst)) != want {
		return fmt.Errorf("encode %d elements of %s to %d bytes", len(x), t, len(dst))
	}
	switch t {
	case F32:
		for i, v := range x {
			binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(v))
		}
		return nil
	case F16:
		for i, v := range x {
			binary.LittleEndian.PutUint16(dst[2*i:], HalfFromFloat(v))
		}
		return nil
	case BF16:
		for i, v := range x {
			binary.LittleEndian.PutUint16(dst[2*i:], brainFromFloat(v))
		}
		return nil
	}
	for i, v := range x {
		if v-v != 0 {
			return fmt.Errorf("encode %s: element %d is %v", t, i, v)
		}
	}
	if !encoders[t](dst, x) {
		return fmt.Errorf("encode %s: values are too large for scales of half precision", t)
	}
	return nil
}

// brainFromFloat rounds f to the upper half of its bits, to nearest, ties to even; NaN stays NaN.
func brainFromFloat(f float32) uint16 {
	b := math.Float32bits(f)
	if f != f {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// QuantizeQ8 writes x as Q8_0 blocks. len(x) is a multiple of 32 and len(dst) is 34/32 of it.
func QuantizeQ8(dst []byte, x []float32) error {
	if len(x)%32 != 0 || len(dst) != len(x)/32*34 {
		return fmt.Errorf("quantize %d elements to %d bytes of Q8_0", len(x), len(dst))
	}
	encodeQ8_0(dst, x)
	return nil
}

func encodeQ8_0(dst []byte, x []float32) bool {
	ok := true
	for ; len(x) >= 32 && len(dst) >= 34; x, dst = x[32:], dst[34:] {
		var largest float32
		for _, v := range x[:32] {
			largest = max(largest, float32(math.Abs(float64(v))))
		}
		scale := largest / 127
		inverse := float32(0)
		if scale > 0 {
			inverse = 1 / scale
		}
		putHalf(dst, scale, &ok)
		for i, v := range x[:32] {
			dst[2+i] = byte(int8(math.Round(float64(v * inverse))))
		}
	}
	return ok
}

// putHalf writes f as half precision and returns what it then is. It clears ok when f does not fit.
func putHalf(dst []byte, f float32, ok *bool) float32 {
	h := HalfFromFloat(f)
	if h&0x7c00 == 0x7c00 {
		*ok = false
	}
	binary.LittleEndian.PutUint16(dst, h)
	return HalfTable()[h]
}

// nearest returns the integer next to v, which is limited to lo and hi. Adding 1.5*2^23 moves the integer into the lowest bits.
func nearest(v, lo, hi float32) float32 {
	if v < lo {
		return lo
	}
	if v > hi {
		return hi
	}
	const shift = 3 << 22
	return float32(v+shift) - shift
}

// fitScale returns the scale for which x, up to 32 elements, is nearest to scale*q, with integers q from -n to n-1, among the best scales for the q that
// a few divisors give. It is negative when that lets the largest element become -n.
func fitScale(x []float32, n float32) float32 {
	var largest float32
	for _, v := range x {
		if float32(math.Abs(float64(v))) > float32(math.Abs(float64(largest))) {
			largest = v
		}
	}
	if largest == 0 {
		return 0
	}
	// In units of the largest element, sums cannot overflow.
	var units [32]float32
	for i, v := range x {
		units[i] = v / largest
	}
	var best, scale float32
	for _, ends := range [2]float32{-n, n - 1} {
		for step := -6; step <= 6; step++ {
			target := ends + 0.15*float32(step) // for the largest element
			var xq, qq float32
			for _, v := range units[:len(x)] {
				q := nearest(v*target, -n, n-1)
				xq += float32(v * q)
				qq += float32(q * q)
			}
			if qq > 0 && xq*xq > best*qq {
				best, scale = xq*xq/qq, largest*(xq/qq)
			}
		}
	}
	return scale
}

func encodeQ4_0(dst []byte, x []float32) bool {
	ok := true
	for ; len(x) >= 32 && len(dst) >= 18; x, dst = x[32:], dst[18:] {
		scale := putHalf(dst, fitScale(x[:32], 8), &ok)
		for j := range 16 {
			dst[2+j] = byte(level(x[j], scale, -8, 7)+8) | byte(level(x[j+16], scale, -8, 7)+8)<<4
		}
	}
	return ok
}

// level returns the integer from lo to hi whose product with scale is nearest to v.
func level(v, scale, lo, hi float32) int {
	if scale == 0 {
		return 0
	}
	return int(nearest(v/scale, lo, hi))
}

// squaredError returns how far the products of scale and the best integers from lo to hi, minus least, are from x.
func squaredError(x []float32, scale, least, lo, hi float32) (sum float32) {
	inverse := float32(0)
	if scale != 0 {
		inverse = 1 / scale
	}
	for _, v := range x {
		q := nearest((v+least)*inverse, lo, hi)
		d := v - (float32(scale*q) - least)
		sum += float32(d * d)
	}
	return sum
}
