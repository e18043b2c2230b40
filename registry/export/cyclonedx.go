package export

import (
	"bytes"
	"strconv"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/uuid"

	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/licenses/openness"
	"github.com/carat-hub/carat/licenses/term"
	"github.com/carat-hub/carat/registry"
)

// cycloneDX writes an ML-BOM: the model as the component that it is about,
// with card, files and ancestors, and its datasets beside it.
func cycloneDX(s *subject) ([]byte, error) {
	return identified(func(id uuid.UUID) ([]byte, error) {
		bom := cdx.NewBOM()
		bom.SerialNumber = id.URN()
		model := s.component()
		bom.Metadata = &cdx.Metadata{
			Timestamp: s.created(),
			Tools:     &cdx.ToolsChoice{Components: &[]cdx.Component{{Type: cdx.ComponentTypeApplication, Name: "carat"}}},
			Component: &model,
		}
		datasets := []cdx.Component{}
		for _, w := range s.datasets() {
			datasets = append(datasets, datasetComponent(w))
		}
		bom.Components = &datasets
		dependencies := []cdx.Dependency{}
		for _, w := range s.works {
			if data := w.data(); len(data) > 0 {
				dependencies = append(dependencies, cdx.Dependency{Ref: w.ref, Dependencies: &data})
			}
		}
		bom.Dependencies = &dependencies
		var b bytes.Buffer
		err := cdx.NewBOMEncoder(&b, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false).EncodeVersion(bom, cdx.SpecVersion1_7)
		return b.Bytes(), err
	})
}

// component is the model.
func (s *subject) component() cdx.Component {
	root := s.root()
	c := cdx.Component{
		BOMRef: root.ref, Type: cdx.ComponentTypeMachineLearningModel,
		Description: line(s.facts.Card.Summary),
		Licenses:    root.licence.choices(),
		PackageURL:  packageURL(s.version),
		ModelCard:   s.modelCard(),
		Properties:  s.properties(),
	}
	c.Group, c.Name = split(string(s.version.Name))
	c.Supplier = &cdx.OrganizationalEntity{Name: s.organization()}
	c.Version = s.version.Digest.String()
	c.Hashes = hashes(s.version.Digest)
	files := make([]cdx.Component, 0, len(s.version.Files))
	for i, f := range s.version.Files {
		files = append(files, cdx.Component{
			BOMRef: "file-" + strconv.Itoa(i+1), Type: cdx.ComponentTypeFile, Name: line(f.Path), MIMEType: mediaType(f.MediaType), Hashes: hashes(f.Digest),
			Properties: &[]cdx.Property{{Name: "carat:file:size", Value: strconv.FormatInt(f.Size, 10)}},
		})
	}
	c.Components = &files
	if models := s.models(); len(models) > 0 {
		ancestors := make([]cdx.Component, 0, len(models))
		for _, w := range models {
			ancestors = append(ancestors, s.ancestor(w))
		}
		c.Pedigree = &cdx.Pedigree{Ancestors: &ancestors, Notes: "As card, configuration and keys of the weights declare it; the nearest first."}
	}
	if l := address(s.facts.Card.LicenseLink); l != "" {
		c.ExternalReferences = &[]cdx.ExternalReference{{Type: cdx.ERTypeLicense, URL: l}}
	}
	return c
}

// ancestor is a model that it was made from.
func (s *subject) ancestor(w *work) cdx.Component {
	c := cdx.Component{BOMRef: w.ref, Type: cdx.ComponentTypeMachineLearningModel, Name: w.title, Licenses: w.licence.choices()}
	if !w.Hidden {
		c.Group, c.Name = split(w.title)
	}
	if w.version != nil {
		c.Version, c.Hashes, c.PackageURL = w.version.Digest.String(), hashes(w.version.Digest), packageURL(w.version)
	}
	p := []cdx.Property{}
	for _, child := range s.works {
		for _, u := range child.uses {
			if u.of == w {
				p = append(p, cdx.Property{Name: "carat:lineage:" + string(u.relation), Value: child.title}, cdx.Property{Name: "carat:lineage:origin", Value: string(u.origin)})
			}
		}
	}
	p = append(p, cdx.Property{Name: "carat:lineage:known", Value: known(w)})
	c.Properties = &p
	return c
}

