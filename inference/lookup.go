package inference

import (
	"context"
	"errors"

	"github.com/carat-hub/carat/inference/tokenizer"
)

// Knows reports whether models of an architecture, named as in Facts, can be run as far as their other features allow it.
func Knows(architecture string) bool {
	_, ok := families[architecture]
	return ok
}

// ReadTokenizer reads the tokenizer of a model, which need not be one that can be run. It returns fs.ErrNotExist when there is
// none, and the errors of Inspect.
func ReadTokenizer(ctx context.Context, files Files) (_ *tokenizer.Tokenizer, err error) {
	defer guard(&err)
	c, err := openContainer(ctx, files)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	x, err := c.readExtras(ctx)
	if err != nil {
		return nil, err
	}
	return c.tokenizer(ctx, x)
}
