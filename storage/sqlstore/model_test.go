package sqlstore

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

func TestVersions(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		b.repo(t, "org/a", auth.Public)
		w := model("org/a", "one", "v1", "latest")
		for range 2 {
			check(t, b.PutManifest(ctx, w))
		}
		if d := diff([]verify.Work{{Verification: b.outbox.jobs[0].Verification, Name: "org/a", Digest: w.Manifest.Digest, Size: w.Version.Size}}, b.outbox.jobs); d != "" {
			t.Errorf("jobs (-want +got):\n%s", d)
		}
		want := *w.Version
		want.CreatedAt = start
		want.Tags = []registry.Tag{"latest", "v1"}
		want.Verification = &registry.VerificationSummary{State: "pending", CheckSet: verify.CheckSet, UpdatedAt: start}
		for _, r := range []registry.Reference{{Tag: "v1"}, {Digest: w.Manifest.Digest}} {
			got, err := b.Version(ctx, "org/a", r)
			check(t, err)
			if d := diff(want, got); d != "" {
				t.Errorf("version %s (-want +got):\n%s", r, d)
			}
		}
		hex := w.Manifest.Digest.Hex()
		located := func(which registry.Selector, want registry.Digest) {
			t.Helper()
			got, err := b.Locate(ctx, "org/a", which)
			if want.IsZero() {
				wantCode(t, err, registry.CodeManifestUnknown)
			} else if err != nil || got != want {
				t.Errorf("%+v tells %s, %v, want %s", which, got, err, want)
			}
		}
		none, one, two := registry.Digest{}, w.Manifest.Digest, digest("two")
		for which, want := range map[registry.Selector]registry.Digest{
			{}: one, {Tag: "v1"}: one, {Digest: one}: one, {Prefix: hex[:40]}: one, {Prefix: hex}: one,
			{Tag: "v2"}: none, {Digest: two}: none, {Prefix: hex[:39] + "~"}: none,
		} {
			located(which, want)
		}
		check(t, b.PutManifest(ctx, manifest("org/a", "no model", "other")))
		for _, r := range []registry.Reference{{Tag: "v2"}, {Tag: "other"}, {Digest: digest("x")}} {
			_, err := b.Version(ctx, "org/a", r)
			wantCode(t, err, registry.CodeManifestUnknown)
		}

		b.clock.advance(time.Hour)
		check(t, b.PutManifest(ctx, model("org/a", "two", "latest")))
		got, err := b.Versions(ctx, "org/a", 10)
		check(t, err)
		located(registry.Selector{}, two)
		located(registry.Selector{Tag: "v1"}, one)
		if len(got) != 2 || got[0].Digest != digest("two") || got[1].Digest != digest("one") {
			t.Fatalf("versions are %+v", got)
		}
		if d := diff([][]registry.Tag{{"latest"}, {"v1"}}, [][]registry.Tag{got[0].Tags, got[1].Tags}); d != "" {
			t.Errorf("tags (-want +got):\n%s", d)
		}
		got, err = b.Versions(ctx, "org/a", 1)
		check(t, err)
		if len(got) != 1 || got[0].Digest != digest("two") {
			t.Errorf("newest version is %+v", got)
		}
		got, err = b.Versions(ctx, "org/none", 1)
		check(t, err)
		if d := diff([]registry.Version{}, got); d != "" {
			t.Errorf("versions of nothing (-want +got):\n%s", d)
		}
	})
}

func TestOutboxFailureUndoesThePut(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		b.repo(t, "org/a", auth.Public)
		b.outbox.fail = errors.New("no queue")
		err := b.PutManifest(t.Context(), model("org/a", "one", "v1"))
		if !errors.Is(err, b.outbox.fail) {
			t.Fatalf("PutManifest = %v", err)
		}
		_, err = b.Manifest(t.Context(), "org/a", registry.Reference{Tag: "v1"})
		wantCode(t, err, registry.CodeManifestUnknown)
	})
}