// known says how far a work is known here.
func known(w *work) string {
	switch {
	case w.Hidden:
		return "hidden"
	case w.ByName:
		return "by name"
	case w.Unknown:
		return "no"
	}
	return "yes"
}

func datasetComponent(w *work) cdx.Component {
	return cdx.Component{
		BOMRef: w.ref, Type: cdx.ComponentTypeData, Name: w.title,
		Data: &[]cdx.ComponentData{{Type: cdx.ComponentDataTypeDataset, Name: w.title}},
	}
}

// choices are the licences as declared and as concluded, nil for none.
func (l *licence) choices() *cdx.Licenses {
	declared, concluded := cdx.LicenseAcknowledgementDeclared, cdx.LicenseAcknowledgementConcluded
	var list cdx.Licenses
	switch {
	case l.declared != "":
		c := cdx.LicenseChoice{Expression: l.declared, Acknowledgement: &declared}
		details := []cdx.LicenseExpressionDetail{}
		for _, f := range l.facts {
			if u := address(f.URL); u != "" {
				details = append(details, cdx.LicenseExpressionDetail{LicenseIdentifier: f.SPDX, URL: u})
			}
		}
		if len(details) > 0 {
			c.ExpressionDetails = &details
		}
		list = append(list, c)
	case l.written != "":
		list = append(list, cdx.LicenseChoice{License: &cdx.License{Name: l.written, Acknowledgement: declared}})
	}
	if l.concluded != "" {
		list = append(list, cdx.LicenseChoice{Expression: l.concluded, Acknowledgement: &concluded})
	}
	if list == nil {
		return nil
	}
	return &list
}

func (s *subject) modelCard() *cdx.MLModelCard {
	f := s.facts
	p := &cdx.MLModelParameters{Task: line(f.Card.Pipeline), ModelArchitecture: line(f.Architecture)}
	var datasets []cdx.MLDatasetChoice
	for _, ref := range s.root().data() {
		datasets = append(datasets, cdx.MLDatasetChoice{Ref: ref})
	}
	if datasets != nil {
		p.Datasets = &datasets
	}
	if in, out := s.modality(); len(in) > 0 {
		p.Inputs, p.Outputs = formats(in), formats(out)
	}
	card := &cdx.MLModelCard{BOMRef: "card", ModelParameters: p}
	var metrics []cdx.MLPerformanceMetric
	for _, e := range f.Card.Evaluations {
		metrics = append(metrics, cdx.MLPerformanceMetric{Type: line(e.Metric), Value: line(e.Value), Slice: lines([]string{e.Task, e.Dataset})})
	}
	if metrics != nil {
		card.QuantitativeAnalysis = &cdx.MLQuantitativeAnalysis{PerformanceMetrics: &metrics}
	}
	c := &cdx.MLModelCardConsiderations{UseCases: s.stated(sectionUse), TechnicalLimitations: s.stated(sectionLimitation, sectionOutOfScope)}
	if e := s.sections[sectionEthics]; e != "" {
		c.EthicalConsiderations = &[]cdx.MLModelCardEthicalConsideration{{Name: e}}
	}
	if c.UseCases != nil || c.TechnicalLimitations != nil || c.EthicalConsiderations != nil {
		card.Considerations = c
	}
	return card
}

// stated are sections of the card, nil when it has none of them.
func (s *subject) stated(of ...section) *[]string {
	var list []string
	for _, x := range of {
		if t := s.sections[x]; t != "" {
			list = append(list, t)
		}
	}
	if list == nil {
		return nil
	}
	return &list
}

func formats(list []string) *[]cdx.MLInputOutputParameters {
	out := make([]cdx.MLInputOutputParameters, len(list))
	for i, f := range list {
		out[i].Format = f
	}
	return &out
}

