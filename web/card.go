package web

import (
	"bytes"
	"errors"
	"html/template"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/microcosm-cc/bluemonday"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// Limits of a card. A card beyond them is shown as plain text, because
// Markdown has forms whose cost grows with the square of their length.
const (
	maxCard        = 1 << 20 // bytes of Markdown that are shown
	maxCardHTML    = 8 << 20 // bytes of HTML
	maxDepth       = 64      // nodes of the parsed card inside one another
	maxLineNesting = 24      // quote and list marks at the start of a line
	maxLineBytes   = 64 << 10
	maxIndent      = 256    // spaces at the start of a line
	maxLines       = 40_000 // each may be a block of its own
	maxRunBrackets = 2000   // [ between two blank lines
	maxBrackets    = 20_000 // [ and bare addresses in all
	maxCells       = 50_000 // cells of tables: columns times lines
)

// headingPrefix keeps the ids of a card's headings apart from the page's own.
const headingPrefix = "card-"

// rendered is a card as it goes into the page.
type rendered struct {
	HTML    template.HTML
	Plain   string // the Markdown itself when it is not rendered
	Problem string // why it is not rendered, or not whole
}

// cardLinks tells where a card's relative links lead.
type cardLinks struct {
	files   func(path string) string // URL path and query of a file of the version, "" when there is none
	context string                   // the same for the same answers of files
}

var errTooLarge = errors.New("the rendered card is too large")

// renderCard turns a card's Markdown into safe HTML.
func renderCard(body string, links cardLinks) rendered {
	var r rendered
	body, whole := clip(strings.ToValidUTF8(body, "\ufffd"), maxCard)
	if !whole {
		r.Problem = "The card is longer than " + formatBytes(maxCard) + "; the rest is left out."
	}
	plain := func() rendered {
		return rendered{Plain: body, Problem: "The card is nested too deeply to be rendered; this is its text."}
	}
	if tooComplex(body) {
		return plain()
	}
	source := []byte(body)
	doc := cardMarkdown().Parser().Parse(text.NewReader(source), parser.WithContext(parser.NewContext(parser.WithIDs(&headingIDs{}))))
	if tooDeep(doc) {
		return plain()
	}
	rewrite(doc, source, links)
	out := &limitedBuffer{most: maxCardHTML}
	if err := cardMarkdown().Renderer().Render(out, source, doc); err != nil {
		return plain()
	}
	r.HTML = template.HTML(cardPolicy().SanitizeBytes(out.Bytes())) //nolint:gosec // sanitised in this very line
	return r
}

// cardMarkdown is GitHub's flavour without raw HTML, which goldmark leaves
// out unless told otherwise. Like what follows, it is made when it is first
// needed: most processes of this program show no card.
var cardMarkdown = sync.OnceValue(func() goldmark.Markdown {
	return goldmark.New(
		goldmark.WithParserOptions(parser.WithAutoHeadingID()),
		goldmark.WithExtensions(
			extension.Linkify, extension.Strikethrough, extension.TaskList,
			// Attributes instead of styles, which the content security policy forbids.
			extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignAttribute)),
		),
		goldmark.WithRendererOptions(renderer.WithNodeRenderers(util.Prioritized(checkBoxes{}, 1))),
	)
})

// cardPolicy is what of the rendered HTML reaches the page.
var cardPolicy = sync.OnceValue(func() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowElements("p", "br", "hr", "blockquote", "ul", "li", "pre", "em", "strong", "del", "table", "thead", "tbody", "tr")
	p.AllowElements("h2", "h3", "h4", "h5", "h6")
	p.AllowAttrs("id").Matching(regexp.MustCompile(`^`+headingPrefix+`[\pL\pN_-]{1,100}$`)).OnElements("h2", "h3", "h4", "h5", "h6")
	p.AllowAttrs("start").Matching(regexp.MustCompile(`^[0-9]{1,9}$`)).OnElements("ol")
	p.AllowAttrs("align").Matching(regexp.MustCompile(`^(left|center|right)$`)).OnElements("th", "td")
	p.AllowAttrs("class").Matching(regexp.MustCompile(`^language-[A-Za-z0-9_+#.-]{1,32}$`)).OnElements("code")
	p.AllowAttrs("title").Matching(bluemonday.Paragraph).OnElements("a")
	p.AllowElements("ol", "th", "td", "code")
	p.AllowAttrs("href").OnElements("a")
	p.AllowURLSchemes("http", "https", "mailto")
	p.AllowRelativeURLs(true)
	p.RequireParseableURLs(true)
	p.RequireNoFollowOnFullyQualifiedLinks(true)
	p.RequireNoReferrerOnFullyQualifiedLinks(true)
	p.AddTargetBlankToFullyQualifiedLinks(false)
	return p
})

