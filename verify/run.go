package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/registry"
)

// RunOptions configure one verification.
type RunOptions struct {
	Subject  *registry.Digest // manifest digest; nil for a local folder
	Threads  int              // of the arithmetic; default all cores
	Timeout  time.Duration    // wall clock; default 30 minutes
	Now      func() time.Time // default time.Now
	Version  string           // of the program, for the report; default what the linker recorded
	Progress func(*Report)    // called after each check with a copy, when not nil
}

func (o RunOptions) withDefaults() RunOptions {
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

// newReport returns the report of a verification that begins now.
func (o RunOptions) newReport() *Report {
	o = o.withDefaults()
	return &Report{
		Version: ReportVersion, CheckSet: CheckSet, Subject: o.Subject, State: StateRunning, Summary: "running",
		Results: []Result{}, Files: []VerifiedFile{}, StartedAt: o.Now().UTC(), Verifier: thisVerifier(o.Version),
	}
}

// check is one thing that is proved about a model.
type check interface {
	// id names the check for ever; later check sets may add ids.
	id() string
	// proves is one sentence: what a pass proves.
	proves() string
	// after names the checks without whose pass this one makes no sense.
	after() []string
	// run looks at the model. What is wrong with the model is a finding, or a
	// *fault.Malformed. A *fault.Unsupported or *cannotRunError says that the
	// model cannot be run here; any other error is a failure of the verifier.
	run(ctx context.Context, m *model) (finding, error)
}

// finding is what a check found.
type finding struct {
	outcome  Outcome
	reason   string // always there unless passed
	evidence any    // encoded as JSON; deterministic
	// excused says that a skipped check makes no sense for the model, which can pass without.
	excused bool
}

func passed(evidence any) finding { return finding{outcome: OutcomePassed, evidence: evidence} }

func failed(evidence any, format string, args ...any) finding {
	return finding{outcome: OutcomeFailed, reason: fmt.Sprintf(format, args...), evidence: evidence}
}

func skipped(format string, args ...any) finding {
	return finding{outcome: OutcomeSkipped, reason: fmt.Sprintf(format, args...)}
}

func excused(format string, args ...any) finding {
	return finding{outcome: OutcomeSkipped, reason: fmt.Sprintf(format, args...), excused: true}
}

// checks is check set 1, in the order in which they run: what is cheap and
// what others build on comes first.
func checks() []check {
	return []check{structureCheck{}, digestCheck{}, tensorsCheck{}, tokenizerCheck{}, generateCheck{}, perplexityCheck{}}
}

// needed are the checks that must have passed for StatePassed: they show that
// the model was loaded and run. The others may be skipped for a reason.
var needed = []string{structureCheck{}.id(), tensorsCheck{}.id(), generateCheck{}.id(), perplexityCheck{}.id()}

// Run verifies the files with check set CheckSet. It always returns a final
// report; one in StateError says nothing about the model. The files stay the
// caller's and must stay open until Run returns.
func Run(ctx context.Context, files Files, o RunOptions) *Report {
	o = o.withDefaults()
	r := o.newReport()
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout, fmt.Errorf("time limit of %s reached", o.Timeout))
	defer cancel()
	run := runner{report: r, files: files, opts: o, engine: core{}}
	run.all(ctx, checks())
	return r
}

type runner struct {
	report *Report
	files  Files
	opts   RunOptions
	engine engine

	model    *model             // the one that is looked at
	outcomes map[string]Outcome // of its checks
	excused  map[string]bool    // of its checks, those that it can pass without
	halted   error              // the first obstacle to its checks

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
		r.outcomes, r.excused, r.halted = map[string]Outcome{}, map[string]bool{}, nil
		for _, c := range list {
			if i > 0 && c.id() == (digestCheck{}).id() {
				continue // it is about all files
			}
			r.one(ctx, c)
			if r.opts.Progress != nil {
				r.opts.Progress(r.report.clone())
			}
		}
		r.settle()
	}
	r.conclude(len(parts))
	r.report.FinishedAt = r.opts.Now().UTC()
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
		f = finding{outcome: OutcomeSkipped, reason: storable(hindrance.Error()), evidence: f.evidence}
	case errors.As(err, &malformed):
		f = failed(f.evidence, "%s", storable(malformed.Error()))
	case err != nil:
		r.broken = fmt.Sprintf("%s: %v", c.id(), err)
		f = skipped("could not run: %v", err)
	}
	res := Result{ID: c.id(), Proves: c.proves(), Outcome: f.outcome, Reason: f.reason, Seconds: seconds(r.opts.Now().Sub(started))}
	if c.id() != (digestCheck{}).id() {
		res.File = r.model.part.name
	}
	if f.evidence != nil {
		if res.Evidence, err = json.Marshal(f.evidence); err != nil {
			r.broken = fmt.Sprintf("%s: encode the evidence: %v", c.id(), err)
		}
	}
	r.outcomes[c.id()], r.excused[c.id()] = f.outcome, f.excused
	r.report.Results = append(r.report.Results, res)
}

