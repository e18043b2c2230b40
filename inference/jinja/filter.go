package jinja

import (
	"html"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type filterFunc = func(r *renderer, line int, v any, a args) any

func cased(c rune) bool { return unicode.IsUpper(c) || unicode.IsLower(c) || unicode.IsTitle(c) }

func (r *renderer) filter(f filterCall, v any, s *scope) any {
	return r.named(f.line, f.name, v, r.args(f.args, s))
}

func (r *renderer) named(line int, name string, v any, a args) any {
	f := filters[name]
	if f == nil {
		r.refuse(line, "filter %.80q", name)
	}
	return f(r, line, v, a)
}

var filters map[string]filterFunc

func init() {
	filters = map[string]filterFunc{
		"tojson":     func(r *renderer, line int, v any, a args) any { return r.toJSON(line, v, a) },
		"trim":       trim,
		"upper":      onText("upper", upper),
		"lower":      onText("lower", lower),
		"capitalize": onText("capitalize", capitalized),
		"title":      onText("title", titleFilter),
		"string": func(r *renderer, line int, v any, a args) any {
			a.bind(r, line, "string")
			if m, ok := v.(markup); ok {
				return m
			}
			return r.text(line, v)
		},
		"safe": func(r *renderer, line int, v any, a args) any {
			a.bind(r, line, "safe")
			return markup(r.text(line, v))
		},
		"escape":  escape,
		"e":       escape,
		"replace": replace,
		"indent":  indent,
		"join":    join,
		"length":  length,
		"count":   length,
		"default": orDefault,
		"d":       orDefault,
		"int":     toInteger,
		"float":   toFloat,
		"abs":     absolute,
		"round":   round,
		"list": func(r *renderer, line int, v any, a args) any {
			a.bind(r, line, "list")
			return r.list(line, slices.Clone(r.items(line, v)))
		},
		"items": func(r *renderer, line int, v any, a args) any {
			a.bind(r, line, "items")
			switch v := v.(type) {
			case undefined:
				return r.lazy(line, nil)
			case *dict:
				return r.lazy(line, r.pairs(line, v).(*list).items)
			}
			r.fail(line, "items of a %s", typeName(v))
			return nil
		},
		"first": func(r *renderer, line int, v any, a args) any {
			a.bind(r, line, "first")
			if items := r.items(line, v); len(items) > 0 {
				return items[0]
			}
			return undefined{"the first of nothing"}
		},
		"last":       last,
		"reverse":    reverse,
		"map":        mapFilter,
		"select":     selects("select", false, true),
		"reject":     selects("reject", false, false),
		"selectattr": selects("selectattr", true, true),
		"rejectattr": selects("rejectattr", true, false),
		"sort":       sorted,
		"dictsort":   dictSort,
		"unique":     unique,
		"min":        extreme("min", -1),
		"max":        extreme("max", 1),
		"sum":        sum,
		"batch":      batch,
	}
}

// onText is a filter on the text of a value, without arguments.
func onText(name string, f func(s string) string) filterFunc {
	return func(r *renderer, line int, v any, a args) any {
		a.bind(r, line, name)
		s := r.text(line, v)
		if name == "title" || name == "capitalize" {
			r.noSigma(line, s)
		}
		r.size(line, len(s))
		return r.str(line, f(s))
	}
}

// titleFilter is Jinja2's own: words begin after white space, hyphens and opening brackets.
func titleFilter(s string) string {
	var b strings.Builder
	for s != "" {
		i := strings.IndexFunc(s, titleBreak)
		if i < 0 {
			i = len(s)
		}
		if i > 0 {
			_, n := utf8.DecodeRuneInString(s)
			b.WriteString(upper(s[:n]) + lower(s[n:i]))
		}
		s = s[i:]
		n := len(s) - len(strings.TrimLeftFunc(s, titleBreak))
		b.WriteString(s[:n])
		s = s[n:]
	}
	return b.String()
}

func titleBreak(c rune) bool { return isSpace(c) || strings.ContainsRune("-({[<", c) }

func trim(r *renderer, line int, v any, a args) any {
	return r.strip(line, r.text(line, v), a.bind(r, line, "trim", "chars")[0], true, true)
}

func escape(r *renderer, line int, v any, a args) any {
	a.bind(r, line, "escape")
	return r.markup(line, v)
}

// markup is the text of v with the special characters of HTML escaped, unless it is marked as safe.
func (r *renderer) markup(line int, v any) markup {
	if m, ok := v.(markup); ok {
		return m
	}
	s := r.text(line, v)
	r.size(line, len(s))
	return markup(r.str(line, html.EscapeString(s)))
}

func replace(r *renderer, line int, v any, a args) any {
	o := a.bind(r, line, "replace", "old", "new", "count")
	if _, ok := o[1].(left); ok {
		r.fail(line, "replace takes two strings")
	}
	count := int64(-1)
	if o[2] != nil {
		count = r.intArg(line, o[2], -1)
	}
	return r.replace(line, r.text(line, v), r.text(line, o[0]), r.text(line, o[1]), count)
}

func indent(r *renderer, line int, v any, a args) any {
	o := a.bind(r, line, "indent", "width", "first", "blank")
	by, isText := o[0].(string)
	if !isText {
		n := r.intArg(line, o[0], 4)
		if n > maxItems {
			r.limit(line, "string")
		}
		by = strings.Repeat(" ", int(max(n, 0)))
	}
	first, blank := r.boolArg(line, o[1], false), r.boolArg(line, o[2], false)
	s := r.text(line, v)
	if strings.ContainsAny(s, "\r\v\f\x1c\x1d\x1e\u0085\u2028\u2029") {
		r.refuse(line, "indent of lines that end in anything but a line feed")
	}
	if int64(len(by))*int64(strings.Count(s, "\n")+2) > maxString {
		r.limit(line, "string")
	}
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if i == 0 && !first || i > 0 && l == "" && !blank {
			continue
		}
		lines[i] = by + l
	}
	return r.str(line, strings.Join(lines, "\n"))
}

