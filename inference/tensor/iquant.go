package tensor

import (
	"encoding/binary"
	"math"
)

// The IQ types below 4 bits store, for groups of 4 or 8 elements, the number of a point in a grid and the signs of its coordinates.

// signed8 writes 8 products of step and the grid's coordinates; a set bit of signs negates one.
func signed8(d *[8]float32, grid *[8]int8, signs byte, step float32) {
	for j, g := range grid {
		d[j] = math.Float32frombits(math.Float32bits(step*float32(g)) ^ uint32(signs>>j&1)<<31)
	}
}

func signed4x2(d *[8]float32, first, second *[4]int8, signs byte, step float32) {
	both := [8]int8{first[0], first[1], first[2], first[3], second[0], second[1], second[2], second[3]}
	signed8(d, &both, signs, step)
}

// evenSigns completes 7 signs by an eighth so that an even number of them is negative.
func evenSigns(seven byte) byte {
	parity := seven ^ seven>>4
	parity ^= parity >> 2
	parity ^= parity >> 1
	return seven | parity<<7
}

func decodeIQ2XXS(dst []float32, src []byte) {
	grid := gridIQ2XXS()
	for ; len(dst) >= 256 && len(src) >= 66; dst, src = dst[256:], src[66:] {
		scale := half(src)
		for sub := range 8 {
			q := (*[8]byte)(src[2+sub*8:])
			signs := binary.LittleEndian.Uint32(q[4:])
			step := scale * (0.5 + float32(signs>>28)) * 0.25
			for l := range 4 {
				signed8((*[8]float32)(dst[sub*32+l*8:]), &grid[q[l]], evenSigns(byte(signs>>(7*l)&127)), step)
			}
		}
	}
}

// halves returns the steps of the two halves of a sub-block whose scales are the halves of a byte.
func halves(scale float32, s byte) [2]float32 {
	return [2]float32{scale * (0.5 + unsigned[s&15]) * 0.25, scale * (0.5 + unsigned[s>>4]) * 0.25}
}

func decodeIQ2XS(dst []float32, src []byte) {
	grid := gridIQ2XS()
	for ; len(dst) >= 256 && len(src) >= 74; dst, src = dst[256:], src[74:] {
		scale := half(src)
		for sub := range 8 {
			step := halves(scale, src[66+sub])
			for l := range 4 {
				q := binary.LittleEndian.Uint16(src[2+sub*8+l*2:])
				signed8((*[8]float32)(dst[sub*32+l*8:]), &grid[q&511], evenSigns(byte(q>>9)), step[l>>1])
			}
		}
	}
}

func decodeIQ2S(dst []float32, src []byte) {
	grid := gridIQ2S()
	for ; len(dst) >= 256 && len(src) >= 82; dst, src = dst[256:], src[82:] {
		scale := half(src)
		for sub := range 8 {
			step, high := halves(scale, src[74+sub]), int(src[66+sub])
			q, signs := (*[4]byte)(src[2+sub*4:]), (*[4]byte)(src[34+sub*4:])
			for l := range 4 {
				point := &grid[int(q[l])|high>>(2*l)&3<<8]
				signed8((*[8]float32)(dst[sub*32+l*8:]), point, signs[l], step[l>>1])
			}
		}
	}
}

func decodeIQ3XXS(dst []float32, src []byte) {
	grid := gridIQ3XXS()
	for ; len(dst) >= 256 && len(src) >= 98; dst, src = dst[256:], src[98:] {
		scale := half(src)
		for sub := range 8 {
			q, signs := (*[8]byte)(src[2+sub*8:]), binary.LittleEndian.Uint32(src[66+sub*4:])
			step := scale * (0.5 + float32(signs>>28)) * 0.5
			for l := range 4 {
				d := (*[8]float32)(dst[sub*32+l*8:])
				signed4x2(d, &grid[q[2*l]], &grid[q[2*l+1]], evenSigns(byte(signs>>(7*l)&127)), step)
			}
		}
	}
}

func decodeIQ3S(dst []float32, src []byte) {
	grid := gridIQ3S()
	for ; len(dst) >= 256 && len(src) >= 110; dst, src = dst[256:], src[110:] {
		scale := half(src)
		for sub := range 8 {
			q, high, signs := (*[8]byte)(src[2+sub*8:]), int(src[66+sub]), (*[4]byte)(src[74+sub*4:])
			step := scale * float32(1+2*(src[106+sub>>1]>>(sub&1*4)&15))
			for l := range 4 {
				first, second := &grid[int(q[2*l])|high>>(2*l)&1<<8], &grid[int(q[2*l+1])|high>>(2*l+1)&1<<8]
				signed4x2((*[8]float32)(dst[sub*32+l*8:]), first, second, signs[l], step)
			}
		}
	}
}

// shifted8 writes step times the grid's coordinates, which are moved up or down by an eighth.
func shifted8(d *[8]float32, grid *[8]int8, down bool, step float32) {
	delta := float32(0.125)
	if down {
		delta = -delta
	}
	for j, g := range grid {
		d[j] = step * (float32(g) + delta)
	}
}

func decodeIQ1S(dst []float32, src []byte) {
	grid := gridIQ1()
	for ; len(dst) >= 256 && len(src) >= 50; dst, src = dst[256:], src[50:] {
		scale := half(src)
		for sub := range 8 {
			q, high := (*[4]byte)(src[2+sub*4:]), binary.LittleEndian.Uint16(src[34+sub*2:])
			step := scale * float32(2*(high>>12&7)+1)
			for l := range 4 {
				point := &grid[uint16(q[l])|high>>(3*l)&7<<8]
				shifted8((*[8]float32)(dst[sub*32+l*8:]), point, high&0x8000 != 0, step)
			}
		}
	}
}

// decodeIQ1M finds the block's scale in the upper halves of the four words whose lower parts scale the sub-blocks.
func decodeIQ1M(dst []float32, src []byte) {
	grid, table := gridIQ1(), HalfTable()
	for ; len(dst) >= 256 && len(src) >= 56; dst, src = dst[256:], src[56:] {
		var words [4]uint16
		var bits uint16
		for i := range words {
			words[i] = binary.LittleEndian.Uint16(src[48+2*i:])
			bits |= words[i] >> 12 << (4 * i)
		}
		scale := table[bits]
		for sub := range 8 {
			q, high := (*[4]byte)(src[sub*4:]), (*[2]byte)(src[32+sub*2:])
			scales := words[sub>>1] >> (sub & 1 * 6)
			step := [2]float32{scale * float32(2*(scales&7)+1), scale * float32(2*(scales>>3&7)+1)}
			for l := range 4 {
				h := high[l>>1] >> (l & 1 * 4)
				point := &grid[int(q[l])|int(h&7)<<8]
				shifted8((*[8]float32)(dst[sub*32+l*8:]), point, h&8 != 0, step[l>>1])
			}
		}
	}
}
