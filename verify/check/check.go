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
	idHeaders      = "structure.headers"
	idDigests      = "structure.digests"
	idValues       = "tensors.values"
	idConstants    = "tensors.constants"
	idDuplicates   = "tensors.duplicates"
	idOrder        = "tensors.order"
	idOutliers     = "tensors.outliers"
	idFormats      = "safety.formats"
	idRemoteCode   = "safety.remote-code"
	idTemplate     = "safety.template"
	idFiles        = "safety.files"
	idSecrets      = "safety.secrets"
	idLayout       = "structure.layout"
	idIndex        = "structure.index"
	idShapes       = "structure.shapes"
	idAdapter      = "structure.adapter"
	idSpecial      = "tokenizer.special"
	idAgreement    = "tokenizer.agreement"
	idParameters   = "truth.parameters"
	idArchitecture = "truth.architecture"
	idQuantization = "truth.quantization"
	idContext      = "truth.context"
	idLanguages    = "truth.languages"
	idLicense      = "truth.license"
	idRoundTrip    = "tokenizer.roundtrip"
	idOutputs      = "run.outputs"
	idPerplexity   = "run.perplexity"

	idAlternatives      = "run.alternatives"
	idChat              = "run.template"
	idLoad              = "run.load"
	idSimilarity        = "run.similarity"
	idVocabulary        = "run.vocabulary"
	idCoupling          = "tensors.coupling"
	idHeads             = "tensors.heads"
	idLayerOrder        = "tensors.layers"
	idBase              = "lineage.base"
	idBaseAdapter       = "lineage.adapter"
	idMerge             = "lineage.merge"
	idSearch            = verify.LineageSearch
	idRegressionTensors = "regression.tensors"
	idRegressionOutputs = "regression.outputs"
)

// checks are those of verify.CheckSet in the order in which they run: what is
// cheap and what others build on comes first.
func checks() []check {
	return []check{
		headersCheck, layoutCheck, indexCheck, shapesCheck, adapterCheck, digestsCheck, formatsCheck, remoteCodeCheck, templateCheck, filesCheck, secretsCheck,
		parametersCheck, architectureCheck, quantizationCheck, contextCheck, languagesCheck, licenseCheck,
		valuesCheck, constantsCheck, duplicatesCheck, orderCheck, outliersCheck, roundTripCheck, specialCheck, agreementCheck, outputsCheck, perplexityCheck,
		similarityCheck, vocabularyCheck, couplingCheck, headsCheck, layerOrderCheck, alternativesCheck, chatCheck, loadCheck,
		baseCheck, baseAdapterCheck, mergeCheck, searchCheck, regressionTensorsCheck, regressionOutputsCheck,
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
	unless []string     // the checks with whose failure this one makes no sense
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
	// measured are times and memory, which differ each time; by name, with the unit at its end.
	measured map[string]float64
}

func passed(evidence any) finding { return finding{outcome: verify.OutcomePassed, evidence: evidence} }

func failed(evidence any, format string, args ...any) finding {
	return finding{outcome: verify.OutcomeFailed, reason: fmt.Sprintf(format, args...), evidence: evidence}
}

func warned(evidence any, format string, args ...any) finding {
	return finding{outcome: verify.OutcomeWarned, reason: fmt.Sprintf(format, args...), evidence: evidence}
}

func skipped(format string, args ...any) finding {
	return finding{outcome: verify.OutcomeSkipped, reason: fmt.Sprintf(format, args...)}
}

func excused(format string, args ...any) finding {
	return finding{outcome: verify.OutcomeSkipped, reason: fmt.Sprintf(format, args...), excused: true}
}

// excusedWith is excused with what led to it.
func excusedWith(evidence any, format string, args ...any) finding {
	f := excused(format, args...)
	f.evidence = evidence
	return f
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
