package inference

import "strings"

// stopper cuts a text that comes in pieces before the first of some strings.
type stopper struct {
	stops []string
	held  string // what may be the beginning of one
}

// add returns the text that can no longer be part of a stop string, and whether one was found, after which there is nothing more.
func (s *stopper) add(text string) (safe string, found bool) {
	text = s.held + text
	first := -1
	for _, stop := range s.stops {
		if i := strings.Index(text, stop); i >= 0 && (first < 0 || i < first) {
			first = i
		}
	}
	if first >= 0 {
		s.held = ""
		return text[:first], true
	}
	hold := 0
	for _, stop := range s.stops {
		for n := min(len(stop)-1, len(text)); n > hold; n-- {
			if strings.HasSuffix(text, stop[:n]) {
				hold = n
			}
		}
	}
	s.held = text[len(text)-hold:]
	return text[:len(text)-hold], false
}

// flush returns what was held back.
func (s *stopper) flush() string {
	held := s.held
	s.held = ""
	return held
}
