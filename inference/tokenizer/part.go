package tokenizer

import (
	"encoding/json"
	"errors"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// part is a normalizer, a pre-tokenizer or a decoder of a tokenizer.json:
// the fields of all kinds together.
type part struct {
	Type          string `json:"type"`
	Normalizers   []part `json:"normalizers"`
	PreTokenizers []part `json:"pretokenizers"`
	Decoders      []part `json:"decoders"`

	Prepend        string          `json:"prepend"`
	Content        string          `json:"content"`
	Pattern        json.RawMessage `json:"pattern"`
	Behavior       string          `json:"behavior"`
	Invert         bool            `json:"invert"`
	AddPrefixSpace bool            `json:"add_prefix_space"`
	UseRegex       *bool           `json:"use_regex"`
	Replacement    string          `json:"replacement"`
	PrependScheme  string          `json:"prepend_scheme"`
	Split          *bool           `json:"split"`
	Individual     bool            `json:"individual_digits"`
	Start          int             `json:"start"`
	Stop           int             `json:"stop"`
	StripLeft      bool            `json:"strip_left"`
	StripRight     bool            `json:"strip_right"`
}

// sequence returns the parts of a sequence, or the part itself.
func (p *part) sequence(parts []part) ([]part, error) {
	switch {
	case p == nil:
		return nil, nil
	case p.Type != "Sequence":
		return []part{*p}, nil
	case len(parts) > maxParts:
		return nil, errors.New("a sequence of the tokenizer has too many parts")
	}
	for _, q := range parts {
		if q.Type == "Sequence" {
			return nil, unsupported("tokenizer", "sequences in sequences")
		}
	}
	return parts, nil
}

// pattern returns what a pattern says: literal text or a regular expression.
func (p *part) pattern() (text, regex string, err error) {
	var v struct {
		String *string `json:"String"`
		Regex  *string `json:"Regex"`
	}
	if err := json.Unmarshal(p.Pattern, &v); err != nil {
		return "", "", err
	}
	switch {
	case v.String != nil && *v.String != "":
		return *v.String, "", nil
	case v.Regex != nil && *v.Regex != "":
		return "", *v.Regex, nil
	}
	return "", "", errors.New("a pattern of the tokenizer is empty")
}

func (p *part) normalizers() ([]normalizer, error) {
	if p == nil {
		return nil, nil
	}
	parts, err := p.sequence(p.Normalizers)
	if err != nil {
		return nil, err
	}
	var list []normalizer
	for _, q := range parts {
		n, err := q.normalizer()
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, nil
}

func (p *part) normalizer() (normalizer, error) {
	every := func(f func(string) string) (normalizer, error) {
		return func(text string, _ bool) string { return f(text) }, nil
	}
	switch p.Type {
	case "NFC":
		return every(norm.NFC.String)
	case "NFD":
		return every(norm.NFD.String)
	case "NFKC":
		return every(norm.NFKC.String)
	case "NFKD":
		return every(norm.NFKD.String)
	case "Lowercase":
		return every(strings.ToLower)
	case "Strip":
		return every(func(text string) string {
			if p.StripLeft {
				text = strings.TrimLeft(text, " \t\r\n")
			}
			if p.StripRight {
				text = strings.TrimRight(text, " \t\r\n")
			}
			return text
		})
	case "Prepend":
		return every(func(text string) string {
			if text == "" {
				return text
			}
			return p.Prepend + text
		})
	case "Replace":
		text, regex, err := p.pattern()
		if err != nil {
			return nil, err
		}
		if regex != "" {
			return nil, unsupported("normalizer", "replacement by pattern %.80q", regex)
		}
		return every(func(s string) string { return strings.ReplaceAll(s, text, p.Content) })
	}
	return nil, unsupported("normalizer", "%.40q", p.Type)
}

// preTokenizer is what a sequence of pre-tokenizers comes to.
type preTokenizer struct {
	normalize []normalizer // what they do to the text before they cut it
	split     []splitter
	byteLevel bool
}

func (p *part) preTokenizers() (preTokenizer, error) {
	var t preTokenizer
	if p == nil {
		return t, nil
	}
	parts, err := p.sequence(p.PreTokenizers)
	if err != nil {
		return t, err
	}
	for _, q := range parts {
		if err := q.preTokenize(&t); err != nil {
			return t, err
		}
	}
	return t, nil
}

func (p *part) preTokenize(t *preTokenizer) error {
	switch p.Type {
	case "ByteLevel":
		t.byteLevel = true
		if p.AddPrefixSpace {
			if len(t.split) > 0 {
				return unsupported("pre-tokenizer", "a prefix space behind a split")
			}
			t.normalize = append(t.normalize, func(text string, _ bool) string {
				if strings.HasPrefix(text, " ") {
					return text
				}
				return " " + text
			})
		}
		if orDefault(p.UseRegex, true) {
			t.split = append(t.split, gpt2Scanner.split)
		}
		return nil
	case "Digits":
		if !p.Individual {
			return unsupported("pre-tokenizer", "runs of digits")
		}
		t.split = append(t.split, splitDigits)
		return nil
	case "Split":
		s, err := p.splitter()
		t.split = append(t.split, s)
		return err
	case "Metaspace":
		return p.metaspace(t)
	}
	return unsupported("pre-tokenizer", "%.40q", p.Type)
}

func (p *part) splitter() (splitter, error) {
	if p.Behavior != "Isolated" || p.Invert {
		return nil, unsupported("pre-tokenizer", "split with behavior %.40q, invert %v", p.Behavior, p.Invert)
	}
	text, regex, err := p.pattern()
	if err != nil {
		return nil, err
	}
	if regex != "" {
		return splitPattern(regex)
	}
	return func(s string) []string {
		return isolate(s, func(s string) (from, to int) {
			i := strings.Index(s, text)
			return i, i + len(text)
		})
	}, nil
}

// metaspace writes spaces as U+2581, with one in front, and cuts before each.
func (p *part) metaspace(t *preTokenizer) error {
	mark := p.Replacement
	if mark == "" || len(t.split) > 0 {
		return unsupported("pre-tokenizer", "Metaspace with replacement %.10q behind %d splits", mark, len(t.split))
	}
	scheme := p.PrependScheme
	if scheme == "" && p.AddPrefixSpace {
		scheme = "always"
	}
	t.normalize = append(t.normalize, func(text string, first bool) string {
		text = strings.ReplaceAll(text, " ", mark)
		if (scheme == "always" || scheme == "first" && first) && !strings.HasPrefix(text, mark) {
			text = mark + text
		}
		return text
	})
	if orDefault(p.Split, true) {
		t.split = append(t.split, func(text string) []string {
			var pieces []string
			for text != "" {
				n := strings.Index(text[1:], mark) + 1
				if n == 0 {
					n = len(text)
				}
				pieces, text = append(pieces, text[:n]), text[n:]
			}
			return pieces
		})
	}
	return nil
}

func (p *part) decoder() (decoder, error) {
	var d decoder
	if p == nil {
		return d, nil
	}
	parts, err := p.sequence(p.Decoders)
	if err != nil {
		return d, err
	}
	for _, q := range parts {
		switch q.Type {
		case "ByteLevel":
			d.bytes = true
		case "ByteFallback":
			d.fallback = true
		case "Fuse":
		case "Metaspace":
			d.spaces, d.stripFirst = true, q.PrependScheme != "never"
		case "Replace":
			text, _, err := q.pattern()
			if err != nil {
				return d, err
			}
			if text != "\u2581" || q.Content != " " {
				return d, unsupported("decoder", "replacement of %.40q", text)
			}
			d.spaces = true
		case "Strip":
			if q.Content != " " || q.Start != 1 || q.Stop != 0 {
				return d, unsupported("decoder", "strip of %.40q", q.Content)
			}
			d.stripFirst = true
		default:
			return d, unsupported("decoder", "%.40q", q.Type)
		}
	}
	return d, nil
}
