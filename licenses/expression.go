package licenses

import (
	"errors"
	"fmt"
	"strings"
)

// Limits of an expression. Real ones have a handful of ids.
const (
	maxExpression      = 8 << 10 // bytes
	maxExpressionDepth = 64      // nested parentheses
	maxExpressionTerms = 256     // licences named
)

// ErrExpression says that a text is no SPDX licence expression, or one beyond
// the limits.
var ErrExpression = errors.New("not an SPDX licence expression")

// Op joins the parts of an expression.
type Op string

// The operators.
const (
	OpAnd Op = "AND" // all of the parts hold at once
	OpOr  Op = "OR"  // whoever receives the work chooses one
)

// Expression is an SPDX licence expression as a tree: either one licence or
// parts joined by one operator. Parts of the same operator are one level, so
// that "A AND (B AND C)" has three parts.
type Expression struct {
	ID        string // id of a licence as written, without "+"; "" when there are parts
	OrLater   bool   // "+" stood behind it
	Exception string // id behind WITH

	Op    Op
	Parts []Expression // two or more
}

// IsZero reports whether the expression names nothing.
func (e Expression) IsZero() bool { return e.ID == "" && len(e.Parts) == 0 }

// Licence returns an expression of one licence.
func Licence(id string) Expression { return Expression{ID: id} }

// And joins expressions by AND; zero ones are left out, and one alone stays what it is.
func And(parts ...Expression) Expression { return join(OpAnd, parts) }

// Or joins expressions by OR; zero ones are left out, and one alone stays what it is.
func Or(parts ...Expression) Expression { return join(OpOr, parts) }

func join(op Op, parts []Expression) Expression {
	var flat []Expression
	for _, p := range parts {
		switch {
		case p.IsZero():
		case p.Op == op:
			flat = append(flat, p.Parts...)
		default:
			flat = append(flat, p)
		}
	}
	if len(flat) == 1 {
		return flat[0]
	}
	if len(flat) == 0 {
		return Expression{}
	}
	return Expression{Op: op, Parts: flat}
}

// ParseExpression reads an SPDX licence expression. Operators may be written
// in small letters. Whether the ids are known is another question: see
// Lookup. Errors: ErrExpression.
func ParseExpression(s string) (Expression, error) {
	if len(s) > maxExpression {
		return Expression{}, fmt.Errorf("%w: longer than %d bytes", ErrExpression, maxExpression)
	}
	p := expressionParser{tokens: expressionTokens(s)}
	e, err := p.or(0)
	if err == nil && len(p.tokens) > 0 {
		err = fmt.Errorf("%q is not expected", p.tokens[0])
	}
	if err != nil {
		return Expression{}, fmt.Errorf("%w: %w", ErrExpression, err)
	}
	return e, nil
}

// String writes the expression with the fewest parentheses. Parsing it gives the same tree.
func (e Expression) String() string {
	if len(e.Parts) == 0 {
		s := e.ID
		if e.OrLater {
			s += "+"
		}
		if e.Exception != "" {
			s += " WITH " + e.Exception
		}
		return s
	}
	words := make([]string, len(e.Parts))
	for i, p := range e.Parts {
		words[i] = p.String()
		if e.Op == OpAnd && p.Op == OpOr {
			words[i] = "(" + words[i] + ")"
		}
	}
	return strings.Join(words, " "+string(e.Op)+" ")
}

// MarshalText implements encoding.TextMarshaler.
func (e Expression) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Empty text is the zero expression.
func (e *Expression) UnmarshalText(p []byte) (err error) {
	*e = Expression{}
	if len(p) > 0 {
		*e, err = ParseExpression(string(p))
	}
	return err
}

// Leaves returns the licences that the expression names, in their order, each
// as an expression of its own, with repetitions.
func (e Expression) Leaves() []Expression {
	if len(e.Parts) == 0 {
		if e.ID == "" {
			return nil
		}
		return []Expression{e}
	}
	var list []Expression
	for _, p := range e.Parts {
		list = append(list, p.Leaves()...)
	}
	return list
}

// expressionTokens cuts a text at spaces and parentheses.
func expressionTokens(s string) []string {
	s = strings.NewReplacer("(", " ( ", ")", " ) ").Replace(s)
	return strings.Fields(s)
}

type expressionParser struct {
	tokens []string
	terms  int
}

func (p *expressionParser) next() (string, bool) {
	if len(p.tokens) == 0 {
		return "", false
	}
	t := p.tokens[0]
	p.tokens = p.tokens[1:]
	return t, true
}

// take consumes the operator when it is next.
func (p *expressionParser) take(op string) bool {
	if len(p.tokens) == 0 || !strings.EqualFold(p.tokens[0], op) {
		return false
	}
	p.tokens = p.tokens[1:]
	return true
}

func (p *expressionParser) or(depth int) (Expression, error) {
	return p.list(OpOr, func() (Expression, error) { return p.and(depth) })
}

func (p *expressionParser) and(depth int) (Expression, error) {
	return p.list(OpAnd, func() (Expression, error) { return p.term(depth) })
}

// list reads one or more parts with op between them.
func (p *expressionParser) list(op Op, part func() (Expression, error)) (Expression, error) {
	var parts []Expression
	for {
		e, err := part()
		if err != nil {
			return Expression{}, err
		}
		parts = append(parts, e)
		if !p.take(string(op)) {
			return join(op, parts), nil
		}
	}
}

func (p *expressionParser) term(depth int) (Expression, error) {
	t, ok := p.next()
	switch {
	case !ok:
		return Expression{}, errors.New("a licence is missing at the end")
	case t == "(":
		if depth == maxExpressionDepth {
			return Expression{}, fmt.Errorf("nested deeper than %d", maxExpressionDepth)
		}
		e, err := p.or(depth + 1)
		if err != nil {
			return Expression{}, err
		}
		if t, _ := p.next(); t != ")" {
			return Expression{}, errors.New("a closing parenthesis is missing")
		}
		return e, nil
	case !isLicenceID(strings.TrimSuffix(t, "+")) || isOperator(t):
		return Expression{}, fmt.Errorf("%q stands where a licence is expected", clip(t))
	}
	if p.terms++; p.terms > maxExpressionTerms {
		return Expression{}, fmt.Errorf("more than %d licences", maxExpressionTerms)
	}
	e := Expression{ID: strings.TrimSuffix(t, "+"), OrLater: strings.HasSuffix(t, "+")}
	if p.take("WITH") {
		x, ok := p.next()
		if !ok || !isLicenceID(x) || isOperator(x) {
			return Expression{}, errors.New("an exception is missing behind WITH")
		}
		e.Exception = x
	}
	return e, nil
}

func isOperator(t string) bool {
	return strings.EqualFold(t, "AND") || strings.EqualFold(t, "OR") || strings.EqualFold(t, "WITH")
}

// isLicenceID reports whether t is an id as SPDX writes them, with the colon
// of "DocumentRef-a:LicenseRef-b".
func isLicenceID(t string) bool {
	if t == "" || len(t) > maxID {
		return false
	}
	for _, c := range []byte(t) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-', c == ':':
		default:
			return false
		}
	}
	return true
}

// clip shortens a foreign word for a message.
func clip(t string) string {
	if len(t) > 40 {
		return t[:40] + "…"
	}
	return t
}
