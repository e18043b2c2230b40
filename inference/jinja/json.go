package jinja

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// DecodeJSON decodes one JSON value so that it can be passed to Render: objects become Map in their order, whole numbers int64.
func DecodeJSON(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	v, err := decodeValue(d, 0)
	if err != nil {
		return nil, fmt.Errorf("decode JSON: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("decode JSON: more than one value")
	}
	return v, nil
}

func decodeValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Number:
		if i, err := strconv.ParseInt(string(t), 10, 64); err == nil {
			return i, nil
		}
		return strconv.ParseFloat(string(t), 64)
	case json.Delim:
		if t == '[' {
			list := []any{}
			for d.More() {
				v, err := decodeValue(d, depth+1)
				if err != nil {
					return nil, err
				}
				list = append(list, v)
			}
			_, err := d.Token()
			return list, err
		}
		object := Map{}
		for d.More() {
			k, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := decodeValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			name, _ := k.(string)
			object = append(object, Pair{name, v})
		}
		_, err := d.Token()
		return object, err
	}
	return t, nil
}

// jsonWriter writes values as Python's json.dumps does.
type jsonWriter struct {
	r           *renderer
	line        int
	b           strings.Builder
	ascii, sort bool
	indent      *string // of a level; nil writes one line
	comma       string
	colon       string
}

// toJSON is the filter tojson as transformers defines it: no HTML escapes, characters beyond ASCII as they are.
func (r *renderer) toJSON(line int, v any, a args) any {
	o := a.bind(r, line, "tojson", "ensure_ascii", "indent", "separators", "sort_keys")
	w := &jsonWriter{r: r, line: line, ascii: r.boolArg(line, o[0], false), sort: r.boolArg(line, o[3], false), comma: ", ", colon: ": "}
	switch indent := o[1].(type) {
	case nil, left:
	case string:
		w.indent = &indent
	default:
		n := r.intArg(line, indent, 0)
		if n > 64 {
			r.limit(line, "string")
		}
		s := strings.Repeat(" ", int(max(n, 0)))
		w.indent = &s
	}
	if w.indent != nil {
		w.comma = ","
	}
	switch sep := o[2].(type) {
	case nil, left:
	case *list:
		if len(sep.items) != 2 {
			r.fail(line, "tojson takes two separators")
		}
		w.comma, w.colon = r.textArg(line, sep.items[0], ""), r.textArg(line, sep.items[1], "")
	default:
		r.fail(line, "tojson takes two separators")
	}
	w.value(v, 0)
	return r.str(line, w.b.String())
}

func (w *jsonWriter) value(v any, depth int) {
	if w.r.use(w.line, 1); depth > maxDepth {
		w.r.limit(w.line, "recursion")
	}
	switch v := unmarked(v).(type) {
	case nil:
		w.b.WriteString("null")
	case bool:
		w.b.WriteString(strconv.FormatBool(v))
	case int64:
		w.b.WriteString(strconv.FormatInt(v, 10))
	case float64:
		w.b.WriteString(jsonFloat(v))
	case string:
		w.string(v)
	case *list:
		if !v.indexed() {
			w.r.fail(w.line, "tojson of what a filter gives item by item, or of the view of a dict")
		}
		w.container('[', ']', len(v.items), depth, func(i int) { w.value(v.items[i], depth+1) })
	case *dict:
		order := make([]int, len(v.keys))
		for i := range order {
			order[i] = i
		}
		if w.sort {
			slices.SortStableFunc(order, func(a, b int) int { return w.r.order(w.line, v.keys[a], v.keys[b], 0) })
		}
		w.container('{', '}', len(v.keys), depth, func(i int) {
			w.key(v.keys[order[i]])
			w.b.WriteString(w.colon)
			w.value(v.at(w.r, order[i]), depth+1)
		})
	default:
		w.r.fail(w.line, "tojson of a %s", typeName(v))
	}
	if w.b.Len() > maxString {
		w.r.limit(w.line, "string")
	}
}

func jsonFloat(f float64) string {
	switch s := floatText(f); s {
	case "inf":
		return "Infinity"
	case "-inf":
		return "-Infinity"
	case "nan":
		return "NaN"
	default:
		return s
	}
}

func (w *jsonWriter) container(open, closing byte, n, depth int, item func(i int)) {
	newline := func(depth int) {
		if w.indent == nil || n == 0 {
			return
		}
		w.b.WriteByte('\n')
		for range depth {
			w.b.WriteString(*w.indent)
			if w.b.Len() > 2*maxString {
				w.r.limit(w.line, "string")
			}
		}
	}
	w.b.WriteByte(open)
	for i := range n {
		if i > 0 {
			w.b.WriteString(w.comma)
		}
		newline(depth + 1)
		item(i)
	}
	newline(depth)
	w.b.WriteByte(closing)
}

func (w *jsonWriter) key(k any) {
	switch k := k.(type) {
	case string:
		w.string(k)
	case nil:
		w.string("null")
	case bool:
		w.string(strconv.FormatBool(k))
	case int64:
		w.string(strconv.FormatInt(k, 10))
	case float64:
		w.string(jsonFloat(k))
	}
}

func (w *jsonWriter) string(s string) {
	w.r.size(w.line, len(s))
	w.b.WriteByte('"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			w.b.WriteByte('\\')
			w.b.WriteRune(c)
		case c == '\n':
			w.b.WriteString(`\n`)
		case c == '\r':
			w.b.WriteString(`\r`)
		case c == '\t':
			w.b.WriteString(`\t`)
		case c == '\b':
			w.b.WriteString(`\b`)
		case c == '\f':
			w.b.WriteString(`\f`)
		case c >= 0x10000 && w.ascii:
			fmt.Fprintf(&w.b, `\u%04x\u%04x`, 0xd800+(c-0x10000)>>10, 0xdc00+(c-0x10000)&0x3ff)
		case c < 0x20, c > 0x7e && w.ascii && c != 0x7f:
			fmt.Fprintf(&w.b, `\u%04x`, c)
		default:
			w.b.WriteRune(c)
		}
	}
	w.b.WriteByte('"')
}
