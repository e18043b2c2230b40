package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// file is a tokenizer.json. Source: huggingface/tokenizers.
type file struct {
	Added []struct {
		ID         int    `json:"id"`
		Content    string `json:"content"`
		SingleWord bool   `json:"single_word"`
		LStrip     bool   `json:"lstrip"`
		RStrip     bool   `json:"rstrip"`
		Special    bool   `json:"special"`
	} `json:"added_tokens"`
	Normalizer    *part           `json:"normalizer"`
	PreTokenizer  *part           `json:"pre_tokenizer"`
	PostProcessor *postProcessor  `json:"post_processor"`
	Decoder       *part           `json:"decoder"`
	Model         json.RawMessage `json:"model"`
}

// modelFile is the model of a tokenizer.json, for BPE.
type modelFile struct {
	Type          string            `json:"type"`
	Vocab         json.RawMessage   `json:"vocab"`
	Merges        []json.RawMessage `json:"merges"`
	Unknown       *string           `json:"unk_token"`
	FuseUnknown   bool              `json:"fuse_unk"`
	ByteFallback  bool              `json:"byte_fallback"`
	IgnoreMerges  bool              `json:"ignore_merges"`
	Dropout       *float64          `json:"dropout"`
	SubwordPrefix *string           `json:"continuing_subword_prefix"`
	WordSuffix    *string           `json:"end_of_word_suffix"`
}

// configFile is what a tokenizer_config.json tells beyond the tokenizer.
type configFile struct {
	BOS    tokenName `json:"bos_token"`
	EOS    tokenName `json:"eos_token"`
	AddBOS *bool     `json:"add_bos_token"`
	AddEOS *bool     `json:"add_eos_token"`
}

// tokenName is a token as text or as an object with its content.
type tokenName string

// UnmarshalJSON implements json.Unmarshaler.
func (n *tokenName) UnmarshalJSON(p []byte) error {
	var s *string
	if json.Unmarshal(p, &s) == nil {
		if s != nil {
			*n = tokenName(*s)
		}
		return nil
	}
	var o struct {
		Content string `json:"content"`
	}
	if err := json.Unmarshal(p, &o); err != nil {
		return err
	}
	*n = tokenName(o.Content)
	return nil
}

// FromJSON returns the tokenizer of a tokenizer.json. Config is the
// tokenizer_config.json beside it, which names the special tokens, or nil.
// Errors: *UnsupportedError; others when a file is malformed.
func FromJSON(p, config []byte) (*Tokenizer, error) {
	if len(p) > MaxFileSize || len(config) > MaxFileSize {
		return nil, fmt.Errorf("tokenizer files of %d and %d bytes; at most %d are allowed", len(p), len(config), MaxFileSize)
	}
	var f file
	if err := json.Unmarshal(p, &f); err != nil {
		return nil, fmt.Errorf("read tokenizer.json: %w", err)
	}
	var c configFile
	if config != nil {
		if err := json.Unmarshal(config, &c); err != nil {
			return nil, fmt.Errorf("read tokenizer_config.json: %w", err)
		}
	}
	t := &Tokenizer{bos: -1, eos: -1}
	m, err := t.readModel(f.Model)
	if err != nil {
		return nil, err
	}
	if err := t.readAdded(f); err != nil {
		return nil, err
	}
	if t.normalize, err = f.Normalizer.normalizers(); err != nil {
		return nil, err
	}
	pre, err := f.PreTokenizer.preTokenizers()
	if err != nil {
		return nil, err
	}
	t.normalize, t.split, m.toMapped = append(t.normalize, pre.normalize...), pre.split, pre.byteLevel
	if t.decoder, err = f.Decoder.decoder(); err != nil {
		return nil, err
	}
	if t.decoder.bytes != m.toMapped {
		return nil, errors.New("of pre-tokenizer and decoder only one is byte-level")
	}
	t.model, t.kind = m, "bpe-chars"
	if m.toMapped {
		t.kind = "bpe-bytes"
	}
	return t, t.readSpecial(f.PostProcessor, c)
}

func (t *Tokenizer) readModel(p json.RawMessage) (*bpe, error) {
	var f modelFile
	if err := json.Unmarshal(p, &f); err != nil {
		// Unigram writes its vocabulary as a list; the type tells.
		return nil, fmt.Errorf("read the model of tokenizer.json: %w", err)
	}
	switch {
	case f.Type != "BPE" && (f.Type != "" || f.Merges == nil):
		return nil, unsupported("tokenizer", "model %.40q", f.Type)
	case f.Dropout != nil && *f.Dropout != 0:
		return nil, unsupported("tokenizer", "BPE with dropout")
	case f.SubwordPrefix != nil && *f.SubwordPrefix != "", f.WordSuffix != nil && *f.WordSuffix != "":
		return nil, unsupported("tokenizer", "BPE with prefixes or suffixes of words")
	case len(f.Merges) > maxMerges:
		return nil, fmt.Errorf("there are %d merges; at most %d are allowed", len(f.Merges), maxMerges)
	}
	var ids map[string]int
	if err := json.Unmarshal(f.Vocab, &ids); err != nil {
		return nil, fmt.Errorf("read the vocabulary of tokenizer.json: %w", err)
	}
	var err error
	if t.vocab, err = newVocabulary(ids); err != nil {
		return nil, err
	}
	merges := make([][2]string, 0, len(f.Merges))
	for _, raw := range f.Merges {
		m, err := readMerge(raw)
		if err != nil {
			return nil, err
		}
		merges = append(merges, m)
	}
	b, err := newBPE(t.vocab, merges)
	if err != nil {
		return nil, err
	}
	b.wholes, b.fuse = f.IgnoreMerges, f.FuseUnknown
	if f.Unknown != nil {
		id, ok := ids[*f.Unknown]
		if !ok {
			return nil, fmt.Errorf("the unknown token %.40q is not in the vocabulary", *f.Unknown)
		}
		b.unknown = id
	}
	if f.ByteFallback {
		if bytes, ok := t.vocab.byteIDs(); ok {
			b.bytes = &bytes
		}
	}
	return b, nil
}

