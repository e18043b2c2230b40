package bom

import (
	"github.com/carat-hub/carat/licenses/openness"
	"github.com/carat-hub/carat/registry"
)

// mof is a mof.yml with the components for which there is evidence.
func (m *Model) mof() ([]byte, error) {
	f := m.facts()
	org, _, _ := m.version.Name.Split()
	file := openness.MOFFile{
		Name: string(m.version.Name), Version: m.version.Digest.String(), Date: m.created()[:10],
		Type: plain(f.Card.Pipeline), Architecture: plain(f.Architecture), Origin: m.page(), Producer: org,
	}
	if e := m.assessment.Works[0].Expression; !e.IsZero() {
		file.Distribution = openness.MOFLicence{Name: e.String(), Path: f.License.File}
	}
	in := registry.InputOf(m.version)
	for _, c := range openness.Components() {
		for _, claim := range in.Claims {
			if claim.Component != c || len(claim.Evidence) == 0 {
				continue
			}
			e := claim.Evidence[0]
			where := e.Path
			if where == "" {
				where = e.URL
			}
			file.Components = append(file.Components, openness.MOFComponent{Component: c, Location: plain(where)})
			break
		}
	}
	return file.Encode()
}
