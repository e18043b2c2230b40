package jinja

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A value is nil (none), bool, int64, float64, string, markup, undefined, *list, *dict, *namespace, *loop or *function.
type (
	// undefined is what a name or member that is not there gives; what says which.
	undefined struct{ what string }

	// list is a list, a tuple, a view of a dict, or lazily made items that can only be gone through, as filters like map give them.
	list struct {
		items             []any
		tuple, view, lazy bool
	}

	// dict keeps its keys in the order of insertion.
	dict struct {
		keys []any
		vals map[any]any // by hashKey
	}

	// markup is a string that the filters safe and escape made: what is added to it is escaped.
	markup string

	namespace struct{ vars map[string]any }

	// function is a macro, a method bound to its value, or a global.
	function struct {
		name string
		call func(r *renderer, line int, a args) any
	}
)

// Map is a dict whose order is kept.
type Map []Pair

// Pair is a key of a Map and its value.
type Pair struct {
	Key   string
	Value any
}

const (
	maxDepth = 64 // of nested values and of calls
	maxItems = 1 << 16
)

// indexed reports whether the items can be had by number.
func (l *list) indexed() bool { return !l.lazy && !l.view }

func newDict() *dict { return &dict{vals: map[any]any{}} }

// hashKey returns the key by which equal values are the same: 1, 1.0 and true are.
func (r *renderer) hashKey(line int, v any) any {
	switch k := v.(type) {
	case nil, string, int64:
		return k
	case bool:
		return toInt(k)
	case float64:
		if i := int64(k); k == math.Trunc(k) && math.Abs(k) < 1<<53 {
			return i
		}
		return k
	}
	r.fail(line, "a %s cannot be a key", typeName(v))
	return nil
}

func (d *dict) set(hash, key, v any) {
	if _, there := d.vals[hash]; !there {
		d.keys = append(d.keys, key)
	}
	d.vals[hash] = v
}

func (d *dict) get(r *renderer, key any) (any, bool) {
	v, ok := d.vals[r.hashKey(0, key)]
	return v, ok
}

// at returns the value of the key that is i-th in order.
func (d *dict) at(r *renderer, i int) any {
	v, _ := d.get(r, d.keys[i])
	return v
}

func toInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// fromGo turns what a caller passes into a value.
func (r *renderer) fromGo(v any, depth int) any {
	if r.use(0, 1); depth > maxDepth {
		r.limit(0, "recursion")
	}
	switch x := v.(type) {
	case nil:
		return nil
	case bool:
		return x
	case string:
		return r.str(0, strings.ToValidUTF8(x, "\ufffd"))
	case float64:
		return x
	case int:
		return int64(x)
	case int64:
		return x
	case Map:
		d := newDict()
		for _, p := range x {
			d.set(p.Key, p.Key, r.fromGo(p.Value, depth+1))
		}
		return d
	case map[string]any:
		d := newDict()
		keys := make([]string, 0, len(x))
		for k := range x {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			d.set(k, k, r.fromGo(x[k], depth+1))
		}
		return d
	case []any:
		l := &list{items: make([]any, len(x))}
		for i, item := range x {
			l.items[i] = r.fromGo(item, depth+1)
		}
		return l
	}
	if s := reflect.ValueOf(v); s.Kind() == reflect.Slice {
		l := &list{items: make([]any, s.Len())}
		for i := range l.items {
			l.items[i] = r.fromGo(s.Index(i).Interface(), depth+1)
		}
		return l
	}
	panic(failure{fmt.Errorf("chat template: a %T cannot be passed", v)})
}

func typeName(v any) string {
	switch v := v.(type) {
	case nil:
		return "none"
	case bool:
		return "boolean"
	case int64, float64:
		return "number"
	case string:
		return "string"
	case markup:
		return "string marked as safe"
	case undefined:
		return "undefined value (" + v.what + ")"
	case *list:
		return "list"
	case *dict:
		return "dict"
	case *namespace:
		return "namespace"
	case *function:
		return "function"
	}
	return "loop"
}

func (r *renderer) truth(line int, v any) bool {
	switch v := v.(type) {
	case nil, undefined:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case markup:
		return v != ""
	case *list:
		if v.lazy {
			r.refuse(line, "the truth of what a filter gives item by item")
		}
		return len(v.items) > 0
	case *dict:
		return len(v.keys) > 0
	}
	return true
}

// items returns what going through v gives.
func (r *renderer) items(line int, v any) []any {
	switch v := v.(type) {
	case undefined:
		return nil
	case *list:
		return v.items
	case *dict:
		return v.keys
	case string:
		r.use(line, len(v)+1)
		out := make([]any, 0, len(v))
		for _, c := range v {
			out = append(out, string(c))
		}
		return out
	}
	r.fail(line, "a %s cannot be gone through", typeName(v))
	return nil
}

func (r *renderer) length(line int, v any) int {
	switch v := v.(type) {
	case string:
		r.scan(line, len(v))
		return utf8.RuneCountInString(v)
	case markup:
		return r.length(line, string(v))
	case undefined:
		return 0
	case *dict:
		return len(v.keys)
	case *list:
		if !v.lazy {
			return len(v.items)
		}
	}
	r.fail(line, "a %s has no length", typeName(v))
	return 0
}

