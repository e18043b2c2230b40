package jinja

import (
	"slices"
	"strings"
)

// args are the arguments of a call.
type args struct {
	pos    []any
	names  []string
	values []any
}

func (a *args) add(r *renderer, line int, n string, v any) {
	if slices.Contains(a.names, n) {
		r.fail(line, "argument %q twice", n)
	}
	a.names = append(a.names, n)
	a.values = append(a.values, v)
}

// left marks an argument that is left out.
type left struct{}

// bind returns the arguments in the order of params, left{} for those left out.
func (a args) bind(r *renderer, line int, what string, params ...string) []any {
	out := make([]any, len(params))
	for i := range out {
		out[i] = left{}
	}
	if len(a.pos) > len(params) {
		r.fail(line, "%s takes at most %d arguments", what, len(params))
	}
	copy(out, a.pos)
	for i, n := range a.names {
		at := slices.Index(params, n)
		if at < 0 || at < len(a.pos) {
			r.fail(line, "%s does not take %q here", what, n)
		}
		out[at] = a.values[i]
	}
	return out
}

func (r *renderer) textArg(line int, v any, def string) string {
	switch v := v.(type) {
	case left:
		return def
	case string:
		return v
	}
	r.fail(line, "argument is a %s, not a string", typeName(v))
	return ""
}

func (r *renderer) intArg(line int, v any, def int64) int64 {
	switch v := v.(type) {
	case left:
		return def
	case int64:
		return v
	case bool:
		return toInt(v)
	}
	r.fail(line, "argument is a %s, not an integer", typeName(v))
	return 0
}

func (r *renderer) boolArg(line int, v any, def bool) bool {
	if _, ok := v.(left); ok {
		return def
	}
	return r.truth(line, v)
}

func (r *renderer) args(c callArgs, s *scope) (a args) {
	for _, e := range c.pos {
		a.pos = append(a.pos, r.eval(e, s))
	}
	for i, n := range c.names {
		a.names = append(a.names, n)
		a.values = append(a.values, r.eval(c.values[i], s))
	}
	return a
}

func (r *renderer) eval(e expr, s *scope) any {
	r.use(0, 1)
	switch e := e.(type) {
	case *literal:
		return e.v
	case *variable:
		if v, ok := s.get(e.name); ok {
			return v
		}
		if f := globals[e.name]; f != nil {
			return f
		}
		switch e.name {
		case "self", "lipsum", "cycler", "joiner":
			r.refuse(e.line, "the global %q", e.name)
		}
		return undefined{e.name}
	case *listExpr:
		items := make([]any, len(e.items))
		for i, item := range e.items {
			items[i] = r.eval(item, s)
		}
		l := r.list(e.line, items)
		l.tuple = e.tuple
		return l
	case *dictExpr:
		d := newDict()
		for i := range e.keys {
			k := r.eval(e.keys[i], s)
			d.set(r.hashKey(e.line, k), k, r.eval(e.vals[i], s))
		}
		return d
	case *member:
		of := r.eval(e.of, s)
		if e.index == nil {
			return r.attribute(e.line, of, e.name)
		}
		return r.item(e.line, of, r.eval(e.index, s))
	case *slice:
		return r.slice(e, s)
	case *callExpr:
		f := r.eval(e.f, s)
		return r.callValue(e.line, f, r.args(e.args, s))
	case *filterExpr:
		return r.filter(e.filter, r.eval(e.of, s), s)
	case *testExpr:
		v := r.eval(e.of, s)
		return r.test(e.line, e.name, v, r.args(e.args, s))
	case *unary:
		v := r.eval(e.e, s)
		if e.op == "not" {
			return !r.truth(e.line, v)
		}
		n, ok := toNum(v)
		if !ok {
			r.fail(e.line, "%s of a %s", e.op, typeName(v))
		}
		if e.op == "+" {
			return r.arithmetic(e.line, "+", num{}, n)
		}
		if n.isFloat {
			return -n.f
		}
		return r.arithmetic(e.line, "-", num{}, n)
	case *binary:
		return r.binary(e, s)
	case *comparison:
		return r.comparison(e, s)
	case *conditional:
		if r.truth(e.line, r.eval(e.cond, s)) {
			return r.eval(e.then, s)
		}
		if e.alt == nil {
			return undefined{"the else of a conditional"}
		}
		return r.eval(e.alt, s)
	}
	return nil
}

func (r *renderer) callValue(line int, f any, a args) any {
	fn, ok := f.(*function)
	if !ok {
		r.fail(line, "a %s cannot be called", typeName(f))
	}
	return fn.call(r, line, a)
}

