package jinja

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"
)

// The limits of a template.
const (
	MaxSource     = 1 << 18 // bytes of a template
	DefaultFuel   = 100_000
	DefaultOutput = 1 << 20 // bytes
	maxString     = 1 << 20 // bytes of a string that a template builds
)

// Options are the limits of a rendering and what it sees of the world.
type Options struct {
	// Fuel is the number of steps: one for each statement and expression, list item made, and 256 bytes of string made. Zero stands
	// for DefaultFuel.
	Fuel int
	// Output is the largest output in bytes. Zero stands for DefaultOutput.
	Output int
	// Clock gives the time for strftime_now, in UTC or whatever zone it is in; without one, templates that ask are refused.
	Clock func() time.Time
}

// Template is a parsed template. It may be rendered by several goroutines at once.
type Template struct{ body []stmt }

// Parse parses a template of at most MaxSource bytes. It returns a *SyntaxError for what is no template, a *LimitError for one that
// is too long and a *fault.Unsupported for a statement that is not covered.
func Parse(src string) (t *Template, err error) {
	defer catch(&err)
	if len(src) > MaxSource {
		return nil, &LimitError{Line: 1, What: "template"}
	}
	if !utf8.ValidString(src) {
		return nil, syntax(1, "not UTF-8")
	}
	p := &parser{tokens: lex(src)}
	body, _ := p.block()
	return &Template{body}, nil
}

// Render renders the template. Values of vars are nil, bool, int, int64, float64, string, Map, map[string]any (taken in the order of
// its keys) and slices of those. It returns a *RaisedError when the template refuses its input, a *RuntimeError for a mistake in it, a
// *LimitError when it needs more than opts allow, a *fault.Unsupported for what is not covered, and the error of ctx.
func (t *Template) Render(ctx context.Context, vars map[string]any, opts Options) (out string, err error) {
	defer catch(&err)
	r := &renderer{ctx: ctx, fuel: opts.Fuel, most: opts.Output, clock: opts.Clock, out: &strings.Builder{}}
	if r.fuel <= 0 {
		r.fuel = DefaultFuel
	}
	if r.most <= 0 {
		r.most = DefaultOutput
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	top := &scope{vars: map[string]any{}}
	for k, v := range vars {
		top.vars[k] = r.fromGo(v, 0)
	}
	r.block(t.body, &scope{vars: map[string]any{}, outer: top})
	return r.out.String(), nil
}
