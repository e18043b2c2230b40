package check_test

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/check"
	"github.com/carat-hub/carat/verify/verifytest"
)

var again = flag.String("detection", "", "damage every model with every seed, in the ways whose names match this regular expression, and rewrite that part of the "+
	"detection table; \"healthy\" stands for the healthy variants; takes minutes")

// seeds is how often each damage is done to each model for the table; detectedHere are the models whose first seed every run of the tests
// tries again.
const seeds = 3

var detectedHere = []string{"llama safetensors", "llama GGUF Q4_K_M", "bert safetensors"}

// rightChecks are those that are about a damage: that another one fails is luck.
var rightChecks = map[string][]string{
	"flipped bits in a weight block":       {"tensors.outliers", "tensors.values"},
	"one NaN":                              {"tensors.values"},
	"a zeroed tensor":                      {"tensors.values", "tensors.constants"},
	"two layers swapped":                   {"run.alternatives", "tensors.layers"},
	"one layer's weights shuffled":         {"tensors.order", "tensors.coupling", "run.alternatives"},
	"wrong rope base":                      {"run.alternatives"},
	"wrong head count that still fits":     {"run.alternatives", "tensors.heads", "structure.shapes", "run.perplexity", "run.outputs"},
	"byte-swapped tensor":                  {"tensors.outliers", "tensors.values", "tensors.order"},
	"truncated shard with repaired header": {"structure.headers", "structure.layout", "structure.index", "structure.shapes", "tensors.values", "tensors.constants", "tensors.outliers"},
	"tokenizer of another model":           {"run.vocabulary", "run.perplexity", "structure.shapes", "structure.headers", "tokenizer.special", "tokenizer.agreement"},
	"vocabulary off by one":                {"structure.shapes", "structure.headers", "run.vocabulary", "run.perplexity"},
	"embedding of another model":           {"run.perplexity", "run.vocabulary", "tensors.outliers"},
	"norm weights at 1":                    {"tensors.constants", "tensors.outliers"},
	"quantization with wrong scales":       {"tensors.outliers", "tensors.values", "tensors.order", "tensors.coupling", "run.alternatives"},
	"wrong chat template":                  {"run.template", "safety.template"},
	"wrong declared base":                  {"lineage.base"},
}

// attempt is one damaged model and what was found.
type attempt struct {
	Seed   int    `json:"seed"`
	What   string `json:"what"`
	State  string `json:"state"`
	Caught string `json:"caught,omitempty"` // the right check that found it, "" when none did
	Warned bool   `json:"warned,omitempty"` // it did not fail
	Other  string `json:"other,omitempty"`  // a check that found something else, where no right one did
}

// detection is what came of all attempts, by damage and model.
type detection struct {
	Models   []string                        `json:"models"`
	Damages  []string                        `json:"damages"`
	Attempts map[string]map[string][]attempt `json:"attempts"`
	Healthy  []string                        `json:"healthy"` // the variants that were tried
	Refused  []string                        `json:"refused"` // those that were said to be broken, with the check
}

const (
	detectionFile = "testdata/detection.json"
	detectionDoc  = "../../docs/VERIFICATION.md"
)

// verifyFiles verifies at level standard.
func verifyFiles(t *testing.T, files verify.Files, bases ...verify.Base) *verify.Report {
	t.Helper()
	return check.Verify(t.Context(), files, verify.RunOptions{Threads: 1, Bases: bases})
}

// found are the checks that failed or warned, the first of each model among the files.
func found(r *verify.Report) map[string]verify.Outcome {
	all := map[string]verify.Outcome{}
	for _, x := range r.Results {
		if x.Outcome == verify.OutcomeFailed || x.Outcome == verify.OutcomeWarned && all[x.ID] == "" {
			all[x.ID] = x.Outcome
		}
	}
	return all
}

