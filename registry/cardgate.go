package registry

import (
	"cmp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// CardGate is what a card wants shown to those who have to accept terms, and
// what it asks of them: the keys extra_gated_* of Hugging Face. It does not
// make anybody accept anything: a gate that an administrator set does.
type CardGate struct {
	Heading     string         `json:"heading,omitempty"`
	Description string         `json:"description,omitempty"`
	Prompt      string         `json:"prompt,omitempty"`
	Button      string         `json:"button,omitempty"`
	Fields      []ConsentField `json:"fields,omitempty"`
}

// gatePrefix begins the keys of a card's gate.
const gatePrefix = "extra_gated_"

// setGateField reads one key that begins with gatePrefix. Keys that nobody
// knows are noticed and left out.
func (c *Card) setGateField(key string, v *yaml.Node) {
	c.Gated = true
	if c.Gate == nil {
		c.Gate = &CardGate{}
	}
	switch strings.TrimPrefix(key, gatePrefix) {
	case "heading":
		c.Gate.Heading = c.gateText(key, v, maxConsentWord)
	case "description":
		c.Gate.Description = c.gateText(key, v, maxConsentText)
	case "prompt":
		c.Gate.Prompt = c.gateText(key, v, maxConsentText)
	case "button_content":
		c.Gate.Button = c.gateText(key, v, maxConsentWord)
	case "fields":
		c.Gate.Fields = c.gateFields(key, v)
	}
}

// gateText returns a text of at most limit bytes.
func (c *Card) gateText(key string, v *yaml.Node, limit int) string {
	v = deref(v)
	switch {
	case v == nil || isNull(v):
		return ""
	case v.Kind != yaml.ScalarNode:
		c.problem("%s is not a string", key)
		return ""
	}
	s := strings.TrimSpace(clean(v.Value))
	if len(s) > limit {
		c.problem("%s has %d bytes; at most %d are kept", key, len(s), limit)
		s = strings.TrimSpace(string(cutUTF8([]byte(s), limit)))
	}
	return s
}

// gateFields reads a mapping of names to kinds. What cannot be asked for as it
// is written is asked for as text, or left out where it has no name; both are
// problems.
func (c *Card) gateFields(key string, v *yaml.Node) []ConsentField {
	v = deref(v)
	if v == nil || isNull(v) {
		return nil
	}
	if v.Kind != yaml.MappingNode {
		c.problem("%s is not a mapping of names to kinds", key)
		return nil
	}
	var fields []ConsentField
	for i := 0; i+1 < len(v.Content); i += 2 {
		if len(fields) == maxConsentFields {
			c.problem("%s has %d fields; the first %d are kept", key, len(v.Content)/2, maxConsentFields)
			break
		}
		f := ConsentField{Name: strings.TrimSpace(clean(v.Content[i].Value))}
		if (ConsentField{Name: f.Name, Kind: FieldText}).problem() != "" || slices.ContainsFunc(fields, func(b ConsentField) bool { return b.Name == f.Name }) {
			c.problem("%s has a field without a name of its own of at most %d bytes", key, maxConsentName)
			continue
		}
		f.Kind, f.Options = gateField(deref(v.Content[i+1]))
		if p := f.problem(); p != "" {
			c.problem("%s: %s, and is asked for as text", key, p)
			f.Kind, f.Options = FieldText, nil
		}
		fields = append(fields, f)
	}
	return fields
}

// gateField reads "text", or {type: select, options: [a, {label: b, value: c}]}.
func gateField(v *yaml.Node) (kind FieldKind, options []string) {
	if v == nil || v.Kind != yaml.MappingNode {
		return FieldKind(words(v)), nil
	}
	for _, o := range sequence(member(v, "options")) {
		// What people see and choose is the label.
		if label := words(member(o, "label")); label != "" {
			options = append(options, label)
			continue
		}
		if value := words(member(o, "value")); value != "" {
			options = append(options, value)
			continue
		}
		options = append(options, words(deref(o)))
	}
	return FieldKind(words(member(v, "type"))), options
}

// words returns the text of a scalar, "" of anything else.
func words(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode || isNull(n) {
		return ""
	}
	return strings.TrimSpace(clean(n.Value))
}

// with returns the gate with what the card of a version says where the gate
// itself says nothing.
func (g *ConsentGate) with(v *Version) *ConsentGate {
	if g == nil || v.Facts == nil || v.Facts.Card.Gate == nil {
		return g
	}
	c, filled := v.Facts.Card.Gate, *g
	filled.Heading, filled.Description = cmp.Or(g.Heading, c.Heading), cmp.Or(g.Description, c.Description)
	filled.Prompt, filled.Button = cmp.Or(g.Prompt, c.Prompt), cmp.Or(g.Button, c.Button)
	if len(g.Fields) == 0 {
		filled.Fields = c.Fields
	}
	if filled.Check() != nil {
		return g // nothing that ParseCard reads
	}
	return &filled
}
