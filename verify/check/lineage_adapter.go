package check

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/lineage"
)

// baseAdapterCheck puts an adapter on its base.
var baseAdapterCheck = check{
	id: idBaseAdapter, level: verify.LevelStandard, after: []string{idHeaders},
	proves: "The adapter's matrices have the declared rank, fit the matrices of the declared base, and change what it says.",
	about:  func(ctx context.Context, m *model) bool { return m.isAdapter(ctx) },
	run:    adapt,
}

type baseAdapterEvidence struct {
	Base     string           `json:"base"`
	Digest   *registry.Digest `json:"digest,omitempty"` // of the version that it was put on
	Verdict  lineage.Verdict  `json:"verdict"`
	Reason   string           `json:"reason,omitempty"`
	Rank     int              `json:"rank"`
	Modules  int              `json:"modules"`            // that it adapts, by the matrices in its files
	Change   float64          `json:"change,omitempty"`   // of the logits after the prompt, relative to their spread
	Prompted int              `json:"prompted,omitempty"` // tokens of the prompt
}

// adapterOn returns the base that an adapter is put on, and what declares it;
// nil when the model is no adapter, or its base is not here.
func (m *model) adapterOn(ctx context.Context) (*verify.Base, *registry.DeclaredBase, error) {
	f, err := m.facts(ctx)
	if err != nil || f.Adapter == nil {
		return nil, nil, err
	}
	declared := m.bases(ctx)
	for i := range declared {
		if b := m.base(declared[i]); b != nil && len(b.Files) > 0 {
			return b, &declared[i], nil
		}
	}
	if len(declared) > 0 {
		return nil, &declared[0], nil
	}
	return nil, nil, nil
}

// open makes the model ready to run, an adapter on its base where that is here.
func (m *model) open(ctx context.Context) (decoder, error) {
	base, _, err := m.adapterOn(ctx)
	if err != nil || base == nil {
		// What is wrong with the facts, loading finds as well.
		return m.engine.load(ctx, m.part.files, m.opts.Threads)
	}
	opened, err := inference.OpenWith(ctx, mappable(partsOf(base.Files)[0].files), inference.OpenOptions{
		Adapters: []inference.Adapter{{Files: mappable(m.part.files)}},
	})
	if malformed := (*fault.Malformed)(nil); errors.As(err, &malformed) {
		// Its headers may be in order all the same: baseAdapterCheck says what does not fit.
		return nil, fmt.Errorf("%w: %w", fault.NewUnsupported("adapter", "it does not fit its base"), err)
	}
	if err != nil {
		return nil, err
	}
	return &runnable{m: opened, threads: m.opts.Threads}, nil
}

func adapt(ctx context.Context, m *model) (finding, error) {
	f, err := m.facts(ctx)
	if err != nil {
		return finding{}, err
	}
	base, declared, err := m.adapterOn(ctx)
	if err != nil {
		return finding{}, err
	}
	ev := baseAdapterEvidence{Rank: f.Adapter.Rank, Modules: adaptedModules(f)}
	end := func(j lineage.Judgement) (finding, error) {
		ev.Verdict, ev.Reason = j.Verdict, j.Reason
		return judged(ev, []lineage.Judgement{j}), nil
	}
	if declared == nil {
		return end(lineage.Judgement{Verdict: lineage.Unknown, Odd: true, Reason: "the adapter does not say which model it is for"})
	}
	ev.Base = declared.Name
	if j := notHere(*declared, base); j != nil {
		return end(*j)
	}
	ev.Digest = base.Digest
	// The base by itself comes first, so that what is wrong with it is not taken for the adapter's.
	plain, err := m.engine.load(ctx, partsOf(base.Files)[0].files, m.opts.Threads)
	if err == nil {
		defer func() { _ = plain.close() }() // closing what was only read loses nothing
	}
	var unreadable *baseError
	if err = ofBase(base, err); errors.As(err, &unreadable) {
		return end(lineage.Judgement{Verdict: lineage.Unknown, Reason: unreadable.Error()})
	}
	if err != nil {
		return finding{}, err
	}
	err = m.load(ctx)
	var malformed *fault.Malformed
	switch {
	case errors.As(err, &malformed):
		reason := fmt.Sprintf("the adapter does not fit %s: %s", storable(declared.Name), storable(malformed.Error()))
		if base.Private {
			reason = fmt.Sprintf("the adapter does not fit %s", storable(declared.Name))
		}
		return end(lineage.Judgement{Verdict: lineage.Contradicted, Reason: reason})
	case err != nil:
		return finding{evidence: ev}, err
	}
	change, prompted, err := m.change(ctx, plain)
	if fault := base.Files.Fault(); fault != nil {
		return finding{}, fault
	}
	switch {
	case err != nil:
		return finding{}, err
	case prompted == 0:
		return end(lineage.Judgement{Verdict: lineage.Consistent, Reason: "it fits, and the base writes no text that could show a change"})
	case math.IsNaN(change) || math.IsInf(change, 0):
		return end(lineage.Judgement{Verdict: lineage.Consistent, Odd: true, Reason: "on its base the adapter gives outputs that are no numbers"})
	case change == 0:
		return end(lineage.Judgement{Verdict: lineage.Consistent, Odd: true, Reason: "the adapter fits, but changes nothing"})
	}
	ev.Prompted = prompted
	if !base.Private {
		ev.Change = rounded(change)
	}
	return end(lineage.Judgement{Verdict: lineage.Confirmed})
}

// adaptedModules counts the pairs of matrices.
func adaptedModules(f *inference.Facts) int {
	n := 0
	for _, t := range f.Tensors {
		if inference.AdapterOutput(t.Name) {
			n++
		}
	}
	return n
}

// change returns how far the adapter moves the logits after a prompt: the
// root mean square of the difference relative to their standard deviation.
// There are no tokens where the model writes no text.
func (m *model) change(ctx context.Context, plain decoder) (change float64, prompted int, err error) {
	lex, err := plain.lexer()
	if err != nil {
		return 0, 0, nil //nolint:nilerr // without a tokenizer there is nothing to compare, and other checks say so
	}
	ids := lex.Encode(prompt, true)
	if len(ids) == 0 {
		return 0, 0, nil
	}
	var last [2][]float32
	for i, d := range []decoder{plain, m.decoder} {
		s := d.session(len(ids))
		err := s.EvalEach(ctx, ids, len(ids)-1, func(_ int, logits []float32) error {
			last[i] = slices.Clone(logits)
			return nil
		})
		s.Close()
		if obstacle(err) != nil {
			return 0, 0, nil
		}
		if err != nil {
			return 0, 0, err
		}
	}
	var mean, spread, moved float64
	for _, v := range last[0] {
		mean += float64(v) / float64(len(last[0]))
	}
	for i, v := range last[0] {
		d := float64(v) - mean
		spread += d * d
		d = float64(v) - float64(last[1][i])
		moved += d * d
	}
	return math.Sqrt(moved / spread), len(ids), nil
}
