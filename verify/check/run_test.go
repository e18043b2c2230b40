package check

import (
	"context"
	"errors"
	"fmt"
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
	"github.com/carat-hub/carat/verify"
)

// fake is a check that does what a test says.
func fake(id string, do func(ctx context.Context) (finding, error), after ...string) check {
	return check{
		id: id, proves: "It is so.", level: verify.LevelQuick, after: after,
		run: func(ctx context.Context, _ *model) (finding, error) { return do(ctx) },
	}
}

func fine(context.Context) (finding, error) { return passed(nil), nil }

// allFine are checks by the ids that a pass needs.
func allFine() []check {
	var list []check
	for _, id := range needed {
		list = append(list, fake(id, fine))
	}
	return list
}

func runFake(t *testing.T, files verify.Files, o verify.RunOptions, list []check) *verify.Report {
	t.Helper()
	o = o.WithDefaults()
	ctx, cancel := context.WithTimeoutCause(t.Context(), o.Timeout, errors.New("time limit reached"))
	defer cancel()
	r := o.NewReport()
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
		extra   check
		drop    bool // leave the needed checks out
		opts    verify.RunOptions
		state   verify.State
		summary string
	}{
		"all passed":            {extra: fake("extra", fine), state: verify.StatePassed, summary: "all 6 checks passed"},
		"a warning is a pass":   {extra: fake("extra", returns(finding{outcome: verify.OutcomeWarned, reason: "odd"}, nil)), state: verify.StatePassed, summary: "all 6 checks passed"},
		"a skip that may be":    {extra: fake("extra", returns(skipped("no manifest"), nil)), state: verify.StatePassed, summary: "5 checks passed, 1 skipped"},
		"a failure":             {extra: fake("extra", returns(failed(nil, "it is broken"), nil)), state: verify.StateFailed, summary: "extra: it is broken"},
		"malformed":             {extra: fake("extra", returns(finding{}, &fault.Malformed{Format: "gguf", Offset: -1, Reason: "cut off"})), state: verify.StateFailed, summary: "extra: malformed gguf: cut off"},
		"unsupported":           {extra: fake("extra", returns(finding{}, fault.NewUnsupported("architecture", "mamba"))), state: verify.StateUnsupported, summary: "unsupported architecture: mamba"},
		"own failure":           {extra: fake("extra", returns(finding{}, errors.New("disk on fire"))), state: verify.StateError, summary: "extra: disk on fire"},
		"panic":                 {extra: fake("extra", func(context.Context) (finding, error) { panic("index out of range") }), state: verify.StateError, summary: "extra: panic: index out of range at verify/check.TestStates"},
		"timeout":               {extra: fake("extra", func(ctx context.Context) (finding, error) { <-ctx.Done(); return finding{}, ctx.Err() }), opts: verify.RunOptions{Timeout: time.Millisecond}, state: verify.StateError, summary: "extra: time limit reached"},
		"pass after the end":    {extra: fake("extra", func(ctx context.Context) (finding, error) { <-ctx.Done(); return passed(nil), nil }), opts: verify.RunOptions{Timeout: time.Millisecond}, state: verify.StateError, summary: "extra: time limit reached"},
		"nothing needed ran":    {extra: fake("extra", fine), drop: true, state: verify.StateUnsupported, summary: "structure.headers was not shown"},
		"after a failed check":  {extra: fake("extra", fine, "broken"), state: verify.StateFailed, summary: "broken: no"},
		"after a skipped check": {extra: fake("extra", fine, "left out"), state: verify.StatePassed, summary: "5 checks passed, 2 skipped"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list := append(allFine(), fake("fifth", fine), tt.extra)
			switch {
			case tt.drop:
				list = []check{tt.extra}
			case name == "after a failed check":
				list = append([]check{fake("broken", returns(failed(nil, "no"), nil))}, list...)
			case name == "after a skipped check":
				list = append([]check{fake("left out", returns(skipped("no need"), nil))}, list...)
			}
			r := runFake(t, nil, tt.opts, list)
			if r.State != tt.state || !strings.HasPrefix(r.Summary, tt.summary) {
				t.Errorf("%s: %s\nwant %s: %s", r.State, r.Summary, tt.state, tt.summary)
			}
			if got := r.Results[len(r.Results)-1]; got.ID != "extra" || got.Outcome != verify.OutcomePassed && got.Reason == "" {
				t.Errorf("last result %+v", got)
			}
		})
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	var seen []string
	var first *verify.Report
	o := verify.RunOptions{Progress: func(r *verify.Report) {
		if first == nil {
			first = r
		}
		seen = append(seen, fmt.Sprint(len(r.Results), " ", r.Current))
	}}
	r := runFake(t, nil, o, allFine()[:2])
	if diff := cmp.Diff([]string{"0 " + needed[0], "1 ", "1 " + needed[1], "2 "}, seen); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(first.Results) != 0 || first.State != verify.StateRunning || r.Current != "" {
		t.Errorf("the first report changed afterwards: %s with %d results", first.State, len(first.Results))
	}
}

