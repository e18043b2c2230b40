package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/verifytest"
)

// TestFamily pushes a base and what people make of one: an adapter, which runs
// on its base, a merge of two fine-tunes, and a later version that is worse.
func TestFamily(t *testing.T) {
	t.Parallel()
	_, url := startHub(t, serveConfig{}, nil)
	u, host := user{t.TempDir()}, strings.TrimPrefix(url, "http://")
	u.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
	llama := verifytest.TinyLlama(t)
	push := func(name, tag string, files map[string][]byte, card string) *verify.Report {
		t.Helper()
		dir := t.TempDir()
		for name, p := range files {
			if name == "README.md" && card != "" {
				p = []byte(card)
			}
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, name), p)
		}
		u.must(t, "", "push", dir, host+"/"+name+":"+tag, "--wait")
		req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/api/v1/models/"+name+"/versions/"+tag+"/verification", nil))(t)
		got := must(send(req))(t)
		var answer struct{ Report *verify.Report }
		if err := json.Unmarshal(got.body, &answer); err != nil || answer.Report == nil {
			t.Fatalf("%v: %s", err, got.body)
		}
		return answer.Report
	}
	// result is that of one check, with its evidence.
	result := func(r *verify.Report, id string, evidence any) verify.Result {
		t.Helper()
		i := slices.IndexFunc(r.Results, func(x verify.Result) bool { return x.ID == id })
		if i < 0 {
			t.Fatalf("no result of %s", id)
		}
		if err := json.Unmarshal(r.Results[i].Evidence, evidence); err != nil {
			t.Fatalf("%s: %v: %s", id, err, r.Results[i].Reason)
		}
		return r.Results[i]
	}
	push("demo/tiny-llama", "v1", llama.All(t), "")

	r := push("demo/adapter", "v1", llama.Adapter(t, 4), "")
	if got := result(r, "lineage.adapter", new(any)); got.Outcome != verify.OutcomePassed {
		t.Errorf("adapter: %s: %s %s", got.Outcome, got.Reason, got.Evidence)
	}
	if got := result(r, "run.perplexity", new(any)); got.Outcome != verify.OutcomePassed {
		t.Errorf("the adapter on its base: %s: %s %s", got.Outcome, got.Reason, got.Evidence)
	}

	a, b := llama.FineTune(3, 4, 0.05, 0.01), llama.FineTune(4, 4, 0.05, 0.01)
	base := "---\nbase_model: demo/tiny-llama\nlicense: apache-2.0\n---\n# Tuned\n"
	push("demo/a", "v1", a.All(t), base)
	push("demo/b", "v1", b.All(t), base)
	var merge struct {
		Verdict string
		Bases   []struct {
			Name  string
			Share float64
		}
	}
	r = push("demo/merged", "v1", verifytest.Average(a, b).All(t), "---\nbase_model:\n- demo/a\n- demo/b\nbase_model_relation: merge\nlicense: apache-2.0\n---\n# Merged\n")
	got := result(r, "lineage.merge", &merge)
	if got.Outcome != verify.OutcomePassed || merge.Verdict != "confirmed" || len(merge.Bases) != 2 {
		t.Fatalf("merge: %s: %s %s", got.Outcome, got.Reason, got.Evidence)
	}
	for _, x := range merge.Bases {
		if x.Share < 0.45 || x.Share > 0.55 {
			t.Errorf("share of %s: %v", x.Name, x.Share)
		}
	}

	var outputs struct{ Ratio, Limit float64 }
	r = push("demo/tiny-llama", "v2", llama.FineTune(9, 0, 0, 0.4).All(t), "")
	if got := result(r, "regression.outputs", &outputs); got.Outcome != verify.OutcomeWarned || outputs.Ratio <= outputs.Limit {
		t.Errorf("regression: %s: %s %s", got.Outcome, got.Reason, got.Evidence)
	}
}
