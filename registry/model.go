package registry

import (
	"encoding/json"
	"time"

	"github.com/carat-hub/carat/auth"
)

// Kind says which packing a manifest follows.
type Kind string

// The kinds that are recognised. KindOther is every other artifact: it is
// served like any, but it is no model.
const (
	KindModelPack   Kind = "modelpack"    // CNCF ModelPack, application/vnd.cncf.model.*
	KindCNAI        Kind = "cnai"         // its name before v0.0.7, application/vnd.cnai.model.*
	KindKitOps      Kind = "kitops"       // KitOps ModelKit
	KindDockerModel Kind = "docker-model" // Docker Model Runner
	KindOllama      Kind = "ollama"       // Ollama
	KindFiles       Kind = "files"        // layers with file names among which there are weights
	KindOther       Kind = "other"
)

// IsModel reports whether a manifest of this kind is a version of a model.
func (k Kind) IsModel() bool { return k != "" && k != KindOther }

// File is one layer of a version as a file.
type File struct {
	Path      string `json:"path"`      // slash-separated, relative, cleaned; unique within a version
	Digest    Digest `json:"digest"`    // of the whole file
	Size      int64  `json:"size"`      // bytes
	MediaType string `json:"mediaType"` // of the layer
	Packed    bool   `json:"packed"`    // the layer is an archive or compressed, not the file's own bytes
}

// Version is one manifest of a model, as pages, search and the API show it.
type Version struct {
	Name      Name      `json:"name"`
	Digest    Digest    `json:"digest"`
	Tags      []Tag     `json:"tags"`
	Kind      Kind      `json:"kind"`
	Size      int64     `json:"size"` // bytes of all files
	Files     []File    `json:"files"`
	CreatedAt time.Time `json:"createdAt"` // when it was first pushed here

	// PushedBy is who pushed it first, "" when that is not known. It is for
	// decisions, not for readers.
	PushedBy string `json:"-"`

	// Facts is nil until the files have been inspected.
	Facts *Facts `json:"facts,omitempty"`
	// FactsError says why the files could not be inspected.
	FactsError string `json:"factsError,omitempty"`
	// Verification is the newest one, nil when none was ever asked for.
	Verification *VerificationSummary `json:"verification,omitempty"`
	// Assessment is the newest stored one, without its findings, nil until there is one.
	Assessment *AssessmentSummary `json:"assessment,omitempty"`
}

// Facts is what was read out of a version's files: measured, not claimed,
// but for the fields of the card.
type Facts struct {
	Format        string `json:"format,omitempty"`       // "safetensors", "gguf", "onnx", "pytorch", "pickle"
	Architecture  string `json:"architecture,omitempty"` // "llama", "qwen2" …
	Parameters    int64  `json:"parameters,omitempty"`   // exact count over all tensors
	Quantization  string `json:"quantization,omitempty"` // "BF16", "Q8_0", "Q4_K_M" …
	ContextLength int64  `json:"contextLength,omitempty"`
	VocabSize     int64  `json:"vocabSize,omitempty"`
	HiddenSize    int64  `json:"hiddenSize,omitempty"`
	Layers        int64  `json:"layers,omitempty"`
	Tensors       int64  `json:"tensors,omitempty"` // number of tensors
	Tokenizer     string `json:"tokenizer,omitempty"`
	ChatTemplate  bool   `json:"chatTemplate,omitempty"`

	// Types are the parameters by the type in which they are stored, "BF16", "Q4_K" …
	Types map[string]int64 `json:"types,omitempty"`

	Opset   int64    `json:"opset,omitempty"`   // version of ONNX's standard operators
	Inputs  []string `json:"inputs,omitempty"`  // of an ONNX graph, "input_ids INT64[batch,seq]", the first few
	Outputs []string `json:"outputs,omitempty"` // the first few
	Imports []string `json:"imports,omitempty"` // what unpickling imports beside the names that tensors need, the first few

	// Bases are the models that the version says it comes from, without repetition.
	Bases []DeclaredBase `json:"bases,omitempty"`

	Card    Card    `json:"card"`
	License License `json:"license"`

	// MOF is the file mof.yml, in which a publisher says which components of
	// the Model Openness Framework there are; untrusted.
	MOF string `json:"-"`
}

// DeclaredBase is a model from which a version says that it comes.
type DeclaredBase struct {
	Name     string `json:"name"`               // as written, untrusted
	Relation string `json:"relation,omitempty"` // "quantized", "finetune", "adapter", "merge"; "" when it does not say
	From     string `json:"from"`               // what says so: "card", "adapter", "gguf", or "caller" who wants to know
}

