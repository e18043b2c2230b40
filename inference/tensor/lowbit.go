package tensor

// ternaryPowers multiply a byte so that its upper bits become the n-th of its base-3 digits; the byte is a fraction of 256.
var ternaryPowers = [5]byte{1, 3, 9, 27, 81}

func ternaryDigit(b byte, n int) byte { return byte(uint16(b*ternaryPowers[n]) * 3 >> 8) }

// decodeTQ1 decodes five ternary digits of each of 48 bytes, and four of each of the last 4.
func decodeTQ1(dst []float32, src []byte) {
	for ; len(dst) >= 256 && len(src) >= 54; dst, src = dst[256:], src[54:] {
		d, scale := dst[:256], half(src[52:])
		for _, part := range []struct{ from, to, digits int }{{0, 32, 5}, {32, 48, 5}, {48, 52, 4}} {
			for n := range part.digits {
				for j, b := range src[part.from:part.to] {
					d[j] = scale * signed2[ternaryDigit(b, n)]
				}
				d = d[part.to-part.from:]
			}
		}
	}
}

// decodeTQ2 decodes ternary digits of 2 bits; the unused fourth value is 2.
func decodeTQ2(dst []float32, src []byte) {
	for ; len(dst) >= 256 && len(src) >= 66; dst, src = dst[256:], src[66:] {
		scale := half(src[64:])
		for part := range 8 {
			d, shift := (*[32]float32)(dst[part*32:]), part&3*2
			for j, b := range (*[32]byte)(src[part>>2*32:]) {
				d[j] = scale * signed2[b>>shift&3]
			}
		}
	}
}

// decodeQ1 decodes signs: a set bit is the scale, the lowest bit of a byte comes first.
func decodeQ1(dst []float32, src []byte) {
	for ; len(dst) >= 128 && len(src) >= 18; dst, src = dst[128:], src[18:] {
		scale := half(src)
		levels := [2]float32{-scale, scale}
		for i, b := range (*[16]byte)(src[2:]) {
			d := (*[8]float32)(dst[i*8:])
			for j := range d {
				d[j] = levels[b>>j&1]
			}
		}
	}
}

// decodeQ2 decodes 2 bits each, the lowest of a byte first, as -1 to 2.
func decodeQ2(dst []float32, src []byte) {
	for ; len(dst) >= 64 && len(src) >= 18; dst, src = dst[64:], src[18:] {
		scale := half(src)
		for i, b := range (*[16]byte)(src[2:]) {
			d := (*[4]float32)(dst[i*4:])
			for j := range d {
				d[j] = scale * signed2[b>>(2*j)&3]
			}
		}
	}
}
