package openness

import (
	"fmt"

	"github.com/carat-hub/carat/licenses"
)

// judgeOSAID checks what a machine can check of the Open Source AI Definition
// 1.0: the terms of parameters, code and data information. Whether a skilled
// person could build an equivalent system from them is a reviewer's judgement.
func judgeOSAID(in *Input, verified Assessment) OSAID {
	m := measure{in: in, verified: true}
	var o OSAID
	fail := func(format string, args ...any) { o.Reasons = append(o.Reasons, fmt.Sprintf(format, args...)) }
	if verified.Level < Open {
		fail("the weights are at level %d, %s", verified.Level, verified.Level)
	}
	for _, c := range []Component{Architecture, TrainingCode, InferenceCode, Preprocessing, Libraries} {
		if g := in.grade(c); g < m.needs(c) {
			fail("%s: %s is needed; there is: %s", c, gradeWords(m.needs(c)), gradeWords(g))
			continue
		}
		l := in.licence(c)
		if s := judge(l.Expression); l.Problem != "" || !s.approved || s.kind != licenses.OpennessOpen {
			fail("%s: no licence that the Open Source Initiative has approved", c)
		}
	}
	for _, d := range []struct {
		what  string
		grade Grade
	}{
		{"a complete description of all training data", in.Data.Description},
		{"the list of publicly available training data", in.Data.Public},
		{"the list of training data that third parties give out", in.Data.ThirdParty},
	} {
		if d.grade < Fetched {
			fail("data information: %s is needed, %s; there is: %s", d.what, gradeWords(Fetched), gradeWords(d.grade))
		}
	}
	terms := in.Data.Licence
	if terms.IsZero() {
		terms = in.licence(DataCard)
	}
	if s := judge(terms.Expression); terms.Problem != "" || s.kind != licenses.OpennessOpen {
		fail("data information: no open terms")
	}
	for _, b := range in.Bases {
		if b.Result == nil || b.Result.OSAID.State == OSAIDFails {
			fail("the base %s fails", b.Name)
		}
	}
	switch {
	case len(o.Reasons) > 0:
		o.State = OSAIDFails
	case in.Affirmation != nil && in.Affirmation.Reviewer != "":
		o.State, o.Reviewer, o.Reason, o.At = OSAIDAffirmed, in.Affirmation.Reviewer, in.Affirmation.Reason, in.Affirmation.At
	default:
		o.State = OSAIDCandidate
	}
	return o
}
