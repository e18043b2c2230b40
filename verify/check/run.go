package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/verify"
)

// Verify does one verification with the checks of verify.CheckSet in this
// process. It always returns a final report; one in verify.StateError says
// nothing about the model. The files stay the caller's and must stay open
// until it returns.
func Verify(ctx context.Context, files verify.Files, o verify.RunOptions) *verify.Report {
	o = o.WithDefaults()
	r := o.NewReport()
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout, fmt.Errorf("time limit of %s reached", o.Timeout))
	defer cancel()
	run := runner{report: r, files: files, opts: o, engine: core{}}
	run.all(ctx, checks())
	return r
}

type runner struct {
	report *verify.Report
	files  verify.Files
	opts   verify.RunOptions
	engine engine

	model    *model                    // the one that is looked at
	outcomes map[string]verify.Outcome // of its checks
	excused  map[string]bool           // of its checks, those that it can pass without
	halted   error                     // the first obstacle to its checks

	broken      string   // why the verifier itself could not go on
	unsupported []string // why models cannot be run here, one for each of them
}

// all runs the checks on every model among the files.
func (r *runner) all(ctx context.Context, list []check) {
	parts := partsOf(r.files)
	var refused error
	if len(parts) > maxParts {
		refused = &cannotRunError{fmt.Sprintf("there are %d models in one version; at most %d are verified", len(parts), maxParts)}
		parts = parts[:1]
		parts[0].name = ""
	}
	for i, p := range parts {
		r.model = &model{files: r.files, part: p, report: r.report, opts: r.opts, engine: r.engine, refused: refused}
		r.outcomes, r.excused, r.halted = map[string]verify.Outcome{}, map[string]bool{}, nil
		for _, c := range list {
			if !r.opts.Level.Has(c.level) || i > 0 && c.once || !r.applies(ctx, c) {
				continue
			}
			r.report.Current = c.id
			r.tell()
			r.one(ctx, c)
			r.report.Current = ""
			r.tell()
		}
		r.settle()
	}
	r.conclude(len(parts))
	r.report.FinishedAt = r.opts.Now().UTC()
}

// tell reports how far the verification is.
func (r *runner) tell() {
	if r.opts.Progress != nil {
		r.opts.Progress(r.report.Clone())
	}
}

// applies reports whether the model has what a check is about. Where finding
// that out goes wrong, so does the check, which tells.
func (r *runner) applies(ctx context.Context, c check) (is bool) {
	if c.about == nil {
		return true
	}
	defer func() {
		if recover() != nil {
			is = true
		}
	}()
	return c.about(ctx, r.model)
}

// one runs a check, or says why it is not run.
func (r *runner) one(ctx context.Context, c check) {
	started := r.opts.Now()
	f, err := r.attempt(ctx, c)
	var malformed *fault.Malformed
	hindrance := obstacle(err)
	switch {
	case hindrance != nil:
		if r.halted == nil {
			r.halted = hindrance
		}
		f = finding{outcome: verify.OutcomeSkipped, reason: storable(hindrance.Error()), evidence: f.evidence}
	case errors.As(err, &malformed):
		f = failed(f.evidence, "%s", storable(malformed.Error()))
	case err != nil:
		r.broken = fmt.Sprintf("%s: %v", c.id, err)
		f = skipped("could not run: %v", err)
	}
	res := verify.Result{ID: c.id, Proves: c.proves, Outcome: f.outcome, Reason: f.reason, Seconds: seconds(r.opts.Now().Sub(started))}
	if !c.once {
		res.File = r.model.part.name
	}
	if f.evidence != nil {
		if res.Evidence, err = json.Marshal(f.evidence); err != nil {
			r.broken = fmt.Sprintf("%s: encode the evidence: %v", c.id, err)
		}
	}
	r.outcomes[c.id], r.excused[c.id] = f.outcome, f.excused
	r.report.Results = append(r.report.Results, res)
}

func (r *runner) attempt(ctx context.Context, c check) (f finding, err error) {
	if r.broken != "" {
		return skipped("the verification had ended: %s", r.broken), nil
	}
	for _, id := range c.after {
		switch r.outcomes[id] {
		case verify.OutcomePassed, verify.OutcomeWarned:
		case verify.OutcomeSkipped:
			return skipped("not run because %s was skipped", id), nil
		default:
			return skipped("not run because %s failed", id), nil
		}
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v at %s", p, panicSite(debug.Stack()))
		}
	}()
	f, err = c.run(ctx, r.model)
	if ctx.Err() != nil {
		return finding{}, context.Cause(ctx)
	}
	if fault := r.model.files.Fault(); fault != nil {
		return finding{}, fault // what was found rests on bytes that were not read
	}
	return f, err
}

// panicSite returns the function that panicked, from a stack trace.
func panicSite(stack []byte) string {
	_, after, ok := strings.Cut(string(stack), "panic(")
	if !ok {
		return "an unknown place"
	}
	for line := range strings.Lines(after) {
		if name, _, ok := strings.Cut(line, "("); ok && strings.HasPrefix(name, "github.com/carat-hub/") {
			return strings.TrimPrefix(name, "github.com/carat-hub/carat/")
		}
	}
	return "an unknown place"
}

// settle closes the model and notes why it was not run. What its architecture
// lacks comes before what its tokenizer does.
func (r *runner) settle() {
	m := r.model
	if err := m.close(); err != nil && r.broken == "" {
		r.broken = fmt.Sprintf("close the model: %v", err)
	}
	why := r.halted
	var u *fault.Unsupported
	if errors.As(m.unrunnable, &u) && u.What != "tensor type" || why == nil {
		why = m.unrunnable
	}
	sentence := ""
	if why != nil {
		sentence = storable(obstacleSentence(why, m.known))
	} else if lost := r.missing(); lost != "" {
		sentence = lost + " was not shown"
	}
	if sentence != "" {
		r.unsupported = append(r.unsupported, ofPart(m.part.name, sentence))
	}
}

// ofPart says of which model a sentence is.
func ofPart(name, sentence string) string {
	if name == "" {
		return sentence
	}
	return name + ": " + sentence
}

// conclude decides the state. Whatever is in doubt is not a pass.
func (r *runner) conclude(models int) {
	rep := r.report
	switch failures := rep.Failed(); {
	case r.broken != "":
		rep.State, rep.Summary = verify.StateError, r.broken
	case len(failures) > 0:
		rep.State, rep.Summary = verify.StateFailed, ofPart(failures[0].File, failures[0].ID+": "+failures[0].Reason)
	case len(r.unsupported) > 0:
		rep.State, rep.Summary = verify.StateUnsupported, r.unsupported[0]
		if models > 1 {
			rep.Summary = fmt.Sprintf("%d of %d models run; %s", models-len(r.unsupported), models, rep.Summary)
		}
	default:
		rep.State, rep.Summary = verify.StatePassed, rep.PassSummary()
	}
}

// missing returns the first needed check that neither passed nor warned nor was excused.
func (r *runner) missing() string {
	for _, id := range needed {
		if o := r.outcomes[id]; o != verify.OutcomePassed && o != verify.OutcomeWarned && !r.excused[id] {
			return id
		}
	}
	return ""
}
