package bom

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/licenses/lineage"
	"github.com/carat-hub/carat/registry"
)

// spdxContext names the terms of SPDX 3.0.1 in JSON-LD.
const spdxContext = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"

// creation is the id of the one CreationInfo of a document.
const creation = "_:creation"

// element is an element of SPDX 3 in its JSON-LD form. Maps are encoded in the
// order of their keys, so that the same element gives the same bytes.
type element map[string]any

// spdxDocument collects the elements of a document.
type spdxDocument struct {
	base     string // of the ids of its elements
	graph    []element
	licences map[string]string // expression to the id of its element
}

// spdx is a bill of materials by the AI and dataset profiles of SPDX 3.0.1, as JSON-LD.
func (m *Model) spdx() ([]byte, error) {
	d := &spdxDocument{base: "urn:uuid:" + m.uuid("spdx").String(), licences: map[string]string{}}
	agent := d.id("carat")
	d.graph = append(d.graph,
		element{"type": "CreationInfo", "@id": creation, "specVersion": "3.0.1", "created": m.created(), "createdBy": []string{agent}})
	d.add("SoftwareAgent", "carat", element{"name": strings.TrimSpace("carat " + m.options.Version)})
	root := d.add("ai_AIPackage", "model", m.aiPackage())
	d.licensed(root, m.version, m.assessment.Works[0].Expression)
	m.addFiles(d, root)

	ids := map[string]string{m.ancestry.Graph.Root: root}
	for i, w := range m.works() {
		ids[w.ID] = m.addWork(d, i, &w)
	}
	for _, w := range m.assessment.Works {
		m.addEdges(d, &w, ids)
	}

	profiles := []string{"core", "software", "ai", "simpleLicensing"}
	if slices.ContainsFunc(m.works(), func(w lineage.Work) bool { return w.Dataset }) {
		profiles = append(profiles, "dataset")
	}
	var all []string
	for _, e := range d.graph {
		if id, ok := e["spdxId"].(string); ok {
			all = append(all, id)
		}
	}
	sbom := d.add("software_Sbom", "bom", element{"rootElement": []string{root}, "element": all, "profileConformance": profiles, "software_sbomType": []string{"analyzed"}})
	d.add("SpdxDocument", "document", element{
		"name": string(m.version.Name), "rootElement": []string{sbom}, "element": append(all, sbom), "profileConformance": profiles,
		"dataLicense": d.expression(licenses.Licence("CC0-1.0")),
	})
	out, err := json.MarshalIndent(map[string]any{"@context": spdxContext, "@graph": d.graph}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode SPDX: %w", err)
	}
	return append(out, '\n'), nil
}

func (d *spdxDocument) id(name string) string { return d.base + "#" + name }

// add adds an element and returns its id.
func (d *spdxDocument) add(kind, name string, e element) string {
	id := d.id(name)
	e["type"], e["spdxId"], e["creationInfo"] = kind, id, creation
	d.graph = append(d.graph, e)
	return id
}

// relate adds a relationship.
func (d *spdxDocument) relate(from, kind string, to ...string) {
	d.add("Relationship", "relationship-"+strconv.Itoa(len(d.graph)), element{"from": from, "relationshipType": kind, "to": to})
}

// expression returns the id of the element of a licence expression.
func (d *spdxDocument) expression(e licenses.Expression) string {
	s := "NOASSERTION"
	if !e.IsZero() {
		s = e.String()
	}
	if id, ok := d.licences[s]; ok {
		return id
	}
	x := element{"simplelicensing_licenseExpression": s}
	var uris []element
	for _, f := range e.Resolve().Facts {
		if strings.HasPrefix(f.SPDX, "LicenseRef-") && f.URL != "" {
			uris = append(uris, element{"type": "DictionaryEntry", "key": f.SPDX, "value": f.URL})
		}
	}
	if len(uris) > 0 {
		x["simplelicensing_customIdToUri"] = uris
	}
	id := d.add("simplelicensing_LicenseExpression", "licence-"+strconv.Itoa(len(d.licences)+1), x)
	d.licences[s] = id
	return id
}

