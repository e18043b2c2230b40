package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// The byte-level alphabet of GPT-2 gives every byte a printable character:
// those of Latin-1 that print stand for themselves, the others, in order,
// for U+0100 and on.
var (
	byteToRune [256]rune
	runeToByte = map[rune]byte{}
)

func init() {
	next := rune(0x100)
	for b := range 256 {
		r := rune(b)
		if b < '!' || b > '~' && b < 0xa1 || b == 0xad {
			r = next
			next++
		}
		byteToRune[b] = r
		runeToByte[r] = byte(b)
	}
}

// toByteAlphabet writes the bytes of s in the byte-level alphabet.
func toByteAlphabet(s string) string {
	var b strings.Builder
	b.Grow(len(s) + len(s)/4)
	for i := range len(s) {
		b.WriteRune(byteToRune[s[i]])
	}
	return b.String()
}

// decoder turns tokens back into text.
type decoder struct {
	bytes      bool // tokens are in the byte-level alphabet
	fallback   bool // <0x00> to <0xFF> are bytes
	spaces     bool // U+2581 is a space
	stripFirst bool // the text begins with a space that was put there
}

// token appends the bytes of one token.
func (d decoder) token(out []byte, token string) []byte {
	if d.bytes {
		for _, r := range token {
			if b, ok := runeToByte[r]; ok {
				out = append(out, b)
			} else {
				out = utf8.AppendRune(out, r)
			}
		}
		return out
	}
	if d.fallback {
		if b, ok := parseByteToken(token); ok {
			return append(out, b)
		}
	}
	if d.spaces {
		token = strings.ReplaceAll(token, "\u2581", " ")
	}
	return append(out, token...)
}

// finish does what concerns the text as a whole.
func (d decoder) finish(out []byte) []byte {
	if d.stripFirst && len(out) > 0 && out[0] == ' ' {
		return out[1:]
	}
	return out
}

// parseByteToken reads a token of the form <0xAB>.
func parseByteToken(s string) (byte, bool) {
	if len(s) != 6 || s[:3] != "<0x" || s[5] != '>' {
		return 0, false
	}
	const digits = "0123456789ABCDEF"
	high, low := strings.IndexByte(digits, s[3]), strings.IndexByte(digits, s[4])
	if high < 0 || low < 0 {
		return 0, false
	}
	return byte(high<<4 | low), true
}
