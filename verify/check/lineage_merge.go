package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/lineage"
)

// mergeSample is how many elements of each matrix a mixture is found from:
// very many for at most eight unknowns.
const mergeSample = 1 << 16

// mergeCheck explains the weights of a merge by those of its bases.
var mergeCheck = check{
	id: idMerge, level: verify.LevelStandard, after: []string{idHeaders},
	proves: "The weights are a mixture of those of the declared bases.",
	about:  func(ctx context.Context, m *model) bool { return len(m.mergedBases(ctx)) > 0 },
	run:    explainMerge,
}

func (m *model) mergedBases(ctx context.Context) []registry.DeclaredBase {
	return m.basesBy(ctx, func(r lineage.Relation) bool { return r == lineage.Merge })
}

type mergeEvidence struct {
	Verdict  lineage.Verdict `json:"verdict"`
	Reason   string          `json:"reason,omitempty"`
	Absent   []string        `json:"absent,omitempty"` // bases that are not here
	Bases    []shareEvidence `json:"bases,omitempty"`
	Matrices int             `json:"matrices,omitempty"` // that model and all bases have
	Error    float64         `json:"error,omitempty"`    // the median part of a matrix that no mixture explains
}

type shareEvidence struct {
	Name   string           `json:"name"`
	Digest *registry.Digest `json:"digest,omitempty"` // of the version compared with
	Share  float64          `json:"share"`            // its coefficient, the median over the matrices
}

func explainMerge(ctx context.Context, m *model) (finding, error) {
	var ev mergeEvidence
	var bases []*verify.Base
	private := false
	for _, d := range m.mergedBases(ctx) {
		b := m.base(d)
		if notHere(d, b) != nil {
			ev.Absent = append(ev.Absent, d.Name)
			continue
		}
		bases = append(bases, b)
		private = private || b.Private
	}
	end := func(j lineage.Judgement) (finding, error) {
		ev.Verdict, ev.Reason = j.Verdict, j.Reason
		return judged(ev, []lineage.Judgement{j}), nil
	}
	if len(ev.Absent) > 0 {
		return end(lineage.Judgement{Verdict: lineage.Unknown, Reason: "these bases of the merge are not here: " + strings.Join(ev.Absent, ", ")})
	}
	mixed, err := m.mixtures(ctx, bases)
	var unreadable *baseError
	switch {
	case errors.As(err, &unreadable):
		return end(lineage.Judgement{Verdict: lineage.Unknown, Reason: unreadable.Error()})
	case err != nil:
		return finding{}, err
	}
	var names []string
	for _, b := range bases {
		names = append(names, storable(b.Name))
	}
	j, shares, left := lineage.JudgeMerge(mixed, names)
	if private {
		return end(discreet(j, strings.Join(names, ", ")))
	}
	for i, s := range shares {
		ev.Bases = append(ev.Bases, shareEvidence{Name: s.Base, Digest: bases[i].Digest, Share: rounded(s.Median)})
	}
	ev.Matrices, ev.Error = len(mixed), rounded(left)
	return end(j)
}

// mixtures finds for each matrix that the model and all bases have what
// mixture of theirs it is.
func (m *model) mixtures(ctx context.Context, bases []*verify.Base) (all []lineage.Mixed, err error) {
	k, err := m.openKin(ctx, bases)
	if err != nil {
		return nil, err
	}
	defer k.close()
	err = k.groups(ctx, func(lists [][]*inference.Weight) error {
		some, err := m.mix(ctx, lists)
		all = append(all, some...)
		return err
	})
	return all, err
}

// mix explains the matrices of the first list by those of the others.
func (m *model) mix(ctx context.Context, lists [][]*inference.Weight) ([]lineage.Mixed, error) {
	var all []lineage.Mixed
	for _, w := range lists[0] {
		var of []lineage.Weight
		for _, list := range lists[1:] {
			i := slices.IndexFunc(list, func(b *inference.Weight) bool { return b.Role == w.Role && b.Rows == w.Rows && b.Cols == w.Cols })
			if i >= 0 {
				of = append(of, list[i])
			}
		}
		if w.DType == "" || len(of) < len(lists)-1 {
			continue
		}
		e := m.extent(w.Rows, w.Cols)
		e.Limit = mergeSample
		mixture, err := lineage.Combine(ctx, w, of, e)
		if err != nil {
			return nil, fmt.Errorf("explain %s: %w", storable(w.Role), err)
		}
		all = append(all, lineage.Mixed{Tensor: lineage.Tensor{Role: w.Role, Type: w.DType, Rows: w.Rows, Cols: w.Cols}, Mixture: mixture})
	}
	return all, nil
}
