package term

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/licenses/lineage"
	"github.com/carat-hub/carat/licenses/openness"
)

var update = flag.Bool("update", false, "write the golden files")

func work(name, expression string, edges ...lineage.Edge) *lineage.Work {
	w := &lineage.Work{ID: name, Name: name, Declared: expression, Edges: edges}
	if e, err := licenses.ParseExpression(expression); err == nil {
		w.Expression = e
	}
	return w
}

func from(r lineage.Relation, to string) lineage.Edge {
	return lineage.Edge{To: to, Relation: r, Origin: lineage.FromCard}
}

func graph(works ...*lineage.Work) *lineage.Graph {
	g := &lineage.Graph{Root: works[0].ID, Works: map[string]*lineage.Work{}}
	for _, w := range works {
		g.Works[w.ID] = w
	}
	return g
}

func ptr[T any](v T) *T { return &v }

// quantized is a Q4 of a fine-tune of Llama 4.
func quantized() *lineage.Graph {
	g := graph(work("acme/Llama-4-Acme-Q4", "llama4", from(lineage.Quantized, "acme/Llama-4-Acme")),
		work("acme/Llama-4-Acme", "llama4", from(lineage.FineTune, "meta-llama/Llama-4-Scout")), work("meta-llama/Llama-4-Scout", "llama4"))
	for _, w := range g.Works {
		w.Modality = lineage.Multimodal
	}
	return g
}

func TestAsk(t *testing.T) {
	t.Parallel()
	mixed := graph(work("a/x", "Apache-2.0", from(lineage.FineTune, "b/y")), work("b/y", "CC-BY-NC-4.0"))
	tests := []struct {
		name    string
		g       *lineage.Graph
		q       Question
		want    Verdict
		because string // in one of the reasons of that verdict
		on      string // one of what it depends on
	}{
		{"a product with 5 million users in France, from a Q4 of a fine-tune of Llama 4", quantized(), Question{Commercial: ptr(true), MonthlyUsers: ptr(int64(5e6)), Country: "FR"}, No, "grants nothing in FR", ""},
		{"the same in the United States", quantized(), Question{Commercial: ptr(true), MonthlyUsers: ptr(int64(5e6)), Country: "US"}, Yes, "", ""},
		{"with a billion users", quantized(), Question{Commercial: ptr(true), MonthlyUsers: ptr(int64(1e9)), Country: "US"}, No, "only up to 700 million monthly users", ""},
		{"nobody says how many", quantized(), Question{Commercial: ptr(true), Country: "US"}, Depends, "", "the number of monthly users"},
		{"nobody says where", quantized(), Question{Commercial: ptr(true), MonthlyUsers: ptr(int64(5))}, Depends, "", "the country"},
		{"nobody says what for", quantized(), Question{MonthlyUsers: ptr(int64(5)), Country: "US"}, Depends, "", "whether the use is commercial"},
		{"open", graph(work("a/x", "MIT")), Question{Commercial: ptr(true), Derive: true, Redistribute: true, TrainOnOutputs: true, Host: true}, Yes, "", ""},
		{"an ancestor forbids it", mixed, Question{Commercial: ptr(true)}, No, "CC Attribution-NonCommercial 4.0 does not permit commercial use", ""},
		{"not for money", mixed, Question{Commercial: ptr(false), Redistribute: true}, Yes, "", ""},
		{"outputs of Llama 2", graph(work("a/x", "llama2")), Question{Commercial: ptr(false), TrainOnOutputs: true}, No, "improve other language models", ""},
		{"no derivatives", graph(work("a/x", "CC-BY-ND-4.0")), Question{Commercial: ptr(true), Derive: true, Redistribute: true}, No, "changed versions", ""},
		{"derivatives kept at home", graph(work("a/x", "CC-BY-ND-4.0")), Question{Commercial: ptr(true), Derive: true}, Yes, "", ""},
		{"for research", graph(work("a/x", "apple-amlr")), Question{Commercial: ptr(false), Purpose: "research", Derive: true}, Yes, "", ""},
		{"for production", graph(work("a/x", "apple-amlr")), Question{Commercial: ptr(true), Derive: true}, No, "commercial use", ""},
		{"revenue", graph(work("a/x", "other:stability-ai-community")), Question{Commercial: ptr(true), AnnualRevenue: ptr(int64(2e6))}, No, "1 million USD", ""},
		{"revenue in another currency", graph(work("a/x", "other:stability-ai-community")), Question{Commercial: ptr(true), AnnualRevenue: ptr(int64(2e5)), Currency: "EUR"}, Depends, "", "the annual revenue in USD"},
		{"unknown", graph(work("a/x", "openrail")), Question{Commercial: ptr(false)}, Depends, "", ""},
		{"a base that nobody knows", graph(work("a/x", "MIT", from(lineage.FineTune, "b/y"))), Question{Commercial: ptr(true)}, Depends, "nothing is known", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, w := range tt.g.Works { // ids of the catalogue are written for expressions
				if f, ok := licenses.Lookup(w.Declared); ok && len(w.Expression.Parts) == 0 {
					w.Expression = licenses.Licence(f.SPDX)
				}
			}
			a := Ask(tt.g, tt.q)
			found := tt.because == ""
			for _, r := range a.Because {
				found = found || r.Verdict == tt.want && strings.Contains(r.Words, tt.because)
			}
			if a.Verdict != tt.want || !found || tt.on != "" && !slices.Contains(a.DependsOn, tt.on) {
				t.Errorf("%+v", a)
			}
		})
	}
}