// tooComplex bounds what the parser would spend time on, by counting.
func tooComplex(s string) bool {
	brackets, runBrackets, cells := 0, 0, 0
	all := 0
	lines, columns := 0, 0 // of the run of lines between two blank ones
	endRun := func() bool {
		cells += lines * columns
		lines, columns, runBrackets = 0, 0, 0
		return cells > maxCells
	}
	for line := range strings.Lines(s) {
		all++
		if all > maxLines || len(line) > maxLineBytes || indent(line) > maxIndent || lineNesting(line) > maxLineNesting {
			return true
		}
		if strings.TrimSpace(line) == "" {
			if endRun() {
				return true
			}
			continue
		}
		n := strings.Count(line, "[")
		brackets += n + strings.Count(line, "www.") + strings.Count(line, "://") + strings.Count(line, "@")
		runBrackets, lines = runBrackets+n, lines+1
		if isTableRule(line) {
			columns = max(columns, strings.Count(line, "|")+1)
		}
		if brackets > maxBrackets || runBrackets > maxRunBrackets {
			return true
		}
	}
	return endRun()
}

// indent counts the columns before a line's text, a tab as four.
func indent(line string) int {
	space := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	return len(space) + 3*strings.Count(space, "\t")
}

// isTableRule reports whether a line could be the one below a table's head.
func isTableRule(line string) bool {
	return strings.Contains(line, "|") && strings.Trim(line, " \t\r\n|:->*+0123456789.)") == ""
}

// lineNesting counts the marks of quotes and lists that a line starts with.
func lineNesting(line string) int {
	n := 0
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '>', c == '-', c == '+', c == '*':
			if c != '>' && i+1 < len(line) && !strings.ContainsRune(" \t\r\n", rune(line[i+1])) {
				return n
			}
			n++
		case strings.IndexByte(" \t\r\n", c) >= 0 || c >= '0' && c <= '9':
		case c == '.' || c == ')':
			n++
		default:
			return n
		}
	}
	if marks := strings.Join(strings.Fields(line), ""); strings.Trim(marks, "-") == "" || strings.Trim(marks, "*") == "" {
		return 0 // a rule across the page
	}
	return n
}

// tooDeep measures the parsed card without recursion.
func tooDeep(doc ast.Node) bool {
	depth := 0
	for n := doc; n != nil; {
		if child := n.FirstChild(); child != nil {
			n = child
			if depth++; depth > maxDepth {
				return true
			}
			continue
		}
		for n != nil && n.NextSibling() == nil {
			n = n.Parent()
			depth--
		}
		if n != nil {
			n = n.NextSibling()
		}
	}
	return false
}

// rewrite fits a parsed card into the page: headings below the page's own,
// no images, links that lead somewhere.
func rewrite(doc ast.Node, source []byte, links cardLinks) {
	var nodes []ast.Node
	_ = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			nodes = append(nodes, n)
		}
		return ast.WalkContinue, nil
	})
	for _, n := range nodes {
		switch n := n.(type) {
		case *ast.Heading:
			n.Level = min(n.Level+1, 6)
		case *ast.Link:
			if to := links.target(string(n.Destination)); to != "" {
				n.Destination = []byte(to)
			} else {
				unwrap(n)
			}
		case *ast.Image:
			replaceImage(n, source, links)
		}
	}
}

