package tokenizer

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"
)

// charsmap is SentencePiece's precompiled normalization: a double-array trie from texts to replacements.
type charsmap struct {
	units        []uint32
	replacements string // ended by zero bytes
}

const maxCharsmap = 1 << 22 // bytes

// newCharsmap reads a map: the size of the trie in bytes, the trie, the replacements; little-endian.
func newCharsmap(b []byte) (*charsmap, error) {
	if len(b) < 4 || len(b) > maxCharsmap {
		return nil, malformed("precompiled_charsmap", "%d bytes", len(b))
	}
	n := uint64(binary.LittleEndian.Uint32(b))
	if n%4 != 0 || n > uint64(len(b)-4) {
		return nil, malformed("precompiled_charsmap", "a trie of %d bytes in %d", n, len(b)-4)
	}
	m := &charsmap{units: make([]uint32, n/4), replacements: string(b[4+n:])}
	for i := range m.units {
		m.units[i] = binary.LittleEndian.Uint32(b[4+4*i:])
	}
	return m, nil
}

// The layout of a unit: bit 31 marks a value, bits 0 to 7 are the label, bit 8 says that a value hangs on the node, bit 9 that the
// offset in bits 10 to 30 counts in 256.
func unitOffset(u uint32) uint32 { return (u >> 10) << ((u & (1 << 9)) >> 6) }

// longest returns the replacement of the longest text that s begins with, and its length; n is 0 for none.
func (m *charsmap) longest(s string) (replacement string, n int) {
	if len(m.units) == 0 {
		return "", 0
	}
	at := unitOffset(m.units[0])
	for i := range min(len(s), maxReplacement) {
		c := uint32(s[i])
		at ^= c
		if c == 0 || uint64(at) >= uint64(len(m.units)) {
			break
		}
		u := m.units[at]
		if u&(1<<31|0xff) != c {
			break
		}
		at ^= unitOffset(u)
		if u&(1<<8) == 0 {
			continue
		}
		if uint64(at) >= uint64(len(m.units)) {
			break
		}
		value := m.units[at] &^ (1 << 31)
		if uint64(value) >= uint64(len(m.replacements)) {
			break
		}
		r := m.replacements[value:]
		if end := strings.IndexByte(r, 0); end >= 0 {
			r = r[:end]
		}
		replacement, n = r, i+1
	}
	return replacement, n
}

// maxReplacement bounds what is replaced and a replacement, in bytes; the longest in use have some thirty.
const maxReplacement = 1 << 8

// normalize replaces what the map has from left to right, the longest first; bytes that are no UTF-8 become U+FFFD.
func (m *charsmap) normalize(s string) string {
	var b strings.Builder
	for s != "" {
		r, n := m.longest(s)
		if n == 0 {
			c, size := utf8.DecodeRuneInString(s)
			b.WriteRune(c)
			s = s[size:]
			continue
		}
		b.WriteString(r[:min(len(r), maxReplacement)])
		s = s[n:]
	}
	return b.String()
}
