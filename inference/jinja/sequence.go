package jinja

import (
	"slices"
	"strconv"
	"strings"
)

// attributeOf returns the function that gets an attribute, written as a name with dots or a number, or nil when v is left out. def, unless it is
// none, stands for what is not there at each step.
func (r *renderer) attributeOf(line int, v, def any) func(of any) any {
	var path []any
	switch v := v.(type) {
	case left, nil:
		return nil
	case int64:
		path = []any{v}
	case string:
		for _, part := range strings.Split(v, ".") {
			if i, err := strconv.ParseInt(part, 10, 64); err == nil && i >= 0 {
				path = append(path, i)
			} else {
				path = append(path, part)
			}
		}
	default:
		r.fail(line, "attribute is a %s", typeName(v))
	}
	return func(of any) any {
		for _, part := range path {
			r.use(line, 1)
			of = r.item(line, of, part)
			if _, absent := of.(undefined); absent && def != nil {
				of = def
			}
		}
		return of
	}
}

func last(r *renderer, line int, v any, a args) any {
	a.bind(r, line, "last")
	if l, ok := v.(*list); ok && l.lazy {
		r.fail(line, "last of what a filter gives item by item")
	}
	if items := r.items(line, v); len(items) > 0 {
		return items[len(items)-1]
	}
	return undefined{"the last of nothing"}
}

func reverse(r *renderer, line int, v any, a args) any {
	a.bind(r, line, "reverse")
	items := slices.Clone(r.items(line, v))
	slices.Reverse(items)
	if _, ok := v.(string); ok {
		return r.join(line, items, "")
	}
	return r.lazy(line, items)
}

func mapFilter(r *renderer, line int, v any, a args) any {
	items := r.items(line, v)
	out := make([]any, len(items))
	if len(a.pos) == 0 {
		o := a.bind(r, line, "map", "attribute", "default")
		if o[1] == (left{}) {
			o[1] = nil
		}
		get := r.attributeOf(line, o[0], o[1])
		if get == nil {
			r.fail(line, "map without a filter or an attribute")
		}
		for i, item := range items {
			out[i] = get(item)
		}
		return r.lazy(line, out)
	}
	name := r.textArg(line, a.pos[0], "")
	rest := args{a.pos[1:], a.names, a.values}
	for i, item := range items {
		r.use(line, 1)
		r.call(line, func() { out[i] = r.named(line, name, item, rest) })
	}
	return r.lazy(line, out)
}

// selects is select, reject, selectattr or rejectattr: the items that a test, or their truth, holds for or not.
func selects(name string, byAttribute, keep bool) filterFunc {
	return func(r *renderer, line int, v any, a args) any {
		get := func(item any) any { return item }
		if byAttribute {
			if len(a.pos) == 0 {
				r.fail(line, "%s without an attribute", name)
			}
			if get = r.attributeOf(line, a.pos[0], nil); get == nil {
				r.fail(line, "%s without an attribute", name)
			}
			a.pos = a.pos[1:]
		}
		holds := func(item any) bool { return r.truth(line, item) }
		if len(a.pos) > 0 {
			test := r.textArg(line, a.pos[0], "")
			rest := args{a.pos[1:], a.names, a.values}
			holds = func(item any) bool { return r.test(line, test, item, rest) }
		}
		var out []any
		for _, item := range r.items(line, v) {
			r.use(line, 1)
			if holds(get(item)) == keep {
				out = append(out, item)
			}
		}
		return r.lazy(line, out)
	}
}

// folded is what comparisons that ignore case compare.
func folded(v any, caseSensitive bool) any {
	if s, ok := v.(string); ok && !caseSensitive {
		return lower(s)
	}
	return v
}

// sortBy sorts items by keys, keeping the order of equals.
func (r *renderer) sortBy(line int, items, keys []any, descending bool) []any {
	order := make([]int, len(items))
	for i := range order {
		r.scan(line, len(items))
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		if isNaN(keys[a]) || isNaN(keys[b]) {
			r.refuse(line, "sorting what is not a number")
		}
		if descending {
			a, b = b, a
		}
		return r.order(line, keys[a], keys[b], 0)
	})
	out := make([]any, len(items))
	for i, at := range order {
		out[i] = items[at]
	}
	return out
}

