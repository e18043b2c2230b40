package inference

import (
	"fmt"

	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/inference/kernel"
	"github.com/carat-hub/carat/inference/tensor"
)

// Task is what a model is for, in the words of model hubs.
type Task string

// The tasks.
const (
	TextGeneration      Task = "text-generation"
	FeatureExtraction   Task = "feature-extraction" // embeddings
	TextClassification  Task = "text-classification"
	TokenClassification Task = "token-classification"
	FillMask            Task = "fill-mask"
)

// headNames says what files call the tensors of a head: a matrix, an activation, a norm and a matrix. The first two matrices and
// the norm may be missing, as may be the last one of a head for the vocabulary, which then is the embeddings.
type headNames struct {
	dense, norm, out string
	activation       kernel.Activation
	// hiddenActivation says that the activation is that of the feed-forward layers.
	hiddenActivation bool
	// bias is the whole name of the last matrix's bias where that stands apart.
	bias string
}

// head turns final states, or one that is made of them, into the scores of labels or of the vocabulary.
type head struct {
	dense      linear // nothing when there is none
	activation kernel.Activation
	norm       norm
	out        linear
}

// denseModule is a matrix behind the pooling of embeddings, and the activation of what it makes.
type denseModule struct {
	name       string
	activation kernel.Activation
	identity   bool // there is no activation
}

type dense struct {
	linear
	denseModule
}

// dense binds the matrices behind the pooling.
func (b *binder) dense(w *weights) error {
	modules, width := b.d.dense, b.d.Hidden
	for _, name := range b.names.dense {
		if b.c.gguf != nil && b.has(name+".weight") {
			modules = append(modules, denseModule{name: name, identity: true})
		}
	}
	for _, m := range modules {
		l, err := b.linear(m.name, -1, width)
		if err != nil {
			return err
		}
		if width = l.Rows; width > maxHidden {
			return b.malformed(m.name, "%d rows exceed the limit of %d", width, maxHidden)
		}
		w.dense = append(w.dense, dense{l, m})
	}
	return nil
}

// embeddingSize returns the number of elements of an embedding.
func (w *weights) embeddingSize(hidden int) int {
	if n := len(w.dense); n > 0 {
		return w.dense[n-1].Rows
	}
	return hidden
}

// heads binds the head that the files have, if any.
func (b *binder) heads(w *weights) (err error) {
	n, d := b.names, b.d
	if err := b.dense(w); err != nil {
		return err
	}
	switch {
	case d.tagger && n.tagger.out != "" && b.has(n.tagger.out+".weight"):
		w.tagger, err = b.head(n.tagger, nil)
	case n.classifier.out != "" && b.has(n.classifier.out+".weight"):
		w.classifier, err = b.head(n.classifier, nil)
	case n.masked.dense != "" && b.has(n.masked.dense+".weight"):
		w.masked, err = b.head(n.masked, w.embedding)
		return err
	}
	if err != nil {
		return err
	}
	for _, h := range []*head{w.classifier, w.tagger} {
		if h == nil {
			continue
		}
		if d.Labels == nil {
			for i := range min(h.out.Rows, maxLabels) {
				d.Labels = append(d.Labels, fmt.Sprintf("LABEL_%d", i))
			}
		}
		if len(d.Labels) != h.out.Rows {
			return b.malformed("labels", "%d labels for %d scores", len(d.Labels), h.out.Rows)
		}
	}
	return nil
}

// head binds a head; tied is the last matrix of one that has none of its own.
func (b *binder) head(n headNames, tied *kernel.Matrix) (_ *head, err error) {
	h, hidden := &head{activation: n.activation}, b.d.Hidden
	if n.hiddenActivation {
		h.activation = b.d.Activation
	}
	folder := b.c.gguf == nil
	if n.dense != "" && (folder || b.has(n.dense+".weight")) {
		if h.dense, err = b.linear(n.dense, hidden, hidden); err != nil {
			return nil, err
		}
	}
	if n.norm != "" && (folder || b.has(n.norm+".weight")) {
		if h.norm, err = b.norm(n.norm, hidden); err != nil {
			return nil, err
		}
	}
	if tied == nil || b.has(n.out+".weight") {
		// GGUF files leave out the dimension of a single row.
		elements, _ := tensor.Elements(b.stored(n.out + ".weight").shape)
		rows := max(1, int(elements/int64(hidden)))
		t, err := b.findFlat(n.out+".weight", rows, hidden)
		if err != nil {
			return nil, err
		}
		parts, err := b.cut(n.out, t, []int{rows}, hidden)
		if err != nil {
			return nil, err
		}
		h.out = parts[0]
	} else {
		h.out.Matrix = tied
		if b.has(n.out + ".bias") {
			if h.out.bias, err = b.flat(n.out+".bias", tied.Rows); err != nil {
				return nil, err
			}
		}
	}
	if n.bias != "" && b.has(n.bias) {
		bias, err := b.flat(n.bias, h.out.Rows)
		if err != nil {
			return nil, err
		}
		if h.out.bias == nil {
			h.out.bias = bias
		}
	}
	return h, nil
}

// task says what the model is for.
func (d *Description) task(w *weights) Task {
	switch {
	case w.classifier != nil && (w.output.Matrix == nil || d.embeds):
		return TextClassification
	case w.tagger != nil:
		return TokenClassification
	case d.embeds:
		return FeatureExtraction
	case w.masked != nil:
		return FillMask
	case w.output.Matrix != nil && !d.Bidirectional:
		return TextGeneration
	}
	return FeatureExtraction
}

// maxLabels bounds the labels of a classifier.
const maxLabels = 1 << 16

// labelsFromConfig reads id2label, an object of names by number.
func (d *Description) labelsFromConfig(c config) error {
	d.MultiLabel = c.text("problem_type", "") == "multi_label_classification"
	names := c.object("id2label")
	if len(names) == 0 {
		return nil
	}
	if len(names) > maxLabels {
		return malformedConfig("id2label", "%d labels exceed the limit of %d", len(names), maxLabels)
	}
	d.Labels = make([]string, len(names))
	for i := range d.Labels {
		name, ok := names[fmt.Sprint(i)].(string)
		if !ok {
			return malformedConfig("id2label", "no name for label %d of %d", i, len(names))
		}
		d.Labels[i] = name
	}
	return nil
}

func (d *Description) labelsFromGGUF(g *gguf.File, name string) error {
	key := name + ".classifier.output_labels"
	if v, ok := g.Value(key); !ok || v.Len == 0 {
		return nil
	}
	labels, err := g.Strings(key)
	if err != nil {
		return err
	}
	if len(labels) > maxLabels {
		return malformedGGUF(key, "%d labels exceed the limit of %d", len(labels), maxLabels)
	}
	d.Labels = labels
	return nil
}
