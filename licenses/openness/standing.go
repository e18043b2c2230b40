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
		return 1 + slices.Index(restrictionOrder, s.label)
	}
	return 0
}

// restrictionOrder names restrictions from the worst to the mildest.
var restrictionOrder = []string{
	"research", "non-commercial", "no derivatives", "territory", "use policy", "scale or revenue", "output limits", "branding",
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
	s := standing{kind: f.Openness(), content: f.Content, approved: f.OSI || f.Lists.OSI}
	switch s.kind {
	case licenses.OpennessOpen:
		s.label = permissive
		if strings.HasPrefix(string(f.Derivatives.Value), "same-") {
			s.label = copyleft
		}
	case licenses.OpennessRestricted:
		s.label = worst(f)
		s.why = []string{f.Name + ": " + strings.Join(f.Restrictions(), ", ")}
	default:
		s.approved = false
		s.why = []string{f.Name + " has terms that are not known"}
	}
	return s
}

// worst names the restriction of a licence that weighs most.
func worst(f licenses.Fact) string {
	permissions := []licenses.Permission{f.Commercial, f.Modify, f.Redistribute}
	only := func(words ...string) bool {
		return slices.ContainsFunc(permissions, func(p licenses.Permission) bool {
			return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(p.Only, w) })
		})
	}
	limited := slices.ContainsFunc(permissions, func(p licenses.Permission) bool { return len(p.Limits)+len(p.Duties) > 0 })
	switch {
	case f.Family == "research" || only("research"):
		return "research"
	case f.Commercial.Answer == licenses.AnswerNo || only("non-commercial", "non-production"):
		return "non-commercial"
	case f.Modify.Answer != licenses.AnswerYes || only("verbatim", "unpublished"):
		return "no derivatives"
	case f.Territory != nil && len(f.Territory.Regions) > 0:
		return "territory"
	case f.Use != nil:
		return "use policy"
	case limited || f.Redistribute.Answer != licenses.AnswerYes || f.Commercial.Answer != licenses.AnswerYes:
		return "scale or revenue"
	case f.Outputs.Value != "free" && f.Outputs.Value != "derivative":
		return "output limits"
	}
	return "branding"
}

// moreSevere reports whether restriction a weighs more than b.
func moreSevere(a, b string) bool {
	i, j := slices.Index(restrictionOrder, a), slices.Index(restrictionOrder, b)
	return i >= 0 && (j < 0 || i < j)
}
