package registry

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/text"
	"go.yaml.in/yaml/v4"
)

// Limits of a card. What is beyond them is left out and named in Problem.
const (
	MaxReadme      = 1 << 20  // bytes of README that are kept
	maxFrontMatter = 64 << 10 // bytes between the --- lines
	maxCardHead    = 8 << 10  // bytes of Markdown that are searched for title and summary
	maxCardItems   = 256      // entries of one list
	maxCardString  = 1024     // bytes of one entry
	maxTitle       = 200      // characters
	maxSummary     = 600      // characters
	maxYAMLProblem = 160      // characters of the parser's complaint
)

// ParseCard reads a README with optional YAML front matter as Hugging Face
// writes it. It never fails: what could be read is returned, and Problem says
// what could not. All strings are valid UTF-8 without NUL, but untrusted.
func ParseCard(readme []byte) Card {
	var c Card
	if len(readme) > MaxReadme {
		c.problem("README has more than %d bytes; the rest is left out", MaxReadme)
		readme = cutUTF8(readme, MaxReadme)
	}
	readme = bytes.TrimPrefix(readme, []byte("\ufeff"))
	if !utf8.Valid(readme) {
		c.problem("README is not valid UTF-8")
	}
	front, body, state := splitFrontMatter(readme)
	switch {
	case state == frontOpen:
		c.problem("front matter has no closing --- line")
	case len(front) > maxFrontMatter:
		c.problem("front matter has %d bytes; at most %d are read", len(front), maxFrontMatter)
	case len(front) > 0:
		c.readFrontMatter(front)
	}
	c.Body = clean(string(body))
	c.Title, c.Summary = cardHead(c.Body)
	return c
}

// problem adds a sentence to Problem.
func (c *Card) problem(format string, args ...any) {
	if c.Problem != "" {
		c.Problem += "; "
	}
	c.Problem += clean(fmt.Sprintf(format, args...))
}

type frontState int

const (
	frontNone frontState = iota
	frontFound
	frontOpen
)

// splitFrontMatter cuts what stands between a first line and a later line of
// three dashes from the rest.
func splitFrontMatter(p []byte) (front, body []byte, state frontState) {
	first, rest := cutLine(p)
	if !isDashes(first) {
		return nil, p, frontNone
	}
	for tail := rest; len(tail) > 0; {
		line, next := cutLine(tail)
		if isDashes(line) {
			return rest[:len(rest)-len(tail)], next, frontFound
		}
		tail = next
	}
	return nil, p, frontOpen
}

func isDashes(line []byte) bool { return string(bytes.TrimRight(line, " \t\r\n")) == "---" }

func cutLine(p []byte) (line, rest []byte) {
	if i := bytes.IndexByte(p, '\n'); i >= 0 {
		return p[:i+1], p[i+1:]
	}
	return p, nil
}

// readFrontMatter fills the fields that YAML declares.
func (c *Card) readFrontMatter(front []byte) {
	var doc yaml.Node
	if err := yaml.Unmarshal(front, &doc); err != nil {
		c.problem("front matter is not YAML: %s", yamlProblem(err))
		return
	}
	if len(doc.Content) == 0 {
		return // only comments
	}
	// Decoding the whole is what finds duplicate keys and alias bombs; the
	// values are taken from the nodes, as written.
	var all any
	if err := doc.Decode(&all); err != nil {
		c.problem("front matter is not usable: %s", yamlProblem(err))
		return
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		c.problem("front matter is not a mapping")
		return
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		c.setField(root.Content[i].Value, root.Content[i+1])
	}
}

func (c *Card) setField(key string, v *yaml.Node) {
	switch key {
	case "license":
		// Several licences declare neither a choice nor a conjunction, so
		// they stay text that no catalogue knows.
		c.LicenseID = strings.Join(c.list(key, v), ", ")
	case "license_name":
		c.LicenseName = c.scalar(key, v)
	case "license_link":
		c.LicenseLink = c.scalar(key, v)
	case "library_name":
		c.Library = c.scalar(key, v)
	case "pipeline_tag":
		c.Pipeline = c.scalar(key, v)
	case "language":
		c.Languages = c.list(key, v)
	case "tags":
		c.Tags = c.list(key, v)
	case "base_model":
		c.BaseModels = c.list(key, v)
	case "base_model_relation":
		c.Relation = c.scalar(key, v)
	case "datasets":
		c.Datasets = c.list(key, v)
	case "model-index":
		c.Results = len(sequence(v)) > 0
		c.readEvaluations(v)
	default:
		if strings.HasPrefix(key, gatePrefix) {
			c.setGateField(key, v)
		}
	}
}

