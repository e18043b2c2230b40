package safetensors

import (
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner reads the small part of JSON that a safetensors header consists of. Its grammar has a fixed depth, and keys are
// compared exactly, which encoding/json does not do.
type scanner struct {
	b []byte
	i int
}

func (s *scanner) fail(format string, args ...any) error {
	return malformed("", int64(8+s.i), format, args...)
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// accept consumes c, after white space, if it comes next.
func (s *scanner) accept(c byte) bool {
	s.space()
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

func (s *scanner) expect(c byte) error {
	if s.accept(c) {
		return nil
	}
	if s.i >= len(s.b) {
		return s.fail("header ends where %q should come", c)
	}
	return s.fail("found %q where %q should come", s.b[s.i], c)
}

// object reads {"key": value, …} and calls field for each key; field consumes the value.
func (s *scanner) object(field func(key string) error) error {
	if err := s.expect('{'); err != nil {
		return err
	}
	if s.accept('}') {
		return nil
	}
	for {
		key, err := s.str()
		if err != nil {
			return err
		}
		if err := s.expect(':'); err != nil {
			return err
		}
		if err := field(key); err != nil {
			return err
		}
		if s.accept('}') {
			return nil
		}
		if err := s.expect(','); err != nil {
			return err
		}
	}
}

// ints reads an array of non-negative integers with at most limit members.
func (s *scanner) ints(limit int) ([]int, error) {
	if err := s.expect('['); err != nil {
		return nil, err
	}
	var out []int
	if s.accept(']') {
		return out, nil
	}
	for {
		if len(out) == limit {
			return nil, s.fail("more than %d numbers in an array", limit)
		}
		s.space()
		start := s.i
		for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
			s.i++
		}
		digits := string(s.b[start:min(s.i, start+20)])
		n, err := strconv.ParseInt(digits, 10, strconv.IntSize)
		if err != nil || s.i-start > 19 || len(digits) > 1 && digits[0] == '0' {
			return nil, s.fail("%q is no non-negative integer of 63 bits", digits)
		}
		out = append(out, int(n))
		if s.accept(']') {
			return out, nil
		}
		if err := s.expect(','); err != nil {
			return nil, err
		}
	}
}

// str reads a JSON string.
func (s *scanner) str() (string, error) {
	if err := s.expect('"'); err != nil {
		return "", err
	}
	start := s.i
	for s.i < len(s.b) && s.b[s.i] != '"' && s.b[s.i] != '\\' && s.b[s.i] >= ' ' {
		s.i++
	}
	if s.i < len(s.b) && s.b[s.i] == '"' {
		raw := s.b[start:s.i]
		if !utf8.Valid(raw) {
			return "", s.fail("string is not UTF-8")
		}
		s.i++
		return string(raw), nil
	}
	out := append([]byte(nil), s.b[start:s.i]...)
	for s.i < len(s.b) {
		c := s.b[s.i]
		s.i++
		switch {
		case c == '"':
			if !utf8.Valid(out) {
				return "", s.fail("string is not UTF-8")
			}
			return string(out), nil
		case c < ' ':
			return "", s.fail("control character in a string")
		case c != '\\':
			out = append(out, c)
		default:
			r, err := s.escape()
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, r)
		}
	}
	return "", s.fail("string does not end")
}

var escapes = map[byte]rune{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func (s *scanner) escape() (rune, error) {
	if s.i >= len(s.b) {
		return 0, s.fail("string does not end")
	}
	c := s.b[s.i]
	s.i++
	if r, ok := escapes[c]; ok {
		return r, nil
	}
	if c != 'u' {
		return 0, s.fail("unknown escape \\%c", c)
	}
	r, err := s.hex4()
	if err != nil || !utf16.IsSurrogate(r) {
		return r, err
	}
	if s.i+2 <= len(s.b) && s.b[s.i] == '\\' && s.b[s.i+1] == 'u' {
		s.i += 2
		low, err := s.hex4()
		if err != nil {
			return 0, err
		}
		if full := utf16.DecodeRune(r, low); full != utf8.RuneError {
			return full, nil
		}
	}
	return 0, s.fail("lone surrogate in a string")
}

func (s *scanner) hex4() (rune, error) {
	if s.i+4 > len(s.b) {
		return 0, s.fail("string does not end")
	}
	n, err := strconv.ParseUint(string(s.b[s.i:s.i+4]), 16, 16)
	if err != nil {
		return 0, s.fail("bad \\u escape")
	}
	s.i += 4
	return rune(n), nil
}

// entry reads {"dtype": …, "shape": […], "data_offsets": [begin, end]}.
func (s *scanner) entry(name string) (dtype string, shape []int, begin, end int64, err error) {
	var seen [3]bool
	once := func(i int, key string) error {
		if seen[i] {
			return malformed(name, int64(8+s.i), "%s given twice", key)
		}
		seen[i] = true
		return nil
	}
	err = s.object(func(key string) (err error) {
		switch key {
		case "dtype":
			if err := once(0, key); err != nil {
				return err
			}
			dtype, err = s.str()
		case "shape":
			if err := once(1, key); err != nil {
				return err
			}
			shape, err = s.ints(maxDims)
		case "data_offsets":
			if err := once(2, key); err != nil {
				return err
			}
			var span []int
			span, err = s.ints(2)
			if err == nil && len(span) != 2 {
				return malformed(name, int64(8+s.i), "data_offsets has %d numbers", len(span))
			}
			if err == nil {
				begin, end = int64(span[0]), int64(span[1])
			}
		default:
			return malformed(name, int64(8+s.i), "unknown field %.40q", key)
		}
		return err
	})
	if err == nil && seen != [3]bool{true, true, true} {
		err = malformed(name, int64(8+s.i), "dtype, shape or data_offsets is missing")
	}
	if err != nil {
		return "", nil, 0, 0, fmt.Errorf("tensor %.120q: %w", name, err)
	}
	return dtype, shape, begin, end, nil
}
