package check

import (
	"context"
	"slices"
	"strings"

	"github.com/carat-hub/carat/verify"
)

// roundTripCheck encodes and decodes texts in many scripts.
var roundTripCheck = check{
	id: idRoundTrip, level: verify.LevelQuick, unless: []string{idHeaders},
	proves: "Text goes through the tokenizer and comes back the same, with ids that the model has.",
	run:    roundTrip,
}

type tokenizerEvidence struct {
	Vocabulary int             `json:"vocabulary"`
	Texts      []textRoundTrip `json:"texts"`
}

type textRoundTrip struct {
	Name   string `json:"name"`
	Tokens int    `json:"tokens"`
	Same   bool   `json:"same"`
	Text   string `json:"text"`
	Back   string `json:"back,omitempty"` // what came back, where that is not the same
}

// gives says whether a tokenizer gives up case and spaces of a text and keeps
// the rest, as BERT's does.
func gives(tok lexer, text, back string, ids []int) bool {
	folded := func(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), "")) }
	return folded(back) == folded(text) && slices.Equal(tok.Encode(back, false), ids)
}

// lacks says whether some of a text's tokens, but not all, stand for what the
// vocabulary lacks. An encoder need not write them.
func lacks(tok lexer, ids []int) bool {
	u, ok := tok.(interface{ UNK() (int, bool) })
	if !ok {
		return false
	}
	unknown, ok := u.UNK()
	return ok && slices.Contains(ids, unknown) && slices.ContainsFunc(ids, func(id int) bool { return id != unknown })
}

func roundTrip(ctx context.Context, m *model) (finding, error) {
	tok, err := m.tokenizer(ctx)
	if err != nil {
		return finding{}, err
	}
	kind := "" // of a tokenizer alone
	if facts, err := m.facts(ctx); err == nil {
		kind = facts.Kind
	}
	ev := tokenizerEvidence{Vocabulary: tok.Size()}
	var wrong, lossy []string
	for _, s := range specimens {
		if ctx.Err() != nil {
			return finding{}, context.Cause(ctx)
		}
		ids := tok.Encode(s.text, false)
		for _, id := range ids {
			if id < 0 || id >= tok.Size() {
				return failed(ev, "%s gives token %d, but there are only %d", s.name, id, tok.Size()), nil
			}
		}
		back := tok.Decode(ids)
		kept := gives(tok, s.text, back, ids) || kind == "encoder" && lacks(tok, ids)
		trip := textRoundTrip{Name: s.name, Tokens: len(ids), Same: back == s.text, Text: s.text}
		if !trip.Same {
			trip.Back = storable(back)
		}
		ev.Texts = append(ev.Texts, trip)
		switch {
		case trip.Same:
		case s.basic && !kept:
			wrong = append(wrong, s.name)
		default:
			lossy = append(lossy, s.name)
		}
	}
	switch {
	case len(wrong) > 0:
		return failed(ev, "plain text does not come back the same: %s", listed(wrong)), nil
	case len(lossy) > 0:
		return finding{outcome: verify.OutcomeWarned, reason: "these texts do not come back the same: " + listed(lossy), evidence: ev}, nil
	}
	return passed(ev), nil
}
