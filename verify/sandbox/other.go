//go:build !linux

package sandbox

import (
	"context"
	"errors"
	"runtime"
)

// Main does nothing on this system: there are no children.
func Main(map[string]Task) {}

// Delegate returns an error: there are no control groups on this system.
func Delegate() error { return errors.New("there are no control groups on " + runtime.GOOS) }

// Run returns a *LevelError: there is no sandbox on this system, and nothing runs without one.
func Run(context.Context, Options) (Outcome, error) {
	reasons := map[string]string{}
	for _, name := range Default.Names() {
		reasons[name] = "not there on " + runtime.GOOS
	}
	return Outcome{}, &LevelError{Missing: Default, Reasons: reasons}
}
