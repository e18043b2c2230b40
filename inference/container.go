package inference

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"sync"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/inference/packed"
	"github.com/carat-hub/carat/inference/safetensors"
	"github.com/carat-hub/carat/inference/tensor"
)

// Names that a folder in Hugging Face's layout uses.
const (
	configName           = "config.json"
	weightsName          = "model.safetensors"
	tokenizerName        = "tokenizer.json"
	tokenizerConfigName  = "tokenizer_config.json"
	generationConfigName = "generation_config.json"
	chatTemplateName     = "chat_template.jinja"
)

// storedTensor is one tensor of a container and where its bytes lie.
type storedTensor struct {
	name         string
	typ          tensor.Type
	shape        []int
	file         string
	offset, size int64
	// packed is set for a matrix that is stored as several tensors, which it reads as F32; file is empty then, and shape nil as
	// long as only the data tells it.
	packed *packed.Matrix
	// unread says why the values cannot be read as they lie, "" when they can. locate gives their offset where finding it takes a
	// look into the file. shared says that an earlier tensor has the same bytes.
	unread string
	locate func() (int64, error)
	shared bool
}

// container is a model's files with their headers read: either GGUF, in one file or split, or safetensors or listed weights with
// an optional config.json.
type container struct {
	files   Files
	open    map[string]File
	gguf    *gguf.File
	listed  *listed        // nil for weights that may be run
	config  config         // nil without a config.json
	adapter *adapterConfig // nil unless the files are an adapter
	tensors []storedTensor
}

// openContainer reads the headers of the weights among files. The caller closes the container.
func openContainer(ctx context.Context, files Files) (_ *container, err error) {
	defer guard(&err)
	c := &container{files: files, open: map[string]File{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	names := files.Names()
	chosen, err := chooseWeights(names)
	if err != nil {
		return nil, err
	}
	if slices.Contains(names, configName) {
		if c.config, err = readConfig(ctx, files); err != nil {
			return nil, err
		}
	}
	switch {
	case chosen.index:
		err = c.readShards(ctx)
	case chosen.onnx != "" || chosen.pickle != "" || chosen.pickleIndex:
		err = c.readListed(ctx, chosen)
	case chosen.gguf != nil:
		err = c.readGGUF(ctx, chosen.gguf)
	default:
		err = c.readSafetensors(chosen.safetensors)
	}
	if err == nil && c.gguf == nil && slices.Contains(names, modulesName) {
		err = c.readModules(names)
	}
	if err != nil {
		return nil, err
	}
	if err := c.readAdapter(ctx); err != nil {
		return nil, err
	}
	return c, ctx.Err()
}

func (c *container) close() error {
	var errs []error
	for _, f := range c.open {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

func (c *container) file(name string) (File, error) {
	if f, ok := c.open[name]; ok {
		return f, nil
	}
	f, err := c.files.Open(name)
	if err != nil {
		return nil, err
	}
	c.open[name] = f
	return f, nil
}

// readGGUF reads the parts of one model, of which most have one.
func (c *container) readGGUF(ctx context.Context, parts []string) error {
	var err error
	c.gguf, err = gguf.ReadParts(parts, func(name string) (io.ReaderAt, int64, error) {
		return c.part(ctx, name, "gguf", "part of a split model is missing")
	})
	if err != nil {
		return err
	}
	if err := c.grow(len(c.gguf.Tensors)); err != nil {
		return err
	}
	for _, t := range c.gguf.Tensors {
		c.tensors = append(c.tensors, storedTensor{name: t.Name, typ: t.Type, shape: t.Shape, file: parts[t.Part], offset: t.Offset, size: t.Size})
	}
	return nil
}

// part opens one of several files that make up the weights; when it is not there, the format is broken for the given reason.
func (c *container) part(ctx context.Context, name, format, missing string) (io.ReaderAt, int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	f, err := c.file(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, &fault.Malformed{Format: format, Where: name, Offset: -1, Reason: missing}
	}
	if err != nil {
		return nil, 0, err
	}
	return f, f.Size(), nil
}

func (c *container) readSafetensors(names []string) error {
	seen := map[string]string{}
	for i, name := range names {
		f, err := c.file(name)
		if err != nil {
			return err
		}
		st, err := safetensors.Read(f, f.Size())
		if err != nil {
			return fmt.Errorf("read %s: %w", name, fault.InFile(name, err))
		}
		for _, t := range st.Tensors {
			if other, twice := seen[t.Name]; twice {
				return fault.NewUnsupported("model folder", "tensor %s is in %s and in %s, and no index says which counts", t.Name, other, name)
			}
			if i < len(names)-1 {
				seen[t.Name] = name
			}
		}
		if err := c.add(name, "", st); err != nil {
			return err
		}
	}
	return nil
}

func (c *container) readShards(ctx context.Context) error {
	b, err := readAll(ctx, c.files, safetensors.IndexName, safetensors.MaxIndex)
	if err != nil {
		return err
	}
	index, err := safetensors.ParseIndex(b)
	if err != nil {
		return err
	}
	shards, err := index.ReadShards(func(name string) (io.ReaderAt, int64, error) {
		return c.part(ctx, name, "safetensors index", "shard is missing")
	})
	if err != nil {
		return err
	}
	for _, name := range index.Files() {
		if err := c.add(name, "", shards[name]); err != nil {
			return err
		}
	}
	return nil
}

// denseWeights are the weights of a sentence-transformers model's matrices behind its pooling.
var denseWeights = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(\d{1,2}_Dense/)model\.safetensors$`) })

// readModules adds the tensors of those matrices, with the name of their folder in front.
func (c *container) readModules(names []string) error {
	for _, name := range names {
		match := denseWeights().FindStringSubmatch(name)
		if match == nil {
			continue
		}
		f, err := c.file(name)
		if err != nil {
			return err
		}
		st, err := safetensors.Read(f, f.Size())
		if err != nil {
			return fmt.Errorf("read %s: %w", name, fault.InFile(name, err))
		}
		if err := c.add(name, match[1], st); err != nil {
			return err
		}
	}
	return nil
}

// grow makes room for n more tensors. Small files with very many would take many times their size.
func (c *container) grow(n int) error {
	limit := int64(1 << 15)
	for _, f := range c.open {
		limit += f.Size() / 512
	}
	if int64(len(c.tensors)+n) > limit {
		return &fault.Malformed{Format: "model", Offset: -1, Reason: fmt.Sprintf("more than %d tensors in files of their size", limit)}
	}
	c.tensors = slices.Grow(c.tensors, n)
	return nil
}

// add adds the tensors of a file, with prefix in front of their names.
func (c *container) add(name, prefix string, st *safetensors.File) error {
	if err := c.grow(len(st.Tensors)); err != nil {
		return err
	}
	for _, t := range st.Tensors {
		c.tensors = append(c.tensors, storedTensor{name: prefix + t.Name, typ: t.Type, shape: t.Shape, file: name, offset: t.Offset, size: t.Size})
	}
	return nil
}
