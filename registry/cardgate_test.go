package registry

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCardGate(t *testing.T) {
	t.Parallel()
	fields := func(f ...ConsentField) *CardGate { return &CardGate{Fields: f} }
	for name, tt := range map[string]struct {
		front   string
		want    *CardGate
		problem string
	}{
		"all": {
			front: `extra_gated_heading: Read this
extra_gated_description: It takes days.
extra_gated_button_content: Submit
extra_gated_prompt: |
  One

  Two
extra_gated_fields:
  First Name: text
  Date of birth: date_picker
  Country: country
  Job title:
    type: select
    options: [Student, 3, {label: Other, value: other}, {value: rest}]
  geo: ip_location
  I agree to the terms: checkbox
`,
			want: &CardGate{Heading: "Read this", Description: "It takes days.", Button: "Submit", Prompt: "One\n\nTwo", Fields: []ConsentField{
				{"First Name", FieldText, nil},
				{"Date of birth", FieldDate, nil},
				{"Country", FieldCountry, nil},
				{"Job title", FieldSelect, []string{"Student", "3", "Other", "rest"}},
				{"geo", FieldAddress, nil},
				{"I agree to the terms", FieldCheckbox, nil},
			}},
		},
		"a key that nobody knows":   {front: "extra_gated_eu_disallowed: true\n", want: &CardGate{}},
		"none":                      {front: "license: mit\n"},
		"a kind that nobody knows":  {"extra_gated_fields: {a: colour}\n", fields(ConsentField{"a", FieldText, nil}), `unknown kind "colour", and is asked for as text`},
		"a selection of nothing":    {"extra_gated_fields: {a: {type: select}}\n", fields(ConsentField{"a", FieldText, nil}), "has 0 options"},
		"an option that is no text": {"extra_gated_fields: {a: {type: select, options: [b, [c]]}}\n", fields(ConsentField{"a", FieldText, nil}), "an option"},
		"a field without a name":    {"extra_gated_fields: {'': text, b: text}\n", fields(ConsentField{"b", FieldText, nil}), "without a name"},
		"the same name in the end":  {"extra_gated_fields: {a: text, 'a ': text}\n", fields(ConsentField{"a", FieldText, nil}), "without a name"},
		"fields as a list":          {"extra_gated_fields: [a]\n", &CardGate{}, "not a mapping"},
		"a prompt that is a list":   {"extra_gated_prompt: [a]\n", &CardGate{}, "not a string"},
		"a long prompt":             {"extra_gated_prompt: " + strings.Repeat("x", maxConsentText+1) + "\n", &CardGate{Prompt: strings.Repeat("x", maxConsentText)}, "are kept"},
	} {
		c := ParseCard([]byte("---\n" + tt.front + "---\n"))
		if d := cmp.Diff(tt.want, c.Gate); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		if c.Gated != (tt.want != nil) || !strings.Contains(c.Problem, tt.problem) || tt.problem == "" && c.Problem != "" {
			t.Errorf("%s: gated %v, problem %q", name, c.Gated, c.Problem)
		}
	}
	many := ParseCard([]byte("---\nextra_gated_fields:\n" + strings.Repeat("  a: text\n", 1) + manyFields(40) + "---\n"))
	if len(many.Gate.Fields) != maxConsentFields || !strings.Contains(many.Problem, "the first 32 are kept") {
		t.Errorf("%d fields, problem %q", len(many.Gate.Fields), many.Problem)
	}
}

func manyFields(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("  b" + strings.Repeat("x", i) + ": text\n")
	}
	return b.String()
}

// TestCardGateFills: a gate's own words go before those of a card, which make
// no gate.
func TestCardGateFills(t *testing.T) {
	t.Parallel()
	v := &Version{Facts: &Facts{Card: Card{Gate: &CardGate{Heading: "card", Prompt: "card", Fields: []ConsentField{{"a", FieldText, nil}}}}}}
	p, err := MarshalFacts(v.Facts)
	if err != nil {
		t.Fatal(err)
	}
	if v.Facts, err = UnmarshalFacts(p); err != nil {
		t.Fatal(err)
	}
	if got := (*ConsentGate)(nil).with(v); got != nil {
		t.Errorf("a gate out of nothing: %+v", got)
	}
	for name, tt := range map[string]struct{ gate, want ConsentGate }{
		"an empty one": {ConsentGate{Mode: ConsentManual}, ConsentGate{Mode: ConsentManual, Heading: "card", Prompt: "card", Fields: []ConsentField{{"a", FieldText, nil}}}},
		"its own": {
			ConsentGate{Mode: ConsentAuto, Prompt: "own", Fields: []ConsentField{{"b", FieldText, nil}}},
			ConsentGate{Mode: ConsentAuto, Heading: "card", Prompt: "own", Fields: []ConsentField{{"b", FieldText, nil}}},
		},
	} {
		if d := cmp.Diff(&tt.want, tt.gate.with(v)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	v.Facts.Card.Gate.Fields[0].Kind = "colour"
	if g := (&ConsentGate{Mode: ConsentAuto}); g.with(v) != g {
		t.Error("what cannot be shown was taken from a card")
	}
}
