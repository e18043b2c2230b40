package verify

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/registry"
)

// fakeCheck is a check that does what a test says.
type fakeCheck struct {
	name  string
	needs []string
	do    func(ctx context.Context) (finding, error)
}

func (c fakeCheck) id() string      { return c.name }
func (c fakeCheck) proves() string  { return "It is so." }
func (c fakeCheck) after() []string { return c.needs }
func (c fakeCheck) run(ctx context.Context, _ *model) (finding, error) {
	return c.do(ctx)
}

func fine(context.Context) (finding, error) { return passed(nil), nil }

// allFine are checks by the ids that a pass needs.
func allFine() []check {
	var list []check
	for _, id := range needed {
		list = append(list, fakeCheck{name: id, do: fine})
	}
	return list
}

func runFake(t *testing.T, files Files, o RunOptions, list []check) *Report {
	t.Helper()
	o = o.withDefaults()
	ctx, cancel := context.WithTimeoutCause(t.Context(), o.Timeout, errors.New("time limit reached"))
	defer cancel()
	r := o.newReport()
	run := runner{report: r, files: files, opts: o, engine: core{}}
	run.all(ctx, list)
	return r
}

func TestStates(t *testing.T) {
	t.Parallel()
	returns := func(f finding, err error) func(context.Context) (finding, error) {
		return func(context.Context) (finding, error) { return f, err }
	}
	tests := map[string]struct {
		extra   fakeCheck
		drop    bool // leave the needed checks out
		opts    RunOptions
		state   State
		summary string
	}{
		"all passed":            {extra: fakeCheck{do: fine}, state: StatePassed, summary: "all 6 checks passed"},
		"a warning is a pass":   {extra: fakeCheck{do: returns(finding{outcome: OutcomeWarned, reason: "odd"}, nil)}, state: StatePassed, summary: "all 6 checks passed"},
		"a skip that may be":    {extra: fakeCheck{do: returns(skipped("no manifest"), nil)}, state: StatePassed, summary: "5 checks passed, 1 skipped"},
		"a failure":             {extra: fakeCheck{do: returns(failed(nil, "it is broken"), nil)}, state: StateFailed, summary: "extra: it is broken"},
		"malformed":             {extra: fakeCheck{do: returns(finding{}, &fault.Malformed{Format: "gguf", Offset: -1, Reason: "cut off"})}, state: StateFailed, summary: "extra: malformed gguf: cut off"},
		"unsupported":           {extra: fakeCheck{do: returns(finding{}, fault.NewUnsupported("architecture", "mamba"))}, state: StateUnsupported, summary: "unsupported architecture: mamba"},
		"own failure":           {extra: fakeCheck{do: returns(finding{}, errors.New("disk on fire"))}, state: StateError, summary: "extra: disk on fire"},
		"panic":                 {extra: fakeCheck{do: func(context.Context) (finding, error) { panic("index out of range") }}, state: StateError, summary: "extra: panic: index out of range at verify.TestStates"},
		"timeout":               {extra: fakeCheck{do: func(ctx context.Context) (finding, error) { <-ctx.Done(); return finding{}, ctx.Err() }}, opts: RunOptions{Timeout: time.Millisecond}, state: StateError, summary: "extra: time limit reached"},
		"pass after the end":    {extra: fakeCheck{do: func(ctx context.Context) (finding, error) { <-ctx.Done(); return passed(nil), nil }}, opts: RunOptions{Timeout: time.Millisecond}, state: StateError, summary: "extra: time limit reached"},
		"nothing needed ran":    {extra: fakeCheck{do: fine}, drop: true, state: StateUnsupported, summary: "structure was not shown"},
		"after a failed check":  {extra: fakeCheck{needs: []string{"broken"}, do: fine}, state: StateFailed, summary: "broken: no"},
		"after a skipped check": {extra: fakeCheck{needs: []string{"left out"}, do: fine}, state: StatePassed, summary: "5 checks passed, 2 skipped"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.extra.name = "extra"
			list := append(allFine(), fakeCheck{name: "fifth", do: fine}, tt.extra)
			switch {
			case tt.drop:
				list = []check{tt.extra}
			case name == "after a failed check":
				list = append([]check{fakeCheck{name: "broken", do: returns(failed(nil, "no"), nil)}}, list...)
			case name == "after a skipped check":
				list = append([]check{fakeCheck{name: "left out", do: returns(skipped("no need"), nil)}}, list...)
			}
			r := runFake(t, nil, tt.opts, list)
			if r.State != tt.state || !strings.HasPrefix(r.Summary, tt.summary) {
				t.Errorf("%s: %s\nwant %s: %s", r.State, r.Summary, tt.state, tt.summary)
			}
			if got := r.Results[len(r.Results)-1]; got.ID != "extra" || got.Outcome != OutcomePassed && got.Reason == "" {
				t.Errorf("last result %+v", got)
			}
		})
	}
}

