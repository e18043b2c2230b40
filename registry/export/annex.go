package export

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/carat-hub/carat/licenses/lineage"
)

// Sources of what a sheet states.
const (
	fromCard      = "card"      // the publisher says so
	fromFiles     = "files"     // read out of the files
	fromRegistry  = "registry"  // what this registry knows of the version
	fromCatalogue = "catalogue" // facts about the licence
)

// notStated is what a sheet says where nothing is known.
const notStated = "not stated by the publisher"

// sheet is Annex XII of Regulation (EU) 2024/1689: what a provider of a
// general-purpose model tells those who build it in.
type sheet struct {
	Regulation string      `json:"regulation"`
	Model      string      `json:"model"`
	Version    string      `json:"version"`
	Registered string      `json:"registered"` // when it came to the registry
	Items      []sheetItem `json:"items"`
}

// sheetItem is an item of the annex, title in our words.
type sheetItem struct {
	Point string      `json:"point"` // "1(a)"
	Title string      `json:"title"`
	Parts []sheetPart `json:"parts"`
}

// sheetPart is one thing that an item asks for.
type sheetPart struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Source string `json:"source,omitempty"` // "" when it is not stated
}

// part is a part of an item; without a value it is not stated.
func part(name, value, source string) sheetPart {
	if value == "" {
		return sheetPart{Name: name, Value: notStated}
	}
	return sheetPart{name, value, source}
}

// annex fills the sheet in.
func (s *subject) annex() sheet {
	f, card := s.facts, &s.facts.Card
	in, out := s.modality()
	var datasets, evaluated []string
	for _, u := range s.root().uses {
		if u.of.Dataset {
			datasets = append(datasets, u.of.title)
		}
	}
	seen := map[string]bool{}
	for _, e := range card.Evaluations {
		if d := line(e.Dataset); d != "" && !seen[d] {
			seen[d] = true
			evaluated = append(evaluated, d)
		}
	}
	modality := []sheetPart{
		part("Modality of inputs", strings.Join(in, ", "), fromCard),
		part("Modality of outputs", strings.Join(out, ", "), fromCard),
		part("Languages", lines(card.Languages), fromCard),
		part("Format of inputs", s.inputs(), fromFiles),
		part("Format of outputs", lines(f.Outputs), fromFiles),
	}
	return sheet{
		Regulation: "Regulation (EU) 2024/1689, Annex XII", Model: string(s.version.Name), Version: s.version.Digest.String(), Registered: s.created(),
		Items: []sheetItem{
			{"1(a)", "Tasks, and the systems it can be built into", []sheetPart{
				part("Task", line(card.Pipeline), fromCard),
				part("Intended use", s.sections[sectionUse], fromCard),
				part("Use out of scope", s.sections[sectionOutOfScope], fromCard),
				part("Type and nature of AI systems", "", ""),
			}},
			{"1(b)", "Acceptable use", s.acceptableUse()},
			{"1(c)", "Release and distribution", []sheetPart{
				part("Date of release", "", ""),
				part("First pushed to this registry", s.created(), fromRegistry),
				part("Method of distribution", s.distribution(), fromRegistry),
			}},
			{"1(d)", "Hardware and software outside the model", []sheetPart{
				part("Hardware", s.sections[sectionHardware], fromCard),
				part("Software", s.sections[sectionSoftware], fromCard),
			}},
			{"1(e)", "Versions of software for its use", []sheetPart{
				part("Library", line(card.Library), fromCard),
				part("Version of the library", "", ""),
				part("Version of ONNX operators", number(f.Opset), fromFiles),
			}},
			{"1(f)", "Architecture and parameters", append([]sheetPart{
				part("Architecture", line(f.Architecture), fromFiles),
				part("Number of parameters", number(f.Parameters), fromFiles),
				part("Layers", number(f.Layers), fromFiles),
				part("Quantization", line(f.Quantization), fromFiles),
			}, s.origins()...)},
			{"1(g)", "Inputs and outputs", modality},
			{"1(h)", "Licence", s.licenceParts()},
			{"2(a)", "Technical means of integration", []sheetPart{
				part("Instructions for use", s.sections[sectionHowTo], fromCard),
				part("Format of the weights", line(f.Format), fromFiles),
				part("Tokenizer", line(f.Tokenizer), fromFiles),
				part("Chat template", map[bool]string{true: "yes"}[f.ChatTemplate], fromFiles),
				part("Infrastructure", "", ""),
			}},
			{"2(b)", "Inputs and outputs with their largest size", append(modality[:len(modality):len(modality)],
				part("Context length in tokens", number(f.ContextLength), fromFiles),
				part("Vocabulary in tokens", number(f.VocabSize), fromFiles),
				part("Largest output", "", ""),
			)},
			{"2(c)", "Data for training, testing and validation", []sheetPart{
				part("Training datasets", lines(datasets), fromCard),
				part("Type and provenance of training data", s.sections[sectionTraining], fromCard),
				part("Curation", s.sections[sectionProcedure], fromCard),
				part("Datasets of evaluations", lines(evaluated), fromCard),
				part("Evaluation", s.sections[sectionEvaluation], fromCard),
				part("Validation data", "", ""),
			}},
		},
	}
}

