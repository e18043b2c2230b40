package tokenizer

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// addedToken is a token that is found in the text before the model sees it.
type addedToken struct {
	id      int
	content string
	special bool
	// normalized tokens are searched in normalized text.
	normalized bool
	// lstrip and rstrip swallow white space on that side; singleWord wants no letter or digit on either.
	lstrip, rstrip, singleWord bool
}

// matcher finds added tokens: the leftmost, and of those that begin there the longest.
type matcher struct {
	tokens  map[string]addedToken
	lengths [256][]int // lengths of the tokens that begin with a byte, longest first
}

func newMatcher(tokens []addedToken) *matcher {
	m := &matcher{tokens: make(map[string]addedToken, len(tokens))}
	for _, t := range tokens {
		m.tokens[t.content] = t
		if l := &m.lengths[t.content[0]]; !slices.Contains(*l, len(t.content)) {
			*l = append(*l, len(t.content))
		}
	}
	for i := range m.lengths {
		slices.SortFunc(m.lengths[i], func(a, b int) int { return b - a })
	}
	return m
}

// split calls emit for each stretch of text, with an id of -1, and each added token between them.
func (m *matcher) split(text string, emit func(s string, id int)) {
	start := 0
	for i := 0; i < len(text); {
		t, ok := m.at(text, i)
		if !ok {
			i++
			continue
		}
		end := i + len(t.content)
		if t.lstrip {
			i = start + len(strings.TrimRightFunc(text[start:i], unicode.IsSpace))
		}
		if t.rstrip {
			end = len(text) - len(strings.TrimLeftFunc(text[end:], unicode.IsSpace))
		}
		if i > start {
			emit(text[start:i], -1)
		}
		emit(text[i:end], t.id)
		start, i = end, end
	}
	if start < len(text) {
		emit(text[start:], -1)
	}
}

func (m *matcher) at(text string, i int) (addedToken, bool) {
	for _, n := range m.lengths[text[i]] {
		if n > len(text)-i {
			continue
		}
		t, ok := m.tokens[text[i:i+n]]
		if ok && t.singleWord {
			before, _ := utf8.DecodeLastRuneInString(text[:i])
			after, _ := utf8.DecodeRuneInString(text[i+n:])
			ok = !wordRune(before) && !wordRune(after)
		}
		if ok {
			return t, true
		}
	}
	return addedToken{}, false
}

func wordRune(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsNumber(r) || r == '_')
}
