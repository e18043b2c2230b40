package tokenizer

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// addedToken is one that is found in the text before anything else happens.
type addedToken struct {
	id             int
	text           string
	special        bool // control token: says nothing when decoded
	singleWord     bool // only between characters that are no letters, digits or _
	lstrip, rstrip bool // takes the white space beside it along
}

// addedTokens finds added tokens in a text, the longest first.
type addedTokens struct {
	byFirst map[byte][]addedToken
	special map[int]bool
	text    map[int]string // of those that are not special
}

func newAddedTokens(list []addedToken) (*addedTokens, error) {
	if len(list) > maxAdded {
		return nil, fmt.Errorf("there are %d added tokens; at most %d are allowed", len(list), maxAdded)
	}
	a := &addedTokens{byFirst: map[byte][]addedToken{}, special: map[int]bool{}, text: map[int]string{}}
	for _, t := range list {
		if t.text == "" {
			continue
		}
		a.byFirst[t.text[0]] = append(a.byFirst[t.text[0]], t)
		if t.special {
			a.special[t.id] = true
		} else {
			a.text[t.id] = t.text
		}
	}
	for _, tokens := range a.byFirst {
		slices.SortStableFunc(tokens, func(x, y addedToken) int { return len(y.text) - len(x.text) })
	}
	return a, nil
}

// stretch is an added token, or text between them when id is below zero.
type stretch struct {
	id   int
	text string
}

// cut cuts the text at the added tokens in it. Empty text is left out.
func (a *addedTokens) cut(text string) []stretch {
	var out []stretch
	begin := 0
	keep := func(end int) {
		if end > begin {
			out = append(out, stretch{-1, text[begin:end]})
		}
	}
	for i := 0; i < len(text); {
		t, ok := a.at(text, i)
		if !ok {
			i++
			continue
		}
		end, next := i, i+len(t.text)
		if t.lstrip {
			end = begin + len(strings.TrimRightFunc(text[begin:i], unicode.IsSpace))
		}
		if t.rstrip {
			next = len(text) - len(strings.TrimLeftFunc(text[next:], unicode.IsSpace))
		}
		keep(end)
		out = append(out, stretch{t.id, t.text})
		begin, i = next, next
	}
	keep(len(text))
	return out
}

// at returns the longest added token at a place.
func (a *addedTokens) at(text string, i int) (addedToken, bool) {
	for _, t := range a.byFirst[text[i]] {
		if strings.HasPrefix(text[i:], t.text) && (!t.singleWord || isWord(text, i, i+len(t.text))) {
			return t, true
		}
	}
	return addedToken{}, false
}

func isWord(text string, from, to int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:from])
	after, _ := utf8.DecodeRuneInString(text[to:])
	inWord := func(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }
	return (from == 0 || !inWord(before)) && (to == len(text) || !inWord(after))
}
