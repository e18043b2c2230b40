package tokenizer

import (
	"encoding/json"
	"regexp"
	"strings"
)

func (r *steps) preTokenizer(raw json.RawMessage, depth int) error {
	s, ok, err := r.read("pre_tokenizer", raw, depth)
	if !ok || err != nil {
		return err
	}
	add := func(f splitter) { r.t.splitters = append(r.t.splitters, f) }
	addPattern := func(pattern string, how behavior) error {
		f, err := compileSplitInverted(pattern, how, s.Invert && s.Type == "Split")
		if err == nil {
			add(f)
		}
		return err
	}
	switch s.Type {
	case "Sequence":
		for _, p := range s.PreTokenizers {
			if err := r.preTokenizer(p, depth+1); err != nil {
				return err
			}
		}
	case "ByteLevel":
		if err := r.grow("pre_tokenizer", 2); err != nil {
			return err
		}
		if isTrue(s.AddPrefixSpace) {
			add(prefixSpace)
		}
		if isTrue(s.UseRegex) {
			add(gpt2Split)
		}
		add(byteLevel)
	case "Split":
		p, err := s.splitPattern()
		if err != nil {
			return err
		}
		how, ok := behaviors[s.Behavior]
		if !ok {
			return unsupported("split behavior %.40q", s.Behavior)
		}
		return addPattern(p, how)
	case "Punctuation":
		how, ok := behaviors[s.Behavior]
		if s.Behavior == "" {
			how, ok = isolated, true
		}
		if !ok {
			return unsupported("split behavior %.40q", s.Behavior)
		}
		return addPattern("[!-/:-@\\[-`{-~\\p{P}]", how)
	case "Digits":
		if s.Individual {
			return addPattern(`\p{N}`, isolated)
		}
		return addPattern(`\p{N}+`, isolated)
	case "WhitespaceSplit":
		return addPattern(`\s+`, removed)
	case "Whitespace":
		return addPattern(`\w+|[^\w\s]+`, matchesOnly)
	case "CharDelimiterSplit":
		if s.Delimiter == "" || len(s.Delimiter) > maxPattern {
			return malformed("pre_tokenizer", "a delimiter of %d bytes", len(s.Delimiter))
		}
		return addPattern(regexp.QuoteMeta(s.Delimiter), removed)
	case "BertPreTokenizer":
		add(bertSplit)
	case "Metaspace":
		f, err := s.metaspace()
		if err != nil {
			return err
		}
		if err := r.grow("pre_tokenizer", len(s.Replacement)+1); err != nil {
			return err
		}
		add(f)
	default:
		return unsupported("pre-tokenizer %.40q", s.Type)
	}
	return nil
}

func (s *step) splitPattern() (string, error) {
	switch {
	case s.Pattern.Regex != nil:
		return *s.Pattern.Regex, nil
	case s.Pattern.String != nil:
		return regexp.QuoteMeta(*s.Pattern.String), nil
	}
	return "", malformed("pre_tokenizer", "split without a pattern")
}

func prefixSpace(out []string, s string, _ bool) []string {
	if s != "" && s[0] != ' ' {
		s = " " + s
	}
	return append(out, s)
}

// metaspace replaces spaces by a visible character, puts one before the text, and cuts before each.
func (s *step) metaspace() (splitter, error) {
	mark, scheme, cut := s.Replacement, s.PrependScheme, isTrue(s.Split)
	if scheme == "" {
		scheme = map[bool]string{true: "always", false: "never"}[isTrue(s.AddPrefixSpace)]
	}
	if mark == "" || scheme != "always" && scheme != "never" && scheme != "first" {
		return nil, malformed("pre_tokenizer", "Metaspace with replacement %.40q and scheme %.40q", mark, scheme)
	}
	return func(out []string, text string, first bool) []string {
		text = strings.ReplaceAll(text, " ", mark)
		if (scheme == "always" || scheme == "first" && first) && !strings.HasPrefix(text, mark) {
			text = mark + text
		}
		if !cut {
			return append(out, text)
		}
		for {
			next := -1
			if len(text) > len(mark) {
				from := 0
				if strings.HasPrefix(text, mark) {
					from = len(mark)
				}
				if next = strings.Index(text[from:], mark); next >= 0 {
					next += from
				}
			}
			if next < 0 {
				return append(out, text)
			}
			out = append(out, text[:next])
			text = text[next:]
		}
	}, nil
}
