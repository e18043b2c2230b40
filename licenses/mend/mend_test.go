package mend

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/internal/need"
	"github.com/carat-hub/carat/licenses/lineage"
)

const llama31 = "LicenseRef-scancode-llama-3.1-license-2024"

func finding(fixes ...lineage.Fix) lineage.Finding { return lineage.Finding{Rule: "L00", Fixes: fixes} }

func declares(x string) lineage.Finding {
	return finding(lineage.Fix{Kind: lineage.FixLicense, Text: "declare " + x, Declare: x})
}

var (
	built  = finding(lineage.Fix{Kind: lineage.FixCard, Text: "Built with Llama", Where: "README.md"})
	notice = finding(lineage.Fix{Kind: lineage.FixNotice, Text: "Llama 3.1 is licensed …", Where: "NOTICE"}, lineage.Fix{Kind: lineage.FixNotice, Text: "It was changed.", Where: "NOTICE"})
)

func TestMake(t *testing.T) {
	t.Parallel()
	text := func(s string) []byte { return []byte(s) }
	for _, tt := range []struct {
		name           string
		readme, before []byte // of README.md and NOTICE
		findings       []lineage.Finding
		declare        bool
		want, after    string // "" for no edit
		told           []string
	}{
		{name: "nothing found", readme: text("# M\n")},
		{name: "nothing there", findings: []lineage.Finding{built, notice}, want: "Built with Llama\n", after: "Llama 3.1 is licensed …\n\nIt was changed.\n"},
		{name: "empty files", readme: text(""), before: text(""), findings: []lineage.Finding{built, notice}, want: "Built with Llama\n", after: "Llama 3.1 is licensed …\n\nIt was changed.\n"},
		{name: "no newline at the end", readme: text("# M"), findings: []lineage.Finding{built}, want: "# M\n\nBuilt with Llama\n"},
		{name: "line ends of Windows", readme: text("# M\r\n"), findings: []lineage.Finding{built}, want: "# M\r\n\r\nBuilt with Llama\r\n"},
		{name: "there in other spacing", readme: text("# M\n\nbuilt  with\nLlama\n"), before: text("Llama 3.1 is\nlicensed …"), findings: []lineage.Finding{built, notice}, after: "Llama 3.1 is\nlicensed …\n\nIt was changed.\n"},
		{name: "asked for twice", findings: []lineage.Finding{built, built}, want: "Built with Llama\n"},
		{name: "waived", findings: []lineage.Finding{{Fixes: built.Fixes, Waived: &lineage.Waiver{}}}},
		{name: "for people", findings: []lineage.Finding{
			finding(lineage.Fix{Kind: lineage.FixName, Text: "Llama-m"}, lineage.Fix{Kind: lineage.FixFile, Text: "the text", Where: "LICENSE"}, lineage.Fix{Kind: lineage.FixLicense, Text: "declare all"}),
		}, told: []string{"L00: publish it under a name such as Llama-m", "L00: add to LICENSE the text", "L00: declare all"}},
		{name: "a licence, not asked for", readme: text("---\nlicense: mit\n---\n"), findings: []lineage.Finding{declares(llama31)}, told: []string{"L00: declare " + llama31}},

		{
			name: "a licence", declare: true, readme: text("---\n# mine\ntags: [a]\nlicense: mit  # really\nx: \"1\"\n---\n# M\n"), findings: []lineage.Finding{declares(llama31), declares(llama31)},
			want: "---\n# mine\ntags: [a]\nlicense: llama3.1  # really\nx: \"1\"\n---\n# M\n",
		},
		{name: "a quoted licence", declare: true, readme: text("---\nlicense: 'mit'\r\n---\n"), findings: []lineage.Finding{declares(llama31)}, want: "---\nlicense: llama3.1\n---\n"},
		{name: "no licence", declare: true, readme: text("---\ntags: [a]\n---\n# M\n"), findings: []lineage.Finding{declares(llama31)}, want: "---\nlicense: llama3.1\ntags: [a]\n---\n# M\n"},
		{name: "no front matter", declare: true, readme: text("# M"), findings: []lineage.Finding{built, declares(llama31)}, want: "---\nlicense: llama3.1\n---\n# M\n\nBuilt with Llama\n"},
		{name: "no card", declare: true, findings: []lineage.Finding{built, declares(llama31)}, want: "---\nlicense: llama3.1\n---\nBuilt with Llama\n"},
		{name: "an open front matter", declare: true, readme: text("---\nlicense: mit\n"), findings: []lineage.Finding{declares(llama31)}, told: []string{"declare " + llama31 + " by hand: the front matter has no closing --- line"}},
		{name: "a list", declare: true, readme: text("---\nlicense:\n- mit\n---\n"), findings: []lineage.Finding{declares(llama31)}, told: []string{"declare " + llama31 + " by hand: the card declares more than one word as its licence"}},
		{name: "a short list", declare: true, readme: text("---\nlicense: [mit]\n---\n"), findings: []lineage.Finding{declares(llama31)}, told: []string{"declare " + llama31 + " by hand: the card declares more than one word as its licence"}},
		{name: "a word over two lines", declare: true, readme: text("---\nlicense: apache\n  2.0\n---\n"), findings: []lineage.Finding{declares(llama31)}, told: []string{"declare " + llama31 + " by hand: the card declares more than one word as its licence"}},
		{
			name: "a licence of its own", declare: true, readme: text("---\nlicense: other\nlicense_name: mine\n---\n"), findings: []lineage.Finding{declares(llama31)},
			told: []string{"declare " + llama31 + " by hand: the card has license_name, which belongs to the licence that it declares now"},
		},
		{name: "several licences", declare: true, findings: []lineage.Finding{declares(llama31), declares("MIT")}, told: []string{"declare a licence by hand, because the findings want several: " + llama31 + ", MIT"}},
		{name: "an expression", declare: true, findings: []lineage.Finding{declares("MIT AND Apache-2.0")}, told: []string{"declare MIT AND Apache-2.0 by hand: a card has no word for it"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := Folder{File{"README.md", tt.readme}, File{"NOTICE", tt.before}}
			p := Make(tt.findings, f, tt.declare)
			got := map[string]string{}
			for _, e := range p.Edits {
				got[e.Name] = string(e.After())
				if e.Created != (e.Before == nil) {
					t.Errorf("%s: created is %v", e.Name, e.Created)
				}
			}
			want := map[string]string{}
			if tt.want != "" {
				want["README.md"] = tt.want
			}
			if tt.after != "" {
				want["NOTICE"] = tt.after
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.told, p.Told); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
			// What is changed once stays as it is; the licence is not asked for again.
			for _, e := range p.Edits {
				if e.Name == "README.md" {
					f.Readme.Text = e.After()
				} else {
					f.Notice.Text = e.After()
				}
			}
			if again := Make(tt.findings, f, false); len(again.Edits) > 0 {
				t.Errorf("a second time:\n%s", again.Edits[0].Diff())
			}
		})
	}
}