// text returns v as output writes it.
func (r *renderer) text(line int, v any) string {
	switch v := v.(type) {
	case string:
		return v
	case markup:
		return string(v)
	case undefined:
		return ""
	}
	var b strings.Builder
	r.repr(line, &b, v, 0)
	return b.String()
}

// repr writes v as Python's repr does.
func (r *renderer) repr(line int, b *strings.Builder, v any, depth int) {
	before := b.Len()
	if r.use(line, 1); depth > maxDepth {
		r.limit(line, "recursion")
	}
	switch v := v.(type) {
	case nil:
		b.WriteString("None")
	case bool:
		b.WriteString(map[bool]string{true: "True", false: "False"}[v])
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case float64:
		b.WriteString(floatText(v))
	case string:
		quote(b, v)
	case *list:
		if !v.indexed() {
			r.refuse(line, "printing what a filter gives item by item, or the view of a dict")
		}
		open, closing := "[", "]"
		if v.tuple {
			if open, closing = "(", ")"; len(v.items) == 1 {
				closing = ",)"
			}
		}
		b.WriteString(open)
		for i, item := range v.items {
			if i > 0 {
				b.WriteString(", ")
			}
			r.repr(line, b, item, depth+1)
		}
		b.WriteString(closing)
	case *dict:
		b.WriteByte('{')
		for i, k := range v.keys {
			if i > 0 {
				b.WriteString(", ")
			}
			r.repr(line, b, k, depth+1)
			b.WriteString(": ")
			r.repr(line, b, v.at(r, i), depth+1)
		}
		b.WriteByte('}')
	case undefined:
		b.WriteString("Undefined")
	default:
		r.refuse(line, "printing a %s", typeName(v))
	}
	if depth == 0 || b.Len() > maxString {
		r.size(line, b.Len()-before)
	}
}

// unmarked returns v, a marked string as a plain one.
func unmarked(v any) any {
	if m, ok := v.(markup); ok {
		return string(m)
	}
	return v
}

// floatText is Python's repr of a float.
func floatText(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case math.IsNaN(f):
		return "nan"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// quote writes a string as Python's repr does.
func quote(b *strings.Builder, s string) {
	q := '\''
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		q = '"'
	}
	b.WriteRune(q)
	for _, c := range s {
		switch {
		case c == q || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case unicode.IsPrint(c):
			b.WriteRune(c)
		case c < 0x100:
			fmt.Fprintf(b, `\x%02x`, c)
		case c < 0x10000:
			fmt.Fprintf(b, `\u%04x`, c)
		default:
			fmt.Fprintf(b, `\U%08x`, c)
		}
	}
	b.WriteRune(q)
}

// equal compares as Python's == does.
func (r *renderer) equal(line int, a, b any, depth int) bool {
	if r.use(line, 1); depth > maxDepth {
		r.limit(line, "recursion")
	}
	if x, y, ok := numbers(a, b); ok {
		return x.cmp(y) == 0
	}
	a, b = unmarked(a), unmarked(b)
	switch x := a.(type) {
	case nil:
		return b == nil
	case string:
		y, ok := b.(string)
		r.scan(line, min(len(x), len(y)))
		return ok && x == y
	case undefined:
		_, ok := b.(undefined)
		return ok
	case *list:
		y, ok := b.(*list)
		if !ok || x == y {
			return x == y
		}
		if !x.indexed() || !y.indexed() {
			r.refuse(line, "comparing what a filter gives item by item, or views of dicts")
		}
		if x.tuple != y.tuple || len(x.items) != len(y.items) {
			return false
		}
		for i := range x.items {
			if !r.equal(line, x.items[i], y.items[i], depth+1) {
				return false
			}
		}
		return true
	case *dict:
		y, ok := b.(*dict)
		if !ok || len(x.keys) != len(y.keys) {
			return false
		}
		for i, k := range x.keys {
			v, there := y.get(r, k)
			if !there || !r.equal(line, x.at(r, i), v, depth+1) {
				return false
			}
		}
		return true
	case *namespace, *function, *loop:
		return a == b
	}
	return false
}

// order compares as Python's < does, and refuses what it refuses.
func (r *renderer) order(line int, a, b any, depth int) int {
	if r.use(line, 1); depth > maxDepth {
		r.limit(line, "recursion")
	}
	if x, y, ok := numbers(a, b); ok {
		c := x.cmp(y)
		if c == unordered {
			r.refuse(line, "ordering what is not a number")
		}
		return c
	}
	switch x := a.(type) {
	case string:
		if y, ok := b.(string); ok {
			r.scan(line, min(len(x), len(y)))
			return strings.Compare(x, y)
		}
	case *list:
		if y, ok := b.(*list); ok && x.tuple == y.tuple && x.indexed() && y.indexed() {
			for i := range min(len(x.items), len(y.items)) {
				if !r.equal(line, x.items[i], y.items[i], depth+1) {
					return r.order(line, x.items[i], y.items[i], depth+1)
				}
			}
			return len(x.items) - len(y.items)
		}
	}
	r.fail(line, "a %s and a %s have no order", typeName(a), typeName(b))
	return 0
}