func sorted(r *renderer, line int, v any, a args) any {
	o := a.bind(r, line, "sort", "reverse", "case_sensitive", "attribute")
	items := r.items(line, v)
	sensitive := r.boolArg(line, o[1], false)
	if s, ok := o[2].(string); ok && strings.Contains(s, ",") {
		r.refuse(line, "sort by several attributes")
	}
	get := r.attributeOf(line, o[2], nil)
	keys := make([]any, len(items))
	for i, item := range items {
		r.use(line, 1)
		if get != nil {
			item = get(item)
		}
		keys[i] = folded(item, sensitive)
	}
	return r.list(line, r.sortBy(line, items, keys, r.boolArg(line, o[0], false)))
}

func dictSort(r *renderer, line int, v any, a args) any {
	o := a.bind(r, line, "dictsort", "case_sensitive", "by", "reverse")
	d, ok := v.(*dict)
	if !ok {
		r.fail(line, "dictsort of a %s", typeName(v))
	}
	by, sensitive := r.textArg(line, o[1], "key"), r.boolArg(line, o[0], false)
	if by != "key" && by != "value" {
		r.fail(line, "dictsort by %.40q", by)
	}
	pairs := r.pairs(line, d).(*list).items
	keys := make([]any, len(pairs))
	for i, k := range d.keys {
		if by == "value" {
			k = d.at(r, i)
		}
		keys[i] = folded(k, sensitive)
	}
	return r.list(line, r.sortBy(line, pairs, keys, r.boolArg(line, o[2], false)))
}

func unique(r *renderer, line int, v any, a args) any {
	o := a.bind(r, line, "unique", "case_sensitive", "attribute")
	sensitive, get := r.boolArg(line, o[0], false), r.attributeOf(line, o[1], nil)
	seen := map[any]bool{}
	var out []any
	for _, item := range r.items(line, v) {
		r.use(line, 1)
		key := item
		if get != nil {
			key = get(item)
		}
		if h := r.hashKey(line, folded(key, sensitive)); !seen[h] {
			seen[h] = true
			out = append(out, item)
		}
	}
	return r.lazy(line, out)
}

// extreme is min or max.
func extreme(name string, sign int) filterFunc {
	return func(r *renderer, line int, v any, a args) any {
		o := a.bind(r, line, name, "case_sensitive", "attribute")
		sensitive, get := r.boolArg(line, o[0], false), r.attributeOf(line, o[1], nil)
		var best, bestKey any = undefined{name + " of nothing"}, nil
		for i, item := range r.items(line, v) {
			r.use(line, 1)
			key := item
			if get != nil {
				key = get(item)
			}
			key = folded(key, sensitive)
			if i == 0 || r.order(line, key, bestKey, 0)*sign > 0 {
				best, bestKey = item, key
			}
		}
		return best
	}
}

func sum(r *renderer, line int, v any, a args) any {
	o := a.bind(r, line, "sum", "attribute", "start")
	get := r.attributeOf(line, o[0], nil)
	var total any = int64(0)
	if _, ok := o[1].(left); !ok {
		total = o[1]
	}
	for _, item := range r.items(line, v) {
		r.use(line, 1)
		if get != nil {
			item = get(item)
		}
		total = r.operate(line, "+", total, item)
	}
	return total
}

func batch(r *renderer, line int, v any, a args) any {
	o := a.bind(r, line, "batch", "linecount", "fill_with")
	n := r.intArg(line, o[0], 0)
	if n < 1 || n > maxItems {
		r.fail(line, "batches of %d", n)
	}
	var out []any
	for part := range slices.Chunk(r.items(line, v), int(n)) {
		part = slices.Clone(part)
		if _, ok := o[1].(left); !ok && o[1] != nil {
			for len(part) < int(n) {
				r.use(line, 1)
				part = append(part, o[1])
			}
		}
		out = append(out, r.list(line, part))
	}
	return r.lazy(line, out)
}
