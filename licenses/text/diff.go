package text

import (
	"slices"
	"strings"
)

// Change is what became of words.
type Change string

// The changes.
const (
	Same    Change = "same"
	Removed Change = "removed" // they stand in the known text alone
	Added   Change = "added"   // they stand in the other text alone
)

// Part are words that follow each other and were changed in the same way.
type Part struct {
	Change Change `json:"change"`
	Words  string `json:"words,omitempty"`
	Count  int    `json:"count"` // of words, also of those that are left out
}

// Difference is how a text differs, word by word, from a known one. Long runs
// of the same words are Parts without Words.
type Difference struct {
	Parts   []Part `json:"parts"`
	Removed int    `json:"removed"` // words
	Added   int    `json:"added"`   // words
	// Cut says that what is left of both texts was not shown or compared any more.
	Cut bool `json:"cut,omitempty"`
}

// Limits of a difference.
const (
	maxEdits   = 3000   // words added and removed that are searched for in one stretch
	maxWork    = 20e6   // steps of that search in all
	maxDrawn   = 5000   // words that are shown
	maxCompare = 60_000 // words of a text; the longest licences have 25,000
	context    = 8      // unchanged words shown around a change
)

// Compare tells how a text differs from a known one, by words as Words cuts
// them. Errors: ErrTooLong.
func Compare(known, other string) (*Difference, error) {
	a, err := Words(known)
	if err != nil {
		return nil, err
	}
	b, err := Words(other)
	if err != nil {
		return nil, err
	}
	return compare(a, b), nil
}

func compare(a, b []string) *Difference {
	d := &Difference{Cut: len(a) > maxCompare || len(b) > maxCompare}
	m := matcher{a: a[:min(len(a), maxCompare)], b: b[:min(len(b), maxCompare)], work: maxWork}
	m.keptA, m.keptB = make([]bool, len(m.a)), make([]bool, len(m.b))
	m.match(0, len(m.a), 0, len(m.b))
	d.draw(&m)
	return d
}

// matcher finds the longest words in common, by Myers' algorithm in linear
// space ("An O(ND) difference algorithm and its variations", 1986, section 4b).
type matcher struct {
	a, b         []string
	keptA, keptB []bool // words that are in both, in the same order
	work         int    // steps that are left
	ahead, back  []int  // furthest points on the diagonals
}

// match marks what a[a0:a1] and b[b0:b1] have in common. Where that is too
// much to find out, nothing is.
func (m *matcher) match(a0, a1, b0, b1 int) {
	for a0 < a1 && b0 < b1 && m.a[a0] == m.b[b0] {
		m.keptA[a0], m.keptB[b0] = true, true
		a0, b0 = a0+1, b0+1
	}
	for a0 < a1 && b0 < b1 && m.a[a1-1] == m.b[b1-1] {
		a1, b1 = a1-1, b1-1
		m.keptA[a1], m.keptB[b1] = true, true
	}
	if a0 == a1 || b0 == b1 {
		return
	}
	x, y, ok := m.middle(a0, a1, b0, b1)
	if !ok {
		return
	}
	m.match(a0, x, b0, y)
	m.match(x, a1, y, b1)
}

