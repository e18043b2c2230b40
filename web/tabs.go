package web

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/licenses/openness"
	"github.com/carat-hub/carat/licenses/term"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/registry/export"
)

// filesPage is the tab of a version's files.
type filesPage struct {
	modelPage
	Files []fileRow
	More  int // files that are not listed
}

// maxFiles is how many files one page lists; a manifest has at most 4096.
const maxFiles = 4096

type fileRow struct {
	ID        string // of the row, for links from the card
	Dir, Base string
	URL       string // of the bytes, "" when only clients with a token may fetch them
	Size      int64
	Digest    registry.Digest
	MediaType string
	Packed    bool
}

// fileID is the id of a file's row: any path may be in a card, not every path may be an id.
func fileID(path string) string {
	sum := sha256.Sum256([]byte(path))
	return "file-" + hex.EncodeToString(sum[:6])
}

func (h *Handler) filesPage(c echo.Context) error {
	s, err := h.load(c)
	if err != nil {
		return err
	}
	p := filesPage{modelPage: h.modelPage(c, s, tabFiles)}
	list := s.version.Files
	if len(list) > maxFiles {
		p.More = len(list) - maxFiles
		list = list[:maxFiles]
	}
	for _, f := range list {
		dir, base := "", f.Path
		if i := strings.LastIndexByte(f.Path, '/'); i >= 0 {
			dir, base = f.Path[:i+1], f.Path[i+1:]
		}
		row := fileRow{ID: fileID(f.Path), Dir: dir, Base: base, Size: f.Size, Digest: f.Digest, MediaType: f.MediaType, Packed: f.Packed}
		if s.visibility == auth.Public {
			u := url.URL{Path: "/v2/" + s.grant.Repository() + "/blobs/" + f.Digest.String()}
			row.URL = u.EscapedPath()
		}
		p.Files = append(p.Files, row)
	}
	return h.render(c, http.StatusOK, h.pages.files, p)
}

// tagsPage is the tab of all versions.
type tagsPage struct {
	modelPage
	Versions []versionRow
}

type versionRow struct {
	Tags         []tagLink
	Digest       registry.Digest
	URL          string
	Current      bool
	Size         int64
	Quantization string
	Openness     string // "" while not known
	Created      moment
	Verification badge
}

type tagLink struct{ Tag, URL string }

func (h *Handler) tagsPage(c echo.Context) error {
	s, err := h.load(c)
	if err != nil {
		return err
	}
	list, err := h.models.Versions(c.Request().Context(), s.grant)
	if err != nil {
		return err
	}
	n := registry.Name(s.grant.Repository())
	p := tagsPage{modelPage: h.modelPage(c, s, tabTags)}
	for _, v := range list {
		row := versionRow{
			Digest: v.Digest, URL: modelURL(n, tabCard, v.Digest.String()), Current: v.Digest == s.version.Digest,
			Size: v.Size, Created: h.moment(v.CreatedAt), Verification: badgeOf(v.Verification), Openness: opennessOf(v.Assessment),
		}
		if v.Facts != nil {
			row.Quantization = v.Facts.Quantization
		}
		for _, t := range v.Tags {
			row.Tags = append(row.Tags, tagLink{string(t), modelURL(n, tabCard, string(t))})
		}
		p.Versions = append(p.Versions, row)
	}
	return h.render(c, http.StatusOK, h.pages.tags, p)
}

// licensePage is the tab of the licence.
type licensePage struct {
	modelPage
	Declared string // as the card has it
	Link     string // of the card, when it is an https address
	Found    bool   // the declared licence is in the catalogue
	Terms    *licenses.Fact
	Answers  []answer // over the whole lineage
	// Inherited says that licences of what it was made from hold too.
	Inherited bool
	File      string
	FileURL   string
	Text      string
	Whole     bool // Text is all of it
	// Reading is what the text is; nil for no text, or one that is too long for a licence.
	Reading *registry.Reading

	Assessment *registry.Assessment // nil while the facts are not known
	Levels     []levelLine
	Lists      []termList
	Exports    []exportLink
	History    []assessedLine // what was stored, newest first, when there is more than one
}

// assessedLine is a stored assessment.
type assessedLine struct {
	When    moment // since when it was so
	Terms   string
	Words   string
	RuleSet string
}

