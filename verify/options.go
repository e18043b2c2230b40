package verify

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/carat-hub/carat/registry"
)

// Level says how much is checked. Each level has the checks of the one before.
type Level string

// The levels.
const (
	LevelQuick    Level = "quick"    // seconds: the files are whole and the model runs
	LevelStandard Level = "standard" // the default
	LevelFull     Level = "full"     // everything, whatever it takes
)

// levels are the levels in their order.
var levels = []Level{LevelQuick, LevelStandard, LevelFull}

// ParseLevel returns the level of that name; "" is LevelStandard.
func ParseLevel(name string) (Level, error) {
	if name == "" {
		return LevelStandard, nil
	}
	for _, l := range levels {
		if string(l) == name {
			return l, nil
		}
	}
	return "", errors.New("the level of a verification is quick, standard or full")
}

// Has reports whether a verification of this level does the checks of another.
func (l Level) Has(other Level) bool {
	for _, each := range levels {
		if each == other {
			return true
		}
		if each == l {
			return false
		}
	}
	return false
}

// Checks is what looks at models: package check, or a sandbox with it inside.
type Checks interface {
	// Verify does one verification. It always returns a final report; one in
	// StateError says nothing about the model. The files stay the caller's
	// and must stay open until it returns.
	Verify(ctx context.Context, files Files, o RunOptions) *Report
	// Inspect reads the facts of a version from its headers, its card and its
	// licence text. With a *ContentError the facts hold what could be read all
	// the same; any other error is a failure to read.
	Inspect(ctx context.Context, files Files) (*registry.Facts, error)
}

// ContentError says what is wrong with a model's files, as opposed to a
// failure to read them.
type ContentError struct{ Reason string }

// Error implements error.
func (e *ContentError) Error() string { return e.Reason }

// RunOptions configure one verification.
type RunOptions struct {
	Level    Level            // default LevelStandard
	Subject  *registry.Digest // manifest digest; nil for a local folder
	Threads  int              // of the arithmetic; default all cores
	Timeout  time.Duration    // wall clock; default 30 minutes
	Now      func() time.Time // default time.Now
	Version  string           // of the program, for the report; default what the linker recorded
	Progress func(*Report)    // called before and after each check with a copy, when not nil

	Bases       []Base  // that the model declares, as far as they are known, or that it is to be compared with
	Previous    *Report // of the version before, nil when there is none
	Fingerprint bool    // take a fingerprint of the weights, with which the caller searches
}

// WithDefaults fills in what is not set.
func (o RunOptions) WithDefaults() RunOptions {
	if o.Level == "" {
		o.Level = LevelStandard
	}
	if o.Threads <= 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// NewReport returns the report of a verification that begins now.
func (o RunOptions) NewReport() *Report {
	o = o.WithDefaults()
	return &Report{
		Version: ReportVersion, CheckSet: CheckSet, Level: o.Level, Subject: o.Subject, State: StateRunning, Summary: "running",
		Results: []Result{}, Files: []VerifiedFile{}, StartedAt: o.Now().UTC(), Verifier: thisVerifier(o.Version),
	}
}
