package licenses

import "slices"

// Resolution is what an expression comes to.
type Resolution struct {
	// Facts are those that hold all at once: of a choice, those of the
	// alternative that restricts least.
	Facts []*Fact
	// Unknown are the licences among them that no facts are known of.
	Unknown []string
	// Choice says that there was one.
	Choice bool
}

// Has reports whether a licence is among those that hold.
func (r *Resolution) Has(spdx string) bool {
	return slices.ContainsFunc(r.Facts, func(f *Fact) bool { return f.SPDX == spdx })
}

// Openness is that of all together.
func (r *Resolution) Openness() Openness {
	o := OpennessOpen
	if len(r.Unknown) > 0 || len(r.Facts) == 0 {
		o = OpennessUnclear
	}
	for _, f := range r.Facts {
		switch f.Openness() {
		case OpennessUnclear:
			return OpennessUnclear
		case OpennessRestricted:
			if o == OpennessOpen {
				o = OpennessRestricted
			}
		}
	}
	return o
}

// Resolve looks up the licences of an expression.
func (e Expression) Resolve() Resolution {
	if len(e.Parts) == 0 {
		if e.ID == "" {
			return Resolution{}
		}
		if f, ok := Lookup(e.ID); ok {
			return Resolution{Facts: []*Fact{f}}
		}
		return Resolution{Unknown: []string{e.ID}}
	}
	first := e.Parts[0].Resolve()
	for _, p := range e.Parts[1:] {
		next := p.Resolve()
		if e.Op == OpOr {
			if next.weight() < first.weight() {
				first = next
			}
			first.Choice = true
			continue
		}
		for _, f := range next.Facts {
			if !first.Has(f.SPDX) {
				first.Facts = append(first.Facts, f)
			}
		}
		first.Unknown = append(first.Unknown, next.Unknown...)
		first.Choice = first.Choice || next.Choice
	}
	return first
}

// weight orders alternatives: the least is the one to choose.
func (r *Resolution) weight() int {
	n := 0
	if r.Openness() == OpennessUnclear {
		n = 1 << 20
	}
	for _, f := range r.Facts {
		for _, x := range f.Restrictions() {
			n += 1 << (len(restrictionOrder) - slices.Index(restrictionOrder, x.Kind))
		}
		if f.Derivatives.Value == FlowSameLicense {
			n++
		}
	}
	return n
}
