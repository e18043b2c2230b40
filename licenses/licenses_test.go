package licenses

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

var (
	spdxRE = regexp.MustCompile(`^(LicenseRef-)?[A-Za-z0-9.+-]+$`)
	idRE   = regexp.MustCompile(`^[a-z0-9][ -~]*$`)
)

func TestCatalogue(t *testing.T) {
	t.Parallel()
	all := All()
	if len(all) != 84 {
		t.Fatalf("%d entries, want 84", len(all))
	}
	dec := json.NewDecoder(bytes.NewReader(catalogueJSON))
	dec.DisallowUnknownFields()
	var strict []Fact
	if err := dec.Decode(&strict); err != nil {
		t.Fatal(err)
	}
	answers := []Answer{AnswerYes, AnswerNo, AnswerConditional, AnswerUnknown}
	seen := map[string]bool{}
	for _, l := range all {
		t.Run(l.ID, func(t *testing.T) {
			if !idRE.MatchString(l.ID) || seen[l.ID] {
				t.Errorf("id %q is malformed or given twice", l.ID)
			}
			seen[l.ID] = true
			if l.Name == "" || l.Family == "" {
				t.Error("no name or family")
			}
			if l.NotOne == "" && !spdxRE.MatchString(l.SPDX) {
				t.Errorf("SPDX id %q is malformed", l.SPDX)
			}
			if u, err := url.Parse(l.URL); l.URL != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
				t.Errorf("URL %q is not https", l.URL)
			}
			if !slices.Contains([]string{"text", "standard", "partial", "memory"}, l.Source) {
				t.Errorf("source %q", l.Source)
			}
			for what, p := range map[string]Permission{"commercial": l.Commercial, "modify": l.Modify, "redistribute": l.Redistribute} {
				if !slices.Contains(answers, p.Answer) {
					t.Errorf("%s: answer %q", what, p.Answer)
				}
				narrowed := p.Only != "" || len(p.Limits) > 0 || len(p.Duties) > 0
				if p.Answer == AnswerYes && narrowed {
					t.Errorf("%s: yes with conditions %+v", what, p)
				}
				if p.Answer == AnswerConditional && !narrowed && p.Note == "" {
					t.Errorf("%s: conditional without a condition", what)
				}
				for _, x := range p.Limits {
					if x.Value <= 0 || x.Op != "<" && x.Op != "<=" || (x.Metric == MetricAnnualRevenue) != (x.Unit != "") {
						t.Errorf("%s: limit %+v", what, x)
					}
				}
			}
			for _, f := range []Term{l.Outputs, l.Derivatives, l.Patents, l.MOF} {
				if f.Value == "" {
					t.Errorf("a fact has no value: %+v", l)
				}
			}
			known := []string{"unknown", "encouraged"}
			for _, d := range slices.Concat(l.Files, l.Display) {
				if dutyWords[d.Kind] == "" && !slices.Contains(known, d.Kind) {
					t.Errorf("duty %q has no words", d.Kind)
				}
			}
			if l.Openness() == OpennessOpen && (l.NotOne != "" || l.Commercial.Answer != AnswerYes || l.Modify.Answer != AnswerYes || l.Redistribute.Answer != AnswerYes) {
				t.Error("called open against its facts")
			}
			if l.Openness() == OpennessOpen && !l.OSI && l.MOF.Value == "no" {
				t.Error("called open although it is on no list")
			}
		})
	}
}

func TestLookup(t *testing.T) {
	t.Parallel()
	tests := []struct{ id, want, spdx string }{
		{"apache-2.0", "apache-2.0", "Apache-2.0"},
		{"APACHE-2.0", "apache-2.0", "Apache-2.0"},
		{" MIT ", "mit", "MIT"},
		{"llama3.1", "llama3.1", "LicenseRef-scancode-llama-3.1-license-2024"},
		{"licenseref-META-llama-3", "llama3", "LicenseRef-Meta-Llama-3"},
		{"other:qwen", "other:qwen", "LicenseRef-scancode-qwen-2024"},
		{"qwen", "other:qwen", "LicenseRef-scancode-qwen-2024"},
		{"gpl-3.0", "gpl-3.0", "GPL-3.0-only"},
		{"GPL-3.0-or-later", "gpl-3.0", "GPL-3.0-or-later"},
		{"agpl-3.0-OR-later", "agpl-3.0", "AGPL-3.0-or-later"},
		{"cc-by-nc-4.0", "cc-by-nc-4.0", "CC-BY-NC-4.0"},
		{"odbl", "odbl", "ODbL-1.0"},
		{"openrail++", "openrail++", "LicenseRef-CreativeML-OpenRAIL-PlusPlus-M"},
	}
	for _, tt := range tests {
		got, ok := Lookup(tt.id)
		if !ok || got.ID != tt.want || got.SPDX != tt.spdx {
			t.Errorf("Lookup(%q) = %q, %q, %v; want %q, %q", tt.id, got.ID, got.SPDX, ok, tt.want, tt.spdx)
		}
	}
	for _, id := range []string{
		"", "openrail", "OpenRAIL", "LicenseRef-OpenRAIL", "cc", "bsd", "gpl", "lgpl", "gfdl", "other", "unknown", "none", "unknown / none",
		"NOASSERTION", "NONE", "LicenseRef-<vendor>", "other:mg-by-2.0", "internlm", "apache", "mit license", "\x00", strings.Repeat("a", 1<<20),
	} {
		if got, ok := Lookup(id); ok {
			t.Errorf("Lookup(%.40q) = %q, want nothing", id, got.ID)
		}
	}
}

