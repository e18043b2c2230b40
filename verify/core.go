package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/inference/safetensors"
	"github.com/carat-hub/carat/inference/tensor"
	"github.com/carat-hub/carat/registry"
)

// core is package inference as the checks see it.
type core struct{}

// describeModel fills in what the headers of a model say. Its error is a
// *ContentError when they are no good or in a format that is not known here.
func describeModel(ctx context.Context, files Files, facts *registry.Facts) error {
	d, err := core{}.describe(ctx, files)
	var malformed *fault.Malformed
	var unsupported *fault.Unsupported
	switch {
	case errors.As(err, &malformed):
		return &ContentError{Reason: storable(malformed.Error())}
	case errors.As(err, &unsupported):
		return &ContentError{Reason: storable(unsupported.Error())}
	case err != nil:
		return err
	}
	*facts = d.facts
	return nil
}

func (core) describe(ctx context.Context, files Files) (*description, error) {
	w, err := findWeights(files)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	d := &description{}
	if w.gguf != nil {
		err = d.readGGUF(w.gguf)
	} else {
		err = d.readSafetensors(files, w)
	}
	if err != nil {
		return nil, err
	}
	d.finish()
	return d, nil
}

// weightFiles are the files that hold a model's weights: one GGUF file, one
// safetensors file, or the index of several.
type weightFiles struct {
	gguf   *File
	single *File
	index  *File
}

func findWeights(files Files) (weightFiles, error) {
	if f := files.Lookup(safetensors.IndexName); f != nil {
		return weightFiles{index: f}, nil
	}
	var tensors, ggufs []*File
	other := ""
	for _, f := range files {
		name := strings.ToLower(path.Base(f.Path))
		switch ext := path.Ext(name); {
		case f.Packed:
		case ext == ".safetensors":
			tensors = append(tensors, f)
		case ext == ".gguf" && !strings.HasPrefix(name, "mmproj"):
			ggufs = append(ggufs, f)
		case slices.Contains([]string{".bin", ".pt", ".pth", ".onnx", ".ckpt", ".h5", ".msgpack", ".tflite", ".keras"}, ext):
			other = ext
		}
	}
	if f := files.Lookup("model.safetensors"); f != nil {
		tensors = []*File{f}
	}
	switch {
	case len(tensors) == 1:
		return weightFiles{single: tensors[0]}, nil
	case len(tensors) > 1:
		return weightFiles{}, &fault.Malformed{Format: "safetensors", Offset: -1, Reason: fmt.Sprintf("%d weight files without an index", len(tensors))}
	case len(ggufs) == 1:
		return weightFiles{gguf: ggufs[0]}, nil
	case len(ggufs) > 1:
		return weightFiles{}, fault.NewUnsupported("file format", "%d GGUF files in one model", len(ggufs))
	case other != "":
		return weightFiles{}, fault.NewUnsupported("file format", "weights in %s files", other)
	}
	return weightFiles{}, fault.NewUnsupported("file format", "there are no weights in safetensors or GGUF")
}

// readSafetensors reads headers and config.json.
func (d *description) readSafetensors(files Files, w weightFiles) error {
	d.facts.Format = "safetensors"
	if w.single != nil {
		f, err := safetensors.Read(w.single, w.single.Size)
		if err != nil {
			return err
		}
		d.addShard(w.single, f)
	} else if err := d.readShards(files, w.index); err != nil {
		return err
	}
	if f := files.Lookup("config.json"); f != nil {
		return d.readConfig(files, f)
	}
	return nil // the weights alone cannot be run, but they can be described
}

func (d *description) readShards(files Files, index *File) error {
	p, err := index.head(safetensors.MaxIndex + 1)
	if err != nil {
		return err
	}
	x, err := safetensors.ParseIndex(p)
	if err != nil {
		return err
	}
	shards, err := x.ReadShards(func(name string) (io.ReaderAt, int64, error) {
		f := files.Lookup(name)
		if f == nil {
			return nil, 0, &fault.Malformed{Format: "safetensors index", Where: name, Offset: -1, Reason: "shard is missing"}
		}
		return f, f.Size, nil
	})
	if err != nil {
		return err
	}
	for _, name := range x.Files() {
		d.addShard(files.Lookup(name), shards[name])
	}
	return nil
}

