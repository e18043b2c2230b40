package check

import (
	"context"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

// engine is what the checks need of package inference. Its errors tell a
// damaged model (*fault.Malformed) from one that cannot be run here
// (*fault.Unsupported); any other error is a failure of the verifier.
type engine interface {
	// facts reads the headers.
	facts(ctx context.Context, files verify.Files) (*inference.Facts, error)
	// fit compares names, shapes and types of tensors with what the architecture wants.
	fit(ctx context.Context, files verify.Files) error
	// adapter reads the pairs of matrices of an adapter.
	adapter(ctx context.Context, files verify.Files) ([]inference.AdapterModule, error)
	// scan reads every weight and calls each for every tensor.
	scan(ctx context.Context, files verify.Files, each func(inference.TensorScan) error) error
	// tokenizer reads the tokenizer of a model that cannot be loaded.
	tokenizer(ctx context.Context, files verify.Files) (lexer, error)
	// load makes the model ready to run.
	load(ctx context.Context, files verify.Files, threads int) (decoder, error)
}

// lexer turns text into tokens and back, as *tokenizer.Tokenizer does.
type lexer interface {
	// Encode returns the tokens of a text; special adds those that the model
	// expects around a prompt.
	Encode(text string, special bool) []int
	// Decode returns the text of tokens, without those that are no text.
	Decode(ids []int) string
	// Size is how many tokens there are.
	Size() int
}

// decoder is a model that is ready to run.
type decoder interface {
	// lexer returns the model's tokenizer.
	lexer() (lexer, error)
	// session begins a text of at most capacity tokens.
	session(capacity int) session
	// encoder takes whole texts.
	encoder() (encoder, error)
	// described is what is declared of the graph.
	described() *inference.Description
	// prompt writes a conversation as the chat template does; fs.ErrNotExist when there is none.
	prompt(ctx context.Context, messages []inference.Message) (string, error)
	// ends are the tokens that end a text.
	ends() []int
	// embedding is the vector of a token.
	embedding(id int) ([]float32, error)
	// feedForwardNorms are the norms of what leads into and out of each inner element of a layer.
	feedForwardNorms(ctx context.Context, layer int) (in, out []float64, err error)
	// altered reads the same weights in another way, as inference.Model.Altered does. It need not be closed.
	altered(a inference.Alteration) (decoder, error)
	close() error
}

// session is a text that grows, as *inference.Session does.
type session interface {
	// EvalEach appends tokens and calls each with the scores of what follows
	// every one of them from the given one on, which hold until it returns.
	EvalEach(ctx context.Context, ids []int, from int, each func(i int, logits []float32) error) error
	Close()
}

// encoder looks at whole texts, as *inference.Encoder does. Longer ones than
// the model takes are cut.
type encoder interface {
	// Embed returns the vector of a text.
	Embed(ctx context.Context, text string) ([]float32, error)
	// Classify returns what a classifier of texts says of one, in the order
	// of Labels.
	Classify(ctx context.Context, text string) ([]inference.LabelScore, error)
	// Tag returns what a classifier of tokens says of those of a text.
	Tag(ctx context.Context, text string) ([]inference.TokenScores, error)
	// Labels returns the labels of a classifier.
	Labels() []string
	Close()
}

// model is the subject of a verification: what checks share.
type model struct {
	files  verify.Files // all of the version
	part   part         // those of the model
	report *verify.Report
	opts   verify.RunOptions
	engine engine

	known   *inference.Facts
	tensors []*measuredTensor
	origins *[]registry.DeclaredBase // what the model declares; nil until it was looked for
	claimed *claims
	lexer   lexer
	decoder decoder
	// refused says why the model is not looked at, nil when it is.
	refused error
	best    string // the text that is predicted best; "" until it is known
	// unrunnable is why loading found that the model cannot be run here.
	unrunnable error
}

// facts reads the headers once.
func (m *model) facts(ctx context.Context) (*inference.Facts, error) {
	if m.known != nil {
		return m.known, nil
	}
	if m.refused != nil {
		return nil, m.refused
	}
	f, err := m.engine.facts(ctx, m.part.files)
	if err == nil {
		m.known = f
	}
	return f, err
}

func (m *model) tokenizer(ctx context.Context) (lexer, error) {
	if m.lexer != nil {
		return m.lexer, nil
	}
	if m.refused != nil {
		return nil, m.refused
	}
	var l lexer
	err := m.load(ctx)
	if err == nil {
		l, err = m.decoder.lexer()
	} else if ctx.Err() == nil {
		l, err = m.engine.tokenizer(ctx, m.part.files)
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
	d, err := m.open(ctx)
	if err == nil {
		m.decoder = d
	}
	m.unrunnable = obstacle(err)
	return err
}

// session begins a text on the loaded model.
func (m *model) session(ctx context.Context, capacity int) (session, error) {
	if err := m.load(ctx); err != nil {
		return nil, err
	}
	return m.decoder.session(capacity), nil
}

// encoder returns an encoder of the loaded model.
func (m *model) encoder(ctx context.Context) (encoder, error) {
	if err := m.load(ctx); err != nil {
		return nil, err
	}
	return m.decoder.encoder()
}

// contextLength is how many tokens the model sees at once, 0 when it does not say.
func (m *model) contextLength(ctx context.Context) (int, error) {
	f, err := m.facts(ctx)
	if err != nil {
		return 0, err
	}
	return f.ContextLength, nil
}

func (m *model) close() error {
	if m.decoder == nil {
		return nil
	}
	return m.decoder.close()
}
