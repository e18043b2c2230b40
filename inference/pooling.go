package inference

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/kernel"
)

// Pooling is how one vector is made of the final states of a text's tokens.
type Pooling string

// The poolings.
const (
	PoolingMean Pooling = "mean"
	PoolingCLS  Pooling = "cls"  // the first token's state
	PoolingLast Pooling = "last" // the last token's state
	PoolingMax  Pooling = "max"  // the largest value of each element
)

func (p Pooling) known() bool {
	return p == PoolingMean || p == PoolingCLS || p == PoolingLast || p == PoolingMax
}

// of sets out to what the pooling makes of states, {tokens, len(out)}.
func (p Pooling) of(out, states []float32) {
	width := len(out)
	switch p {
	case PoolingCLS:
		copy(out, states)
	case PoolingLast:
		copy(out, states[len(states)-width:])
	case PoolingMax:
		copy(out, states)
		for ; len(states) > 0; states = states[width:] {
			for i, v := range states[:width] {
				out[i] = max(out[i], v)
			}
		}
	default:
		n := float64(len(states) / width)
		for i := range out {
			sum := 0.0
			for j := i; j < len(states); j += width {
				sum += float64(states[j])
			}
			out[i] = float32(sum / n)
		}
	}
}

// normalize scales x to length 1; a vector of zeros stays as it is.
func normalize(x []float32) {
	sum := 0.0
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	if sum > 0 {
		kernel.Scale(x, float32(1/math.Sqrt(sum)))
	}
}

func malformedConfig(where, reason string, args ...any) error {
	return &fault.Malformed{Format: configName, Where: where, Offset: -1, Reason: fmt.Sprintf(reason, args...)}
}

func malformedGGUF(where, reason string, args ...any) error {
	return &fault.Malformed{Format: "gguf", Where: where, Offset: -1, Reason: fmt.Sprintf(reason, args...)}
}

// readHeads reads what the files say of embeddings and labels. How a decoder embeds is no condition of its running.
func (d *Description) readHeads(ctx context.Context, c *container) error {
	d.Pooling, d.ClassifierPooling = PoolingLast, PoolingLast
	if d.Bidirectional {
		d.Pooling, d.ClassifierPooling = PoolingMean, PoolingCLS
	}
	d.MaxTokens = d.Context
	if c.gguf != nil {
		return d.headsFromGGUF(keys{c.gguf, d.Architecture})
	}
	if d.Architecture == "modern-bert" {
		switch p := Pooling(c.config.text("classifier_pooling", "cls")); p {
		case PoolingCLS, PoolingMean:
			d.ClassifierPooling = p
		default:
			return fault.NewUnsupported("architecture", "a classifier that pools by %q", p)
		}
	}
	if err := d.labelsFromConfig(c.config); err != nil {
		return err
	}
	if slices.Contains(c.files.Names(), modulesName) {
		return d.sentenceTransformer(ctx, c)
	}
	return nil
}

func (d *Description) headsFromGGUF(k keys) error {
	if d.Architecture == "modern-bert" {
		d.ClassifierPooling = PoolingMean
	}
	kind := k.integer("pooling_type", -1)
	switch kind {
	case -1, 0, 4: // not given, none, and by a classifier
	case 1:
		d.Pooling = PoolingMean
	case 2:
		d.Pooling = PoolingCLS
	case 3:
		d.Pooling = PoolingLast
	default:
		d.unembeddable = fault.NewUnsupported("pooling", "type %d of a GGUF file", kind)
		if d.family.encoder {
			return d.unembeddable
		}
	}
	d.embeds = kind > 0
	return d.labelsFromGGUF(k.g, k.name)
}

const (
	modulesName  = "modules.json"
	sentenceName = "sentence_bert_config.json"
	maxModules   = 64
)

