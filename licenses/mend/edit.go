package mend

import (
	"fmt"
	"slices"
	"strings"
)

// Edit is a change of one file.
type Edit struct {
	Name    string
	Before  []byte
	Created bool // there was no such file

	lines   []string // of Before, with their ends
	newline string   // with which they end
	changes []change // but for the end, in their order
	tail    []string // lines that are added at the end
}

// change replaces del lines from at on.
type change struct {
	at, del int
	ins     []string
}

// edit begins an edit that changes nothing.
func edit(f File) Edit {
	e := Edit{Name: f.Name, Before: f.Text, Created: f.Text == nil, newline: "\n"}
	e.lines = slices.Collect(strings.Lines(string(f.Text)))
	if len(e.lines) > 0 && strings.HasSuffix(e.lines[0], "\r\n") {
		e.newline = "\r\n"
	}
	return e
}

func squeeze(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }

// append adds a paragraph at the end, unless its words stand in the file.
func (e *Edit) append(text string) {
	if text == "" || strings.Contains(squeeze(string(e.Before)+" "+strings.Join(e.tail, " ")), squeeze(text)) {
		return
	}
	if len(e.lines) > 0 || len(e.tail) > 0 {
		e.tail = append(e.tail, e.newline)
	}
	e.tail = append(e.tail, strings.ReplaceAll(text, "\n", e.newline)+e.newline)
}

// all are the changes with that of the end, which ends the last line first
// where nothing did.
func (e *Edit) all() []change {
	if len(e.tail) == 0 {
		return e.changes
	}
	n := len(e.lines)
	end := change{at: n, ins: e.tail}
	if n > 0 && !strings.HasSuffix(e.lines[n-1], "\n") {
		end = change{at: n - 1, del: 1, ins: slices.Concat([]string{e.lines[n-1] + e.newline}, e.tail)}
	}
	return append(slices.Clone(e.changes), end)
}

// After is the file as it would be.
func (e *Edit) After() []byte {
	var b strings.Builder
	at := 0
	for _, c := range e.all() {
		for ; at < c.at; at++ {
			b.WriteString(e.lines[at])
		}
		for _, line := range c.ins {
			b.WriteString(line)
		}
		at += c.del
	}
	for ; at < len(e.lines); at++ {
		b.WriteString(e.lines[at])
	}
	return []byte(b.String())
}

// context is how many lines around a change a diff shows.
const context = 3

// Diff writes the edit as a unified diff.
func (e *Edit) Diff() string {
	var b strings.Builder
	before := "a/" + e.Name
	if e.Created {
		before = "/dev/null"
	}
	fmt.Fprintf(&b, "--- %s\n+++ b/%s\n", before, e.Name)
	shift := 0 // lines that changes before have added
	for i, list := 0, e.all(); i < len(list); {
		j := i + 1
		for j < len(list) && list[j].at-list[j-1].at-list[j-1].del <= 2*context {
			j++
		}
		shift += e.hunk(&b, list[i:j], shift)
		i = j
	}
	return b.String()
}

// hunk writes changes that are near each other, and returns how many lines they add.
func (e *Edit) hunk(b *strings.Builder, list []change, shift int) (added int) {
	last := list[len(list)-1]
	from, to := max(list[0].at-context, 0), min(last.at+last.del+context, len(e.lines))
	var body strings.Builder
	line := func(mark byte, text string) {
		body.WriteByte(mark)
		body.WriteString(strings.TrimSuffix(text, "\n"))
		body.WriteByte('\n')
		if !strings.HasSuffix(text, "\n") {
			body.WriteString("\\ No newline at end of file\n")
		}
	}
	at := from
	for _, c := range list {
		for ; at < c.at; at++ {
			line(' ', e.lines[at])
		}
		for ; at < c.at+c.del; at++ {
			line('-', e.lines[at])
		}
		ins := split(c.ins)
		for _, x := range ins {
			line('+', x)
		}
		added += len(ins) - c.del
	}
	for ; at < to; at++ {
		line(' ', e.lines[at])
	}
	fmt.Fprintf(b, "@@ -%s +%s @@\n%s", span(from, to-from), span(from+shift, to-from+added), body.String())
	return added
}

// split makes single lines of texts that may hold several.
func split(list []string) []string {
	return slices.Collect(strings.Lines(strings.Join(list, "")))
}

// span writes a range of lines as unified diffs have it: an empty one is named by the line before it.
func span(from, n int) string {
	switch n {
	case 0:
		return fmt.Sprintf("%d,0", from)
	case 1:
		return fmt.Sprintf("%d", from+1)
	}
	return fmt.Sprintf("%d,%d", from+1, n)
}
