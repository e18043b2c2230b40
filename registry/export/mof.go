package export

import (
	"slices"
	"strings"
	"time"

	"github.com/carat-hub/carat/licenses/openness"
	"github.com/carat-hub/carat/registry"
)

// mof writes a mof.yml: what the publisher's own says, and the components that
// are seen beside it. Fields that nobody states stay empty.
func mof(s *subject) ([]byte, error) {
	var f openness.MOFFile
	var origin []string
	for _, p := range s.origins() {
		origin = append(origin, p.Value)
	}
	if m, err := openness.ParseMOFFile([]byte(s.facts.MOF)); err == nil {
		f = m
	}
	_, model := split(string(s.version.Name))
	for _, x := range []struct {
		field *string
		value string
	}{
		{&f.Name, model},
		{&f.Version, s.version.Digest.String()},
		{&f.Type, s.facts.Card.Pipeline},
		{&f.Architecture, s.facts.Architecture},
		{&f.Origin, strings.Join(origin, "; ")},
		{&f.Producer, s.organization()},
		{&f.Treatment, ""},
		{&f.Contact, ""},
	} {
		if *x.field = line(*x.field); *x.field == "" {
			*x.field = line(x.value)
		}
	}
	if _, err := time.Parse(time.DateOnly, f.Date); err != nil {
		f.Date = s.version.CreatedAt.UTC().Format(time.DateOnly)
	}
	f.Distribution = mofLicence(f.Distribution)
	if f.Distribution.Name == "" {
		f.Distribution = openness.MOFLicence{Name: s.root().licence.declared, Path: line(s.facts.License.File)}
	}
	for t, l := range f.Releases {
		f.Releases[t] = mofLicence(l)
	}
	for i := range f.Components {
		c := &f.Components[i]
		c.Description, c.Location, c.Licence = line(c.Description), line(c.Location), mofLicence(c.Licence)
	}
	s.seenComponents(&f)
	order := openness.Components()
	slices.SortStableFunc(f.Components, func(a, b openness.MOFComponent) int {
		return slices.Index(order, a.Component) - slices.Index(order, b.Component)
	})
	return f.Encode()
}

// seenComponents adds those of which there is evidence and that the file does
// not name, with the best evidence.
func (s *subject) seenComponents(f *openness.MOFFile) {
	best := map[openness.Component]openness.Evidence{}
	for _, claim := range registry.InputOf(s.version, s.assessment.Works[0].Text).Claims {
		for _, e := range claim.Evidence {
			if e.Grade > best[claim.Component].Grade {
				best[claim.Component] = e
			}
		}
	}
	for _, c := range f.Components {
		delete(best, c.Component)
	}
	for _, c := range openness.Components() {
		e, ok := best[c]
		if !ok {
			continue
		}
		at := line(e.Path)
		if at == "" {
			at = address(e.URL)
		}
		f.Components = append(f.Components, openness.MOFComponent{Component: c, Location: at})
	}
}

func mofLicence(l openness.MOFLicence) openness.MOFLicence {
	return openness.MOFLicence{Name: line(l.Name), Path: line(l.Path)}
}
