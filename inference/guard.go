package inference

import (
	"fmt"
	"runtime/debug"
	"strings"
)

// PanicError is a fault of this package that a file has found: a panic that was kept from taking the program down. It says nothing
// about the file.
type PanicError struct {
	// Value is what was panicked with, Site the function that did.
	Value any
	Site  string
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic in %s: %v", e.Site, e.Value) }

// guard, deferred, makes a panic of the function an error. What a file holds is foreign, and no reader is without faults.
func guard(err *error) {
	p := recover()
	if p == nil {
		return
	}
	site := "an unknown place"
	if _, after, ok := strings.Cut(string(debug.Stack()), "panic("); ok {
		for line := range strings.Lines(after) {
			if name, _, call := strings.Cut(line, "("); call && strings.Contains(name, "/inference") && !strings.HasPrefix(line, "\t") {
				site = name[strings.LastIndexByte(name, '/')+1:]
				break
			}
		}
	}
	*err = &PanicError{Value: p, Site: site}
}