// brokenDisk is an io.ReaderAt that fails.
type brokenDisk struct{}

func (brokenDisk) ReadAt([]byte, int64) (int, error) { return 0, errors.New("input/output error") }

func TestFaultOfTheDiskIsNoFailure(t *testing.T) {
	t.Parallel()
	files := verify.Files{verify.NewFile("model.gguf", 10, registry.DigestOf(registry.SHA256, nil), brokenDisk{})}
	reads := fake("reads", func(context.Context) (finding, error) {
		_, err := files[0].ReadAt(make([]byte, 1), 0)
		return failed(nil, "header is cut off: %v", err), nil
	})
	r := runFake(t, files, verify.RunOptions{}, append(allFine(), reads))
	if r.State != verify.StateError || r.Summary != "reads: read model.gguf: input/output error" {
		t.Errorf("%s: %s", r.State, r.Summary)
	}
}

// fileOf writes content to a file and opens it.
func fileOf(t *testing.T, name string, p []byte) *verify.File {
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
	one, err := verify.OpenFile(name, registry.Digest{}, f)
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
		outcome verify.Outcome
	}{
		"right":           {[2]registry.Digest{of(a), of(b)}, verify.OutcomePassed},
		"sha512":          {[2]registry.Digest{of(a), registry.DigestOf(registry.SHA512, b)}, verify.OutcomePassed},
		"swapped":         {[2]registry.Digest{of(b), of(a)}, verify.OutcomeFailed},
		"one not named":   {[2]registry.Digest{of(a), {}}, verify.OutcomeFailed},
		"no manifest":     {[2]registry.Digest{}, verify.OutcomeSkipped},
		"one byte flawed": {[2]registry.Digest{of(a), of([]byte("sEcond"))}, verify.OutcomeFailed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := verify.Files{fileOf(t, "a", a), fileOf(t, "b", b)}
			files[0].Digest, files[1].Digest = tt.digests[0], tt.digests[1]
			m := &model{files: files, report: &verify.Report{}}
			f, err := hashFiles(t.Context(), m)
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

	description inference.Description
	alter       func(inference.Alteration) (decoder, error)
	chat        string
	chatErr     error
	norms       [][]float64
}

func (e *fakeEngine) facts(context.Context, verify.Files) (*inference.Facts, error) {
	return &e.known, nil
}

func (e *fakeEngine) scan(_ context.Context, _ verify.Files, each func(inference.TensorScan) error) error {
	return each(e.tensor)
}
func (e *fakeEngine) fit(context.Context, verify.Files) error { return nil }
func (e *fakeEngine) adapter(context.Context, verify.Files) ([]inference.AdapterModule, error) {
	return nil, nil
}
func (e *fakeEngine) tokenizer(context.Context, verify.Files) (lexer, error)   { return e, nil }
func (e *fakeEngine) load(context.Context, verify.Files, int) (decoder, error) { return e, nil }
func (e *fakeEngine) lexer() (lexer, error)                                    { return e, nil }
func (e *fakeEngine) session(int) session                                      { return fakeSession{e} }

func (e *fakeEngine) encoder() (encoder, error) { return fakeEncoder{e}, nil }
func (e *fakeEngine) close() error              { return nil }
func (e *fakeEngine) Size() int                 { return 4 }

func (e *fakeEngine) prompt(context.Context, []inference.Message) (string, error) {
	return e.chat, e.chatErr
}

func (e *fakeEngine) ends() []int                      { return []int{0} }
func (e *fakeEngine) embedding(int) ([]float32, error) { return []float32{1, 2}, nil }

func (e *fakeEngine) feedForwardNorms(_ context.Context, layer int) (in, out []float64, err error) {
	return e.norms[layer], e.norms[layer+1], nil
}

func (e *fakeEngine) described() *inference.Description { return &e.description }

func (e *fakeEngine) altered(a inference.Alteration) (decoder, error) {
	return e.alter(a)
}

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
		outcome verify.Outcome
		reason  string
	}{
		"one token":         {func(int) []float32 { return good }, verify.OutcomeWarned, "the model writes the same token again and again"},
		"only one token":    {func(int) []float32 { return []float32{0, 0, 90, 0} }, verify.OutcomeFailed, "the model knows but one token: the entropy is 0 of the most that there can be"},
		"all alike":         {func(int) []float32 { return []float32{1, 1.1, 1, 1} }, verify.OutcomeFailed, "all tokens are nearly equally likely: the entropy is 0.999 of the most that there can be"},
		"NaN at the prompt": {func(int) []float32 { return []float32{1, nan, 2, 3} }, verify.OutcomeFailed, "output 1 is NaN after 1 tokens"},
		"NaN later": {func(c int) []float32 {
			if c == 42 {
				return []float32{nan, 1, 2, 3}
			}
			return good
		}, verify.OutcomeFailed, "output 0 is NaN after 42 tokens"},
		"infinite":   {func(int) []float32 { return []float32{1, 2, inf, 3} }, verify.OutcomeFailed, "output 2 is +Inf after 1 tokens"},
		"all equal":  {func(int) []float32 { return []float32{7, 7, 7, 7} }, verify.OutcomeFailed, "all outputs are equal after 1 tokens"},
		"no outputs": {func(int) []float32 { return nil }, verify.OutcomeFailed, "there are no outputs after 1 tokens"},
		"other tokens the second time": {func(c int) []float32 {
			if c > 40+generated-1 {
				return []float32{9, 2, 3, 0}
			}
			return good
		}, verify.OutcomeFailed, "two runs on the same prompt differ"},
		"other values the second time": {func(c int) []float32 {
			if c > 40+generated-1 {
				return []float32{1, 2, 3.5, 0}
			}
			return good
		}, verify.OutcomeFailed, "two runs on the same prompt differ"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &model{engine: &fakeEngine{logits: tt.logits}}
			f, err := outputs(t.Context(), m)
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
	if _, err := outputs(t.Context(), &model{engine: e}); !errors.As(err, &cannot) {
		t.Errorf("error %v", err)
	}
}

func TestPerplexityBand(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		logits     []float32
		outcome    verify.Outcome
		perplexity float64
	}{
		"chance":     {[]float32{1, 1, 1, 1}, verify.OutcomeFailed, 4},
		"not finite": {[]float32{1, 1, 1, float32(math.NaN())}, verify.OutcomeFailed, 0},
		"too narrow": {[]float32{1, 1}, verify.OutcomeFailed, 0}, // tokens that the model does not have
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &model{engine: &fakeEngine{logits: func(int) []float32 { return tt.logits }}}
			f, err := predict(t.Context(), m)
			if err != nil || f.outcome != tt.outcome {
				t.Fatalf("%s: %q, %v", f.outcome, f.reason, err)
			}
			if ev := f.evidence.(perplexityEvidence); ev.Texts[0].Perplexity != tt.perplexity || ev.Texts[0].Tokens != 39 {
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
	m := &model{engine: e, opts: verify.RunOptions{Level: verify.LevelQuick}}
	f, err := predict(t.Context(), m)
	want := rounded(1 + 3*math.Exp(-3))
	if ev := f.evidence.(perplexityEvidence); err != nil || f.outcome != verify.OutcomePassed || ev.Texts[0].Perplexity != want || ev.Chance != 4 || m.best != "english" {
		t.Errorf("%s: %q, %+v, %v; want %v", f.outcome, f.reason, ev, err, want)
	}
}

func TestTokenizerCheck(t *testing.T) {
	t.Parallel()
	f, err := roundTrip(t.Context(), &model{engine: &fakeEngine{}})
	if err != nil || f.outcome != verify.OutcomePassed {
		t.Errorf("%s: %q, %v", f.outcome, f.reason, err)
	}
	f, err = roundTrip(t.Context(), &model{engine: &fakeEngine{lossy: true}})
	if err != nil || f.outcome != verify.OutcomeWarned || !strings.Contains(f.reason, "german; french") {
		t.Errorf("%s: %q, %v", f.outcome, f.reason, err)
	}
}

func TestTensorsCheck(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		scan    inference.TensorScan
		outcome verify.Outcome
		reason  string
	}{
		"good":        {inference.TensorScan{Shape: []int{2, 2}, Elements: 4, Zero: 1, Min: -2, Max: 3}, verify.OutcomePassed, ""},
		"one NaN":     {inference.TensorScan{Shape: []int{2, 2}, Elements: 4, NaN: 1, Max: 3}, verify.OutcomeFailed, `tensor "w" has 1 NaN and 0 infinite values`},
		"infinite":    {inference.TensorScan{Shape: []int{4}, Elements: 4, Inf: 2, Max: 3}, verify.OutcomeFailed, `tensor "w" has 0 NaN and 2 infinite values`},
		"zero matrix": {inference.TensorScan{Shape: []int{2, 2}, Elements: 4, Zero: 4}, verify.OutcomeFailed, `tensor "w" is all zero`},
		"zero bias":   {inference.TensorScan{Shape: []int{4}, Elements: 4, Zero: 4}, verify.OutcomePassed, ""},
		"unread type": {inference.TensorScan{Shape: []int{64}, DType: "Q8_1", Skipped: "not yet"}, "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.scan.Name = "w"
			f, err := readValues(t.Context(), &model{engine: &fakeEngine{tensor: tt.scan}})
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

func TestShapesCheckComparesVocabularies(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		rows, declared int
		outcome        verify.Outcome
	}{
		"equal":             {4, 4, verify.OutcomePassed},
		"padded":            {6, 6, verify.OutcomePassed},
		"declared too many": {4, 5, verify.OutcomeFailed},
		"too few rows":      {3, 3, verify.OutcomeFailed},
		"far too many rows": {400, 400, verify.OutcomeWarned},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &fakeEngine{known: inference.Facts{Tensors: make([]inference.TensorFact, 1), EmbeddingRows: tt.rows, VocabularySize: tt.declared}}
			f, err := compareShapes(t.Context(), &model{engine: e})
			if err != nil || f.outcome != tt.outcome {
				t.Errorf("%s: %q, %v", f.outcome, f.reason, err)
			}
		})
	}
}

func TestRounded(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]float64{
		0: 0, 1.23456: 1.235, -987654: -987700, 5e-324: 5e-324, 1.23456e-320: 1.235e-320, math.MaxFloat64: math.MaxFloat64, math.Inf(1): 0,
	} {
		if got := rounded(v); got != want {
			t.Errorf("%g became %g, want %g", v, got, want)
		}
	}
}
