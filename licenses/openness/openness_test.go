package openness

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/licenses"
)

// licence is a licence with its text stored and recognised.
func licence(t testing.TB, expression string) Licence {
	t.Helper()
	e, err := licenses.ParseExpression(expression)
	if err != nil {
		t.Fatal(err)
	}
	return Licence{Expression: e, Text: Stored, Match: MatchSame}
}

func claim(c Component, g Grade) Claim {
	return Claim{Component: c, Evidence: []Evidence{{Grade: g, From: "file"}}}
}

// release has the components at a grade, under a licence.
func release(t testing.TB, expression string, g Grade, list ...Component) Input {
	t.Helper()
	in := Input{Access: AccessOpen, Distribution: licence(t, expression)}
	for _, c := range list {
		in.Claims = append(in.Claims, claim(c, g))
	}
	return in
}

var (
	classThree = []Component{Architecture, Parameters, TechnicalReport, EvaluationResults, ModelCard, DataCard}
	classTwo   = append(slices.Clone(classThree), TrainingCode, InferenceCode, EvaluationCode, EvaluationData)
	classOne   = append(slices.Clone(classTwo), ResearchPaper, Preprocessing, Datasets, Checkpoints)
)

func TestLadder(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name              string
		in                Input
		claimed, verified Level
		label             string // of what is verified
	}{
		{"nothing", Input{Access: AccessOpen}, Closed, Closed, ""},
		{"weights elsewhere", release(t, "MIT", Stated, Parameters), Open, Closed, ""},
		{"no licence", Input{Access: AccessOpen, Claims: []Claim{claim(Parameters, Stored)}}, Unclear, Unclear, ""},
		{"unknown licence", release(t, "LicenseRef-mine", Stored, Parameters), Unclear, Unclear, ""},
		{"family", release(t, "openrail", Stored, Parameters), Unclear, Unclear, ""},
		{"none", release(t, "NONE", Stored, Parameters), Unclear, Unclear, ""},
		{"llama", release(t, "llama3.1", Stored, Parameters), Restricted, Restricted, "use-policy"},
		{"research only", release(t, "LicenseRef-Mistral-MRL-0.1", Stored, Parameters), Restricted, Restricted, "research"},
		{"non-commercial", release(t, "CC-BY-NC-4.0", Stored, Parameters), Restricted, Restricted, "non-commercial"},
		{"no derivatives", release(t, "CC-BY-ND-4.0", Stored, Parameters), Restricted, Restricted, "no-derivatives"},
		{"territory", release(t, "LicenseRef-MiniMax-H3-Community", Stored, Parameters), Restricted, Restricted, "territory"},
		{"scale", release(t, "LicenseRef-scancode-qwen-2024", Stored, Parameters), Restricted, Restricted, "scale"},
		{"branding", release(t, "LicenseRef-scancode-moonshot-ai-modified-mit-2025", Stored, Parameters), Restricted, Restricted, "branding"},
		{"worse of two", release(t, "llama3.1 AND CC-BY-NC-4.0", Stored, Parameters), Restricted, Restricted, "non-commercial"},
		{"choice", release(t, "llama3.1 OR MIT", Stored, Parameters), Open, Open, "permissive"},
		{"permissive", release(t, "Apache-2.0", Stored, Parameters), Open, Open, "permissive"},
		{"copyleft", release(t, "GPL-3.0-only", Stored, Parameters), Open, Open, "copyleft"},
		{"copyleft with another", release(t, "MIT AND GPL-3.0-only", Stored, Parameters), Open, Open, "copyleft"},
		{"class III", release(t, "Apache-2.0", Stored, classThree...), OpenModel, OpenModel, "permissive"},
		{"class II", release(t, "Apache-2.0", Stored, classTwo...), OpenTools, OpenTools, "permissive"},
		{"class I", release(t, "Apache-2.0", Stored, classOne...), OpenScience, OpenScience, "permissive"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := Evaluate(tt.in)
			if r.Claimed.Level != tt.claimed || r.Verified.Level != tt.verified || r.Verified.Label != tt.label {
				t.Errorf("claimed %d, verified %d %q; want %d, %d %q\n%v", r.Claimed.Level, r.Verified.Level, r.Verified.Label, tt.claimed, tt.verified, tt.label, r.Verified.Reasons)
			}
			if r.Verified.Level < OpenSource && len(r.Verified.Blockers) == 0 {
				t.Error("nothing is said to keep it from the next level")
			}
		})
	}
}

