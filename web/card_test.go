package web

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var testLinks = cardLinks{files: func(path string) string {
	switch path {
	case "config.json", "docs/usage.md":
		return "/org/name/files#" + fileID(path)
	case "":
		return "/org/name/files"
	}
	return ""
}}

func TestRenderCard(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, want string }{
		{"heading", "# A *b* & c!\n# A b  c", "<h2 id=\"card-a-b--c\">A <em>b</em> &amp; c!</h2>\n<h2 id=\"card-a-b--c-1\">A b  c</h2>\n"},
		{"heading without letters", "# !!!", "<h2 id=\"card-section\">!!!</h2>\n"},
		{"lowest heading", "###### a", "<h6 id=\"card-a\">a</h6>\n"},
		{"raw html", "a <b>c</b>\n\n<div>d</div>\n", "<p>a c</p>\n\n"},
		{"external link", "[a](https://example.org/x?y=1&z=2)", `<p><a href="https://example.org/x?y=1&amp;z=2" rel="nofollow noreferrer">a</a></p>` + "\n"},
		{"bare address", "https://example.org", `<p><a href="https://example.org" rel="nofollow noreferrer">https://example.org</a></p>` + "\n"},
		{"link to a file", "[a](config.json) [b](./docs/../docs/usage.md) [c](gone.txt)", `<p><a href="/org/name/files#` + fileID("config.json") + `">a</a> <a href="/org/name/files#` + fileID("docs/usage.md") + `">b</a> c</p>` + "\n"},
		{"link above the model", "[a](../../../v2/) [b](/api/v1/models) [c](//example.org/x)", "<p>a b c</p>\n"},
		{"link to a heading", "[a](#Some-Heading)", `<p><a href="#card-some-heading">a</a></p>` + "\n"},
		{"script address", "[a](javascript:alert(1)) [b](data:text/html,x) [c](vbscript:x)", "<p>a b c</p>\n"},
		{"image", "![the *plot*](https://example.org/p.png)", `<p><a href="https://example.org/p.png" rel="nofollow noreferrer">the plot</a></p>` + "\n"},
		{"image without words", "![](https://example.org/p.png)", `<p><a href="https://example.org/p.png" rel="nofollow noreferrer">image</a></p>` + "\n"},
		{"image of the model", "![plot](config.json) ![gone](gone.png)", `<p><a href="/org/name/files#` + fileID("config.json") + `">plot</a> gone</p>` + "\n"},
		{"image in a link", "[![a](https://example.org/i.svg)](https://example.org/)", `<p><a href="https://example.org/" rel="nofollow noreferrer">a</a></p>` + "\n"},
		{"tasks", "- [x] a\n- [ ] b", "<ul>\n<li>☑ a</li>\n<li>☐ b</li>\n</ul>\n"},
		{"table", "|a|b|\n|:-:|-:|\n|1|2|", "<table>\n<thead>\n<tr>\n<th align=\"center\">a</th>\n<th align=\"right\">b</th>\n</tr>\n</thead>\n<tbody>\n<tr>\n<td align=\"center\">1</td>\n<td align=\"right\">2</td>\n</tr>\n</tbody>\n</table>\n"},
		{"code", "```go\na<b\n```", "<pre><code class=\"language-go\">a&lt;b\n</code></pre>\n"},
		{"code with a strange language", "```\"><script>\na\n```", "<pre><code>a\n</code></pre>\n"},
		{"list from five", "5. a", "<ol start=\"5\">\n<li>a</li>\n</ol>\n"},
		{"struck", "~~a~~", "<p><del>a</del></p>\n"},
		{"invalid UTF-8", "a\xffb", "<p>a\ufffdb</p>\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := renderCard(tt.in, testLinks)
			if diff := cmp.Diff(rendered{HTML: got.HTML}, got); diff != "" {
				t.Errorf("not rendered as a whole:\n%s", diff)
			}
			if diff := cmp.Diff(tt.want, string(got.HTML)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// bombs are cards whose rendering would cost far more than their size.
var bombs = map[string]func(n int) string{
	"quotes":            func(n int) string { return strings.Repeat(">", n) + "a" },
	"quotes apart":      func(n int) string { return strings.Repeat("> ", n/2) + "a" },
	"quotes on lines":   func(n int) string { return strings.Repeat(strings.Repeat(">", 200)+"a\n", n/202) },
	"lists":             func(n int) string { return strings.Repeat("- ", n/2) + "a" },
	"numbered lists":    func(n int) string { return strings.Repeat("1. ", n/3) + "a" },
	"mixed":             func(n int) string { return strings.Repeat("> 1) - ", n/7) + "a" },
	"indented lists":    indentedLists,
	"headings":          func(n int) string { return strings.Repeat("#\n", max(n/2, maxLines+1)) },
	"addresses":         func(n int) string { return strings.Repeat("www.a.b\n", max(n/8, maxBrackets+1)) },
	"brackets":          func(n int) string { return strings.Repeat("[", n) },
	"brackets on lines": func(n int) string { return strings.Repeat("[a\n", n/3) },
	"bracket pairs":     func(n int) string { return strings.Repeat("[", n/2) + strings.Repeat("]", n/2) },
	"open links":        func(n int) string { return strings.Repeat("[a](", n/4) },
	"nested images":     func(n int) string { return strings.Repeat("![", n/6) + strings.Repeat("](a)", n/6) },
	"stars":             func(n int) string { return strings.Repeat("*", n/2) + "a" + strings.Repeat("*", n/2) },
	"empty quotes":      func(n int) string { return strings.Repeat("> ", n/2) },
	"table of short rows": func(n int) string {
		return strings.Repeat("|a", 100) + "|\n" + strings.Repeat("|-", 100) + "|\n" + strings.Repeat("|\n", n/2)
	},
	"quoted table": func(n int) string {
		return "> " + strings.Repeat("|a", 100) + "|\n> " + strings.Repeat("|-", 100) + "|\n" + strings.Repeat("> |\n", n/4)
	},
}

func indentedLists(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		b.WriteString(strings.Repeat("  ", i) + "- a\n")
	}
	return b.String()
}

// TestCardBombs shows that no bomb is rendered, so that its cost does not
// matter. Most are refused by counting, before the parser sees them.
func TestCardBombs(t *testing.T) {
	t.Parallel()
	for name, bomb := range bombs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := bomb(60_000)
			got := renderCard(s, testLinks)
			if got.HTML != "" || got.Plain != s || got.Problem == "" {
				t.Errorf("rendered to %d bytes, want it as plain text", len(got.HTML))
			}
			if !tooComplex(bomb(maxCard)) {
				t.Error("a bomb of the largest size reaches the parser")
			}
		})
	}
}

