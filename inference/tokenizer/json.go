package tokenizer

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/carat-hub/carat/inference/internal/jsonwalk"
)

// Config is what the files beside tokenizer.json say: the texts of special tokens, empty where they are not given.
type Config struct{ BOS, EOS, UNK string }

// jsonFile has the parts of a tokenizer.json as they are written.
type jsonFile struct {
	addedTokens, normalizer, preTokenizer, postProcessor, decoder, model []byte
}

type jsonAdded struct {
	ID         int    `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// jsonModel is the model of a tokenizer.json without its long parts, which stay as they are written.
type jsonModel struct {
	vocab, merges []byte

	Type                    string   `json:"type"`
	Dropout                 *float64 `json:"dropout"`
	UnkToken                *string  `json:"unk_token"`
	ContinuingSubwordPrefix *string  `json:"continuing_subword_prefix"`
	EndOfWordSuffix         *string  `json:"end_of_word_suffix"`
	FuseUnk                 bool     `json:"fuse_unk"`
	ByteFallback            bool     `json:"byte_fallback"`
	IgnoreMerges            bool     `json:"ignore_merges"`
	UnkID                   *int     `json:"unk_id"`
	MaxChars                *int     `json:"max_input_chars_per_word"`
}

// parseFile finds the parts of a tokenizer.json.
func parseFile(b []byte) (f jsonFile, err error) {
	if len(b) > MaxFile {
		return f, malformed("", "%d bytes exceed the limit of %d", len(b), MaxFile)
	}
	if !json.Valid(b) {
		var v struct{}
		return f, malformed("", "%v", json.Unmarshal(b, &v))
	}
	parts := map[string]*[]byte{
		`"added_tokens"`: &f.addedTokens, `"normalizer"`: &f.normalizer, `"pre_tokenizer"`: &f.preTokenizer,
		`"post_processor"`: &f.postProcessor, `"decoder"`: &f.decoder, `"model"`: &f.model,
	}
	ok, err := jsonwalk.EachMember(bytes.TrimSpace(b), func(key, value []byte) error {
		if to := parts[string(key)]; to != nil {
			*to = value
		}
		return nil
	})
	if !ok {
		return f, malformed("", "not a JSON object")
	}
	return f, err
}

// maxSection and maxValues bound the parts of a tokenizer.json other than vocabulary and merges: their bytes, and how many values
// they hold, of which each takes memory.
const (
	maxSection = 8 << 20
	maxValues  = 1 << 16
)

// section checks a part that is read as a whole.
func section(where string, b []byte) error {
	if n := bytes.Count(b, []byte(",")) + bytes.Count(b, []byte("[")) + bytes.Count(b, []byte("{")); len(b) > maxSection || n > maxValues {
		return malformed(where, "%d bytes with about %d values exceed the limits of %d and %d", len(b), n, maxSection, maxValues)
	}
	return nil
}

// parseModel reads the short members of a model.
func parseModel(b []byte) (m jsonModel, err error) {
	if b == nil || string(b) == "null" {
		return m, nil
	}
	short := []byte("{")
	ok, err := jsonwalk.EachMember(b, func(key, value []byte) error {
		switch string(key) {
		case `"vocab"`:
			m.vocab = value
		case `"merges"`:
			m.merges = value
		default:
			if len(key)+len(value) > maxPiece {
				return malformed("model", "member %.40q has %d bytes", key, len(value))
			}
			if len(short) > 1 {
				short = append(short, ',')
			}
			short = append(append(append(short, key...), ':'), value...)
			if len(short) > maxKey {
				return malformed("model", "too many members")
			}
		}
		return nil
	})
	if err != nil {
		return m, err
	}
	if !ok {
		return m, malformed("model", "not an object")
	}
	if err := json.Unmarshal(append(short, '}'), &m); err != nil {
		return m, malformed("model", "%v", err)
	}
	if m.Type == "" && m.merges != nil {
		m.Type = "BPE"
	}
	return m, nil
}

// JSONKind returns the kind of model in a tokenizer.json, in lower case: "bpe", "unigram", "wordpiece", "wordlevel". It returns a
// *fault.Malformed for what is no such file.
func JSONKind(b []byte) (string, error) {
	f, err := parseFile(b)
	if err != nil {
		return "", err
	}
	m, err := parseModel(f.model)
	if err != nil {
		return "", err
	}
	return strings.ToLower(m.Type), nil
}

// FromJSON reads a tokenizer.json of at most MaxFile bytes. It returns a *fault.Unsupported for a model or step it does not know and
// a *fault.Malformed for a damaged file.
func FromJSON(b []byte, c Config) (*Tokenizer, error) {
	f, err := parseFile(b)
	if err != nil {
		return nil, err
	}
	m, err := parseModel(f.model)
	if err != nil {
		return nil, err
	}
	for where, part := range map[string][]byte{
		"normalizer": f.normalizer, "pre_tokenizer": f.preTokenizer, "post_processor": f.postProcessor, "decoder": f.decoder,
	} {
		if err := section(where, part); err != nil {
			return nil, err
		}
	}
	kind := strings.ToLower(m.Type)
	read := map[string]func(jsonModel) (*jsonVocabulary, error){
		"bpe": readBPE, "wordpiece": readWordPiece, "unigram": readUnigram, "wordlevel": readWordLevel,
	}[kind]
	if read == nil {
		return nil, unsupported("model %.40q of tokenizer.json", m.Type)
	}
	v, err := read(m)
	if err != nil {
		return nil, err
	}
	added, err := readAdded(f.addedTokens)
	if err != nil {
		return nil, err
	}
	t, err := newTokenizer(kind, v.ids, added)
	if err != nil {
		return nil, err
	}
	if t.model, err = v.model(); err != nil {
		return nil, err
	}
	t.unk = v.unk
	for _, s := range []struct {
		to   *int
		text string
	}{{&t.bos, c.BOS}, {&t.eos, c.EOS}, {&t.unk, c.UNK}} {
		if id, ok := t.ID(s.text); ok && s.text != "" {
			*s.to = id
			t.special[id] = true
		}
	}
	return t, t.readSteps(&f)
}

// readAdded reads the added tokens.
func readAdded(b []byte) ([]addedToken, error) {
	var added []addedToken
	ok, err := jsonwalk.EachItem(b, func(value []byte) error {
		var a jsonAdded
		if len(added) == maxAdded {
			return malformed("added_tokens", "more than %d", maxAdded)
		}
		if err := json.Unmarshal(value, &a); err != nil {
			return malformed("added_tokens", "%v", err)
		}
		if a.Content == "" || len(a.Content) > maxPiece {
			return malformed("added_tokens", "token %d has %d bytes", a.ID, len(a.Content))
		}
		added = append(added, addedToken{a.ID, a.Content, a.Special, a.Normalized, a.LStrip, a.RStrip, a.SingleWord})
		return nil
	})
	if !ok && b != nil && string(b) != "null" {
		return nil, malformed("added_tokens", "not an array")
	}
	return added, err
}

func (t *Tokenizer) readSteps(f *jsonFile) error {
	r := &steps{t: t}
	if err := r.normalizer(f.normalizer, 0); err != nil {
		return err
	}
	if err := r.preTokenizer(f.preTokenizer, 0); err != nil {
		return err
	}
	r.growth = 1
	if err := r.decoder(f.decoder, 0); err != nil {
		return err
	}
	if err := r.postProcessor(f.postProcessor, 0); err != nil {
		return err
	}
	if len(t.normalizers) > 0 {
		// Tokens that are searched in normalized text are compared in that form.
		for _, m := range []*matcher{t.cooked, t.cookedPlain} {
			var tokens []addedToken
			for _, a := range m.tokens {
				for _, n := range r.contentNormalizers {
					a.content = n(a.content)
				}
				if a.content != "" {
					tokens = append(tokens, a)
				}
			}
			*m = *newMatcher(tokens)
		}
	}
	return nil
}
