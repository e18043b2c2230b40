package verify

import (
	"slices"
	"strings"
	"testing"

	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/licenses/lineage"
	"github.com/carat-hub/carat/registry"
)

func TestStated(t *testing.T) {
	t.Parallel()
	version := func() *registry.Version { return &registry.Version{Name: "a/b", Facts: &registry.Facts{}} }
	clean := &registry.Assessment{Works: []lineage.Work{{ID: "a"}}}
	if got := stated(clean, version()); !slices.Equal(got, []string{StatedChecksPassed, "OPENNESS_L0", StatedLineageClean}) {
		t.Errorf("of a clean lineage: %v", got)
	}
	for name, a := range map[string]*registry.Assessment{
		"unknown": {Works: []lineage.Work{{ID: "a"}, {Unknown: true}}},
		"hidden":  {Works: []lineage.Work{{ID: "a"}, {Hidden: true}}},
		"finding": {Works: []lineage.Work{{ID: "a"}}, Lineage: lineage.Report{Findings: []lineage.Finding{{Severity: lineage.SeverityError}}}},
		"waived":  {Works: []lineage.Work{{ID: "a"}}, Lineage: lineage.Report{Findings: []lineage.Finding{{Severity: lineage.SeverityError, Waived: &lineage.Waiver{}}}}},
		"licence": {Works: []lineage.Work{{ID: "a"}}, Lineage: lineage.Report{Unknown: true}},
	} {
		if got := stated(a, version()); slices.Contains(got, StatedLineageClean) {
			t.Errorf("%s: %v", name, got)
		}
	}
	if len(licenses.All()) == 0 {
		t.Fatal("no licences")
	}
	one, err := ruleSet()
	if err != nil {
		t.Fatal(err)
	}
	two, err := ruleSet()
	if err != nil || one.Digest["sha256"] != two.Digest["sha256"] || len(one.Digest["sha256"]) != 64 {
		t.Errorf("%v: %v and %v", err, one, two)
	}
}

func TestUpstreamCheck(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		u  Upstream
		ok bool
	}{
		"hub":         {Upstream{URI: "https://huggingface.co/a/b", Revision: strings.Repeat("a", 40)}, true},
		"package":     {Upstream{URI: "pkg:huggingface/a/b@main"}, true},
		"nothing":     {Upstream{}, false},
		"script":      {Upstream{URI: "javascript:alert(1)"}, false},
		"file":        {Upstream{URI: "file:///etc/passwd"}, false},
		"no host":     {Upstream{URI: "https:///a"}, false},
		"credentials": {Upstream{URI: "https://u:p@example.org/a"}, false},
		"long":        {Upstream{URI: "https://example.org/" + strings.Repeat("a", maxSource)}, false},
		"revision":    {Upstream{URI: "https://example.org/a", Revision: "a\nb"}, false},
	} {
		if err := tt.u.Check(); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
