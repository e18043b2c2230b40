package registry_test

import (
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/registry"
)

func TestParseCard(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   string
		want registry.Card
	}{
		"empty": {in: "", want: registry.Card{}},
		"no front matter": {
			in:   "# A *small* `model`\n\nIt writes\nstories. See [here](https://example.com).\n\nMore.",
			want: registry.Card{Title: "A small model", Summary: "It writes stories. See here.", Body: "# A *small* `model`\n\nIt writes\nstories. See [here](https://example.com).\n\nMore."},
		},
		"strings where lists are usual": {
			in: "---\nlicense: mit\nlanguage: no\ntags: tiny\nbase_model: a/b\ndatasets: c/d\n---\nText",
			want: registry.Card{
				LicenseID: "mit", Languages: []string{"no"}, Tags: []string{"tiny"}, BaseModels: []string{"a/b"},
				Datasets: []string{"c/d"}, Summary: "Text", Body: "Text",
			},
		},
		"a base": {
			in:   "---\nbase_model: a/b\nbase_model_relation: quantized\n---\n",
			want: registry.Card{BaseModels: []string{"a/b"}, Relation: "quantized"},
		},
		"lists, numbers and nulls": {
			in: "---\r\nlicense: [mit, apache-2.0]\r\nlanguage:\r\n- en\r\n- en\r\n- ~\r\ntags: [7b, 3]\r\nlicense_name: null\r\nlibrary_name: transformers\r\n---\r\n",
			want: registry.Card{
				LicenseID: "mit, apache-2.0", Languages: []string{"en"}, Tags: []string{"7b", "3"}, Library: "transformers",
			},
		},
		"other licence": {
			in:   "---\nlicense: other\nlicense_name: my-terms\nlicense_link: LICENSE\n---\n",
			want: registry.Card{LicenseID: "other", LicenseName: "my-terms", LicenseLink: "LICENSE"},
		},
		"results": {
			in: "---\nmodel-index:\n- name: m\n  results:\n  - task: {type: text-generation, name: Text}\n    dataset: {name: Tales, type: tales}\n    metrics:\n    - {type: acc, value: 0.750}\n    - {name: F1, value: 1e3}\n    - {type: lost}\n    - {value: 3}\n    - {type: odd, value: [1, 2]}\n  - dataset: {type: words}\n    metrics: [{type: acc, value: 12}]\n  - metrics: none\n- nothing\n---\n",
			want: registry.Card{
				Results: true, Evaluations: []registry.Evaluation{
					{Task: "text-generation", Dataset: "Tales", Metric: "acc", Value: "0.750"},
					{Task: "text-generation", Dataset: "Tales", Metric: "F1", Value: "1e3"},
					{Dataset: "words", Metric: "acc", Value: "12"},
				},
			},
		},
		"results of another form": {in: "---\nmodel-index: {name: m}\n---\n", want: registry.Card{}},
		"alias": {
			in:   "---\nlanguage: &l [en, de]\ntags: *l\n---\n",
			want: registry.Card{Languages: []string{"en", "de"}, Tags: []string{"en", "de"}},
		},
		"badges before words": {
			in: "# T\n\n[![build](b.svg)](x)\n\nWords.\n",
			want: registry.Card{
				Title: "T", Summary: "Words.", Body: "# T\n\n[![build](b.svg)](x)\n\nWords.\n",
			},
		},
		"wrong kinds keep the rest": {
			in: "---\nlicense: {a: b}\npipeline_tag: [x]\ntags: [a, [b]]\nlanguage: en\n---\n",
			want: registry.Card{
				Languages: []string{"en"}, Tags: []string{"a"},
				Problem: "license is neither a string nor a list of strings; pipeline_tag is not a string; tags has entries that are not strings",
			},
		},
		"not closed": {
			in: "---\nlicense: mit\n",
			want: registry.Card{
				Summary: "license: mit", Body: "---\nlicense: mit\n",
				Problem: "front matter has no closing --- line",
			},
		},
		"not a mapping": {
			in:   "---\n- a\n---\n",
			want: registry.Card{Problem: "front matter is not a mapping"},
		},
		"NUL and bad UTF-8": {
			in:   "---\nlicense: \"a\\0b\"\n---\nx\x00y\xff\n",
			want: registry.Card{LicenseID: "a\ufffdb", Summary: "x\ufffdy\ufffd", Body: "x\ufffdy\ufffd\n", Problem: "README is not valid UTF-8"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, registry.ParseCard([]byte(tt.in))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseCardRefuses(t *testing.T) {
	t.Parallel()
	bomb := "---\na: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'k'; c++ {
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+",", 9) + "]\n"
	}
	tests := map[string]struct{ in, problem string }{
		"alias bomb":        {bomb + "license: mit\n---\n", "excessive aliasing"},
		"duplicate key":     {"---\nlicense: mit\nlicense: gpl-3.0\n---\n", "already"},
		"broken YAML":       {"---\nlicense: [mit\n---\n", "front matter is not YAML"},
		"huge front matter": {"---\nx: " + strings.Repeat("y", 70<<10) + "\nlicense: mit\n---\n", "at most 65536 are read"},
		"many tags":         {"---\ntags: [" + strings.Repeat("a,", 300) + "b]\n---\n", "tags has 301 entries"},
		"many results":      {"---\nmodel-index: [{results: [{metrics: [" + strings.Repeat("{type: a, value: 1},", 300) + "]}]}]\n---\n", "model-index has more results"},
		"long entry":        {"---\nlicense: " + strings.Repeat("m", 2000) + "\n---\n", "entry of 2000 bytes"},
		"huge README":       {strings.Repeat("é", 600<<10), "more than 1048576 bytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := registry.ParseCard([]byte(tt.in))
			if !strings.Contains(c.Problem, tt.problem) {
				t.Errorf("problem %q does not contain %q", c.Problem, tt.problem)
			}
			if c.LicenseID != "" {
				t.Errorf("licence %q was taken from a refused front matter", c.LicenseID)
			}
			if len(c.Body) > registry.MaxReadme {
				t.Errorf("body has %d bytes", len(c.Body))
			}
		})
	}
}