// readMerge reads a merge in either notation: "a b" or ["a","b"].
func readMerge(raw json.RawMessage) ([2]string, error) {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return parseMerge(s)
	}
	var pair []string
	if err := json.Unmarshal(raw, &pair); err != nil || len(pair) != 2 {
		return [2]string{}, fmt.Errorf("merge %.40s is not two tokens", raw)
	}
	return [2]string{pair[0], pair[1]}, nil
}

// readAdded adds the added tokens, some of which are not in the model's own
// vocabulary.
func (t *Tokenizer) readAdded(f file) error {
	if len(f.Added) > maxAdded {
		return fmt.Errorf("there are %d added tokens; at most %d are allowed", len(f.Added), maxAdded)
	}
	list := make([]addedToken, 0, len(f.Added))
	for _, a := range f.Added {
		if a.ID < 0 || a.ID >= maxTokens {
			return fmt.Errorf("added token %.40q has the id %d; ids are below %d", a.Content, a.ID, maxTokens)
		}
		if grow := a.ID + 1 - len(t.vocab.tokens); grow > 0 {
			t.vocab.tokens = append(t.vocab.tokens, make([]string, grow)...)
		}
		if have := t.vocab.tokens[a.ID]; have != "" && have != a.Content {
			return fmt.Errorf("added token %.40q has the id %d of %.40q", a.Content, a.ID, have)
		}
		t.vocab.tokens[a.ID], t.vocab.ids[a.Content] = a.Content, a.ID
		list = append(list, addedToken{
			id: a.ID, text: a.Content, special: a.Special, singleWord: a.SingleWord, lstrip: a.LStrip, rstrip: a.RStrip,
		})
	}
	var err error
	t.added, err = newAddedTokens(list)
	return err
}

// postProcessor puts special tokens around a text.
type postProcessor struct {
	Type       string          `json:"type"`
	Processors []postProcessor `json:"processors"`
	Single     []struct {
		Special *struct {
			ID string `json:"id"`
		} `json:"SpecialToken"`
		Sequence *struct {
			ID string `json:"id"`
		} `json:"Sequence"`
	} `json:"single"`
	Special map[string]struct {
		IDs []int `json:"ids"`
	} `json:"special_tokens"`
}

// around returns the ids before and after a text.
func (p *postProcessor) around(size, depth int) (prefix, suffix []int, err error) {
	if p == nil {
		return nil, nil, nil
	}
	switch p.Type {
	case "ByteLevel":
		return nil, nil, nil
	case "Sequence":
		if depth > 4 || len(p.Processors) > maxParts {
			return nil, nil, errors.New("the post-processor is nested too deep")
		}
		for _, q := range p.Processors {
			before, after, err := q.around(size, depth+1)
			if err != nil {
				return nil, nil, err
			}
			prefix, suffix = append(before, prefix...), append(suffix, after...)
		}
		return prefix, suffix, nil
	case "TemplateProcessing":
	default:
		return nil, nil, unsupported("post-processor", "%.40q", p.Type)
	}
	if len(p.Single) > maxParts {
		return nil, nil, fmt.Errorf("the post-processor's template has %d parts; at most %d are allowed", len(p.Single), maxParts)
	}
	seen := false
	for _, item := range p.Single {
		if item.Sequence != nil {
			seen = true
			continue
		}
		if item.Special == nil {
			return nil, nil, errors.New("a part of the post-processor's template is neither text nor token")
		}
		ids := p.Special[item.Special.ID].IDs
		if len(ids) == 0 || slices.ContainsFunc(ids, func(id int) bool { return id < 0 || id >= size }) {
			return nil, nil, fmt.Errorf("the post-processor's token %.40q is not known", item.Special.ID)
		}
		if seen {
			suffix = append(suffix, ids...)
		} else {
			prefix = append(prefix, ids...)
		}
	}
	return prefix, suffix, nil
}

// readSpecial settles which ids begin and end a text. Without a template the
// configuration decides, as for Llama's first tokenizers.
func (t *Tokenizer) readSpecial(p *postProcessor, c configFile) (err error) {
	if t.prefix, t.suffix, err = p.around(len(t.vocab.tokens), 0); err != nil {
		return err
	}
	if id, ok := t.vocab.ids[string(c.BOS)]; ok && c.BOS != "" {
		t.bos = id
	} else if len(t.prefix) > 0 {
		t.bos = t.prefix[0]
	}
	if id, ok := t.vocab.ids[string(c.EOS)]; ok && c.EOS != "" {
		t.eos = id
	} else if len(t.suffix) > 0 {
		t.eos = t.suffix[len(t.suffix)-1]
	}
	if t.prefix == nil && t.suffix == nil && p == nil {
		if t.bos >= 0 && orDefault(c.AddBOS, false) {
			t.prefix = []int{t.bos}
		}
		if t.eos >= 0 && orDefault(c.AddEOS, false) {
			t.suffix = []int{t.eos}
		}
	}
	return nil
}
