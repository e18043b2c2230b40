package openness

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/carat-hub/carat/licenses"
)

var update = flag.Bool("update", false, "write the golden files")

// fixtures are releases in the framework's own format, in files named as its
// tool names those of its tests: the progress in the classes I, II and III, and
// the numbers of components, licences for the whole release, licences of
// components, valid, invalid and type-appropriate ones.
var fixtures = []struct {
	file       string
	components []Component
	licences   map[Component]string
	global     map[Type]string // "" for the distribution
}{
	{"Full_C1_100%-C2_100%-C3_100%_17C_1G_0L_17V_0I_12T.yml", Components(), nil, map[Type]string{"": "Apache-2.0"}},
	{"ClassThree_C1_43%-C2_60%-C3_100%_6C_1G_0L_6V_0I_1T.yml", classThree, nil, map[Type]string{"": "MIT"}},
	{"ClassThreePaper_C1_46%-C2_60%-C3_100%_6C_1G_0L_6V_0I_1T.yml", []Component{Architecture, Parameters, ResearchPaper, EvaluationResults, ModelCard, DataCard}, nil, map[Type]string{"": "MIT"}},
	{"ClassTwo_C1_71%-C2_100%-C3_100%_10C_1G_0L_10V_0I_8T.yml", classTwo, nil, map[Type]string{"": "Apache-2.0"}},
	{"ClassOneByType_C1_100%-C2_100%-C3_100%_14C_3G_0L_14V_0I_14T.yml", classOne, nil, map[Type]string{Code: "MIT", Data: "CDLA-Permissive-2.0", Document: "CC-BY-4.0"}},
	{"NoLicence_C1_0%-C2_0%-C3_0%_14C_0G_0L_0V_0I_0T.yml", classOne, nil, nil},
	{"Minimal_C1_0%-C2_0%-C3_0%_1C_0G_0L_0V_0I_0T.yml", []Component{Architecture}, nil, nil},
	{"NonCommercialWeights_C1_36%-C2_50%-C3_83%_6C_1G_1L_5V_1I_4T.yml", classThree, map[Component]string{Parameters: "CC-BY-NC-4.0"}, map[Type]string{"": "CC-BY-4.0"}},
	{"Llama_C1_0%-C2_0%-C3_0%_14C_1G_0L_0V_14I_0T.yml", classOne, nil, map[Type]string{"": "LicenseRef-scancode-llama-3.1-license-2024"}},
	{
		"OnlyComponents_C1_14%-C2_20%-C3_33%_4C_0G_4L_2V_2I_2T.yml",
		[]Component{Architecture, Parameters, ModelCard, TrainingCode},
		map[Component]string{Architecture: "MIT", Parameters: "LicenseRef-Mistral-MRL-0.1", ModelCard: "CC-BY-4.0", TrainingCode: "LicenseRef-mine"},
		nil,
	},
}

func (f MOFFile) input() Input {
	in := Input{Claims: f.Claims(), Access: AccessOpen, Distribution: f.Distribution.Licence(), Releases: map[Type]Licence{}}
	for t, l := range f.Releases {
		in.Releases[t] = l.Licence()
	}
	return in
}

var fileName = regexp.MustCompile(`_C1_(\d+)%-C2_(\d+)%-C3_(\d+)%_(\d+)C_(\d+)G_(\d+)L_(\d+)V_(\d+)I_(\d+)T\.yml$`)

func TestFixturesOfTheFramework(t *testing.T) {
	t.Parallel()
	for _, tt := range fixtures {
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join("testdata", "mof", tt.file)
			if *update {
				f := MOFFile{Name: strings.TrimSuffix(tt.file, ".yml"), Version: "1", Date: "2026-01-02", Type: "language", Producer: "tests"}
				for kind, id := range tt.global {
					if kind == "" {
						f.Distribution = MOFLicence{Name: id}
						continue
					}
					if f.Releases == nil {
						f.Releases = map[Type]MOFLicence{}
					}
					f.Releases[kind] = MOFLicence{Name: id}
				}
				for _, c := range tt.components {
					f.Components = append(f.Components, MOFComponent{Component: c, Location: fmt.Sprintf("https://example.com/%d", c), Licence: MOFLicence{Name: tt.licences[c]}})
				}
				p, err := f.Encode()
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, p, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			p, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := counts(t, p), fileName.FindString(tt.file); got != want {
				t.Errorf("evaluated as %s, want %s", got, want)
			}
		})
	}
}

// counts evaluates a file and writes the result as the end of a file name.
func counts(t *testing.T, p []byte) string {
	t.Helper()
	f, err := ParseMOFFile(p)
	if err != nil {
		t.Fatal(err)
	}
	in := f.input()
	r := Evaluate(in)
	percent := map[Class]int{}
	for _, c := range r.Claimed.Classes {
		percent[c.Class] = int(math.Round(100 * float64(c.Have) / float64(c.Required)))
	}
	global := len(f.Releases)
	if f.Distribution.Name != "" {
		global++
	}
	var own, valid, invalid, typed int
	for _, c := range f.Components {
		if c.Licence.Name != "" {
			own++
		}
		l := in.licence(c.Component)
		switch s := judge(l.Expression); {
		case l.IsZero():
		case s.kind == licenses.OpennessOpen:
			valid++
			if slices.Contains(s.content, string(c.Component.Type())) {
				typed++
			}
		default:
			invalid++
		}
	}
	return fmt.Sprintf("_C1_%d%%-C2_%d%%-C3_%d%%_%dC_%dG_%dL_%dV_%dI_%dT.yml", percent[ClassI], percent[ClassII], percent[ClassIII], len(f.Components), global, own, valid, invalid, typed)
}

