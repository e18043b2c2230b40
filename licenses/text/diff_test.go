package text

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestCompare(t *testing.T) {
	t.Parallel()
	long := strings.Fields(strings.Repeat("one two three four five six seven eight nine ten ", 3))
	tests := map[string]struct{ a, b, want string }{
		"same":          {"pour the tea", "Pour the *tea*.", "pour the tea"},
		"nothing":       {"", "", ""},
		"all new":       {"", "pour", "{+pour+}"},
		"all gone":      {"pour", "", "[-pour-]"},
		"a word other":  {"you may pour", "you must pour", "you [-may-] {+must+} pour"},
		"a word more":   {"you may pour", "you may not pour", "you may {+not+} pour"},
		"a word less":   {"you may not pour", "you may pour", "you may [-not-] pour"},
		"at both ends":  {"a b c", "x b y", "[-a-] {+x+} b [-c-] {+y+}"},
		"nothing same":  {"a b", "c d", "[-a b-] {+c d+}"},
		"far from both": {strings.Join(long, " ") + " end", strings.Join(long, " ") + " other", "… three four five six seven eight nine ten [-end-] {+other+}"},
		"between two": {
			"x " + strings.Join(long, " ") + " y", "z " + strings.Join(long, " ") + " w",
			"[-x-] {+z+} one two three four five six seven eight … three four five six seven eight nine ten [-y-] {+w+}",
		},
		"behind it": {"x " + strings.Join(long, " "), strings.Join(long, " "), "[-x-] one two three four five six seven eight …"},
	}
	for name, tt := range tests {
		d, err := Compare(tt.a, tt.b)
		if err != nil || d.Text() != tt.want || d.Cut {
			t.Errorf("%s: %v\n got %s\nwant %s", name, err, d.Text(), tt.want)
		}
	}
}

// wantDifference checks that a difference leads from a to b, and returns how
// many words were changed.
func wantDifference(t *testing.T, a, b []string) int {
	t.Helper()
	m := matcher{a: a, b: b, work: maxWork, keptA: make([]bool, len(a)), keptB: make([]bool, len(b))}
	m.match(0, len(a), 0, len(b))
	pick := func(words []string, kept []bool) (list []string) {
		for i, w := range words {
			if kept[i] {
				list = append(list, w)
			}
		}
		return list
	}
	ka, kb := pick(a, m.keptA), pick(b, m.keptB)
	if !slices.Equal(ka, kb) {
		t.Fatalf("%q and %q: kept are %q and %q", a, b, ka, kb)
	}
	var d Difference
	d.draw(&m)
	removed, added, same := 0, 0, 0
	for _, p := range d.Parts {
		switch p.Change {
		case Removed:
			removed += p.Count
		case Added:
			added += p.Count
		case Same:
			same += p.Count
		}
	}
	if removed != d.Removed || added != d.Added || !d.Cut && (removed+same != len(a) || added+same != len(b)) {
		t.Fatalf("%q and %q: %d removed, %d added, %d same, and %+v", a, b, removed, added, same, d)
	}
	return len(a) + len(b) - 2*len(ka)
}

// common is the length of the longest common subsequence, by the table of all prefixes.
func common(a, b []string) int {
	row := make([]int, len(b)+1)
	for i := range a {
		diagonal := 0
		for j := range b {
			above := row[j+1]
			if a[i] == b[j] {
				row[j+1] = diagonal + 1
			} else {
				row[j+1] = max(row[j+1], row[j])
			}
			diagonal = above
		}
	}
	return row[len(b)]
}

// TestCompareIsShortest holds differences of random texts to the shortest there are.
func TestCompareIsShortest(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		words := func() []string {
			list := make([]string, rng.IntN(30))
			for i := range list {
				list[i] = string(rune('a' + rng.IntN(1+rng.IntN(8))))
			}
			return list
		}
		a, b := words(), words()
		if got, want := wantDifference(t, a, b), len(a)+len(b)-2*common(a, b); got != want {
			t.Fatalf("%q and %q: %d edits, the shortest way has %d", a, b, got, want)
		}
	}
}

