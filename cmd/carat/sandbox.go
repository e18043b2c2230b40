package main

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"

	"github.com/spf13/pflag"

	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/check"
	"github.com/carat-hub/carat/verify/sandbox"
)

// sandboxFlag is the level of the sandbox that a command asks for.
type sandboxFlag struct{ layers string }

func (s *sandboxFlag) register(f *pflag.FlagSet) {
	f.StringVar(&s.layers, "sandbox", "default", "layers without which no model is looked at: "+sandbox.Default.String()+" (default), more of them, fewer, or none")
}

// checks returns the checks in a sandbox. Without one to be had on this
// system, "none" runs them in this process.
func (s *sandboxFlag) checks() (verify.Checks, error) {
	layers, err := sandbox.ParseLayers(s.layers)
	if err != nil {
		return nil, exit(exitUsage, fmt.Errorf("--sandbox: %w", err))
	}
	if layers == sandbox.None && runtime.GOOS != "linux" {
		return check.InProcess{}, nil
	}
	return verify.Sandboxed{Require: layers}, nil
}

// delegateGroup gives the children of this process control groups of their
// own, where that is possible.
func delegateGroup(ctx context.Context, log *slog.Logger) {
	if err := sandbox.Delegate(); err != nil {
		log.DebugContext(ctx, "models are looked at without control groups of their own", slog.Any("error", err))
	}
}
