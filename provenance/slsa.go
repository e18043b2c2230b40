package provenance

import (
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"strings"
	"time"
)

// Predicate types of SLSA v1.
const (
	PredicateProvenance = "https://slsa.dev/provenance/v1"
	PredicateSummary    = "https://slsa.dev/verification_summary/v1"
)

// maxDependencies is how many dependencies of one provenance are read.
const maxDependencies = 2048

// BuildTypePrefix begins the build types that this project gives names to:
// train, finetune, adapter, quantize, merge, convert, distill and import; the
// version "/v1" follows.
const BuildTypePrefix = "https://github.com/carat-hub/carat/buildtypes/"

// BuildImport is the build type of what came from elsewhere.
const BuildImport = BuildTypePrefix + "import/v1"

// Annotations of dependencies.
const (
	AnnotationRelation = "relation" // how the subject was made from it, see Relation
	AnnotationDeclared = "declared" // "true": somebody said so and nobody looked
)

// Provenance is a SLSA provenance v1.
type Provenance struct {
	BuildDefinition struct {
		BuildType            string          `json:"buildType"`
		ExternalParameters   json.RawMessage `json:"externalParameters"`
		ResolvedDependencies []Resource      `json:"resolvedDependencies,omitempty"`
	} `json:"buildDefinition"`
	RunDetails struct {
		Builder struct {
			ID string `json:"id"`
		} `json:"builder"`
		Metadata struct {
			InvocationID string    `json:"invocationId,omitempty"`
			StartedOn    time.Time `json:"startedOn,omitzero"`
			FinishedOn   time.Time `json:"finishedOn,omitzero"`
		} `json:"metadata,omitzero"`
	} `json:"runDetails"`
}

