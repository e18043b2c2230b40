package jinja

import (
	"context"
	"strings"
	"time"
)

type renderer struct {
	ctx   context.Context //nolint:containedctx // it lives as long as one rendering
	fuel  int
	steps int
	most  int // bytes of output
	calls int // that have not returned
	clock func() time.Time
	out   *strings.Builder
}

// scope holds the variables of the template, of a loop's turn, or of a call.
type scope struct {
	vars  map[string]any
	outer *scope
}

func (s *scope) inner() *scope { return &scope{vars: map[string]any{}, outer: s} }

func (s *scope) get(n string) (any, bool) {
	for ; s != nil; s = s.outer {
		if v, ok := s.vars[n]; ok {
			return v, true
		}
	}
	return nil, false
}

func (r *renderer) fail(line int, format string, args ...any) {
	panic(failure{runtimeError(line, format, args...)})
}

func (r *renderer) limit(line int, what string) {
	panic(failure{&LimitError{Line: line, What: what}})
}

func (r *renderer) refuse(line int, format string, args ...any) {
	panic(failure{unsupported(line, format, args...)})
}

// use takes n steps.
func (r *renderer) use(line, n int) {
	if r.fuel -= n; r.fuel < 0 {
		r.limit(line, "fuel")
	}
	if r.steps += n; r.steps >= 1024 {
		r.steps = 0
		if err := r.ctx.Err(); err != nil {
			panic(failure{err})
		}
	}
}

// scan pays for looking at n bytes.
func (r *renderer) scan(line, n int) { r.use(line, n>>10) }

// size pays for a string of n bytes that is made.
func (r *renderer) size(line, n int) {
	if n > maxString {
		r.limit(line, "string")
	}
	r.use(line, n>>8)
}

func (r *renderer) str(line int, s string) string {
	r.size(line, len(s))
	return s
}

// list pays for a list that is made.
func (r *renderer) list(line int, items []any) *list {
	if len(items) > maxItems {
		r.limit(line, "list")
	}
	r.use(line, len(items))
	return &list{items: items}
}

// lazy is list for what Python gives item by item.
func (r *renderer) lazy(line int, items []any) *list {
	l := r.list(line, items)
	l.lazy = true
	return l
}

func (r *renderer) write(line int, s string) {
	if r.size(line, len(s)); r.out.Len()+len(s) > r.most {
		r.limit(line, "output")
	}
	r.out.WriteString(s)
}

// capture returns what f writes.
func (r *renderer) capture(f func()) string {
	outer := r.out
	r.out = &strings.Builder{}
	f()
	s := r.out.String()
	r.out = outer
	return s
}

// call runs f as a level of recursion.
func (r *renderer) call(line int, f func()) {
	if r.calls++; r.calls > maxDepth {
		r.limit(line, "recursion")
	}
	f()
	r.calls--
}

// jump says how a block ended.
type jump uint8

const (
	goOn jump = iota
	breakOut
	nextTurn
)

func (r *renderer) block(body []stmt, s *scope) jump {
	for _, st := range body {
		if j := r.statement(st, s); j != goOn {
			return j
		}
	}
	return goOn
}

func (r *renderer) statement(st stmt, s *scope) jump {
	r.use(0, 1)
	switch st := st.(type) {
	case *rawText:
		r.write(0, st.s)
	case *output:
		r.write(st.line, r.text(st.line, r.eval(st.e, s)))
	case *ifStmt:
		if r.truth(st.line, r.eval(st.cond, s)) {
			return r.block(st.then, s)
		}
		return r.block(st.alt, s)
	case *forStmt:
		return r.loop(st, s)
	case *setStmt:
		r.assign(st.line, st.target, r.eval(st.value, s), s)
	case *setBlock:
		v := r.filters(st.filters, r.inner(st.body, s), s)
		r.assign(st.line, st.target, v, s)
	case *filterBlock:
		r.write(st.line, r.text(st.line, r.filters(st.filters, r.inner(st.body, s), s)))
	case *withStmt:
		in := s.inner()
		for i, v := range st.values {
			r.assign(st.line, st.targets[i], r.eval(v, s), in)
		}
		return r.block(st.body, in)
	case *scopeStmt:
		r.write(st.line, r.inner(st.body, s).(string))
	case *macroStmt:
		s.vars[st.name] = r.macro(st, s)
	case *callBlock:
		c := st.call.(*callExpr)
		a := r.args(c.args, s)
		a.add(r, st.line, "caller", r.macro(st.caller, s))
		r.write(st.line, r.text(st.line, r.callValue(st.line, r.eval(c.f, s), a)))
	case *breakStmt:
		return breakOut
	case *continueStmt:
		return nextTurn
	}
	return goOn
}

// inner returns the text that a body gives in a scope of its own.
func (r *renderer) inner(body []stmt, s *scope) any {
	return r.capture(func() {
		if r.block(body, s.inner()) != goOn {
			r.refuse(0, "leaving a loop from inside a block that is captured")
		}
	})
}