// scalar returns the text of a field that must be a single value.
func (c *Card) scalar(key string, v *yaml.Node) string {
	v = deref(v)
	switch {
	case v == nil || isNull(v):
		return ""
	case v.Kind != yaml.ScalarNode:
		c.problem("%s is not a string", key)
		return ""
	}
	return c.entry(key, v.Value)
}

// list returns the texts of a field that may be one value or a list of them.
func (c *Card) list(key string, v *yaml.Node) []string {
	v = deref(v)
	if v == nil || isNull(v) {
		return nil
	}
	items := []*yaml.Node{v}
	switch v.Kind {
	case yaml.ScalarNode:
	case yaml.SequenceNode:
		items = v.Content
	default:
		c.problem("%s is neither a string nor a list of strings", key)
		return nil
	}
	if len(items) > maxCardItems {
		c.problem("%s has %d entries; the first %d are kept", key, len(items), maxCardItems)
		items = items[:maxCardItems]
	}
	var out []string
	bad := false
	for _, it := range items {
		it = deref(it)
		if it == nil || it.Kind != yaml.ScalarNode {
			bad = true
			continue
		}
		if s := c.entry(key, it.Value); s != "" && !isNull(it) && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	if bad {
		c.problem("%s has entries that are not strings", key)
	}
	return out
}

func (c *Card) entry(key, s string) string {
	if len(s) > maxCardString {
		c.problem("%s has an entry of %d bytes; at most %d are allowed", key, len(s), maxCardString)
		return ""
	}
	return strings.TrimSpace(clean(s))
}

// deref follows one alias; an alias of an alias cannot be written.
func deref(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func yamlProblem(err error) string {
	msg := strings.TrimPrefix(strings.Join(strings.Fields(err.Error()), " "), "yaml: ")
	return clipRunes(clean(msg), maxYAMLProblem)
}

// cardHead returns the first heading and the first paragraph with words in
// it, as plain text.
func cardHead(body string) (title, summary string) {
	src := cutUTF8([]byte(body), maxCardHead)
	doc := goldmark.DefaultParser().Parse(text.NewReader(src))
	for n := doc.FirstChild(); n != nil && (title == "" || summary == ""); n = n.NextSibling() {
		switch n.Kind() {
		case ast.KindHeading:
			if title == "" {
				title = clipRunes(plainText(n, src), maxTitle)
			}
		case ast.KindParagraph:
			if summary == "" {
				summary = clipRunes(plainText(n, src), maxSummary)
			}
		}
	}
	return title, summary
}

// plainText returns the words of a block, without markup and images.
func plainText(block ast.Node, src []byte) string {
	var b strings.Builder
	// The walker returns no error of its own and ours never do.
	_ = ast.Walk(block, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Image:
			return ast.WalkSkipChildren, nil
		case *ast.Text:
			b.Write(n.Segment.Value(src))
			if n.SoftLineBreak() || n.HardLineBreak() {
				b.WriteByte(' ')
			}
		case *ast.String:
			b.Write(n.Value)
		case *ast.AutoLink:
			b.Write(n.Label(src))
		}
		return ast.WalkContinue, nil
	})
	return strings.Join(strings.Fields(b.String()), " ")
}

// clean makes foreign text storable everywhere: valid UTF-8 and no control
// characters but tab and line ends. PostgreSQL takes no NUL in text.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' || r == '\r' {
			return r
		}
		if unicode.IsControl(r) {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(s, string(utf8.RuneError)))
}

// cutUTF8 returns at most limit bytes, cut between characters.
func cutUTF8(p []byte, limit int) []byte {
	if len(p) <= limit {
		return p
	}
	for limit > 0 && !utf8.RuneStart(p[limit]) {
		limit--
	}
	return p[:limit]
}

func clipRunes(s string, most int) string {
	n := 0
	for i := range s {
		if n == most {
			return strings.TrimRightFunc(s[:i], unicode.IsSpace) + "…"
		}
		n++
	}
	return s
}