// inputs are those of an ONNX graph, or what a tokenizer takes.
func (s *subject) inputs() string {
	if v := lines(s.facts.Inputs); v != "" {
		return v
	}
	if t := line(s.facts.Tokenizer); t != "" {
		return "tokens of the tokenizer " + t
	}
	return ""
}

func (s *subject) distribution() string {
	d := fmt.Sprintf("OCI artifact of %d files, %d bytes in all", len(s.version.Files), s.version.Size)
	if s.facts.Card.Gated {
		d += "; its card asks for consent before a download"
	}
	return d
}

// origins are the models that the version says it was made from.
func (s *subject) origins() (list []sheetPart) {
	for _, u := range s.root().uses {
		if u.of.Dataset {
			continue
		}
		source := fromCard
		if u.origin != lineage.FromCard {
			source = fromFiles
		}
		list = append(list, part("It is", relationWords(u.relation)+" "+u.of.title, source))
	}
	return list
}

// acceptableUse is what the licences forbid. Their silence is told only where
// all of them were read.
func (s *subject) acceptableUse() (list []sheetPart) {
	t := &s.assessment.Terms
	for _, o := range s.obligations() {
		if o.kind == "must-not" && (o.What == "use" || o.What == "territory" || o.What == "commercial") {
			list = append(list, part("Must not", line(o.words()), fromCatalogue))
		}
	}
	read := len(t.Licences) > 0 && len(t.Unclear) == 0
	for _, l := range t.Licences {
		read = read && l.Checked
	}
	if len(list) > 0 {
		return list
	}
	if read {
		return []sheetPart{part("Policy", "the licences have none", fromCatalogue)}
	}
	return []sheetPart{part("Policy", "", "")}
}

func (s *subject) licenceParts() []sheetPart {
	l := s.root().licence
	list := []sheetPart{part("Declared", l.or(""), fromCard), part("Link", address(s.facts.Card.LicenseLink), fromCard)}
	if l.concluded != "" {
		list = append(list, part("Confirmed by its text", l.concluded, fromFiles))
	} else {
		list = append(list, sheetPart{Name: "Confirmed by its text", Value: "no", Source: fromFiles})
	}
	for _, o := range s.obligations() {
		if o.kind == "must" {
			list = append(list, part("Must", line(o.words()), fromCatalogue))
		}
	}
	return list
}

// lines are foreign entries in a row.
func lines(list []string) string {
	out := make([]string, 0, len(list))
	for _, s := range list {
		if s = line(s); s != "" {
			out = append(out, s)
		}
	}
	return strings.Join(out, ", ")
}

func number(n int64) string {
	if n <= 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func annexJSON(s *subject) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(s.annex())
	return b.Bytes(), err
}

func annexMarkdown(s *subject) ([]byte, error) {
	a := s.annex()
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s\n\nModel: %s\nVersion: `%s`\n\nOf each entry the source is named: the publisher's card, the files themselves, this registry, or the catalogue of licences. What is in none of them is “%s”.\n",
		a.Regulation, markdown(a.Model), a.Version, notStated)
	for _, item := range a.Items {
		fmt.Fprintf(&b, "\n## %s %s\n\n", item.Point, item.Title)
		for _, p := range item.Parts {
			switch {
			case p.Source == "":
				fmt.Fprintf(&b, "- %s: *%s*\n", p.Name, p.Value)
			case strings.Contains(p.Value, "\n"):
				fmt.Fprintf(&b, "- %s (%s):\n\n", p.Name, p.Source)
				for l := range strings.SplitSeq(p.Value, "\n") {
					fmt.Fprintf(&b, "  > %s\n", strings.TrimRight(markdown(l), " \t"))
				}
				b.WriteString("\n")
			default:
				fmt.Fprintf(&b, "- %s: %s (%s)\n", p.Name, markdown(p.Value), p.Source)
			}
		}
	}
	return b.Bytes(), nil
}

// markdown escapes foreign text so that it is shown as it is written.
func markdown(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case strings.ContainsRune("\\`*_[]<>&#|~!$", r), i == 0 && strings.ContainsRune("-+=:>", r):
			b.WriteByte('\\')
		case r == '.' || r == ')': // after digits it begins a list
			if i > 0 && strings.Trim(s[:i], "0123456789") == "" {
				b.WriteByte('\\')
			}
		}
		b.WriteRune(r)
	}
	return b.String()
}
