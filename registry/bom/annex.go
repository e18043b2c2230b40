package bom

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/carat-hub/carat/licenses"
)

// sheet is what Annex XII of Regulation (EU) 2024/1689 has the provider of a
// general-purpose model tell those who build it into their systems.
type sheet struct {
	Model  string `json:"model"`
	Digest string `json:"digest"`
	Items  []item `json:"items"`
}

// item is one point of the annex.
type item struct {
	Point  string   `json:"point"` // "1(a)"
	Title  string   `json:"title"`
	Values []string `json:"values,omitempty"` // none when the publisher does not state it
	Source string   `json:"source,omitempty"` // what says so
}

// Sources of what stands in a sheet.
const (
	fromCard     = "the model's card"
	fromFiles    = "measured in the files"
	fromHub      = "this hub"
	fromLicences = "the facts of the licences"
)

// sheet fills in the annex. The hub knows only some of it; the rest the
// provider has to add.
func (m *Model) sheet() *sheet {
	f := m.facts()
	s := &sheet{Model: string(m.version.Name), Digest: m.version.Digest.String()}
	add := func(point, title, source string, values ...string) {
		x := item{Point: point, Title: title}
		for _, v := range values {
			if v = plain(v); v != "" {
				x.Values, x.Source = append(x.Values, v), source
			}
		}
		s.Items = append(s.Items, x)
	}
	var policies []string
	for _, t := range m.assessment.Terms.MustNot {
		if t.What == "use" {
			policies = append(policies, "One must not "+t.Words+" ("+t.Source.String()+")")
		}
	}
	licence := ""
	if e := m.assessment.Works[0].Expression; !e.IsZero() {
		licence = e.String() + names(e)
	}
	distribution := "as OCI artifact " + string(m.version.Name) + "@" + m.version.Digest.String()
	if m.options.URL != "" {
		distribution += " of " + m.options.URL
	}
	modality := ""
	switch m.ancestry.Graph.Modality() {
	case "text":
		modality = "text"
	case "multimodal":
		modality = "more than text"
	}
	if modality != "" {
		modality += ", by its task " + f.Card.Pipeline
	}
	var data []string
	for _, d := range f.Card.Datasets {
		data = append(data, "dataset "+d)
	}
	add("1(a)", "Tasks that the model is intended for, and the systems into which it can be integrated", fromCard, f.Card.Pipeline)
	add("1(b)", "Acceptable use policies", fromLicences, policies...)
	add("1(c)", "Date of release and methods of distribution", fromHub, "came to this hub on "+m.created()[:10], distribution)
	add("1(d)", "Interaction with hardware or software that is not part of the model", "")
	add("1(e)", "Versions of relevant software", fromCard, library(f.Card.Library))
	add("1(f)", "Architecture and number of parameters", fromFiles, f.Architecture, count(f.Parameters, "parameters"), f.Quantization)
	add("1(g)", "Modality and format of inputs and outputs", fromCard, modality)
	add("1(h)", "Licence", fromCard, licence)
	add("2(a)", "Technical means needed for integration", fromFiles, format(f.Format), f.Tokenizer)
	add("2(b)", "Maximum size of inputs and outputs", fromFiles, count(f.ContextLength, "tokens of context"))
	add("2(c)", "Data used for training, testing and validation: type, provenance, curation", fromCard, data...)
	return s
}

func names(e licenses.Expression) string {
	var list []string
	for _, f := range e.Resolve().Facts {
		list = append(list, strings.TrimSpace(f.Name+" "+f.URL))
	}
	if len(list) == 0 {
		return ""
	}
	return " (" + strings.Join(list, "; ") + ")"
}

func library(s string) string {
	if s == "" {
		return ""
	}
	return "library " + s + ", its version is not stated"
}

func format(s string) string {
	if s == "" {
		return ""
	}
	return "weights in the format " + s
}

func count(n int64, of string) string {
	if n <= 0 {
		return ""
	}
	return strconv.FormatInt(n, 10) + " " + of
}

// markdown is the sheet for people.
func (s *sheet) markdown() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Information for those who integrate %s\n\n`%s`\n\n", escape(s.Model), s.Digest)
	b.WriteString("By the points of Annex XII of Regulation (EU) 2024/1689. What stands here was taken from where it says; the provider answers for it and has to add what is missing.\n\n")
	b.WriteString("| point | | | from |\n|---|---|---|---|\n")
	for _, x := range s.Items {
		value := "*not stated by the publisher*"
		if len(x.Values) > 0 {
			var list []string
			for _, v := range x.Values {
				list = append(list, escape(v))
			}
			value = strings.Join(list, "<br>")
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", x.Point, x.Title, value, x.Source)
	}
	return b.Bytes()
}

// escape keeps foreign words from being anything but words in Markdown.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, "|", `\|`, "<", "&lt;", "&", "&amp;", "*", `\*`, "_", `\_`, "`", "\\`", "[", `\[`, "]", `\]`).Replace(s)
}

func (s *sheet) json() ([]byte, error) {
	p, err := json.MarshalIndent(s, "", "  ")
	return append(p, '\n'), err
}