func TestProgressComesAfterEachCheck(t *testing.T) {
	t.Parallel()
	var seen []int
	var first *Report
	o := RunOptions{Progress: func(r *Report) {
		if first == nil {
			first = r
		}
		seen = append(seen, len(r.Results))
	}}
	runFake(t, nil, o, allFine())
	if diff := cmp.Diff([]int{1, 2, 3, 4}, seen); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(first.Results) != 1 || first.State != StateRunning {
		t.Errorf("the first report changed afterwards: %s with %d results", first.State, len(first.Results))
	}
}

// brokenDisk is an io.ReaderAt that fails.
type brokenDisk struct{}

func (brokenDisk) ReadAt([]byte, int64) (int, error) { return 0, errors.New("input/output error") }

func TestFaultOfTheDiskIsNoFailure(t *testing.T) {
	t.Parallel()
	files := Files{{Path: "model.gguf", Size: 10, Digest: registry.DigestOf(registry.SHA256, nil), r: brokenDisk{}}}
	reads := fakeCheck{name: "reads", do: func(context.Context) (finding, error) {
		_, err := files[0].ReadAt(make([]byte, 1), 0)
		return failed(nil, "header is cut off: %v", err), nil
	}}
	r := runFake(t, files, RunOptions{}, append(allFine(), reads))
	if r.State != StateError || r.Summary != "reads: read model.gguf: input/output error" {
		t.Errorf("%s: %s", r.State, r.Summary)
	}
}

// fileOf writes content to a file and opens it.
func fileOf(t *testing.T, name string, p []byte) *File {
	t.Helper()
	full := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(full, p, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(full)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	one, err := OpenFile(name, registry.Digest{}, f)
	if err != nil {
		t.Fatal(err)
	}
	return one
}

func TestDigestCheck(t *testing.T) {
	t.Parallel()
	a, b := []byte("first"), []byte("second")
	of := func(p []byte) registry.Digest { return registry.DigestOf(registry.SHA256, p) }
	tests := map[string]struct {
		digests [2]registry.Digest
		outcome Outcome
	}{
		"right":           {[2]registry.Digest{of(a), of(b)}, OutcomePassed},
		"sha512":          {[2]registry.Digest{of(a), registry.DigestOf(registry.SHA512, b)}, OutcomePassed},
		"swapped":         {[2]registry.Digest{of(b), of(a)}, OutcomeFailed},
		"one not named":   {[2]registry.Digest{of(a), {}}, OutcomeFailed},
		"no manifest":     {[2]registry.Digest{}, OutcomeSkipped},
		"one byte flawed": {[2]registry.Digest{of(a), of([]byte("sEcond"))}, OutcomeFailed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := Files{fileOf(t, "a", a), fileOf(t, "b", b)}
			files[0].Digest, files[1].Digest = tt.digests[0], tt.digests[1]
			m := &model{files: files, report: &Report{}}
			f, err := digestCheck{}.run(t.Context(), m)
			if err != nil || f.outcome != tt.outcome {
				t.Errorf("%s: %s, %v", f.outcome, f.reason, err)
			}
			if len(m.report.Files) != 2 || m.report.Files[0].Size != 5 {
				t.Errorf("files %+v", m.report.Files)
			}
		})
	}
}

// fakeEngine is a model of four tokens that always answers with the same logits.
type fakeEngine struct {
	known  inference.Facts
	tensor inference.TensorScan
	logits func(call int) []float32
	calls  int
	pieces []string
	lossy  bool
}

func (e *fakeEngine) facts(context.Context, Files) (*inference.Facts, error) { return &e.known, nil }

