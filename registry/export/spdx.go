package export

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/google/uuid"

	"github.com/carat-hub/carat/registry"
)

// SPDX 3.0.1 as JSON-LD: a graph of elements that name each other.
const (
	spdxContext = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"
	spdxVersion = "3.0.1"
	// noAssertion is the licence of which nothing is said.
	noAssertion = "https://spdx.org/rdf/3.0.1/terms/ExpandedLicensing/NoAssertionLicense"
	// creation is the node of how the document was made, which all elements share.
	creation = "_:creation"
)

// node is one object of the graph.
type node map[string]any

// graph collects the elements of one document.
type graph struct {
	base  string // of the ids of elements
	nodes []any
	ids   []string
	n     int // of relationships and annotations
}

func (g *graph) id(ref string) string { return g.base + "#" + ref }

// add enters an element. Fields without a value are left out.
func (g *graph) add(kind, ref string, fields node) string {
	id := g.id(ref)
	e := node{"type": kind, "spdxId": id, "creationInfo": creation}
	for k, v := range fields {
		switch v := v.(type) {
		case string:
			if v != "" {
				e[k] = v
			}
		case []string:
			if len(v) > 0 {
				e[k] = v
			}
		case []node:
			if len(v) > 0 {
				e[k] = v
			}
		default:
			e[k] = v
		}
	}
	g.nodes, g.ids = append(g.nodes, e), append(g.ids, id)
	return id
}

// next is a fresh reference for an element that nothing names.
func (g *graph) next(kind string) string {
	g.n++
	return kind + "-" + strconv.Itoa(g.n)
}

func (g *graph) relate(from, kind string, to []string, more node) {
	if len(to) == 0 {
		return
	}
	fields := node{"from": from, "relationshipType": kind, "to": to}
	for k, v := range more {
		fields[k] = v
	}
	g.add("Relationship", g.next("relationship"), fields)
}

func (g *graph) annotate(subject, statement string) {
	g.add("Annotation", g.next("annotation"), node{"annotationType": "other", "subject": subject, "statement": statement})
}

// spdx writes the document.
func spdx(s *subject) ([]byte, error) {
	return identified(func(id uuid.UUID) ([]byte, error) {
		g := &graph{base: id.URN()}
		agent := g.add("SoftwareAgent", "carat", node{"name": "carat"})
		supplier := g.add("Organization", "supplier", node{"name": s.organization()})
		g.nodes = append(g.nodes, node{
			"type": "CreationInfo", "@id": creation, "specVersion": spdxVersion, "created": s.created(), "createdBy": []string{agent},
			"comment": "The time is when the version came to the registry; the same facts give the same document.",
		})
		model := s.spdxModel(g, supplier)
		s.spdxFiles(g, model)
		s.spdxWorks(g)
		for _, w := range s.works {
			s.spdxLicences(g, w)
		}
		s.spdxNotes(g, model)
		elements := g.ids
		g.add("SpdxDocument", "document", node{
			"name": string(s.version.Name), "rootElement": []string{model}, "element": elements,
			"profileConformance": []string{"core", "software", "simpleLicensing", "ai"},
		})
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		err := enc.Encode(node{"@context": spdxContext, "@graph": g.nodes})
		return b.Bytes(), err
	})
}

func (s *subject) spdxModel(g *graph, supplier string) string {
	f := s.facts
	var parameters, metrics []node
	for _, m := range s.measures() {
		parameters = append(parameters, entry(m.name, m.value))
	}
	for _, e := range f.Card.Evaluations {
		metrics = append(metrics, entry(lines([]string{e.Metric, e.Task, e.Dataset}), line(e.Value)))
	}
	fields := spdxVersionFields(s.version)
	for k, v := range (node{
		"name": string(s.version.Name), "summary": line(f.Card.Summary), "suppliedBy": supplier, "releaseTime": s.created(),
		"comment":                        "releaseTime is when the version came to this registry; when its publisher released it is not stated.",
		"ai_typeOfModel":                 nonEmpty(line(f.Architecture)),
		"ai_domain":                      nonEmpty(line(f.Card.Pipeline)),
		"ai_limitation":                  s.sections[sectionLimitation],
		"ai_metric":                      metrics,
		"ai_hyperparameter":              parameters,
		"ai_informationAboutTraining":    s.sections[sectionTraining],
		"ai_informationAboutApplication": s.sections[sectionUse],
		"software_attributionText":       s.quotes(),
	}) {
		fields[k] = v
	}
	return g.add("ai_AIPackage", s.root().ref, fields)
}

