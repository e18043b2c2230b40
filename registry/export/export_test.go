package export_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/licenses/lineage"
	"github.com/carat-hub/carat/licenses/openness"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/registry/export"
)

var update = flag.Bool("update", false, "write the golden files")

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)

func digest(s string) registry.Digest { return registry.DigestOf(registry.SHA256, []byte(s)) }

// version is a version of a model.
func version(name string, f *registry.Facts) *registry.Version {
	return &registry.Version{
		Name: registry.Name(name), Digest: digest(name), Kind: registry.KindModelPack, Size: 1234, CreatedAt: epoch, Facts: f,
		Tags: []registry.Tag{"v1"},
		Files: []registry.File{
			{Path: "README.md", Digest: digest("readme"), Size: 34, MediaType: registry.ModelPackDoc},
			{Path: "config.json", Digest: digest("config"), Size: 200, MediaType: registry.ModelPackWeightConfig},
			{Path: "model.safetensors", Digest: digest("weights"), Size: 1000, MediaType: registry.ModelPackWeight},
		},
	}
}

const card = `# A story teller

It writes stories.

## Intended use

Stories for *children*,
and [for others](https://example.org/others).

## Bias, risks and limitations

- It knows no facts.
- Its endings are alike.

## Training data

Stories that were written for it.

## How to use it

    carat run acme/stories
`

// facts are those of the example.
func facts() *registry.Facts {
	return &registry.Facts{
		Format: "safetensors", Architecture: "llama", Parameters: 2_900_480, Quantization: "BF16", ContextLength: 512, VocabSize: 2048,
		HiddenSize: 256, Layers: 4, Tensors: 39, Tokenizer: "byte-level BPE", ChatTemplate: true,
		Card: registry.Card{
			Title: "A story teller", Summary: "It writes stories.", Body: card, Languages: []string{"en", "de"}, Library: "transformers",
			Pipeline: "text-generation", Datasets: []string{"acme/tales"}, LicenseID: "llama3.1", LicenseLink: "https://example.org/licence",
			Results: true, Evaluations: []registry.Evaluation{
				{Task: "text-generation", Dataset: "Tales (test)", Metric: "perplexity", Value: "12.5"},
				{Metric: "acc", Value: "0.75"},
			},
		},
		License: registry.License{
			Declared: "LicenseRef-scancode-llama-3.1-license-2024", File: "LICENSE", Text: "Terms of the stories,\r\nin two lines.\n", Notice: "Stories (c) Acme\n",
		},
	}
}

// example is a fine-tune of a model that is here, of one that is known by its
// name, of one that is not here and of one that the reader may not see.
func example() *registry.Ancestry {
	a := registry.NewAncestry(version("acme/stories", facts()))
	root := a.Graph.Works[a.Graph.Root]

	f := facts()
	f.Card = registry.Card{LicenseID: "apache-2.0", Body: "# Base\n", Datasets: []string{"acme/words"}}
	f.License = registry.License{Declared: "Apache-2.0", Notice: "Base (c) Acme"}
	here := registry.NewAncestry(version("acme/base", f))
	work := here.Graph.Works[here.Graph.Root]
	work.Text = lineage.Text{There: true, Refs: []string{"Apache-2.0"}}
	work.Edges = []lineage.Edge{{To: "dataset:words", Relation: lineage.Dataset, Origin: lineage.FromCard}}
	a.Versions[work.ID] = here.Versions[work.ID]

	for _, w := range []*lineage.Work{
		work,
		{ID: "name:llama", Name: "meta-llama/Llama-3.1-8B", ByName: true, Declared: "llama3.1", Expression: licenses.Licence("LicenseRef-scancode-llama-3.1-license-2024")},
		{ID: "name:gone", Name: "acme/gone", Unknown: true},
		{ID: "hidden:1", Name: "secret/plans", Hidden: true, Declared: "secret-licence", Notice: "a secret notice", Card: "a secret card"},
		{ID: "dataset:tales", Name: "acme/tales", Dataset: true, Unknown: true},
		{ID: "dataset:words", Name: "acme/words", Dataset: true, Unknown: true},
	} {
		a.Graph.Works[w.ID] = w
	}
	root.Edges = []lineage.Edge{
		{To: work.ID, Relation: lineage.FineTune, Origin: lineage.FromCard},
		{To: "name:llama", Relation: lineage.Merge, Origin: lineage.FromCard},
		{To: "name:gone", Relation: lineage.Merge, Origin: lineage.FromConfig},
		{To: "hidden:1", Relation: lineage.Merge, Origin: lineage.FromCard},
		{To: "dataset:tales", Relation: lineage.Dataset, Origin: lineage.FromCard},
	}
	return a
}

func write(t testing.TB, a *registry.Ancestry, f export.Format) []byte {
	t.Helper()
	d, err := export.Write(a, f)
	if err != nil {
		t.Fatal(err)
	}
	return d.Body
}

