package tokenizer

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// decoder is one step from pieces to text.
type decoder func(tokens []string) []string

// decodeByteLevel turns characters back into the bytes they stand for. A token with another character, as added tokens may
// have, is taken as it is.
func decodeByteLevel(tokens []string) []string {
	var out []byte
	for _, t := range tokens {
		start := len(out)
		for _, r := range t {
			b, ok := runeBytes[r]
			if !ok {
				out = append(out[:start], t...)
				break
			}
			out = append(out, b)
		}
	}
	return []string{strings.ToValidUTF8(string(out), string(utf8.RuneError))}
}

// decodeBytes joins runs of tokens such as <0xE4> into text; bytes that are no UTF-8 become one U+FFFD each.
func decodeBytes(tokens []string) []string {
	out := make([]string, 0, len(tokens))
	var run []byte
	flush := func() {
		if utf8.Valid(run) {
			out = append(out, string(run))
		} else {
			out = append(out, strings.Repeat(string(utf8.RuneError), len(run)))
		}
		run = run[:0]
	}
	for _, t := range tokens {
		if b, ok := byteToken(t); ok {
			run = append(run, b)
			continue
		}
		if len(run) > 0 {
			flush()
		}
		out = append(out, t)
	}
	if len(run) > 0 {
		flush()
	}
	return out
}

func byteToken(t string) (byte, bool) {
	if len(t) != 6 || t[:3] != "<0x" || t[5] != '>' {
		return 0, false
	}
	b, err := strconv.ParseUint(t[3:5], 16, 8)
	return byte(b), err == nil
}

func fuse(tokens []string) []string { return []string{strings.Join(tokens, "")} }

func each(f func(string) string) decoder {
	return func(tokens []string) []string {
		out := make([]string, len(tokens))
		for i, t := range tokens {
			out[i] = f(t)
		}
		return out
	}
}

// strip removes content from the ends of each token, at most start and stop times.
func strip(content string, start, stop int) decoder {
	return each(func(s string) string {
		for range start {
			if content == "" || !strings.HasPrefix(s, content) {
				break
			}
			s = s[len(content):]
		}
		for range stop {
			if content == "" || !strings.HasSuffix(s, content) {
				break
			}
			s = s[:len(s)-len(content)]
		}
		return s
	})
}

// decodeMetaspace turns the replacement character into spaces and drops the one that was put before the text.
func decodeMetaspace(replacement string, prepended bool) decoder {
	return func(tokens []string) []string {
		out := make([]string, len(tokens))
		for i, t := range tokens {
			if i == 0 && prepended {
				t = strings.TrimPrefix(t, replacement)
			}
			out[i] = strings.ReplaceAll(t, replacement, " ")
		}
		return out
	}
}
