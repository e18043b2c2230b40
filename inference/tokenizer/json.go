package tokenizer

import (
	"encoding/json"
	"strings"
)

// Config is what the files beside tokenizer.json say: the texts of special tokens, empty where they are not given.
type Config struct{ BOS, EOS, UNK string }

type jsonFile struct {
	AddedTokens   []jsonAdded     `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Decoder       json.RawMessage `json:"decoder"`
	Model         json.RawMessage `json:"model"`
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

type jsonModel struct {
	Type                    string          `json:"type"`
	Vocab                   json.RawMessage `json:"vocab"`
	Merges                  json.RawMessage `json:"merges"`
	Dropout                 *float64        `json:"dropout"`
	UnkToken                *string         `json:"unk_token"`
	ContinuingSubwordPrefix *string         `json:"continuing_subword_prefix"`
	EndOfWordSuffix         *string         `json:"end_of_word_suffix"`
	FuseUnk                 bool            `json:"fuse_unk"`
	ByteFallback            bool            `json:"byte_fallback"`
	IgnoreMerges            bool            `json:"ignore_merges"`
	UnkID                   *int            `json:"unk_id"`
	MaxChars                *int            `json:"max_input_chars_per_word"`
}

// JSONKind returns the kind of model in a tokenizer.json, in lower case: "bpe", "unigram", "wordpiece", "wordlevel". It returns a
// *fault.Malformed for what is no such file.
func JSONKind(b []byte) (string, error) {
	var f struct {
		Model struct {
			Type   string          `json:"type"`
			Merges json.RawMessage `json:"merges"`
		} `json:"model"`
	}
	if len(b) > MaxFile {
		return "", malformed("", "%d bytes exceed the limit of %d", len(b), MaxFile)
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return "", malformed("", "%v", err)
	}
	if f.Model.Type == "" && f.Model.Merges != nil {
		return "bpe", nil
	}
	return strings.ToLower(f.Model.Type), nil
}

// FromJSON reads a tokenizer.json of at most MaxFile bytes. It returns a *fault.Unsupported for a model or step it does not know and
// a *fault.Malformed for a damaged file.
func FromJSON(b []byte, c Config) (*Tokenizer, error) {
	if len(b) > MaxFile {
		return nil, malformed("", "%d bytes exceed the limit of %d", len(b), MaxFile)
	}
	var f jsonFile
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, malformed("", "%v", err)
	}
	var m jsonModel
	if err := json.Unmarshal(f.Model, &m); err != nil {
		return nil, malformed("model", "%v", err)
	}
	if m.Type == "" && m.Merges != nil {
		m.Type = "BPE"
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
	added := make([]addedToken, 0, len(f.AddedTokens))
	for _, a := range f.AddedTokens {
		if a.Content == "" || len(a.Content) > maxPiece {
			return nil, malformed("added_tokens", "token %d has %d bytes", a.ID, len(a.Content))
		}
		added = append(added, addedToken{a.ID, a.Content, a.Special, a.Normalized, a.LStrip, a.RStrip, a.SingleWord})
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
		if id, ok := t.ids[s.text]; ok && s.text != "" {
			*s.to = id
			t.special[id] = true
		}
	}
	return t, t.readSteps(&f)
}

func (t *Tokenizer) readSteps(f *jsonFile) error {
	r := &steps{t: t}
	if err := r.normalizer(f.Normalizer, 0); err != nil {
		return err
	}
	if err := r.preTokenizer(f.PreTokenizer, 0); err != nil {
		return err
	}
	r.growth = 1
	if err := r.decoder(f.Decoder, 0); err != nil {
		return err
	}
	if err := r.postProcessor(f.PostProcessor, 0); err != nil {
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