// TestGolden pins every format.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, k := range export.Kinds() {
		t.Run(string(k.Format), func(t *testing.T) {
			t.Parallel()
			d, err := export.Write(example(), k.Format)
			if err != nil {
				t.Fatal(err)
			}
			if d.MediaType != k.MediaType {
				t.Errorf("media type %q, want %q", d.MediaType, k.MediaType)
			}
			got := d.Body
			file := filepath.Join("testdata", d.Name)
			if k.Format == export.Attribution {
				got, file = unpack(t, got), strings.TrimSuffix(file, ".zip")+".txt"
			}
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// unpack writes the entries of a ZIP one after the other.
func unpack(t testing.TB, p []byte) []byte {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(p), int64(len(p)))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString("==> " + f.Name + " " + f.Modified.UTC().Format(time.RFC3339) + "\n")
		b.Write(text)
	}
	return b.Bytes()
}

func TestDeterministic(t *testing.T) {
	t.Parallel()
	for _, k := range export.Kinds() {
		first := write(t, example(), k.Format)
		if !bytes.Equal(first, write(t, example(), k.Format)) {
			t.Errorf("%s: the same facts give other bytes", k.Format)
		}
		moved := example()
		moved.Versions[moved.Graph.Root].Tags = []registry.Tag{"latest", "v2"}
		if !bytes.Equal(first, write(t, moved, k.Format)) {
			t.Errorf("%s: a tag that moved gives other bytes", k.Format)
		}
		other := example()
		other.Versions[other.Graph.Root].Digest = digest("another")
		if bytes.Equal(first, write(t, other, k.Format)) {
			t.Errorf("%s: another version gives the same bytes", k.Format)
		}
	}
}

