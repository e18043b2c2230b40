package jinja

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type kind uint8

const (
	endOfFile  kind = iota
	data            // text outside of tags
	blockBegin      // {%
	blockEnd        // %}
	varBegin        // {{
	varEnd          // }}
	name
	text // a string literal, its value
	integer
	float
	operator
)

type token struct {
	kind kind
	s    string
	line int
}

// lexer cuts a template into tokens. It trims white space around tags as Jinja2 does with trim_blocks and lstrip_blocks set.
type lexer struct {
	src    string
	pos    int
	line   int
	tokens []token
	// fresh says that pos is at the start of a line.
	fresh bool
}

func (l *lexer) fail(format string, args ...any) {
	panic(failure{syntax(l.line, format, args...)})
}

func (l *lexer) add(k kind, s string) { l.tokens = append(l.tokens, token{k, s, l.line}) }

// skip moves over n bytes.
func (l *lexer) skip(n int) {
	if n == 0 {
		return
	}
	s := l.src[l.pos : l.pos+n]
	l.line += strings.Count(s, "\n")
	l.fresh = s[n-1] == '\n'
	l.pos += n
}

func lex(src string) (tokens []token) {
	src = strings.ReplaceAll(strings.ReplaceAll(src, "\r\n", "\n"), "\r", "\n")
	l := &lexer{src: strings.TrimSuffix(src, "\n"), line: 1, fresh: true}
	for l.pos < len(l.src) {
		l.outside()
	}
	l.add(endOfFile, "")
	return l.tokens
}

// outside reads text up to the next tag, and the tag.
func (l *lexer) outside() {
	rest := l.src[l.pos:]
	at := 0
	for {
		i := strings.IndexByte(rest[at:], '{')
		if i < 0 || at+i+1 >= len(rest) {
			at = len(rest)
			break
		}
		at += i
		if c := rest[at+1]; c == '{' || c == '%' || c == '#' {
			break
		}
		at++
	}
	if at == len(rest) {
		l.add(data, rest)
		l.skip(len(rest))
		return
	}
	open := rest[at+1]
	sign := byte(0)
	if at+2 < len(rest) && (rest[at+2] == '-' || rest[at+2] == '+') {
		sign = rest[at+2]
	}
	if s := l.before(rest[:at], sign, open == '{'); s != "" {
		l.add(data, s)
	}
	l.skip(at + 2)
	if sign != 0 {
		l.skip(1)
	}
	switch open {
	case '#':
		end := strings.Index(l.src[l.pos:], "#}")
		if end < 0 {
			l.fail("comment without an end")
		}
		closing := byte(0)
		if end > 0 {
			closing = l.src[l.pos+end-1]
		}
		l.skip(end + 2)
		l.after(closing)
	case '{':
		l.add(varBegin, "")
		l.inside("}}", varEnd)
	default:
		if !l.raw() {
			l.add(blockBegin, "")
			l.inside("%}", blockEnd)
		}
	}
}

// before trims the text before a tag.
func (l *lexer) before(s string, sign byte, variable bool) string {
	if sign == '-' {
		return strings.TrimRightFunc(s, isSpace)
	}
	if sign == '+' || variable {
		return s
	}
	if start := strings.LastIndexByte(s, '\n') + 1; (start > 0 || l.fresh) && strings.TrimFunc(s[start:], isSpace) == "" {
		return s[:start]
	}
	return s
}

// after skips what a tag that closes with this sign trims.
func (l *lexer) after(sign byte) {
	rest := l.src[l.pos:]
	switch {
	case sign == '-':
		l.skip(len(rest) - len(strings.TrimLeftFunc(rest, isSpace)))
	case sign != '+' && strings.HasPrefix(rest, "\n"):
		l.skip(1)
	}
}

// raw reads a raw block, whose begin tag has been opened.
func (l *lexer) raw() bool {
	n, _, ok := closesWith(l.src[l.pos:], "raw")
	if !ok {
		return false
	}
	if l.src[l.pos+n-3] == '-' {
		n += len(l.src[l.pos+n:]) - len(strings.TrimLeftFunc(l.src[l.pos+n:], isSpace))
	}
	l.skip(n)
	rest := l.src[l.pos:]
	for at := 0; ; at += 2 {
		i := strings.Index(rest[at:], "{%")
		if i < 0 {
			l.fail("raw block without an end")
		}
		at += i
		sign, from := byte(0), at+2
		if from < len(rest) && (rest[from] == '-' || rest[from] == '+') {
			sign = rest[from]
			from++
		}
		n, closing, ok := closesWith(rest[from:], "endraw")
		if !ok {
			continue
		}
		if s := l.before(rest[:at], sign, false); s != "" {
			l.add(data, s)
		}
		l.skip(from + n)
		l.after(closing)
		return true
	}
}

// closesWith reports whether s is word and the end of a tag, how long that is and with what sign it closes.
func closesWith(s, word string) (n int, sign byte, ok bool) {
	rest, ok := strings.CutPrefix(strings.TrimLeftFunc(s, isSpace), word)
	if !ok {
		return 0, 0, false
	}
	rest = strings.TrimLeftFunc(rest, isSpace)
	if rest != "" && (rest[0] == '-' || rest[0] == '+') {
		sign = rest[0]
		rest = rest[1:]
	}
	rest, ok = strings.CutPrefix(rest, "%}")
	return len(s) - len(rest), sign, ok
}