func TestParseCardExample(t *testing.T) {
	t.Parallel()
	p, err := os.ReadFile("../examples/tiny-llama/README.md")
	if err != nil {
		t.Fatal(err)
	}
	c := registry.ParseCard(p)
	c.Body = ""
	want := registry.Card{
		Title: "tiny-llama", LicenseID: "apache-2.0", Languages: []string{"en"}, Library: "transformers",
		Pipeline: "text-generation", Tags: []string{"llama", "tiny", "example"}, Summary: c.Summary,
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(c.Summary, "A Llama-architecture language model with 2.9 million parameters") {
		t.Errorf("summary %q", c.Summary)
	}
}

func FuzzParseCard(f *testing.F) {
	f.Add([]byte("---\nlicense: mit\ntags: [a, &b c, *b]\n---\n# T\n\nWords"))
	f.Add([]byte("---\n<<: {a: b}\n? [x]\n: y\n---\n"))
	f.Add([]byte("---\n---\n"))
	f.Add([]byte("---\nmodel-index: &i [{results: [{task: {type: \"a\\0\"}, metrics: [{type: b, value: 1}]}]}]\nx: *i\n---\n"))
	f.Add([]byte("---\nextra_gated_prompt: p\nextra_gated_fields: {a: text, b: {type: select, options: [x, {label: y, value: z}, &o [q]]}, c: ~, ? [d] : text}\nx: *o\n---\n"))
	f.Add([]byte("\ufeff---\r\nlanguage: no\r\n---\r\n> # q\n"))
	f.Fuzz(func(t *testing.T, p []byte) {
		c := registry.ParseCard(p)
		all := append([]string{c.Title, c.Summary, c.Body, c.Library, c.Pipeline, c.LicenseID, c.LicenseName, c.LicenseLink, c.Problem}, c.Tags...)
		all = append(append(append(all, c.Languages...), c.BaseModels...), c.Datasets...)
		for _, e := range c.Evaluations {
			all = append(all, e.Task, e.Dataset, e.Metric, e.Value)
		}
		if g := c.Gate; g != nil {
			all = append(all, g.Heading, g.Description, g.Prompt, g.Button)
			// Whatever a card asks can be asked.
			gate := registry.ConsentGate{Mode: registry.ConsentAuto, Heading: g.Heading, Description: g.Description, Prompt: g.Prompt, Button: g.Button, Fields: g.Fields}
			if err := gate.Check(); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range all {
			if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
				t.Fatalf("text %q cannot be stored", s)
			}
		}
	})
}