func TestFacts(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		b.repo(t, "org/a", auth.Public)
		check(t, b.PutManifest(ctx, model("org/a", "one", "v1")))
		facts := &registry.Facts{
			Format: "gguf", Architecture: "llama", Parameters: 1 << 40,
			Card:    registry.Card{Title: "T\x00\u2028", Body: "# Body\x00 'x' \\", Languages: []string{"de"}},
			License: registry.License{Declared: "Apache-2.0", Text: "text"},
		}
		check(t, b.SaveFacts(ctx, "org/a", digest("one"), facts, ""))
		v, err := b.Version(ctx, "org/a", registry.Reference{Tag: "v1"})
		check(t, err)
		if d := diff(facts, v.Facts); d != "" {
			t.Errorf("facts (-want +got):\n%s", d)
		}
		check(t, b.SaveFacts(ctx, "org/a", digest("one"), nil, "bad\x00\xff header"))
		v, err = b.Version(ctx, "org/a", registry.Reference{Tag: "v1"})
		check(t, err)
		if v.Facts != nil || v.FactsError != "bad\uFFFD\uFFFD header" {
			t.Errorf("facts are %+v, error %q", v.Facts, v.FactsError)
		}
		wantCode(t, b.SaveFacts(ctx, "org/a", digest("no"), facts, ""), registry.CodeManifestUnknown)
		wantCode(t, b.SaveFacts(ctx, "org/none", digest("one"), facts, ""), registry.CodeManifestUnknown)
	})
}

// addModel pushes a model with facts an hour after the one before.
func (b bundle) addModel(t *testing.T, n registry.Name, v auth.Visibility, f *registry.Facts) {
	t.Helper()
	b.clock.advance(time.Hour)
	b.repo(t, n, v)
	w := model(n, "manifest of "+string(n), "latest")
	check(t, b.PutManifest(t.Context(), w))
	check(t, b.SaveFacts(t.Context(), n, w.Manifest.Digest, f, ""))
}

func names(models []registry.ModelSummary) []registry.Name {
	ns := []registry.Name{}
	for _, m := range models {
		ns = append(ns, m.Name)
	}
	return ns
}

