package jinja

import (
	"slices"
	"strconv"
	"strings"
)

const maxChain = 1000 // of operators, members and filters in a row

// chain counts a link of a chain, which becomes a level of the tree.
func (p *parser) chain(n *int) {
	if *n++; *n > maxChain {
		p.fail(p.peek(), "more than %d in a row", maxChain)
	}
}

// expression reads an expression with the conditional, which binds the weakest.
func (p *parser) expression() expr {
	defer p.enter()()
	e := p.or()
	for n := 0; p.is(name, "if"); p.chain(&n) {
		line := p.next().line
		c := &conditional{line: line, cond: p.or(), then: e}
		if p.take(name, "else") {
			c.alt = p.expression()
		}
		e = c
	}
	return e
}

// tuple reads expressions with commas between them as a tuple, a single one as itself.
func (p *parser) tuple() expr { return p.tupleOf(p.expression) }

func (p *parser) tupleOf(read func() expr) expr {
	line := p.peek().line
	first := read()
	if !p.is(operator, ",") {
		return first
	}
	t := &listExpr{line: line, items: []expr{first}, tuple: true}
	for p.take(operator, ",") {
		switch k := p.peek(); {
		case k.kind == varEnd, k.kind == blockEnd, k.kind == operator && k.s == ")":
			return t
		}
		t.items = append(t.items, read())
	}
	return t
}

func (p *parser) or() expr {
	e := p.and()
	for n := 0; p.is(name, "or"); p.chain(&n) {
		e = &binary{p.next().line, "or", e, p.and()}
	}
	return e
}

func (p *parser) and() expr {
	e := p.not()
	for n := 0; p.is(name, "and"); p.chain(&n) {
		e = &binary{p.next().line, "and", e, p.not()}
	}
	return e
}

func (p *parser) not() expr {
	if p.is(name, "not") {
		defer p.enter()()
		return &unary{p.next().line, "not", p.not()}
	}
	return p.compare()
}

func (p *parser) compare() expr {
	c := &comparison{line: p.peek().line, first: p.sum()}
	for {
		t := p.peek()
		switch {
		case t.kind == operator && slices.Contains([]string{"==", "!=", "<", "<=", ">", ">="}, t.s), t.kind == name && t.s == "in":
			p.at++
			c.ops = append(c.ops, t.s)
		case t.kind == name && t.s == "not" && p.tokens[p.at+1].kind == name && p.tokens[p.at+1].s == "in":
			p.at += 2
			c.ops = append(c.ops, "not in")
		default:
			if c.ops == nil {
				return c.first
			}
			return c
		}
		c.rest = append(c.rest, p.sum())
	}
}

// operators reads a row of the operators ops, which bind to the left.
func (p *parser) operators(read func() expr, ops ...string) expr {
	e := read()
	for n := 0; ; p.chain(&n) {
		t := p.peek()
		if t.kind != operator || !slices.Contains(ops, t.s) {
			return e
		}
		p.at++
		e = &binary{t.line, t.s, e, read()}
	}
}

func (p *parser) sum() expr     { return p.operators(p.concat, "+", "-") }
func (p *parser) concat() expr  { return p.operators(p.product, "~") }
func (p *parser) product() expr { return p.operators(p.power, "*", "/", "//", "%") }
func (p *parser) power() expr {
	return p.operators(func() expr { return p.unary(true) }, "**")
}

func (p *parser) unary(filters bool) expr {
	defer p.enter()()
	var e expr
	if t := p.peek(); t.kind == operator && (t.s == "-" || t.s == "+") {
		p.at++
		e = &unary{t.line, t.s, p.unary(false)}
	} else {
		e = p.primary()
	}
	e = p.postfix(e)
	if filters {
		e = p.filtered(e)
	}
	return e
}

