package main

import "testing"

// TestDotBytes compares with what GNU's disassembler takes for the instruction.
func TestDotBytes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		x, v, sums byte
		want       [5]byte
	}{
		{6, 4, 5, [5]byte{0xc4, 0xe2, 0x5d, 0x50, 0xee}},
		{8, 6, 7, [5]byte{0xc4, 0xc2, 0x4d, 0x50, 0xf8}},
		{1, 12, 9, [5]byte{0xc4, 0x62, 0x1d, 0x50, 0xc9}},
		{10, 9, 11, [5]byte{0xc4, 0x42, 0x35, 0x50, 0xda}},
	} {
		if got := dotBytes(tt.x, tt.v, tt.sums); got != tt.want {
			t.Errorf("VPDPBUSD Y%d, Y%d, Y%d is %x, want %x", tt.x, tt.v, tt.sums, got, tt.want)
		}
	}
}
