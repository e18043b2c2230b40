package text

import (
	"errors"
	"html"
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// MaxText is how many bytes of text are looked at. The longest licences have
// some 150 KB.
const MaxText = 1 << 20

// ErrTooLong says that a text is longer than MaxText.
var ErrTooLong = errors.New("the text is too long for a licence")

// Words returns the words of a text as licences are compared by them: in small
// letters, without punctuation, mark-up of Markdown and HTML, addresses, and
// lines that only name the holder of a copyright. Characters of Chinese and
// Japanese are words of their own. Errors: ErrTooLong.
func Words(s string) ([]string, error) {
	if len(s) > MaxText {
		return nil, ErrTooLong
	}
	s = strings.ToValidUTF8(strings.TrimPrefix(s, "\ufeff"), " ")
	s = withoutFrontMatter(strings.ReplaceAll(s, "\r\n", "\n"))
	s = norm.NFKC.String(html.UnescapeString(s))
	if len(s) > 2*MaxText { // a few characters become many
		return nil, ErrTooLong
	}
	if strings.Contains(s, "<") {
		s = markup().ReplaceAllString(s, " ")
	}
	if strings.Contains(s, "](") {
		s = link().ReplaceAllString(s, "$1 ")
	}
	if s = strings.ToLower(s); strings.Contains(s, "http") || strings.Contains(s, "www.") {
		s = address().ReplaceAllString(s, " ")
	}
	var words []string
	for line := range strings.Lines(s) {
		from := len(words)
		words = appendWords(words, line)
		if isCopyrightLine(line, words[from:]) {
			words = words[:from]
		}
	}
	return words, nil
}

// What is left out must be nothing that somebody could read as words: tags of
// HTML by their names, and addresses.
var (
	markup = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?i)</?(p|br|hr|b|i|u|em|strong|small|sup|sub|h[1-6]|ul|ol|li|dl|dt|dd|div|span|section|pre|code|center|font|table|thead|tbody|tr|td|th|blockquote|html|head|body|title|a)\s*/?>|<a\s+href="[^"\s<>]*"\s*>`)
	})
	// link is a link or picture of Markdown, of which the words are kept.
	link = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`!?\[([^\[\]\n]*)\]\((?:https?://|mailto:|#|\.?/)[^()\s]*\)`)
	})
	address = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\b(https?://|www\.)[^\s<>"'\)\]]+`) })
)

// withoutFrontMatter cuts what stands between two lines of dashes at the beginning.
func withoutFrontMatter(s string) string {
	rest, ok := strings.CutPrefix(s, "---\n")
	if !ok {
		return s
	}
	if i := strings.Index(rest, "\n---\n"); i >= 0 {
		return rest[i+5:]
	}
	return s
}

func appendWords(words []string, s string) []string {
	start := -1
	flush := func(end int) {
		if start >= 0 {
			words = append(words, s[start:end])
			start = -1
		}
	}
	for i, r := range s {
		switch {
		case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul):
			flush(i)
			words = append(words, s[i:i+utf8.RuneLen(r)])
		case unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r):
			if start < 0 {
				start = i
			}
		case r == '\'' || r == '’' || r == '‘' || r == '`': // "licensor's" is one word however its mark is written
			if start >= 0 {
				words = append(words, s[start:i])
				start = -1
			}
		default:
			flush(i)
		}
	}
	flush(len(s))
	return words
}

// holder begins a line that names the holder of a copyright: it goes on with a
// sign, a year or a placeholder, which no sentence of a licence does.
var holder = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[\s#*/;>|-]*(portions\s+)?(copyright\b|\(c\)|©)\s*(notice\s*)?(\(c\)|©|c\b)?\s*(by\s+)?(\d{4}|[\[<{(]|yyyy|year|©|\(c\))`)
})

// longestHolder is how many words a line with the holder of a copyright has.
const longestHolder = 24

// isCopyrightLine reports whether a line only says whose the copyright is.
func isCopyrightLine(line string, words []string) bool {
	return len(words) <= longestHolder && holder().MatchString(line) && !hasTerms(words)
}

// terms are words that say what is permitted or not. A line with one of them
// is never left out.
var terms = map[string]bool{}

func init() {
	for w := range strings.FieldsSeq(`must may shall should will can cannot not no nor never only except unless without provided providing provision provisions
		prohibit prohibits prohibited forbid forbids forbidden restrict restricts restricted restriction restrictions limit limits limited limitation
		permit permits permitted permission permissions allow allows allowed grant grants granted require requires required requirement condition conditions
		conditional commercial commercially noncommercial non research personal evaluation educational use uses used using user users distribute
		distribution distributed redistribute redistribution modify modified modification modifications derivative derivatives sell sold sublicense
		display credit attribution acknowledge agree agrees agreed consent obtain request fee fees royalty revenue monthly active military weapon weapons
		purpose purposes competing compete train training outputs output however but if`) {
		terms[w] = true
	}
}

// hasTerms reports whether words say what is permitted or not.
func hasTerms(words []string) bool {
	for _, w := range words {
		if terms[w] {
			return true
		}
	}
	return false
}
