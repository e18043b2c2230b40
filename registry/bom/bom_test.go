package bom

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/licenses/lineage"
	"github.com/carat-hub/carat/licenses/openness"
	"github.com/carat-hub/carat/registry"
)

var (
	update     = flag.Bool("update", false, "write the golden files")
	spdxSchema = flag.String("spdx-schema", os.Getenv("CARAT_SPDX_SCHEMA"), "`FILE` with the JSON schema of SPDX 3.0.1, to validate with")
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func version(name, license string, bases ...registry.DeclaredBase) *registry.Version {
	f := &registry.Facts{
		Format: "safetensors", Architecture: "llama", Parameters: 2_900_000, Quantization: "BF16", ContextLength: 2048, Tokenizer: "bpe", Bases: bases,
		Card: registry.Card{Title: "A model", Summary: "It answers.", Body: "# A model\n", Pipeline: "text-generation", Library: "transformers", Languages: []string{"en"}, LicenseID: license},
	}
	if l, ok := licenses.Lookup(license); ok {
		f.License.Declared = l.SPDX
	}
	v := &registry.Version{Name: registry.Name(name), CreatedAt: epoch, Facts: f, Digest: registry.DigestOf(registry.SHA256, []byte(name))}
	for _, path := range []string{"README.md", "config.json", "model.safetensors"} {
		v.Files = append(v.Files, registry.File{Path: path, Size: 10, Digest: registry.DigestOf(registry.SHA256, []byte(name+path))})
	}
	return v
}

// tuned is a fine-tune of a model of Meta's that is known by its name, with a
// dataset, and a base that the reader cannot see.
func tuned(t testing.TB) *Model {
	t.Helper()
	v := version("acme/llama-tuned", "llama3.1", registry.DeclaredBase{Name: "meta-llama/Llama-3.1-8B", Relation: "finetune", From: "card"})
	v.Facts.Card.Datasets = []string{"acme/talk"}
	v.Facts.License.Notice = "Llama 3.1 is licensed under the Llama 3.1 Community License, Copyright © Meta Platforms, Inc. All Rights Reserved.\n"
	text, err := os.ReadFile("../../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	v.Facts.License.File, v.Facts.License.Text = "LICENSE", string(text)
	v.Verification = &registry.VerificationSummary{State: "passed", CheckSet: 2}
	a := registry.NewAncestry(v)
	root := a.Graph.Works[a.Graph.Root]
	a.Graph.Works["hidden"] = &lineage.Work{ID: "hidden", Name: "acme/very-secret", Hidden: true}
	root.Edges = append(root.Edges, lineage.Edge{To: "hidden", Relation: lineage.Merge, Origin: lineage.FromCard})
	return New(a, Options{URL: "https://hub.example.org", Version: "v1.0.0"}, epoch)
}

func TestGolden(t *testing.T) {
	t.Parallel()
	m := tuned(t)
	for _, f := range Formats() {
		t.Run(f.ID, func(t *testing.T) {
			t.Parallel()
			got, err := f.Write(m)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := f.Write(tuned(t)); err != nil || !bytes.Equal(got, again) {
				t.Errorf("another time it is another document: %v", err)
			}
			if bytes.Contains(got, []byte("secret")) {
				t.Error("the name of a hidden model is in it")
			}
			if f.ID == "attribution" {
				return // see TestBundle
			}
			path := filepath.Join("testdata", f.File)
			if *update {
				if err := os.WriteFile(path, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestBundle(t *testing.T) {
	t.Parallel()
	m := tuned(t)
	p, err := m.bundle()
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(p), int64(len(p)))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got[f.Name] = string(content)
	}
	if got["NOTICE"] != string(m.notice()) || got["licenses/acme/llama-tuned/LICENSE"] != m.facts().License.Text || !strings.Contains(got["TERMS.txt"], "Built with Llama") || len(got) != 3 {
		t.Errorf("the bundle has %d files", len(got))
	}
}

func TestMOFIsRead(t *testing.T) {
	t.Parallel()
	p, err := tuned(t).mof()
	if err != nil {
		t.Fatal(err)
	}
	f, err := openness.ParseMOFFile(p)
	if err != nil {
		t.Fatalf("%v\n%s", err, p)
	}
	if f.Name != "acme/llama-tuned" || len(f.Components) == 0 || f.Distribution.Name == "" {
		t.Errorf("read again: %+v", f)
	}
}

// cycloneDXSchema is the one that the library was tested with.
var cycloneDXSchema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "schema")
	c := jsonschema.NewCompiler()
	for _, name := range []string{"bom-1.7.schema.json", "spdx.schema.json", "jsf-0.82.schemax.json"} {
		p, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(p))
		if err != nil {
			return nil, err
		}
		if err := c.AddResource("http://cyclonedx.org/schema/"+strings.Replace(name, "schemax", "schema", 1), doc); err != nil {
			return nil, err
		}
	}
	// The cryptography that the document does not have is described in a file that the library lacks.
	if err := c.AddResource("http://cyclonedx.org/schema/cryptography-defs.schema.json", map[string]any{"definitions": map[string]any{
		"algorithmFamiliesEnum": map[string]any{}, "ellipticCurvesEnum": map[string]any{},
	}}); err != nil {
		return nil, err
	}
	return c.Compile("http://cyclonedx.org/schema/bom-1.7.schema.json")
})

func validate(t *testing.T, s *jsonschema.Schema, p []byte) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(p))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(doc); err != nil {
		t.Fatalf("%#v\n%s", err, p)
	}
}