func (r *runner) attempt(ctx context.Context, c check) (f finding, err error) {
	if r.broken != "" {
		return skipped("the verification had ended: %s", r.broken), nil
	}
	for _, id := range c.after() {
		switch r.outcomes[id] {
		case OutcomePassed, OutcomeWarned:
		case OutcomeSkipped:
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
		rep.State, rep.Summary = StateError, r.broken
	case len(failures) > 0:
		rep.State, rep.Summary = StateFailed, ofPart(failures[0].File, failures[0].ID+": "+failures[0].Reason)
	case len(r.unsupported) > 0:
		rep.State, rep.Summary = StateUnsupported, r.unsupported[0]
		if models > 1 {
			rep.Summary = fmt.Sprintf("%d of %d models run; %s", models-len(r.unsupported), models, rep.Summary)
		}
	default:
		rep.State, rep.Summary = StatePassed, fmt.Sprintf("all %d checks passed", len(rep.Results))
		if n := count(rep.Results, OutcomeSkipped); n > 0 {
			rep.Summary = fmt.Sprintf("%d checks passed, %d skipped", len(rep.Results)-n, n)
		}
		if models > 1 {
			rep.Summary += fmt.Sprintf(" on %d models", models)
		}
	}
}

// missing returns the first needed check that neither passed nor warned nor was excused.
func (r *runner) missing() string {
	for _, id := range needed {
		if o := r.outcomes[id]; o != OutcomePassed && o != OutcomeWarned && !r.excused[id] {
			return id
		}
	}
	return ""
}

func count(results []Result, o Outcome) int {
	n := 0
	for _, r := range results {
		if r.Outcome == o {
			n++
		}
	}
	return n
}

// clone returns a copy that stays as it is while the verification goes on.
func (r *Report) clone() *Report {
	c := *r
	c.Results = append([]Result{}, r.Results...)
	c.Files = append([]VerifiedFile{}, r.Files...)
	return &c
}

// digestCheck re-hashes every file. It also fills in the report's files.
type digestCheck struct{}

func (digestCheck) id() string { return "digest" }
func (digestCheck) proves() string {
	return "Every file has exactly the bytes that the manifest names."
}
func (digestCheck) after() []string { return nil }

type digestEvidence struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

func (digestCheck) run(ctx context.Context, m *model) (finding, error) {
	var wrong []string
	var ev digestEvidence
	declared := 0
	for _, f := range m.files {
		a := registry.SHA256
		if !f.Digest.IsZero() {
			declared++
			a = f.Digest.Algorithm()
		}
		h := a.New()
		n, err := io.Copy(h, contextReader{ctx, io.NewSectionReader(f, 0, f.Size)})
		if err != nil {
			return finding{}, fmt.Errorf("hash %s: %w", f.Path, err)
		}
		d := registry.DigestFromHash(a, h)
		m.report.Files = append(m.report.Files, VerifiedFile{Path: f.Path, Size: n, Digest: d})
		ev.Files++
		ev.Bytes += n
		if !f.Digest.IsZero() && d != f.Digest {
			wrong = append(wrong, fmt.Sprintf("%s is %s, not %s", f.Path, d, f.Digest))
		}
	}
	switch {
	case len(wrong) > 0:
		return failed(ev, "%s", listed(wrong)), nil
	case declared == 0:
		return skipped("a local folder has no manifest to compare with"), nil
	case declared < len(m.files):
		return failed(ev, "%d files are not in the manifest", len(m.files)-declared), nil
	}
	return passed(ev), nil
}

// listed joins sentences, the first few of them.
func listed(s []string) string {
	const most = 5
	if len(s) > most {
		return strings.Join(s[:most], "; ") + fmt.Sprintf("; and %d more", len(s)-most)
	}
	return strings.Join(s, "; ")
}

// seconds returns a duration in seconds, to the microsecond.
func seconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1e6 }
