package tokenizer

import "unicode/utf8"

// symbol is a stretch of a piece on its way to become a token.
type symbol struct {
	start, end int // bytes in the piece
	id         int // -1 when the vocabulary does not have it
	prev, next int // neighbours, -1 at the ends
}

// merger knows which two neighbours may become one symbol. A lower priority
// is merged earlier.
type merger func(piece string, a, b symbol) (id int, priority float64, ok bool)

// candidate is a possible merge. It is stale when one of its symbols has
// changed since, which the length tells.
type candidate struct {
	priority    float64
	left, right int
	size        int // bytes of both
	id          int
}

func (c candidate) before(o candidate) bool {
	return c.priority < o.priority || c.priority == o.priority && c.left < o.left
}

// mergeAll merges neighbours, best first and leftmost among equals, until
// none can be merged. It takes O(n log n) for n symbols.
func mergeAll(piece string, symbols []symbol, m merger) []symbol {
	var queue []candidate
	consider := func(left, right int) {
		if left < 0 || right < 0 {
			return
		}
		a, b := symbols[left], symbols[right]
		if id, p, ok := m(piece, a, b); ok {
			queue = push(queue, candidate{p, left, right, b.end - a.start, id})
		}
	}
	for i := 1; i < len(symbols); i++ {
		consider(i-1, i)
	}
	for len(queue) > 0 {
		var c candidate
		c, queue = pop(queue)
		left, right := &symbols[c.left], &symbols[c.right]
		if left.end == left.start || right.end == right.start || left.next != c.right || right.end-left.start != c.size {
			continue
		}
		left.end, left.id, left.next = right.end, c.id, right.next
		right.start = right.end
		if left.next >= 0 {
			symbols[left.next].prev = c.left
		}
		consider(left.prev, c.left)
		consider(c.left, left.next)
	}
	out := symbols[:0]
	for _, s := range symbols {
		if s.end > s.start {
			out = append(out, s)
		}
	}
	return out
}

func push(q []candidate, c candidate) []candidate {
	q = append(q, c)
	for i := len(q) - 1; i > 0; {
		parent := (i - 1) / 2
		if !q[i].before(q[parent]) {
			break
		}
		q[i], q[parent] = q[parent], q[i]
		i = parent
	}
	return q
}

func pop(q []candidate) (candidate, []candidate) {
	top := q[0]
	last := len(q) - 1
	q[0] = q[last]
	q = q[:last]
	for i := 0; ; {
		least := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < len(q) && q[child].before(q[least]) {
				least = child
			}
		}
		if least == i {
			return top, q
		}
		q[i], q[least] = q[least], q[i]
		i = least
	}
}

// characters cuts a piece into one symbol for each character; a byte that is
// no UTF-8 is one of its own.
func characters(piece string, ids map[string]int) []symbol {
	symbols := make([]symbol, 0, len(piece))
	for i := 0; i < len(piece); {
		_, n := utf8.DecodeRuneInString(piece[i:])
		id, ok := ids[piece[i:i+n]]
		if !ok {
			id = -1
		}
		at := len(symbols)
		symbols = append(symbols, symbol{start: i, end: i + n, id: id, prev: at - 1, next: at + 1})
		i += n
	}
	if len(symbols) > 0 {
		symbols[len(symbols)-1].next = -1
	}
	return symbols
}
