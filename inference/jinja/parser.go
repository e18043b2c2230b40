package jinja

import (
	"slices"
	"strconv"
)

const maxNesting = 100 // of expressions and of blocks

type parser struct {
	tokens []token
	at     int
	depth  int
	loops  int
	names  map[string]bool // in the macro that is read
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != endOfFile {
		p.at++
	}
	return t
}

func (p *parser) fail(t token, format string, args ...any) {
	panic(failure{syntax(t.line, format, args...)})
}

func (t token) String() string {
	switch t.kind {
	case endOfFile:
		return "end of the template"
	case blockBegin:
		return "{%"
	case blockEnd:
		return "%}"
	case varBegin:
		return "{{"
	case varEnd:
		return "}}"
	}
	return strconv.Quote(t.s)
}

func (p *parser) is(k kind, s string) bool {
	t := p.peek()
	return t.kind == k && t.s == s
}

// take moves over the token if it is this one.
func (p *parser) take(k kind, s string) bool {
	if p.is(k, s) {
		p.at++
		return true
	}
	return false
}

func (p *parser) want(k kind, s string) token {
	t := p.next()
	if t.kind != k || s != "" && t.s != s {
		p.fail(t, "unexpected %s, expected %s", t, token{kind: k, s: s})
	}
	return t
}

func (p *parser) wantName() string {
	t := p.next()
	if t.kind != name {
		p.fail(t, "unexpected %s, expected a name", t)
	}
	return t.s
}

// enter counts nesting; the function it returns ends it.
func (p *parser) enter() func() {
	if p.depth++; p.depth > maxNesting {
		p.fail(p.peek(), "nested deeper than %d", maxNesting)
	}
	return func() { p.depth-- }
}

// block reads statements until a tag that begins with one of the words of ends, and returns that word; the tag stays open.
// Without ends it reads the whole template.
func (p *parser) block(ends ...string) (body []stmt, end string) {
	defer p.enter()()
	for {
		switch t := p.next(); t.kind {
		case endOfFile:
			if ends != nil {
				p.fail(t, "unexpected end, expected %s", ends[len(ends)-1])
			}
			return body, ""
		case data:
			body = append(body, &rawText{t.s})
		case varBegin:
			body = append(body, &output{t.line, p.tuple()})
			p.want(varEnd, "")
		case blockBegin:
			if w := p.peek(); w.kind == name && slices.Contains(ends, w.s) {
				p.at++
				return body, w.s
			}
			body = append(body, p.statement())
		}
	}
}

// body reads the end of the tag, statements, and the tag that ends them.
func (p *parser) body(end string) []stmt {
	p.want(blockEnd, "")
	b, _ := p.block(end)
	p.want(blockEnd, "")
	return b
}

func (p *parser) statement() stmt {
	t := p.next()
	if t.kind != name {
		p.fail(t, "unexpected %s, expected a statement", t)
	}
	switch t.s {
	case "if":
		return p.ifStatement(t.line)
	case "for":
		return p.forStatement(t.line)
	case "set":
		return p.setStatement(t.line)
	case "macro":
		n := p.wantName()
		return p.macro(t.line, n, "endmacro")
	case "call":
		c := &callBlock{line: t.line}
		params, defaults := []string(nil), []expr(nil)
		if p.is(operator, "(") {
			params, defaults = p.params()
		}
		c.call = p.expression()
		if _, ok := c.call.(*callExpr); !ok {
			p.fail(t, "call block without a call")
		}
		c.caller = p.macroBody(&macroStmt{line: t.line, name: "caller", params: params, defaults: defaults}, "endcall")
		return c
	case "filter":
		f := &filterBlock{line: t.line, filters: p.filters(true)}
		f.body = p.body("endfilter")
		return f
	case "with":
		w := &withStmt{line: t.line}
		for !p.is(blockEnd, "") {
			if len(w.targets) > 0 {
				p.want(operator, ",")
			}
			w.targets = append(w.targets, p.target())
			p.want(operator, "=")
			w.values = append(w.values, p.expression())
		}
		w.body = p.body("endwith")
		return w
	case "generation":
		return &scopeStmt{t.line, p.body("endgeneration")}
	case "break", "continue":
		if p.loops == 0 {
			p.fail(t, "%s outside of a loop", t.s)
		}
		p.want(blockEnd, "")
		if t.s == "break" {
			return &breakStmt{t.line}
		}
		return &continueStmt{t.line}
	case "include", "import", "from", "extends", "block", "do", "autoescape", "trans", "debug":
		panic(failure{unsupported(t.line, "statement %q", t.s)})
	}
	p.fail(t, "unknown statement %.80q", t.s)
	return nil
}

func (p *parser) ifStatement(line int) stmt {
	root := &ifStmt{line: line, cond: p.tuple()}
	n := 0
	for s := root; ; p.chain(&n) {
		p.want(blockEnd, "")
		var end string
		s.then, end = p.block("elif", "else", "endif")
		switch end {
		case "elif":
			next := &ifStmt{line: p.peek().line, cond: p.tuple()}
			s.alt = []stmt{next}
			s = next
			continue
		case "else":
			s.alt = p.body("endif")
		default:
			p.want(blockEnd, "")
		}
		return root
	}
}

