package text

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

// invented is a licence that nobody uses.
const invented = `The Teapot Licence

Copyright (c) 2024 Example Kettles

Whoever receives this work may pour it, warm it up and hand it on to anybody, in whole or in part, as long as each cup
comes with these words. Nobody may pour it on a book. The work comes "as it is"; the potter's liability ends where the handle does.

1. You must keep this notice with every pot.
2. You may not claim that the potter has approved of your tea.
`

func library(t *testing.T) *Library {
	t.Helper()
	words, err := Words(invented)
	if err != nil {
		t.Fatal(err)
	}
	// What stands behind the title, as texts are stored.
	f, ok := NewFingerprint("LicenseRef-Teapot", words[3:])
	if !ok {
		t.Fatal("too short")
	}
	return NewLibrary([]Fingerprint{f})
}

func TestIdentify(t *testing.T) {
	t.Parallel()
	l := library(t)
	body := invented[strings.Index(invented, "Whoever"):]
	same := map[string]string{
		"as it is":          invented,
		"one line":          strings.Join(strings.Fields(body), " "),
		"narrow":            strings.ReplaceAll(body, " ", "\n"),
		"other line ends":   strings.ReplaceAll(invented, "\n", "\r\n"),
		"byte order mark":   "\ufeff" + invented,
		"other quotes":      strings.NewReplacer(`"`, "“", "'", "’").Replace(invented),
		"Markdown":          "# The Teapot Licence\n\n> " + strings.ReplaceAll(strings.NewReplacer("may not", "**may not**", "this notice", "[this notice](https://example.com/notice)").Replace(body), "\n", "\n> "),
		"HTML":              "<h1>The Teapot Licence</h1><p>" + strings.NewReplacer(`"`, "&quot;", "potter", "<b>potter</b>").Replace(body) + "</p>",
		"capitals":          strings.ToUpper(invented),
		"front matter":      "---\nlicense: other\n---\n" + invented,
		"another holder":    strings.ReplaceAll(invented, "2024 Example Kettles", "2019-2026 Somebody Else, Inc. All rights reserved."),
		"two holders":       strings.ReplaceAll(invented, "Copyright (c) 2024", "Copyright (c) 2020 Somebody\nCopyright © 2024"),
		"full-width digits": strings.ReplaceAll(invented, "1. You", "１. You"),
		"an address":        invented + "\nhttps://example.com/teapot\n",
	}
	for name, s := range same {
		if r, err := l.Identify(s); err != nil || !slices.Equal(r.Refs, []string{"LicenseRef-Teapot"}) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	other := map[string]struct {
		text     string
		contains bool
	}{
		"a condition more":        {invented + "\n3. You must not use it commercially.\n", true},
		"a condition before":      {"For research only.\n\n" + invented, true},
		"a word less":             {strings.ReplaceAll(invented, "may not claim", "may claim"), false},
		"a word more":             {strings.ReplaceAll(invented, "may pour", "may not pour"), false},
		"terms in the holder":     {strings.ReplaceAll(invented, "Example Kettles", "Kettles. Not for commercial use"), true},
		"a long preface":          {strings.Repeat("tea ", mostAround) + invented, true},
		"a tag that is none":      {invented + "<must> <not> <sell>", true},
		"an attribute with words": {invented + `<a title="must not sell">`, true},
		"a link with words":       {invented + "[x](you-must-not-sell-it)", true},
		"a comment with words":    {invented + "<!-- you must not sell it -->", true},
		"another alphabet":        {strings.ReplaceAll(invented, "Whoever", "Wh\u043eever"), false},
		"nothing":                 {"", false},
	}
	for name, tt := range other {
		r, err := l.Identify(tt.text)
		if err != nil || len(r.Refs) != 0 || (len(r.Contains) > 0) != tt.contains {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if tt.contains && r.Uncovered == "" {
			t.Errorf("%s: nothing is shown", name)
		}
	}
	if r, _ := l.Identify(other["a word less"].text); len(r.Candidates) != 1 || r.Candidates[0].Likeness < 0.7 {
		t.Errorf("the candidates are %+v", r.Candidates)
	}
	if _, err := l.Identify(strings.Repeat("tea ", MaxText)); !errors.Is(err, ErrTooLong) {
		t.Errorf("a text that is too long: %v", err)
	}
}

// TestKnown identifies the texts of licences that are in this repository.
func TestKnown(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"../../LICENSE", "../../examples/tiny-llama/LICENSE"} {
		p, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := Known().Identify(string(p)); err != nil || !slices.Equal(r.Refs, []string{"Apache-2.0"}) {
			t.Errorf("%s: %+v, %v", path, r, err)
		}
		r, err := Known().Identify(string(p) + "\nModels may be used for research only.\n")
		if err != nil || len(r.Refs) != 0 || !slices.Equal(r.Contains, []string{"Apache-2.0"}) || !strings.HasSuffix(r.Uncovered, "models may be used for research only") {
			t.Errorf("%s with a twist: %+v, %v", path, r, err)
		}
	}
}

// TestManyBeginnings: a text that begins a known one over and over costs no more than the tries that are allowed.
func TestManyBeginnings(t *testing.T) {
	t.Parallel()
	l := library(t)
	words, err := Words(invented)
	if err != nil {
		t.Fatal(err)
	}
	long := words[3:]
	s := strings.Repeat(strings.Join(long[:len(long)-1], " ")+" x ", 1000)
	if r, err := l.Identify(s); err != nil || len(r.Refs)+len(r.Contains) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func FuzzIdentify(f *testing.F) {
	f.Add(invented)
	f.Add("---\n---\n<p>[a](http://b) 漢字 &lt;must&gt;")
	f.Add("Copyright (c) 2024 x")
	l := Known()
	f.Fuzz(func(t *testing.T, s string) {
		r, err := l.Identify(s)
		if err != nil {
			return
		}
		words, err := Words(s)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(words, "") || len(words) != r.Words {
			t.Errorf("%q", words)
		}
		if len(r.Refs) > 0 && r.UncoveredWords > mostAround {
			t.Errorf("%+v", r)
		}
	})
}
