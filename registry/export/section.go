package export

import (
	"bytes"
	"regexp"
	"sync"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/text"
)

// section is a part of a card by what its heading says.
type section string

// The sections that documents have a place for.
const (
	sectionUse        section = "intended use"
	sectionOutOfScope section = "out-of-scope use"
	sectionLimitation section = "limitations"
	sectionEthics     section = "ethical considerations"
	sectionTraining   section = "training data"
	sectionProcedure  section = "training procedure"
	sectionEvaluation section = "evaluation"
	sectionHowTo      section = "how to use"
	sectionHardware   section = "hardware"
	sectionSoftware   section = "software"
)

// headings tell sections, the first that fits. They are those of common card
// templates.
var headings = sync.OnceValue(func() []struct {
	of   section
	text *regexp.Regexp
} {
	return []struct {
		of   section
		text *regexp.Regexp
	}{
		{sectionOutOfScope, regexp.MustCompile(`(?i)\b(out[- ]of[- ]scope|misuse|prohibited uses?)\b`)},
		{sectionHowTo, regexp.MustCompile(`(?i)^\W*(how to (use|get started|run)|usage|quick ?start|getting started|use it)\b`)},
		{sectionUse, regexp.MustCompile(`(?i)^\W*((intended|direct|downstream) uses?|uses?\W*$)`)},
		{sectionEthics, regexp.MustCompile(`(?i)\b(ethical considerations?|ethics|responsib\w+)\b`)},
		{sectionLimitation, regexp.MustCompile(`(?i)\b(limitations?|biases|bias|risks?)\b`)},
		{sectionTraining, regexp.MustCompile(`(?i)\b(training|pre-?training) (data|dataset|datasets|corpus)\b|^\W*datasets?\W*$`)},
		{sectionProcedure, regexp.MustCompile(`(?i)^\W*training( procedure| details| process| hyperparameters)?\W*$`)},
		{sectionEvaluation, regexp.MustCompile(`(?i)^\W*(evaluation|benchmarks?)\b`)},
		{sectionHardware, regexp.MustCompile(`(?i)^\W*(hardware|system requirements|requirements)\b`)},
		{sectionSoftware, regexp.MustCompile(`(?i)^\W*(software|supported frameworks)\b`)},
	}
})

// sectionsOf cuts the sections out of a card, each the first under such a
// heading with words in it, down to the next heading of its rank.
func sectionsOf(body string) map[section]string {
	found := map[section]string{}
	src := []byte(body)
	type heading struct {
		of         section
		rank       int
		start, end int // of its lines
	}
	var list []heading
	for n := goldmark.DefaultParser().Parse(text.NewReader(src)).FirstChild(); n != nil; n = n.NextSibling() {
		h, ok := n.(*ast.Heading)
		if !ok || h.Lines().Len() == 0 {
			continue
		}
		first, last := h.Lines().At(0), h.Lines().At(h.Lines().Len()-1)
		x := heading{rank: h.Level, start: bytes.LastIndexByte(src[:first.Start], '\n') + 1, end: lineEnd(src, last.Start)}
		if rest := src[x.end:]; h.Level <= 2 && underline().Match(rest) {
			x.end = lineEnd(src, x.end)
		}
		for _, t := range headings() {
			if t.text.Match(src[first.Start:last.Stop]) {
				x.of = t.of
				break
			}
		}
		list = append(list, x)
	}
	for i, h := range list {
		if h.of == "" || found[h.of] != "" {
			continue
		}
		end := len(src)
		for _, next := range list[i+1:] {
			if next.rank <= h.rank {
				end = next.start
				break
			}
		}
		if s := paragraph(string(src[h.end:max(h.end, end)])); s != "" {
			found[h.of] = s
		}
	}
	return found
}

// underline is what stands below a heading without "#".
var underline = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^ {0,3}(=+|-+)[ \t]*(\n|$)`) })

// lineEnd is where the line after the one at i begins.
func lineEnd(p []byte, i int) int {
	if n := bytes.IndexByte(p[i:], '\n'); n >= 0 {
		return i + n + 1
	}
	return len(p)
}
