package inference

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/tokenizer"
)

// ErrClosed is returned by the methods of a Model, and of its sessions, after Close.
var ErrClosed = errors.New("model is closed")

// Model is an open model that can be run. Its weights stay in their files or mappings. Its methods may be called from several
// goroutines at once.
type Model struct {
	facts        *Facts
	desc         *Description
	weights      *weights
	tok          *tokenizer.Tokenizer
	tokErr       error
	eos          []int
	chatTemplate string
	suggestion   SamplingSuggestion

	mu   sync.RWMutex // held for reading while the weights are in use
	c    *container
	also []*container // of adapters
	done bool
}

// OpenOptions are the choices for opening a model; zero values take the defaults.
type OpenOptions struct {
	// Progress is called, by the goroutine that opens, with how many of the model's layers are ready and how many there are: first
	// with none, then after each.
	Progress func(done, layers int)
	// Adapters are low-rank adaptations, which are added up. The model's matrices stay as they are. An *UnsupportedError tells what
	// an adapter needs that is not there, a *MalformedError a module that the model does not have, or a shape that it has not.
	Adapters []Adapter
}

// Open is OpenWith with the default options.
func Open(ctx context.Context, files Files) (*Model, error) {
	return OpenWith(ctx, files, OpenOptions{})
}

// Load is OpenWith for what OpenPath finds at path: a folder or a single file.
func Load(ctx context.Context, path string, o OpenOptions) (*Model, error) {
	files, err := OpenPath(path)
	if err != nil {
		return nil, err
	}
	return OpenWith(ctx, files, o)
}

// OpenWith opens a model to run it; Close frees it. It returns an *UnsupportedError for an architecture, tensor type or feature
// that cannot be run, a *MalformedError for a damaged file, ctx's error, and the errors of files. A missing or unsupported
// tokenizer is no error here: Tokenizer tells it. Files that cannot be mapped are read while the model runs, but for matrices in the
// layouts of quantization libraries, which are then read into memory as they are packed.
func OpenWith(ctx context.Context, files Files, o OpenOptions) (_ *Model, err error) {
	defer guard(&err)
	c, err := openContainer(ctx, files)
	if err != nil {
		return nil, err
	}
	m := &Model{c: c}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.closeFiles())
		}
	}()
	if m.desc, err = c.describe(ctx); err != nil {
		return nil, err
	}
	adapters, err := m.openAdapters(ctx, o.Adapters)
	if err != nil {
		return nil, err
	}
	if m.weights, err = bind(ctx, c, m.desc, bindOptions{progress: o.Progress, adapters: adapters}); err != nil {
		return nil, err
	}
	if m.facts, err = c.facts(ctx); err != nil {
		return nil, err
	}
	m.facts.tell(m.desc, m.weights)
	extra, err := c.readExtras(ctx)
	if err != nil {
		return nil, err
	}
	m.chatTemplate, m.suggestion = extra.chatTemplate, c.suggestion(extra)
	if m.tok, m.tokErr = c.tokenizer(ctx, extra); m.tokErr != nil {
		m.tok = nil
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	m.eos = c.endTokens(extra, m.tok)
	return m, nil
}

// openAdapters opens adapters for the model, which closes them.
func (m *Model) openAdapters(ctx context.Context, adapters []Adapter) ([]*adapter, error) {
	var open []*adapter
	for i, o := range adapters {
		a, err := openAdapter(ctx, m.c, o)
		if err != nil {
			return nil, fmt.Errorf("adapter %d: %w", i+1, err)
		}
		open, m.also = append(open, a), append(m.also, a.c)
	}
	return open, nil
}

// Close unmaps and closes the files, after waiting for calls under way. It does not close sessions.
func (m *Model) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.done {
		return nil
	}
	m.done = true
	return m.closeFiles()
}

func (m *Model) closeFiles() error {
	errs := []error{m.c.close()}
	for _, c := range m.also {
		errs = append(errs, c.close())
	}
	return errors.Join(errs...)
}

// Facts returns what Inspect returns for the same files.
func (m *Model) Facts() *Facts { return m.facts }

// Description returns what the graph was built from. It must not be changed.
func (m *Model) Description() *Description { return m.desc }

// Vocabulary returns the number of logits: the rows of the output layer, or of the embeddings where there is none.
func (m *Model) Vocabulary() int {
	if m.weights.output.Matrix == nil {
		return m.weights.embedding.Rows
	}
	return m.weights.output.Rows
}

// predicts returns an *UnsupportedError for a model that predicts no next token.
func (m *Model) predicts() error {
	switch {
	case m.weights.output.Matrix == nil:
		return fault.NewUnsupported("task", "%s predicts no next token; it is for %s", m.desc.Architecture, m.facts.Task)
	case m.desc.Bidirectional:
		return fault.NewUnsupported("task", "%s sees what comes next and does not predict it", m.desc.Architecture)
	}
	return nil
}

// Tokenizer returns the model's tokenizer, or why there is none: fs.ErrNotExist, an *UnsupportedError or a *MalformedError.
func (m *Model) Tokenizer() (*tokenizer.Tokenizer, error) { return m.tok, m.tokErr }

// ChatTemplate returns the source of the model's chat template, empty when it has none.
func (m *Model) ChatTemplate() string { return m.chatTemplate }

// EndTokens returns the ids that end a generation.
func (m *Model) EndTokens() []int { return slices.Clone(m.eos) }
