package verify

import (
	"context"
	"errors"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/inference/tokenizer"
)

// tokens is package inference/tokenizer as the checks see it.
type tokens struct{ t *tokenizer.Tokenizer }

func (l tokens) encode(text string, special bool) []int { return l.t.Encode(text, special) }
func (l tokens) decode(ids []int) string                { return l.t.Decode(ids) }
func (l tokens) size() int                              { return l.t.Size() }

func (core) tokenizer(ctx context.Context, files Files) (lexer, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	w, err := findWeights(files)
	if err != nil {
		return nil, err
	}
	if w.gguf != nil {
		return ggufTokenizer(w.gguf)
	}
	f := files.Lookup("tokenizer.json")
	if f == nil {
		return nil, fault.NewUnsupported("tokenizer", "there is no tokenizer.json")
	}
	if f.Size > tokenizer.MaxFileSize {
		return nil, malformedTokenizer(f.Path, errors.New("file is too large"))
	}
	p, err := f.head(tokenizer.MaxFileSize)
	if err != nil {
		return nil, err
	}
	var config []byte
	if c := files.Lookup("tokenizer_config.json"); c != nil {
		if config, err = c.head(maxConfig); err != nil {
			return nil, err
		}
	}
	t, err := tokenizer.FromJSON(p, config)
	return lexerOf(t, f.Path, err)
}

func ggufTokenizer(file *File) (lexer, error) {
	f, err := gguf.Read(file, file.Size)
	if err != nil {
		return nil, err
	}
	const keys = "tokenizer.ggml."
	v := tokenizer.Vocab{
		Model: f.Text(keys+"model", ""), Pre: f.Text(keys+"pre", ""),
		BOS: int(f.Int(keys+"bos_token_id", -1)), EOS: int(f.Int(keys+"eos_token_id", -1)), Unknown: int(f.Int(keys+"unknown_token_id", -1)),
		AddBOS: optional(f, keys+"add_bos_token"), AddEOS: optional(f, keys+"add_eos_token"), AddSpacePrefix: optional(f, keys+"add_space_prefix"),
	}
	if v.Model == "" {
		return nil, fault.NewUnsupported("tokenizer", "the file has none")
	}
	if v.Tokens, err = f.Strings(keys + "tokens"); err != nil {
		return nil, err
	}
	if _, ok := f.Value(keys + "merges"); ok {
		if v.Merges, err = f.Strings(keys + "merges"); err != nil {
			return nil, err
		}
	}
	if _, ok := f.Value(keys + "scores"); ok {
		scores, err := f.Floats(keys + "scores")
		if err != nil {
			return nil, err
		}
		for _, s := range scores {
			v.Scores = append(v.Scores, float32(s))
		}
	}
	if _, ok := f.Value(keys + "token_type"); ok {
		types, err := f.Ints(keys + "token_type")
		if err != nil {
			return nil, err
		}
		for _, t := range types {
			v.Types = append(v.Types, int32(t))
		}
	}
	t, err := tokenizer.FromVocab(v)
	return lexerOf(t, "gguf", err)
}

// optional returns a boolean of a GGUF file, nil where it says nothing.
func optional(f *gguf.File, key string) *bool {
	if _, ok := f.Value(key); !ok {
		return nil
	}
	b := f.Bool(key, false)
	return &b
}

// lexerOf tells a tokenizer that is not known from one that is broken.
func lexerOf(t *tokenizer.Tokenizer, where string, err error) (lexer, error) {
	var unsupported *tokenizer.UnsupportedError
	switch {
	case errors.As(err, &unsupported):
		return nil, fault.NewUnsupported("tokenizer", "%s: %s", unsupported.What, unsupported.Reason)
	case err != nil:
		return nil, malformedTokenizer(where, err)
	}
	return tokens{t}, nil
}

func malformedTokenizer(where string, err error) error {
	return &fault.Malformed{Format: "tokenizer", Where: where, Offset: -1, Reason: err.Error()}
}
