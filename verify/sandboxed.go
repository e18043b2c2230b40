package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify/sandbox"
)

// forever is a time limit for those who have another one.
const forever = 1000 * time.Hour

// Limits of a child.
const (
	verifyMemory  = 2 << 30 // bytes beside the size of the files, of which some have to be unpacked
	verifyOutput  = 64 << 20
	messageSize   = 4 << 20
	inspectMemory = 1 << 30
	inspectTime   = 2 * time.Minute
	inspectRead   = 512 << 20 // bytes of files that are not on this machine
)

// Sandboxed does the checks in child processes that can do nothing but
// compute (see package sandbox). The program must have called sandbox.Main
// with Tasks.
type Sandboxed struct {
	// Require are the layers without which nothing is looked at; zero means
	// sandbox.Default.
	Require sandbox.Layers
	// Memory is how many bytes of its own a verification may take at most;
	// what is mapped from files does not count. 0 means 2 GiB more than the
	// files of the model and its bases have.
	Memory int64
}

var _ Checks = Sandboxed{}

// Probe starts a child that does nothing and returns what the sandbox is
// worth on this system. Errors: *sandbox.LevelError when it is not enough.
func (s Sandboxed) Probe(ctx context.Context) (sandbox.Level, error) {
	out, err := sandbox.Run(ctx, sandbox.Options{Task: taskProbe, Require: s.Require})
	return out.Level, err
}

// Verify implements Checks.
func (s Sandboxed) Verify(ctx context.Context, files Files, o RunOptions) *Report {
	o = o.WithDefaults()
	w := &witness{report: o.NewReport(), files: files, options: o}
	req := request{Level: o.Level, Threads: o.Threads, Previous: o.Previous, Fingerprint: o.Fingerprint}
	memory := verifyMemory + total(files)
	for _, b := range o.Bases {
		memory += total(b.Files)
	}
	if s.Memory > 0 {
		memory = min(memory, s.Memory)
	}
	out, err := s.run(ctx, taskVerify, req, files, o.Bases, sandbox.Options{
		Limits: sandbox.Limits{
			Memory: memory, CPU: o.Timeout * time.Duration(runtime.GOMAXPROCS(0)), Wall: o.Timeout,
			Output: verifyOutput, Message: messageSize, Read: 1 << 50, Threads: 64 + 4*max(o.Threads, runtime.GOMAXPROCS(0)),
		},
		Message: w.hear,
	})
	w.conclude(ctx, out, err)
	return w.report
}

// Inspect implements Checks.
func (s Sandboxed) Inspect(ctx context.Context, files Files) (*registry.Facts, error) {
	facts, err := s.inspect(ctx, files)
	if facts != nil || err == nil || !theirFault(err) {
		return facts, err
	}
	// The weights ended the child. Card and licence may tell something all the
	// same.
	problem := &ContentError{Reason: "the files could not be inspected: " + reasonOf(err)}
	words := slices.DeleteFunc(slices.Clone(files), func(f *File) bool { return !isWords(f.Path) })
	facts, err = s.inspect(ctx, words)
	if facts == nil && !theirFault(err) && !errors.As(err, new(*ContentError)) {
		return nil, err
	}
	if facts == nil {
		facts = new(registry.Facts)
	}
	return facts, problem
}

// isWords reports whether a file may hold card or licence.
func isWords(name string) bool {
	ext := strings.ToLower(path.Ext(name))
	return ext == "" || ext == ".md" || ext == ".txt"
}

func (s Sandboxed) inspect(ctx context.Context, files Files) (facts *registry.Facts, err error) {
	var problem *ContentError
	hear := func(p []byte) error {
		var m message
		if err := json.Unmarshal(p, &m); err != nil {
			return errWord
		}
		switch {
		case m.Facts != nil:
			if facts, err = registry.UnmarshalFacts(m.Facts); err != nil {
				return errWord
			}
		case m.Problem != nil && len(*m.Problem) <= maxReason:
			problem = &ContentError{Reason: *m.Problem}
		default:
			return errWord
		}
		return nil
	}
	_, err = s.run(ctx, taskInspect, request{}, files, nil, sandbox.Options{
		Limits:  sandbox.Limits{Memory: inspectMemory, CPU: inspectTime, Wall: inspectTime, Message: messageSize, Read: inspectRead},
		Message: hear,
	})
	switch {
	case err != nil:
		return nil, err
	case problem != nil:
		return facts, problem
	case facts == nil:
		return nil, errWord
	}
	return facts, nil
}

