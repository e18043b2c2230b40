package verify

import (
	"context"

	"github.com/carat-hub/carat/inference/tensor"
	"github.com/carat-hub/carat/registry"
)

// engine is what the checks need of package inference. Its errors tell a
// damaged model (*fault.Malformed) from one that cannot be run here
// (*fault.Unsupported); any other error is a failure of the verifier.
type engine interface {
	// describe reads the headers.
	describe(ctx context.Context, files Files) (*description, error)
	// tokenizer reads the model's tokenizer.
	tokenizer(ctx context.Context, files Files) (lexer, error)
	// load makes the model ready to run.
	load(ctx context.Context, files Files, threads int) (decoder, error)
}

// description is what the headers of a model say.
type description struct {
	facts         registry.Facts // all but card and licence
	weights       []weight       // in the order of their names
	embeddingRows int64          // 0 when there is no token embedding
	dims          dimensions     // as configured
}

// weight is one tensor in a file.
type weight struct {
	name   string
	typ    tensor.Type
	shape  []int
	file   *File
	offset int64 // in the file, in bytes
}

// lexer turns text into tokens and back.
type lexer interface {
	// encode returns the tokens of a text; special adds those that the model
	// expects around a prompt.
	encode(text string, special bool) []int
	// decode returns the text of tokens, without those that are no text.
	decode(ids []int) string
	// size is how many tokens there are.
	size() int
}

// decoder is a model that is ready to run.
type decoder interface {
	// session begins a text of at most capacity tokens.
	session(capacity int) (session, error)
	close() error
}

// session is a text that grows.
type session interface {
	// feed appends tokens and returns the scores of the next one, which hold
	// until the next call.
	feed(ctx context.Context, ids []int) ([]float32, error)
}

// model is the subject of a verification: what checks share.
type model struct {
	files  Files
	report *Report
	opts   RunOptions
	engine engine

	described *description
	lexer     lexer
	decoder   decoder
}

func (m *model) describe(ctx context.Context) (*description, error) {
	if m.described != nil {
		return m.described, nil
	}
	d, err := m.engine.describe(ctx, m.files)
	if err == nil {
		m.described = d
	}
	return d, err
}

func (m *model) tokenizer(ctx context.Context) (lexer, error) {
	if m.lexer != nil {
		return m.lexer, nil
	}
	l, err := m.engine.tokenizer(ctx, m.files)
	if err == nil {
		m.lexer = l
	}
	return l, err
}

// session begins a text on the loaded model.
func (m *model) session(ctx context.Context, capacity int) (session, error) {
	if m.decoder == nil {
		d, err := m.engine.load(ctx, m.files, m.opts.Threads)
		if err != nil {
			return nil, err
		}
		m.decoder = d
	}
	return m.decoder.session(capacity)
}

// contextLength is how many tokens the model sees at once, 0 when it does not say.
func (m *model) contextLength(ctx context.Context) (int, error) {
	d, err := m.describe(ctx)
	if err != nil {
		return 0, err
	}
	return int(min(d.facts.ContextLength, 1<<30)), nil
}

func (m *model) close() error {
	if m.decoder == nil {
		return nil
	}
	return m.decoder.close()
}
