package mend

import (
	"bytes"
	"slices"
	"strings"

	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/licenses/lineage"
)

// File is a file of a model. A nil Text says that there is none of that name.
type File struct {
	Name string
	Text []byte
}

// Folder are the files that can be changed.
type Folder struct {
	Readme, Notice File
}

// Plan is what would mend findings.
type Plan struct {
	Edits []Edit   // of files, each once
	Told  []string // what a person has to do, in words
}

// Make plans what would mend findings. With declare it also changes the
// licence that the card declares, where the findings want a single one and the
// same: that is a decision of the publisher. The same findings and files give
// the same plan, and none once its edits are made.
func Make(findings []lineage.Finding, f Folder, declare bool) Plan {
	m := maker{notice: edit(f.Notice), readme: edit(f.Readme)}
	var wanted []string
	for _, x := range findings {
		if x.Waived != nil {
			continue
		}
		for _, fix := range x.Fixes {
			switch {
			case fix.Kind == lineage.FixNotice:
				m.notice.append(fix.Text)
			case fix.Kind == lineage.FixCard:
				m.readme.append(fix.Text)
			case fix.Kind == lineage.FixLicense && declare && fix.Declare != "":
				if !slices.Contains(wanted, fix.Declare) {
					wanted = append(wanted, fix.Declare)
				}
			default:
				m.tell(x.Rule, fix)
			}
		}
	}
	m.declare(wanted)
	var p Plan
	for _, e := range []*Edit{&m.readme, &m.notice} {
		if len(e.all()) > 0 {
			p.Edits = append(p.Edits, *e)
		}
	}
	p.Told = m.told
	return p
}

// maker is a plan under way.
type maker struct {
	readme, notice Edit
	told           []string
}

func (m *maker) say(s string) {
	if !slices.Contains(m.told, s) {
		m.told = append(m.told, s)
	}
}

// tell says what only a person can do.
func (m *maker) tell(rule string, f lineage.Fix) {
	switch f.Kind {
	case lineage.FixFile:
		m.say(rule + ": add to " + f.Where + " " + f.Text)
	case lineage.FixName:
		m.say(rule + ": publish it under a name such as " + f.Text)
	default:
		m.say(rule + ": " + f.Text)
	}
}

// declare changes the licence that the card declares.
func (m *maker) declare(wanted []string) {
	switch len(wanted) {
	case 0:
		return
	case 1:
	default:
		m.say("declare a licence by hand, because the findings want several: " + strings.Join(wanted, ", "))
		return
	}
	x, err := licenses.ParseExpression(wanted[0])
	f, known := licenses.Lookup(wanted[0])
	if err != nil || len(x.Parts) > 0 || !known {
		m.say("declare " + wanted[0] + " by hand: a card has no word for it")
		return
	}
	lines := []string{"license: " + f.ID}
	if name, other := strings.CutPrefix(f.ID, "other:"); other {
		lines = []string{"license: other", "license_name: " + name}
	}
	if problem := m.readme.declare(lines); problem != "" {
		m.say("declare " + wanted[0] + " by hand: " + problem)
	}
}

// declare puts the lines that declare a licence into the front matter, or says
// why it cannot.
func (e *Edit) declare(lines []string) (problem string) {
	for i := range lines {
		lines[i] += e.newline
	}
	at, end, state := e.front()
	switch state {
	case frontNone:
		if bytes.HasPrefix(e.Before, []byte("\ufeff")) {
			return "the card begins with a byte-order mark"
		}
		dashes := "---" + e.newline
		e.changes = append(e.changes, change{ins: slices.Concat([]string{dashes}, lines, []string{dashes})})
		return ""
	case frontOpen:
		return "the front matter has no closing --- line"
	}
	found := -1
	for i := at; i < end; i++ {
		switch key, _, _ := strings.Cut(e.lines[i], ":"); strings.TrimRight(key, " \t") {
		case "license_name", "license_link":
			return "the card has " + key + ", which belongs to the licence that it declares now"
		case "license":
			if found >= 0 {
				return "the card declares a licence twice"
			}
			found = i
		case `"license"`, `'license'`, "? license":
			return "the card declares its licence in an uncommon way"
		}
	}
	if found < 0 {
		e.changes = append(e.changes, change{at: at, ins: lines})
		return ""
	}
	_, value, _ := strings.Cut(strings.TrimRight(e.lines[found], "\r\n"), ":")
	comment := ""
	if i := strings.Index(value, " #"); i >= 0 {
		value, comment = value[:i], value[i:]
		value, comment = strings.TrimRight(value, " \t"), value[len(strings.TrimRight(value, " \t")):]+comment
	}
	value = strings.Trim(strings.TrimSpace(value), `"'`)
	next := ""
	if found+1 < end {
		next = e.lines[found+1]
	}
	if value == "" || strings.ContainsAny(value, "[]{}|>&*!\"'#") || strings.HasPrefix(next, " ") || strings.HasPrefix(next, "\t") || strings.HasPrefix(next, "-") {
		return "the card declares more than one word as its licence"
	}
	lines[0] = strings.TrimRight(lines[0], "\r\n") + comment + e.newline
	e.changes = append(e.changes, change{at: found, del: 1, ins: lines})
	return ""
}

type frontState int

const (
	frontNone frontState = iota
	frontFound
	frontOpen
)

// front finds the lines between the --- lines at the start.
func (e *Edit) front() (from, to int, s frontState) {
	dashes := func(line string) bool { return strings.TrimRight(line, " \t\r\n") == "---" }
	if len(e.lines) == 0 || !dashes(strings.TrimPrefix(e.lines[0], "\ufeff")) {
		return 0, 0, frontNone
	}
	for i := 1; i < len(e.lines); i++ {
		if dashes(e.lines[i]) {
			return 1, i, frontFound
		}
	}
	return 0, 0, frontOpen
}