// properties are what CycloneDX has no fields for.
func (s *subject) properties() *[]cdx.Property {
	var list []cdx.Property
	add := func(name, value string) {
		if value != "" {
			list = append(list, cdx.Property{Name: "carat:" + name, Value: value})
		}
	}
	for _, m := range s.measures() {
		add("model:"+m.name, m.value)
	}
	o := &s.assessment.Openness
	for _, m := range []struct {
		name string
		of   *openness.Assessment
	}{{"", &o.Verified}, {"claimed:", &o.Claimed}} {
		add("openness:"+m.name+"level", strconv.Itoa(int(m.of.Level)))
		add("openness:"+m.name+"name", m.of.Level.String())
		add("openness:"+m.name+"label", m.of.Label)
	}
	add("openness:osaid", string(o.OSAID.State))
	add("openness:rule-set", strconv.Itoa(o.RuleSet))
	add("lineage:rule-set", strconv.Itoa(s.assessment.Lineage.RuleSet))
	add("lineage:complete", strconv.FormatBool(!s.assessment.Lineage.Unknown && s.omitted == 0))
	if s.omitted > 0 {
		add("lineage:omitted", strconv.Itoa(s.omitted))
	}
	for _, x := range s.root().licence.text {
		add("license:text", line(x))
	}
	t := &s.assessment.Terms
	add("obligation:openness", string(t.Openness))
	for _, o := range s.obligations() {
		add("obligation:"+o.kind+":"+o.What, line(o.words()))
	}
	for _, u := range t.Unclear {
		add("obligation:unclear", line(u))
	}
	for _, l := range t.Thresholds {
		add("obligation:threshold:"+string(l.Metric), limitWords(l))
	}
	return &list
}

// obligation is one item of the terms.
type obligation struct {
	kind string // "may", "must", "must-not"
	term.Item
}

// words say what it demands and where that stands.
func (o *obligation) words() string { return o.Words + " – " + o.Source.String() }

// obligations are the items of the terms, in their order.
func (s *subject) obligations() (list []obligation) {
	t := &s.assessment.Terms
	for _, k := range []struct {
		kind  string
		items []term.Item
	}{{"must", t.Must}, {"must-not", t.MustNot}, {"may", t.May}} {
		for _, x := range k.items {
			list = append(list, obligation{k.kind, x})
		}
	}
	return list
}

func limitWords(l licenses.Limit) string {
	return strings.TrimSpace(l.Op + " " + strconv.FormatInt(l.Value, 10) + " " + l.Unit)
}

// measure is something that was read from the files.
type measure struct{ name, value string }

// measures are what is known of the model's numbers.
func (s *subject) measures() (list []measure) {
	f := s.facts
	for _, m := range []struct {
		name  string
		value int64
	}{
		{"parameters", f.Parameters},
		{"context-length", f.ContextLength},
		{"vocabulary-size", f.VocabSize},
		{"hidden-size", f.HiddenSize},
		{"layers", f.Layers},
		{"tensors", f.Tensors},
	} {
		if m.value > 0 {
			list = append(list, measure{m.name, strconv.FormatInt(m.value, 10)})
		}
	}
	for _, m := range []measure{{"format", line(f.Format)}, {"quantization", line(f.Quantization)}, {"tokenizer", line(f.Tokenizer)}} {
		if m.value != "" {
			list = append(list, m)
		}
	}
	return list
}

// hashes are a digest as CycloneDX writes it.
func hashes(d registry.Digest) *[]cdx.Hash {
	alg := map[registry.Algorithm]cdx.HashAlgorithm{registry.SHA256: cdx.HashAlgoSHA256, registry.SHA512: cdx.HashAlgoSHA512}[d.Algorithm()]
	if alg == "" {
		return nil
	}
	return &[]cdx.Hash{{Algorithm: alg, Value: d.Hex()}}
}

// packageURL names a version as an OCI artifact. It names no registry: bytes
// are as good in a copy.
func packageURL(v *registry.Version) string {
	_, name := split(string(v.Name))
	return "pkg:oci/" + name + "@" + strings.ReplaceAll(v.Digest.String(), ":", "%3A")
}

// split cuts "org/name".
func split(name string) (org, model string) {
	if org, model, ok := strings.Cut(name, "/"); ok && model != "" {
		return org, model
	}
	return "", name
}

// mediaType returns a media type when it is written like one, else "".
func mediaType(s string) string {
	kind, sub, ok := strings.Cut(s, "/")
	for _, part := range []string{kind, sub} {
		ok = ok && part != "" && strings.IndexFunc(part, func(r rune) bool {
			return r <= ' ' || r > '~' || strings.ContainsRune(`()<>@,;:\"/[]?=`, r)
		}) < 0
	}
	if !ok || len(s) > maxLine {
		return ""
	}
	return s
}
