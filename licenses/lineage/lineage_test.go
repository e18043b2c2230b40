package lineage

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/licenses"
)

// work is a work with all that its own licence asks of it.
func work(name, expression string, change ...func(*Work)) *Work {
	w := &Work{ID: name, Name: name, Declared: expression}
	if e, err := licenses.ParseExpression(expression); err == nil {
		w.Expression = e
	}
	for _, c := range change {
		c(w)
	}
	return w
}

func edge(r Relation, to string) func(*Work) {
	return func(w *Work) { w.Edges = append(w.Edges, Edge{To: to, Relation: r, Origin: FromCard}) }
}

// keeps adds what licences want to come with copies.
func keeps(notice string, refs ...string) func(*Work) {
	return func(w *Work) {
		w.Text, w.Notice, w.Changes = Text{Contains: refs, There: true}, notice, true
	}
}

func card(text string) func(*Work) { return func(w *Work) { w.Card = text } }
func dataset(w *Work)              { w.Dataset = true }
func manual(w *Work)               { w.Access = AccessManual }
func multimodal(w *Work)           { w.Modality = Multimodal }
func textOnly(w *Work)             { w.Modality = ModalityText }
func text(refs, contains []string) func(*Work) {
	return func(w *Work) { w.Text = Text{Refs: refs, Contains: contains, There: true} }
}

// graph has the first work as its root.
func graph(works ...*Work) *Graph {
	g := &Graph{Root: works[0].ID, Works: map[string]*Work{}}
	for _, w := range works {
		g.Works[w.ID] = w
	}
	return g
}

const (
	llama2  = "LicenseRef-scancode-llama-2-license-2023"
	llama3  = "LicenseRef-Meta-Llama-3"
	llama31 = "LicenseRef-scancode-llama-3.1-license-2024"
	llama32 = "LicenseRef-scancode-llama-3.2-license-2024"

	notice3  = "Meta Llama 3 is licensed under the Meta Llama 3 Community License, Copyright © Meta Platforms, Inc. All Rights Reserved."
	notice31 = "Llama 3.1 is licensed under the Llama 3.1 Community License, Copyright © Meta Platforms, Inc. All Rights Reserved."
)

var (
	base2  = work("meta-llama/Llama-2-7b", llama2)
	base3  = work("meta-llama/Meta-Llama-3-70B", llama3)
	base31 = work("meta-llama/Llama-3.1-8B", llama31)
	base32 = work("meta-llama/Llama-3.2-11B-Vision", llama32)
)

