package openness

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/carat-hub/carat/licenses"
)

// Evaluate computes the openness of a version. It is deterministic: the same
// input gives the same result, and another claim of the same kind or a better
// grade never a lower one.
func Evaluate(in Input) Result {
	claimed, verified := measure{in: &in}, measure{in: &in, verified: true}
	r := Result{RuleSet: RuleSet, Input: in.digest(), Claimed: claimed.assess(), Verified: verified.assess()}
	r.OSAID = judgeOSAID(&in, r.Verified)
	for _, a := range []*Assessment{&r.Claimed, &r.Verified} {
		if a.Level == OpenScience && r.OSAID.State == OSAIDAffirmed {
			a.Level, a.Reasons, a.Blockers = OpenSource, nil, nil
		}
	}
	return r
}

// digest is the SHA-256 of the input's JSON, by which a stored result can be
// told from one that a changed input would give.
func (in *Input) digest() string {
	p, err := json.Marshal(in)
	if err != nil {
		panic(fmt.Sprintf("openness: %v", err)) // plain values always have a JSON form
	}
	sum := sha256.Sum256(p)
	return hex.EncodeToString(sum[:])
}

// measure assesses an input by one measure of evidence.
type measure struct {
	in       *Input
	verified bool
}

// needs is the least grade that counts for a component.
func (m measure) needs(c Component) Grade {
	switch {
	case !m.verified:
		return Declared
	case c == Parameters:
		return Stored
	}
	return Fetched
}

func (m measure) assess() Assessment {
	a := Assessment{Classes: m.progress()}
	for _, p := range a.Classes {
		if p.Have == p.Required {
			a.Class = p.Class
			continue
		}
		break
	}
	a.Level = m.level(&a)
	m.capByBases(&a)
	return a
}

// level climbs the ladder until a rule fails, and says which one.
func (m measure) level(a *Assessment) Level {
	if have := m.in.grade(Parameters); have < m.needs(Parameters) {
		a.block(Blocker{Parameters, "the weights, " + gradeWords(m.needs(Parameters)), gradeWords(have)})
		return Closed
	}
	l := m.in.licence(Parameters)
	if problems := m.unclear(l); len(problems) > 0 {
		for _, p := range problems {
			a.block(Blocker{Need: p.need, Have: p.have})
		}
		return Unclear
	}
	terms := judge(l.Expression)
	if terms.kind != licenses.OpennessOpen {
		a.Label, a.Reasons = terms.label, terms.why
		a.Blockers = append(a.Blockers, Blocker{Parameters, "a licence that restricts nothing", l.Expression.String()})
		return Restricted
	}
	a.Label = terms.label
	level := Open
	for i, p := range a.Classes {
		missing := m.missing(p.Class, a)
		if len(missing) > 0 {
			a.Blockers = append(a.Blockers, missing...)
			a.Reasons = append(a.Reasons, fmt.Sprintf("%d of %d components of %s are there", p.Have, p.Required, p.Class))
			return level
		}
		level = OpenModel + Level(i)
	}
	a.Blockers = append(a.Blockers, Blocker{Need: "a named reviewer's affirmation that the release meets the Open Source AI Definition", Have: "none"})
	return level
}

// block adds what is needed, and says it as a reason too.
func (a *Assessment) block(b Blocker) {
	a.Blockers = append(a.Blockers, b)
	a.Reasons = append(a.Reasons, fmt.Sprintf("%s is needed; there is: %s", b.Need, b.Have))
}

type doubt struct{ need, have string }

// unclear lists why nobody can be sure of the terms of the weights.
func (m measure) unclear(l Licence) []doubt {
	var list []doubt
	add := func(need, have string) { list = append(list, doubt{need, have}) }
	switch {
	case l.Problem != "":
		add("a licence that can be told", l.Problem)
	case l.Expression.IsZero():
		add("a licence", "none is declared")
	default:
		if s := judge(l.Expression); s.kind == licenses.OpennessUnclear {
			for _, w := range s.why {
				add("a licence whose terms are known", w)
			}
		}
	}
	if l.Match == MatchOther {
		add("the text of the declared licence", "a text of another licence")
	}
	if m.verified && !l.IsZero() {
		switch {
		case l.Text < Stored:
			add("the text of the licence, "+gradeWords(Stored), gradeWords(l.Text))
		case l.Match == MatchUnknown:
			add("a text that is known to be the declared licence", "a text that was compared with none")
		}
	}
	switch m.in.Access {
	case AccessOpen, AccessClick:
	case AccessManual, AccessPrivate:
		add("weights that everybody can get from who publishes them", string(m.in.Access)+" access")
	default:
		add("weights that everybody can get from who publishes them", "nothing is known of the access")
	}
	return list
}

// capByBases lowers the level to what the bases allow. A version carries on
// the weights of its bases, so that it cannot be more open than their terms, nor
// count for a class whose training was not as open.
func (m measure) capByBases(a *Assessment) {
	for _, b := range m.in.Bases {
		var limit Level
		var why string
		switch {
		case b.Result == nil:
			limit, why = Unclear, "nothing is known of the base "+b.Name
		case b.Result.Claimed.Level == Restricted:
			limit, why = Restricted, fmt.Sprintf("the base %s is restricted: %s", b.Name, b.Result.Claimed.Label)
		case b.Result.Claimed.Level < Restricted:
			limit, why = Unclear, "the terms of the base "+b.Name+" are unclear"
		default:
			base := b.Result.Claimed.Level
			if m.verified {
				base = b.Result.Verified.Level
			}
			limit = max(Open, min(base, OpenScience))
			why = fmt.Sprintf("the base %s is at level %d", b.Name, base)
		}
		switch {
		case a.Level > limit:
			if limit == Restricted {
				a.Label = b.Result.Claimed.Label
			} else if limit < Restricted {
				a.Label = ""
			}
			a.Level = limit
			a.Reasons, a.Blockers = []string{why}, []Blocker{{Need: fmt.Sprintf("a base above level %d", limit), Have: why}}
		case a.Level == limit && limit < OpenScience:
			// It would be no higher if what else is missing were there.
			a.Reasons = append(a.Reasons, why)
			a.Blockers = append(a.Blockers, Blocker{Need: fmt.Sprintf("a base above level %d", limit), Have: why})
			if limit == Restricted && moreSevere(b.Result.Claimed.Label, a.Label) {
				a.Label = b.Result.Claimed.Label
			}
		}
	}
}

// gradeWords says what a grade of evidence is.
func gradeWords(g Grade) string {
	switch g {
	case Declared:
		return "a declaration (E0)"
	case Stated:
		return "an address (E1)"
	case Fetched:
		return "fetched or immutable (E2)"
	case Stored:
		return "stored here (E3)"
	case Signed:
		return "signed (E4)"
	}
	return "nothing"
}
