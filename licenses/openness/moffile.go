package openness

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/carat-hub/carat/licenses"
)

// Limits of a mof.yml. Real ones have 17 components in some 5 KiB.
const (
	MaxMOFFile       = 256 << 10 // bytes
	maxMOFComponents = 64
	maxMOFString     = 2048 // bytes of one value
)

// ErrMOFFile says that a file is no description of a release in the format of
// the Model Openness Framework's tool.
var ErrMOFFile = errors.New("not a mof.yml")

// MOFFile is a release as the tool of the Model Openness Framework writes it:
// claims with addresses, by whoever wrote the file.
type MOFFile struct {
	Name, Version, Date string
	Type, Architecture  string
	Treatment           string
	Origin, Producer    string
	Contact             string
	Distribution        MOFLicence          // of the release as a whole
	Releases            map[Type]MOFLicence // of all code, data, documents
	Components          []MOFComponent
	Unknown             []string // names of components that the framework does not have
}

// MOFLicence is a licence with the place of its text.
type MOFLicence struct{ Name, Path string }

// MOFComponent is a component that the file says is there.
type MOFComponent struct {
	Component   Component
	Description string
	Location    string // path or address
	Licence     MOFLicence
}

// ParseMOFFile reads a mof.yml, of either layout that the tool has had.
// Errors: ErrMOFFile.
func ParseMOFFile(p []byte) (MOFFile, error) {
	var f MOFFile
	if len(p) > MaxMOFFile {
		return f, fmt.Errorf("%w: more than %d bytes", ErrMOFFile, MaxMOFFile)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(p, &doc); err != nil {
		return f, fmt.Errorf("%w: %w", ErrMOFFile, err)
	}
	var all any // decoding the whole is what finds duplicate keys and alias bombs
	if err := doc.Decode(&all); err != nil {
		return f, fmt.Errorf("%w: %w", ErrMOFFile, err)
	}
	if len(doc.Content) == 0 {
		return f, fmt.Errorf("%w: empty", ErrMOFFile)
	}
	r := field(doc.Content[0], "release")
	if r == nil || r.Kind != yaml.MappingNode {
		return f, fmt.Errorf("%w: it has no release", ErrMOFFile)
	}
	for key, to := range map[string]*string{
		"name": &f.Name, "version": &f.Version, "date": &f.Date, "type": &f.Type, "architecture": &f.Architecture,
		"treatment": &f.Treatment, "origin": &f.Origin, "producer": &f.Producer, "contact": &f.Contact,
	} {
		*to = value(field(r, key))
	}
	if f.Name == "" {
		return f, fmt.Errorf("%w: the release has no name", ErrMOFFile)
	}
	l := field(r, "license")
	f.Distribution = mofLicence(field(l, "distribution"))
	if l != nil && l.Kind == yaml.ScalarNode {
		f.Distribution.Name = value(l)
	}
	for _, t := range []Type{Code, Data, Document} {
		if x := mofLicence(field(l, string(t))); x.Name != "" {
			if f.Releases == nil {
				f.Releases = make(map[Type]MOFLicence)
			}
			f.Releases[t] = x
		}
	}
	return f, f.readComponents(field(r, "components"))
}

func (f *MOFFile) readComponents(list *yaml.Node) error {
	if list == nil {
		return nil
	}
	if list.Kind != yaml.SequenceNode || len(list.Content) > maxMOFComponents {
		return fmt.Errorf("%w: components is no list of at most %d", ErrMOFFile, maxMOFComponents)
	}
	seen := make(map[Component]bool)
	for _, n := range list.Content {
		name := value(n)
		if n.Kind == yaml.MappingNode {
			name = value(field(n, "name"))
		}
		id, known := ParseComponent(name)
		if !known {
			f.Unknown = append(f.Unknown, name)
			continue
		}
		if seen[id] {
			return fmt.Errorf("%w: %q is there twice", ErrMOFFile, name)
		}
		seen[id] = true
		c := MOFComponent{Component: id, Description: value(field(n, "description")), Licence: mofLicence(field(n, "license"))}
		c.Location = first(value(field(n, "location")), value(field(n, "component_path")))
		c.Licence.Name = first(c.Licence.Name, value(field(n, "license_name")))
		c.Licence.Path = first(c.Licence.Path, value(field(n, "license_path")))
		if included(n, c) {
			f.Components = append(f.Components, c)
		}
	}
	return nil
}

// notIncluded are words of the tool for components that are not there or have
// no licence.
const (
	notIncluded = "Component not included"
	unlicensed  = "unlicensed"
)

// included reports whether an entry claims its component. The older layout
// lists all components, with empty fields for those that are not there.
func included(n *yaml.Node, c MOFComponent) bool {
	if strings.EqualFold(c.Licence.Name, notIncluded) {
		return false
	}
	older := field(n, "location") != nil || field(n, "license_name") != nil
	return !older || c.Location != "" || c.Licence.Name != ""
}

func mofLicence(n *yaml.Node) MOFLicence {
	if n == nil {
		return MOFLicence{}
	}
	if n.Kind == yaml.MappingNode {
		return MOFLicence{value(field(n, "name")), value(field(n, "path"))}
	}
	return MOFLicence{Name: value(n)}
}

// Licence returns the licence in the words of this package.
func (l MOFLicence) Licence() Licence {
	if l.Name == "" {
		return Licence{Text: None}
	}
	if strings.EqualFold(l.Name, unlicensed) || strings.EqualFold(l.Name, "License not specified") {
		return Licence{Problem: "no licence is given", Text: None}
	}
	text := None
	if l.Path != "" {
		text = Stated
	}
	e, err := licenses.ParseExpression(l.Name)
	if err != nil {
		return Licence{Problem: l.Name + " is no licence expression", Text: text}
	}
	return Licence{Expression: e, Text: text}
}

// Claims returns what the file claims: E1 with an address, E0 without.
func (f MOFFile) Claims() []Claim {
	var list []Claim
	for _, c := range f.Components {
		e := Evidence{Grade: Declared, From: "mof.yml"}
		if strings.HasPrefix(c.Location, "https://") || strings.HasPrefix(c.Location, "http://") {
			e.Grade, e.URL = Stated, c.Location
		} else if c.Location != "" {
			e.Path = path.Clean(c.Location)
		}
		list = append(list, Claim{Component: c.Component, Evidence: []Evidence{e}, Licence: c.Licence.Licence()})
	}
	return list
}

// Encode writes the file in the layout of the framework's tool. Errors:
// ErrMOFFile, when the date is none.
func (f MOFFile) Encode() ([]byte, error) {
	type entry struct {
		Name        string `yaml:"name"`
		Description string `yaml:"description,omitempty"`
		Path        string `yaml:"component_path,omitempty"`
		License     string `yaml:"license,omitempty"`
		LicensePath string `yaml:"license_path,omitempty"`
	}
	type named struct {
		Name string `yaml:"name"`
		Path string `yaml:"path,omitempty"`
	}
	var doc struct {
		Framework struct {
			Name    string `yaml:"name"`
			Version string `yaml:"version"`
			Date    string `yaml:"date"`
		} `yaml:"framework"`
		Release struct {
			Name         string           `yaml:"name"`
			Version      string           `yaml:"version"`
			Date         string           `yaml:"date"`
			License      map[string]named `yaml:"license"`
			Type         string           `yaml:"type"`
			Architecture string           `yaml:"architecture"`
			Treatment    string           `yaml:"treatment,omitempty"`
			Origin       string           `yaml:"origin"`
			Producer     string           `yaml:"producer"`
			Contact      string           `yaml:"contact"`
			Components   []entry          `yaml:"components"`
		} `yaml:"release"`
	}
	doc.Framework.Name, doc.Framework.Version, doc.Framework.Date = "Model Openness Framework", "1.0", "2024-12-15"
	r := &doc.Release
	r.Name, r.Version, r.Date, r.Type, r.Architecture = f.Name, f.Version, f.Date, f.Type, f.Architecture
	r.Treatment, r.Origin, r.Producer, r.Contact = f.Treatment, f.Origin, f.Producer, f.Contact
	if _, err := time.Parse(time.DateOnly, f.Date); err != nil {
		return nil, fmt.Errorf("%w: date %q is not written as 2006-01-02", ErrMOFFile, f.Date)
	}
	licences := map[string]named{}
	if f.Distribution.Name != "" {
		licences["distribution"] = named(f.Distribution)
	}
	for t, l := range f.Releases {
		licences[string(t)] = named(l)
	}
	r.License = licences
	r.Components = []entry{}
	for _, c := range f.Components {
		r.Components = append(r.Components, entry{c.Component.String(), c.Description, c.Location, c.Licence.Name, c.Licence.Path})
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(doc); err != nil {
		return nil, err
	}
	return b.Bytes(), enc.Close()
}

// field returns the value of a key of a mapping, nil when there is none.
func field(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			v := n.Content[i+1]
			if v.Kind == yaml.AliasNode {
				v = v.Alias
			}
			return v
		}
	}
	return nil
}

// value returns a scalar as written, "" for anything else.
func value(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" || len(n.Value) > maxMOFString {
		return ""
	}
	return strings.TrimSpace(strings.ToValidUTF8(n.Value, "\uFFFD"))
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