func join(r *renderer, line int, v any, a args) any {
	o := a.bind(r, line, "join", "d", "attribute")
	items := r.items(line, v)
	if get := r.attributeOf(line, o[1], nil); get != nil {
		picked := make([]any, len(items))
		for i, item := range items {
			picked[i] = get(item)
		}
		items = picked
	}
	sep := ""
	if _, ok := o[0].(left); !ok {
		sep = r.text(line, o[0])
	}
	return r.join(line, items, sep)
}

func length(r *renderer, line int, v any, a args) any {
	a.bind(r, line, "length")
	return int64(r.length(line, v))
}

func orDefault(r *renderer, line int, v any, a args) any {
	o := a.bind(r, line, "default", "default_value", "boolean")
	_, absent := v.(undefined)
	if absent || r.boolArg(line, o[1], false) && !r.truth(line, v) {
		if _, ok := o[0].(left); ok {
			return ""
		}
		return o[0]
	}
	return v
}

func toInteger(r *renderer, line int, v any, a args) any {
	o := a.bind(r, line, "int", "default", "base")
	var def any = int64(0)
	if _, ok := o[0].(left); !ok {
		def = o[0]
	}
	if r.intArg(line, o[1], 10) != 10 {
		r.refuse(line, "int in another base")
	}
	switch v := v.(type) {
	case bool:
		return toInt(v)
	case int64:
		return v
	case float64:
		return r.truncate(line, v, def)
	case string:
		s := strings.TrimFunc(v, isSpace)
		if i, err := strconv.ParseInt(s, 10, 64); err == nil {
			return i
		}
		if f, ok := parseFloat(s); ok {
			return r.truncate(line, f, def)
		}
	}
	return def
}

func (r *renderer) truncate(line int, f float64, def any) any {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return def
	}
	if math.Abs(f) >= 1<<63 {
		r.limit(line, "number")
	}
	return int64(f)
}

// parseFloat is Python's float of a string, without underscores.
func parseFloat(s string) (float64, bool) {
	if strings.ContainsAny(s, "xXpP_") {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

func toFloat(r *renderer, line int, v any, a args) any {
	o := a.bind(r, line, "float", "default")
	if n, ok := toNum(v); ok {
		return n.f
	}
	if s, ok := v.(string); ok {
		if f, ok := parseFloat(strings.TrimFunc(s, isSpace)); ok {
			return f
		}
	}
	if _, ok := o[0].(left); ok {
		return 0.0
	}
	return o[0]
}

func absolute(r *renderer, line int, v any, a args) any {
	a.bind(r, line, "abs")
	n, ok := toNum(v)
	switch {
	case !ok:
		r.fail(line, "abs of a %s", typeName(v))
	case n.isFloat:
		return math.Abs(n.f)
	case n.i < 0:
		return r.arithmetic(line, "-", num{}, n)
	}
	return n.i
}

func round(r *renderer, line int, v any, a args) any {
	o := a.bind(r, line, "round", "precision", "method")
	n, ok := toNum(v)
	if !ok {
		r.fail(line, "round of a %s", typeName(v))
	}
	precision, method := r.intArg(line, o[0], 0), r.textArg(line, o[1], "common")
	if precision < 0 || precision > 15 {
		r.refuse(line, "round to %d places", precision)
	}
	scale := math.Pow(10, float64(precision))
	switch method {
	case "common":
		if !n.isFloat {
			return n.i
		}
		// The shortest decimal digits would round differently: Python rounds the exact value, halves to even.
		f, err := strconv.ParseFloat(strconv.FormatFloat(n.f, 'f', int(precision), 64), 64)
		if err != nil {
			r.limit(line, "number")
		}
		return f
	case "ceil":
		return r.finite(line, math.Ceil(n.f*scale)/scale)
	case "floor":
		return r.finite(line, math.Floor(n.f*scale)/scale)
	}
	r.fail(line, "round by %.40q", method)
	return nil
}

func (r *renderer) finite(line int, f float64) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		r.limit(line, "number")
	}
	return f
}