// spdxVersionFields are what is known of a version that is here.
func spdxVersionFields(v *registry.Version) node {
	return node{
		"software_packageVersion": v.Digest.String(), "software_primaryPurpose": "model",
		"software_packageUrl": packageURL(v), "software_downloadLocation": packageURL(v), "verifiedUsing": integrity(v.Digest),
	}
}

func (s *subject) spdxFiles(g *graph, model string) {
	var ids []string
	for i, f := range s.version.Files {
		ids = append(ids, g.add("software_File", "file-"+strconv.Itoa(i+1), node{
			"name": line(f.Path), "contentType": mediaType(f.MediaType), "verifiedUsing": integrity(f.Digest),
		}))
	}
	g.relate(model, "contains", ids, node{"completeness": "complete"})
}

// spdxWorks enters what the model was made from, with the relations between
// works. Of a work that is not here too little is known for the AI profile, so
// that it is a plain package.
func (s *subject) spdxWorks(g *graph) {
	for _, w := range s.works[1:] {
		fields := node{"name": w.title}
		kind := "software_Package"
		switch {
		case w.Dataset:
			kind = "dataset_DatasetPackage"
			fields["dataset_datasetType"], fields["software_primaryPurpose"] = []string{"noAssertion"}, "data"
		case w.version != nil:
			kind = "ai_AIPackage"
			org, _ := split(string(w.version.Name))
			for k, v := range spdxVersionFields(w.version) {
				fields[k] = v
			}
			fields["suppliedBy"] = g.add("Organization", w.ref+"-supplier", node{"name": org})
			fields["releaseTime"] = w.version.CreatedAt.UTC().Format("2006-01-02T15:04:05Z")
		default:
			fields["software_primaryPurpose"] = "model"
		}
		g.add(kind, w.ref, fields)
	}
	for _, w := range s.works {
		for _, u := range w.uses {
			if !u.of.Dataset {
				g.relate(g.id(w.ref), "descendantOf", []string{g.id(u.of.ref)}, node{"completeness": "noAssertion", "comment": string(u.relation) + ", by " + string(u.origin)})
			}
		}
		var data []string
		for _, ref := range w.data() {
			data = append(data, g.id(ref))
		}
		g.relate(g.id(w.ref), "trainedOn", data, node{"completeness": "noAssertion"})
	}
}

// spdxLicences enters the licence that a work declares, and the one that its
// text confirms.
func (s *subject) spdxLicences(g *graph, w *work) {
	declared, concluded := noAssertion, noAssertion
	if w.licence.declared != "" {
		declared = g.add("simplelicensing_LicenseExpression", w.ref+"-licence", node{
			"simplelicensing_licenseExpression": w.licence.declared, "simplelicensing_customIdToUri": s.customIDs(g, w),
		})
	}
	if w.licence.concluded != "" {
		concluded = declared
	}
	g.relate(g.id(w.ref), "hasDeclaredLicense", []string{declared}, nil)
	g.relate(g.id(w.ref), "hasConcludedLicense", []string{concluded}, nil)
}

// customIDs say where the texts of licences are that are not on the SPDX list:
// in the document where the version has them, else where they are published.
func (s *subject) customIDs(g *graph, w *work) (list []node) {
	for _, ref := range w.licence.refs {
		to := ""
		for _, f := range w.licence.facts {
			if f.SPDX == ref {
				to = address(f.URL)
			}
		}
		if text := w.licenceText(); text != "" && (w.licence.concluded == ref || len(w.licence.facts) == 0 && len(w.licence.refs) == 1) {
			to = g.add("simplelicensing_SimpleLicensingText", w.ref+"-text", node{"name": ref, "simplelicensing_licenseText": text})
		}
		if to != "" {
			list = append(list, entry(ref, to))
		}
	}
	return list
}

// spdxNotes are what SPDX has no fields for.
func (s *subject) spdxNotes(g *graph, model string) {
	p := s.properties()
	for _, x := range *p {
		g.annotate(model, x.Name+": "+x.Value)
	}
}

func entry(key, value string) node {
	return node{"type": "DictionaryEntry", "key": key, "value": value}
}

func integrity(d registry.Digest) []node {
	alg := map[registry.Algorithm]string{registry.SHA256: "sha256", registry.SHA512: "sha512"}[d.Algorithm()]
	if alg == "" {
		return nil
	}
	return []node{{"type": "Hash", "algorithm": alg, "hashValue": d.Hex()}}
}

// nonEmpty is a list of s, or none.
func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}