func (e *fakeEngine) scan(_ context.Context, _ Files, each func(inference.TensorScan) error) error {
	return each(e.tensor)
}
func (e *fakeEngine) tokenizer(context.Context, Files) (lexer, error)   { return e, nil }
func (e *fakeEngine) load(context.Context, Files, int) (decoder, error) { return e, nil }
func (e *fakeEngine) lexer() (lexer, error)                             { return e, nil }
func (e *fakeEngine) session(int) session                               { return fakeSession{e} }
func (e *fakeEngine) encoder() (encoder, error)                         { return fakeEncoder{e}, nil }
func (e *fakeEngine) close() error                                      { return nil }
func (e *fakeEngine) Size() int                                         { return 4 }

type fakeSession struct{ e *fakeEngine }

func (fakeSession) Close() {}

func (s fakeSession) EvalEach(_ context.Context, ids []int, _ int, each func(int, []float32) error) error {
	for i := range ids {
		s.e.calls++
		if err := each(i, s.e.logits(s.e.calls)); err != nil {
			return err
		}
	}
	return nil
}

func (e *fakeEngine) Encode(text string, _ bool) []int {
	e.pieces = append(e.pieces, text)
	ids := make([]int, 40)
	for i := range ids {
		ids[i] = i % 4
	}
	return ids
}

func (e *fakeEngine) Decode([]int) string {
	last := e.pieces[len(e.pieces)-1]
	if e.lossy && strings.ContainsFunc(last, func(r rune) bool { return r > 127 }) {
		return "?"
	}
	return last
}

func TestRunCheckJudgesOutputs(t *testing.T) {
	t.Parallel()
	good := []float32{1, 2, 3, 0}
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	tests := map[string]struct {
		logits  func(call int) []float32
		outcome Outcome
		reason  string
	}{
		"good":              {func(int) []float32 { return good }, OutcomePassed, ""},
		"NaN at the prompt": {func(int) []float32 { return []float32{1, nan, 2, 3} }, OutcomeFailed, "output 1 is NaN after 1 tokens"},
		"NaN later": {func(c int) []float32 {
			if c == 42 {
				return []float32{nan, 1, 2, 3}
			}
			return good
		}, OutcomeFailed, "output 0 is NaN after 42 tokens"},
		"infinite":   {func(int) []float32 { return []float32{1, 2, inf, 3} }, OutcomeFailed, "output 2 is +Inf after 1 tokens"},
		"all equal":  {func(int) []float32 { return []float32{7, 7, 7, 7} }, OutcomeFailed, "all outputs are equal after 1 tokens"},
		"no outputs": {func(int) []float32 { return nil }, OutcomeFailed, "there are no outputs after 1 tokens"},
		"other tokens the second time": {func(c int) []float32 {
			if c > 40+generated-1 {
				return []float32{9, 2, 3, 0}
			}
			return good
		}, OutcomeFailed, "two runs on the same prompt differ"},
		"other values the second time": {func(c int) []float32 {
			if c > 40+generated-1 {
				return []float32{1, 2, 3.5, 0}
			}
			return good
		}, OutcomeFailed, "two runs on the same prompt differ"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &model{engine: &fakeEngine{logits: tt.logits}}
			f, err := generateCheck{}.run(t.Context(), m)
			if err != nil || f.outcome != tt.outcome || f.reason != tt.reason {
				t.Errorf("%s: %q, %v; want %s: %q", f.outcome, f.reason, err, tt.outcome, tt.reason)
			}
		})
	}
}

func TestRunCheckNeedsContext(t *testing.T) {
	t.Parallel()
	e := &fakeEngine{logits: func(int) []float32 { return []float32{1, 2} }}
	e.known.ContextLength = 50
	var cannot *cannotRunError
	if _, err := (generateCheck{}).run(t.Context(), &model{engine: e}); !errors.As(err, &cannot) {
		t.Errorf("error %v", err)
	}
}

