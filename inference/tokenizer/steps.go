package tokenizer

import (
	"encoding/json"
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// steps reads the normalizers, pre-tokenizers, decoders and post-processors of a tokenizer.json.
type steps struct {
	t      *Tokenizer
	count  int
	growth float64 // how many times longer the steps so far can make a text
	// contentNormalizers are the normalizers that do not add text, which is all that applies to added tokens.
	contentNormalizers []func(string) string
}

// step is the union of the fields that the steps have.
type step struct {
	Type           string            `json:"type"`
	Normalizers    []json.RawMessage `json:"normalizers"`
	PreTokenizers  []json.RawMessage `json:"pretokenizers"`
	Processors     []json.RawMessage `json:"processors"`
	Decoders       []json.RawMessage `json:"decoders"`
	Prepend        string            `json:"prepend"`
	Pattern        pattern           `json:"pattern"`
	Content        string            `json:"content"`
	Behavior       string            `json:"behavior"`
	Invert         bool              `json:"invert"`
	AddPrefixSpace *bool             `json:"add_prefix_space"`
	UseRegex       *bool             `json:"use_regex"`
	Replacement    string            `json:"replacement"`
	PrependScheme  string            `json:"prepend_scheme"`
	Split          *bool             `json:"split"`
	Individual     bool              `json:"individual_digits"`
	Left           bool              `json:"strip_left"`
	Right          bool              `json:"strip_right"`
	CleanText      *bool             `json:"clean_text"`
	Chinese        *bool             `json:"handle_chinese_chars"`
	StripAccents   *bool             `json:"strip_accents"`
	Lowercase      *bool             `json:"lowercase"`
	Charsmap       []byte            `json:"precompiled_charsmap"`
	Delimiter      string            `json:"delimiter"`
	Prefix         string            `json:"prefix"`
	Cleanup        *bool             `json:"cleanup"`
	CLS            json.RawMessage   `json:"cls"`
	SEP            json.RawMessage   `json:"sep"`
	Start          int               `json:"start"`
	Stop           int               `json:"stop"`
	Single         []templatePart    `json:"single"`
	Pair           []templatePart    `json:"pair"`
	SpecialTokens  map[string]struct {
		IDs []int `json:"ids"`
	} `json:"special_tokens"`
}

type pattern struct {
	String *string
	Regex  *string
}

type templatePart struct {
	SpecialToken, Sequence *struct {
		ID     string `json:"id"`
		TypeID int    `json:"type_id"`
	}
}

// read parses a step; ok is false for none.
func (r *steps) read(what string, raw json.RawMessage, depth int) (s step, ok bool, err error) {
	if len(raw) == 0 || string(raw) == "null" {
		return s, false, nil
	}
	if r.count++; r.count > maxSteps || depth > maxDepth {
		return s, false, malformed(what, "more than %d steps, or nested deeper than %d", maxSteps, maxDepth)
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return s, false, malformed(what, "%v", err)
	}
	return s, true, nil
}

// maxGrowth bounds how many times longer all steps of a kind together can make a text.
const maxGrowth = 1 << 10

// grow notes that a step can make a text factor times longer.
func (r *steps) grow(what string, factor int) error {
	r.growth = max(r.growth, 1) * float64(max(factor, 1))
	if r.growth > maxGrowth {
		return malformed(what, "the steps can make a text %g times longer", r.growth)
	}
	return nil
}

// replaceGrowth returns how many times longer a Replace step can make a text.
func (s *step) replaceGrowth() int {
	if s.Pattern.String != nil && *s.Pattern.String != "" {
		return (len(s.Content) + len(*s.Pattern.String) - 1) / len(*s.Pattern.String)
	}
	return 2*len(s.Content) + 1 // an expression can match before, at and after each byte
}

func isTrue(b *bool) bool { return b == nil || *b }

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

func (r *steps) decoder(raw json.RawMessage, depth int) error {
	s, ok, err := r.read("decoder", raw, depth)
	if !ok || err != nil {
		return err
	}
	add := func(d decoder) { r.t.decoders = append(r.t.decoders, d) }
	switch s.Type {
	case "Sequence":
		for _, d := range s.Decoders {
			if err := r.decoder(d, depth+1); err != nil {
				return err
			}
		}
	case "ByteLevel":
		add(decodeByteLevel)
	case "ByteFallback":
		add(decodeBytes)
	case "Fuse":
		add(fuse)
	case "Strip":
		if s.Start < 0 || s.Stop < 0 || s.Start > maxPiece || s.Stop > maxPiece {
			return malformed("decoder", "Strip of %d and %d", s.Start, s.Stop)
		}
		add(strip(s.Content, s.Start, s.Stop))
	case "Replace":
		f, err := s.replace()
		if err != nil {
			return err
		}
		if err := r.grow("decoder", s.replaceGrowth()); err != nil {
			return err
		}
		add(each(f))
	case "WordPiece":
		add(decodeWords("", s.Prefix, isTrue(s.Cleanup)))
	case "Metaspace":
		if s.Replacement == "" {
			return malformed("decoder", "Metaspace without a replacement")
		}
		add(decodeMetaspace(s.Replacement, s.PrependScheme != "never" && isTrue(s.AddPrefixSpace)))
	default:
		return unsupported("decoder %.40q", s.Type)
	}
	return nil
}

func (r *steps) postProcessor(raw json.RawMessage, depth int) error {
	s, ok, err := r.read("post_processor", raw, depth)
	if !ok || err != nil {
		return err
	}
	switch s.Type {
	case "Sequence":
		for _, p := range s.Processors {
			if err := r.postProcessor(p, depth+1); err != nil {
				return err
			}
		}
	case "ByteLevel": // trims offsets, which are not kept here
	case "TemplateProcessing":
		return r.template(s)
	case "BertProcessing", "RobertaProcessing":
		return r.around(s)
	default:
		return unsupported("post-processor %.40q", s.Type)
	}
	return nil
}

// around reads the tokens that BertProcessing and RobertaProcessing put around a text: pairs of a token and its id.
func (r *steps) around(s step) error {
	for _, x := range []struct {
		raw json.RawMessage
		to  *[]int
	}{{s.CLS, &r.t.prefix}, {s.SEP, &r.t.suffix}} {
		var pair []any
		if err := json.Unmarshal(x.raw, &pair); err != nil || len(pair) != 2 {
			return malformed("post_processor", "%s without a pair of token and id", s.Type)
		}
		id, ok := pair[1].(float64)
		if _, known := r.t.Piece(int(id)); !ok || id != float64(int(id)) || !known {
			return malformed("post_processor", "id %v is not in the vocabulary", pair[1])
		}
		*x.to = append(*x.to, int(id))
	}
	r.t.pairOf(s.Type == "RobertaProcessing")
	return nil
}

func (r *steps) template(s step) error {
	var before, after []int
	seen := false
	for _, p := range s.Single {
		switch {
		case p.Sequence != nil && p.Sequence.ID == "A" && !seen:
			seen = true
		case p.SpecialToken != nil:
			ids, err := r.templateToken(s, p.SpecialToken.ID)
			if err != nil {
				return err
			}
			if len(before)+len(after) > maxSteps {
				return malformed("post_processor", "template of more than %d special tokens", maxSteps)
			}
			if seen {
				after = append(after, ids...)
			} else {
				before = append(before, ids...)
			}
		default:
			return unsupported("post-processor template without exactly one sequence A")
		}
	}
	if !seen {
		return malformed("post_processor", "template without a sequence")
	}
	r.t.prefix = append(r.t.prefix, before...)
	r.t.suffix = append(r.t.suffix, after...)
	return r.pairTemplate(s)
}

// templateToken returns the ids of a special token in a template.
func (r *steps) templateToken(s step, token string) ([]int, error) {
	ids := s.SpecialTokens[token].IDs
	if len(ids) == 0 || len(ids) > maxSteps {
		return nil, malformed("post_processor", "special token %.80q has %d ids", token, len(ids))
	}
	for _, id := range ids {
		if _, ok := r.t.Piece(id); !ok {
			return nil, malformed("post_processor", "id %d is not in the vocabulary", id)
		}
	}
	return ids, nil
}

// pairTemplate reads how a pair of texts is written. A template without both texts is none.
func (r *steps) pairTemplate(s step) error {
	var parts []pairPart
	seen := map[string]int{}
	for _, p := range s.Pair {
		switch {
		case len(parts) >= maxSteps:
			return malformed("post_processor", "template of more than %d parts", maxSteps)
		case p.Sequence != nil:
			seen[p.Sequence.ID]++
			parts = append(parts, pairPart{text: map[string]int{"A": 1, "B": 2}[p.Sequence.ID], kind: p.Sequence.TypeID})
		case p.SpecialToken != nil:
			ids, err := r.templateToken(s, p.SpecialToken.ID)
			if err != nil {
				return err
			}
			parts = append(parts, pairPart{ids: ids, kind: p.SpecialToken.TypeID})
		}
	}
	for i, p := range parts {
		if p.kind < 0 || p.kind > maxTypes {
			return malformed("post_processor", "type %d of part %d", p.kind, i)
		}
	}
	if len(seen) == 2 && seen["A"] == 1 && seen["B"] == 1 {
		r.t.pair = parts
	}
	return nil
}

// maxTypes bounds the types of tokens.
const maxTypes = 1 << 10