func TestCycloneDXIsValid(t *testing.T) {
	t.Parallel()
	s, err := cycloneDXSchema()
	if err != nil {
		t.Fatal(err)
	}
	eachModel(t, func(t *testing.T, m *Model) {
		p, err := m.cycloneDX()
		if err != nil {
			t.Fatal(err)
		}
		validate(t, s, p)
	})
}

// notBlank is the one pattern of the schema that Go's expressions cannot say,
// and iri what it means.
const notBlank = "^(?!_:).+:.+"

type iri struct{}

func (iri) MatchString(s string) bool {
	before, after, ok := strings.Cut(s, ":")
	return ok && before != "" && before != "_" && after != ""
}

func (iri) String() string { return notBlank }

// TestSPDX holds documents to what the specification demands of the elements
// that are used, and to its schema where that is given.
func TestSPDX(t *testing.T) {
	t.Parallel()
	var schema *jsonschema.Schema
	if *spdxSchema != "" {
		c := jsonschema.NewCompiler()
		c.UseRegexpEngine(func(s string) (jsonschema.Regexp, error) {
			if s == notBlank {
				return iri{}, nil
			}
			return regexp.Compile(s)
		})
		var err error
		if schema, err = c.Compile(*spdxSchema); err != nil {
			t.Fatal(err)
		}
	}
	required := map[string][]string{
		"CreationInfo": {"created", "createdBy", "specVersion"}, "Relationship": {"from", "relationshipType", "to"},
		"simplelicensing_LicenseExpression": {"simplelicensing_licenseExpression"}, "dataset_DatasetPackage": {"dataset_datasetType", "name"},
		"ai_AIPackage": {"name"}, "SpdxDocument": {"rootElement", "element"}, "software_Sbom": {"rootElement", "element"}, "software_File": {"name"}, "SoftwareAgent": {"name"},
	}
	eachModel(t, func(t *testing.T, m *Model) {
		p, err := m.spdx()
		if err != nil {
			t.Fatal(err)
		}
		if schema != nil {
			validate(t, schema, p)
		}
		var doc struct {
			Context string           `json:"@context"`
			Graph   []map[string]any `json:"@graph"`
		}
		if err := json.Unmarshal(p, &doc); err != nil {
			t.Fatal(err)
		}
		ids := map[string]bool{"": true}
		for _, e := range doc.Graph {
			id, _ := e["spdxId"].(string)
			if id == "" {
				id, _ = e["@id"].(string)
			}
			if ids[id] {
				t.Errorf("%q is the id of two elements or of none", id)
			}
			ids[id] = true
		}
		for _, e := range doc.Graph {
			kind := e["type"].(string)
			fields, known := required[kind]
			if !known {
				t.Errorf("an element of type %s", kind)
			}
			for _, f := range fields {
				if e[f] == nil || e[f] == "" {
					t.Errorf("a %s has no %s", kind, f)
				}
			}
			for _, f := range []string{"creationInfo", "from", "to", "rootElement", "element", "createdBy", "dataLicense"} {
				list, ok := e[f].([]any)
				if !ok && e[f] != nil {
					list = []any{e[f]}
				}
				for _, id := range list {
					if !ids[id.(string)] {
						t.Errorf("%s of a %s is %v, which is not there", f, kind, id)
					}
				}
			}
		}
	})
}

// eachModel calls f with models of all kinds: without facts, with bases of
// every kind, and with words of strangers in every field.
func eachModel(t *testing.T, f func(*testing.T, *Model)) {
	t.Helper()
	bare := &registry.Version{Name: "a/b", CreatedAt: epoch, Digest: registry.DigestOf(registry.SHA512, []byte("x"))}
	models := map[string]*Model{"tuned": tuned(t), "bare": New(registry.NewAncestry(bare), Options{}, epoch)}
	hostile := []string{
		"", "\x00\x1b[31m", "\xff\xfe", strings.Repeat("€", 5000), "</script><b>", "a|b\nc", `"quoted" \ back`, "file:///etc/passwd", "💎 \u202e gnp", "_:x", "urn:cdx:1/2#3",
	}
	r := rand.New(rand.NewPCG(1, 2))
	word := func() string { return hostile[r.IntN(len(hostile))] }
	for i := range 100 {
		v := version("acme/x", []string{"mit", "llama3.1", "no-such", "", "Apache-2.0 OR MIT"}[i%5])
		c := &v.Facts.Card
		for _, s := range []*string{&c.Title, &c.Summary, &c.Pipeline, &c.Library, &c.LicenseName, &v.Facts.Architecture, &v.Facts.Format, &v.Facts.Quantization, &v.Facts.Tokenizer, &v.Facts.License.Notice} {
			*s = word()
		}
		c.Languages, c.Datasets = []string{word(), word()}, []string{word(), "d/" + word()}
		for range r.IntN(4) {
			v.Facts.Bases = append(v.Facts.Bases, registry.DeclaredBase{Name: "b" + word(), Relation: word(), From: word()})
		}
		v.Files[0].Path = word() + "x"
		models[fmt.Sprintf("hostile-%d", i)] = New(registry.NewAncestry(v), Options{URL: "https://hub.example.org"}, epoch)
	}
	for name, m := range models {
		t.Run(name, func(t *testing.T) { f(t, m) })
	}
}
