package tensor

import (
	"encoding/binary"
	"fmt"
	"math"
)

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