// TestHidden: a work that the reader may not see is told of in no format.
func TestHidden(t *testing.T) {
	t.Parallel()
	for _, k := range export.Kinds() {
		p := write(t, example(), k.Format)
		for _, word := range []string{"secret", "hidden:1", "plans"} {
			if bytes.Contains(bytes.ToLower(p), []byte(word)) {
				t.Errorf("%s tells %q of a hidden work", k.Format, word)
			}
		}
		if !bytes.Contains(p, []byte(lineage.Hidden)) {
			t.Errorf("%s does not say that there is a hidden work", k.Format)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	if _, err := export.Write(example(), "spdx2"); !errors.Is(err, export.ErrFormat) {
		t.Errorf("unknown format: %v", err)
	}
	if _, err := export.Write(registry.NewAncestry(version("acme/new", nil)), export.SPDX); !errors.Is(err, export.ErrNotInspected) {
		t.Errorf("a version without facts: %v", err)
	}
}

func TestSchemas(t *testing.T) {
	t.Parallel()
	p := write(t, example(), export.CycloneDX)
	if err := validCycloneDX(t, p); err != nil {
		t.Error(err)
	}
	if err := validCycloneDX(t, bytes.Replace(p, []byte(`"machine-learning-model"`), []byte(`"model"`), 1)); err == nil {
		t.Error("the CycloneDX schema takes what is none")
	}
	p = write(t, example(), export.SPDX)
	if s, err := spdxSchema(); err != nil {
		t.Fatal(err)
	} else if s == nil {
		t.Skip("the schema of SPDX is not there; CARAT_SHARED_DATA names the folder of spdx/spdx-json-schema-3.0.1.json")
	}
	if err := validSPDX(t, p); err != nil {
		t.Error(err)
	}
	if err := validSPDX(t, bytes.Replace(p, []byte(`"trainedOn"`), []byte(`"learnedFrom"`), 1)); err == nil {
		t.Error("the SPDX schema takes what is none")
	}
}

// TestSPDXForOthers reads the document with the SPDX project's library.
func TestSPDXForOthers(t *testing.T) {
	t.Parallel()
	got := readSPDX(t, write(t, example(), export.SPDX))
	for kind, want := range map[string]int{"AIPackage": 2, "DatasetPackage": 2, "Package": 3, "File": 3, "Organization": 2, "LicenseExpression": 3} {
		if got[kind] != want {
			t.Errorf("%d elements of type %s, want %d: %v", got[kind], kind, want, got)
		}
	}
}

// TestMOFForOthers reads the mof.yml as the hub reads those of publishers.
func TestMOFForOthers(t *testing.T) {
	t.Parallel()
	a := example()
	a.Versions[a.Graph.Root].Facts.MOF = "release:\n  name: Tales\n  date: not a date\n  contact: acme\n  components:\n    - name: Training code\n      component_path: train.py\n      license: MIT\n"
	m, err := openness.ParseMOFFile(write(t, a, export.MOF))
	if err != nil {
		t.Fatal(err)
	}
	if m.Name != "Tales" || m.Contact != "acme" || m.Date != "2026-01-02" {
		t.Errorf("release %+v", m)
	}
	got := map[openness.Component]openness.MOFComponent{}
	for _, c := range m.Components {
		got[c.Component] = c
	}
	if c := got[openness.TrainingCode]; c.Location != "train.py" || c.Licence.Name != "MIT" {
		t.Errorf("the publisher's own component is %+v", c)
	}
	if c := got[openness.Parameters]; c.Location != "model.safetensors" {
		t.Errorf("the component that is seen is %+v", c)
	}
}

// TestLicences: what is declared, and what a text confirms.
func TestLicences(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		declared              string // expression
		text                  []string
		expression, concluded string
	}{
		"confirmed":       {"Apache-2.0", []string{"Apache-2.0"}, "Apache-2.0", "Apache-2.0"},
		"no text":         {"Apache-2.0", nil, "Apache-2.0", ""},
		"another text":    {"Apache-2.0", []string{"MIT"}, "Apache-2.0", ""},
		"one of two":      {"Apache-2.0 OR MIT", []string{"MIT"}, "Apache-2.0 OR MIT", ""},
		"both":            {"MIT OR Apache-2.0", []string{"Apache-2.0", "MIT"}, "MIT OR Apache-2.0", "MIT OR Apache-2.0"},
		"more text":       {"MIT", []string{"Apache-2.0", "MIT"}, "MIT", ""},
		"exception":       {"Apache-2.0 WITH LLVM-exception", []string{"Apache-2.0"}, "Apache-2.0 WITH LLVM-exception", ""},
		"spelling":        {"apache-2.0", []string{"Apache-2.0"}, "Apache-2.0", "Apache-2.0"},
		"old id":          {"GPL-3.0+", nil, "GPL-3.0-or-later", ""},
		"unknown":         {"acme-terms", nil, "LicenseRef-acme-terms", ""},
		"unknown later":   {"acme-terms+", nil, "LicenseRef-acme-terms", ""},
		"other documents": {"DocumentRef-a:LicenseRef-b", nil, "LicenseRef-DocumentRef-a-LicenseRef-b", ""},
		"nested":          {"MIT AND (acme OR Apache-2.0)", nil, "MIT AND (LicenseRef-acme OR Apache-2.0)", ""},
		"a reference":     {"LicenseRef-acme-1.0", nil, "LicenseRef-acme-1.0", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := registry.NewAncestry(version("acme/stories", facts()))
			e, err := licenses.ParseExpression(tt.declared)
			if err != nil {
				t.Fatal(err)
			}
			w := a.Graph.Works[a.Graph.Root]
			w.Expression, w.Text = e, lineage.Text{There: tt.text != nil, Refs: tt.text}
			p := write(t, a, export.CycloneDX)
			if err := validCycloneDX(t, p); err != nil {
				t.Error(err)
			}
			var bom struct {
				Metadata struct {
					Component struct {
						Licenses []struct{ Expression, Acknowledgement string }
					}
				}
			}
			if err := json.Unmarshal(p, &bom); err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, l := range bom.Metadata.Component.Licenses {
				got[l.Acknowledgement] = l.Expression
			}
			want := map[string]string{"declared": tt.expression}
			if tt.concluded != "" {
				want["concluded"] = tt.concluded
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if err := validSPDX(t, write(t, a, export.SPDX)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestNotStated: a version of which nothing is known but its files states
// nothing, and every item of the annex is there.
func TestNotStated(t *testing.T) {
	t.Parallel()
	a := registry.NewAncestry(version("acme/bare", new(registry.Facts)))
	var sheet struct {
		Items []struct {
			Point string
			Parts []struct{ Name, Value, Source string }
		}
	}
	if err := json.Unmarshal(write(t, a, export.AnnexXIIJSON), &sheet); err != nil {
		t.Fatal(err)
	}
	var points []string
	for _, item := range sheet.Items {
		points = append(points, item.Point)
		if len(item.Parts) == 0 {
			t.Errorf("%s has no parts", item.Point)
		}
		for _, p := range item.Parts {
			if p.Source == "card" || p.Source == "catalogue" || p.Source == "files" && p.Value != "no" {
				t.Errorf("%s states %q: %q by %s", item.Point, p.Name, p.Value, p.Source)
			}
			if p.Source == "" && p.Value != "not stated by the publisher" {
				t.Errorf("%s says %q without a source", item.Point, p.Value)
			}
		}
	}
	if diff := cmp.Diff([]string{"1(a)", "1(b)", "1(c)", "1(d)", "1(e)", "1(f)", "1(g)", "1(h)", "2(a)", "2(b)", "2(c)"}, points); diff != "" {
		t.Errorf("points (-want +got):\n%s", diff)
	}
}
