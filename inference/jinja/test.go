package jinja

import (
	"math"
	"strings"
)

type testFunc = func(r *renderer, line int, v any, a args) bool

// is is a test without arguments.
func is(f func(v any) bool) testFunc {
	return func(r *renderer, line int, v any, a args) bool {
		a.bind(r, line, "test")
		return f(v)
	}
}

// compares is a test that is an operator.
func compares(op string) testFunc {
	return func(r *renderer, line int, v any, a args) bool {
		return r.compare(line, op, v, r.one(line, "test", a))
	}
}

// divides is a test on the rest of a division.
func divides(by func(r *renderer, line int, a args) int64, rest int64) testFunc {
	return func(r *renderer, line int, v any, a args) bool {
		x, ok := toNum(v)
		if !ok {
			r.fail(line, "a %s cannot be divided", typeName(v))
		}
		got, ok := r.arithmetic(line, "%", x, num{i: by(r, line, a), f: float64(by(r, line, a))}).(int64)
		return ok && got == rest
	}
}

func two(r *renderer, line int, a args) int64 {
	a.bind(r, line, "test")
	return 2
}

var tests map[string]testFunc

func init() {
	tests = map[string]testFunc{
		"defined":   is(func(v any) bool { _, u := v.(undefined); return !u }),
		"undefined": is(func(v any) bool { _, u := v.(undefined); return u }),
		"none":      is(func(v any) bool { return v == nil }),
		"true":      is(func(v any) bool { return v == true }),
		"false":     is(func(v any) bool { return v == false }),
		"boolean":   is(func(v any) bool { _, ok := v.(bool); return ok }),
		"integer":   is(func(v any) bool { _, ok := v.(int64); return ok }),
		"float":     is(func(v any) bool { _, ok := v.(float64); return ok }),
		"number":    is(func(v any) bool { _, ok := toNum(v); return ok }),
		"string":    is(func(v any) bool { _, ok := unmarked(v).(string); return ok }),
		"mapping":   is(func(v any) bool { _, ok := v.(*dict); return ok }),
		"callable":  is(func(v any) bool { _, ok := v.(*function); return ok }),
		"iterable": is(func(v any) bool {
			switch v.(type) {
			case string, markup, *list, *dict, undefined, *loop:
				return true
			}
			return false
		}),
		"sequence": is(func(v any) bool {
			l, ok := v.(*list)
			if ok {
				return l.indexed()
			}
			switch v.(type) {
			case string, markup, *dict, undefined:
				return true
			}
			return false
		}),
		"lower": func(r *renderer, line int, v any, a args) bool {
			a.bind(r, line, "lower")
			s := r.text(line, v)
			r.size(line, len(s))
			return strings.ContainsFunc(s, cased) && lower(s) == s
		},
		"upper": func(r *renderer, line int, v any, a args) bool {
			a.bind(r, line, "upper")
			s := r.text(line, v)
			r.size(line, len(s))
			return strings.ContainsFunc(s, cased) && upper(s) == s
		},
		"in":          compares("in"),
		"eq":          compares("=="),
		"equalto":     compares("=="),
		"==":          compares("=="),
		"ne":          compares("!="),
		"!=":          compares("!="),
		"lt":          compares("<"),
		"lessthan":    compares("<"),
		"<":           compares("<"),
		"le":          compares("<="),
		"<=":          compares("<="),
		"gt":          compares(">"),
		"greaterthan": compares(">"),
		">":           compares(">"),
		"ge":          compares(">="),
		">=":          compares(">="),
		"even":        divides(two, 0),
		"odd":         divides(two, 1),
		"divisibleby": divides(func(r *renderer, line int, a args) int64 {
			return r.intArg(line, r.one(line, "divisibleby", a), 0)
		}, 0),
		"sameas": func(r *renderer, line int, v any, a args) bool {
			switch x := r.one(line, "sameas", a).(type) {
			case nil, bool:
				return v == x
			case *list, *dict, *namespace:
				return v == x
			default:
				r.refuse(line, "sameas a %s", typeName(x))
			}
			return false
		},
		"filter": func(r *renderer, line int, v any, a args) bool {
			a.bind(r, line, "filter")
			s, ok := v.(string)
			return ok && filters[s] != nil
		},
		"test": func(r *renderer, line int, v any, a args) bool {
			a.bind(r, line, "test")
			s, ok := v.(string)
			return ok && tests[s] != nil
		},
	}
}

func (r *renderer) test(line int, name string, v any, a args) bool {
	t := tests[name]
	if t == nil {
		r.refuse(line, "test %.80q", name)
	}
	return t(r, line, v, a)
}

func isNaN(v any) bool {
	f, ok := v.(float64)
	return ok && math.IsNaN(f)
}