func TestModels(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		b.addModel(t, "acme/tiny-llama", auth.Public, &registry.Facts{
			Architecture: "llama", Format: "safetensors", License: registry.License{Declared: "Apache-2.0"},
			Card: registry.Card{Title: "Tiny Llama", Body: "Erzählt Märchen über Öfen; 100% it's \"quoted\".", Tags: []string{"text-generation"}},
		})
		b.addModel(t, "acme/qwen2.5-7b", auth.Public, &registry.Facts{
			Architecture: "qwen2", Format: "gguf", Quantization: "Q4_K_M", License: registry.License{Declared: "Apache-2.0"},
			Card: registry.Card{Languages: []string{"zh"}, Body: "通义千问 model"},
		})
		b.addModel(t, "secret/llama", auth.Private, &registry.Facts{Architecture: "llama", Format: "gguf"})
		b.repo(t, "acme/no-model", auth.Public)
		check(t, b.PutManifest(ctx, manifest("acme/no-model", "{}", "v1")))

		tiny, qwen, secret := registry.Name("acme/tiny-llama"), registry.Name("acme/qwen2.5-7b"), registry.Name("secret/llama")
		for _, tt := range []struct {
			name string
			q    registry.ModelQuery
			want []registry.Name
		}{
			{"public", registry.ModelQuery{}, []registry.Name{qwen, tiny}},
			{"all", registry.ModelQuery{Sight: auth.Sight{All: true}}, []registry.Name{secret, qwen, tiny}},
			{"organization", registry.ModelQuery{Org: "acme"}, []registry.Name{qwen, tiny}},
			{"organization that begins alike", registry.ModelQuery{Org: "acm"}, nil},
			{"private organization", registry.ModelQuery{Org: "secret"}, nil},
			{"architecture", registry.ModelQuery{Architecture: "llama"}, []registry.Name{tiny}},
			{"architecture, private", registry.ModelQuery{Architecture: "llama", Sight: auth.Sight{All: true}}, []registry.Name{secret, tiny}},
			{"format", registry.ModelQuery{Format: "gguf"}, []registry.Name{qwen}},
			{"licence", registry.ModelQuery{License: "Apache-2.0"}, []registry.Name{qwen, tiny}},
			{"licence by case", registry.ModelQuery{License: "apache-2.0"}, nil},
			{"all filters", registry.ModelQuery{License: "Apache-2.0", Format: "gguf", Architecture: "qwen2", Text: "q4"}, []registry.Name{qwen}},
			{"foreign filter", registry.ModelQuery{License: "\x00\xff", Format: "'"}, nil},
			{"word", registry.ModelQuery{Text: "LLAMA"}, []registry.Name{tiny}},
			{"words", registry.ModelQuery{Text: "generation tiny"}, []registry.Name{tiny}},
			{"a word that is missing", registry.ModelQuery{Text: "tiny gpt"}, nil},
			{"name", registry.ModelQuery{Text: "acme/qwen2.5"}, []registry.Name{qwen}},
			{"prefix of the last word", registry.ModelQuery{Text: "tiny lla"}, []registry.Name{tiny}},
			{"one letter", registry.ModelQuery{Text: "q"}, []registry.Name{qwen, tiny}},
			{"prefix of another word", registry.ModelQuery{Text: "tin llama"}, nil},
			{"umlauts", registry.ModelQuery{Text: "ERZÄHLT öf"}, []registry.Name{tiny}},
			{"han", registry.ModelQuery{Text: "通义"}, []registry.Name{qwen}},
			{"quantization", registry.ModelQuery{Text: "Q4_K_M"}, []registry.Name{qwen}},
			{"tag", registry.ModelQuery{Text: "latest"}, []registry.Name{qwen, tiny}},
			{"no words", registry.ModelQuery{Text: " *\"'&|!():<-> "}, []registry.Name{qwen, tiny}},
			{"query language of FTS5", registry.ModelQuery{Text: `document: NEAR(tiny llama) OR qwen2 NOT "x" ^a`}, nil},
			{"query language of tsquery", registry.ModelQuery{Text: `tiny & !llama | 'x':* <-> (`}, nil},
			{"quote", registry.ModelQuery{Text: `it's`}, []registry.Name{tiny}},
			{"not UTF-8", registry.ModelQuery{Text: "tiny\xff\x00llama"}, []registry.Name{tiny}},
			{"long", registry.ModelQuery{Text: strings.Repeat("tiny ", 10_000)}, []registry.Name{tiny}},
			{"private word", registry.ModelQuery{Text: "secret"}, nil},
			{"the oldest first", registry.ModelQuery{Ascending: true}, []registry.Name{tiny, qwen}},
			{"by creation", registry.ModelQuery{Order: registry.OrderCreated}, []registry.Name{qwen, tiny}},
		} {
			tt.q.Limit = 10
			got, total, err := b.Models(ctx, tt.q)
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
				continue
			}
			if d := diff(append([]registry.Name{}, tt.want...), names(got)); d != "" || total != len(tt.want) {
				t.Errorf("%s: total %d (-want +got):\n%s", tt.name, total, d)
			}
		}

		page, total, err := b.Models(ctx, registry.ModelQuery{Sight: auth.Sight{All: true}, Limit: 1, Offset: 1})
		check(t, err)
		if total != 3 || len(page) != 1 || page[0].Name != qwen {
			t.Fatalf("page is %v of %d", names(page), total)
		}
		full, err := b.Version(ctx, qwen, registry.Reference{Tag: "latest"})
		check(t, err)
		if d := diff(registry.ModelSummary{Name: qwen, Latest: full, UpdatedAt: start.Add(2 * time.Hour), Visibility: auth.Public, CreatedAt: start.Add(2 * time.Hour)}, page[0]); d != "" {
			t.Errorf("summary (-want +got):\n%s", d)
		}
	})
}

// TestModelPages reads lists page by page, in every order, while models that
// were read already get newer versions.
func TestModelPages(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		var all []registry.Name
		for i := range 7 {
			n := registry.Name("org/m" + strconv.Itoa(i))
			b.repo(t, n, auth.Public)
			check(t, b.PutManifest(ctx, model(n, "manifest of "+string(n), "latest")))
			all = append(all, n)
			if i%2 == 1 { // pairs of the same time
				b.clock.advance(time.Hour)
			}
		}
		for _, order := range []registry.ModelOrder{registry.OrderUpdated, registry.OrderCreated} {
			for _, ascending := range []bool{false, true} {
				want := slices.Clone(all)
				if !ascending {
					slices.Reverse(want)
				}
				q := registry.ModelQuery{Order: order, Ascending: ascending, Limit: 2}
				var got []registry.Name
				for {
					page, total, err := b.Models(ctx, q)
					check(t, err)
					if total != len(all) {
						t.Fatalf("total %d", total)
					}
					if len(page) == 0 {
						break
					}
					got = append(got, names(page)...)
					last := page[len(page)-1]
					q.After = registry.ModelCursor{Name: last.Name, UpdatedAt: last.UpdatedAt}
				}
				if d := diff(want, got); d != "" {
					t.Errorf("order %q, ascending %v (-want +got):\n%s", order, ascending, d)
				}
			}
		}
		page, _, err := b.Models(ctx, registry.ModelQuery{Limit: 2})
		check(t, err)
		b.clock.advance(time.Hour)
		check(t, b.PutManifest(ctx, model("org/m0", "newer", "latest")))
		next, _, err := b.Models(ctx, registry.ModelQuery{Limit: 10, After: registry.ModelCursor{Name: page[1].Name, UpdatedAt: page[1].UpdatedAt}})
		check(t, err)
		if d := diff([]registry.Name{"org/m4", "org/m3", "org/m2", "org/m1"}, names(next)); d != "" {
			t.Errorf("after a push (-want +got):\n%s", d)
		}
	})
}

