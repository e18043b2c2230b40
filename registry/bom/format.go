package bom

import "slices"

// Format is a form in which a version can be had.
type Format struct {
	ID        string // in addresses and commands
	Name      string // for people
	MediaType string
	File      string // name of a file of it
	write     func(*Model) ([]byte, error)
}

var formats = []Format{
	{"notice", "Notices and attribution", "text/plain; charset=utf-8", "NOTICE", func(m *Model) ([]byte, error) { return m.notice(), nil }},
	{"attribution", "Notices with all licence texts", "application/zip", "attribution.zip", (*Model).bundle},
	{"cyclonedx", "CycloneDX 1.7 bill of materials", "application/vnd.cyclonedx+json; version=1.7", "bom.cdx.json", (*Model).cycloneDX},
	{"spdx", "SPDX 3.0.1 AI bill of materials", "application/spdx+json", "bom.spdx.json", (*Model).spdx},
	{"annex-xii", "EU AI Act, Annex XII sheet", "text/markdown; charset=utf-8", "annex-xii.md", func(m *Model) ([]byte, error) { return m.sheet().markdown(), nil }},
	{"annex-xii-json", "EU AI Act, Annex XII sheet as JSON", "application/json", "annex-xii.json", func(m *Model) ([]byte, error) { return m.sheet().json() }},
	{"mof", "Model Openness Framework, mof.yml", "application/yaml", "mof.yml", (*Model).mof},
}

// Formats returns the formats in the order in which people are shown them.
func Formats() []Format { return slices.Clone(formats) }

// Lookup returns the format of an id.
func Lookup(id string) (Format, bool) {
	i := slices.IndexFunc(formats, func(f Format) bool { return f.ID == id })
	if i < 0 {
		return Format{}, false
	}
	return formats[i], true
}

// Write writes what is known of a model in the format.
func (f Format) Write(m *Model) ([]byte, error) { return f.write(m) }