// try verifies a damaged model. What the good model was warned of counts for nothing.
func try(t *testing.T, d verifytest.Damage, g verifytest.Good, good map[string]verify.Outcome, seed int) (a attempt, ok bool) {
	t.Helper()
	c, ok := d.Make(t, g, seed)
	if !ok {
		return a, false
	}
	var bases []verify.Base
	if c.Base != nil {
		digest := registry.DigestOf(registry.SHA256, []byte("base"))
		bases = []verify.Base{{Name: "demo/base", Digest: &digest, Files: c.Base.Open(t)}}
	}
	r := verifyFiles(t, c.Model.Open(t), bases...)
	a = attempt{Seed: seed, What: c.What, State: string(r.State)}
	news := found(r)
	for id, before := range good {
		if news[id] == before {
			delete(news, id)
		}
	}
	for _, outcome := range []verify.Outcome{verify.OutcomeFailed, verify.OutcomeWarned} {
		for _, id := range rightChecks[d.Name] {
			if a.Caught == "" && news[id] == outcome {
				a.Caught, a.Warned = id, outcome == verify.OutcomeWarned
			}
		}
	}
	if a.Caught == "" && len(news) > 0 {
		ids := make([]string, 0, len(news))
		for id := range news {
			ids = append(ids, id)
		}
		a.Other = slices.Min(ids)
	}
	return a, true
}

// each calls f for all of a list, two at a time.
func each[T any](list []T, f func(T)) {
	var wg sync.WaitGroup
	limit := make(chan struct{}, 2)
	for _, x := range list {
		limit <- struct{}{}
		wg.Go(func() {
			defer func() { <-limit }()
			f(x)
		})
	}
	wg.Wait()
}

// TestDetection damages good models in every way and compares what verification finds with the table of docs/VERIFICATION.md. A run of
// the tests tries the first seed on some of the models; -detection . does all and rewrites the table.
func TestDetection(t *testing.T) {
	t.Parallel()
	want := readDetection(t)
	redo := func(string) bool { return false }
	if *again != "" {
		redo = regexp.MustCompile(*again).MatchString
	}
	type job struct {
		d    verifytest.Damage
		g    verifytest.Good
		seed int
	}
	var jobs []job
	good := map[string]map[string]verify.Outcome{}
	got := detection{Attempts: map[string]map[string][]attempt{}}
	for _, d := range verifytest.Damages() {
		got.Damages = append(got.Damages, d.Name)
		got.Attempts[d.Name] = map[string][]attempt{}
	}
	for _, g := range verifytest.GoodModels(t) {
		if *again == "" && !slices.Contains(detectedHere, g.Name) {
			continue
		}
		got.Models = append(got.Models, g.Name)
		good[g.Name] = found(verifyFiles(t, g.Model.Open(t)))
		for _, d := range verifytest.Damages() {
			for seed := range seeds {
				if redo(d.Name) || *again == "" && seed == 0 {
					jobs = append(jobs, job{d, g, seed})
				}
			}
		}
	}
	var mu sync.Mutex
	each(jobs, func(j job) {
		a, ok := try(t, j.d, j.g, good[j.g.Name], j.seed)
		mu.Lock()
		defer mu.Unlock()
		if ok {
			got.Attempts[j.d.Name][j.g.Name] = append(got.Attempts[j.d.Name][j.g.Name], a)
		}
	})
	for _, of := range got.Attempts {
		for _, list := range of {
			slices.SortFunc(list, func(a, b attempt) int { return cmp.Compare(a.Seed, b.Seed) })
		}
	}
	if *again != "" {
		for _, d := range got.Damages {
			if !redo(d) {
				got.Attempts[d] = want.Attempts[d]
			}
		}
		if got.Healthy, got.Refused = want.Healthy, want.Refused; redo("healthy") {
			got.Healthy, got.Refused = tryHealthy(t)
		}
		writeDetection(t, got)
		want = got
	}
	for damage, of := range got.Attempts {
		for model, list := range of {
			recorded := want.Attempts[damage][model]
			if diff := gocmp.Diff(recorded[:min(len(recorded), len(list))], list); diff != "" {
				t.Errorf("%s, %s: not as in the table (-table +now):\n%s", damage, model, diff)
			}
		}
	}
	if p, err := os.ReadFile(detectionDoc); err != nil || !strings.Contains(string(p), want.table()) {
		t.Errorf("the table in %s is not that of %s (%v): run with -detection .", detectionDoc, detectionFile, err)
	}
	if len(want.Refused) > 0 || len(want.Healthy) < 20 {
		t.Errorf("of %d healthy variants these are said to be broken: %v", len(want.Healthy), want.Refused)
	}
}