func TestWhatMakesTermsUnclear(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Input){
		"no text":          func(in *Input) { in.Distribution.Text = None },
		"text elsewhere":   func(in *Input) { in.Distribution.Text = Fetched },
		"another text":     func(in *Input) { in.Distribution.Match = MatchOther },
		"a text like none": func(in *Input) { in.Distribution.Match = MatchUnknown },
		"manual access":    func(in *Input) { in.Access = AccessManual },
		"private":          func(in *Input) { in.Access = AccessPrivate },
		"unknown access":   func(in *Input) { in.Access = "" },
		"no expression":    func(in *Input) { in.Distribution = Licence{Problem: "apache-ish"} },
		"unknown base":     func(in *Input) { in.Bases = []Base{{Name: "a/b", Relation: FineTune}} },
		"unclear base": func(in *Input) {
			in.Bases = []Base{{Name: "a/b", Relation: Merge, Result: &Result{Claimed: Assessment{Level: Unclear}}}}
		},
		"weights not there": func(in *Input) { in.Claims[1].Evidence[0].Grade = Fetched },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := release(t, "Apache-2.0", Stored, classOne...)
			change(&in)
			r := Evaluate(in)
			if r.Verified.Level > Unclear {
				t.Errorf("verified at %d", r.Verified.Level)
			}
			if len(r.Verified.Reasons) == 0 {
				t.Error("no reason is given")
			}
		})
	}
	in := release(t, "Apache-2.0", Stored, Parameters)
	in.Distribution.Match = MatchReviewed
	if r := Evaluate(in); r.Verified.Level != Open {
		t.Errorf("after a review it is at %d", r.Verified.Level)
	}
	in.Access = AccessClick
	if r := Evaluate(in); r.Verified.Level != Open {
		t.Errorf("with terms to accept it is at %d", r.Verified.Level)
	}
}

func TestBases(t *testing.T) {
	t.Parallel()
	at := func(expression string, list ...Component) *Result {
		r := Evaluate(release(t, expression, Stored, list...))
		return &r
	}
	in := release(t, "Apache-2.0", Stored, classOne...)
	for _, tt := range []struct {
		name string
		base *Result
		want Level
	}{
		{"restricted", at("llama3.1", classOne...), Restricted},
		{"open weights", at("MIT", Parameters), Open},
		{"class II", at("MIT", classTwo...), OpenTools},
		{"class I", at("MIT", classOne...), OpenScience},
	} {
		in.Bases = []Base{{Name: "org/base", Relation: FineTune, Result: tt.base}}
		if r := Evaluate(in); r.Verified.Level != tt.want || r.Claimed.Level != tt.want {
			t.Errorf("%s: claimed %d, verified %d, want %d: %v", tt.name, r.Claimed.Level, r.Verified.Level, tt.want, r.Verified.Reasons)
		}
	}
}

