package tokenizer

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Stream turns tokens into text as they come. It holds a character back until all its bytes are there, so what it returns is
// always whole UTF-8 and, put together, the text that Decode gives for all of the ids. It is for one goroutine at a time.
type Stream struct {
	t *Tokenizer
	// What a token's text is can depend on the one before it, so the tokens of the last text returned are kept.
	last, pending []int
	broken        int // how many tokens in a row ended within a character
}

// maxBroken is how many tokens can end within one character, at one byte each.
const maxBroken = utf8.UTFMax - 1

// maxSilent bounds how many tokens without a text of their own are kept.
const maxSilent = 16

// NewStream returns a stream of the text that follows the tokens of before, of which it looks at the last few. Without any, the
// text is that of a sequence from its beginning, which some tokenizers write without its first space.
func (t *Tokenizer) NewStream(before ...int) *Stream {
	s := &Stream{t: t}
	for _, id := range before[max(0, len(before)-maxSilent):] {
		if s.visible(id) {
			s.last = append(s.last, id)
		}
	}
	return s
}

// visible reports whether Decode looks at a token.
func (s *Stream) visible(id int) bool {
	_, ok := s.t.Piece(id)
	return ok && !s.t.Special(id)
}

// Add returns the text that the next token completes, often none.
func (s *Stream) Add(id int) string {
	if !s.visible(id) {
		return ""
	}
	s.pending = append(s.pending, id)
	all := s.all()
	if strings.HasSuffix(all, string(utf8.RuneError)) && s.broken < maxBroken {
		s.broken++
		return ""
	}
	return s.take(all)
}

// Flush returns what was held back; bytes that are no UTF-8 are U+FFFD.
func (s *Stream) Flush() string {
	if len(s.pending) == 0 {
		return ""
	}
	return s.take(s.all())
}

// all is the text of all tokens that are kept.
func (s *Stream) all() string { return s.t.Decode(slices.Concat(s.last, s.pending)) }

// take returns what pending adds to the text of last to make all.
func (s *Stream) take(all string) string {
	s.broken = 0
	text, ok := strings.CutPrefix(all, s.t.Decode(s.last))
	if !ok {
		// Bytes that are no UTF-8 changed what came before them.
		text = s.t.Decode(s.pending)
	}
	if text != "" || len(s.pending) > maxSilent {
		s.last, s.pending = s.pending, s.last[:0]
	}
	return text
}
