package export_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/licenses/lineage"
	"github.com/carat-hub/carat/licenses/openness"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/registry/export"
)

// most is how long any document about one version with short lists may be.
const most = 8 << 20

// check writes a version in every format and looks at what no facts may break.
func check(t testing.TB, a *registry.Ancestry) {
	t.Helper()
	for _, k := range export.Kinds() {
		p := write(t, a, k.Format)
		if len(p) > most {
			t.Errorf("%s: %d bytes", k.Format, len(p))
		}
		text := p
		var err error
		switch k.Format {
		case export.CycloneDX:
			if err = validCycloneDX(t, p); err == nil && bytes.Contains(p, []byte(`"cryptoProperties"`)) {
				err = fmt.Errorf("it has what the schema could not be asked about")
			}
		case export.SPDX:
			err = validSPDX(t, p)
		case export.AnnexXIIJSON:
			if !json.Valid(p) {
				err = fmt.Errorf("no JSON")
			}
		case export.MOF:
			_, err = openness.ParseMOFFile(p)
		case export.Attribution:
			text = unpack(t, p)
		}
		if err != nil {
			t.Errorf("%s: %v", k.Format, err)
		}
		if !utf8.Valid(text) {
			t.Errorf("%s: not UTF-8", k.Format)
		}
		for _, r := range string(text) {
			if r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r == '\u202e' {
				t.Errorf("%s: control character %U", k.Format, r)
				break
			}
		}
	}
}

// TestRandom: whatever the facts are, documents are valid.
func TestRandom(t *testing.T) {
	t.Parallel()
	for seed := range uint64(24) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			check(t, random(rand.New(rand.NewPCG(seed, 1))))
		})
	}
}

// hostile are pieces of texts that break what is careless.
var hostile = []string{
	"", " ", "a", "Apache-2.0", "MIT OR (", "\x00\x01\x1b[31m", "\xff\xfe\xc3", "\u202e\u2028", "\r\n\r\n", "---\n", "\"}],", "</script>", "`*_[x](y)`",
	"https://user:pw@example.org", "https://example.org/%zz?q=\x01 \"<>", "https://[::1", "javascript:alert(1)", "https://exämple.org/é?ü#ß", "http://a b/", "urn:cdx:x", "_:b0",
	"LicenseRef-", "DocumentRef-a:LicenseRef-b", "llama3.1", "## Intended use\n\n", "# Limitations\n", "Ethics\n===\n", "Usage\n---\n", "- a\n- b\n", "null", "2026-01-02", "../../etc", strings.Repeat("é", 3000),
}

func words(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(4) {
		b.WriteString(hostile[r.IntN(len(hostile))])
	}
	return b.String()
}

func list(r *rand.Rand) (out []string) {
	for range r.IntN(4) {
		out = append(out, words(r))
	}
	return out
}

// random is a lineage of random works with random facts.
func random(r *rand.Rand) *registry.Ancestry {
	number := func() int64 { return r.Int64() >> r.IntN(63) * int64(1-2*r.IntN(2)) }
	expression := func() licenses.Expression {
		all := []string{"Apache-2.0", "MIT", "GPL-2.0+", "acme", "x:y", "LicenseRef-1", "MIT AND (acme+ OR GPL-2.0-only WITH Classpath-exception-2.0)", "acme WITH a:b"}
		e, err := licenses.ParseExpression(all[r.IntN(len(all))])
		if err != nil || r.IntN(4) == 0 {
			return licenses.Expression{}
		}
		return e
	}
	facts := func() *registry.Facts {
		f := &registry.Facts{
			Format: words(r), Architecture: words(r), Parameters: number(), Quantization: words(r), ContextLength: number(), VocabSize: number(), Opset: number(),
			Tokenizer: words(r), ChatTemplate: r.IntN(2) == 0, Inputs: list(r), Outputs: list(r), MOF: "release:\n  name: a\n  components:\n    - name: Datasets\n      description: \"\\e\\0" + "x\"\n",
			Card: registry.Card{
				Title: words(r), Summary: words(r), Body: words(r) + "\n" + words(r) + "\n" + words(r), Languages: list(r), Library: words(r), Pipeline: words(r),
				LicenseID: words(r), LicenseLink: words(r), Gated: r.IntN(2) == 0,
			},
			License: registry.License{File: words(r), Text: words(r) + words(r), Notice: words(r)},
		}
		for range r.IntN(4) {
			f.Card.Evaluations = append(f.Card.Evaluations, registry.Evaluation{Task: words(r), Dataset: words(r), Metric: words(r), Value: words(r)})
		}
		return f
	}
	v := version("acme/stories", facts())
	v.CreatedAt = time.Unix(r.Int64N(1<<32), r.Int64N(1e9))
	v.Files = append(v.Files, registry.File{Path: words(r), Digest: registry.DigestOf(registry.SHA512, []byte("a")), Size: number(), MediaType: words(r)})
	a := registry.NewAncestry(v)
	root := a.Graph.Works[a.Graph.Root]
	root.Expression, root.Declared, root.Notice = expression(), words(r), words(r)
	last := root
	relations := []lineage.Relation{lineage.FineTune, lineage.Merge, lineage.Dataset, lineage.Outputs, "\x00odd"}
	for i := range r.IntN(8) {
		id := fmt.Sprint(i)
		w := &lineage.Work{
			ID: id, Name: words(r),
			Declared: words(r), Expression: expression(), Notice: words(r), Changes: r.IntN(2) == 0,
		}
		switch r.IntN(5) {
		case 0:
			w.Hidden = true
		case 1:
			w.Unknown, w.Dataset = true, true
		case 2:
			w.Unknown = true
		case 3:
			w.ByName = true
		default:
			a.Versions[id] = version("acme/v"+id, facts())
			w.Text.Refs = []string{"Apache-2.0"}
		}
		a.Graph.Works[id] = w
		from := last
		if r.IntN(2) == 0 {
			from = root
		}
		from.Edges = append(from.Edges, lineage.Edge{To: id, Relation: relations[r.IntN(len(relations))], Origin: lineage.FromCard}, lineage.Edge{To: "nowhere"})
		last = w
	}
	return a
}

