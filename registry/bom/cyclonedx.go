package bom

import (
	"bytes"
	"fmt"
	"strconv"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/licenses/lineage"
	"github.com/carat-hub/carat/registry"
)

// properties are named under this prefix.
const propertyPrefix = "carat:"

// cycloneDX is a bill of materials for machine learning, CycloneDX 1.7 as JSON.
func (m *Model) cycloneDX() ([]byte, error) {
	b := cdx.NewBOM()
	b.SpecVersion = cdx.SpecVersion1_7
	b.JSONSchema = "http://cyclonedx.org/schema/bom-1.7.schema.json"
	b.SerialNumber = "urn:uuid:" + m.uuid("cyclonedx").String()
	model, datasets := m.component()
	b.Metadata = &cdx.Metadata{
		Timestamp: m.created(),
		Component: model,
		Tools:     &cdx.ToolsChoice{Components: &[]cdx.Component{{Type: cdx.ComponentTypeApplication, Name: "carat", Version: m.options.Version}}},
	}
	if len(datasets) > 0 {
		b.Components = &datasets
	}
	var out bytes.Buffer
	enc := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON)
	if err := enc.SetPretty(true).SetEscapeHTML(false).EncodeVersion(b, cdx.SpecVersion1_7); err != nil {
		return nil, fmt.Errorf("encode CycloneDX: %w", err)
	}
	return out.Bytes(), nil
}

// component is the model itself, and the datasets that it refers to.
func (m *Model) component() (*cdx.Component, []cdx.Component) {
	f := m.facts()
	c := versionComponent(m.version, m.assessment.Works[0].Expression)
	c.BOMRef, c.Description = m.version.Digest.String(), plain(f.Card.Summary)
	if page := m.page(); page != "" {
		c.ExternalReferences = &[]cdx.ExternalReference{{Type: cdx.ERTypeDistribution, URL: page}}
	}
	var files []cdx.Component
	for _, x := range m.version.Files {
		files = append(files, cdx.Component{
			Type: cdx.ComponentTypeFile, BOMRef: m.version.Digest.String() + "/" + plain(x.Path), Name: plain(x.Path), Hashes: hashes(x.Digest),
			Properties: &[]cdx.Property{{Name: propertyPrefix + "size", Value: strconv.FormatInt(x.Size, 10)}},
		})
	}
	if len(files) > 0 {
		c.Components = &files
	}
	parameters := &cdx.MLModelParameters{Task: plain(f.Card.Pipeline), ModelArchitecture: plain(f.Architecture)}
	var ancestors, datasets []cdx.Component
	var choices []cdx.MLDatasetChoice
	for i, w := range m.works() {
		a := m.workComponent(&w, i)
		if w.Dataset {
			datasets, choices = append(datasets, a), append(choices, cdx.MLDatasetChoice{Ref: a.BOMRef})
			continue
		}
		ancestors = append(ancestors, a)
	}
	if len(ancestors) > 0 {
		c.Pedigree = &cdx.Pedigree{Ancestors: &ancestors}
	}
	if len(choices) > 0 {
		parameters.Datasets = &choices
	}
	c.ModelCard = &cdx.MLModelCard{ModelParameters: parameters}
	c.Properties = m.properties()
	return c, datasets
}

// versionComponent is a version that is here.
func versionComponent(v *registry.Version, e licenses.Expression) *cdx.Component {
	org, model, _ := v.Name.Split()
	c := &cdx.Component{
		Type: cdx.ComponentTypeMachineLearningModel, Group: org, Name: model, Version: v.Digest.String(), Hashes: hashes(v.Digest),
	}
	var list cdx.Licenses
	if !e.IsZero() {
		list = append(list, licence(e, cdx.LicenseAcknowledgementDeclared))
	}
	if t := concluded(v.Facts); !t.IsZero() {
		list = append(list, licence(t, cdx.LicenseAcknowledgementConcluded))
	}
	if len(list) > 0 {
		c.Licenses = &list
	}
	return c
}

// workComponent is what the model was made from; i tells works without a name apart.
func (m *Model) workComponent(w *lineage.Work, i int) cdx.Component {
	var c cdx.Component
	switch v := m.ancestry.Versions[w.ID]; {
	case v != nil:
		c = *versionComponent(v, w.Expression)
	default:
		c = cdx.Component{Type: cdx.ComponentTypeMachineLearningModel, Name: name(w)}
		if w.Dataset {
			c.Type = cdx.ComponentTypeData
			c.Data = &[]cdx.ComponentData{{Type: cdx.ComponentDataTypeDataset, Name: name(w)}}
		}
		if !w.Expression.IsZero() {
			c.Licenses = &cdx.Licenses{licence(w.Expression, cdx.LicenseAcknowledgementDeclared)}
		}
	}
	c.BOMRef = "work-" + strconv.Itoa(i+1)
	if w.ByName {
		c.Properties = &[]cdx.Property{{Name: propertyPrefix + "evidence", Value: "known by its name alone"}}
	}
	return c
}

func licence(e licenses.Expression, by cdx.LicenseAcknowledgement) cdx.LicenseChoice {
	c := cdx.LicenseChoice{Expression: e.String(), Acknowledgement: &by}
	var details []cdx.LicenseExpressionDetail
	for _, f := range e.Resolve().Facts {
		if f.URL != "" {
			details = append(details, cdx.LicenseExpressionDetail{LicenseIdentifier: f.SPDX, URL: f.URL})
		}
	}
	if len(details) > 0 {
		c.ExpressionDetails = &details
	}
	return c
}

// algorithms are the names that CycloneDX has for those of digests.
var algorithms = map[registry.Algorithm]cdx.HashAlgorithm{registry.SHA256: cdx.HashAlgoSHA256, registry.SHA512: cdx.HashAlgoSHA512}

func hashes(d registry.Digest) *[]cdx.Hash {
	if d.IsZero() {
		return nil
	}
	return &[]cdx.Hash{{Algorithm: algorithms[d.Algorithm()], Value: d.Hex()}}
}

// properties are what CycloneDX has no field for.
func (m *Model) properties() *[]cdx.Property {
	f, o := m.facts(), &m.assessment.Openness
	var list []cdx.Property
	add := func(name, value string) {
		if value = plain(value); value != "" && value != "0" {
			list = append(list, cdx.Property{Name: propertyPrefix + name, Value: value})
		}
	}
	add("format", f.Format)
	add("parameters", strconv.FormatInt(f.Parameters, 10))
	add("quantization", f.Quantization)
	add("contextLength", strconv.FormatInt(f.ContextLength, 10))
	for _, l := range f.Card.Languages {
		add("language", l)
	}
	list = append(list, cdx.Property{Name: propertyPrefix + "openness:verified", Value: strconv.Itoa(int(o.Verified.Level))},
		cdx.Property{Name: propertyPrefix + "openness:claimed", Value: strconv.Itoa(int(o.Claimed.Level))})
	add("openness:osaid", string(o.OSAID.State))
	add("openness:ruleSet", strconv.Itoa(o.RuleSet))
	if v := m.version.Verification; v != nil {
		add("verification:state", v.State)
		add("verification:checkSet", strconv.Itoa(v.CheckSet))
	}
	for _, x := range m.obligations() {
		add("obligation:"+x[0], x[1])
	}
	for _, x := range m.assessment.Lineage.Findings {
		add("lineage:"+string(x.Severity)+":"+x.Rule, x.Message)
	}
	return &list
}
