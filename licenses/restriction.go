package licenses

import (
	"slices"
	"strings"
)

// RestrictionKind is a way in which terms are not open.
type RestrictionKind string

// The kinds, from what weighs most to what weighs least.
const (
	RestrictResearch       RestrictionKind = "research"       // for research only
	RestrictNonCommercial  RestrictionKind = "non-commercial" // not for commercial use
	RestrictDerivatives    RestrictionKind = "no-derivatives" // changed versions may not be passed on, or not made
	RestrictRedistribution RestrictionKind = "redistribution" // not to be passed on, or not to everybody
	RestrictTerritory      RestrictionKind = "territory"      // not everywhere
	RestrictUse            RestrictionKind = "use-policy"     // not for every purpose
	RestrictScale          RestrictionKind = "scale"          // not for large users or revenues
	RestrictRegistration   RestrictionKind = "registration"   // only after asking, registering or paying
	RestrictOutputs        RestrictionKind = "outputs"        // outputs may not be used freely
	RestrictBranding       RestrictionKind = "branding"       // names or marks have to be shown
)

// restrictionOrder are the kinds in their order.
var restrictionOrder = []RestrictionKind{
	RestrictResearch, RestrictNonCommercial, RestrictDerivatives, RestrictRedistribution, RestrictTerritory, RestrictUse, RestrictScale,
	RestrictRegistration, RestrictOutputs, RestrictBranding,
}

// RestrictionKinds returns all kinds, from what weighs most to what weighs least.
func RestrictionKinds() []RestrictionKind { return slices.Clone(restrictionOrder) }

// Compare is negative when k weighs more than other.
func (k RestrictionKind) Compare(other RestrictionKind) int {
	return slices.Index(restrictionOrder, k) - slices.Index(restrictionOrder, other)
}

// Restriction is one fact that keeps terms from being open.
type Restriction struct {
	Kind  RestrictionKind `json:"kind"`
	Words string          `json:"words"`
	Field string          `json:"field"` // of Fact, as in JSON
}

// Restrictions lists what keeps the terms from being open, what weighs most first.
func (l *Fact) Restrictions() []Restriction {
	list, _ := l.restrictions()
	return list
}

// restrictions also reports whether a fact that could restrict is not known.
func (l *Fact) restrictions() (list []Restriction, unsure bool) {
	add := func(kind RestrictionKind, field, words string) {
		list = append(list, Restriction{kind, words, field})
	}
	for _, p := range []struct {
		of           *Permission
		field, words string
		denied       RestrictionKind
	}{
		{&l.Commercial, "commercial", "commercial use", RestrictNonCommercial},
		{&l.Modify, "modify", "modification", RestrictDerivatives},
		{&l.Redistribute, "redistribute", "redistribution", RestrictRedistribution},
		{&l.Hosting, "hosting", "hosting", RestrictUse},
	} {
		switch p.of.Answer {
		case AnswerYes:
		case AnswerNo:
			add(p.denied, p.field, "no "+p.words)
		case AnswerConditional:
			add(p.of.kind(p.denied), p.field, p.words+" limited")
		default:
			unsure = unsure || p.of != &l.Hosting
		}
	}
	switch {
	case l.Use == nil:
	case l.Use.Value == TermUnknown:
		unsure = true
	default:
		add(RestrictUse, "use", "use policy")
	}
	switch l.Outputs.Value {
	case OutputsFree, OutputsDerivative: // a flow-down like copyleft, no limit
	case TermUnknown:
		unsure = true
	default:
		add(RestrictOutputs, "outputs", "outputs limited")
	}
	if l.Territory != nil && len(l.Territory.Regions) > 0 {
		add(RestrictTerritory, "territory", "territory")
	}
	switch {
	case l.Naming == nil:
	case l.Naming.Kind == TermUnknown:
		unsure = true
	default:
		add(RestrictBranding, "naming", "naming rule")
	}
	for _, d := range l.Display {
		switch d.Kind {
		case DutyShow:
			add(RestrictBranding, "display", "branding duty")
		case TermUnknown:
			unsure = true
		}
	}
	slices.SortStableFunc(list, func(a, b Restriction) int { return a.Kind.Compare(b.Kind) })
	return list, unsure
}

// kind is that of the restriction which a conditional permission is.
func (p *Permission) kind(denied RestrictionKind) RestrictionKind {
	duties := strings.Join(p.Duties, " ")
	switch {
	case strings.Contains(p.Only, "research"), strings.Contains(p.Only, "non-production"):
		return RestrictResearch
	case strings.Contains(p.Only, "non-commercial"):
		return RestrictNonCommercial
	case p.Only == "unpublished", p.Only == "verbatim":
		return RestrictDerivatives
	case len(p.Limits) > 0:
		return RestrictScale
	case strings.Contains(duties, "territory"):
		return RestrictTerritory
	case strings.Contains(duties, "policy"), strings.Contains(duties, "guardrails"), strings.Contains(duties, "service"):
		return RestrictUse
	case duties != "":
		return RestrictRegistration
	}
	return denied
}