// run hands files to a child. A failure to read them comes before all others.
func (s Sandboxed) run(ctx context.Context, task string, req request, files Files, bases []Base, o sandbox.Options) (sandbox.Outcome, error) {
	var l luggage
	req.Files = l.pack(files)
	all := slices.Clone(files)
	for _, b := range bases {
		req.Bases = append(req.Bases, requestBase{b, l.pack(b.Files)})
		all = append(all, b.Files...)
	}
	o.Files, o.Ranges = l.disk, l.ranges
	var err error
	if o.Args, err = json.Marshal(req); err != nil {
		return sandbox.Outcome{}, fmt.Errorf("encode the request: %w", err)
	}
	o.Task, o.Require = task, s.Require
	out, err := sandbox.Run(ctx, o)
	if fault := all.Fault(); fault != nil {
		return out, fault
	}
	return out, err
}

func total(files Files) (n int64) {
	for _, f := range files {
		n += f.Size
	}
	return n
}

// theirFault reports whether an error of a child comes of what it was given,
// so that another attempt would end alike.
func theirFault(err error) bool {
	return errors.As(err, new(*sandbox.LimitError)) || errors.As(err, new(*sandbox.ExitError)) ||
		errors.As(err, new(*sandbox.ProtocolError)) || errors.Is(err, errWord)
}

// reasonOf says why a child ended early, without the name of the package.
func reasonOf(err error) string { return strings.TrimPrefix(err.Error(), "sandbox: ") }

// witness writes down what a child says while it verifies.
type witness struct {
	report  *Report
	files   Files
	options RunOptions
	verdict *verdict
}

// hear takes one message.
func (w *witness) hear(p []byte) error {
	var m message
	if err := json.Unmarshal(p, &m); err != nil || w.verdict != nil {
		return errWord
	}
	switch {
	case m.Result != nil:
		if len(w.report.Results) == maxResults {
			return errWord
		}
		if err := m.Result.valid(); err != nil {
			return err
		}
		w.report.Results, w.report.Current = append(w.report.Results, *m.Result), ""
	case m.Current != "" && len(m.Current) <= 100:
		w.report.Current = m.Current
	case m.Verdict != nil:
		w.verdict = m.Verdict
		return m.Verdict.valid(w.files)
	default:
		return errWord
	}
	if w.options.Progress != nil {
		w.options.Progress(w.report.Clone())
	}
	return nil
}

// conclude decides the state. Only a child that came to its end is believed.
func (w *witness) conclude(ctx context.Context, out sandbox.Outcome, err error) {
	r := w.report
	during := r.Current
	r.Current = ""
	r.Sandbox = &out.Level
	r.Spent = &Spent{Memory: out.Memory, CPUSeconds: seconds(out.CPU)}
	r.FinishedAt = w.options.Now().UTC()
	switch {
	case err == nil && w.verdict != nil:
		r.State, r.Summary = w.verdict.State, w.verdict.Summary
		r.Files = append(r.Files, w.verdict.Files...)
		return
	case err == nil:
		err = errWord
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	r.State, r.Summary = StateError, reasonOf(err)
	var limit *sandbox.LimitError
	if errors.As(err, &limit) && limit.Limit == sandbox.LimitWall {
		r.Summary = fmt.Sprintf("time limit of %s reached", w.options.Timeout)
	}
	if during != "" {
		r.Summary = during + ": " + r.Summary
	}
}

// seconds returns a duration in seconds, to the microsecond.
func seconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1e6 }