// ReadProvenance reads the predicate of a statement. Errors: ErrMalformed.
func ReadProvenance(s *Statement) (*Provenance, error) {
	p := new(Provenance)
	if err := Decode(s.Predicate, p); err != nil {
		return nil, err
	}
	d := p.BuildDefinition
	switch {
	case d.BuildType == "" || len(d.BuildType) > maxText:
		return nil, fmt.Errorf("%w: it has no build type, or one that is too long", ErrMalformed)
	case p.RunDetails.Builder.ID == "" || len(p.RunDetails.Builder.ID) > maxText:
		return nil, fmt.Errorf("%w: it has no builder, or one that is too long", ErrMalformed)
	case len(d.ResolvedDependencies) > maxDependencies:
		return nil, fmt.Errorf("%w: it has %d dependencies; at most %d are read", ErrMalformed, len(d.ResolvedDependencies), maxDependencies)
	}
	for _, r := range d.ResolvedDependencies {
		if err := r.check(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Dependency is a model or a dataset from which something was made.
type Dependency struct {
	Name     string `json:"name"`               // "org/name" where the address says it, else the address or the name
	Relation string `json:"relation"`           // "finetune", "adapter", "quantized", "merge", "convert", "copy", "distill", "outputs", "dataset"
	SHA256   string `json:"sha256,omitempty"`   // hexadecimal: of a manifest, or the root digest of model signing
	URI      string `json:"uri,omitempty"`      // as written
	Declared bool   `json:"declared,omitempty"` // somebody said so and nobody looked
}

// relations are the words for relations, with those that stand in build types.
var relations = map[string]string{
	"finetune": "finetune", "train": "finetune", "adapter": "adapter", "quantized": "quantized", "quantize": "quantized",
	"merge": "merge", "convert": "convert", "copy": "copy", "mirror": "copy", "import": "copy", "distill": "distill",
	"outputs": "outputs", "dataset": "dataset",
}

// Dependencies returns the models and datasets among the resolved
// dependencies. One whose annotation "relation" says how it was used is one;
// without it, the addresses of models and datasets tell, and the build type how
// they were used. Code, images and the like are left out.
func (p *Provenance) Dependencies() []Dependency {
	built := relations[strings.ToLower(lastWord(p.BuildDefinition.BuildType))]
	if built == "" || built == "dataset" {
		built = "finetune" // which most terms are strictest about
	}
	var list []Dependency
	for _, r := range p.BuildDefinition.ResolvedDependencies {
		name, dataset, isModel := address(r.URI)
		relation := relations[strings.ToLower(r.Annotation(AnnotationRelation))]
		switch {
		case relation != "":
		case dataset:
			relation = "dataset"
		case isModel:
			relation = built
		default:
			continue
		}
		if name == "" {
			name = r.Name
		}
		if name == "" {
			name = r.URI
		}
		if name == "" && r.Digest["sha256"] == "" {
			continue
		}
		list = append(list, Dependency{
			Name: name, Relation: relation, SHA256: r.Digest["sha256"], URI: r.URI,
			Declared: r.Annotation(AnnotationDeclared) == "true",
		})
	}
	return list
}

// lastWord is what a build type is called: its last part that is no version.
func lastWord(buildType string) string {
	u, err := url.Parse(buildType)
	if err != nil {
		return ""
	}
	base := path.Base(u.Path)
	if len(base) > 1 && base[0] == 'v' && strings.Trim(base[1:], "0123456789.") == "" {
		base = path.Base(path.Dir(u.Path))
	}
	return base
}

// address takes the name of a model or a dataset out of its address:
// pkg:huggingface/org/name@revision, https://huggingface.co/org/name (also
// below /datasets/) and oci://host/org/name. ok is false for other addresses.
func address(uri string) (name string, dataset, ok bool) {
	rest, found := strings.CutPrefix(uri, "pkg:huggingface/")
	if found {
		rest, _, _ = strings.Cut(rest, "?")
		rest, _, _ = strings.Cut(rest, "@")
		if rest, dataset = strings.CutPrefix(rest, "datasets/"); twoParts(rest) {
			return rest, dataset, true
		}
		return "", false, false
	}
	u, err := url.Parse(uri)
	if err != nil {
		return "", false, false
	}
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	switch {
	case u.Scheme == "oci" && len(parts) == 2:
		last, _, _ := strings.Cut(parts[1], "@")
		last, _, _ = strings.Cut(last, ":")
		return parts[0] + "/" + last, false, last != ""
	case u.Scheme != "https" || u.Host != "huggingface.co" && u.Host != "hf.co":
	case len(parts) >= 3 && parts[0] == "datasets":
		return parts[1] + "/" + parts[2], true, true
	case len(parts) >= 2 && parts[0] != "datasets" && parts[0] != "spaces":
		return parts[0] + "/" + parts[1], false, true
	}
	return "", false, false
}

func twoParts(s string) bool {
	a, b, ok := strings.Cut(s, "/")
	return ok && a != "" && b != "" && !strings.Contains(b, "/")
}

// Summary is a verification summary of SLSA v1.
type Summary struct {
	Verifier struct {
		ID      string            `json:"id"`
		Version map[string]string `json:"version,omitempty"`
	} `json:"verifier"`
	TimeVerified       time.Time  `json:"timeVerified"`
	ResourceURI        string     `json:"resourceUri"`
	Policy             Resource   `json:"policy"`
	InputAttestations  []Resource `json:"inputAttestations,omitempty"`
	VerificationResult string     `json:"verificationResult"` // "PASSED" or "FAILED"
	VerifiedLevels     []string   `json:"verifiedLevels"`
}

// ReadSummary reads the predicate of a statement. Errors: ErrMalformed.
func ReadSummary(s *Statement) (*Summary, error) {
	v := new(Summary)
	if err := Decode(s.Predicate, v); err != nil {
		return nil, err
	}
	if v.Verifier.ID == "" || v.VerificationResult != "PASSED" && v.VerificationResult != "FAILED" || len(v.VerifiedLevels) > 64 {
		return nil, fmt.Errorf("%w: a summary without verifier or result", ErrMalformed)
	}
	for _, l := range v.VerifiedLevels {
		if len(l) > 128 {
			return nil, fmt.Errorf("%w: a level is too long", ErrMalformed)
		}
	}
	return v, nil
}

// EncodeStatement writes a statement with a predicate. The same input gives
// the same bytes.
func EncodeStatement(subject []Resource, predicateType string, predicate any) ([]byte, error) {
	p, err := json.Marshal(predicate)
	if err != nil {
		return nil, fmt.Errorf("encode the predicate: %w", err)
	}
	text, err := json.Marshal(Statement{Type: StatementType, Subject: subject, PredicateType: predicateType, Predicate: p})
	if err != nil {
		return nil, fmt.Errorf("encode the statement: %w", err)
	}
	return text, nil
}
