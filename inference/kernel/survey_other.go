//go:build !amd64 || purego

package kernel

import (
	"encoding/binary"

	"github.com/carat-hub/carat/inference/tensor"
)

func surveyRows(tensor.Type, []byte, int, []RowSums) (known, exact bool) { return false, false }

func surveyValues([]float32) (RowSums, bool) { return RowSums{}, false }

func readBytes(p []byte) byte {
	var a, b, c, d uint64
	for ; len(p) >= 32; p = p[32:] {
		a ^= binary.LittleEndian.Uint64(p)
		b ^= binary.LittleEndian.Uint64(p[8:])
		c ^= binary.LittleEndian.Uint64(p[16:])
		d ^= binary.LittleEndian.Uint64(p[24:])
	}
	return byte(a ^ b ^ c ^ d)
}