// tryHealthy verifies the healthy variants and tells which of them failed.
func tryHealthy(t *testing.T) (names, refused []string) {
	t.Helper()
	refused = []string{}
	for _, h := range verifytest.HealthyVariants(t) {
		names = append(names, h.Name)
		var bases []verify.Base
		if h.Base != nil {
			digest := registry.DigestOf(registry.SHA256, []byte("base"))
			bases = []verify.Base{{Name: "demo/tiny-llama", Digest: &digest, Files: h.Base.Open(t)}}
		}
		r := verifyFiles(t, h.Open(t), bases...)
		for _, x := range r.Failed() {
			refused = append(refused, h.Name+": "+x.ID+": "+x.Reason)
		}
		if r.State == verify.StateError {
			refused = append(refused, h.Name+": "+r.Summary)
		}
	}
	return names, refused
}

// rate counts the attempts and those that the right check found.
func (d detection) rate() (caught, tried int) {
	for _, of := range d.Attempts {
		for _, list := range of {
			for _, a := range list {
				tried++
				if a.Caught != "" {
					caught++
				}
			}
		}
	}
	return caught, tried
}

// table is the detection table in Markdown, with its sum above it.
func (d detection) table() string {
	var b strings.Builder
	caught, tried := d.rate()
	fmt.Fprintf(&b, "%d of %d damaged models are found by the right check (%.1f %%). Of %d healthy variants, %d are said to be broken.\n\n",
		caught, tried, 100*float64(caught)/float64(max(1, tried)), len(d.Healthy), len(d.Refused))
	b.WriteString("| damage | " + strings.Join(d.Models, " | ") + " |\n|---" + strings.Repeat("|---", len(d.Models)) + "|\n")
	for _, damage := range d.Damages {
		b.WriteString("| " + damage)
		for _, model := range d.Models {
			b.WriteString(" | " + cell(d.Attempts[damage][model]))
		}
		b.WriteString(" |\n")
	}
	b.WriteString("| **all** | " + strings.Join(d.sums(), " | ") + " |\n\n")
	for _, damage := range d.Damages {
		for _, model := range d.Models {
			for _, a := range d.Attempts[damage][model] {
				if a.Caught != "" {
					continue
				}
				other := "nothing is found"
				if a.Other != "" {
					other = a.Other + " finds something"
				}
				fmt.Fprintf(&b, "- not found: %s, %s (%s): %s\n", damage, model, a.What, other)
			}
		}
	}
	return b.String()
}

// sums are how many of the attempts on each model were caught.
func (d detection) sums() (list []string) {
	for _, model := range d.Models {
		one := detection{Attempts: map[string]map[string][]attempt{}}
		for damage, of := range d.Attempts {
			one.Attempts[damage] = map[string][]attempt{model: of[model]}
		}
		caught, tried := one.rate()
		list = append(list, fmt.Sprintf("**%d/%d**", caught, tried))
	}
	return list
}

// cell tells how many of the attempts were caught, and by which checks; those that only warned are marked.
func cell(list []attempt) string {
	if len(list) == 0 {
		return "–"
	}
	caught := 0
	var by []string
	for _, a := range list {
		if a.Caught == "" {
			continue
		}
		caught++
		name := a.Caught
		if a.Warned {
			name += " (warned)"
		}
		if !slices.Contains(by, name) {
			by = append(by, name)
		}
	}
	return strings.TrimSpace(fmt.Sprintf("%d/%d %s", caught, len(list), strings.Join(by, ", ")))
}

func readDetection(t *testing.T) (d detection) {
	t.Helper()
	p, err := os.ReadFile(detectionFile)
	if err != nil {
		if *again != "" {
			return d
		}
		t.Fatal(err)
	}
	if err := json.Unmarshal(p, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// Marks around the table in the document.
const tableBegins, tableEnds = "<!-- detection: begin -->\n", "<!-- detection: end -->\n"

func writeDetection(t *testing.T, d detection) {
	t.Helper()
	p, err := json.MarshalIndent(d, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile(detectionDoc)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(doc), tableBegins)
	_, after, closed := strings.Cut(rest, tableEnds)
	if !ok || !closed {
		t.Fatalf("%s has no place for the table", detectionDoc)
	}
	for name, content := range map[string]string{
		detectionFile: string(p) + "\n", detectionDoc: before + tableBegins + d.table() + tableEnds + after,
	} {
		if err := os.WriteFile(filepath.FromSlash(name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