// TestPath: an answer names the way to the ancestor that it rests on.
func TestPath(t *testing.T) {
	t.Parallel()
	a := Ask(graph(work("a/x", "MIT", from(lineage.Quantized, "b/y")), work("b/y", "Apache-2.0", from(lineage.FineTune, "c/z")), work("c/z", "CC-BY-NC-4.0")), Question{Commercial: ptr(true)})
	i := slices.IndexFunc(a.Because, func(r Reason) bool { return r.Verdict == No })
	if i < 0 {
		t.Fatalf("%+v", a)
	}
	want := Source{
		Licence: "CC-BY-NC-4.0", Name: "CC Attribution-NonCommercial 4.0", Section: "2.a.1", From: "c/z", Checked: true,
		Path: []lineage.Step{{Relation: lineage.Quantized, Origin: lineage.FromCard, To: "b/y"}, {Relation: lineage.FineTune, Origin: lineage.FromCard, To: "c/z"}},
	}
	if diff := cmp.Diff(want, a.Because[i].Source); diff != "" {
		t.Error(diff)
	}
}

func TestStatements(t *testing.T) {
	t.Parallel()
	hidden := work("secret/y", "CC-BY-NC-4.0")
	hidden.Hidden = true
	for name, g := range map[string]*lineage.Graph{
		"llama4":  quantized(),
		"mit":     graph(work("a/x", "MIT")),
		"merge":   graph(work("a/x", "Apache-2.0 AND CC-BY-NC-4.0", from(lineage.Merge, "b/y"), from(lineage.Merge, "c/z")), work("b/y", "Apache-2.0"), work("c/z", "CC-BY-NC-4.0")),
		"unknown": graph(work("a/x", "mine")),
		"hidden":  graph(work("a/x", "MIT", from(lineage.FineTune, "secret/y")), hidden),
	} {
		for _, w := range g.Works {
			if f, ok := licenses.Lookup(w.Declared); ok {
				w.Expression = licenses.Licence(f.SPDX)
			}
		}
		s := New(g)
		path := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(path, []byte(s.Text()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), s.Text()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
		if strings.Contains(s.Text(), "secret") {
			t.Errorf("%s names what is hidden", name)
		}
		if len(s.Unclear) > 0 && s.Openness != licenses.OpennessUnclear {
			t.Errorf("%s: %s although something is unclear", name, s.Openness)
		}
	}
}

// fifty is a lineage of 50 works under licences of all kinds.
func fifty() *lineage.Graph {
	var works []*lineage.Work
	for i := range 50 {
		w := work(fmt.Sprintf("org/model-%d", i), []string{"LicenseRef-scancode-llama-3.1-license-2024", "Apache-2.0", "MIT", "CC-BY-NC-4.0", "GPL-3.0-only"}[i%5])
		for _, j := range []int{2*i + 1, 2*i + 2} {
			if j < 50 {
				w.Edges = append(w.Edges, from([]lineage.Relation{lineage.FineTune, lineage.Merge, lineage.Quantized}[j%3], fmt.Sprintf("org/model-%d", j)))
			}
		}
		works = append(works, w)
	}
	return graph(works...)
}

// BenchmarkLineage evaluates terms, findings and openness of a lineage of 50 works.
func BenchmarkLineage(b *testing.B) {
	g := fifty()
	in := openness.Input{
		Access: openness.AccessOpen, Distribution: openness.Licence{Expression: licenses.Licence("MIT"), Text: openness.Stored, Match: openness.MatchSame},
		Claims: []openness.Claim{{Component: openness.Parameters, Evidence: []openness.Evidence{{Grade: openness.Stored}}}},
	}
	for b.Loop() {
		New(g)
		lineage.Evaluate(g, lineage.Options{})
		openness.Evaluate(in)
	}
}

func TestPermissionsOfAll(t *testing.T) {
	t.Parallel()
	apache := work("a/x", "Apache-2.0", from(lineage.FineTune, "b/y"))
	tests := []struct {
		name       string
		base       *lineage.Work
		commercial licenses.Answer
		by         string
	}{
		{"open", work("b/y", "MIT"), licenses.AnswerYes, ""},
		{"with a limit", work("b/y", "llama3.1"), licenses.AnswerConditional, "b/y"},
		{"not commercial", work("b/y", "CC-BY-NC-4.0"), licenses.AnswerNo, "b/y"},
		{"not known", &lineage.Work{ID: "b/y", Name: "b/y", Unknown: true}, licenses.AnswerUnknown, ""},
		{"none", work("b/y", ""), licenses.AnswerUnknown, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := New(graph(apache, tt.base))
			if s.Commercial.Answer != tt.commercial || s.Commercial.From != tt.by {
				t.Errorf("commercial: %+v", s.Commercial)
			}
		})
	}
}
