package check

import (
	"context"
	"path"
	"regexp"
	"strings"
	"sync"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

// claims are what a version says of itself in words: in its card, in the names of its files, and in the keys of a GGUF file.
type claims struct {
	card   registry.Card
	config document // config.json; nil for other models
	head   *gguf.File
	// names are texts that name the model: title of the card, name of the weights, keys of a GGUF file.
	names []claim
}

// claim is a text and where it stands.
type claim struct{ where, text string }

// claims reads what the version says of itself.
func (m *model) claims() (*claims, error) {
	switch {
	case m.claimed != nil:
		return m.claimed, nil
	case m.refused != nil:
		return nil, m.refused
	}
	c := &claims{}
	if f := findFile(m.files, readmeNames); f != nil {
		p, err := f.Head(registry.MaxReadme + 1)
		if err != nil {
			return nil, err
		}
		c.card = registry.ParseCard(p)
		c.add("title of the card", c.card.Title)
	}
	var err error
	if c.config, err = documentAt(m.part.files, "config.json"); err != nil {
		return nil, err
	}
	for _, f := range m.part.files {
		if !hasExt(f.Path, ".gguf") || f.Packed {
			continue
		}
		g, err := gguf.Read(f, f.Size)
		if err != nil {
			return nil, err
		}
		c.head = g
		c.add("name of the file", strings.TrimSuffix(path.Base(f.Path), path.Ext(f.Path)))
		for _, key := range []string{"general.name", "general.basename", "general.size_label"} {
			c.add(key, g.Text(key, ""))
		}
		break // the first part of a split model has the keys
	}
	m.claimed = c
	return c, nil
}

func (c *claims) add(where, text string) {
	if text != "" && len(text) < 1<<10 {
		c.names = append(c.names, claim{where, text})
	}
}

// architectureCheck compares the names of the architecture with each other.
var architectureCheck = check{
	id: idArchitecture, level: verify.LevelQuick, after: []string{idHeaders},
	proves: "Configuration and card name the same architecture, and the tensors are those of it.",
	run:    compareArchitecture,
}

type architectureEvidence struct {
	Architecture string   `json:"architecture,omitempty"` // normalised
	Classes      []string `json:"classes,omitempty"`      // that config.json names
	ModelType    string   `json:"modelType,omitempty"`
	Tags         []string `json:"tags,omitempty"` // of the card, those that name architectures
	Runnable     bool     `json:"runnable"`       // names and shapes of the tensors are those that the architecture wants
}

// related are architectures under one name in some formats.
var related = map[string]string{
	"mistral": "llama", "mixtral": "llama", "codellama": "llama", "llama2": "llama", "llama3": "llama", "yi": "llama", "vicuna": "llama", "roberta": "bert",
	"xlmroberta": "bert", "camembert": "bert", "gemma3text": "gemma3", "llama4text": "llama4", "phi": "phi2",
}

// folded writes a name as it is compared with others: letters and digits, in lower case.
func folded(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(name))
}

func kinOf(name string) string {
	if f := related[folded(name)]; f != "" {
		return f
	}
	return folded(name)
}

func compareArchitecture(ctx context.Context, m *model) (finding, error) {
	d, err := m.facts(ctx)
	if err != nil {
		return finding{}, err
	}
	c, err := m.claims()
	if err != nil {
		return finding{}, err
	}
	ev := architectureEvidence{Architecture: storable(d.Architecture), Runnable: d.Runnable, ModelType: storable(c.config.text("model_type"))}
	var odd []string
	classes, _ := c.config["architectures"].([]any)
	for _, v := range classes {
		s, _ := v.(string)
		ev.Classes = addNamed(ev.Classes, storable(s))
		kind := strings.TrimSuffix(folded(ev.ModelType), "text")
		if s != "" && kind != "" && !strings.HasPrefix(folded(s), kind) && !strings.HasPrefix(kind, kinOf(s)) {
			odd = append(odd, "the configuration names the class "+storable(s)+" and the type "+ev.ModelType)
		}
	}
	same := false
	for _, t := range c.card.Tags {
		if inference.Knows(t) || related[folded(t)] != "" {
			ev.Tags = addNamed(ev.Tags, storable(t))
			same = same || kinOf(t) == kinOf(d.Architecture)
		}
	}
	if d.Architecture == "" && len(ev.Tags) == 0 && len(ev.Classes) == 0 {
		return skipped("neither files nor card name an architecture"), nil
	}
	if len(ev.Tags) > 0 && !same && d.Architecture != "" {
		odd = append(odd, "the card's tags name "+strings.Join(ev.Tags, ", ")+", the files are of the architecture "+ev.Architecture)
	}
	if len(odd) > 0 {
		return warned(ev, "%s", listed(odd)), nil
	}
	return passed(ev), nil
}

// licenseCheck compares the licence in a GGUF file with that of the card.
var licenseCheck = check{
	id: idLicense, level: verify.LevelQuick, after: []string{idHeaders},
	proves: "The licence that the weights' file names is the one of the card.",
	run:    compareLicense,
}

type licenseEvidence struct {
	File string `json:"file,omitempty"` // what the weights' file says
	Card string `json:"card,omitempty"`
}

func compareLicense(ctx context.Context, m *model) (finding, error) {
	d, err := m.facts(ctx)
	if err != nil {
		return finding{}, err
	}
	c, err := m.claims()
	if err != nil {
		return finding{}, err
	}
	card := c.card.LicenseID
	if card == "" || strings.EqualFold(card, "other") {
		card = c.card.LicenseName
	}
	ev := licenseEvidence{File: storable(d.License), Card: storable(card)}
	if d.License == "" || card == "" {
		return skipped("the licence is not named in both the weights' file and the card"), nil
	}
	if !sameLicense(d.License, card) {
		return warned(ev, "the weights' file names the licence %s, the card %s", ev.File, ev.Card), nil
	}
	return passed(ev), nil
}

func sameLicense(a, b string) bool {
	x, known := licenses.Lookup(a)
	y, also := licenses.Lookup(b)
	if known && also {
		return x.SPDX == y.SPDX
	}
	return folded(a) == folded(b)
}

// number finds a size in a name: "7B", "1.1b", "8x7B", "125M".
var number = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)(?:^|[^a-z0-9.])((?:\d{1,3}x)?\d{1,4}(?:\.\d{1,3})?)([kmbt])(?:[^a-z0-9]|$)`)
})
