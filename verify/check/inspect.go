package check

import (
	"bytes"
	"context"
	"errors"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/licenses/openness"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

// maxLicense is how many bytes of a licence text are kept.
const maxLicense = 1 << 20

// describeModel fills in what the headers of a model say. Its error is a
// *ContentError when they are no good or in a format that is not known here.
func describeModel(ctx context.Context, files verify.Files, facts *registry.Facts) (*inference.Facts, error) {
	f, err := core{}.facts(ctx, partsOf(files)[0].files)
	var malformed *fault.Malformed
	var unsupported *fault.Unsupported
	switch {
	case errors.As(err, &malformed):
		return nil, &verify.ContentError{Reason: storable(malformed.Error())}
	case errors.As(err, &unsupported):
		return nil, &verify.ContentError{Reason: storable(unsupported.Error())}
	case err != nil:
		return nil, err
	}
	*facts = registry.Facts{
		Format: f.Format, Architecture: storable(f.Architecture), Parameters: f.Parameters, Quantization: storable(f.Quantization),
		ContextLength: int64(f.ContextLength), VocabSize: int64(f.VocabularySize), HiddenSize: int64(f.HiddenSize),
		Layers: int64(f.Layers), Tensors: int64(len(f.Tensors)), Tokenizer: storable(f.Tokenizer), ChatTemplate: f.ChatTemplate,
		Imports: importsOf(f), Types: typesOf(f),
	}
	facts.Opset, facts.Inputs, facts.Outputs = graphOf(f)
	return f, nil
}

// typesOf returns the parameters by type; a type that no format has is left out.
func typesOf(f *inference.Facts) map[string]int64 {
	types := make(map[string]int64, len(f.DTypes))
	for _, d := range f.DTypes {
		if d.Elements > 0 && d.DType != "" {
			types[storable(d.DType)] += d.Elements
		}
	}
	return types
}

// Inspect reads the facts of a version from its headers, its card and its
// licence text. Of several models among the files, such as quantizations of
// one, the first is described. It reads a bounded part of the files. With a *ContentError,
// the facts hold what could be read all the same; any other error is a
// failure to read.
func Inspect(ctx context.Context, files verify.Files) (*registry.Facts, error) {
	var facts registry.Facts
	f, problem := describeModel(ctx, files, &facts)
	var err error
	if facts.Card, err = readCard(files); err != nil {
		return nil, err
	}
	facts.Bases = declaredBases(facts.Card, f)
	if err := readLicense(files, &facts); err != nil {
		return nil, err
	}
	if facts.License.Notice, err = readText(files, noticeNames, maxNotice); err != nil {
		return nil, err
	}
	if facts.MOF, err = readText(files, mofNames, openness.MaxMOFFile); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if err := files.Fault(); err != nil {
		return nil, err
	}
	return &facts, problem
}

// maxNotice is how many bytes of a file NOTICE are kept.
const maxNotice = 64 << 10

// readCard reads the card, of which there may be none.
func readCard(files verify.Files) (registry.Card, error) {
	f := findFile(files, readmeNames)
	if f == nil {
		return registry.Card{}, nil
	}
	// One byte more than is kept tells the parser that there is more.
	p, err := f.Head(registry.MaxReadme + 1)
	if err != nil {
		return registry.Card{}, err
	}
	return registry.ParseCard(p), nil
}

// readLicense fills in the licence that the card declares and the text.
func readLicense(files verify.Files, facts *registry.Facts) error {
	if l, ok := declaredLicense(facts.Card); ok {
		facts.License.Declared = l.SPDX
	}
	f := findFile(files, licenseNames)
	if f == nil {
		return nil
	}
	facts.License.File = f.Path
	p, err := f.Head(maxLicense + 1)
	if err != nil {
		return err
	}
	if len(p) > maxLicense || !utf8.Valid(p) || bytes.IndexByte(p, 0) >= 0 {
		return nil // the file is named, but it is no text that could be shown
	}
	facts.License.Text = string(p)
	return nil
}

// readText returns a small file of text, "" when there is none.
func readText(files verify.Files, names []string, most int64) (string, error) {
	f := findFile(files, names)
	if f == nil {
		return "", nil
	}
	p, err := f.Head(most + 1)
	if err != nil || int64(len(p)) > most || !utf8.Valid(p) || bytes.IndexByte(p, 0) >= 0 {
		return "", err
	}
	return string(p), nil
}

// declaredLicense looks the card's licence up. "other" means the one that the
// card names beside it.
func declaredLicense(c registry.Card) (*licenses.Fact, bool) {
	if c.LicenseName != "" && (c.LicenseID == "" || strings.EqualFold(c.LicenseID, "other")) {
		return licenses.Lookup(c.LicenseName)
	}
	if c.LicenseID == "" {
		return nil, false
	}
	return licenses.Lookup(c.LicenseID)
}

// The names of card and licence text, best first, in lower case.
var (
	readmeNames  = []string{"readme.md", "readme", "readme.txt"}
	noticeNames  = []string{"notice", "notice.txt", "notice.md"}
	mofNames     = []string{"mof.yml", "mof.yaml"}
	licenseNames = []string{"license", "license.txt", "license.md", "licence", "licence.txt", "licence.md", "copying", "copying.txt", "copying.md"}
)

// findFile returns the file at the top of the model with the first of the
// names, whatever its case.
func findFile(files verify.Files, names []string) *verify.File {
	var best *verify.File
	rank := len(names)
	for _, f := range files {
		if f.Packed || path.Dir(f.Path) != "." {
			continue
		}
		if i := slices.Index(names, strings.ToLower(f.Path)); i >= 0 && i < rank {
			best, rank = f, i
		}
	}
	return best
}

// TextFiles returns the names of the files that are read as a model's card and
// notice, "" where there is none.
func TextFiles(files verify.Files) (card, notice string) {
	name := func(f *verify.File) string {
		if f == nil {
			return ""
		}
		return f.Path
	}
	return name(findFile(files, readmeNames)), name(findFile(files, noticeNames))
}

// storable makes words out of a model fit for every database: valid UTF-8
// without control characters but line ends and tabs, and short.
func storable(s string) string {
	const most = 200
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(s, string(utf8.RuneError)))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