// target returns where a link of the card leads from the page, "" for nowhere.
func (l cardLinks) target(dest string) string {
	u, err := url.Parse(dest)
	if err != nil {
		return ""
	}
	switch {
	case u.Scheme == "http" || u.Scheme == "https":
		if u.Host == "" {
			return ""
		}
		return u.String()
	case u.Scheme == "mailto":
		return u.String()
	case u.Scheme != "" || u.Host != "" || u.Opaque != "":
		return ""
	case u.Path == "" && u.Fragment != "":
		return "#" + headingPrefix + url.PathEscape(slug(u.Fragment))
	case u.Path == "":
		return ""
	}
	return l.files(strings.TrimPrefix(path.Clean("/"+u.Path), "/"))
}

// unwrap replaces a node by its children.
func unwrap(n ast.Node) {
	parent := n.Parent()
	for child := n.FirstChild(); child != nil; {
		next := child.NextSibling()
		parent.InsertBefore(parent, n, child)
		child = next
	}
	parent.RemoveChild(parent, n)
}

// replaceImage puts a link with the image's alternative text in its place:
// a page loads nothing from elsewhere. Inside another link the text alone remains.
func replaceImage(n *ast.Image, source []byte, links cardLinks) {
	words := strings.TrimSpace(plainText(n, source))
	if words == "" {
		words = "image"
	}
	label := ast.NewString([]byte(words))
	var put ast.Node = label
	if to := links.target(string(n.Destination)); to != "" && !insideLink(n) {
		link := ast.NewLink()
		link.Destination = []byte(to)
		link.AppendChild(link, label)
		put = link
	}
	n.Parent().ReplaceChild(n.Parent(), n, put)
}

func insideLink(n ast.Node) bool {
	for p := n.Parent(); p != nil; p = p.Parent() {
		if p.Kind() == ast.KindLink || p.Kind() == ast.KindImage {
			return true
		}
	}
	return false
}

// plainText is the text below a node.
func plainText(n ast.Node, source []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Text:
			b.Write(n.Segment.Value(source))
			if n.SoftLineBreak() || n.HardLineBreak() {
				b.WriteByte(' ')
			}
		case *ast.String:
			b.Write(n.Value)
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

// headingIDs makes the ids of headings as GitHub does, with our prefix.
type headingIDs struct{ used map[string]int }

// Generate implements parser.IDs.
func (ids *headingIDs) Generate(value []byte, _ ast.NodeKind) []byte {
	if ids.used == nil {
		ids.used = make(map[string]int)
	}
	id := slug(string(value))
	if id == "" {
		id = "section"
	}
	n := ids.used[id]
	ids.used[id] = n + 1
	if n > 0 {
		id += "-" + strconv.Itoa(n)
	}
	return []byte(headingPrefix + id)
}

// Put implements parser.IDs; only Generate makes ids here.
func (ids *headingIDs) Put([]byte) {}

var notInSlug = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[^\pL\pN _-]+`) })

// slug turns a heading into an id: lower case, letters and digits, spaces as hyphens.
func slug(s string) string {
	const most = 80
	s, _ = clip(strings.TrimSpace(s), most)
	return strings.ReplaceAll(notInSlug().ReplaceAllString(strings.ToLower(s), ""), " ", "-")
}

// checkBoxes renders the boxes of task lists as characters, not as inputs.
type checkBoxes struct{}

// RegisterFuncs implements renderer.NodeRenderer.
func (checkBoxes) RegisterFuncs(r renderer.NodeRendererFuncRegisterer) {
	r.Register(extast.KindTaskCheckBox, func(w util.BufWriter, _ []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		mark := "☐ "
		if n.(*extast.TaskCheckBox).IsChecked {
			mark = "☑ "
		}
		_, err := w.WriteString(mark)
		return ast.WalkContinue, err
	})
}

var _ renderer.NodeRenderer = checkBoxes{}

// limitedBuffer is a buffer that refuses to grow beyond most bytes.
type limitedBuffer struct {
	bytes.Buffer
	most int
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.most {
		return 0, errTooLarge
	}
	return b.Buffer.Write(p)
}
