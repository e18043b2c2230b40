package jinja

import (
	"slices"
	"strings"
)

func (r *renderer) binary(e *binary, s *scope) any {
	l := r.eval(e.l, s)
	switch e.op {
	case "or":
		if r.truth(e.line, l) {
			return l
		}
		return r.eval(e.r, s)
	case "and":
		if !r.truth(e.line, l) {
			return l
		}
		return r.eval(e.r, s)
	}
	return r.operate(e.line, e.op, l, r.eval(e.r, s))
}

// operate computes what an operator gives for two values.
func (r *renderer) operate(line int, op string, l, right any) any {
	if op == "~" {
		a, b := r.text(line, l), r.text(line, right)
		r.size(line, len(a)+len(b))
		return a + b
	}
	if x, y, ok := numbers(l, right); ok {
		return r.arithmetic(line, op, x, y)
	}
	switch op {
	case "+":
		_, markedL := l.(markup)
		_, markedR := right.(markup)
		_, textL := unmarked(l).(string)
		_, textR := unmarked(right).(string)
		if (markedL || markedR) && textL && textR {
			a, b := r.markup(line, l), r.markup(line, right)
			r.size(line, len(a)+len(b))
			return a + b
		}
		if a, ok := l.(string); ok {
			if b, ok := right.(string); ok {
				r.size(line, len(a)+len(b))
				return a + b
			}
		}
		a, okA := l.(*list)
		b, okB := right.(*list)
		if okA && okB && a.tuple == b.tuple && a.indexed() && b.indexed() {
			sum := r.list(line, slices.Concat(a.items, b.items))
			sum.tuple = a.tuple
			return sum
		}
	case "*":
		if _, ok := l.(int64); ok {
			l, right = right, l
		}
		if n, ok := right.(int64); ok {
			if v := r.repeat(line, l, n); v != nil {
				return v
			}
		}
	case "%":
		if _, ok := l.(string); ok {
			r.refuse(line, "formatting with %%")
		}
	}
	r.fail(line, "%q of a %s and a %s", op, typeName(l), typeName(right))
	return nil
}

func (r *renderer) repeat(line int, v any, n int64) any {
	n = max(n, 0)
	switch v := v.(type) {
	case string:
		if len(v) > 0 && n > maxString/int64(len(v)) {
			r.limit(line, "string")
		}
		r.size(line, len(v)*int(n))
		return strings.Repeat(v, int(min(n, maxString)))
	case *list:
		if !v.indexed() {
			return nil
		}
		if len(v.items) == 0 {
			return &list{tuple: v.tuple}
		}
		if n > int64(maxItems/len(v.items)) {
			r.limit(line, "list")
		}
		l := r.list(line, slices.Repeat(v.items, int(n)))
		l.tuple = v.tuple
		return l
	}
	return nil
}

func (r *renderer) comparison(e *comparison, s *scope) any {
	a := r.eval(e.first, s)
	for i, op := range e.ops {
		b := r.eval(e.rest[i], s)
		if !r.compare(e.line, op, a, b) {
			return false
		}
		a = b
	}
	return true
}

func (r *renderer) compare(line int, op string, a, b any) bool {
	switch op {
	case "==":
		return r.equal(line, a, b, 0)
	case "!=":
		return !r.equal(line, a, b, 0)
	case "in":
		return r.contains(line, b, a)
	case "not in":
		return !r.contains(line, b, a)
	}
	for _, v := range []any{a, b} {
		if u, ok := v.(undefined); ok {
			r.fail(line, "%s is undefined and cannot be compared", u.what)
		}
	}
	c := r.order(line, a, b, 0)
	switch op {
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	}
	return c >= 0
}

// contains is Python's in.
func (r *renderer) contains(line int, in, v any) bool {
	in, v = unmarked(in), unmarked(v)
	switch c := in.(type) {
	case string:
		s, ok := v.(string)
		if !ok {
			r.fail(line, "a %s cannot be in a string", typeName(v))
		}
		r.scan(line, len(c))
		return strings.Contains(c, s)
	case *dict:
		if _, none := v.(undefined); none {
			return false
		}
		_, ok := c.get(r, v)
		return ok
	case *list:
		for _, item := range c.items {
			if r.equal(line, item, v, 0) {
				return true
			}
		}
		return false
	case undefined:
		return false
	}
	r.fail(line, "nothing can be in a %s", typeName(in))
	return false
}