// inside reads the tokens of a tag up to and with its end.
func (l *lexer) inside(end string, endKind kind) {
	var open []byte
	for {
		l.skip(len(l.src[l.pos:]) - len(strings.TrimLeftFunc(l.src[l.pos:], isSpace)))
		rest := l.src[l.pos:]
		if rest == "" {
			l.fail("tag without an end")
		}
		if len(open) == 0 {
			sign := byte(0)
			if rest[0] == '-' || rest[0] == '+' && endKind == blockEnd {
				sign = rest[0]
			}
			closing := rest
			if sign != 0 {
				closing = rest[1:]
			}
			if strings.HasPrefix(closing, end) {
				l.add(endKind, "")
				l.skip(len(rest) - len(closing) + 2)
				if sign != 0 || endKind == blockEnd {
					l.after(sign)
				}
				return
			}
		}
		switch c := rest[0]; {
		case c == '"' || c == '\'':
			l.stringLiteral(rest)
		case c >= '0' && c <= '9':
			l.number(rest)
		default:
			if n := nameLength(rest); n > 0 {
				l.add(name, rest[:n])
				l.skip(n)
				continue
			}
			op := operatorAt(rest)
			switch op {
			case "":
				r, _ := utf8.DecodeRuneInString(rest)
				l.fail("unexpected character %q", r)
			case "(", "[", "{":
				open = append(open, op[0])
			case ")", "]", "}":
				if len(open) == 0 || map[byte]string{'(': ")", '[': "]", '{': "}"}[open[len(open)-1]] != op {
					l.fail("unexpected %q", op)
				}
				open = open[:len(open)-1]
			}
			l.add(operator, op)
			l.skip(len(op))
		}
	}
}

func operatorAt(s string) string {
	if len(s) >= 2 {
		switch s[:2] {
		case "//", "**", "==", "!=", ">=", "<=":
			return s[:2]
		}
	}
	if strings.IndexByte("+-/*%~[](){}><=.:|,;", s[0]) >= 0 {
		return s[:1]
	}
	return ""
}

func nameLength(s string) int {
	for i, r := range s {
		if r != '_' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r) && !unicode.Is(unicode.M, r)) {
			return i
		}
	}
	return len(s)
}

// number reads an integer, with a base if it has one, or a decimal number.
func (l *lexer) number(s string) {
	digits := func(i int, set string) int {
		for i < len(s) && (strings.IndexByte(set, s[i]) >= 0 || s[i] == '_' && i+1 < len(s) && strings.IndexByte(set, s[i+1]) >= 0) {
			i++
		}
		return i
	}
	const decimal = "0123456789"
	if len(s) > 2 && s[0] == '0' {
		set := map[byte]string{'x': decimal + "abcdefABCDEF", 'o': "01234567", 'b': "01"}[s[1]|0x20]
		if n := digits(2, set); set != "" && n > 2 {
			l.add(integer, s[:n])
			l.skip(n)
			return
		}
	}
	n := digits(0, decimal)
	k := integer
	if l.pos == 0 || l.src[l.pos-1] != '.' {
		if f := digits(n+1, decimal); n < len(s) && s[n] == '.' && f > n+1 {
			n, k = f, float
		}
		if n < len(s) && s[n]|0x20 == 'e' {
			at := n + 1
			if at < len(s) && (s[at] == '+' || s[at] == '-') {
				at++
			}
			if e := digits(at, decimal); e > at {
				n, k = e, float
			}
		}
	}
	l.add(k, strings.ReplaceAll(s[:n], "_", ""))
	l.skip(n)
}

func (l *lexer) stringLiteral(s string) {
	var b strings.Builder
	for i := 1; i < len(s); {
		switch c := s[i]; {
		case c == s[0]:
			l.add(text, b.String())
			l.skip(i + 1)
			return
		case c == '\\' && i+1 < len(s):
			i += l.escape(&b, s[i+1:]) + 1
		default:
			b.WriteByte(c)
			i++
		}
	}
	l.fail("string without an end")
}

// escape writes what the escape sequence at the begin of s, behind its backslash, stands for, and returns its length.
func (l *lexer) escape(b *strings.Builder, s string) int {
	const simple, meant = "\\'\"abfnrtv", "\\'\"\a\b\f\n\r\t\v"
	if i := strings.IndexByte(simple, s[0]); i >= 0 {
		b.WriteByte(meant[i])
		return 1
	}
	n := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[0]]
	switch {
	case n > 0:
		if len(s) <= n {
			l.fail("escape sequence cut short")
		}
		r, err := strconv.ParseUint(s[1:1+n], 16, 32)
		if err != nil || !utf8.ValidRune(rune(r)) {
			l.fail("escape sequence \\%.9q is no character", s[:1+n])
		}
		b.WriteRune(rune(r))
		return 1 + n
	case s[0] >= '0' && s[0] <= '7':
		r := rune(0)
		for n < 3 && n < len(s) && s[n] >= '0' && s[n] <= '7' {
			r = r*8 + rune(s[n]-'0')
			n++
		}
		b.WriteRune(r)
		return n
	case s[0] == '\n':
		return 1
	case s[0] == 'N':
		panic(failure{unsupported(l.line, "a character by its name")})
	}
	b.WriteByte('\\')
	return 0
}

// isSpace is Python's str.isspace.
func isSpace(r rune) bool { return r >= 0x1c && r <= 0x1f || unicode.IsSpace(r) }
