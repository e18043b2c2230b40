package openness

import (
	"path"
	"regexp"
	"strings"
	"sync"
)

// File is a file of a version, as far as components are told from it.
type File struct {
	Path      string
	MediaType string // of the layer
	Digest    string
}

// Card is what a model card tells of components.
type Card struct {
	Path     string   // of the file, "" when there is none
	Words    int      // of the text
	Headings []string // in the text
	Links    []string // addresses in the text
	Datasets []string // named in the front matter
	Results  bool     // the front matter has evaluation results
}

// leastCard is how many words make a README a model card.
const leastCard = 50

// Detect returns the components that the files of a version and its card
// show. Files are evidence of grade E3, addresses of E1, names of E0.
func Detect(files []File, card Card) []Claim {
	var d detector
	for _, f := range files {
		if c, ok := componentOf(f); ok {
			d.add(c, Evidence{Grade: Stored, Path: f.Path, Digest: f.Digest, From: "file"})
		}
	}
	d.card(files, card)
	return d.claims
}

type detector struct{ claims []Claim }

func (d *detector) add(c Component, e Evidence) {
	for i := range d.claims {
		if d.claims[i].Component == c {
			if len(d.claims[i].Evidence) < maxEvidence {
				d.claims[i].Evidence = append(d.claims[i].Evidence, e)
			}
			return
		}
	}
	d.claims = append(d.claims, Claim{Component: c, Evidence: []Evidence{e}})
}

// maxEvidence is how many pieces of evidence of one component are listed.
const maxEvidence = 32

func (d *detector) card(files []File, card Card) {
	digest := ""
	for _, f := range files {
		if f.Path == card.Path {
			digest = f.Digest
		}
	}
	here := func(note string) Evidence {
		return Evidence{Grade: Stored, Path: card.Path, Digest: digest, From: "card", Note: note}
	}
	if card.Path != "" && card.Words >= leastCard {
		d.add(ModelCard, here(""))
	}
	if card.Results {
		d.add(EvaluationResults, here("results in the front matter"))
	}
	for _, h := range card.Headings {
		for _, s := range sections() {
			if s.heading.MatchString(h) {
				d.add(s.component, here("section “"+h+"”"))
				break
			}
		}
	}
	for _, name := range card.Datasets {
		d.add(Datasets, Evidence{Grade: Declared, From: "card", Note: name})
	}
	for _, l := range card.Links {
		if paperLink().MatchString(l) {
			d.add(ResearchPaper, Evidence{Grade: Stated, URL: l, From: "card"})
		}
	}
}

type section struct {
	heading   *regexp.Regexp
	component Component
}

// sections are headings of cards whose sections are documents of their own.
var sections = sync.OnceValue(func() []section {
	return []section{
		{regexp.MustCompile(`(?i)^\W*(evaluation|benchmark)s?( results?)?\W*$|(?i)\b(evaluation|benchmark) results?\b`), EvaluationResults},
		{regexp.MustCompile(`(?i)^\W*(data card|datasheet|data sheet)`), DataCard},
		{regexp.MustCompile(`(?i)^\W*(sample|example) outputs?\W*$`), SampleOutputs},
	}
})

var paperLink = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^https?://(www\.)?(arxiv\.org/(abs|pdf)/|doi\.org/10\.|openreview\.net/(forum|pdf)\?id=|aclanthology\.org/)`)
})

// named are parts of file names that tell a component, for programs and for texts.
var named = sync.OnceValue(func() []section {
	return []section{
		{regexp.MustCompile(`^(modeling|modelling|configuration|model)([_-].*)?\.(py|rs|cpp|jl)$`), Architecture},
		{regexp.MustCompile(`(^|[_-])(pre)?(process|tokenize|clean|dedup|filter)(ing)?[_-]?(data|corpus|dataset)?.*\.(py|sh|rs|go)$|^prepare[_-]data.*\.(py|sh)$`), Preprocessing},
		{regexp.MustCompile(`(^|[_-])(eval|evaluate|evaluation|benchmark)([_-].*)?\.(py|sh|rs|go)$`), EvaluationCode},
		{regexp.MustCompile(`(^|[_-])(pre)?(train|finetune|fine_tune|sft|dpo|trainer)(ing)?([_-].*)?\.(py|sh|rs|go)$`), TrainingCode},
		{regexp.MustCompile(`(^|[_-])(inference|infer|generate|predict|serve|run)([_-].*)?\.(py|sh|rs|go)$`), InferenceCode},
		{regexp.MustCompile(`^(requirements.*\.txt|pyproject\.toml|environment\.ya?ml|poetry\.lock|uv\.lock)$`), Libraries},
		{regexp.MustCompile(`^(data[_-]?card|data[_-]?sheet|dataset[_-]card).*\.(md|pdf|txt)$`), DataCard},
		{regexp.MustCompile(`(tech(nical)?[_-]?report).*\.(pdf|md|tex)$`), TechnicalReport},
		{regexp.MustCompile(`(^|[_-])paper.*\.(pdf|tex)$`), ResearchPaper},
		{regexp.MustCompile(`^(eval(uation)?|benchmark)[_-]?results?.*\.(json|ya?ml|csv|md)$`), EvaluationResults},
		{regexp.MustCompile(`^(sample|example)[_-]?outputs?.*\.(json|jsonl|txt|md)$`), SampleOutputs},
		{regexp.MustCompile(`^(trainer_state\.json|training_args\.(json|bin)|optimizer\.(pt|bin|safetensors)|scheduler\.pt)$`), Metadata},
	}
})

// weightFile tells weights by the names of their formats.
var weightFile = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\.(safetensors|gguf|onnx|pt|pth|ckpt|msgpack|h5)$|^pytorch_model.*\.bin$|^adapter_model\.bin$`)
})

var checkpointDir = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(^|/)(checkpoint|ckpt|step|iter)[-_]?\d+(/|$)`)
})

// componentOf tells the component that a file is of: by the media type of a
// ModelPack layer, and else by its name.
func componentOf(f File) (Component, bool) {
	name := strings.ToLower(path.Base(f.Path))
	dir := strings.ToLower(path.Dir(f.Path))
	if dir == ".eval_results" {
		return EvaluationResults, true
	}
	for _, n := range named() {
		if n.heading.MatchString(name) {
			return n.component, true
		}
	}
	kind := layerKind(f.MediaType)
	switch {
	case kind == "weight" || weightFile().MatchString(name):
		if checkpointDir().MatchString(dir) {
			return Checkpoints, true
		}
		return Parameters, true
	case kind == "weight.config" || name == "config.json":
		return Architecture, true
	case kind == "dataset":
		if strings.Contains(name, "eval") || strings.Contains(name, "test") || strings.Contains(name, "benchmark") {
			return EvaluationData, true
		}
		return Datasets, true
	}
	return 0, false
}

// layerKind returns what a ModelPack layer holds: "weight", "weight.config",
// "doc", "code" or "dataset"; "" for other media types.
func layerKind(mediaType string) string {
	for _, prefix := range []string{"application/vnd.cncf.model.", "application/vnd.cnai.model."} {
		if rest, ok := strings.CutPrefix(mediaType, prefix); ok {
			for _, k := range []string{"weight.config", "weight", "doc", "code", "dataset"} {
				if strings.HasPrefix(rest, k+".") {
					return k
				}
			}
		}
	}
	return ""
}