// TestRules has for every rule cases that it fires at and cases that it does not. Those with names of models are from discussions of
// these models where they are published, as they were then.
func TestRules(t *testing.T) {
	t.Parallel()
	eu := Options{Regions: []string{"FR"}}
	tests := []struct {
		rule  string
		name  string
		fires bool
		g     *Graph
		o     Options
	}{
		{"L01", "AIDX-ktds/ktdsbaseLM-v0.13, of Llama 3.1, as Apache-2.0", true, graph(work("AIDX-ktds/ktdsbaseLM-v0.13-onbased-llama3.1", "Apache-2.0", edge(FineTune, base31.ID)), base31), Options{}},
		{"L01", "with the licence of Llama 3.1", false, graph(work("a/Llama-x", llama31, edge(FineTune, base31.ID)), base31), Options{}},
		{"L01", "with both", false, graph(work("a/Llama-x", llama31+" AND Apache-2.0", edge(FineTune, base31.ID)), base31), Options{}},
		{"L01", "as a choice", true, graph(work("a/Llama-x", llama31+" OR Apache-2.0", edge(FineTune, base31.ID)), base31), Options{}},
		{"L01", "two steps away", true, graph(work("a/x", "MIT", edge(Quantized, "a/y")), work("a/y", llama31, edge(FineTune, base31.ID)), base31), Options{}},
		{"L01", "of a permissive base", false, graph(work("a/x", "MIT", edge(FineTune, "b/y")), work("b/y", "Apache-2.0")), Options{}},

		{"L02", "MaziyarPanahi/Meta-Llama-3-70B-Instruct-GPTQ, as Apache-2.0", true, graph(work("MaziyarPanahi/Meta-Llama-3-70B-Instruct-GPTQ", "Apache-2.0", edge(Quantized, base3.ID)), base3), Options{}},
		{"L02", "the same when mended", false, graph(work("MaziyarPanahi/Meta-Llama-3-70B-Instruct-GPTQ", llama3, edge(Quantized, base3.ID)), base3), Options{}},
		{"L02", "permissive, relicensed", true, graph(work("a/x", "MIT", edge(Convert, "b/y")), work("b/y", "Apache-2.0")), Options{}},
		{"L02", "a fine-tune may have another one", false, graph(work("a/x", "MIT", edge(FineTune, "b/y")), work("b/y", "Apache-2.0")), Options{}},

		{"L03", "nvidia/ChatQA-1.5, before it was renamed", true, graph(work("nvidia/ChatQA-1.5-70B", llama3, edge(FineTune, base3.ID)), base3), Options{}},
		{"L03", "nvidia/Llama3-ChatQA-1.5", false, graph(work("nvidia/Llama3-ChatQA-1.5-70B", llama3, edge(FineTune, base3.ID)), base3), Options{}},
		{"L03", "fireworks-ai/firefunction-v2", true, graph(work("fireworks-ai/firefunction-v2", llama3, edge(FineTune, base3.ID)), base3), Options{}},
		{"L03", "Trendyol/Llama-3-Trendyol-LLM-8b-chat-v2.0", false, graph(work("Trendyol/Llama-3-Trendyol-LLM-8b-chat-v2.0", llama3, edge(FineTune, base3.ID)), base3), Options{}},
		{"L03", "swap-uniba/LLaMAntino-3-ANITA", true, graph(work("swap-uniba/LLaMAntino-3-ANITA-8B-Inst-DPO-ITA", llama3, edge(FineTune, base3.ID)), base3), Options{}},
		{"L03", "a quantization is no other model", false, graph(work("a/x-GGUF", llama3, edge(Quantized, base3.ID)), base3), Options{}},
		{"L03", "trained on outputs of Llama 3.1", true, graph(work("a/x", "Apache-2.0", edge(Outputs, base31.ID)), base31), Options{}},

		{"L04", "without notice and copy", true, graph(work("a/Llama-3-x", llama3, edge(FineTune, base3.ID)), base3), Options{}},
		{"L04", "with both", false, graph(work("a/Llama-3-x", llama3, edge(FineTune, base3.ID), keeps("x\n"+strings.ReplaceAll(notice3, " ", "\n"), llama3)), base3), Options{}},
		{"L04", "with the notice of another version", true, graph(work("a/Llama-3-x", llama3, edge(FineTune, base3.ID), keeps(notice31, llama3)), base3), Options{}},

		{"L05", "the card does not say it", true, graph(work("a/Llama-x", llama31, edge(FineTune, base31.ID), card("# x")), base31), Options{}},
		{"L05", "the card says it", false, graph(work("a/Llama-x", llama31, edge(FineTune, base31.ID), card("**built with Llama**")), base31), Options{}},

		{"L06", "of a model for research", true, graph(work("a/x", "Apache-2.0", edge(FineTune, "b/y")), work("b/y", "CC-BY-NC-4.0")), Options{}},
		{"L06", "non-commercial too", false, graph(work("a/x", "CC-BY-NC-SA-4.0", edge(FineTune, "b/y")), work("b/y", "CC-BY-NC-4.0")), Options{}},
		{"L06", "a dataset is L07", false, graph(work("a/x", "Apache-2.0", edge(Dataset, "b/y")), work("b/y", "CC-BY-NC-4.0", dataset)), Options{}},

		{"L07", "data that is not for commercial use", true, graph(work("a/x", "Apache-2.0", edge(Dataset, "b/y")), work("b/y", "CC-BY-NC-4.0", dataset)), Options{}},
		{"L07", "data without derivatives", true, graph(work("a/x", "Apache-2.0", edge(Dataset, "b/y")), work("b/y", "CC-BY-ND-4.0", dataset)), Options{}},
		{"L07", "open data", false, graph(work("a/x", "Apache-2.0", edge(Dataset, "b/y")), work("b/y", "CC-BY-4.0", dataset)), Options{}},

		{"L08", "restrictions on use stripped", true, graph(work("a/x", "MIT", edge(FineTune, "b/sd")), work("b/sd", "creativeml-openrail-m")), Options{}},
		{"L08", "restrictions of another licence", false, graph(work("a/x", "bigcode-openrail-m", edge(FineTune, "b/sd")), work("b/sd", "bigscience-openrail-m")), Options{}},
		{"L08", "the same licence", false, graph(work("a/x", "creativeml-openrail-m", edge(FineTune, "b/sd")), work("b/sd", "creativeml-openrail-m")), Options{}},

		{"L09", "trained on a dataset that Llama 2 wrote", true, graph(work("a/x", "Apache-2.0", edge(Dataset, "d/d")), work("d/d", "CC-BY-4.0", dataset, edge(Outputs, base2.ID)), base2), Options{}},
		{"L09", "another Llama may", false, graph(work("a/Llama-x", llama2, edge(Outputs, base2.ID)), base2), Options{}},
		{"L09", "free outputs", false, graph(work("a/x", "Apache-2.0", edge(Outputs, "b/y")), work("b/y", "MIT")), Options{}},
		{"L09", "outputs that are derivatives flow like weights", false, graph(work("a/x", "Apache-2.0", edge(Distill, "b/g")), work("b/g", "gemma")), Options{}},
		{"L08", "distilled from Gemma", true, graph(work("a/x", "Apache-2.0", edge(Distill, "b/g")), work("b/g", "gemma")), Options{}},

		{"L10", "changed without leave", true, graph(work("a/x", "CC-BY-ND-4.0", edge(FineTune, "b/y")), work("b/y", "CC-BY-ND-4.0")), Options{}},
		{"L10", "a copy", false, graph(work("a/x", "CC-BY-ND-4.0", edge(Copy, "b/y")), work("b/y", "CC-BY-ND-4.0")), Options{}},

		{"L11", "two share-alike parents", true, graph(work("a/x", "CC-BY-NC-SA-4.0 AND AGPL-3.0-only", edge(Merge, "b/y"), edge(Merge, "c/z")), work("b/y", "CC-BY-NC-SA-4.0"), work("c/z", "AGPL-3.0-only")), Options{}},
		{"L11", "two that go together", false, graph(work("a/x", "GPL-3.0-only AND AGPL-3.0-only", edge(Merge, "b/y"), edge(Merge, "c/z")), work("b/y", "GPL-3.0-only"), work("c/z", "AGPL-3.0-only")), Options{}},

		{"L12", "multimodal Llama 3.2", true, graph(work("a/Llama-x", llama32, edge(FineTune, base32.ID), multimodal), base32), eu},
		{"L12", "text only", false, graph(work("a/Llama-x", llama32, edge(FineTune, base32.ID), textOnly), base32), eu},
		{"L12", "a territory, wherever it is offered", true, graph(work("a/x", "LicenseRef-Tencent-Hunyuan-Community")), Options{}},

		{"L13", "700 million users", true, graph(work("a/Llama-x", llama31, edge(FineTune, base31.ID)), base31), Options{}},
		{"L13", "no limit", false, graph(work("a/x", "MIT")), Options{}},

		{"L14", "llama3 declared on a Llama 3.1 base", true, graph(work("a/Llama-3-x", llama3, edge(FineTune, base31.ID)), base31), Options{}},
		{"L14", "the right version", false, graph(work("a/Llama-3-x", llama31, edge(FineTune, base31.ID)), base31), Options{}},

		{"L15", "mit, with the text of Kimi K2's", true, graph(work("a/x", "MIT", text([]string{"LicenseRef-scancode-moonshot-ai-modified-mit-2025"}, nil))), Options{}},
		{"L15", "mit, with more behind its text", true, graph(work("a/x", "MIT", text(nil, []string{"MIT"}))), Options{}},
		{"L15", "mit, with its text", false, graph(work("a/x", "MIT", text([]string{"MIT"}, []string{"MIT"}))), Options{}},
		{"L15", "no text", false, graph(work("a/x", "MIT")), Options{}},

		{"L16", "a base that is only named", true, graph(work("a/x", "MIT", edge(FineTune, "b/y"))), Options{}},
		{"L16", "a base without a licence", true, graph(work("a/x", "MIT", edge(FineTune, "b/y")), work("b/y", "")), Options{}},
		{"L16", "a family is no licence", true, graph(work("a/x", "openrail")), Options{}},
		{"L16", "all is known", false, graph(work("a/x", "MIT", edge(FineTune, "b/y")), work("b/y", "MIT")), Options{}},

		{"L17", "a merge under one of two licences", true, graph(work("a/x", "Apache-2.0", edge(Merge, "b/y"), edge(Merge, "c/z")), work("b/y", "Apache-2.0"), work("c/z", "MIT")), Options{}},
		{"L17", "under a choice of both", true, graph(work("a/x", "Apache-2.0 OR MIT", edge(Merge, "b/y"), edge(Merge, "c/z")), work("b/y", "Apache-2.0"), work("c/z", "MIT")), Options{}},
		{"L17", "under both", false, graph(work("a/x", "Apache-2.0 AND MIT", edge(Merge, "b/y"), edge(Merge, "c/z")), work("b/y", "Apache-2.0"), work("c/z", "MIT")), Options{}},

		{"L18", "a chosen few, then everybody", true, graph(work("a/x", "LicenseRef-Mistral-MRL-0.1", edge(FineTune, "b/y")), work("b/y", "LicenseRef-FLUX1-dev-NC-1.1.1", manual)), Options{}},
		{"L18", "with the right to pass it on", false, graph(work("a/Llama-x", llama31, edge(FineTune, "b/y")), work("b/y", llama31, manual)), Options{}},
	}
	seen := map[string][2]bool{}
	for _, tt := range tests {
		r := Evaluate(tt.g, tt.o)
		var fired *Finding
		for i := range r.Findings {
			if r.Findings[i].Rule == tt.rule {
				fired = &r.Findings[i]
			}
		}
		if (fired != nil) != tt.fires {
			t.Errorf("%s, %s: fired %v, want %v: %+v", tt.rule, tt.name, fired != nil, tt.fires, r.Findings)
		}
		if fired != nil && (fired.Message == "" || fired.ID == "" || fired.Severity == "") {
			t.Errorf("%s, %s: %+v", tt.rule, tt.name, fired)
		}
		s := seen[tt.rule]
		if tt.fires {
			s[0] = true
		} else {
			s[1] = true
		}
		seen[tt.rule] = s
	}
	for n := 1; n <= 18; n++ {
		if rule := fmt.Sprintf("L%02d", n); seen[rule] != [2]bool{true, true} {
			t.Errorf("%s has no case that it fires at, or none that it does not", rule)
		}
	}
}

