package verify

import (
	"context"
	"errors"
	"io/fs"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/inference/tokenizer"
)

// tokens is package inference/tokenizer as the checks see it.
type tokens struct{ t *tokenizer.Tokenizer }

func (l tokens) encode(text string, special bool) []int { return l.t.Encode(text, special) }
func (l tokens) decode(ids []int) string                { return l.t.Decode(ids) }
func (l tokens) size() int                              { return l.t.Size() }

// lexer returns the tokenizer of a model that can be run, with the special
// tokens that it expects.
func (r *runnable) lexer() (lexer, error) { return lexerOf(r.m.Tokenizer()) }

// tokenizer reads the tokenizer of a model that cannot be run; nothing will
// be prompted, so what surrounds a prompt is left out.
func (core) tokenizer(ctx context.Context, files Files) (lexer, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	w, err := findWeights(files)
	if err != nil {
		return nil, err
	}
	if w.gguf != nil {
		f, err := gguf.Read(w.gguf, w.gguf.Size)
		if err != nil {
			return nil, err
		}
		if f.Text("tokenizer.ggml.model", "") == "" {
			return lexerOf(nil, fs.ErrNotExist)
		}
		return lexerOf(tokenizer.FromGGUF(f))
	}
	f := files.Lookup("tokenizer.json")
	if f == nil {
		return lexerOf(nil, fs.ErrNotExist)
	}
	p, err := f.head(tokenizer.MaxFile + 1) // one byte more shows that there is more
	if err != nil {
		return nil, err
	}
	return lexerOf(tokenizer.FromJSON(p, tokenizer.Config{}))
}

func lexerOf(t *tokenizer.Tokenizer, err error) (lexer, error) {
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.NewUnsupported("tokenizer", "the model has none that is known here")
	}
	if err != nil {
		return nil, err
	}
	return tokens{t}, nil
}
