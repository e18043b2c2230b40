package tokenizer

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// scanner is a pre-tokenizer in the manner of GPT-2: it cuts text into
// contractions, letters, digits, other characters and white space. The
// patterns in use differ only in these points.
type scanner struct {
	anyCase     bool // contractions in any case
	anyLead     bool // one character that is no letter, digit or line break may lead letters; else only a space
	digits      int  // most digits in a piece; 0 = any number, with a leading space
	breaksAfter bool // line breaks after other characters belong to them, and end white space
}

var (
	gpt2Scanner   = scanner{}
	llama3Scanner = scanner{anyCase: true, anyLead: true, digits: 3, breaksAfter: true}
	qwen2Scanner  = scanner{anyCase: true, anyLead: true, digits: 1, breaksAfter: true}
)

// The patterns as tokenizer.json files write them. Sources: openai/gpt-2,
// meta-llama/llama3, Qwen2.
var scanners = map[string]scanner{
	`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`:                                                                       gpt2Scanner,
	`'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`:                                                                          gpt2Scanner,
	`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`:                              llama3Scanner,
	`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`:                                   qwen2Scanner,
	`(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`: llama3Scanner,
}

// split cuts text into pieces that together are the text.
func (s scanner) split(text string) []string {
	runes, at := decode(text)
	var pieces []string
	for i := 0; i < len(runes); {
		n := s.next(runes[i:])
		pieces = append(pieces, text[at[i]:at[i+n]])
		i += n
	}
	return pieces
}

// decode returns the characters of a text and where each begins, with the
// text's end last. A byte that is no UTF-8 is one character.
func decode(text string) (runes []rune, at []int) {
	runes, at = make([]rune, 0, len(text)), make([]int, 0, len(text)+1)
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		runes, at = append(runes, r), append(at, i)
		i += n
	}
	return runes, append(at, len(text))
}

func isLetter(r rune) bool { return unicode.Is(unicode.L, r) }
func isNumber(r rune) bool { return unicode.Is(unicode.N, r) }
func isBreak(r rune) bool  { return r == '\r' || r == '\n' }
func isOther(r rune) bool  { return !unicode.IsSpace(r) && !isLetter(r) && !isNumber(r) }

// run returns how many characters from i on are of a class.
func run(r []rune, i int, class func(rune) bool) int {
	n := 0
	for i+n < len(r) && class(r[i+n]) {
		n++
	}
	return n
}

// next returns the length of the first piece of a text that is not empty.
// The cases stand in the order of the pattern's alternatives.
func (s scanner) next(r []rune) int {
	if n := s.contraction(r); n > 0 {
		return n
	}
	lead := 0
	if len(r) > 1 && r[0] == ' ' {
		lead = 1
	}
	letterLead := lead
	if s.anyLead && len(r) > 1 && !isBreak(r[0]) && !isLetter(r[0]) && !isNumber(r[0]) {
		letterLead = 1
	}
	if n := run(r, letterLead, isLetter); n > 0 {
		return letterLead + n
	}
	if s.digits > 0 {
		if n := run(r, 0, isNumber); n > 0 {
			return min(n, s.digits)
		}
	} else if n := run(r, lead, isNumber); n > 0 {
		return lead + n
	}
	if n := run(r, lead, isOther); n > 0 {
		n += lead
		if s.breaksAfter {
			n += run(r, n, isBreak)
		}
		return n
	}
	return s.space(r)
}

// space returns the length of a piece of white space: up to its last line
// break, or all but the last character when a word follows, or all.
func (s scanner) space(r []rune) int {
	n := run(r, 0, unicode.IsSpace)
	if s.breaksAfter {
		for i := n; i > 0; i-- {
			if isBreak(r[i-1]) {
				return i
			}
		}
	}
	if n > 1 && n < len(r) {
		return n - 1
	}
	return n
}

func (s scanner) contraction(r []rune) int {
	if len(r) < 2 || r[0] != '\'' {
		return 0
	}
	at := func(i int) rune {
		if i >= len(r) {
			return 0
		}
		if s.anyCase && r[i] < utf8.RuneSelf {
			return unicode.ToLower(r[i])
		}
		return r[i]
	}
	switch at(1) {
	case 's', 't', 'm', 'd':
		return 2
	case 'r', 'v':
		if at(2) == 'e' {
			return 3
		}
	case 'l':
		if at(2) == 'l' {
			return 3
		}
	}
	return 0
}

// splitDigits makes every digit a piece of its own.
func splitDigits(text string) []string {
	return isolate(text, func(text string) (from, to int) {
		i := strings.IndexFunc(text, isNumber)
		if i < 0 {
			return -1, -1
		}
		_, n := utf8.DecodeRuneInString(text[i:])
		return i, i + n
	})
}

// isolate makes every match a piece of its own and keeps what is between.
func isolate(text string, find func(string) (from, to int)) []string {
	var pieces []string
	for text != "" {
		from, to := find(text)
		if from < 0 || to <= from {
			break
		}
		if from > 0 {
			pieces = append(pieces, text[:from])
		}
		pieces = append(pieces, text[from:to])
		text = text[to:]
	}
	if text != "" {
		pieces = append(pieces, text)
	}
	return pieces
}

// splitPattern returns the splitter of a regular expression as a
// tokenizer.json gives it: a scanner where there is one, else RE2.
func splitPattern(pattern string) (splitter, error) {
	if s, ok := scanners[pattern]; ok {
		return s.split, nil
	}
	if len(pattern) > 1000 {
		return nil, unsupported("pre-tokenizer", "pattern of %d bytes", len(pattern))
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, unsupported("pre-tokenizer", "pattern %.200q: %v", pattern, err)
	}
	return func(text string) []string {
		return isolate(text, func(text string) (from, to int) {
			m := re.FindStringIndex(text)
			if m == nil {
				return -1, -1
			}
			return m[0], m[1]
		})
	}, nil
}