// Card is the README with its front matter.
type Card struct {
	Title       string   `json:"title,omitempty"`
	Summary     string   `json:"summary,omitempty"` // first paragraph as plain text
	Body        string   `json:"-"`                 // Markdown without the front matter, untrusted
	Languages   []string `json:"languages,omitempty"`
	Library     string   `json:"library,omitempty"`  // library_name
	Pipeline    string   `json:"pipeline,omitempty"` // pipeline_tag
	Tags        []string `json:"tags,omitempty"`
	BaseModels  []string `json:"baseModels,omitempty"` // base_model
	Relation    string   `json:"relation,omitempty"`   // base_model_relation: "quantized", "finetune", "adapter", "merge"
	Datasets    []string `json:"datasets,omitempty"`
	LicenseID   string   `json:"licenseId,omitempty"` // license, as written
	LicenseName string   `json:"licenseName,omitempty"`
	LicenseLink string   `json:"licenseLink,omitempty"`
	Gated       bool     `json:"gated,omitempty"`   // it has fields that ask for consent before a download, extra_gated_*
	Results     bool     `json:"results,omitempty"` // it has results of evaluations, model-index
	Problem     string   `json:"problem,omitempty"` // why the front matter could not be read

	Gate *CardGate `json:"-"` // what those fields say, untrusted; nil without any

	Evaluations []Evaluation `json:"evaluations,omitempty"` // those results, as far as they could be read
}

// License is the licence as declared and as found.
type License struct {
	Declared string `json:"declared,omitempty"` // SPDX id, or LicenseRef-*, for the declared id; "" when it is none we know
	File     string `json:"file,omitempty"`     // path of the licence text
	Text     string `json:"-"`                  // the text, untrusted
	Notice   string `json:"-"`                  // what stands in the file NOTICE, untrusted
}

// VerificationSummary is the state of a verification without its checks.
type VerificationSummary struct {
	State     string    `json:"state"` // see verify.State
	CheckSet  int       `json:"checkSet"`
	Summary   string    `json:"summary,omitempty"`
	UpdatedAt time.Time `json:"updatedAt"`
	Referrer  Digest    `json:"referrer,omitzero"` // manifest digest of the report referrer, zero when there is none
}

// ModelQuery selects models for lists and search.
type ModelQuery struct {
	Org          string     // organization, "" = any
	Text         string     // words that must all occur in name, card, tags or architecture; "" = all
	Architecture string     // exact, "" = any
	Format       string     // exact, "" = any
	License      string     // exact SPDX id, "" = any
	Openness     int        // least verified level, 0 = any
	Sight        auth.Sight // which models that are not public too
	Order        ModelOrder
	Ascending    bool        // the oldest first instead of the newest
	After        ModelCursor // only what comes after it in this order; zero = from the start
	Limit        int         // 1..100
	Offset       int         // ≥ 0
}

// ModelOrder is what a list of models is ordered by.
type ModelOrder string

// The orders.
const (
	OrderUpdated ModelOrder = ""        // when the newest version was pushed
	OrderCreated ModelOrder = "created" // when the model came to be
)

// ModelCursor is the place of a model in a list.
type ModelCursor struct {
	Name      Name
	UpdatedAt time.Time // of its ModelSummary
}

// ModelSummary is one model in a list: its newest version.
type ModelSummary struct {
	Name      Name      `json:"name"`
	Latest    Version   `json:"latest"`
	UpdatedAt time.Time `json:"updatedAt"`

	Visibility auth.Visibility `json:"-"`
	CreatedAt  time.Time       `json:"-"` // when the model came to be
}

// MarshalFacts encodes facts for storage with the card's body and gate and
// the licence text, which the API leaves out.
func MarshalFacts(f *Facts) ([]byte, error) {
	return json.Marshal(storedFacts{Facts: f, CardBody: f.Card.Body, CardGate: f.Card.Gate, LicenseText: f.License.Text, Notice: f.License.Notice, MOF: f.MOF})
}

// UnmarshalFacts is the inverse of MarshalFacts.
func UnmarshalFacts(p []byte) (*Facts, error) {
	s := storedFacts{Facts: new(Facts)}
	if err := json.Unmarshal(p, &s); err != nil {
		return nil, err
	}
	s.Facts.Card.Gate = s.CardGate
	s.Facts.Card.Body, s.Facts.License.Text, s.Facts.License.Notice, s.Facts.MOF = s.CardBody, s.LicenseText, s.Notice, s.MOF
	return s.Facts, nil
}

type storedFacts struct {
	*Facts
	CardBody    string    `json:"cardBody,omitempty"`
	CardGate    *CardGate `json:"cardGate,omitempty"`
	LicenseText string    `json:"licenseText,omitempty"`
	Notice      string    `json:"notice,omitempty"`
	MOF         string    `json:"mof,omitempty"`
}
