package inference

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/carat-hub/carat/inference/packed"
)

// quantization returns what config.json says of how its matrices are quantized, nil when it says nothing.
func (c config) quantization() config {
	for _, in := range []config{c, c.language()} {
		for _, key := range []string{"quantization_config", "compression_config"} {
			if q := in.object(key); q != nil {
				return q
			}
		}
	}
	return nil
}

// unpacked returns the tensors as the graph wants them: those that make up a quantized matrix as one, by the name it would have
// otherwise, and of a model that also sees or hears those of the language model. With dry no data is read.
func (c *container) unpacked(dry bool) ([]storedTensor, error) {
	tensors, err := c.dequantized(dry)
	if err != nil || c.gguf != nil || !c.config.multimodal() {
		return tensors, err
	}
	return language(tensors), nil
}

// otherParts are what the names of tensors begin with that do not belong to the language model, after an optional "model.".
var otherParts = []string{
	"vision_tower.", "vision_model.", "visual.", "vision_embed_tokens.", "audio_tower.", "multi_modal_projector.", "mm_projector.",
}

// language returns the tensors of a language model that is part of another, by the names they have in one of its own.
func language(tensors []storedTensor) []storedTensor {
	var own []storedTensor
	for _, t := range tensors {
		inner := strings.TrimPrefix(t.name, "model.")
		if slices.ContainsFunc(otherParts, func(part string) bool { return strings.HasPrefix(inner, part) }) {
			continue
		}
		t.name = languageName(t.name)
		own = append(own, t)
	}
	return own
}

// languageName returns the name that a tensor of a language model within another has in a model of its own.
func languageName(name string) string {
	if inner, ok := strings.CutPrefix(name, "model.language_model."); ok {
		return "model." + inner
	}
	return strings.TrimPrefix(name, "language_model.")
}

func (c *container) dequantized(dry bool) ([]storedTensor, error) {
	quantization := c.config.quantization()
	if c.gguf != nil || quantization == nil {
		return c.tensors, nil
	}
	method, err := packed.ParseConfig(quantization)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]*storedTensor, len(c.tensors))
	names := make([]string, len(c.tensors))
	for i := range c.tensors {
		names[i] = c.tensors[i].name
		byName[names[i]] = &c.tensors[i]
	}
	matrices, rest, err := method.Unpack(names, func(name string, small bool) (packed.Tensor, error) {
		t := byName[name]
		p := packed.Tensor{Name: name, Type: t.typ, Shape: t.shape}
		var err error
		if !dry {
			p.Data, err = c.data(t, small)
		}
		return p, err
	})
	if err != nil {
		return nil, err
	}
	tensors := make([]storedTensor, 0, len(rest)+len(matrices))
	for _, n := range rest {
		tensors = append(tensors, *byName[n])
	}
	for _, m := range matrices {
		tensors = append(tensors, *unpackedTensor(m.Name, m.Matrix))
	}
	return tensors, nil
}

// data returns the bytes of a tensor: from its file's mapping, or read into memory if there is none or if they are wanted so.
func (c *container) data(t *storedTensor, small bool) ([]byte, error) {
	f, err := c.file(t.file)
	if err != nil {
		return nil, err
	}
	if mapped, ok := f.(Mapped); ok && !small {
		return mapped.Bytes()[t.offset : t.offset+t.size], nil
	}
	return c.read(t)
}

// read reads a tensor into memory.
func (c *container) read(t *storedTensor) ([]byte, error) {
	f, err := c.reader(t)
	if err != nil {
		return nil, err
	}
	raw := make([]byte, t.size)
	if got, err := f.ReadAt(raw, t.offset); got < len(raw) {
		return nil, fmt.Errorf("read tensor %s: %w", t.name, err)
	}
	return raw, nil
}

// reader returns what a tensor's bytes are read from.
func (c *container) reader(t *storedTensor) (io.ReaderAt, error) {
	if t.packed != nil {
		return t.packed, nil
	}
	return c.file(t.file)
}