func (p *parser) primary() expr {
	t := p.next()
	switch t.kind {
	case name:
		switch t.s {
		case "true", "True":
			return &literal{true}
		case "false", "False":
			return &literal{false}
		case "none", "None":
			return &literal{nil}
		case "if", "else", "in", "is", "and", "or", "not":
			p.fail(t, "unexpected %q", t.s)
		}
		p.note(t.s)
		return &variable{t.line, t.s}
	case text:
		parts := []string{t.s}
		for p.peek().kind == text {
			parts = append(parts, p.next().s)
		}
		return &literal{strings.Join(parts, "")}
	case integer:
		n, err := strconv.ParseInt(t.s, 0, 64)
		if err != nil {
			// A decimal number may begin with zeros here only when it is zero.
			if n, err = strconv.ParseInt(t.s, 10, 64); err != nil || n != 0 {
				p.fail(t, "number %.40q", t.s)
			}
		}
		return &literal{n}
	case float:
		f, err := strconv.ParseFloat(t.s, 64)
		if err != nil {
			p.fail(t, "number %.40q", t.s)
		}
		return &literal{f}
	case operator:
		switch t.s {
		case "(":
			if p.take(operator, ")") {
				return &listExpr{line: t.line, tuple: true}
			}
			e := p.tuple()
			p.want(operator, ")")
			return e
		case "[":
			l := &listExpr{line: t.line}
			for !p.is(operator, "]") {
				if len(l.items) > 0 {
					p.want(operator, ",")
					if p.is(operator, "]") {
						break
					}
				}
				l.items = append(l.items, p.expression())
			}
			p.want(operator, "]")
			return l
		case "{":
			d := &dictExpr{line: t.line}
			for !p.is(operator, "}") {
				if len(d.keys) > 0 {
					p.want(operator, ",")
					if p.is(operator, "}") {
						break
					}
				}
				d.keys = append(d.keys, p.expression())
				p.want(operator, ":")
				d.vals = append(d.vals, p.expression())
			}
			p.want(operator, "}")
			return d
		}
	}
	p.fail(t, "unexpected %s, expected a value", t)
	return nil
}

// postfix reads the members, slices and calls that follow a value.
func (p *parser) postfix(e expr) expr {
	for n := 0; ; p.chain(&n) {
		t := p.peek()
		if t.kind != operator {
			return e
		}
		switch t.s {
		case ".":
			p.at++
			m := p.next()
			switch m.kind {
			case name:
				e = &member{line: t.line, of: e, name: m.s}
			case integer:
				i, err := strconv.ParseInt(m.s, 10, 64)
				if err != nil {
					p.fail(m, "number %.40q", m.s)
				}
				e = &member{line: t.line, of: e, index: &literal{i}}
			default:
				p.fail(m, "unexpected %s, expected a name", m)
			}
		case "[":
			p.at++
			e = p.subscript(t.line, e)
		case "(":
			e = &callExpr{t.line, e, p.args()}
		default:
			return e
		}
	}
}

func (p *parser) subscript(line int, of expr) expr {
	parts, colons := [3]expr{}, 0
	for !p.is(operator, "]") {
		if p.take(operator, ":") {
			if colons++; colons > 2 {
				p.fail(p.peek(), "slice of more than three parts")
			}
			continue
		}
		if parts[colons] != nil {
			break
		}
		parts[colons] = p.expression()
	}
	t := p.peek()
	if t.kind == operator && t.s == "," {
		panic(failure{unsupported(line, "subscript of several values")})
	}
	p.want(operator, "]")
	switch {
	case colons > 0:
		return &slice{line, of, parts[0], parts[1], parts[2]}
	case parts[0] == nil:
		p.fail(t, "empty subscript")
	}
	return &member{line: line, of: of, index: parts[0]}
}

// filtered reads the filters, tests and calls that follow a value.
func (p *parser) filtered(e expr) expr {
	for n := 0; ; p.chain(&n) {
		t := p.peek()
		switch {
		case t.kind == operator && t.s == "|":
			p.at++
			e = &filterExpr{e, p.filter()}
		case t.kind == name && t.s == "is":
			p.at++
			e = p.test(t.line, e)
		case t.kind == operator && t.s == "(":
			e = &callExpr{t.line, e, p.args()}
		default:
			return e
		}
	}
}

func (p *parser) test(line int, of expr) expr {
	negated := p.take(name, "not")
	t := &testExpr{line: line, of: of, name: p.wantName()}
	switch next := p.peek(); {
	case next.kind == operator && next.s == "(":
		t.args = p.args()
	case next.kind == name && !slices.Contains([]string{"else", "or", "and", "if", "is", "in", "not"}, next.s),
		next.kind == text, next.kind == integer, next.kind == float,
		next.kind == operator && (next.s == "[" || next.s == "{"):
		t.args.pos = []expr{p.postfix(p.primary())}
	}
	if negated {
		return &unary{line, "not", t}
	}
	return t
}
