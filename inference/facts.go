package inference

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/inference/packed"
	"github.com/carat-hub/carat/inference/tensor"
	"github.com/carat-hub/carat/inference/tokenizer"
)

// Facts are what a model's names, sizes and headers tell. A number that the files do not give is 0, a text empty.
type Facts struct {
	// Format is "gguf", "safetensors", "onnx", "pytorch" for checkpoints of PyTorch, or "pickle" for other pickles.
	Format string `json:"format"`
	// Architecture is normalised ("llama", "qwen2"); ArchitectureName is what the files say ("LlamaForCausalLM").
	Architecture     string `json:"architecture,omitempty"`
	ArchitectureName string `json:"architectureName,omitempty"`
	// Name and License come from a GGUF file's keys.
	Name    string `json:"name,omitempty"`
	License string `json:"license,omitempty"`
	// Parameters is the number of elements of all tensors as stored, Bytes what they take. Tensors that are
	// the same elements count once.
	Parameters int64 `json:"parameters"`
	Bytes      int64 `json:"bytes"`
	// DTypes counts the tensors of each element type, most elements first.
	DTypes []DTypeCount `json:"dtypes"`
	// Quantization is the name by which the storage is known: "BF16", "Q8_0", "Q4_K_M", "gptq-int4".
	Quantization string `json:"quantization,omitempty"`

	// Kind is "decoder" for models that see the tokens before one and "encoder" for those that see all; empty when the
	// architecture is not known. Task is what a model that runs is for.
	Kind string `json:"kind,omitempty"`
	Task Task   `json:"task,omitempty"`
	// Labels are those of a classifier. EmbeddingSize, Pooling and Normalized say how the embedding of a text is made; they are
	// empty for models that are not for that.
	Labels        []string `json:"labels,omitempty"`
	EmbeddingSize int      `json:"embeddingSize,omitempty"`
	Pooling       Pooling  `json:"pooling,omitempty"`
	Normalized    bool     `json:"normalized,omitempty"`

	ContextLength   int `json:"contextLength,omitempty"`
	VocabularySize  int `json:"vocabularySize,omitempty"`
	HiddenSize      int `json:"hiddenSize,omitempty"`
	FeedForwardSize int `json:"feedForwardSize,omitempty"`
	Layers          int `json:"layers,omitempty"`
	Heads           int `json:"heads,omitempty"`
	KVHeads         int `json:"kvHeads,omitempty"`
	// HeadDim is the size of one head where the files give it.
	HeadDim int `json:"headDim,omitempty"`
	// OtherVocabulary is the vocabulary's size that a GGUF file says where its list of tokens has another.
	OtherVocabulary int `json:"otherVocabulary,omitempty"`
	// EmbeddingRows is how many rows the matrix of token embeddings has.
	EmbeddingRows int `json:"embeddingRows,omitempty"`

	// Tokenizer is the kind of tokenizer: "bpe", "unigram", "wordpiece", "spm", …; empty when there is none, or none that can be
	// read.
	Tokenizer    string `json:"tokenizer,omitempty"`
	ChatTemplate bool   `json:"chatTemplate"`
	// BaseModels name the models that a GGUF file says it was made from, by repository where it gives that.
	BaseModels []string `json:"baseModels,omitempty"`
	// Adapter is what an adapter, which is no model by itself, says of itself.
	Adapter *AdapterFacts `json:"adapter,omitempty"`
	// RemoteCode lists the settings of config.json that would make some programs run code from the model's folder.
	RemoteCode []string `json:"remoteCode,omitempty"`
	// Graph describes the graph of an ONNX file, nil for other formats. Globals lists the names that pickles would import or call.
	Graph   *GraphFacts  `json:"graph,omitempty"`
	Globals []GlobalFact `json:"globals,omitempty"`

	// Runnable says that names, shapes and types are what Open wants; Unsupported says why they are not.
	Runnable    bool   `json:"runnable"`
	Unsupported string `json:"unsupported,omitempty"`

	Tensors []TensorFact `json:"tensors"`
}

// AdapterFacts describe a low-rank adaptation. Base names the model that it is for, as its maker does.
type AdapterFacts struct {
	Base string `json:"base,omitempty"`
	// Rank is the width of its matrices, the largest or the usual one where they differ, and Alpha what is divided by it.
	Rank  int     `json:"rank"`
	Alpha float64 `json:"alpha,omitempty"`
	// Modules are the names, or ends of names, of the matrices that it adapts.
	Modules []string `json:"modules"`
}

// DTypeCount is the share of one element type.
type DTypeCount struct {
	DType    string `json:"dtype"`
	Tensors  int    `json:"tensors"`
	Elements int64  `json:"elements"`
	Bytes    int64  `json:"bytes"`
}

// TensorFact describes one tensor. Shape is row-major, outermost dimension first, whatever the format.
type TensorFact struct {
	Name  string `json:"name"`
	DType string `json:"dtype"`
	Shape []int  `json:"shape"`
	Bytes int64  `json:"bytes"`
	File  string `json:"file,omitempty"`
}