func TestModelFollowsItsNewestVersion(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		b.addModel(t, "org/a", auth.Public, &registry.Facts{Architecture: "llama"})
		find := func(text string) registry.Digest {
			t.Helper()
			got, total, err := b.Models(ctx, registry.ModelQuery{Text: text, Limit: 5})
			check(t, err)
			if total != len(got) || total > 1 {
				t.Fatalf("%q finds %v of %d", text, names(got), total)
			}
			if total == 0 {
				return registry.Digest{}
			}
			return got[0].Latest.Digest
		}
		expect := func(text string, want registry.Digest) {
			t.Helper()
			if got := find(text); got != want {
				t.Errorf("%q finds %v, want %v", text, got, want)
			}
		}
		first := digest("manifest of org/a")
		expect("llama", first)
		b.clock.advance(time.Hour)
		check(t, b.PutManifest(ctx, model("org/a", "newer", "v2")))
		expect("llama", registry.Digest{})
		expect("v2", digest("newer"))
		check(t, b.SaveFacts(ctx, "org/a", digest("newer"), &registry.Facts{Architecture: "mamba"}, ""))
		expect("mamba", digest("newer"))
		check(t, b.PutManifest(ctx, model("org/a", "manifest of org/a", "again"))) // old content, new tag
		expect("mamba", digest("newer"))
		check(t, b.DeleteTag(ctx, "org/a", "v2"))
		expect("v2", registry.Digest{})
		check(t, b.DeleteManifest(ctx, "org/a", digest("newer")))
		expect("mamba", registry.Digest{})
		expect("llama", first)
		check(t, b.DeleteManifest(ctx, "org/a", first))
		expect("", registry.Digest{})
		expect("llama", registry.Digest{})
		check(t, b.PutManifest(ctx, model("org/a", "back", "v3")))
		expect("org", digest("back"))
	})
}

func TestManyVersionsTakeFewQueries(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		b.repo(t, "org/a", auth.Public)
		const n = maxParameters + 20
		for i := range n {
			b.clock.advance(time.Second)
			check(t, b.PutManifest(t.Context(), model("org/a", fmt.Sprint(i), registry.Tag(fmt.Sprint("v", i)))))
		}
		got, err := b.Versions(t.Context(), "org/a", 2*n)
		check(t, err)
		if len(got) != n {
			t.Fatalf("%d versions, want %d", len(got), n)
		}
		for i, v := range got {
			if want := registry.Tag(fmt.Sprint("v", n-1-i)); len(v.Tags) != 1 || v.Tags[0] != want {
				t.Fatalf("version %d has tags %v, want %s", i, v.Tags, want)
			}
		}
	})
}