// Every id of every entry finds the entry, but for those that name no single
// licence and those that only point at another one.
func TestLookupFindsAll(t *testing.T) {
	t.Parallel()
	for _, l := range All() {
		got, ok := Lookup(strings.ToUpper(l.ID))
		if ok != (l.NotOne == "") || ok && got.ID != l.ID {
			t.Errorf("Lookup(%q) = %q, %v", l.ID, got.ID, ok)
		}
		if l.NotOne != "" {
			continue
		}
		if got, ok := Lookup(l.SPDX); !ok || got.SPDX != l.SPDX || (l.SameAs == "") != (got.ID == l.ID) {
			t.Errorf("Lookup(%q) = %q, %v; want %q", l.SPDX, got.ID, ok, l.ID)
		}
	}
}

func TestParseRefusesAmbiguousIDs(t *testing.T) {
	t.Parallel()
	_, err := parse([]byte(`[{"id":"a","spdx":"X-1.0"},{"id":"b","spdx":"x-1.0"}]`))
	if err == nil || !strings.Contains(err.Error(), `"x-1.0" names both "a" and "b"`) {
		t.Errorf("parse: %v", err)
	}
}

// TestSummaries holds the words of all entries to a golden file, so that a
// changed fact shows what readers will see.
func TestSummaries(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	for _, l := range All() {
		s := l.Summary()
		fmt.Fprintf(&b, "%s: %s", l.ID, s.Openness)
		if len(s.Restrictions) > 0 {
			fmt.Fprintf(&b, " (%s)", strings.Join(s.Restrictions, ", "))
		}
		if !s.Checked {
			b.WriteString(" [not checked]")
		}
		b.WriteByte('\n')
		for _, x := range []struct {
			name string
			line Line
		}{{"commercial use", s.Commercial}, {"modification", s.Modification}, {"redistribution", s.Redistribute}} {
			fmt.Fprintf(&b, "  %s: %s", x.name, x.line.Answer)
			if x.line.Words != "" {
				fmt.Fprintf(&b, ": %s", x.line.Words)
			}
			b.WriteByte('\n')
		}
		for _, d := range s.Duties {
			fmt.Fprintf(&b, "  - %s\n", d)
		}
	}
	golden(t, "summaries.txt", b.Bytes())
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestOpenness(t *testing.T) {
	t.Parallel()
	tests := map[string]Openness{
		"apache-2.0": OpennessOpen, "mit": OpennessOpen, "gpl-3.0": OpennessOpen, "cc-by-4.0": OpennessOpen, "pddl": OpennessOpen,
		"cc-by-nc-4.0": OpennessRestricted, "llama3.1": OpennessRestricted, "gemma": OpennessRestricted,
		"other:modified-mit(kimi-k2)": OpennessRestricted, "bigscience-openrail-m": OpennessRestricted,
		"h-research": OpennessUnclear, "openmdw-1.1": OpennessUnclear, "apple-ascl": OpennessUnclear, "openrail": OpennessUnclear,
	}
	for _, l := range All() {
		if want, ok := tests[l.ID]; ok && l.Openness() != want {
			t.Errorf("%s is %s (%v), want %s", l.ID, l.Openness(), l.Restrictions(), want)
		}
	}
}

func FuzzLookup(f *testing.F) {
	for _, s := range []string{"mit", "LicenseRef-Meta-Llama-3", "other:", "ſ", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if l, ok := Lookup(id); ok && (l.SPDX == "" || l.NotOne != "") {
			t.Errorf("Lookup(%q) = %+v", id, l)
		}
	})
}
