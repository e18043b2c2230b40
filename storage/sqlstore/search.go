package sqlstore

import (
	"context"
	"database/sql"
	"strings"
	"unicode"
)

// search is the full-text index of an engine. Both engines index and match
// the words that this file cuts, so that they find the same, and foreign text
// never becomes part of a query language.
type search interface {
	// put replaces a model's words.
	put(ctx context.Context, tx *sql.Tx, repository int64, words []string) error
	// remove drops a model's words, if there are any.
	remove(ctx context.Context, tx *sql.Tx, repository int64) error
	// term is a condition on models m with one parameter, written "?".
	term() string
	// match is the parameter that finds models with all words, the last one
	// as a prefix. There is at least one word.
	match(words []string) string
}

// Limits of the index. They keep one card from filling it, and stay far below
// the limits of a tsvector (1 MiB, 2 KiB for a word).
const (
	maxIndexText  = 1 << 20 // bytes that are looked at
	maxIndexWords = 10_000  // different words of a model
	maxQueryText  = 1 << 10 // bytes that are looked at
	maxQueryWords = 16
	maxWordBytes  = 64
)

// indexWords returns the different words of the texts.
func indexWords(texts ...string) []string {
	left := maxIndexText
	seen := make(map[string]bool)
	words := []string{}
	for _, t := range texts {
		if len(t) > left {
			t = t[:left]
		}
		left -= len(t)
		for w := range cutWords(t) {
			if !seen[w] && len(words) < maxIndexWords {
				seen[w] = true
				words = append(words, w)
			}
		}
	}
	return words
}

// queryWords returns the words of a query in their order.
func queryWords(text string) []string {
	if len(text) > maxQueryText {
		text = text[:maxQueryText]
	}
	var words []string
	for w := range cutWords(text) {
		if words = append(words, w); len(words) == maxQueryWords {
			break
		}
	}
	return words
}

// cutWords yields the words of a text in lower case: runs of letters, marks
// and digits, cut to maxWordBytes.
func cutWords(text string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for w := range strings.FieldsFuncSeq(strings.ToValidUTF8(text, " "), func(r rune) bool {
			return !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsNumber(r)
		}) {
			if !yield(clipWord(strings.ToLower(w))) {
				return
			}
		}
	}
}

func clipWord(w string) string {
	if len(w) > maxWordBytes {
		w = strings.ToValidUTF8(w[:maxWordBytes], "")
	}
	return w
}