func TestMOFFileRoundTrip(t *testing.T) {
	t.Parallel()
	f := MOFFile{
		Name: "m", Version: "1", Date: "2026-01-02", Type: "language", Architecture: "transformer decoder", Treatment: "pre-trained", Origin: "b", Producer: "p", Contact: "c@example.com",
		Distribution: MOFLicence{"MIT", "LICENSE"}, Releases: map[Type]MOFLicence{Data: {"CC0-1.0", ""}},
		Components: []MOFComponent{{Architecture, "code", "model.py", MOFLicence{"Apache-2.0", "LICENSE.code"}}, {Parameters, "", "https://example.com/w", MOFLicence{}}},
	}
	p, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseMOFFile(p)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f, got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	f.Date = "soon"
	if _, err := f.Encode(); !errors.Is(err, ErrMOFFile) {
		t.Errorf("a date that is none gives %v", err)
	}
}

// TestOlderLayout reads the layout that lists every component, with empty fields for what is not there.
func TestOlderLayout(t *testing.T) {
	t.Parallel()
	f, err := ParseMOFFile([]byte(`
release:
  name: m
  date: 2024-06-13
  version: 3.10
  components:
    - {name: Model architecture, description: x, location: https://example.com/a, license_name: MIT, license_path: ''}
    - {name: Datasets, description: x, location: '', license_name: '', license_path: ''}
    - {name: Research paper, description: x, location: '', license_name: unlicensed, license_path: ''}
    - {name: Evaluation code, location: '', license_name: Component not included}
    - {name: Teapot, location: y, license_name: MIT}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []MOFComponent{{Architecture, "x", "https://example.com/a", MOFLicence{"MIT", ""}}, {ResearchPaper, "x", "", MOFLicence{"unlicensed", ""}}}
	if diff := cmp.Diff(want, f.Components); diff != "" {
		t.Error(diff)
	}
	if f.Version != "3.10" || !slices.Equal(f.Unknown, []string{"Teapot"}) {
		t.Errorf("version %q, unknown %q", f.Version, f.Unknown)
	}
	if l := f.Components[1].Licence.Licence(); l.IsZero() {
		t.Error("an unlicensed component would take the release's licence")
	}
}

func TestMOFFileRefuses(t *testing.T) {
	t.Parallel()
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'l'; c++ {
		bomb += fmt.Sprintf("%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", c, c, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1)
	}
	for name, p := range map[string]string{
		"empty":      "",
		"no release": "a: b",
		"no name":    "release: {version: 1}",
		"list":       "- a",
		"twice":      "release: {name: m, name: n}",
		"one twice":  "release: {name: m, components: [{name: Datasets}, {name: datasets}]}",
		"bomb":       bomb + "release: {name: m, x: *k}",
		"long":       "release: {name: m}\n#" + strings.Repeat("x", MaxMOFFile),
		"many":       "release: {name: m, components: [" + strings.Repeat("{name: x},", 65) + "]}",
		"not a list": "release: {name: m, components: 5}",
	} {
		if f, err := ParseMOFFile([]byte(p)); !errors.Is(err, ErrMOFFile) {
			t.Errorf("%s gives %+v, %v", name, f, err)
		}
	}
}

func FuzzParseMOFFile(f *testing.F) {
	f.Add([]byte("release: {name: m, license: {distribution: {name: MIT}}, components: [{name: Datasets, license: x}]}"))
	f.Add([]byte("release: {name: m, date: 2024-01-01, components: [{name: Model card, location: a, license_name: b}]}"))
	f.Fuzz(func(t *testing.T, p []byte) {
		file, err := ParseMOFFile(p)
		if err != nil {
			return
		}
		Evaluate(file.input())
		q, err := file.Encode()
		if err != nil {
			return // its date is none
		}
		again, err := ParseMOFFile(q)
		if err != nil {
			t.Fatalf("written as %s, which cannot be read: %v", q, err)
		}
		file.Unknown = nil
		if diff := cmp.Diff(file, again, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	})
}

// TestFilesOfTheFrameworksTool compares classes with the names of the files
// that the tool itself is tested with, where CARAT_MOF_FIXTURES names their folder.
func TestFilesOfTheFrameworksTool(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("CARAT_MOF_FIXTURES")
	if dir == "" {
		t.Skip("CARAT_MOF_FIXTURES is not set")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*T.yml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s: %v", dir, err)
	}
	for _, path := range files {
		p, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want := fileName.FindStringSubmatch(path)
		f, err := ParseMOFFile(bytes.ReplaceAll(p, []byte("\t"), []byte(" ")))
		if err != nil || want == nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		class := NoClass
		for i, c := range []Class{ClassI, ClassII, ClassIII} {
			if want[i+1] == "100" {
				class = c
				break
			}
		}
		if got := Evaluate(f.input()).Claimed.Class; got != class {
			t.Errorf("%s: %v, want %v", filepath.Base(path), got, class)
		}
	}
	t.Logf("%d files", len(files))
}