func (p *parser) forStatement(line int) stmt {
	f := &forStmt{line: line, target: p.targets()}
	p.want(name, "in")
	f.iter = p.tupleOf(p.or)
	if p.take(name, "if") {
		f.cond = p.expression()
	}
	if p.is(name, "recursive") {
		panic(failure{unsupported(line, "recursive loop")})
	}
	p.want(blockEnd, "")
	p.loops++
	var end string
	f.body, end = p.block("else", "endfor")
	p.loops--
	if end == "else" {
		f.alt = p.body("endfor")
	} else {
		p.want(blockEnd, "")
	}
	return f
}

func (p *parser) setStatement(line int) stmt {
	to := p.targets()
	if p.take(operator, "=") {
		s := &setStmt{line, to, p.tuple()}
		p.want(blockEnd, "")
		return s
	}
	s := &setBlock{line: line, target: to}
	if p.is(operator, "|") {
		s.filters = p.filters(false)
	}
	s.body = p.body("endset")
	return s
}

// reserved names cannot be assigned to.
var reserved = []string{"true", "false", "none", "True", "False", "None", "and", "or", "not", "in", "is", "if", "else", "loop", "self"}

func (p *parser) target() target {
	if p.take(operator, "(") {
		defer p.enter()()
		t := p.targets()
		p.want(operator, ")")
		return t
	}
	tok := p.peek()
	n := p.wantName()
	if slices.Contains(reserved, n) {
		p.fail(tok, "cannot assign to %q", n)
	}
	p.note(n)
	if p.take(operator, ".") {
		return target{name: n, attr: p.wantName()}
	}
	return target{name: n}
}

// targets reads one target, or several with commas between them.
func (p *parser) targets() target {
	first := p.target()
	if !p.is(operator, ",") {
		return first
	}
	t := target{parts: []target{first}}
	for p.take(operator, ",") {
		if next := p.peek(); next.kind != name && !p.is(operator, "(") || next.s == "in" {
			break
		}
		t.parts = append(t.parts, p.target())
	}
	return t
}

func (p *parser) macro(line int, n, end string) *macroStmt {
	m := &macroStmt{line: line, name: n}
	m.params, m.defaults = p.params()
	return p.macroBody(m, end)
}

func (p *parser) macroBody(m *macroStmt, end string) *macroStmt {
	outerNames, outerLoops := p.names, p.loops
	p.names, p.loops = map[string]bool{}, 0
	m.body = p.body(end)
	m.usesArgs, m.usesKwargs, m.usesCaller = p.names["varargs"], p.names["kwargs"], p.names["caller"]
	for n := range p.names {
		if outerNames != nil {
			outerNames[n] = true
		}
	}
	p.names, p.loops = outerNames, outerLoops
	return m
}

func (p *parser) note(n string) {
	if p.names != nil {
		p.names[n] = true
	}
}

// params reads the parameters of a macro.
func (p *parser) params() (names []string, defaults []expr) {
	p.want(operator, "(")
	for !p.is(operator, ")") {
		if len(names) > 0 {
			p.want(operator, ",")
		}
		t := p.peek()
		n := p.wantName()
		if slices.Contains(names, n) || slices.Contains(reserved, n) {
			p.fail(t, "parameter %q", n)
		}
		names = append(names, n)
		if p.take(operator, "=") {
			defaults = append(defaults, p.expression())
		} else if defaults != nil {
			p.fail(t, "parameter %q without a default after one that has one", n)
		}
	}
	p.want(operator, ")")
	return names, defaults
}

// filters reads filters in a row, the first of them without its bar when bare.
func (p *parser) filters(bare bool) (list []filterCall) {
	for bare || p.take(operator, "|") {
		bare = false
		list = append(list, p.filter())
	}
	return list
}

func (p *parser) filter() filterCall {
	f := filterCall{line: p.peek().line, name: p.wantName()}
	if p.is(operator, "(") {
		f.args = p.args()
	}
	return f
}

func (p *parser) args() (a callArgs) {
	defer p.enter()()
	p.want(operator, "(")
	for n := 0; !p.is(operator, ")"); n++ {
		if n > 0 {
			p.want(operator, ",")
			if p.is(operator, ")") {
				break
			}
		}
		t := p.peek()
		if t.kind == operator && (t.s == "*" || t.s == "**") {
			panic(failure{unsupported(t.line, "unpacked arguments")})
		}
		if following := p.tokens[p.at+1]; t.kind == name && following.kind == operator && following.s == "=" {
			p.at += 2
			if slices.Contains(a.names, t.s) {
				p.fail(t, "argument %q twice", t.s)
			}
			a.names = append(a.names, t.s)
			a.values = append(a.values, p.expression())
			continue
		}
		if a.names != nil {
			p.fail(t, "positional argument after a named one")
		}
		a.pos = append(a.pos, p.expression())
	}
	p.want(operator, ")")
	return a
}
