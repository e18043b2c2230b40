package sandbox

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// LevelError says that this system cannot give the layers that are required. The child got no input.
type LevelError struct {
	// Missing are the layers that are required and do not hold.
	Missing Layers
	// Level is what does hold.
	Level Level
	// Reasons tells for layers that do not hold why, as far as it is known.
	Reasons map[string]string
}

func (e *LevelError) Error() string {
	var why []string
	for _, name := range e.Missing.Names() {
		if r := e.Reasons[name]; r != "" {
			name += " (" + r + ")"
		}
		why = append(why, name)
	}
	enough := e.Level.Layers & Default
	if enough == 0 {
		enough = None
	}
	return fmt.Sprintf("sandbox: this system cannot give %s; require no more than %s to go on without", strings.Join(why, ", "), enough)
}

// Limit names one of Limits.
type Limit string

// The limits that a child can reach.
const (
	LimitMemory  Limit = "memory"
	LimitCPU     Limit = "processor time"
	LimitWall    Limit = "time"
	LimitOutput  Limit = "output"
	LimitRead    Limit = "reading"
	LimitThreads Limit = "threads"
	LimitStack   Limit = "stack"
)

// LimitError says that the child was ended because it reached a limit.
type LimitError struct {
	Limit Limit
	// Max is the limit in words, with its unit.
	Max string
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("sandbox: the limit of %s was reached: %s", e.Limit, e.Max)
}

// ExitError says that the child died before its task returned.
type ExitError struct {
	// Signal is the name of the signal that killed it, or empty.
	Signal string
	// Code is its exit status, or -1 when a signal killed it.
	Code int
	// Stderr is what it last wrote about itself: the first and the last 2 KiB, without control characters. It comes from the
	// child and may be anything.
	Stderr string
}

func (e *ExitError) Error() string {
	how := fmt.Sprintf("exit status %d", e.Code)
	if e.Signal != "" {
		how = "signal " + e.Signal
	}
	if line, _, _ := strings.Cut(e.Stderr, "\n"); line != "" {
		how += ": " + cut(line, 200)
	}
	return "sandbox: the child died: " + how
}

// ProtocolError says that the child sent what it must not send, which it does only when what it reads has taken it over.
type ProtocolError struct{ Reason string }

func (e *ProtocolError) Error() string { return "sandbox: the child broke the protocol: " + e.Reason }

// StartError says that the child could not be started or not be fed: the fault of this system and not of the child's input.
type StartError struct{ Err error }

func (e *StartError) Error() string { return "sandbox: start the child: " + e.Err.Error() }
func (e *StartError) Unwrap() error { return e.Err }

// InputError says that reading one of Options.Ranges for the child failed, with the error of its ReadAt.
type InputError struct {
	Range int
	Err   error
}

func (e *InputError) Error() string {
	return fmt.Sprintf("sandbox: read input %d for the child: %v", e.Range, e.Err)
}
func (e *InputError) Unwrap() error { return e.Err }

// TaskError is the error that the task returned, in the child's words: at most 4 KiB without control characters.
type TaskError struct{ Text string }

func (e *TaskError) Error() string { return e.Text }

// clean makes foreign bytes fit to be shown and logged: valid UTF-8, and only line feeds of the control characters.
func clean(b []byte) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t':
			return ' '
		case r == utf8.RuneError, unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == 0x2028, r == 0x2029:
			return -1
		}
		return r
	}, string(b)))
}

// cut shortens s to at most n bytes at a character's border.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
