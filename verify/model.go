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
	// tokenizer reads the tokenizer of a model that cannot be loaded.
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
	// lexer returns the model's tokenizer.
	lexer() (lexer, error)
	// session begins a text of at most capacity tokens.
	session(capacity int) session
	close() error
}

// session is a text that grows.
type session interface {
	// feed appends tokens and calls each with the scores of what follows each
	// of them, which hold until it returns.
	feed(ctx context.Context, ids []int, each func(i int, logits []float32) error) error
	close()
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
	var l lexer
	err := m.load(ctx)
	if err == nil {
		l, err = m.decoder.lexer()
	} else if ctx.Err() == nil {
		l, err = m.engine.tokenizer(ctx, m.files)
	}
	if err == nil {
		m.lexer = l
	}
	return l, err
}

// load makes the model ready to run.
func (m *model) load(ctx context.Context) error {
	if m.decoder != nil {
		return nil
	}
	d, err := m.engine.load(ctx, m.files, m.opts.Threads)
	if err == nil {
		m.decoder = d
	}
	return err
}

// session begins a text on the loaded model.
func (m *model) session(ctx context.Context, capacity int) (session, error) {
	if err := m.load(ctx); err != nil {
		return nil, err
	}
	return m.decoder.session(capacity), nil
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