// TestOSAID goes from a release that meets every check that a machine can make
// to those that lack one thing.
func TestOSAID(t *testing.T) {
	t.Parallel()
	good := func() Input {
		in := release(t, "Apache-2.0", Stored, append(slices.Clone(classOne), Libraries)...)
		in.Data = DataInformation{Description: Stored, Public: Stored, ThirdParty: Fetched, Licence: licence(t, "CC-BY-4.0")}
		return in
	}
	r := Evaluate(good())
	if r.OSAID.State != OSAIDCandidate || r.Verified.Level != OpenScience {
		t.Errorf("%+v at %d", r.OSAID, r.Verified.Level)
	}
	in := good()
	in.Affirmation = &Affirmation{Reviewer: "A. Reviewer", At: time.Unix(0, 0)}
	if r = Evaluate(in); r.OSAID.State != OSAIDAffirmed || r.OSAID.Reviewer != "A. Reviewer" || r.Verified.Level != OpenSource {
		t.Errorf("affirmed: %+v at %d", r.OSAID, r.Verified.Level)
	}
	for name, change := range map[string]func(*Input){
		"no list of public data":  func(in *Input) { in.Data.Public = Stated },
		"no description":          func(in *Input) { in.Data.Description = None },
		"closed data information": func(in *Input) { in.Data.Licence = licence(t, "CC-BY-NC-4.0") },
		"code that is not approved": func(in *Input) {
			in.Releases = map[Type]Licence{Code: licence(t, "CC-BY-4.0")}
		},
		"restricted weights": func(in *Input) { in.Releases = map[Type]Licence{Data: licence(t, "llama3.1")} },
		"a base that fails": func(in *Input) {
			in.Bases = []Base{{Name: "a/b", Relation: Copy, Result: &Result{OSAID: OSAID{State: OSAIDFails}}}}
		},
		"no libraries": func(in *Input) {
			in.Claims = slices.DeleteFunc(in.Claims, func(c Claim) bool { return c.Component == Libraries })
		},
	} {
		in := good()
		in.Affirmation = &Affirmation{Reviewer: "A. Reviewer"}
		change(&in)
		if r := Evaluate(in); r.OSAID.State != OSAIDFails || len(r.OSAID.Reasons) == 0 || r.Verified.Level == OpenSource {
			t.Errorf("%s: %+v at %d", name, r.OSAID, r.Verified.Level)
		}
	}
}

func TestProfiles(t *testing.T) {
	t.Parallel()
	in := release(t, "Apache-2.0", Stored, classOne...)
	for i := range in.Claims {
		if in.Claims[i].Component == Datasets {
			in.Claims[i].Licence = Licence{Problem: "unlicensed"}
		}
	}
	if r := Evaluate(in); r.Verified.Level != OpenTools {
		t.Errorf("unlicensed datasets: level %d", r.Verified.Level)
	}
	in.Profile.UnlicensedDatasets = true
	if r := Evaluate(in); r.Verified.Level != OpenScience {
		t.Errorf("unlicensed datasets by the paper: level %d", r.Verified.Level)
	}
	in.Profile.LibrariesRequired = true
	if r := Evaluate(in); r.Verified.Level != OpenModel {
		t.Errorf("without libraries where they are required: level %d", r.Verified.Level)
	}
}

// random returns an input of any kind.
func random(t testing.TB, rng *rand.Rand, depth int) Input {
	expressions := []string{"MIT", "Apache-2.0", "GPL-3.0-only", "CC-BY-4.0", "CC-BY-NC-4.0", "llama3.1", "LicenseRef-mine", "MIT OR llama3.1", "MIT AND CC-BY-NC-4.0", "OpenMDW-1.0"}
	some := func() Licence {
		if rng.IntN(4) == 0 {
			return Licence{Text: None}
		}
		l := licence(t, expressions[rng.IntN(len(expressions))])
		l.Text = Grade(rng.IntN(6))
		l.Match = []Match{MatchUnknown, MatchSame, MatchSame, MatchOther, MatchReviewed}[rng.IntN(5)]
		return l
	}
	in := Input{
		Access:       []Access{AccessOpen, AccessOpen, AccessOpen, AccessClick, AccessManual, ""}[rng.IntN(6)],
		Distribution: some(),
		Releases:     map[Type]Licence{Code: some(), Data: some()},
		Data:         DataInformation{Description: Grade(rng.IntN(6)), Public: Grade(rng.IntN(6)), ThirdParty: Grade(rng.IntN(6))},
	}
	if rng.IntN(2) == 0 { // mostly there, so that high levels are reached too
		in.Distribution, in.Releases = licence(t, "Apache-2.0"), nil
	}
	for _, c := range Components() {
		if rng.IntN(8) > 0 {
			in.Claims = append(in.Claims, claim(c, Grade(rng.IntN(6))))
		}
		if rng.IntN(2) == 0 {
			in.Claims = append(in.Claims, claim(c, Stored))
		}
	}
	if rng.IntN(3) == 0 {
		in.Affirmation = &Affirmation{Reviewer: "R"}
	}
	for depth > 0 && rng.IntN(3) == 0 {
		in.Bases = append(in.Bases, base(t, rng, depth-1))
	}
	return in
}

