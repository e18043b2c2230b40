package tokenizer

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// maxLookup bounds the pieces, in bytes, that WordPiece and Unigram look for at each place of the text.
const maxLookup = 1 << 9

// wordPiece cuts each word into the longest pieces of the vocabulary, from the left.
type wordPiece struct {
	ids map[string]int
	// first is what a piece that begins a word is written with, inner what one inside a word is.
	first, inner string
	unk          int // of a word that cannot be cut
	maxChars     int // of a word; longer ones are unk; 0 is no limit
	longest      int // bytes of the longest piece
}

// longestPiece returns the length of the longest piece, which must be within maxLookup.
func longestPiece(ids map[string]int) (int, error) {
	longest := 0
	for p := range ids {
		longest = max(longest, len(p))
	}
	if longest > maxLookup {
		return 0, malformed("vocabulary", "a piece of %d bytes exceeds the limit of %d", longest, maxLookup)
	}
	return longest, nil
}

func (m *wordPiece) encode(ids []int, word string) []int {
	start := len(ids)
	if m.maxChars > 0 && len([]rune(word)) > m.maxChars {
		return m.unknown(ids)
	}
	mark := m.first
	for at := 0; at < len(word); {
		end := min(len(word), at+m.longest)
		id, ok := 0, false
		for ; end > at; end-- {
			if id, ok = m.ids[mark+word[at:end]]; ok {
				break
			}
		}
		if !ok {
			return m.unknown(ids[:start])
		}
		ids = append(ids, id)
		at, mark = end, m.inner
	}
	return ids
}

func (m *wordPiece) unknown(ids []int) []int {
	if m.unk < 0 {
		return ids
	}
	return append(ids, m.unk)
}

// bertOptions are the settings of BertNormalizer.
type bertOptions struct{ clean, chinese, accents, lower bool }

// bertNormalizer prepares text as BERT does: control characters out, white space to spaces, spaces around Chinese characters, marks
// stripped (accents), lower case.
func bertNormalizer(o bertOptions) func(string) string {
	return func(s string) string {
		if o.clean {
			s = strings.Map(func(c rune) rune {
				switch {
				case c == '\t' || c == '\n' || c == '\r' || unicode.IsSpace(c):
					return ' '
				case c == 0 || c == unicode.ReplacementChar || unicode.Is(unicode.C, c):
					return -1
				}
				return c
			}, s)
		}
		if o.chinese {
			var b strings.Builder
			for _, c := range s {
				if chinese(c) {
					b.WriteByte(' ')
					b.WriteRune(c)
					b.WriteByte(' ')
				} else {
					b.WriteRune(c)
				}
			}
			s = b.String()
		}
		if o.accents {
			s = stripMarks(norm.NFD.String(s))
		}
		if o.lower {
			s = lowercase(s)
		}
		return s
	}
}

// lowercase maps each character by itself, wherever it stands.
func lowercase(s string) string {
	return strings.ToLower(strings.ReplaceAll(s, "İ", "i\u0307"))
}

func stripMarks(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.Is(unicode.Mn, c) {
			return -1
		}
		return c
	}, s)
}

// chinese reports whether c is in the blocks of CJK ideographs that BERT knows.
func chinese(c rune) bool {
	return c >= 0x4e00 && c <= 0x9fff || c >= 0x3400 && c <= 0x4dbf || c >= 0x20000 && c <= 0x2a6df || c >= 0x2a700 && c <= 0x2b73f ||
		c >= 0x2b740 && c <= 0x2b81f || c >= 0x2b920 && c <= 0x2ceaf || c >= 0xf900 && c <= 0xfaff || c >= 0x2f800 && c <= 0x2fa1f
}

// punctuation is what BERT takes for it: all ASCII that is no letter, digit, space or control, and Unicode's.
func punctuation(c rune) bool {
	if c < 0x80 {
		return c > ' ' && c < 0x7f && !unicode.IsLetter(c) && !unicode.IsDigit(c)
	}
	return unicode.IsPunct(c)
}

// bertSplit cuts at white space, which is dropped, and around each punctuation character.
func bertSplit(out []string, s string, _ bool) []string {
	start := -1
	flush := func(end int) {
		if start >= 0 {
			out = append(out, s[start:end])
			start = -1
		}
	}
	for i, c := range s {
		switch {
		case unicode.IsSpace(c):
			flush(i)
		case punctuation(c):
			flush(i)
			out = append(out, string(c))
		case start < 0:
			start = i
		}
	}
	flush(len(s))
	return out
}

// decodeWords writes words with spaces between them; pieces inside of a word are marked by inner, the first of a word by first.
// With cleanup, the spaces that stand before punctuation and contractions are taken out.
func decodeWords(first, inner string, cleanup bool) decoder {
	clean := strings.NewReplacer(" .", ".", " ?", "?", " !", "!", " ,", ",", " ' ", "'", " n't", "n't", " 'm", "'m", " do not", " don't", " 's", "'s", " 've", "'ve", " 're", "'re")
	return func(tokens []string) []string {
		out := make([]string, len(tokens))
		for i, t := range tokens {
			rest, marked := t, false
			if inner != "" {
				rest, marked = strings.CutPrefix(t, inner)
			} else if first != "" {
				rest, marked = strings.CutPrefix(t, first)
				marked = !marked
			}
			switch {
			case i > 0 && !marked:
				rest = " " + rest
			case i == 0 && inner != "":
				rest = t
			}
			if cleanup {
				rest = clean.Replace(rest)
			}
			out[i] = rest
		}
		return out
	}
}