// TestDiffApplies gives the diffs to patch.
func TestDiffApplies(t *testing.T) {
	t.Parallel()
	patch, err := exec.LookPath("patch")
	if err != nil {
		need.Missing(t, "patch", "apt-get install patch")
	}
	long := "---\nlicense: mit\n---\n" + strings.Repeat("words\n", 30)
	for _, readme := range [][]byte{nil, []byte(""), []byte("# M"), []byte("---\nlicense: mit # c\ntags: [a]\n---\n# M"), []byte(long), []byte(long + "end")} {
		p := Make([]lineage.Finding{built, notice, declares(llama31)}, Folder{File{"README.md", readme}, File{"NOTICE", nil}}, true)
		dir := t.TempDir()
		if readme != nil {
			if err := os.WriteFile(filepath.Join(dir, "README.md"), readme, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var all strings.Builder
		for _, e := range p.Edits {
			all.WriteString(e.Diff())
		}
		cmd := exec.CommandContext(t.Context(), patch, "-p1", "--batch")
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(all.String())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s\n%s", err, out, all.String())
		}
		for _, e := range p.Edits {
			got, err := os.ReadFile(filepath.Join(dir, e.Name))
			if err != nil || !bytes.Equal(got, e.After()) {
				t.Errorf("%s of %q after patch: %q, want %q (%v)\n%s", e.Name, readme, got, e.After(), err, all.String())
			}
		}
	}
}

// FuzzMake holds edits to what they promise: every line of before is there
// afterwards, in its order, but for the one that declares the licence.
func FuzzMake(f *testing.F) {
	f.Add([]byte("---\nlicense: mit\n---\n# M"))
	f.Add([]byte("---\r\ntags:\r\n- a\r\n---\r\n"))
	f.Fuzz(func(t *testing.T, readme []byte) {
		p := Make([]lineage.Finding{built, declares(llama31)}, Folder{File{"README.md", readme}, File{"NOTICE", nil}}, true)
		for _, e := range p.Edits {
			after := strings.Split(strings.TrimSuffix(string(e.After()), "\n"), "\n")
			missing, i := 0, 0
			for line := range strings.Lines(string(readme)) {
				line = strings.TrimSuffix(line, "\n")
				j := i
				for j < len(after) && strings.TrimSuffix(after[j], "\r") != strings.TrimSuffix(line, "\r") {
					j++
				}
				if j == len(after) {
					missing++
					continue
				}
				i = j + 1
			}
			if missing > 1 {
				t.Errorf("%q became %q", readme, e.After())
			}
			_ = e.Diff()
		}
	})
}
