package pickle

import (
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// decimal reads the argument of INT, LONG, GET and PUT: a number in digits. Python is lenient: it stops at a zero byte, strips
// white space, and takes the prefixes and underscores of its own source code.
func decimal(s string, long bool) (Value, bool) {
	s, _, _ = strings.Cut(s, "\x00")
	s = strings.TrimSpace(s)
	if long {
		s = strings.TrimSuffix(s, "L")
	}
	for _, base := range []int{10, 0} {
		if n, err := strconv.ParseInt(s, base, 64); err == nil {
			return n, true
		}
	}
	digits := strings.TrimLeft(s, "+-")
	if digits == "" || len(s)-len(digits) > 1 || strings.Trim(digits, "0123456789abcdefABCDEFxX_") != "" {
		return nil, false
	}
	return &Long{Digits: s}, true
}

// binary64 reads a little-endian number in two's complement of at most 8 bytes.
func binary64(b []byte) int64 {
	n := int64(0)
	for i := len(b) - 1; i >= 0; i-- {
		n = n<<8 | int64(b[i])
	}
	if len(b) > 0 && len(b) < 8 && b[len(b)-1] >= 0x80 {
		n -= 1 << (8 * len(b))
	}
	return n
}

// String gives the number in digits, or its size when it has more than 64 bytes.
func (l *Long) String() string {
	switch {
	case l.Digits != "":
		return l.Digits
	case len(l.Bytes) > 64:
		return "an integer of " + strconv.Itoa(len(l.Bytes)) + " bytes"
	}
	be := make([]byte, len(l.Bytes))
	for i, b := range l.Bytes {
		be[len(be)-1-i] = b
	}
	n := new(big.Int).SetBytes(be)
	if len(be) > 0 && be[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(be))))
	}
	return n.String()
}

// quoted reads the argument of STRING: a Python 2 string literal in quotes.
func quoted(b []byte) (string, bool) {
	if len(b) < 2 || b[0] != b[len(b)-1] || b[0] != '\'' && b[0] != '"' {
		return "", false
	}
	b = b[1 : len(b)-1]
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			out = append(out, b[i])
			continue
		}
		if i++; i == len(b) {
			return "", false
		}
		switch c := b[i]; {
		case c == 'x':
			n, err := strconv.ParseUint(string(b[min(i+1, len(b)):min(i+3, len(b))]), 16, 8)
			if err != nil || i+3 > len(b) {
				return "", false
			}
			out = append(out, byte(n))
			i += 2
		case c >= '0' && c <= '7':
			n := 0
			end := min(i+3, len(b))
			for ; i < end && b[i] >= '0' && b[i] <= '7'; i++ {
				n = n*8 + int(b[i]-'0')
			}
			i--
			out = append(out, byte(n))
		case c == '\n':
		case strings.IndexByte(`\'"abfnrtv`, c) >= 0:
			out = append(out, "\\'\"\a\b\f\n\r\t\v"[strings.IndexByte(`\'"abfnrtv`, c)])
		default:
			out = append(out, '\\', c)
		}
	}
	return string(out), true
}

// rawUnicode reads the argument of UNICODE: Latin-1 with \u and \U escapes.
func rawUnicode(b []byte) (string, bool) {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		width := 0
		if b[i] == '\\' && i+1 < len(b) {
			width = map[byte]int{'u': 4, 'U': 8}[b[i+1]]
		}
		if width == 0 {
			out = utf8.AppendRune(out, rune(b[i]))
			continue
		}
		if i+2+width > len(b) {
			return "", false
		}
		n, err := strconv.ParseUint(string(b[i+2:i+2+width]), 16, 32)
		if err != nil || n > utf8.MaxRune {
			return "", false
		}
		out = utf8.AppendRune(out, rune(n))
		i += 1 + width
	}
	return string(out), true
}
