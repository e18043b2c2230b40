package tokenizer

import (
	"unicode"
	"unicode/utf8"
)

// splitter appends the pieces of s to out. first says that s begins the text.
type splitter func(out []string, s string, first bool) []string

// class sorts characters the way the split patterns see them.
type class uint8

const (
	other class = iota
	letter
	number
	space
	end // of the text
)

// at returns the character at i, its class and its length in bytes. A byte that is no UTF-8 is a character of class other.
func at(s string, i int) (r rune, c class, n int) {
	if i >= len(s) {
		return 0, end, 0
	}
	r, n = utf8.DecodeRuneInString(s[i:])
	switch {
	case r == utf8.RuneError && n == 1:
		return r, other, 1
	case unicode.IsLetter(r):
		return r, letter, n
	case unicode.IsNumber(r):
		return r, number, n
	case unicode.IsSpace(r):
		return r, space, n
	}
	return r, other, n
}

// run returns the end of the run of class c that begins at i, of at most limit characters when limit > 0.
func run(s string, i int, c class, limit int) int {
	for count := 0; limit == 0 || count < limit; count++ {
		_, got, n := at(s, i)
		if got != c {
			break
		}
		i += n
	}
	return i
}

// spaceEnd returns where \s+(?!\S)|\s+ ends that begins at i: the whole run at the end of the text, otherwise all but its last
// character, which belongs to the word that follows, unless it is the only one.
func spaceEnd(s string, i int) int {
	e := run(s, i, space, 0)
	if e == len(s) {
		return e
	}
	_, last := utf8.DecodeLastRuneInString(s[i:e])
	if e-last > i {
		return e - last
	}
	return e
}

// contraction returns the end of 's, 't, 're, 've, 'm, 'll or 'd at i, or i when there is none.
func contraction(s string, i int, anyCase bool) int {
	if s[i] != '\'' {
		return i
	}
	lower := func(j int) byte {
		if j >= len(s) {
			return 0
		}
		if anyCase && s[j] >= 'A' && s[j] <= 'Z' {
			return s[j] + 'a' - 'A'
		}
		return s[j]
	}
	switch a, b := lower(i+1), lower(i+2); {
	case a == 's', a == 't', a == 'm', a == 'd':
		return i + 2
	case a == 'r' && b == 'e', a == 'v' && b == 'e', a == 'l' && b == 'l':
		return i + 3
	}
	return i
}

// gpt2Split cuts as GPT-2's pattern does:
//
//	's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
func gpt2Split(out []string, s string, _ bool) []string {
	for i := 0; i < len(s); {
		e := contraction(s, i, false)
		if e == i {
			word := i
			if s[i] == ' ' {
				word++
			}
			if _, c, _ := at(s, word); c == letter || c == number || c == other {
				e = run(s, word, c, 0)
			} else {
				e = spaceEnd(s, i)
			}
		}
		out = append(out, s[i:e])
		i = e
	}
	return out
}

// llama3Split cuts as the patterns of Llama 3 (digits 3) and Qwen 2 (digits 1) do:
//
//	(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
func llama3Split(digits int) splitter {
	return func(out []string, s string, _ bool) []string {
		for i := 0; i < len(s); {
			e := llama3End(s, i, digits)
			out = append(out, s[i:e])
			i = e
		}
		return out
	}
}

func llama3End(s string, i, digits int) int {
	if e := contraction(s, i, true); e > i {
		return e
	}
	r, c, n := at(s, i)
	_, next, _ := at(s, i+n)
	switch {
	case c == letter:
		return run(s, i, letter, 0)
	case c != number && r != '\r' && r != '\n' && next == letter:
		return run(s, i+n, letter, 0)
	case c == number:
		return run(s, i, number, digits)
	case c == other, r == ' ' && next == other:
		e := i
		if c == space {
			e += n
		}
		e = run(s, e, other, 0)
		for e < len(s) && (s[e] == '\r' || s[e] == '\n') {
			e++
		}
		return e
	}
	// White space: up to and with its last line break, if it has one.
	for e := run(s, i, space, 0) - 1; e >= i; e-- {
		if s[e] == '\r' || s[e] == '\n' {
			return e + 1
		}
	}
	return spaceEnd(s, i)
}

// byteRunes is GPT-2's alphabet: a printable character for each byte.
var byteRunes, runeBytes = func() (to [256]rune, from map[rune]byte) {
	from = make(map[rune]byte, 256)
	next := rune(256)
	for b := range 256 {
		r := rune(b)
		if b < '!' || b > '~' && b < 0xa1 || b == 0xad {
			r = next
			next++
		}
		to[b] = r
		from[r] = byte(b)
	}
	return to, from
}()

// toByteRunes writes each byte of s as its character.
func toByteRunes(s string) string {
	return string(appendByteRunes(make([]byte, 0, 2*len(s)), s))
}

// appendByteRunes appends to out what toByteRunes returns.
func appendByteRunes[T string | []byte](out []byte, s T) []byte {
	for i := range len(s) {
		out = utf8.AppendRune(out, byteRunes[s[i]])
	}
	return out
}

// byteLevel writes each byte as its character, as the last step before the model.
func byteLevel(out []string, s string, _ bool) []string { return append(out, toByteRunes(s)) }