func TestPerplexityBand(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		logits     []float32
		outcome    Outcome
		perplexity float64
	}{
		"chance":     {[]float32{1, 1, 1, 1}, OutcomeFailed, 4},
		"not finite": {[]float32{1, 1, 1, float32(math.NaN())}, OutcomeFailed, 0},
		"too narrow": {[]float32{1, 1}, OutcomeFailed, 0}, // tokens that the model does not have
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &model{engine: &fakeEngine{logits: func(int) []float32 { return tt.logits }}}
			f, err := perplexityCheck{}.run(t.Context(), m)
			if err != nil || f.outcome != tt.outcome {
				t.Fatalf("%s: %q, %v", f.outcome, f.reason, err)
			}
			if ev := f.evidence.(perplexityEvidence); ev.Perplexity != tt.perplexity || ev.Tokens != 39 {
				t.Errorf("evidence %+v", ev)
			}
		})
	}
	// A model that knows what comes next: the ids go round 0, 1, 2, 3.
	e := &fakeEngine{}
	e.logits = func(call int) []float32 {
		l := make([]float32, 4)
		l[call%4] = 3
		return l
	}
	f, err := perplexityCheck{}.run(t.Context(), &model{engine: e})
	want := rounded(1 + 3*math.Exp(-3))
	if ev := f.evidence.(perplexityEvidence); err != nil || f.outcome != OutcomePassed || ev.Perplexity != want || ev.Limit != 2 {
		t.Errorf("%s: %q, %+v, %v; want %v", f.outcome, f.reason, ev, err, want)
	}
}

func TestTokenizerCheck(t *testing.T) {
	t.Parallel()
	f, err := tokenizerCheck{}.run(t.Context(), &model{engine: &fakeEngine{}})
	if err != nil || f.outcome != OutcomePassed {
		t.Errorf("%s: %q, %v", f.outcome, f.reason, err)
	}
	f, err = tokenizerCheck{}.run(t.Context(), &model{engine: &fakeEngine{lossy: true}})
	if err != nil || f.outcome != OutcomeWarned || !strings.Contains(f.reason, "german; french") {
		t.Errorf("%s: %q, %v", f.outcome, f.reason, err)
	}
}

func TestTensorsCheck(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		scan    inference.TensorScan
		outcome Outcome
		reason  string
	}{
		"good":        {inference.TensorScan{Shape: []int{2, 2}, Elements: 4, Zero: 1, Min: -2, Max: 3}, OutcomePassed, ""},
		"one NaN":     {inference.TensorScan{Shape: []int{2, 2}, Elements: 4, NaN: 1, Max: 3}, OutcomeFailed, `tensor "w" has 1 NaN and 0 infinite values`},
		"infinite":    {inference.TensorScan{Shape: []int{4}, Elements: 4, Inf: 2, Max: 3}, OutcomeFailed, `tensor "w" has 0 NaN and 2 infinite values`},
		"zero matrix": {inference.TensorScan{Shape: []int{2, 2}, Elements: 4, Zero: 4}, OutcomeFailed, `tensor "w" is all zero`},
		"zero bias":   {inference.TensorScan{Shape: []int{4}, Elements: 4, Zero: 4}, OutcomePassed, ""},
		"unread type": {inference.TensorScan{Shape: []int{64}, DType: "Q8_1", Skipped: "not yet"}, "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.scan.Name = "w"
			f, err := tensorsCheck{}.run(t.Context(), &model{engine: &fakeEngine{tensor: tt.scan}})
			if tt.outcome == "" {
				var unsupported *fault.Unsupported
				if !errors.As(err, &unsupported) || unsupported.Error() != "unsupported tensor type: Q8_1" {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil || f.outcome != tt.outcome || f.reason != tt.reason {
				t.Errorf("%s: %q, %v", f.outcome, f.reason, err)
			}
			if ev, ok := f.evidence.(tensorsEvidence); !ok || ev.Tensors != 1 || ev.MaxAbs != max(-tt.scan.Min, tt.scan.Max) {
				t.Errorf("evidence %+v", f.evidence)
			}
		})
	}
}

func TestStructureCheckComparesVocabularies(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		rows, declared int
		outcome        Outcome
	}{
		"equal":             {4, 4, OutcomePassed},
		"padded":            {6, 6, OutcomePassed},
		"declared too many": {4, 5, OutcomeFailed},
		"too few rows":      {3, 3, OutcomeFailed},
		"far too many rows": {400, 400, OutcomeWarned},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &fakeEngine{known: inference.Facts{Tensors: make([]inference.TensorFact, 1), EmbeddingRows: tt.rows, VocabularySize: tt.declared}}
			f, err := structureCheck{}.run(t.Context(), &model{engine: e})
			if err != nil || f.outcome != tt.outcome {
				t.Errorf("%s: %q, %v", f.outcome, f.reason, err)
			}
		})
	}
}