// Inspect reads a model's names, sizes and headers and nothing of its tensors' data. It works for architectures that cannot be
// run. It returns an *UnsupportedError when the files hold no format it knows, a *MalformedError for a damaged file, ctx's
// error, and the errors of files.
func Inspect(ctx context.Context, files Files) (_ *Facts, err error) {
	defer guard(&err)
	c, err := openContainer(ctx, files)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	f, err := c.facts(ctx)
	if err != nil {
		return nil, err
	}
	d, err := c.describe(ctx)
	var w *weights
	if err == nil {
		w, err = bind(ctx, c, d, bindOptions{dry: true})
	}
	if err != nil {
		f.Unsupported = err.Error()
		return f, ctx.Err()
	}
	f.tell(d, w)
	return f, nil
}

// tell adds what is known of a model that runs.
func (f *Facts) tell(d *Description, w *weights) {
	f.Runnable, f.Task = true, d.task(w)
	if f.Task == TextClassification || f.Task == TokenClassification {
		f.Labels = d.Labels
	}
	if d.family.encoder {
		f.ContextLength = d.Context
	}
	if d.Bidirectional {
		f.Kind = "encoder"
	}
	if d.Bidirectional || f.Task == FeatureExtraction {
		f.EmbeddingSize, f.Pooling, f.Normalized = w.embeddingSize(d.Hidden), d.Pooling, d.Normalized
	}
}

// facts collects everything but what running would say.
func (c *container) facts(ctx context.Context) (*Facts, error) {
	f := &Facts{Format: "safetensors", Tensors: []TensorFact{}}
	f.Architecture, f.ArchitectureName = c.architecture()
	if fam, ok := families[f.Architecture]; ok {
		f.Kind = "decoder"
		if fam.encoder || fam.bothWays {
			f.Kind = "encoder"
		}
	}
	if err := f.count(c.tensors); err != nil {
		return nil, err
	}
	if c.gguf != nil {
		f.fromGGUF(c)
	} else if err := f.fromFolder(ctx, c); err != nil {
		return nil, err
	}
	if a := c.adapter; a != nil {
		f.Adapter = &AdapterFacts{Base: a.base, Rank: a.rank, Alpha: a.alpha, Modules: append([]string{}, a.modules...)}
	}
	if c.listed != nil {
		f.fromListed(c.listed)
	}
	f.EmbeddingRows = embeddingRows(c.tensors)
	f.VocabularySize = cmp.Or(f.VocabularySize, f.EmbeddingRows)
	return f, nil
}

// embeddingNames are what the matrix of token embeddings is called, in GGUF files and by Hugging Face's libraries.
var embeddingNames = []string{
	"token_embd.weight", "model.embed_tokens.weight", "embed_tokens.weight", "transformer.wte.weight", "wte.weight",
	"gpt_neox.embed_in.weight", "bert.embeddings.word_embeddings.weight", "embeddings.word_embeddings.weight",
	"roberta.embeddings.word_embeddings.weight", "distilbert.embeddings.word_embeddings.weight",
	"mpnet.embeddings.word_embeddings.weight", "model.embeddings.tok_embeddings.weight", "embeddings.tok_embeddings.weight",
	"model.tok_embeddings.weight", "transformer.word_embeddings.weight",
}

func embeddingRows(tensors []storedTensor) int {
	for _, t := range tensors {
		if len(t.shape) == 2 && slices.Contains(embeddingNames, t.name) {
			return t.shape[0]
		}
	}
	return 0
}

func (f *Facts) count(tensors []storedTensor) error {
	census := map[tensor.Type]*DTypeCount{}
	f.Tensors = make([]TensorFact, 0, len(tensors))
	for _, t := range tensors {
		f.Tensors = append(f.Tensors, TensorFact{Name: t.name, DType: t.typ.String(), Shape: slices.Clone(t.shape), Bytes: t.size, File: t.file})
		if t.shared {
			continue
		}
		n, _ := tensor.Elements(t.shape) // the readers have checked it
		d := census[t.typ]
		if d == nil {
			d = &DTypeCount{DType: t.typ.String()}
			census[t.typ] = d
		}
		if n > math.MaxInt64-f.Parameters || t.size > math.MaxInt64-f.Bytes {
			return &fault.Malformed{Format: f.Format, Where: t.name, Offset: -1, Reason: "the number of parameters does not fit 63 bits"}
		}
		d.Tensors++
		d.Elements += n
		d.Bytes += t.size
		f.Parameters += n
		f.Bytes += t.size
	}
	for _, d := range census {
		f.DTypes = append(f.DTypes, *d)
	}
	slices.SortFunc(f.DTypes, func(a, b DTypeCount) int {
		return cmp.Or(cmp.Compare(b.Elements, a.Elements), strings.Compare(a.DType, b.DType))
	})
	return nil
}

