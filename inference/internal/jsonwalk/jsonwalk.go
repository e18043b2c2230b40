package jsonwalk

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// walker steps through the bytes of JSON values.
type walker struct {
	b []byte
	i int
}

func (w *walker) space() {
	for w.i < len(w.b) && (w.b[w.i] == ' ' || w.b[w.i] == '\n' || w.b[w.i] == '\t' || w.b[w.i] == '\r') {
		w.i++
	}
}

// value returns the bytes of the next value.
func (w *walker) value() []byte {
	w.space()
	start, depth := w.i, 0
	for w.i < len(w.b) {
		switch w.b[w.i] {
		case '"':
			w.skipText()
		case '{', '[':
			depth++
			w.i++
		case '}', ']':
			depth--
			w.i++
		default:
			for w.i++; depth == 0 && w.i < len(w.b) && strings.IndexByte(",]} \n\t\r", w.b[w.i]) < 0; {
				w.i++
			}
		}
		if depth == 0 {
			break
		}
	}
	return w.b[start:w.i]
}

// skipText steps over a string.
func (w *walker) skipText() {
	for w.i++; w.i < len(w.b) && w.b[w.i] != '"'; w.i++ {
		if w.b[w.i] == '\\' {
			w.i++
		}
	}
	w.i++
}

// next steps over the comma or bracket that comes next and reports whether it was one that ends.
func (w *walker) next() (end bool) {
	w.space()
	c := w.b[w.i]
	w.i++
	return c == ']' || c == '}'
}

// EachMember calls f for the members of an object; ok is false when v is none.
func EachMember(v []byte, f func(key, value []byte) error) (ok bool, err error) {
	if len(v) == 0 || v[0] != '{' {
		return false, nil
	}
	w := &walker{b: v, i: 1}
	if w.space(); v[w.i] == '}' {
		return true, nil
	}
	for {
		key := w.value()
		w.next() // the colon
		if err := f(key, w.value()); err != nil || w.next() {
			return true, err
		}
	}
}

// EachItem calls f for the items of an array; ok is false when v is none.
func EachItem(v []byte, f func(value []byte) error) (ok bool, err error) {
	if len(v) == 0 || v[0] != '[' {
		return false, nil
	}
	w := &walker{b: v, i: 1}
	if w.space(); v[w.i] == ']' {
		return true, nil
	}
	for {
		if err := f(w.value()); err != nil || w.next() {
			return true, err
		}
	}
}

// AppendText appends what a string says to b; ok is false when v is no string. What is no Unicode becomes U+FFFD.
func AppendText(b, v []byte) (_ []byte, ok bool) {
	if len(v) < 2 || v[0] != '"' {
		return b, false
	}
	for v = v[1 : len(v)-1]; len(v) > 0; {
		switch c := v[0]; {
		case c == '\\':
			r, n := unescape(v)
			b = utf8.AppendRune(b, r)
			v = v[n:]
		case c < utf8.RuneSelf:
			b = append(b, c)
			v = v[1:]
		default:
			r, n := utf8.DecodeRune(v)
			b = utf8.AppendRune(b, r)
			v = v[n:]
		}
	}
	return b, true
}

// unescape reads the escape that v begins with and returns its length. Half a surrogate pair is U+FFFD.
func unescape(v []byte) (r rune, n int) {
	if v[1] != 'u' {
		if i := strings.IndexByte("bfnrt", v[1]); i >= 0 {
			return rune("\b\f\n\r\t"[i]), 2
		}
		return rune(v[1]), 2
	}
	r = hex4(v[2:])
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if len(v) >= 12 && v[6] == '\\' && v[7] == 'u' {
		if full := utf16.DecodeRune(r, hex4(v[8:])); full != utf8.RuneError {
			return full, 12
		}
	}
	return utf8.RuneError, 6
}

func hex4(v []byte) (r rune) {
	for _, c := range v[:4] {
		r <<= 4
		switch {
		case c <= '9':
			r |= rune(c - '0')
		default:
			r |= rune(c|0x20-'a') + 10
		}
	}
	return r
}

// Arena holds many short strings in large pieces of memory.
type Arena struct{ b strings.Builder }

const arenaPiece = 256 << 10

// Add returns b as a string.
func (a *Arena) Add(b []byte) string {
	if a.b.Cap()-a.b.Len() < len(b) {
		a.b = strings.Builder{}
		a.b.Grow(max(arenaPiece, len(b)))
	}
	start := a.b.Len()
	a.b.Write(b)
	return a.b.String()[start:]
}