// TestMany: of a lineage without end so many works are named, and the rest counted.
func TestMany(t *testing.T) {
	t.Parallel()
	a := registry.NewAncestry(version("acme/stories", facts()))
	root := a.Graph.Works[a.Graph.Root]
	for i := range 900 {
		w := &lineage.Work{ID: fmt.Sprint(i), Name: strings.Repeat("n", 1000), Dataset: true, Unknown: true}
		a.Graph.Works[w.ID] = w
		root.Edges = append(root.Edges, lineage.Edge{To: w.ID, Relation: lineage.Dataset, Origin: lineage.FromCard})
	}
	check(t, a)
	if p := write(t, a, export.Notice); !bytes.Contains(p, fmt.Appendf(nil, "and %d more works", len(a.Graph.Works)-500)) {
		t.Error("the works that are left out are not counted")
	}
}

// TestLongTexts: texts that do not fit are named.
func TestLongTexts(t *testing.T) {
	t.Parallel()
	a := registry.NewAncestry(version("acme/stories", facts()))
	root := a.Graph.Works[a.Graph.Root]
	for i := range 12 {
		f := facts()
		f.License.Text = strings.Repeat(fmt.Sprintf("line %d\n", i), 1<<17)
		v := version(fmt.Sprintf("acme/v%d", i), f)
		w := &lineage.Work{ID: v.Digest.String(), Name: string(v.Name), Notice: f.License.Text}
		a.Versions[w.ID], a.Graph.Works[w.ID] = v, w
		root.Edges = append(root.Edges, lineage.Edge{To: w.ID, Relation: lineage.Merge, Origin: lineage.FromCard})
	}
	for _, f := range []export.Format{export.Notice, export.Attribution} {
		p := write(t, a, f)
		if len(p) > 20<<20 || !bytes.Contains(p, []byte("Left out")) {
			t.Errorf("%s: %d bytes, and what is left out is not named", f, len(p))
		}
	}
}

// FuzzWrite writes documents about a version whose texts are a stranger's.
func FuzzWrite(f *testing.F) {
	f.Add(card, "Apache-2.0", "https://example.org/?a=b", "release:\n  name: a\n")
	f.Add("# Uses\n\x00\xff\n## Risks\nx\n---\n", "other", "https://[", "release: {name: \"\\x1b\"}")
	f.Add("Usage\n=====\n\n> q\n", "\u202e", "http://a/%", "")
	f.Fuzz(func(t *testing.T, body, id, link, mof string) {
		if len(body)+len(id)+len(link)+len(mof) > 1<<20 {
			t.Skip()
		}
		v := facts()
		v.Card.Body, v.Card.LicenseID, v.Card.LicenseLink, v.MOF = body, id, link, mof
		v.Card.Pipeline, v.Architecture, v.License.Text, v.License.Notice = id, id, body, body
		check(t, registry.NewAncestry(version("acme/stories", v)))
	})
}
