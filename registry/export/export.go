package export

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/carat-hub/carat/registry"
)

// Errors of this package.
var (
	// ErrFormat says that there is no format of that name.
	ErrFormat = errors.New("no such format")
	// ErrNotInspected says that nothing is known of a version yet, or that its
	// files could not be read.
	ErrNotInspected = errors.New("the version's files have not been inspected")
)

// Format is the name of a format, as commands and addresses have it.
type Format string

// The formats.
const (
	Notice       Format = "notice"         // what has to be shown and kept, as text
	Attribution  Format = "attribution"    // a ZIP of it with the texts of licences
	CycloneDX    Format = "cyclonedx"      // CycloneDX 1.7, JSON
	SPDX         Format = "spdx"           // SPDX 3.0.1 with the AI profile, JSON-LD
	AnnexXII     Format = "annex-xii"      // of Regulation (EU) 2024/1689, Markdown
	AnnexXIIJSON Format = "annex-xii.json" // the same, JSON
	MOF          Format = "mof"            // of the Model Openness Framework, YAML
)

// Kind is what is to be known of a format.
type Kind struct {
	Format    Format
	Title     string
	MediaType string
	Suffix    string // of a file's name

	encode func(*subject) ([]byte, error)
}

// Kinds are all formats.
func Kinds() []Kind {
	return []Kind{
		{Notice, "NOTICE", "text/plain; charset=utf-8", ".NOTICE.txt", notice},
		{Attribution, "Attribution bundle (ZIP)", "application/zip", ".attribution.zip", attribution},
		{CycloneDX, "CycloneDX 1.7 ML-BOM", "application/vnd.cyclonedx+json; version=1.7", ".cdx.json", cycloneDX},
		{SPDX, "SPDX 3.0.1 with AI profile", "application/spdx+json", ".spdx3.json", spdx},
		{AnnexXII, "EU AI Act, Annex XII", "text/markdown; charset=utf-8", ".annex-xii.md", annexMarkdown},
		{AnnexXIIJSON, "EU AI Act, Annex XII (JSON)", "application/json", ".annex-xii.json", annexJSON},
		{MOF, "Model Openness Framework", "application/yaml", ".mof.yml", mof},
	}
}

// Document is an export.
type Document struct {
	Name      string // of a file to keep it in
	MediaType string
	Body      []byte
}

// Write writes what is known of the root of a lineage. The lineage is what its
// reader may see, and so is the document. Errors: ErrFormat, ErrNotInspected.
func Write(a *registry.Ancestry, f Format) (Document, error) {
	list := Kinds()
	i := slices.IndexFunc(list, func(k Kind) bool { return k.Format == f })
	if i < 0 {
		return Document{}, fmt.Errorf("%w: %.40q", ErrFormat, f)
	}
	s, err := newSubject(a)
	if err != nil {
		return Document{}, err
	}
	body, err := list[i].encode(s)
	if err != nil {
		return Document{}, fmt.Errorf("write %s of %s@%s: %w", f, s.version.Name, s.version.Digest, err)
	}
	name := strings.ReplaceAll(string(s.version.Name), "/", "-") + "-" + s.version.Digest.Hex()[:12] + list[i].Suffix
	return Document{Name: name, MediaType: list[i].MediaType, Body: body}, nil
}

// space is the namespace of the identifiers that documents get.
var space = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/carat-hub/carat/export"))

// identified writes a document that has an identifier made from all else in
// it: once without, and again with it.
func identified(write func(id uuid.UUID) ([]byte, error)) ([]byte, error) {
	p, err := write(uuid.Nil)
	if err != nil {
		return nil, err
	}
	return write(uuid.NewSHA1(space, p))
}
