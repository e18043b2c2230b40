package openness

import (
	"slices"
	"strings"

	"github.com/carat-hub/carat/licenses"
)

// standing is what an expression says of openness.
type standing struct {
	kind     licenses.Openness
	label    string // of what is restricted, the worst restriction; of what is open, "permissive" or "copyleft"
	why      []string
	approved bool     // by the Open Source Initiative
	content  []string // what all of the licences were written for
}

// rank orders standings: the larger, the more open.
func (s standing) rank() int {
	switch s.kind {
	case licenses.OpennessOpen:
		return 1 << 10
	case licenses.OpennessRestricted:
		return 1 + slices.Index(licenses.RestrictionKinds(), licenses.RestrictionKind(s.label))
	}
	return 0
}

// judge computes the standing of an expression: of parts that all hold the
// least open one, of parts among which one may choose the most open one.
func judge(e licenses.Expression) standing {
	if len(e.Parts) == 0 {
		return judgeLicence(e)
	}
	s := judge(e.Parts[0])
	for _, p := range e.Parts[1:] {
		next := judge(p)
		if e.Op == licenses.OpOr {
			if next.rank() > s.rank() || next.rank() == s.rank() && next.approved && !s.approved {
				s = next
			}
			continue
		}
		s = both(s, next)
	}
	return s
}

// both is the standing under two licences at once.
func both(a, b standing) standing {
	low, high := a, b
	if b.rank() < a.rank() {
		low, high = b, a
	}
	s := low
	if low.kind == high.kind && low.kind != licenses.OpennessOpen {
		s.why = slices.Concat(a.why, b.why)
	}
	if low.kind == licenses.OpennessOpen && (low.label == copyleft || high.label == copyleft) {
		s.label = copyleft
	}
	s.approved = a.approved && b.approved
	s.content = nil
	for _, c := range a.content {
		if slices.Contains(b.content, c) {
			s.content = append(s.content, c)
		}
	}
	return s
}

const (
	permissive = "permissive"
	copyleft   = "copyleft"
)

func judgeLicence(e licenses.Expression) standing {
	if e.ID == "" {
		return standing{kind: licenses.OpennessUnclear, why: []string{"no licence is named"}}
	}
	f, known := licenses.Lookup(e.ID)
	if !known {
		return standing{kind: licenses.OpennessUnclear, why: []string{e.ID + " names no licence whose terms are known"}}
	}
	s := standing{kind: f.Openness(), content: f.Content, approved: f.Lists.OSI}
	switch s.kind {
	case licenses.OpennessOpen:
		s.label = permissive
		if f.Derivatives.Value == licenses.FlowSameLicense || f.Derivatives.Value == licenses.FlowSameAgreement {
			s.label = copyleft
		}
	case licenses.OpennessRestricted:
		list := f.Restrictions()
		s.label = string(list[0].Kind)
		words := make([]string, len(list))
		for i, r := range list {
			words[i] = r.Words
		}
		s.why = []string{f.Name + ": " + strings.Join(words, ", ")}
	default:
		s.approved = false
		s.why = []string{f.Name + " has terms that are not known"}
	}
	return s
}

// moreSevere reports whether restriction a weighs more than b.
func moreSevere(a, b string) bool {
	return b == "" || licenses.RestrictionKind(a).Compare(licenses.RestrictionKind(b)) < 0
}
