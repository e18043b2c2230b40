package inference

import (
	"fmt"
	"strings"

	"github.com/carat-hub/carat/inference/packed"
	"github.com/carat-hub/carat/inference/tensor"
)

func (b *binder) experts(name func(string) string, layer int) (_ *experts, err error) {
	d, names, e := b.d, b.names, &experts{}
	if e.router, err = b.matrixOf(name(names.router), d.Experts.Count, d.Hidden); err != nil {
		return nil, err
	}
	if selection := name(names.expertSelection); selection != "" && b.has(selection) {
		if e.selection, err = b.flat(selection, d.Experts.Count); err != nil {
			return nil, err
		}
	}
	e.each = make([]gated, d.Experts.Count)
	switch {
	case b.stacked(name(names.expertGateUp)):
		err = b.expertHalves(e, name)
	case strings.Count(names.expertDown, "%d") == 1:
		err = b.expertStacks(e, name)
	default:
		for i := range e.each {
			one := func(pattern string) string { return fmt.Sprintf(pattern, layer, i) }
			if e.each[i], err = b.feed(one(names.expertGate), one(names.expertUp), "", one(names.expertDown), d.Experts.FeedForward); err != nil {
				break
			}
		}
	}
	if err != nil || d.Experts.Shared == 0 {
		return e, err
	}
	shared, err := b.feed(name(names.sharedGate), name(names.sharedUp), name(names.sharedGateUp), name(names.sharedDown), d.Experts.Shared)
	if err != nil {
		return nil, err
	}
	e.shared = &shared
	if router := name(names.sharedRouter); router != "" && b.has(router+".weight") {
		t, err := b.findFlat(router+".weight", 1, d.Hidden)
		if err != nil {
			return nil, err
		}
		e.sharedRouter, err = b.matrix(t, 0, 1, d.Hidden)
		return e, err
	}
	return e, nil
}

// stacked says whether the experts' matrices of that name are one tensor, which may lack .weight.
func (b *binder) stacked(name string) bool {
	return name != "" && (b.has(name+".weight") || b.has(name))
}

// stack finds the tensor that holds a matrix of each expert, one after another, and turns those over that are stored with their
// inputs first. Packed ones are not.
func (b *binder) stack(name string, rows, cols int) (*storedTensor, error) {
	if name += ".weight"; !b.has(name) && b.has(strings.TrimSuffix(name, ".weight")) {
		name = strings.TrimSuffix(name, ".weight")
	}
	n := b.d.Experts.Count
	if t := b.stored(name); !b.names.expertsTransposed || t == nil || t.packed != nil {
		return b.findFlat(name, n*rows, cols)
	}
	t, err := b.find(name, n, cols, rows)
	if err != nil {
		return nil, err
	}
	p := packed.Tensor{Name: t.name, Type: t.typ, Shape: t.shape}
	if !b.dry {
		if p.Data, err = b.c.data(t, false); err != nil {
			return nil, err
		}
	}
	m, err := packed.Transposed(p)
	if err != nil {
		return nil, err
	}
	return unpackedTensor(t.name, m), nil
}

// runs is n of one length.
func runs(n, length int) []int {
	r := make([]int, n)
	for i := range r {
		r[i] = length
	}
	return r
}

// expertStacks binds experts that are stored as one tensor for each of their matrices.
func (b *binder) expertStacks(e *experts, name func(string) string) error {
	d, names := b.d, b.names
	width := d.Experts.FeedForward
	stack := func(name string, rows, cols int) ([]linear, error) {
		t, err := b.stack(name, rows, cols)
		if err != nil {
			return nil, err
		}
		return b.cut(name, t, runs(d.Experts.Count, rows), cols)
	}
	down, err := stack(name(names.expertDown), d.Hidden, width)
	if err != nil {
		return err
	}
	gate, err := stack(name(names.expertGate), width, d.Hidden)
	if err != nil {
		return err
	}
	up, err := stack(name(names.expertUp), width, d.Hidden)
	if err != nil {
		return err
	}
	for i := range e.each {
		e.each[i] = gated{gate: gate[i], up: up[i], down: down[i]}
	}
	return nil
}

// expertHalves binds experts that are stored as two tensors, one of which has the gate and up matrix of each: one after the
// other, or a row of each in turn.
func (b *binder) expertHalves(e *experts, name func(string) string) error {
	d, names := b.d, b.names
	n, width := d.Experts.Count, d.Experts.FeedForward
	downName, fused := name(names.expertDown), name(names.expertGateUp)
	if names.expertDowns != "" {
		downName = name(names.expertDowns)
	}
	t, err := b.stack(downName, d.Hidden, width)
	if err != nil {
		return err
	}
	down, err := b.cut(downName, t, runs(n, d.Hidden), width)
	if err != nil {
		return err
	}
	if t, err = b.stack(fused, 2*width, d.Hidden); err != nil {
		return err
	}
	if names.expertsInterleaved {
		return b.interleaved(e, fused, t, down)
	}
	halves, err := b.cut(fused, t, runs(2*n, width), d.Hidden)
	if err != nil {
		return err
	}
	for i := range e.each {
		e.each[i] = gated{gate: halves[2*i], up: halves[2*i+1], down: down[i]}
	}
	return nil
}

// interleaved binds gate and up matrices whose rows come in turn in the packed tensor t.
func (b *binder) interleaved(e *experts, name string, t *storedTensor, down []linear) error {
	d := b.d
	n, width := d.Experts.Count, d.Experts.FeedForward
	if t.packed == nil {
		return b.malformed(t.name, "type is %s, gate and up in turn are read from 16-bit floating-point numbers or packed", t.typ)
	}
	bias, err := b.bias(name, 2*n*width)
	if err != nil {
		return err
	}
	for half, to := range []func(int) *linear{
		func(i int) *linear { return &e.each[i].gate }, func(i int) *linear { return &e.each[i].up },
	} {
		rows := t
		if !b.dry {
			rows = unpackedTensor(t.name, t.packed.Rows(half, 2))
		}
		for i := range n {
			l := to(i)
			if l.Matrix, err = b.matrix(rows, i*width, width, d.Hidden); err != nil {
				return err
			}
			e.each[i].down = down[i]
			if bias == nil {
				continue
			}
			for r := range width {
				l.bias = append(l.bias, bias[2*(i*width+r)+half])
			}
		}
	}
	return nil
}

// unpackedTensor describes a packed matrix as a tensor.
func unpackedTensor(name string, m *packed.Matrix) *storedTensor {
	return &storedTensor{name: name, typ: tensor.F32, shape: m.Shape, size: m.Size(), packed: m}
}