// licensed relates an element with the licence that is declared of it, and
// the one that its text is.
func (d *spdxDocument) licensed(id string, v *registry.Version, e licenses.Expression) {
	d.relate(id, "hasDeclaredLicense", d.expression(e))
	var text licenses.Expression
	if v != nil {
		text = concluded(v.Facts)
	}
	d.relate(id, "hasConcludedLicense", d.expression(text))
}

// aiPackage is the model itself.
func (m *Model) aiPackage() element {
	f := m.facts()
	e := versionPackage(m.version)
	set := func(name, value string) {
		if value = plain(value); value != "" {
			e[name] = value
		}
	}
	set("summary", f.Card.Title)
	set("description", f.Card.Summary)
	set("software_downloadLocation", m.page())
	set("ai_informationAboutApplication", f.Card.Pipeline)
	if f.Architecture != "" {
		e["ai_typeOfModel"] = []string{plain(f.Architecture)}
	}
	var parameters []element
	for _, x := range []struct {
		name  string
		value int64
	}{
		{"parameters", f.Parameters}, {"contextLength", f.ContextLength}, {"vocabularySize", f.VocabSize}, {"hiddenSize", f.HiddenSize}, {"layers", f.Layers},
	} {
		if x.value > 0 {
			parameters = append(parameters, element{"type": "DictionaryEntry", "key": x.name, "value": strconv.FormatInt(x.value, 10)})
		}
	}
	if f.Quantization != "" {
		parameters = append(parameters, element{"type": "DictionaryEntry", "key": "quantization", "value": plain(f.Quantization)})
	}
	if len(parameters) > 0 {
		e["ai_hyperparameter"] = parameters
	}
	var comment []string
	for _, x := range m.obligations() {
		comment = append(comment, x[0]+": "+plain(x[1]))
	}
	o := &m.assessment.Openness
	comment = append(comment, fmt.Sprintf("openness: level %d verified, level %d claimed (rules %d)", o.Verified.Level, o.Claimed.Level, o.RuleSet))
	e["comment"] = strings.Join(comment, "\n")
	e["releaseTime"] = m.created()
	return e
}

// versionPackage is a package of a version that is here.
func versionPackage(v *registry.Version) element {
	e := element{"name": string(v.Name), "software_primaryPurpose": "model"}
	if !v.Digest.IsZero() {
		e["software_packageVersion"] = v.Digest.String()
		e["verifiedUsing"] = spdxHash(v.Digest)
	}
	return e
}

func spdxHash(d registry.Digest) []element {
	return []element{{"type": "Hash", "algorithm": string(d.Algorithm()), "hashValue": d.Hex()}}
}

// addFiles adds the files that the model consists of.
func (m *Model) addFiles(d *spdxDocument, root string) {
	var ids []string
	for i, x := range m.version.Files {
		e := element{"name": plain(x.Path)}
		if !x.Digest.IsZero() {
			e["verifiedUsing"] = spdxHash(x.Digest)
		}
		ids = append(ids, d.add("software_File", "file-"+strconv.Itoa(i+1), e))
	}
	if len(ids) > 0 {
		d.relate(root, "contains", ids...)
	}
}

// addWork adds what the model was made from and returns its id.
func (m *Model) addWork(d *spdxDocument, i int, w *lineage.Work) string {
	v := m.ancestry.Versions[w.ID]
	e := element{"name": name(w)}
	kind := "ai_AIPackage"
	switch {
	case v != nil:
		e = versionPackage(v)
	case w.Dataset:
		kind = "dataset_DatasetPackage"
		e["dataset_datasetType"] = []string{"noAssertion"}
	}
	if w.ByName {
		e["comment"] = "known by its name alone"
	}
	id := d.add(kind, "work-"+strconv.Itoa(i+1), e)
	d.licensed(id, v, w.Expression)
	return id
}

// addEdges adds what a work was made from.
func (m *Model) addEdges(d *spdxDocument, w *lineage.Work, ids map[string]string) {
	for _, x := range w.Edges {
		to := ids[x.To]
		switch {
		case to == "" || to == ids[w.ID]:
		case x.Relation == lineage.Dataset || x.Relation == lineage.Outputs:
			d.relate(ids[w.ID], "trainedOn", to)
		default:
			d.relate(ids[w.ID], "descendantOf", to)
		}
	}
}
