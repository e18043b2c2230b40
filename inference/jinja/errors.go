package jinja

import (
	"fmt"

	"github.com/carat-hub/carat/inference/fault"
)

// SyntaxError says that a template does not parse.
type SyntaxError struct {
	Line   int // from 1
	Reason string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("template line %d: %s", e.Line, e.Reason) }

// RuntimeError says that a template does what the language forbids, such as adding a number to a string or asking an undefined
// value for a member.
type RuntimeError struct {
	Line   int
	Reason string
}

func (e *RuntimeError) Error() string { return fmt.Sprintf("template line %d: %s", e.Line, e.Reason) }

// LimitError says that a template needs more than it may have.
type LimitError struct {
	Line int
	// What is "fuel", "output", "string", "list", "number", "recursion" or "template".
	What string
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("template line %d: %s limit exceeded", e.Line, e.What)
}

// RaisedError is a template's own refusal of its input, by raise_exception.
type RaisedError struct {
	Line    int
	Message string
}

func (e *RaisedError) Error() string {
	return fmt.Sprintf("template line %d raises: %.1000s", e.Line, e.Message)
}

func unsupported(line int, format string, args ...any) error {
	return fault.NewUnsupported("chat template", "line %d: %s", line, fmt.Sprintf(format, args...))
}

// failure carries an error up through parser or renderer; it never leaves the package.
type failure struct{ err error }

// catch turns a failure into *err.
func catch(err *error) {
	switch r := recover().(type) {
	case nil:
	case failure:
		*err = r.err
	default:
		panic(r)
	}
}

func syntax(line int, format string, args ...any) error {
	return &SyntaxError{Line: line, Reason: fmt.Sprintf(format, args...)}
}

func runtimeError(line int, format string, args ...any) error {
	return &RuntimeError{Line: line, Reason: fmt.Sprintf(format, args...)}
}