func TestClauseAndFix(t *testing.T) {
	t.Parallel()
	r := Evaluate(graph(work("acme/assistant", "Apache-2.0", edge(FineTune, base31.ID)), base31), Options{})
	i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Rule == "L01" })
	if i < 0 {
		t.Fatal("not found")
	}
	f := r.Findings[i]
	want := Finding{
		ID: f.ID, Rule: "L01", Severity: SeverityError, Against: "meta-llama/Llama-3.1-8B",
		Message: "it is fine-tuned from meta-llama/Llama-3.1-8B; the Llama 3.1 Community License demands the agreement and its acceptable-use policy to be passed on with derivatives, and Apache-2.0 is declared",
		Path:    []Step{{FineTune, FromCard, "meta-llama/Llama-3.1-8B"}},
		Clause:  &Clause{Licence: llama31, Name: "Llama 3.1 Community License", Section: "1.b.i", URL: "https://github.com/meta-llama/llama-models/blob/main/models/llama3_1/LICENSE"},
		Fixes:   []Fix{{Kind: FixLicense, Text: "declare " + llama31 + " (license: llama3.1)", Where: "README.md", Declare: llama31}},
	}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Error(diff)
	}
}

func TestWaivers(t *testing.T) {
	t.Parallel()
	g := graph(work("a/x", "MIT", edge(FineTune, "b/y")), work("b/y", "CC-BY-NC-4.0"))
	now := time.Unix(1000, 0)
	r := Evaluate(g, Options{Now: now})
	if r.Errors() == 0 {
		t.Fatal("no error to waive")
	}
	var waivers []Waiver
	for _, f := range r.Findings {
		waivers = append(waivers, Waiver{Finding: f.ID, Reason: "a licence was bought", By: "anna", Expires: now.Add(time.Hour)})
	}
	if r := Evaluate(g, Options{Now: now, Waivers: waivers}); r.Errors() != 0 || len(r.Findings) == 0 || r.Findings[0].Waived == nil {
		t.Errorf("waived: %+v", r.Findings)
	}
	if r := Evaluate(g, Options{Now: now.Add(2 * time.Hour), Waivers: waivers}); r.Errors() == 0 {
		t.Error("waivers hold after they have expired")
	}
	if r := Evaluate(g, Options{Severities: map[string]Severity{"L06": SeverityInfo, "L04": ""}}); r.Errors() != 0 || slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Rule == "L04" }) {
		t.Errorf("with other severities: %+v", r.Findings)
	}
}

