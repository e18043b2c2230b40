package fault

import (
	"errors"
	"fmt"
)

// Unsupported says that a well-formed model asks for something that this core cannot do.
type Unsupported struct {
	// What is the kind of thing: "architecture", "tensor type", "tokenizer", "file format", ….
	What string
	// Reason names the exact thing and, where it helps, why it is not there.
	Reason string
}

func (e *Unsupported) Error() string { return "unsupported " + e.What + ": " + e.Reason }

// NewUnsupported returns an *Unsupported with a formatted reason.
func NewUnsupported(what, format string, args ...any) error {
	return &Unsupported{What: what, Reason: fmt.Sprintf(format, args...)}
}

// Malformed says that a file breaks the rules of its format, or a limit that keeps reading it safe.
type Malformed struct {
	// Format is the format that was being read: "gguf", "safetensors", "tokenizer.json", "config.json", ….
	Format string
	// Where names the key, tensor or field; it is empty when the file as a whole is meant.
	Where string
	// Offset is the byte offset in the file, or -1 where none is known.
	Offset int64
	// Reason says what is wrong.
	Reason string
}

// InFile names the file that a *Malformed in err's chain is about, unless it names a place already, and returns err.
func InFile(name string, err error) error {
	var m *Malformed
	if errors.As(err, &m) && m.Where == "" {
		m.Where = name
	}
	return err
}

func (e *Malformed) Error() string {
	s := "malformed " + e.Format
	if e.Where != "" {
		s += fmt.Sprintf(" (%.120q)", e.Where)
	}
	if e.Offset >= 0 {
		s += fmt.Sprintf(" at byte %d", e.Offset)
	}
	return s + ": " + e.Reason
}
