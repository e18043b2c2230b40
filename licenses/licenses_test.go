package licenses

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
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

// catalogued returns the entries of the catalogue, without those of which only lists are known.
func catalogued() (list []*Fact) {
	for _, l := range All() {
		if l.Source != SourceList {
			list = append(list, l)
		}
	}
	return list
}

func TestCatalogue(t *testing.T) {
	t.Parallel()
	all := catalogued()
	if len(all) != 85 {
		t.Fatalf("%d entries, want 84 licences and an older text", len(all))
	}
	dec := json.NewDecoder(bytes.NewReader(catalogueJSON))
	dec.DisallowUnknownFields()
	var strict []Fact
	if err := dec.Decode(&strict); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, l := range all {
		t.Run(l.ID+" "+l.Effective, func(t *testing.T) {
			if !idRE.MatchString(l.ID) || seen[l.ID+l.Effective] {
				t.Errorf("id %q is malformed or given twice", l.ID)
			}
			seen[l.ID+l.Effective] = true
			if l.Name == "" || l.Family == "" || len(l.Content) == 0 {
				t.Error("no name, family or content")
			}
			if l.NotOne == "" && !spdxRE.MatchString(l.SPDX) {
				t.Errorf("SPDX id %q is malformed", l.SPDX)
			}
			if u, err := url.Parse(l.URL); l.URL != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
				t.Errorf("URL %q is not https", l.URL)
			}
			for what, p := range map[string]Permission{"commercial": l.Commercial, "modify": l.Modify, "redistribute": l.Redistribute} {
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
			fields := jsonFields()
			for field, section := range l.Clauses {
				if !slices.Contains(fields, field) || section == "" {
					t.Errorf("clause %q of %q", section, field)
				}
			}
			if l.Openness() == OpennessOpen && (l.NotOne != "" || l.Commercial.Answer != AnswerYes || l.Modify.Answer != AnswerYes || l.Redistribute.Answer != AnswerYes || !l.Lists.Any()) {
				t.Error("called open against its facts")
			}
			if l.Openness() == OpennessRestricted && len(l.Restrictions()) == 0 {
				t.Error("restricted by nothing")
			}
			if open := l.MOF.Value == "open" || l.MOF.Value == "ok"; open != (l.Openness() == OpennessOpen) && l.MOF.Value != TermUnknown {
				t.Errorf("%s, and the Model Openness Framework says %q", l.Openness(), l.MOF.Value)
			}
		})
	}
}

func jsonFields() (names []string) {
	for f := range reflect.TypeFor[Fact]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// TestLayout holds the catalogue to one line for each field, in the order of Fact, so that a changed fact is a changed line.
func TestLayout(t *testing.T) {
	t.Parallel()
	var entries []map[string]json.RawMessage
	if err := json.Unmarshal(catalogueJSON, &entries); err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		var lines []string
		for _, name := range jsonFields() {
			if v, ok := e[name]; ok {
				lines = append(lines, fmt.Sprintf("    %q: %s", name, v))
			}
		}
		list = append(list, "  {\n"+strings.Join(lines, ",\n")+"\n  }")
	}
	want := "[\n" + strings.Join(list, ",\n") + "\n]\n"
	if diff := cmp.Diff(want, string(catalogueJSON)); diff != "" {
		t.Errorf("catalogue.json (-want +got):\n%s", diff)
	}
}