// TestHidden: nothing of what the reader cannot see shows.
func TestHidden(t *testing.T) {
	t.Parallel()
	secret := work("secret/project-x", llama31, edge(FineTune, "secret/base"), card("classified"), keeps("hush"))
	secret.Hidden = true
	r := Evaluate(graph(work("a/x", "MIT", edge(FineTune, secret.ID)), secret, work("secret/base", "CC-BY-NC-4.0")), Options{})
	if !r.Unknown {
		t.Error("the terms are said to be known")
	}
	if s := fmt.Sprintf("%+v", r); strings.Contains(s, "secret") || strings.Contains(s, "lama") || strings.Contains(s, "NC") || !strings.Contains(s, Hidden) {
		t.Errorf("%s", s)
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	circle := Evaluate(graph(work("a/x", "MIT", edge(FineTune, "a/y")), work("a/y", "MIT", edge(FineTune, "a/x"))), Options{})
	itself := Evaluate(graph(work("a/x", "MIT", edge(Quantized, "a/x"))), Options{})
	var works []*Work
	for i := range 10_000 {
		works = append(works, work(fmt.Sprintf("a/%d", i), "MIT", edge(FineTune, fmt.Sprintf("a/%d", i+1))))
	}
	long := Evaluate(graph(works...), Options{})
	wide := work("b/x", "MIT")
	for i := range 10_000 {
		edge(Merge, fmt.Sprintf("a/%d", i))(wide)
	}
	broad := Evaluate(graph(append([]*Work{wide}, works...)...), Options{})
	var dense []*Work // every one comes from all behind it
	for i := range 300 {
		w := work(fmt.Sprintf("c/%d", i), "MIT")
		for j := i + 1; j < 300; j++ {
			edge(FineTune, fmt.Sprintf("c/%d", j))(w)
		}
		dense = append(dense, w)
	}
	if r := Evaluate(graph(dense...), Options{}); r.Unknown {
		t.Errorf("a dense lineage: %+v", r.Findings[0])
	}
	for name, r := range map[string]Report{"a circle": circle, "itself": itself, "a long lineage": long, "a broad one": broad} {
		if !r.Unknown {
			t.Errorf("%s: not said to be unknown", name)
		}
	}
	if r := Evaluate(&Graph{Root: "nothing"}, Options{}); len(r.Findings) != 0 {
		t.Errorf("an empty graph: %+v", r)
	}
}

// TestMoreRestrictions: another ancestor takes no error away.
func TestMoreRestrictions(t *testing.T) {
	t.Parallel()
	expressions := []string{"MIT", "Apache-2.0", llama31, "CC-BY-NC-4.0", "GPL-3.0-only", "gemma", "LicenseRef-unknown", "MIT OR " + llama31}
	relations := []Relation{FineTune, Quantized, Merge, Dataset, Outputs, Adapter, Distill}
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 9))
		var works []*Work
		for i := range 6 {
			w := work(fmt.Sprintf("a/%d", i), expressions[rng.IntN(len(expressions))])
			for j := i + 1; j < 6; j++ {
				if rng.IntN(3) == 0 {
					edge(relations[rng.IntN(len(relations))], fmt.Sprintf("a/%d", j))(w)
				}
			}
			works = append(works, w)
		}
		before := Evaluate(graph(works...), Options{})
		if diff := cmp.Diff(before, Evaluate(graph(works...), Options{})); diff != "" {
			t.Fatalf("seed %d: not deterministic: %s", seed, diff)
		}
		more := work("b/more", expressions[rng.IntN(len(expressions))])
		edge(relations[rng.IntN(len(relations))], more.ID)(works[rng.IntN(6)])
		after := Evaluate(graph(append(works, more)...), Options{})
		for _, f := range before.Findings {
			if f.Severity == SeverityError && f.Rule != "L11" && !slices.ContainsFunc(after.Findings, func(x Finding) bool { return x.ID == f.ID }) {
				t.Fatalf("seed %d: %+v is gone", seed, f)
			}
		}
	}
}

// fifty is a lineage of 50 works: fine-tunes of merges of fine-tunes, with datasets.
func fifty() *Graph {
	var works []*Work
	for i := range 50 {
		w := work(fmt.Sprintf("org/model-%d", i), []string{llama31, "Apache-2.0", "MIT", "gemma", "CC-BY-NC-4.0"}[i%5], keeps(notice31, llama31), card("Built with Llama"))
		for _, j := range []int{2*i + 1, 2*i + 2} {
			if j < 50 {
				edge([]Relation{FineTune, Merge, Quantized, Dataset, Outputs}[j%5], fmt.Sprintf("org/model-%d", j))(w)
			}
		}
		works = append(works, w)
	}
	return graph(works...)
}

func BenchmarkEvaluate(b *testing.B) {
	g := fifty()
	for b.Loop() {
		Evaluate(g, Options{})
	}
}
