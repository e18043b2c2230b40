package licenses

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseExpression(t *testing.T) {
	t.Parallel()
	id := Licence
	tests := []struct {
		in, out string
		want    Expression
	}{
		{"MIT", "MIT", id("MIT")},
		{"  MIT ", "MIT", id("MIT")},
		{"GPL-2.0+", "GPL-2.0+", Expression{ID: "GPL-2.0", OrLater: true}},
		{"GPL-2.0-only with Classpath-exception-2.0", "GPL-2.0-only WITH Classpath-exception-2.0", Expression{ID: "GPL-2.0-only", Exception: "Classpath-exception-2.0"}},
		{"MIT and (Apache-2.0 or LicenseRef-a)", "MIT AND (Apache-2.0 OR LicenseRef-a)", And(id("MIT"), Or(id("Apache-2.0"), id("LicenseRef-a")))},
		{"A OR B AND C", "A OR B AND C", Or(id("A"), And(id("B"), id("C")))},
		{"A AND (B AND C)", "A AND B AND C", And(id("A"), id("B"), id("C"))},
		{"((MIT))", "MIT", id("MIT")},
		{"DocumentRef-x:LicenseRef-y", "DocumentRef-x:LicenseRef-y", id("DocumentRef-x:LicenseRef-y")},
	}
	for _, tt := range tests {
		got, err := ParseExpression(tt.in)
		if err != nil {
			t.Errorf("%q: %v", tt.in, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q: %s", tt.in, diff)
		}
		if got.String() != tt.out {
			t.Errorf("%q is written %q, want %q", tt.in, got, tt.out)
		}
	}
}

func TestParseExpressionRefuses(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"", "()", "MIT AND", "AND MIT", "MIT Apache-2.0", "(MIT", "MIT)", "MIT WITH", "MIT WITH OR", "OR", "mit license", "MIT/Apache-2.0", "Ⅿit", "+",
		strings.Repeat("(", 10_000) + "MIT" + strings.Repeat(")", 10_000),
		strings.Repeat("(", 65) + "MIT" + strings.Repeat(")", 65),
		strings.TrimSuffix(strings.Repeat("A OR ", 257), " OR "), strings.Repeat("a", 200),
	} {
		if e, err := ParseExpression(in); !errors.Is(err, ErrExpression) {
			t.Errorf("%.40q gives %q, %v", in, e, err)
		}
	}
}

func FuzzParseExpression(f *testing.F) {
	for _, s := range []string{"MIT", "(A OR B) AND C WITH D", "A+ or b", "((", "A AND OR B"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := ParseExpression(s)
		if err != nil {
			return
		}
		again, err := ParseExpression(e.String())
		if err != nil {
			t.Fatalf("%q is written %q, which cannot be read: %v", s, e, err)
		}
		if diff := cmp.Diff(e, again); diff != "" {
			t.Fatal(diff)
		}
	})
}
