package check

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/carat-hub/carat/verify"
)

// The ids of the checks: what they are about, and what of it. A report keeps
// them for ever; later check sets may add ids.
const (
	idHeaders    = "structure.headers"
	idDigests    = "structure.digests"
	idValues     = "tensors.values"
	idRoundTrip  = "tokenizer.roundtrip"
	idOutputs    = "run.outputs"
	idPerplexity = "run.perplexity"

	idBase              = "lineage.base"
	idAdapter           = "lineage.adapter"
	idMerge             = "lineage.merge"
	idSearch            = verify.LineageSearch
	idRegressionTensors = "regression.tensors"
	idRegressionOutputs = "regression.outputs"
)

// checks are those of verify.CheckSet in the order in which they run: what is
// cheap and what others build on comes first.
func checks() []check {
	return []check{
		headersCheck, digestsCheck, valuesCheck, roundTripCheck, outputsCheck, perplexityCheck,
		baseCheck, adapterCheck, mergeCheck, searchCheck,
		regressionTensorsCheck, regressionOutputsCheck,
	}
}

// needed are the checks that must have passed for verify.StatePassed: they
// show that the model was loaded and run. The others may be skipped for a
// reason.
var needed = []string{idHeaders, idValues, idOutputs, idPerplexity}

// check is one thing that is proved about a model.
type check struct {
	id     string
	proves string       // one sentence: what a pass proves
	level  verify.Level // from which it is run on
	after  []string     // the checks without whose pass this one makes no sense
	once   bool         // it is about all files, and not about one of several models
	// about says whether the model has what the check is about; the report does
	// not mention one that is about nothing. nil stands for every model.
	about func(ctx context.Context, m *model) bool
	// run looks at the model. What is wrong with the model is a finding, or a
	// *fault.Malformed. A *fault.Unsupported or *cannotRunError says that the
	// model cannot be run here; any other error is a failure of the verifier.
	run func(ctx context.Context, m *model) (finding, error)
}

// finding is what a check found.
type finding struct {
	outcome  verify.Outcome
	reason   string // always there unless passed
	evidence any    // encoded as JSON; deterministic
	// excused says that a skipped check makes no sense for the model, which can pass without.
	excused bool
}

func passed(evidence any) finding { return finding{outcome: verify.OutcomePassed, evidence: evidence} }

func failed(evidence any, format string, args ...any) finding {
	return finding{outcome: verify.OutcomeFailed, reason: fmt.Sprintf(format, args...), evidence: evidence}
}

func skipped(format string, args ...any) finding {
	return finding{outcome: verify.OutcomeSkipped, reason: fmt.Sprintf(format, args...)}
}

func excused(format string, args ...any) finding {
	return finding{outcome: verify.OutcomeSkipped, reason: fmt.Sprintf(format, args...), excused: true}
}

func warned(evidence any, format string, args ...any) finding {
	return finding{outcome: verify.OutcomeWarned, reason: fmt.Sprintf(format, args...), evidence: evidence}
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
