package verify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/storage"
	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/lineage"
)

// seen are checks that keep what they are given and find what a test says.
type seen struct {
	opts    verify.RunOptions
	content map[string]string // of the bases' files, by name and path
	facts   *registry.Facts
	results []verify.Result
	state   verify.State
}

func (s *seen) Verify(_ context.Context, _ verify.Files, o verify.RunOptions) *verify.Report {
	s.opts, s.content = o, map[string]string{}
	for _, b := range o.Bases {
		for _, f := range b.Files {
			p, err := f.Head(f.Size)
			if err != nil {
				p = []byte(err.Error())
			}
			s.content[b.Name+" "+f.Path] = string(p)
		}
	}
	r := o.NewReport()
	r.State, r.Results = s.state, s.results
	if r.State == "" {
		r.State = verify.StatePassed
	}
	return r
}

func (s *seen) Inspect(context.Context, verify.Files) (*registry.Facts, error) {
	if s.facts == nil {
		return &registry.Facts{}, nil
	}
	return s.facts, nil
}

// setupSeen is setup with checks that keep what they are given, for a model
// that declares bases.
func setupSeen(t *testing.T, bases ...string) (*bench, *seen) {
	t.Helper()
	b := setup(t, map[string][]byte{"model.gguf": []byte("the model")})
	s := &seen{facts: &registry.Facts{}}
	for _, n := range bases {
		s.facts.Bases = append(s.facts.Bases, registry.DeclaredBase{Name: n, Relation: "finetune", From: "card"})
	}
	b.version.CreatedAt = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	b.options.Checks = s
	b.service = verify.NewService(b.options)
	b.store.others, b.store.private = map[registry.Name][]registry.Version{}, map[registry.Name]bool{}
	return b, s
}

// other puts a model into the hub.
func (b *bench) other(n registry.Name, content string) registry.Version {
	v := registry.Version{Name: n, Digest: registry.DigestOf(registry.SHA256, []byte(n)), Kind: registry.KindModelPack}
	v.Files = []registry.File{{Path: "w", Digest: b.hub.add([]byte(content)), Size: int64(len(content))}}
	b.store.others[n] = append([]registry.Version{v}, b.store.others[n]...)
	return v
}

