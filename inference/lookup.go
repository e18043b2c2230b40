package inference

import (
	"context"
	"errors"
	"slices"

	"github.com/carat-hub/carat/inference/tokenizer"
)

// Knows reports whether models of an architecture, named as in Facts, can be run as far as their other features allow it.
func Knows(architecture string) bool {
	_, ok := families[architecture]
	return ok
}

// ReadTokenizer reads the tokenizer of a model, which need not be one that can be run, or have weights. It returns fs.ErrNotExist
// when there is none, and the errors of Inspect.
func ReadTokenizer(ctx context.Context, files Files) (_ *tokenizer.Tokenizer, err error) {
	defer guard(&err)
	c := &container{files: files, open: map[string]File{}}
	if !slices.Contains(files.Names(), tokenizerName) {
		if c, err = openContainer(ctx, files); err != nil {
			return nil, err
		}
	}
	defer func() { err = errors.Join(err, c.close()) }()
	x, err := c.readExtras(ctx)
	if err != nil {
		return nil, err
	}
	return c.tokenizer(ctx, x)
}

// Fit compares the names, shapes and types of a model's tensors with what its configuration makes of its architecture, and reads
// nothing of their data. It returns the first tensor that is missing or has another shape as a *MalformedError, an
// *UnsupportedError for what cannot be compared because it cannot be run, and the errors of Inspect.
func Fit(ctx context.Context, files Files) (err error) {
	defer guard(&err)
	c, err := openContainer(ctx, files)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	d, err := c.describe(ctx)
	if err == nil {
		_, err = bind(ctx, c, d, bindOptions{dry: true})
	}
	return err
}