func TestVerifications(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		b.repo(t, "org/a", auth.Public)
		d := digest("one")
		_, err := b.Verification(ctx, "org/a", d)
		wantCode(t, err, registry.CodeManifestUnknown)
		_, err = b.RequestVerification(ctx, "org/a", d)
		wantCode(t, err, registry.CodeManifestUnknown)
		check(t, b.PutManifest(ctx, model("org/a", "one", "v1")))
		first, err := b.Verification(ctx, "org/a", d)
		check(t, err)
		want := verify.Verification{
			ID: first.ID, Name: "org/a", Digest: d, CheckSet: verify.CheckSet, State: verify.StatePending, CreatedAt: start, UpdatedAt: start,
		}
		if x := diff(want, first); x != "" {
			t.Errorf("pending (-want +got):\n%s", x)
		}

		b.clock.advance(time.Minute)
		report := &verify.Report{
			Version: verify.ReportVersion, CheckSet: verify.CheckSet, Subject: &d, State: verify.StateRunning, Summary: "half way\x00",
			Results: []verify.Result{{ID: "structure.tensors", Outcome: verify.OutcomePassed, Evidence: []byte(`{"b":1,"a":"\u0000"}`)}},
			Files:   []verify.VerifiedFile{}, StartedAt: start,
		}
		check(t, b.SaveProgress(ctx, first.ID, report))
		got, err := b.Verification(ctx, "org/a", d)
		check(t, err)
		want.State, want.Report, want.UpdatedAt = verify.StateRunning, report, start.Add(time.Minute)
		if x := diff(want, got); x != "" {
			t.Errorf("running (-want +got):\n%s", x)
		}
		pending, err := b.Unfinished(ctx, 0, 10)
		check(t, err)
		work := func(id int64) verify.Work {
			return verify.Work{Verification: id, Name: "org/a", Digest: d, Size: model("org/a", "one").Version.Size}
		}
		if x := diff([]verify.Work{work(first.ID)}, pending); x != "" {
			t.Errorf("unfinished (-want +got):\n%s", x)
		}

		final := *report
		final.State, final.Summary = verify.StatePassed, "runs"
		check(t, b.SaveProgress(ctx, first.ID, &final))
		got, err = b.Verification(ctx, "org/a", d)
		check(t, err)
		if got.State != verify.StateRunning || got.Report == nil || got.Report.State != verify.StatePassed {
			t.Errorf("with a complete report that is not published: %s, report %+v", got.State, got.Report)
		}
		check(t, b.FinishVerification(ctx, first.ID, &final, verify.Publication{Referrer: digest("referrer"), KeyID: "sha256:key"}))
		check(t, b.SaveProgress(ctx, first.ID, report)) // too late
		v, err := b.Version(ctx, "org/a", registry.Reference{Tag: "v1"})
		check(t, err)
		if x := diff(&registry.VerificationSummary{
			State: "passed", CheckSet: verify.CheckSet, Summary: "runs", UpdatedAt: start.Add(time.Minute), Referrer: digest("referrer"),
		}, v.Verification); x != "" {
			t.Errorf("summary (-want +got):\n%s", x)
		}

		second, err := b.RequestVerification(ctx, "org/a", d)
		check(t, err)
		if second.ID <= first.ID || second.State != verify.StatePending {
			t.Errorf("requested %+v", second)
		}
		if x := diff([]verify.Work{work(first.ID), work(second.ID)}, b.outbox.jobs); x != "" {
			t.Errorf("jobs (-want +got):\n%s", x)
		}
		history, err := b.Verifications(ctx, "org/a", d, 10)
		check(t, err)
		if len(history) != 2 || history[0].ID != second.ID || history[1].State != verify.StatePassed {
			t.Errorf("history is %+v", history)
		}
		pending, err = b.Unfinished(ctx, 0, 10)
		check(t, err)
		if len(pending) != 1 || pending[0].Verification != second.ID {
			t.Errorf("unfinished are %+v", pending)
		}
		if pending, err = b.Unfinished(ctx, second.ID, 10); err != nil || len(pending) != 0 {
			t.Errorf("unfinished after the last are %+v, %v", pending, err)
		}

		check(t, b.DeleteManifest(ctx, "org/a", d))
		wantCode(t, b.SaveProgress(ctx, second.ID, report), registry.CodeManifestUnknown)
		wantCode(t, b.FinishVerification(ctx, second.ID, &final, verify.Publication{}), registry.CodeManifestUnknown)
		check(t, b.PutManifest(ctx, model("org/a", "one", "v1")))
		third, err := b.Verification(ctx, "org/a", d)
		check(t, err)
		if third.ID <= second.ID {
			t.Errorf("id %d was given again after %d", third.ID, second.ID)
		}
	})
}

func FuzzWords(f *testing.F) {
	for _, seed := range []string{"", "tiny llama", `it's "x" & !y:*`, "\xff\x00", "İstanbul ß 通义", strings.Repeat("a", 200)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, w := range append(indexWords(text), queryWords(text)...) {
			if w == "" || len(w) > maxWordBytes || strings.ContainsAny(w, " '\"\\&|!:*()\x00") {
				t.Errorf("word %q", w)
			}
			if again := queryWords(w); len(again) != 1 {
				t.Errorf("word %q is cut again into %q", w, again)
			}
		}
	})
}