func (d *description) addShard(file *File, f *safetensors.File) {
	for _, t := range f.Tensors {
		d.weights = append(d.weights, weight{name: t.Name, typ: t.Type, shape: t.Shape, file: file, offset: t.Offset})
	}
}

// readGGUF reads the head of a GGUF file.
func (d *description) readGGUF(file *File) error {
	f, err := gguf.Read(file, file.Size)
	if err != nil {
		return err
	}
	for _, t := range f.Tensors {
		d.weights = append(d.weights, weight{name: t.Name, typ: t.Type, shape: t.Shape, file: file, offset: t.Offset})
	}
	arch := f.Text("general.architecture", "")
	size := func(key string, def int64) int64 { return max(0, f.Int(arch+"."+key, def)) }
	d.facts = registry.Facts{
		Format: "gguf", Architecture: storable(arch), Quantization: f.Quantization(),
		ContextLength: size("context_length", 0), HiddenSize: size("embedding_length", 0),
		Layers: size("block_count", 0), VocabSize: size("vocab_size", 0),
		Tokenizer: storable(f.Text("tokenizer.ggml.model", "")), ChatTemplate: f.Text("tokenizer.chat_template", "") != "",
	}
	heads := size("attention.head_count", 0)
	d.dims = dimensions{
		hidden: d.facts.HiddenSize, heads: heads, kvHeads: size("attention.head_count_kv", heads),
		headDim: size("attention.key_length", 0), inner: size("feed_forward_length", 0), vocab: d.facts.VocabSize,
	}
	return nil
}

// embeddings are the names of token embeddings: of safetensors as Hugging
// Face's libraries write them, and of GGUF.
var embeddings = []string{
	"model.embed_tokens.weight", "embed_tokens.weight", "transformer.wte.weight", "wte.weight", "gpt_neox.embed_in.weight",
	"bert.embeddings.word_embeddings.weight", "embeddings.word_embeddings.weight", "token_embd.weight",
}

// finish derives what follows from the tensors.
func (d *description) finish() {
	slices.SortFunc(d.weights, func(a, b weight) int { return strings.Compare(a.name, b.name) })
	census := map[tensor.Type]int64{}
	for _, w := range d.weights {
		// The readers have checked that the size of the data fits the file, so
		// neither product nor sum can overflow.
		n, _ := tensor.Elements(w.shape)
		d.facts.Parameters += n
		census[w.typ] += n
		if len(w.shape) == 2 && slices.Contains(embeddings, w.name) {
			d.embeddingRows = int64(w.shape[0])
		}
	}
	d.facts.Tensors = int64(len(d.weights))
	if d.facts.VocabSize == 0 {
		d.facts.VocabSize = d.embeddingRows
	}
	if d.facts.Quantization != "" {
		return
	}
	most := tensor.Invalid
	for t, n := range census {
		if most == tensor.Invalid || n > census[most] || n == census[most] && t < most {
			most = t
		}
	}
	if most != tensor.Invalid {
		d.facts.Quantization = most.String()
	}
}

func (core) load(ctx context.Context, files Files, threads int) (decoder, error) {
	m, err := inference.Open(ctx, opened(files))
	if err != nil {
		return nil, err
	}
	return &runnable{m: m, threads: threads}, nil
}

// opened gives files to package inference, as descriptors where all of them
// are files of this machine, so that it can map them.
func opened(files Files) inference.Files {
	disk, sources := map[string]*os.File{}, map[string]inference.Source{}
	for _, f := range files {
		if f.Packed {
			continue
		}
		sources[f.Path] = inference.Source{ReaderAt: f, Size: f.Size}
		if f.disk != nil {
			disk[f.Path] = f.disk
		}
	}
	if len(disk) == len(sources) {
		return inference.FromOpen(disk)
	}
	return inference.FromSources(sources)
}

// runnable is a model of package inference as the checks see it.
type runnable struct {
	m       *inference.Model
	threads int
}

func (r *runnable) session(capacity int) session {
	return growing{r.m.NewSession(inference.SessionOptions{Threads: r.threads, Context: capacity})}
}

func (r *runnable) close() error { return r.m.Close() }

type growing struct{ s *inference.Session }

func (g growing) feed(ctx context.Context, ids []int, each func(i int, logits []float32) error) error {
	return g.s.EvalEach(ctx, ids, 0, each)
}

func (g growing) close() { g.s.Close() }
