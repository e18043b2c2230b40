package jinja

// The statements.
type (
	stmt interface{}

	rawText struct{ s string }
	output  struct {
		line int
		e    expr
	}
	ifStmt struct {
		line      int
		cond      expr
		then, alt []stmt
	}
	forStmt struct {
		line       int
		target     target
		iter, cond expr // cond is nil when there is none
		body, alt  []stmt
	}
	setStmt struct {
		line   int
		target target
		value  expr
	}
	setBlock struct {
		line    int
		target  target
		filters []filterCall
		body    []stmt
	}
	filterBlock struct {
		line    int
		filters []filterCall
		body    []stmt
	}
	withStmt struct {
		line    int
		targets []target
		values  []expr
		body    []stmt
	}
	scopeStmt struct { // a generation block
		line int
		body []stmt
	}
	macroStmt struct {
		line     int
		name     string
		params   []string
		defaults []expr // of the last parameters
		body     []stmt
		// The implicit variables that the body names.
		usesArgs, usesKwargs, usesCaller bool
	}
	callBlock struct {
		line   int
		call   expr
		caller *macroStmt
	}
	breakStmt    struct{ line int }
	continueStmt struct{ line int }

	// target is what is assigned to: a name, an attribute of a namespace, or several targets.
	target struct {
		name, attr string
		parts      []target
	}
	filterCall struct {
		line int
		name string
		args callArgs
	}
)

// The expressions.
type (
	expr interface{}

	literal  struct{ v any }
	variable struct {
		line int
		name string
	}
	listExpr struct {
		line  int
		items []expr
		tuple bool
	}
	dictExpr struct {
		line       int
		keys, vals []expr
	}
	member struct { // of.name or of[index]
		line  int
		of    expr
		name  string
		index expr // nil for of.name
	}
	slice struct {
		line             int
		of               expr
		start, end, step expr // nil where left out
	}
	callExpr struct {
		line int
		f    expr
		args callArgs
	}
	filterExpr struct {
		of     expr
		filter filterCall
	}
	testExpr struct {
		line int
		of   expr
		name string
		args callArgs
	}
	unary struct {
		line int
		op   string // "-", "+", "not"
		e    expr
	}
	binary struct {
		line int
		op   string
		l, r expr
	}
	comparison struct {
		line  int
		first expr
		ops   []string
		rest  []expr
	}
	conditional struct {
		line            int
		cond, then, alt expr // alt is nil when it is left out
	}
	callArgs struct {
		pos    []expr
		names  []string
		values []expr
	}
)