func (r *renderer) filters(list []filterCall, v any, s *scope) any {
	for _, f := range list {
		v = r.filter(f, v, s)
	}
	return v
}

func (r *renderer) assign(line int, t target, v any, s *scope) {
	switch {
	case t.parts != nil:
		items := r.items(line, v)
		if len(items) != len(t.parts) {
			r.fail(line, "%d values for %d names", len(items), len(t.parts))
		}
		for i, part := range t.parts {
			r.assign(line, part, items[i], s)
		}
	case t.attr != "":
		of, _ := s.get(t.name)
		ns, ok := of.(*namespace)
		if !ok {
			r.fail(line, "%q is no namespace", t.name)
		}
		ns.vars[t.attr] = v
	default:
		s.vars[t.name] = v
	}
}

// loop is the variable of that name.
type loop struct {
	items   []any
	i       int
	changed []any
}

func (r *renderer) loop(st *forStmt, s *scope) jump {
	items := r.items(st.line, r.eval(st.iter, s))
	if st.cond != nil {
		var kept []any
		for _, item := range items {
			in := s.inner()
			r.assign(st.line, st.target, item, in)
			if r.truth(st.line, r.eval(st.cond, in)) {
				kept = append(kept, item)
			}
		}
		items = kept
	}
	if len(items) == 0 {
		return r.block(st.alt, s.inner())
	}
	l := &loop{items: items}
	for l.i = range items {
		r.use(st.line, 1)
		turn := s.inner()
		r.assign(st.line, st.target, items[l.i], turn)
		turn.vars["loop"] = l
		if r.block(st.body, turn) == breakOut {
			break
		}
	}
	return goOn
}

func (r *renderer) loopMember(line int, l *loop, n string) any {
	neighbour := func(i int) any {
		if i < 0 || i >= len(l.items) {
			return undefined{"no item before the first or after the last"}
		}
		return l.items[i]
	}
	switch count := int64(len(l.items)); n {
	case "index":
		return int64(l.i) + 1
	case "index0":
		return int64(l.i)
	case "revindex":
		return count - int64(l.i)
	case "revindex0":
		return count - int64(l.i) - 1
	case "first":
		return l.i == 0
	case "last":
		return l.i == len(l.items)-1
	case "length":
		return count
	case "depth": // of recursion
		return int64(1)
	case "depth0":
		return int64(0)
	case "previtem":
		return neighbour(l.i - 1)
	case "nextitem":
		return neighbour(l.i + 1)
	case "cycle":
		return &function{"loop.cycle", func(r *renderer, line int, a args) any {
			if len(a.pos) == 0 || len(a.names) > 0 {
				r.fail(line, "cycle without values")
			}
			return a.pos[l.i%len(a.pos)]
		}}
	case "changed":
		return &function{"loop.changed", func(r *renderer, line int, a args) any {
			before := l.changed
			l.changed = a.pos
			return before == nil || !r.equal(line, &list{items: before}, &list{items: a.pos}, 0)
		}}
	}
	r.refuse(line, "loop.%.80s", n)
	return nil
}

// macro makes the function of a macro, which sees the variables around its definition.
func (r *renderer) macro(m *macroStmt, s *scope) *function {
	return &function{m.name, func(r *renderer, line int, a args) any {
		in := s.inner()
		given := min(len(a.pos), len(m.params))
		for i, p := range m.params[:given] {
			in.vars[p] = a.pos[i]
		}
		rest, kwargs := a.pos[given:], newDict()
		var caller any = undefined{"no caller"}
		for i, n := range a.names {
			at := indexOf(m.params, n)
			switch {
			case at >= 0 && at < given:
				r.fail(line, "%s got %q twice", m.name, n)
			case at >= 0:
				in.vars[n] = a.values[i]
			case n == "caller" && m.usesCaller:
				caller = a.values[i]
			case m.usesKwargs:
				kwargs.set(n, n, a.values[i])
			default:
				r.fail(line, "%s has no parameter %q", m.name, n)
			}
		}
		if len(rest) > 0 && !m.usesArgs {
			r.fail(line, "%s takes at most %d arguments", m.name, len(m.params))
		}
		if m.usesArgs {
			in.vars["varargs"] = &list{items: rest, tuple: true}
		}
		if m.usesKwargs {
			in.vars["kwargs"] = kwargs
		}
		if m.usesCaller {
			in.vars["caller"] = caller
		}
		var text string
		r.call(line, func() {
			without := len(m.params) - len(m.defaults)
			for i, p := range m.params {
				if _, there := in.vars[p]; there {
					continue
				}
				in.vars[p] = undefined{"parameter " + p}
				if i >= without {
					in.vars[p] = r.eval(m.defaults[i-without], in)
				}
			}
			text = r.capture(func() { r.block(m.body, in) })
		})
		return text
	}}
}

func indexOf(list []string, s string) int {
	for i, x := range list {
		if x == s {
			return i
		}
	}
	return -1
}