// middle returns a point of a shortest way from (a0, b0) to (a1, b1), about
// half way, and false when there are too many edits on it. The two ends differ
// there at once, so that it is neither of them.
func (m *matcher) middle(a0, a1, b0, b1 int) (x, y int, ok bool) {
	n, k := a1-a0, b1-b0
	most := min((n+k+1)/2, maxEdits/2)
	// Diagonals run from -most-1 to most+1; those of the way back are counted from the end.
	offset := most + 1
	if size := 2*offset + 1; len(m.ahead) < size {
		m.ahead, m.back = make([]int, size), make([]int, size)
	}
	delta := n - k
	m.ahead[offset+1], m.back[offset+1] = 0, 0
	for d := 0; d <= most; d++ {
		if m.work -= 2 * (d + 1); m.work < 0 {
			return 0, 0, false
		}
		for diagonal := -d; diagonal <= d; diagonal += 2 {
			i := m.step(m.ahead, offset, diagonal, d)
			j := i - diagonal
			from := i
			for i < n && j < k && i >= 0 && j >= 0 && m.a[a0+i] == m.b[b0+j] {
				i, j = i+1, j+1
			}
			m.work -= i - from
			m.ahead[offset+diagonal] = i
			// The way back is d-1 long on diagonal delta-diagonal.
			if c := delta - diagonal; delta&1 != 0 && c >= -(d-1) && c <= d-1 && i <= n && j <= k && j >= 0 && i+m.back[offset+c] >= n {
				return a0 + i, b0 + j, true
			}
		}
		for diagonal := -d; diagonal <= d; diagonal += 2 {
			i := m.step(m.back, offset, diagonal, d)
			j := i - diagonal
			from := i
			for i < n && j < k && i >= 0 && j >= 0 && m.a[a1-1-i] == m.b[b1-1-j] {
				i, j = i+1, j+1
			}
			m.work -= i - from
			m.back[offset+diagonal] = i
			if c := delta - diagonal; delta&1 == 0 && c >= -d && c <= d && i <= n && j <= k && j >= 0 && i+m.ahead[offset+c] >= n {
				return a1 - i, b1 - j, true
			}
		}
	}
	return 0, 0, false
}

// step is how far one gets on a diagonal with one edit more: a word of b, or
// one of a.
func (m *matcher) step(furthest []int, offset, diagonal, d int) int {
	if diagonal == -d || diagonal != d && furthest[offset+diagonal-1] < furthest[offset+diagonal+1] {
		return furthest[offset+diagonal+1]
	}
	return furthest[offset+diagonal-1] + 1
}

// draw writes what was found.
func (d *Difference) draw(m *matcher) {
	var parts []Part
	add := func(c Change, words []string) {
		if len(words) > 0 {
			parts = append(parts, Part{c, strings.Join(words, " "), len(words)})
		}
	}
	i, j := 0, 0
	for i < len(m.a) || j < len(m.b) {
		from := i
		for i < len(m.a) && j < len(m.b) && m.keptA[i] && m.keptB[j] {
			i, j = i+1, j+1
		}
		first, last := from == 0, i == len(m.a) && j == len(m.b)
		if same := m.a[from:i]; len(same) > 2*context+1 || (first || last) && len(same) > context {
			if !first {
				add(Same, same[:context])
				same = same[context:]
			}
			left, after := same, []string(nil)
			if !last {
				left, after = same[:len(same)-context], same[len(same)-context:]
			}
			if len(left) > 0 {
				parts = append(parts, Part{Change: Same, Count: len(left)})
			}
			add(Same, after)
		} else {
			add(Same, same)
		}
		from = i
		for i < len(m.a) && !m.keptA[i] {
			i++
		}
		add(Removed, m.a[from:i])
		d.Removed += i - from
		from = j
		for j < len(m.b) && !m.keptB[j] {
			j++
		}
		add(Added, m.b[from:j])
		d.Added += j - from
	}
	drawn := 0
	for n, p := range parts {
		if p.Words == "" {
			continue
		}
		if drawn += p.Count; drawn > maxDrawn {
			over := drawn - maxDrawn
			words := strings.Fields(p.Words)[:p.Count-over]
			parts, d.Cut = append(slices.Clone(parts[:n]), Part{p.Change, strings.Join(words, " "), len(words)}), true
			break
		}
	}
	d.Parts = parts
}

// Text writes the difference in one line as "git diff --word-diff" does: words
// that were [-removed-] and those that were {+added+}; what is the same in both
// and far from any change is "…".
func (d *Difference) Text() string {
	var b strings.Builder
	for i, p := range d.Parts {
		if i > 0 {
			b.WriteByte(' ')
		}
		switch {
		case p.Words == "":
			b.WriteString("…")
		case p.Change == Removed:
			b.WriteString("[-" + p.Words + "-]")
		case p.Change == Added:
			b.WriteString("{+" + p.Words + "+}")
		default:
			b.WriteString(p.Words)
		}
	}
	if d.Cut {
		b.WriteString(" … and more, which is not shown")
	}
	return b.String()
}