func (f *Facts) fromGGUF(c *container) {
	g := c.gguf
	f.Format = "gguf"
	f.Name = g.Text("general.name", "")
	f.License = g.Text("general.license", "")
	f.BaseModels = ggufBases(g)
	f.Quantization = g.Quantization()
	integer := func(key string) int { return max(keys{g, f.ArchitectureName}.integer(key, 0), 0) }
	f.ContextLength = integer("context_length")
	f.HiddenSize = integer("embedding_length")
	f.FeedForwardSize = integer("feed_forward_length")
	f.Layers = integer("block_count")
	f.Heads = integer("attention.head_count")
	f.KVHeads = cmp.Or(integer("attention.head_count_kv"), f.Heads)
	f.HeadDim = integer("attention.key_length")
	if v, ok := g.Value("tokenizer.ggml.tokens"); ok {
		f.VocabularySize = int(v.Len)
	}
	if said := integer("vocab_size"); f.VocabularySize == 0 {
		f.VocabularySize = said
	} else if said > 0 && said != f.VocabularySize {
		f.OtherVocabulary = said
	}
	f.Tokenizer = tokenizer.GGUFKind(g.Text("tokenizer.ggml.model", ""))
	f.ChatTemplate = g.Text("tokenizer.chat_template", "") != ""
}

// maxBases is how many base models are listed.
const maxBases = 16

// ggufBases lists what general.base_model.* name.
func ggufBases(g *gguf.File) []string {
	var names []string
	for i := range min(g.Int("general.base_model.count", 0), maxBases) {
		key := fmt.Sprintf("general.base_model.%d.", i)
		name := g.Text(key+"repo_url", "")
		if name == "" {
			name = g.Text(key+"name", "")
			if org := g.Text(key+"organization", ""); org != "" && name != "" {
				name = org + "/" + name
			}
		}
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func (f *Facts) fromFolder(ctx context.Context, c *container) error {
	lang := c.config.language().or(families[f.Architecture].defaults)
	positive := func(keys ...string) int {
		for _, k := range keys {
			if n := lang.integer(k, 0); n > 0 {
				return n
			}
		}
		return 0
	}
	f.ContextLength = positive("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
	f.VocabularySize = positive("vocab_size")
	f.HiddenSize = positive("hidden_size", "n_embd", "d_model", "dim")
	f.FeedForwardSize = positive("intermediate_size", "n_inner", "ffn_dim", "hidden_dim")
	f.Layers = positive("num_hidden_layers", "n_layer", "n_layers", "num_layers")
	f.Heads = positive("num_attention_heads", "n_head", "n_heads")
	f.KVHeads = cmp.Or(positive("num_key_value_heads"), f.Heads)
	f.HeadDim = positive("head_dim")
	if len(f.DTypes) > 0 {
		f.Quantization = f.DTypes[0].DType
	}
	if q := c.config.quantization(); q != nil {
		f.Quantization = cmp.Or(q.text("quant_method", ""), f.Quantization)
		if known, err := packed.ParseConfig(q); err == nil {
			f.Quantization = known.String()
		}
	}
	f.RemoteCode = remoteCode(c.config, "")
	extra, err := c.readExtras(ctx)
	if err != nil {
		return err
	}
	named, _ := extra.tokenizer["chat_template"].([]any)
	f.ChatTemplate = extra.chatTemplate != "" || len(named) > 0 || slices.Contains(c.files.Names(), "chat_template.json")
	f.Tokenizer, err = c.tokenizerKind(ctx)
	return err
}

// tokenizerKind says of what kind the tokenizer of a folder is. What is wrong with a damaged one is for reading it to say.
func (c *container) tokenizerKind(ctx context.Context) (string, error) {
	b, err := readAll(ctx, c.files, tokenizerName, tokenizer.MaxFile)
	var bad *fault.Malformed
	switch {
	case errors.Is(err, fs.ErrNotExist):
		for _, other := range []struct{ name, kind string }{{"tokenizer.model", "sentencepiece"}, {"vocab.txt", "wordpiece"}} {
			if slices.Contains(c.files.Names(), other.name) {
				return other.kind, nil
			}
		}
		return "", nil
	case err == nil:
		var kind string
		if kind, err = tokenizer.JSONKind(b); err == nil {
			return kind, nil
		}
	}
	if errors.As(err, &bad) {
		return "", nil
	}
	return "", err
}

// remoteCode lists the keys of a configuration that name code: auto_map, private attention switches, references to other
// repositories.
func remoteCode(c config, prefix string) []string {
	var found []string
	for _, key := range sortedKeys(c) {
		switch v := c[key].(type) {
		case map[string]any:
			if key == "auto_map" {
				found = append(found, prefix+key)
			} else if strings.Count(prefix, ".") < 8 {
				found = append(found, remoteCode(v, prefix+key+".")...)
			}
		case string:
			if strings.HasSuffix(key, "_internal") || strings.Contains(v, "--") && strings.Contains(v, "/") && strings.Contains(v, ".") {
				found = append(found, prefix+key)
			}
		}
	}
	return found
}

// String gives the facts in one line.
func (f *Facts) String() string {
	return fmt.Sprintf("%s %s, %d parameters, %s", f.Format, cmp.Or(f.Architecture, "unknown architecture"), f.Parameters, cmp.Or(f.Quantization, "unknown type"))
}