func TestLongCard(t *testing.T) {
	t.Parallel()
	got := renderCard(strings.Repeat("ä word of text that goes on for a while, as texts do.\n\n", maxCard/50), testLinks)
	if got.Plain != "" || len(got.HTML) < maxCard || got.Problem == "" {
		t.Errorf("%d bytes of HTML, %d of text, problem %q; want the start, rendered", len(got.HTML), len(got.Plain), got.Problem)
	}
}

func TestLineNesting(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]int{
		"a": 0, "> a": 1, ">>> a": 3, "> - a": 2, "1. a": 1, "- 1. > a": 3, "---": 0, "* * *": 0, "-a": 0, "**a**": 0, "2026 was": 0, "": 0,
		"> > >": 3, "1. 1.": 2, "- - -\n": 0, "> ---": 1,
	} {
		if got := lineNesting(line); got != want {
			t.Errorf("lineNesting(%q) = %d, want %d", line, got, want)
		}
	}
}

func TestCardCache(t *testing.T) {
	t.Parallel()
	c := newCardCache(2000)
	calls := 0
	links := cardLinks{files: func(string) string { calls++; return "" }}
	for range 2 {
		c.render("[a](b)", links)
	}
	if calls != 1 {
		t.Errorf("rendered %d times, want once", calls)
	}
	links.context = "another"
	c.render("[a](b)", links)
	if calls != 2 {
		t.Error("a card with other links came from memory")
	}
	for i := range 20 {
		c.render(strings.Repeat("a ", i*10), links)
	}
	c.render(strings.Repeat("b ", 4000), links)
	held := 0
	for _, key := range c.order {
		r := c.cards[key]
		held += r.size()
	}
	if held != c.bytes || held > c.most || len(c.order) != len(c.cards) || len(c.cards) == 0 {
		t.Errorf("%d cards of %d bytes, counted as %d, at most %d", len(c.cards), held, c.bytes, c.most)
	}
}
