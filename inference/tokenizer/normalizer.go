package tokenizer

import (
	"encoding/json"
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

func (r *steps) normalizer(raw json.RawMessage, depth int) error {
	s, ok, err := r.read("normalizer", raw, depth)
	if !ok || err != nil {
		return err
	}
	add := func(f func(string) string) {
		r.t.normalizers = append(r.t.normalizers, f)
		r.contentNormalizers = append(r.contentNormalizers, f)
	}
	switch s.Type {
	case "Sequence":
		for _, n := range s.Normalizers {
			if err := r.normalizer(n, depth+1); err != nil {
				return err
			}
		}
	case "NFC":
		add(norm.NFC.String)
	case "NFD":
		add(norm.NFD.String)
	case "NFKC":
		add(norm.NFKC.String)
	case "NFKD":
		add(norm.NFKD.String)
	case "Lowercase":
		add(lowercase)
	case "BertNormalizer":
		if err := r.grow("normalizer", 4); err != nil {
			return err
		}
		o := bertOptions{isTrue(s.CleanText), isTrue(s.Chinese), isTrue(s.Lowercase), isTrue(s.Lowercase)}
		if s.StripAccents != nil {
			o.accents = *s.StripAccents
		}
		add(bertNormalizer(o))
	case "Precompiled":
		if len(s.Charsmap) == 0 {
			break
		}
		m, err := newCharsmap(s.Charsmap)
		if err != nil {
			return err
		}
		if err := r.grow("normalizer", maxReplacement); err != nil {
			return err
		}
		add(m.normalize)
	case "StripAccents":
		add(stripMarks)
	case "Strip":
		add(func(text string) string {
			if s.Left {
				text = strings.TrimLeftFunc(text, unicode.IsSpace)
			}
			if s.Right {
				text = strings.TrimRightFunc(text, unicode.IsSpace)
			}
			return text
		})
	case "Prepend":
		if err := r.grow("normalizer", len(s.Prepend)+1); err != nil {
			return err
		}
		r.t.normalizers = append(r.t.normalizers, func(text string) string {
			if text == "" {
				return text
			}
			return s.Prepend + text
		})
	case "Replace":
		f, err := s.replace()
		if err != nil {
			return err
		}
		if err := r.grow("normalizer", s.replaceGrowth()); err != nil {
			return err
		}
		add(f)
	default:
		return unsupported("normalizer %.40q", s.Type)
	}
	return nil
}

// replace returns the function of a Replace step.
func (s *step) replace() (func(string) string, error) {
	switch {
	case s.Pattern.String != nil && *s.Pattern.String != "":
		from := *s.Pattern.String
		return func(text string) string { return strings.ReplaceAll(text, from, s.Content) }, nil
	case s.Pattern.Regex != nil && len(*s.Pattern.Regex) <= maxPattern:
		p, err := translate(*s.Pattern.Regex)
		if err != nil {
			return nil, err
		}
		re, err := regexp.Compile(p)
		if err != nil {
			return nil, unsupported("pattern %.200q: %v", *s.Pattern.Regex, err)
		}
		return func(text string) string { return re.ReplaceAllLiteralString(text, s.Content) }, nil
	}
	return nil, malformed("Replace", "no pattern of at most %d bytes", maxPattern)
}

// replaceGrowth returns how many times longer a Replace step can make a text.
func (s *step) replaceGrowth() int {
	if s.Pattern.String != nil && *s.Pattern.String != "" {
		return (len(s.Content) + len(*s.Pattern.String) - 1) / len(*s.Pattern.String)
	}
	return 2*len(s.Content) + 1 // an expression can match before, at and after each byte
}
