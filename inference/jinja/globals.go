package jinja

import (
	"fmt"
	"strings"
	"time"
)

// globals are the functions that every template sees.
var globals = map[string]*function{
	"raise_exception": {"raise_exception", func(r *renderer, line int, a args) any {
		v := a.bind(r, line, "raise_exception", "message")
		if _, ok := v[0].(left); ok {
			r.fail(line, "raise_exception without a message")
		}
		panic(failure{&RaisedError{Line: line, Message: r.text(line, v[0])}})
	}},
	"strftime_now": {"strftime_now", func(r *renderer, line int, a args) any {
		v := a.bind(r, line, "strftime_now", "format")
		if r.clock == nil {
			r.refuse(line, "strftime_now without a clock")
		}
		return r.strftime(line, r.textArg(line, v[0], ""), r.clock())
	}},
	"namespace": {"namespace", func(r *renderer, line int, a args) any {
		ns := &namespace{vars: map[string]any{}}
		d := r.dictOf(line, "namespace", a)
		for i, k := range d.keys {
			n, ok := k.(string)
			if !ok {
				r.fail(line, "a %s names no attribute", typeName(k))
			}
			ns.vars[n] = d.at(r, i)
		}
		return ns
	}},
	"dict": {"dict", func(r *renderer, line int, a args) any { return r.dictOf(line, "dict", a) }},
	"range": {"range", func(r *renderer, line int, a args) any {
		v := a.bind(r, line, "range", "start", "stop", "step")
		start, stop, step := int64(0), r.intArg(line, v[0], 0), r.intArg(line, v[2], 1)
		if _, ok := v[1].(left); !ok {
			start, stop = stop, r.intArg(line, v[1], 0)
		}
		switch {
		case len(a.pos) == 0 || len(a.names) > 0:
			r.fail(line, "range takes one to three arguments without names")
		case step == 0:
			r.fail(line, "range with a step of zero")
		}
		var items []any
		for i := start; step > 0 && i < stop || step < 0 && i > stop; i += step {
			if len(items) >= maxItems || i+step > i != (step > 0) {
				r.limit(line, "list")
			}
			items = append(items, i)
		}
		return r.list(line, items)
	}},
}

// dictOf makes a dict of a dict and named arguments.
func (r *renderer) dictOf(line int, what string, a args) *dict {
	d := newDict()
	if len(a.pos) > 1 {
		r.fail(line, "%s takes at most one argument without a name", what)
	}
	if len(a.pos) == 1 {
		from, ok := a.pos[0].(*dict)
		if !ok {
			r.refuse(line, "%s of a %s", what, typeName(a.pos[0]))
		}
		for i, k := range from.keys {
			r.use(line, 1)
			d.set(r.hashKey(line, k), k, from.at(r, i))
		}
	}
	for i, n := range a.names {
		d.set(n, n, a.values[i])
	}
	return d
}

// strftime formats a time as Python's strftime does in the C locale.
func (r *renderer) strftime(line int, format string, t time.Time) string {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		trim := format[i] == '-' && i+1 < len(format)
		if trim {
			i++
		}
		number := func(n, width int) {
			if trim {
				width = 0
			}
			fmt.Fprintf(&b, "%0*d", width, n)
		}
		switch format[i] {
		case 'Y':
			number(t.Year(), 0)
		case 'y':
			number(t.Year()%100, 2)
		case 'm':
			number(int(t.Month()), 2)
		case 'd':
			number(t.Day(), 2)
		case 'H':
			number(t.Hour(), 2)
		case 'I':
			number((t.Hour()+11)%12+1, 2)
		case 'M':
			number(t.Minute(), 2)
		case 'S':
			number(t.Second(), 2)
		case 'f':
			fmt.Fprintf(&b, "%06d", t.Nanosecond()/1000)
		case 'j':
			number(t.YearDay(), 3)
		case 'w':
			number(int(t.Weekday()), 0)
		case 'e':
			if trim {
				number(t.Day(), 0)
			} else {
				fmt.Fprintf(&b, "%2d", t.Day())
			}
		case 'B':
			b.WriteString(t.Month().String())
		case 'b', 'h':
			b.WriteString(t.Month().String()[:3])
		case 'A':
			b.WriteString(t.Weekday().String())
		case 'a':
			b.WriteString(t.Weekday().String()[:3])
		case 'p':
			b.WriteString(t.Format("PM"))
		case 'F':
			b.WriteString(t.Format("2006-01-02"))
		case 'T':
			b.WriteString(t.Format("15:04:05"))
		case 'D':
			b.WriteString(t.Format("01/02/06"))
		case '%':
			b.WriteByte('%')
		default:
			r.refuse(line, "time format %%%c", format[i])
		}
		r.size(line, b.Len())
	}
	return r.str(line, b.String())
}
