package export

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of what documents take over from publishers, in bytes.
const (
	maxLine = 1 << 10 // a name, a value
	maxText = 4 << 10 // a paragraph
	maxFile = 1 << 20 // a licence, a notice
)

// line makes foreign text one line: valid UTF-8, no control characters, none
// that turn the direction of what follows, single spaces.
func line(s string) string {
	return strings.Join(strings.Fields(clean(s, maxLine)), " ")
}

// paragraph keeps the lines of foreign text.
func paragraph(s string) string { return strings.TrimSpace(clean(s, maxText)) }

// clean cuts foreign text to so many bytes and takes out what is no text.
func clean(s string, most int) string {
	if len(s) > most {
		cut := most - len("…")
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	s = strings.ToValidUTF8(s, string(utf8.RuneError))
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == '\r':
			return '\n'
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029':
			return utf8.RuneError
		}
		return r
	}, s)
	// What was replaced may have made it longer.
	for len(s) > most {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s
}

// address returns a foreign link when it is one to the web, else "".
func address(s string) string {
	u, err := url.Parse(strings.TrimSpace(s))
	if err != nil || len(s) > maxLine || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return ""
	}
	for _, c := range u.Host {
		if c >= utf8.RuneSelf || c <= ' ' || strings.ContainsRune(`"<>\^{|}%`+"`", c) {
			return ""
		}
	}
	// The query is the one part that String gives back as it came.
	u.RawQuery = escapeQuery(u.RawQuery)
	return u.String()
}

// escapeQuery escapes in a query what no address may have.
func escapeQuery(q string) string {
	var b strings.Builder
	for i := range len(q) {
		switch c := q[i]; {
		case c == '%' && (i+2 >= len(q) || !hex(q[i+1]) || !hex(q[i+2])), c <= ' ', c >= utf8.RuneSelf, strings.IndexByte("\"<>\\^`{|}[]#\x7f", c) >= 0:
			b.WriteString(url.QueryEscape(string([]byte{c})))
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func hex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