// attribute is of.name: a method or, in a dict, the value of a key.
func (r *renderer) attribute(line int, of any, name string) any {
	switch v := of.(type) {
	case undefined:
		r.fail(line, "%s is undefined and has no member %q", v.what, name)
	case *namespace:
		if x, ok := v.vars[name]; ok {
			return x
		}
		return undefined{name}
	case *loop:
		return r.loopMember(line, v, name)
	case *function:
		r.refuse(line, "members of functions")
	}
	if m := r.method(line, of, name); m != nil {
		return m
	}
	if d, ok := of.(*dict); ok {
		if x, ok := d.vals[name]; ok {
			return x
		}
	}
	if strings.HasPrefix(name, "_") {
		r.refuse(line, "member %.80q", name)
	}
	return undefined{name}
}

// item is of[index].
func (r *renderer) item(line int, of, index any) any {
	switch v := of.(type) {
	case undefined:
		r.fail(line, "%s is undefined and has no items", v.what)
	case *dict:
		switch index.(type) {
		case *list, *dict, undefined, *namespace, *function, *loop:
			return undefined{"an item"}
		}
		if x, ok := v.get(r, index); ok {
			return x
		}
	case *list:
		if !v.indexed() {
			r.refuse(line, "items by number of what a filter gives item by item, or of the view of a dict")
		}
		if i, ok := at(index, len(v.items)); ok {
			return v.items[i]
		}
	case string:
		if n, ok := toNum(index); ok && !n.isFloat {
			r.scan(line, len(v))
			chars := []rune(v)
			if i, ok := at(index, len(chars)); ok {
				return string(chars[i])
			}
		}
	}
	// A name falls back to the member of that name, as it does the other way round.
	if n, ok := index.(string); ok {
		if d, isDict := of.(*dict); isDict && r.method(line, d, n) == nil {
			return undefined{n}
		}
		return r.attribute(line, of, n)
	}
	return undefined{"an item"}
}

// at returns the position that index means in n items; negative ones count from the end.
func at(index any, n int) (int, bool) {
	x, ok := toNum(index)
	if !ok || x.isFloat {
		return 0, false
	}
	if x.i < 0 {
		x.i += int64(n)
	}
	return int(x.i), x.i >= 0 && x.i < int64(n)
}

func (r *renderer) slice(e *slice, s *scope) any {
	of := r.eval(e.of, s)
	part := func(x expr) (int64, bool) {
		if x == nil {
			return 0, false
		}
		v := r.eval(x, s)
		if v == nil {
			return 0, false
		}
		return r.intArg(e.line, v, 0), true
	}
	start, hasStart := part(e.start)
	stop, hasStop := part(e.end)
	step, hasStep := part(e.step)
	if !hasStep {
		step = 1
	}
	if step == 0 {
		r.fail(e.line, "slice with a step of zero")
	}
	pick := func(n int64) (from, to int64) {
		low, high := int64(0), n
		if step < 0 {
			low, high = -1, n-1
		}
		bound := func(v int64) int64 {
			if v < 0 {
				v = max(v+n, low)
			}
			return min(v, high)
		}
		if from, to = low, high; step < 0 {
			from, to = high, low
		}
		if hasStart {
			from = bound(start)
		}
		if hasStop {
			to = bound(stop)
		}
		return from, to
	}
	within := func(i, to int64) bool { return step > 0 && i < to || step < 0 && i > to }
	switch v := of.(type) {
	case string:
		r.scan(e.line, len(v))
		chars := []rune(v)
		from, to := pick(int64(len(chars)))
		if step == 1 {
			return r.str(e.line, string(chars[from:max(from, to)]))
		}
		var out []rune
		for i := from; within(i, to); i += step {
			out = append(out, chars[i])
			if step > int64(len(chars)) || step < -int64(len(chars)) {
				break
			}
		}
		return r.str(e.line, string(out))
	case *list:
		if !v.indexed() {
			break
		}
		from, to := pick(int64(len(v.items)))
		var out []any
		for i := from; within(i, to); i += step {
			out = append(out, v.items[i])
			if step > int64(len(v.items)) || step < -int64(len(v.items)) {
				break
			}
		}
		l := r.list(e.line, out)
		l.tuple = v.tuple
		return l
	case undefined:
		r.fail(e.line, "%s is undefined and has no items", v.what)
	}
	r.fail(e.line, "a %s cannot be sliced", typeName(of))
	return nil
}
