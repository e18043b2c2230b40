package tensor

import "math"

// fitAffine returns scale and least, neither negative, for which x is near scale*q - least with integers q from 0 to 15.
func fitAffine(x *[32]float32) (scale, least float32) {
	var lo, hi float32
	for _, v := range x {
		lo, hi = min(lo, v), max(hi, v)
	}
	width := hi - lo
	if width == 0 {
		return 0, 0
	}
	scale, least = width/15, -lo
	best := squaredError(x[:], scale, least, 0, 15)
	for step := range 9 {
		inverse, low := (14+0.375*float32(step))/width, lo
		// The best line through the integers of one division gives a better division.
		for range 2 {
			s, l := fitLine(x, inverse, low)
			if s <= 0 {
				break
			}
			if e := squaredError(x[:], s, l, 0, 15); e < best {
				best, scale, least = e, s, l
			}
			inverse, low = 1/s, -l
		}
	}
	return scale, least
}

// fitLine divides x, less low, into integers from 0 to 15 and returns the line through them that leaves the least squared error
// of those with a least that is not negative.
func fitLine(x *[32]float32, inverse, low float32) (scale, least float32) {
	var q1, q2, x1, xq float32
	for _, v := range x {
		q := nearest((v-low)*inverse, 0, 15)
		q1 += q
		q2 += float32(q * q)
		x1 += v
		xq += float32(v * q)
	}
	if d := 32*q2 - float32(q1*q1); d > 0 {
		if least = (float32(q1*xq) - float32(q2*x1)) / d; least >= 0 {
			return (32*xq - float32(x1*q1)) / d, least
		}
	}
	if q2 == 0 {
		return 0, 0
	}
	return xq / q2, 0
}

func encodeQ4K(dst []byte, x []float32) bool {
	ok := true
	for ; len(x) >= 256 && len(dst) >= 144; x, dst = x[256:], dst[144:] {
		var scales, mins [8]float32
		var maxScale, maxMin float32
		for i := range scales {
			scales[i], mins[i] = fitAffine((*[32]float32)(x[i*32:]))
			maxScale, maxMin = max(maxScale, scales[i]), max(maxMin, mins[i])
		}
		step := putHalf(dst, maxScale/63, &ok)
		stepMin := putHalf(dst[2:], maxMin/63, &ok)
		clear(dst[4:16])
		for i := range scales {
			sub := (*[32]float32)(x[i*32:])
			s, m := nearScaleMin(sub, step, stepMin, scales[i], mins[i])
			putScaleMin((*[12]byte)(dst[4:]), i, byte(s), byte(m))
			scale, least := step*s, stepMin*m
			shift := i & 1 * 4
			q := (*[32]byte)(dst[16+i>>1*32:])
			for j, v := range sub {
				if shift == 0 {
					q[j] = 0
				}
				q[j] |= byte(level(v+least, scale, 0, 15)) << shift
			}
		}
	}
	return ok
}

// nearScaleMin returns the 6-bit multiples of the block's two steps that leave the least error of those around the wanted values.
func nearScaleMin(x *[32]float32, step, stepMin, scale, least float32) (s, m float32) {
	s0, m0 := multiple(scale, step), multiple(least, stepMin)
	best := float32(math.Inf(1))
	for _, ds := range [3]float32{0, -1, 1} {
		for _, dm := range [3]float32{0, -1, 1} {
			ts, tm := s0+ds, m0+dm
			if ts < 0 || ts > 63 || tm < 0 || tm > 63 {
				continue
			}
			if e := squaredError(x[:], step*ts, stepMin*tm, 0, 15); e < best {
				best, s, m = e, ts, tm
			}
		}
	}
	return s, m
}

func multiple(v, step float32) float32 {
	if step == 0 {
		return 0
	}
	return nearest(v/step, 0, 63)
}

// putScaleMin is the reverse of scaleMin; b starts as zeros and i goes up from 0.
func putScaleMin(b *[12]byte, i int, scale, least byte) {
	if i < 4 {
		b[i], b[i+4] = scale, least
		return
	}
	b[i+4] = scale&15 | least<<4
	b[i-4] |= scale >> 4 << 6
	b[i] |= least >> 4 << 6
}

func encodeQ6K(dst []byte, x []float32) bool {
	ok := true
	for ; len(x) >= 256 && len(dst) >= 210; x, dst = x[256:], dst[210:] {
		var scales [16]float32
		var largest float32
		for i := range scales {
			scales[i] = fitScale(x[i*16:i*16+16], 32)
			if math.Abs(float64(scales[i])) > math.Abs(float64(largest)) {
				largest = scales[i]
			}
		}
		step := putHalf(dst[208:], largest/-128, &ok)
		clear(dst[:208])
		for i := range scales {
			sub := x[i*16 : i*16+16]
			s := nearScale(sub, step, scales[i])
			dst[192+i] = byte(int8(s))
			n, lane := i>>3, i&7
			for j, v := range sub {
				q := byte(level(v, step*s, -32, 31) + 32)
				at := lane&1*16 + j
				dst[n*64+lane>>1&1*32+at] |= q & 15 << (lane >> 2 * 4)
				dst[128+n*32+at] |= q >> 4 << (lane >> 1 * 2)
			}
		}
	}
	return ok
}

// nearScale returns the 8-bit multiple of step that leaves the least error of those around the wanted scale.
func nearScale(x []float32, step, scale float32) (s float32) {
	if step == 0 {
		return 0
	}
	s0 := nearest(scale/step, -128, 127)
	best := float32(math.Inf(1))
	for _, d := range [3]float32{0, -1, 1} {
		t := max(-128, min(127, s0+d))
		if e := squaredError(x, step*t, 0, -32, 31); e < best {
			best, s = e, t
		}
	}
	return s
}