// TestCompareIsBounded compares texts that have little in common, as long as they can be.
func TestCompareIsBounded(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		var b strings.Builder
		for range maxCompare + 10 {
			b.WriteString([]string{"alpha ", "beta ", "gamma ", "delta ", "may ", "must "}[rng.IntN(6)])
		}
		return b.String()
	}
	d, err := Compare(text(), text())
	if err != nil || !d.Cut {
		t.Fatalf("%v: %+v", err, d)
	}
	shown := 0
	for _, p := range d.Parts {
		shown += len(strings.Fields(p.Words))
	}
	if shown > maxDrawn {
		t.Errorf("%d words are shown, at most %d", shown, maxDrawn)
	}
	if _, err := Compare(strings.Repeat("x", MaxText+1), "y"); err != ErrTooLong { //nolint:errorlint // it is returned as it is
		t.Errorf("a text that is too long: %v", err)
	}
}

func FuzzCompare(f *testing.F) {
	f.Add("you may pour", "you may not pour")
	f.Add("a b a b a", "b a b a b")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, err := Words(a)
		if err != nil {
			return
		}
		y, err := Words(b)
		if err != nil {
			return
		}
		if d := compare(x, y); d.Removed == 0 && d.Added == 0 && !d.Cut && !slices.Equal(x, y) {
			t.Errorf("no difference between %q and %q", x, y)
		}
		if len(x) < maxCompare && len(y) < maxCompare {
			wantDifference(t, x, y)
		}
	})
}

// TestTwistedMIT draws what makes a text that looks like MIT another licence.
func TestTwistedMIT(t *testing.T) {
	t.Parallel()
	mit, ok := Standard("MIT")
	if !ok {
		t.Fatal("no text of MIT")
	}
	twisted := strings.Replace(mit, "The above copyright notice", "Use for military purposes is not permitted. The above copyright notice", 1)
	if twisted == mit {
		t.Fatal("the text of MIT has another form")
	}
	r, err := Known().Identify(twisted)
	if err != nil || len(r.Refs) > 0 || len(r.Candidates) == 0 || r.Candidates[0].Ref != "MIT" {
		t.Fatalf("%v: %+v", err, r)
	}
	d, err := Compare(mit, twisted)
	if err != nil || d.Removed != 0 || !strings.Contains(d.Text(), "{+use for military purposes is not permitted+}") {
		t.Errorf("%v: %s", err, d.Text())
	}
}

func TestStandard(t *testing.T) {
	t.Parallel()
	for _, ref := range []string{"MIT", "Apache-2.0", "GPL-3.0-only", "GPL-3.0-or-later", "AGPL-3.0-only", "MPL-2.0", "ISC", "OFL-1.1", "Unlicense"} {
		s, ok := Standard(ref)
		if !ok {
			t.Errorf("no text of %s", ref)
			continue
		}
		r, err := Known().Identify(s)
		if err != nil || len(r.Refs) != 1 || general(r.Refs[0]) != general(ref) {
			t.Errorf("%s is %+v, %v", ref, r, err)
		}
	}
	for _, ref := range []string{"", "LicenseRef-Teapot", "../Supplement/MIT", "No-Such-1.0", "WTFPL"} {
		if _, ok := Standard(ref); ok {
			t.Errorf("there is a text of %q", ref)
		}
	}
}

// BenchmarkCompare draws how a long licence, of which a part of the words was changed, differs from it.
func BenchmarkCompare(b *testing.B) {
	agpl, ok := Standard("AGPL-3.0-only")
	if !ok {
		b.Fatal("no text of AGPL-3.0")
	}
	words, err := Words(agpl)
	if err != nil {
		b.Fatal(err)
	}
	for name, part := range map[string]float64{"1%": 0.01, "10%": 0.1, "50%": 0.5} {
		changed := strings.Join(mutate(words, part, rand.New(rand.NewPCG(1, 2))), " ")
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Compare(agpl, changed); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