func base(t testing.TB, rng *rand.Rand, depth int) Base {
	b := Base{Name: "org/base", Relation: FineTune}
	if rng.IntN(4) > 0 {
		r := Evaluate(random(t, rng, depth))
		b.Result = &r
	}
	return b
}

func rank(s OSAIDState) int {
	return slices.Index([]OSAIDState{OSAIDFails, OSAIDCandidate, OSAIDAffirmed}, s)
}

// TestProperties holds what must be true of every input.
func TestProperties(t *testing.T) {
	t.Parallel()
	const rounds = 4000
	reached := map[Level]int{}
	for seed := range uint64(rounds) {
		rng := rand.New(rand.NewPCG(seed, 1))
		in := random(t, rng, 2)
		was := Evaluate(in)
		reached[was.Verified.Level]++
		fail := func(format string, args ...any) {
			t.Helper()
			p, _ := json.MarshalIndent(in, "", " ")
			t.Fatalf("seed %d: %s\n%s", seed, fmt.Sprintf(format, args...), p)
		}
		if was.Verified.Level > was.Claimed.Level {
			fail("verified %d above claimed %d", was.Verified.Level, was.Claimed.Level)
		}
		if diff := cmp.Diff(was, Evaluate(in)); diff != "" {
			fail("not deterministic: %s", diff)
		}
		lower := func(what string, in Input) {
			t.Helper()
			now := Evaluate(in)
			if now.Claimed.Level > was.Claimed.Level || now.Verified.Level > was.Verified.Level || rank(now.OSAID.State) > rank(was.OSAID.State) {
				fail("%s raises %d/%d %s to %d/%d %s", what, was.Claimed.Level, was.Verified.Level, was.OSAID.State, now.Claimed.Level, now.Verified.Level, now.OSAID.State)
			}
		}

		more := in
		more.Claims = append(slices.Clone(in.Claims), claim(Components()[rng.IntN(17)], Grade(rng.IntN(6))))
		if now := Evaluate(more); now.Claimed.Level < was.Claimed.Level || now.Verified.Level < was.Verified.Level || rank(now.OSAID.State) < rank(was.OSAID.State) {
			fail("more evidence lowers %d/%d to %d/%d", was.Claimed.Level, was.Verified.Level, now.Claimed.Level, now.Verified.Level)
		}
		if len(in.Claims) > 0 {
			less := in
			i := rng.IntN(len(in.Claims))
			less.Claims = slices.Delete(slices.Clone(in.Claims), i, i+1)
			lower("less evidence", less)
		}
		edge := in
		edge.Bases = append(slices.Clone(in.Bases), base(t, rng, 1))
		lower("another base", edge)

		and := in
		and.Distribution.Expression = licenses.And(in.Distribution.Expression, licence(t, "LicenseRef-scancode-qwen-2024").Expression)
		if !in.Distribution.IsZero() {
			lower("AND", and)
		}
		or := in
		if !in.Distribution.IsZero() {
			or.Distribution.Expression = licenses.Or(in.Distribution.Expression, licence(t, "CC-BY-NC-4.0").Expression)
			if now := Evaluate(or); now.Claimed.Level < was.Claimed.Level || now.Verified.Level < was.Verified.Level {
				fail("OR lowers %d/%d to %d/%d", was.Claimed.Level, was.Verified.Level, now.Claimed.Level, now.Verified.Level)
			}
		}
	}
	for l := Closed; l <= OpenScience; l++ {
		if reached[l] < 5 {
			t.Errorf("level %d was reached by %d of %d inputs", l, reached[l], rounds)
		}
	}
}

func BenchmarkEvaluate(b *testing.B) {
	in := release(b, "Apache-2.0", Stored, classOne...)
	for b.Loop() {
		Evaluate(in)
	}
}