// sentenceTransformer reads the modules that sentence-transformers runs one after the other.
func (d *Description) sentenceTransformer(ctx context.Context, c *container) error {
	b, err := readAll(ctx, c.files, modulesName, maxConfig)
	if err != nil {
		return err
	}
	var modules []struct{ Path, Type string }
	if err := json.Unmarshal(b, &modules); err != nil || len(modules) > maxModules {
		return &fault.Malformed{Format: modulesName, Offset: -1, Reason: fmt.Sprintf("no list of at most %d modules: %v", maxModules, err)}
	}
	d.embeds = true
	for _, m := range modules {
		// The type is a class of Python's with its packages.
		switch kind := m.Type[strings.LastIndexByte(m.Type, '.')+1:]; kind {
		case "Transformer":
		case "Normalize":
			d.Normalized = true
		case "Dense":
			if err := d.readDense(ctx, c, m.Path); err != nil {
				return err
			}
		case "Pooling":
			if err := d.readPooling(ctx, c, path.Join(m.Path, configName)); err != nil {
				return err
			}
		default:
			d.unembeddable = fault.NewUnsupported("pooling", "module %.80q of %s", kind, modulesName)
		}
	}
	if d.unembeddable != nil {
		d.dense = nil
		if d.family.encoder {
			return d.unembeddable
		}
	}
	if !slices.Contains(c.files.Names(), sentenceName) {
		return nil
	}
	settings, err := readJSON(ctx, c.files, sentenceName)
	if err != nil {
		return err
	}
	if n := settings.integer("max_seq_length", 0); n > 0 {
		d.MaxTokens = min(n, d.Context)
	}
	return nil
}

// denseActivations are the names of Python's classes.
var denseActivations = map[string]kernel.Activation{"Tanh": kernel.Tanh, "ReLU": kernel.ReLU, "GELU": kernel.GELU, "SiLU": kernel.SiLU}

// readDense reads the settings of a Dense module, whose weights must be there as safetensors.
func (d *Description) readDense(ctx context.Context, c *container, dir string) error {
	if d.Normalized {
		d.unembeddable = fault.NewUnsupported("pooling", "a Dense module of %s behind Normalize", modulesName)
		return nil
	}
	if !denseWeights().MatchString(dir+"/"+weightsName) || !slices.Contains(c.files.Names(), dir+"/"+weightsName) {
		d.unembeddable = fault.NewUnsupported("pooling", "a Dense module of %s without %s", modulesName, weightsName)
		return nil
	}
	name := path.Join(dir, configName)
	if !slices.Contains(c.files.Names(), name) {
		return &fault.Malformed{Format: modulesName, Where: name, Offset: -1, Reason: "file is missing"}
	}
	settings, err := readJSON(ctx, c.files, name)
	if err != nil {
		return err
	}
	class := settings.text("activation_function", "Tanh")
	class = class[strings.LastIndexByte(class, '.')+1:]
	activation, ok := denseActivations[class]
	if !ok && class != "Identity" {
		d.unembeddable = fault.NewUnsupported("pooling", "activation %.80q of a Dense module", class)
		return nil
	}
	d.dense = append(d.dense, denseModule{name: dir + "/linear", activation: activation, identity: !ok})
	return nil
}

// poolingModes are the names that sentence-transformers has for ways of pooling.
var poolingModes = map[string]Pooling{
	"cls": PoolingCLS, "cls_token": PoolingCLS, "mean": PoolingMean, "mean_tokens": PoolingMean, "max": PoolingMax,
	"max_tokens": PoolingMax, "lasttoken": PoolingLast,
}

// readPooling reads the settings of a Pooling module: a mode by name, or a switch for each.
func (d *Description) readPooling(ctx context.Context, c *container, name string) error {
	if !slices.Contains(c.files.Names(), name) {
		return &fault.Malformed{Format: modulesName, Where: name, Offset: -1, Reason: "file is missing"}
	}
	settings, err := readJSON(ctx, c.files, name)
	if err != nil {
		return err
	}
	var modes []string
	for key, v := range settings {
		mode, ok := strings.CutPrefix(key, "pooling_mode")
		switch name, isText := v.(string); {
		case !ok:
		case isText && mode == "":
			modes = append(modes, name)
		case v == true:
			modes = append(modes, strings.TrimPrefix(mode, "_"))
		}
	}
	slices.Sort(modes)
	p, ok := poolingModes[strings.Join(modes, "+")]
	switch {
	case len(modes) == 0: // the library's default
		d.Pooling = PoolingMean
	case ok:
		d.Pooling = p
	default:
		d.unembeddable = fault.NewUnsupported("pooling", "%.80q", strings.Join(modes, "+"))
	}
	return nil
}
