package verify

import (
	"cmp"
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify/sandbox"
)

// CheckSet is the version of the set of checks. A verification is of a
// manifest digest and a check set; raising it makes older ones stale.
const CheckSet = 2

// ReportVersion is the version of the report's JSON form.
const ReportVersion = 1

// State is where a verification stands.
type State string

// The states. Only StatePassed says that the model was loaded and run.
const (
	StatePending     State = "pending"
	StateRunning     State = "running"
	StatePassed      State = "passed"
	StateFailed      State = "failed"      // a check failed: the model is broken or not what it says
	StateUnsupported State = "unsupported" // all that could be checked is fine, but it could not be run here
	StateError       State = "error"       // the verifier itself could not do its work; nothing is said of the model
	StateCancelled   State = "cancelled"   // the last tag of the version went away before it was done
)

// Done reports whether a verification in this state will not change by itself.
func (s State) Done() bool {
	return s == StatePassed || s == StateFailed || s == StateUnsupported || s == StateError || s == StateCancelled
}

// Outcome is the result of one check.
type Outcome string

// The outcomes.
const (
	OutcomePassed  Outcome = "passed"
	OutcomeWarned  Outcome = "warned"
	OutcomeFailed  Outcome = "failed"
	OutcomeSkipped Outcome = "skipped" // the reason says why
)

// Result is one check's outcome with its evidence.
type Result struct {
	ID       string          `json:"id"`             // for example "structure.headers"
	File     string          `json:"file,omitempty"` // which model is meant, where a version holds several
	Proves   string          `json:"proves"`         // one sentence: what a pass proves
	Outcome  Outcome         `json:"outcome"`
	Reason   string          `json:"reason,omitempty"`   // why, always there unless passed
	Evidence json.RawMessage `json:"evidence,omitempty"` // data that another verifier can compare
	Seconds  float64         `json:"seconds"`
	// Measured are speeds and memory, by name with the unit at its end. They differ from one verification to the next.
	Measured map[string]float64 `json:"measured,omitempty"`
}

// Report is what a verification found. It is deterministic but for times and what was measured.
type Report struct {
	Version    int              `json:"version"`
	CheckSet   int              `json:"checkSet"`
	Level      Level            `json:"level"`
	Subject    *registry.Digest `json:"subject,omitempty"` // manifest digest; nil for a local folder
	State      State            `json:"state"`
	Summary    string           `json:"summary"`
	Current    string           `json:"current,omitempty"` // the check that runs now
	Results    []Result         `json:"results"`
	Files      []VerifiedFile   `json:"files"`
	StartedAt  time.Time        `json:"startedAt"`
	FinishedAt time.Time        `json:"finishedAt"`
	Verifier   Verifier         `json:"verifier"`
	// Sandbox are the layers that held; nil when the checks ran in a process
	// that could do more than compute.
	Sandbox *sandbox.Level `json:"sandbox,omitempty"`
	Spent   *Spent         `json:"spent,omitempty"` // like times, it differs each time
}

// Spent is what a verification took.
type Spent struct {
	Memory     int64   `json:"memory"` // bytes at most, without what was mapped from the files
	CPUSeconds float64 `json:"cpuSeconds"`
}

// VerifiedFile names one file that the checks read, as it was measured.
type VerifiedFile struct {
	Path   string          `json:"path"`
	Size   int64           `json:"size"`
	Digest registry.Digest `json:"digest"`
}

// Verifier says what made the report.
type Verifier struct {
	Name     string `json:"name"` // "carat"
	Version  string `json:"version"`
	Platform string `json:"platform"` // GOOS/GOARCH
}

// Failed returns the results that failed.
func (r *Report) Failed() []Result {
	var failed []Result
	for _, x := range r.Results {
		if x.Outcome == OutcomeFailed {
			failed = append(failed, x)
		}
	}
	return failed
}

// PassSummary says how many checks passed in a report whose state is
// StatePassed.
func (r *Report) PassSummary() string {
	skipped, models := 0, map[string]bool{}
	for _, x := range r.Results {
		if x.Outcome == OutcomeSkipped {
			skipped++
		}
		if x.File != "" {
			models[x.File] = true
		}
	}
	summary := fmt.Sprintf("all %d checks passed", len(r.Results))
	if skipped > 0 {
		summary = fmt.Sprintf("%d checks passed, %d skipped", len(r.Results)-skipped, skipped)
	}
	if len(models) > 1 {
		summary += fmt.Sprintf(" on %d models", len(models))
	}
	return summary
}

// Clone returns a copy that stays as it is while the verification goes on.
func (r *Report) Clone() *Report {
	c := *r
	c.Results = append([]Result{}, r.Results...)
	c.Files = append([]VerifiedFile{}, r.Files...)
	return &c
}

// ErrorReport is the final report of a verification that the verifier could
// not do.
func ErrorReport(subject registry.Digest, now time.Time, reason string) *Report {
	return &Report{
		Version: ReportVersion, CheckSet: CheckSet, Level: LevelStandard, Subject: &subject, State: StateError,
		Summary: reason, Results: []Result{}, Files: []VerifiedFile{},
		StartedAt: now, FinishedAt: now, Verifier: thisVerifier(""),
	}
}

// buildVersion is the version of the program that the linker recorded.
var buildVersion = sync.OnceValue(func() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
})

// thisVerifier describes this program; an empty version means the linker's.
func thisVerifier(version string) Verifier {
	return Verifier{Name: "carat", Version: cmp.Or(version, buildVersion()), Platform: runtime.GOOS + "/" + runtime.GOARCH}
}
