package verify_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/verify"
)

func TestDescents(t *testing.T) {
	t.Parallel()
	result := func(id, evidence string) verify.Result {
		return verify.Result{ID: id, Evidence: json.RawMessage(evidence)}
	}
	r := verify.Report{Results: []verify.Result{
		result("structure.headers", `{"bases":[{"name":"no/lineage"}]}`),
		result("lineage.base", `{"bases":[{"name":"a/b","relation":"quantized","verdict":"confirmed"},{"name":"c/d","verdict":"unknown"}]}`),
		result("lineage.adapter", `{"base":"e/f","verdict":"contradicted"}`),
		result("lineage.adapter", `{"base":"","verdict":"unknown"}`),
		result("lineage.merge", `{"verdict":"consistent","bases":[{"name":"g/h","share":0.5},{"name":"i/j","share":0.5}]}`),
		result("lineage.merge", `{"verdict":"unknown","absent":["k/l"]}`),
		result("lineage.base", `[]`),
		{ID: "lineage.base"},
	}}
	want := []verify.Descent{
		{"a/b", "quantized", "confirmed"},
		{"c/d", "", "unknown"},
		{"e/f", "adapter", "contradicted"},
		{"g/h", "merge", "consistent"},
		{"i/j", "merge", "consistent"},
		{"k/l", "merge", "unknown"},
	}
	if diff := cmp.Diff(want, r.Descents()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