// TestRows compares the catalogue with the table that it was made from, where that is there.
func TestRows(t *testing.T) {
	t.Parallel()
	p, err := os.ReadFile("../../shared/data/licenses.psv")
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("the table is not here")
	}
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(strings.TrimSpace(string(p)), "\n")
	if len(rows) != 84 {
		t.Fatalf("%d rows", len(rows))
	}
	yes := map[string]Answer{"yes": AnswerYes, "no": AnswerNo, "unknown": AnswerUnknown}
	sources := map[string]string{"T": SourceText, "S": SourceStandard, "P": SourcePartial, "M": SourceMemory}
	byID := map[string]*Fact{}
	for _, l := range catalogued() {
		if byID[l.ID] == nil || byID[l.ID].Effective < l.Effective {
			byID[l.ID] = l
		}
	}
	for _, row := range rows {
		x := strings.Split(row, "|")
		l := byID[x[0]]
		if l == nil || len(x) != 20 {
			t.Errorf("%q is not there", x[0])
			continue
		}
		t.Run(l.ID, func(t *testing.T) {
			for i, p := range map[int]Permission{6: l.Commercial, 7: l.Modify, 8: l.Redistribute} {
				if want, plain := yes[x[i]]; plain && p.Answer != want {
					t.Errorf("column %d: %q, want %q", i+1, p.Answer, x[i])
				}
				if strings.HasSuffix(x[i], "?") {
					// What is only supposed is not known.
					if p.Answer != AnswerUnknown {
						t.Errorf("column %d: %q, want it unknown: %q", i+1, p.Answer, x[i])
					}
				} else if strings.HasPrefix(x[i], "cond") && p.Answer != AnswerConditional {
					t.Errorf("column %d: %q, want %q", i+1, p.Answer, x[i])
				}
			}
			if l.Source != sources[x[19]] {
				t.Errorf("source %q, want %q", l.Source, x[19])
			}
			if (x[9] == "-") != (l.Naming == nil) || l.Naming != nil && l.Naming.Text != "" && !strings.Contains(x[9], l.Naming.Text) {
				t.Errorf("naming %+v, want %q", l.Naming, x[9])
			}
			if (x[12] == "-") != (l.Use == nil) {
				t.Errorf("use %+v, want %q", l.Use, x[12])
			}
			if excluded := strings.Contains(x[14], "exclude") || strings.Contains(x[14], "no-grant"); excluded != (l.Territory != nil && len(l.Territory.Regions) > 0) {
				t.Errorf("territory %+v, want %q", l.Territory, x[14])
			}
			if (x[17] == "yes") != l.Lists.OSI {
				t.Errorf("approved %v, want %q", l.Lists.OSI, x[17])
			}
			for _, d := range l.Files {
				if d.Kind == DutyNotice && d.Text != "" && !strings.Contains(x[10], "NOTICE (as") && !strings.Contains(x[10], d.Text) {
					t.Errorf("notice %q, want %q", d.Text, x[10])
				}
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
		{"mpl-2.0", "MPL-2.0", "MPL-2.0"},
		{"bsl-1.0", "BSL-1.0", "BSL-1.0"},
		{"lgpl-3.0", "LGPL-3.0-only", "LGPL-3.0-only"},
		{"GPL-2.0-or-later", "GPL-2.0-or-later", "GPL-2.0-or-later"},
		{"openrail++", "openrail++", "LicenseRef-CreativeML-OpenRAIL-PlusPlus-M"},
	}
	for _, tt := range tests {
		got, ok := Lookup(tt.id)
		if !ok || got.ID != tt.want || got.SPDX != tt.spdx {
			t.Errorf("Lookup(%q) = %+v, %v; want %q, %q", tt.id, got, ok, tt.want, tt.spdx)
		}
	}
	for _, id := range []string{
		"", "openrail", "OpenRAIL", "LicenseRef-OpenRAIL", "cc", "bsd", "gpl", "lgpl", "gfdl", "other", "unknown", "none", "unknown / none",
		"NOASSERTION", "NONE", "LicenseRef-<vendor>", "other:mg-by-2.0", "internlm", "apache", "mit license", "busl-1.1", "\x00", strings.Repeat("a", 1<<20),
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
			t.Errorf("Lookup(%q) = %+v, %v", l.ID, got, ok)
		}
		if l.NotOne != "" {
			continue
		}
		if got, ok := Lookup(l.SPDX); !ok || got.SPDX != l.SPDX || (l.SameAs == "") != (got.ID == l.ID) {
			t.Errorf("Lookup(%q) = %+v, %v; want %q", l.SPDX, got, ok, l.ID)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const rest = `,"outputs":{"value":"free"},"derivatives":{"value":"copy"},"patents":{"value":"none"},"mof":{"value":"open"},"source":"text","commercial":{"answer":"yes"},"modify":{"answer":"yes"},"redistribute":{"answer":"yes"}}`
	for name, tt := range map[string]struct{ facts, want string }{
		"ambiguous":    {`[{"id":"a","spdx":"X-1.0"` + rest + `,{"id":"b","spdx":"x-1.0"` + rest + `]`, `"x-1.0" names both "a" and "b"`},
		"same text":    {`[{"id":"a","texts":[{"language":"en","digest":"00"}]` + rest + `,{"id":"b","texts":[{"language":"en","digest":"00"}]` + rest + `]`, "twice"},
		"unknown word": {`[{"id":"a","use":{"value":"perhaps"}` + rest + `]`, `use: unknown word "perhaps"`},
		"unknown duty": {`[{"id":"a","files":[{"kind":"dance"}]` + rest + `]`, `unknown duty "dance"`},
		"null":         {`[null]`, "null"},
	} {
		if _, err := parse([]byte(tt.facts), []byte("[]")); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	v := Versions("grok2-community")
	if len(v) != 2 || v[0].Effective <= v[1].Effective {
		t.Fatalf("%d texts", len(v))
	}
	if limits := v[1].Commercial.Limits; len(limits) != 1 || limits[0].Value != 1_000_000 {
		t.Errorf("the first text: %+v", v[1].Commercial)
	}
}

// TestSummaries holds the words of all entries to a golden file, so that a
// changed fact shows what readers will see.
func TestSummaries(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	for _, l := range catalogued() {
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
