package tokenizer

import "encoding/json"

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

func isTrue(b *bool) bool { return b == nil || *b }

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