func TestServiceFindsBases(t *testing.T) {
	t.Parallel()
	b, s := setupSeen(t, "https://huggingface.co/Meta/Llama", "gone/away", "./folder", "org/m", "org/draft", "other/secret")
	public, draft := b.other("meta/llama", "weights of llama"), b.other("org/draft", "a draft")
	b.other("other/secret", "a secret")
	b.store.private["org/draft"], b.store.private["other/secret"] = true, true
	if err := b.verify(t, false); err != nil {
		t.Fatal(err)
	}
	var got []verify.Base
	for _, base := range s.opts.Bases {
		base.Files = nil
		got = append(got, base)
	}
	// A private base has no digest, and one of another organization is not there.
	want := []verify.Base{{Name: "https://huggingface.co/Meta/Llama", Digest: &public.Digest}, {Name: "org/draft", Private: true}}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(registry.Digest{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if s.content["https://huggingface.co/Meta/Llama w"] != "weights of llama" || s.content["org/draft w"] != "a draft" {
		t.Errorf("content %q of %s", s.content, draft.Digest)
	}
}

func TestServiceWithoutRoomForBases(t *testing.T) {
	t.Parallel()
	b, s := setupSeen(t, "meta/llama")
	b.other("meta/llama", string(make([]byte, 65<<20)))
	if err := b.verify(t, false); err != nil {
		t.Fatal(err)
	}
	if len(s.opts.Bases) != 1 || s.opts.Bases[0].Files != nil || s.opts.Bases[0].Problem == "" {
		t.Errorf("bases %+v", s.opts.Bases)
	}
}

func TestServiceGivesThePreviousReport(t *testing.T) {
	t.Parallel()
	b, s := setupSeen(t)
	d := func(text string) registry.Digest { return registry.DigestOf(registry.SHA256, []byte(text)) }
	b.store.older = []registry.Version{{Name: "org/m", Digest: d("broken")}, {Name: "org/m", Digest: d("good")}, {Name: "org/m", Digest: d("old")}}
	b.store.reports = map[registry.Digest]*verify.Report{
		d("broken"): {State: verify.StateFailed}, d("good"): {State: verify.StatePassed, Summary: "good"}, d("old"): {State: verify.StatePassed},
	}
	if err := b.verify(t, false); err != nil {
		t.Fatal(err)
	}
	if s.opts.Previous == nil || s.opts.Previous.Summary != "good" {
		t.Errorf("previous report %+v", s.opts.Previous)
	}
}

// prints keeps fingerprints in memory.
type prints struct {
	list  []verify.FingerprintRecord
	saved []verify.FingerprintRecord
	lost  error
}

func (p *prints) SaveFingerprint(_ context.Context, n registry.Name, d registry.Digest, f lineage.Fingerprint, bases []string) error {
	p.saved = append(p.saved, verify.FingerprintRecord{Name: n, Digest: d, Fingerprint: f, Bases: bases})
	return p.lost
}

func (p *prints) Fingerprints(context.Context, string, int) ([]verify.FingerprintRecord, error) {
	return p.list, nil
}

func TestServiceSearchesRelatives(t *testing.T) {
	t.Parallel()
	print := func(flipped byte) lineage.Fingerprint {
		f := lineage.Fingerprint{Version: lineage.FingerprintVersion, Signature: "l4-00", Bits: bytes.Repeat([]byte{0x5a}, 64)}
		for i := range f.Bits {
			f.Bits[i] ^= flipped
		}
		return f
	}
	before, after := time.Date(2029, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
	record := func(n registry.Name, f lineage.Fingerprint, at time.Time, v auth.Visibility, bases ...string) verify.FingerprintRecord {
		return verify.FingerprintRecord{Name: n, Digest: registry.DigestOf(registry.SHA256, []byte(n)), Visibility: v, CreatedAt: at, Fingerprint: f, Bases: bases}
	}
	const close, half = 0x01, 0x0f // one of eight bits differs, or half of them
	tests := map[string]struct {
		bases  []string
		others []verify.FingerprintRecord
		want   verify.Outcome
		reason string
		names  []registry.Name
	}{
		"alone":             {nil, nil, verify.OutcomePassed, "", nil},
		"strangers":         {nil, []verify.FingerprintRecord{record("a/x", print(half), before, auth.Public)}, verify.OutcomePassed, "", nil},
		"itself":            {nil, []verify.FingerprintRecord{record("org/m", print(0), before, auth.Public)}, verify.OutcomePassed, "", nil},
		"a later copy":      {nil, []verify.FingerprintRecord{record("a/x", print(0), after, auth.Public)}, verify.OutcomePassed, "", nil},
		"a declared base":   {[]string{"A/X"}, []verify.FingerprintRecord{record("a/x", print(close), before, auth.Public)}, verify.OutcomePassed, "", []registry.Name{"a/x"}},
		"a base's base":     {[]string{"b/y"}, []verify.FingerprintRecord{record("b/y", print(close), before, auth.Public, "a/x"), record("a/x", print(close), before, auth.Public)}, verify.OutcomePassed, "", []registry.Name{"a/x", "b/y"}},
		"a sibling":         {[]string{"not/here"}, []verify.FingerprintRecord{record("a/x", print(close), before, auth.Public, "https://huggingface.co/not/here")}, verify.OutcomePassed, "", []registry.Name{"a/x"}},
		"what came of it":   {nil, []verify.FingerprintRecord{record("a/x", print(close), before, auth.Public, "org/m")}, verify.OutcomePassed, "", []registry.Name{"a/x"}},
		"not declared":      {nil, []verify.FingerprintRecord{record("a/x", print(close), before, auth.Public)}, verify.OutcomeWarned, "the weights are close to those of models that are not named as relatives: a/x (similarity 0.92)", []registry.Name{"a/x"}},
		"another declared":  {[]string{"b/y"}, []verify.FingerprintRecord{record("a/x", print(0), before, auth.Public), record("b/y", print(half), before, auth.Public)}, verify.OutcomeWarned, "the weights are close to those of models that are not named as relatives: a/x (similarity 1.00)", []registry.Name{"a/x"}},
		"said by others":    {nil, []verify.FingerprintRecord{record("a/x", print(0), before, auth.Public), record("b/y", print(half), before, auth.Public, "a/x", "org/m")}, verify.OutcomeWarned, "the weights are close to those of models that are not named as relatives: a/x (similarity 1.00)", []registry.Name{"a/x"}},
		"private":           {nil, []verify.FingerprintRecord{record("a/secret", print(0), before, auth.Private)}, verify.OutcomeWarned, "the weights are close to those of models that are not named as relatives: a model that you cannot see", nil},
		"private, declared": {[]string{"a/secret"}, []verify.FingerprintRecord{record("a/secret", print(0), before, auth.Private)}, verify.OutcomePassed, "", nil},
		"its own draft":     {nil, []verify.FingerprintRecord{record("org/draft", print(0), before, auth.Private)}, verify.OutcomePassed, "", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, s := setupSeen(t, tt.bases...)
			p := &prints{list: tt.others}
			b.options.Fingerprints = p
			b.service = verify.NewService(b.options)
			evidence, err := json.Marshal(verify.SearchEvidence{Fingerprint: print(0)})
			if err != nil {
				t.Fatal(err)
			}
			s.results = []verify.Result{{ID: "x", Outcome: verify.OutcomePassed}, {ID: verify.LineageSearch, Outcome: verify.OutcomeSkipped, Reason: "no models were searched", Evidence: evidence}}
			if err := b.verify(t, false); err != nil {
				t.Fatal(err)
			}
			got := b.store.final.Results[1]
			var ev verify.SearchEvidence
			if err := json.Unmarshal(got.Evidence, &ev); err != nil {
				t.Fatal(err)
			}
			var names []registry.Name
			for _, m := range ev.Similar {
				names = append(names, m.Name)
			}
			if diff := cmp.Diff(tt.names, names); diff != "" || got.Outcome != tt.want || got.Reason != tt.reason {
				t.Errorf("%s %q (-want +got):\n%s", got.Outcome, got.Reason, diff)
			}
			if bytes.Contains(got.Evidence, []byte("secret")) {
				t.Errorf("a private model in %s", got.Evidence)
			}
			if b.store.final.Summary != "all 2 checks passed" || !s.opts.Fingerprint {
				t.Errorf("summary %q", b.store.final.Summary)
			}
			if len(p.saved) != 1 || p.saved[0].Name != "org/m" || len(p.saved[0].Bases) != len(tt.bases) {
				t.Errorf("saved %+v", p.saved)
			}
		})
	}
}

// TestServiceAndOddFingerprints: what the checks say of fingerprints is not believed.
func TestServiceAndOddFingerprints(t *testing.T) {
	t.Parallel()
	for name, evidence := range map[string]string{
		"none":          `{}`,
		"no object":     `[]`,
		"other bits":    `{"fingerprint":{"version":1,"signature":"l4-00","bits":"AAA="}}`,
		"odd signature": `{"fingerprint":{"version":1,"signature":"'; --","bits":"AAAAAAAAAAA="}}`,
	} {
		b, s := setupSeen(t)
		p := &prints{}
		b.options.Fingerprints = p
		b.service = verify.NewService(b.options)
		s.results = []verify.Result{{ID: verify.LineageSearch, Outcome: verify.OutcomeSkipped, Reason: "no models were searched", Evidence: json.RawMessage(evidence)}}
		if err := b.verify(t, false); err != nil {
			t.Fatal(err)
		}
		if len(p.saved) != 0 || b.store.final.Results[0].Outcome != verify.OutcomeSkipped {
			t.Errorf("%s: saved %+v, %+v", name, p.saved, b.store.final.Results[0])
		}
	}
	b, s := setupSeen(t)
	p := &prints{lost: storage.ErrUnavailable}
	b.options.Fingerprints = p
	b.service = verify.NewService(b.options)
	s.results = []verify.Result{{ID: verify.LineageSearch, Evidence: json.RawMessage(`{"fingerprint":{"version":1,"signature":"l4-00","bits":"AAAAAAAAAAA="}}`)}}
	if err := b.verify(t, false); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("lost database: %v", err)
	}
}

func TestBaseName(t *testing.T) {
	t.Parallel()
	for declared, want := range map[string]registry.Name{
		"meta-llama/Llama-3.2-1B":                   "meta-llama/llama-3.2-1b",
		"https://huggingface.co/Org/Name/tree/main": "org/name",
		"name":                "",
		"/home/model":         "",
		"../x":                "",
		"a/b/c":               "",
		"":                    "",
		"org/name with space": "",
	} {
		got, ok := registry.BaseName(declared)
		if got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v", declared, got, ok)
		}
	}
}
