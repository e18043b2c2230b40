package web

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// evidenceWidth is how long a list or an object of evidence may become, in
// characters, before each of its members takes a line.
const evidenceWidth = 120

// readable undoes the escapes that are there for JSON inside HTML; the
// template escapes by itself. An escaped backslash stays one.
var readable = strings.NewReplacer(`\\`, `\\`, `\u003c`, "<", `\u003e`, ">", `\u0026`, "&")

// evidenceText lays a check's evidence out for reading: JSON, with what is
// short on one line. What is no JSON stays as it is.
func evidenceText(raw json.RawMessage) string {
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return string(raw)
	}
	var lines []string
	var open []int // lines that begin a list or an object which has not ended
	for line := range strings.Lines(b.String()) {
		line = strings.TrimRight(line, "\n")
		lines = append(lines, line)
		switch text := strings.TrimLeft(line, " "); {
		case strings.HasSuffix(text, "{") || strings.HasSuffix(text, "["):
			open = append(open, len(lines)-1)
		case strings.HasPrefix(text, "}") || strings.HasPrefix(text, "]"):
			if len(open) == 0 {
				continue
			}
			from := open[len(open)-1]
			open = open[:len(open)-1]
			if joined, ok := oneLine(lines[from:]); ok && len(open) > 0 {
				lines = append(lines[:from], joined)
			}
		}
	}
	return readable.Replace(strings.Join(lines, "\n"))
}

// oneLine joins the lines of one list or object unless they are too long.
func oneLine(lines []string) (string, bool) {
	size := 0
	for _, l := range lines {
		if size += utf8.RuneCountInString(strings.TrimLeft(l, " ")) + 1; size > evidenceWidth {
			return "", false
		}
	}
	var b strings.Builder
	for i, l := range lines {
		switch {
		case i == 0:
			b.WriteString(l)
		case i == 1 || i == len(lines)-1: // no space inside the brackets
			b.WriteString(strings.TrimLeft(l, " "))
		default:
			b.WriteString(" " + strings.TrimLeft(l, " "))
		}
	}
	return b.String(), true
}