// exportLink is what is known of the version as a file of a format.
type exportLink struct{ Title, URL string }

// termList is what one may, must or must not do.
type termList struct {
	Title string
	Items []term.Item
}

// levelLine is one of the two measures of openness.
type levelLine struct {
	Measure  string
	Level    int
	Name     string
	Label    string
	Blockers []openness.Blocker
}

// answer is one question about the terms.
type answer struct {
	Question, Word, Words string
	By                    string // the licence of an ancestor that says so
	Kind                  licenses.Answer
}

// maxLicenseText is how many bytes of a licence's text the page shows.
const maxLicenseText = 256 << 10

func (h *Handler) licensePage(c echo.Context) error {
	s, err := h.load(c)
	if err != nil {
		return err
	}
	n := registry.Name(s.grant.Repository())
	p := licensePage{modelPage: h.modelPage(c, s, tabLicense)}
	if f := s.version.Facts; f != nil {
		p.Declared = f.Card.LicenseID
		if f.Card.LicenseName != "" {
			p.Declared = strings.TrimSpace(p.Declared + " (" + f.Card.LicenseName + ")")
		}
		if u, err := url.Parse(f.Card.LicenseLink); err == nil && u.Scheme == "https" && u.Host != "" {
			p.Link = u.String()
		}
		p.Terms, p.Found = licenses.Lookup(f.License.Declared)
		if p.Assessment, err = h.models.Assess(c.Request().Context(), h.principal(c), &s.version); err != nil {
			return err
		}
		t := &p.Assessment.Terms
		p.Answers = []answer{answerTo("Commercial use", t.Commercial), answerTo("Modification", t.Modify), answerTo("Redistribution", t.Redistribute)}
		p.Inherited = slices.ContainsFunc(t.Licences, func(l term.Source) bool { return l.From != "" })
		for _, m := range []struct {
			name string
			of   *openness.Assessment
		}{{"Verified", &p.Assessment.Openness.Verified}, {"Claimed", &p.Assessment.Openness.Claimed}} {
			p.Levels = append(p.Levels, levelLine{m.name, int(m.of.Level), m.of.Level.String(), m.of.Label, m.of.Blockers})
		}
		for _, l := range []termList{{"You may", p.Assessment.Terms.May}, {"You must", p.Assessment.Terms.Must}, {"You must not", p.Assessment.Terms.MustNot}} {
			if len(l.Items) > 0 {
				p.Lists = append(p.Lists, l)
			}
		}
		if p.History, err = h.assessed(c, s); err != nil {
			return err
		}
		for _, k := range export.Kinds() {
			u := url.URL{Path: "/api/v1/models/" + string(n) + "/versions/" + s.version.Digest.String() + "/export/" + string(k.Format)}
			p.Exports = append(p.Exports, exportLink{k.Title, u.EscapedPath()})
		}
		if p.Reading, err = h.models.ReadLicense(c.Request().Context(), s.grant, &s.version); err != nil && !registry.IsCode(err, registry.CodeTermsInvalid) {
			return err
		}
		p.File = f.License.File
		p.Text, p.Whole = clip(strings.ToValidUTF8(f.License.Text, "\ufffd"), maxLicenseText)
		if p.File != "" {
			p.FileURL = modelURL(n, tabFiles, s.chosen) + "#" + fileID(p.File)
		}
	}
	return h.render(c, http.StatusOK, h.pages.license, p)
}

func (h *Handler) assessed(c echo.Context, s shown) ([]assessedLine, error) {
	stored, err := h.models.Assessments(c.Request().Context(), s.grant, s.version.Digest)
	if err != nil || len(stored) < 2 {
		return nil, err
	}
	list := make([]assessedLine, len(stored))
	for i := range stored {
		list[i] = assessedLine{h.moment(stored[i].CreatedAt), stored[i].Terms, opennessOf(&stored[i]), stored[i].RuleSet}
	}
	return list, nil
}

func answerTo(question string, p term.Permission) answer {
	word := map[licenses.Answer]string{
		licenses.AnswerYes: "Yes", licenses.AnswerNo: "No", licenses.AnswerConditional: "With conditions",
	}[p.Answer]
	if word == "" {
		word = "Not known"
	}
	by := ""
	if p.From != "" {
		by = p.Source.String()
	}
	return answer{question, word, p.Words, by, p.Answer}
}
