package inference

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/onnx"
	"github.com/carat-hub/carat/inference/pickle"
	"github.com/carat-hub/carat/inference/safetensors"
)

// pickleIndexName is the index of PyTorch shards, which is written like that of safetensors.
const pickleIndexName = "pytorch_model.bin.index.json"

// listed is what weights hold that are looked into and not run: an ONNX graph, or the names that pickles would import.
type listed struct {
	format  string // "onnx", "pytorch" or "pickle"
	graph   *onnx.Model
	globals []GlobalFact
}

// refusal says why the model is not run, nil for weights that may be.
func (l *listed) refusal() error {
	switch {
	case l == nil:
		return nil
	case l.graph != nil:
		return fault.NewUnsupported("file format", "ONNX graphs are read, not run")
	}
	return fault.NewUnsupported("file format", "pickle: tensors are listed, never executed")
}

// readListed reads the structure of the chosen files.
func (c *container) readListed(ctx context.Context, chosen weightFiles) error {
	switch {
	case chosen.onnx != "":
		return c.readONNX(chosen.onnx)
	case chosen.pickleIndex:
		return c.readPickleShards(ctx)
	}
	c.listed = &listed{}
	_, err := c.readPickle(chosen.pickle)
	return err
}

func (c *container) readONNX(name string) error {
	f, err := c.file(name)
	if err != nil {
		return err
	}
	m, err := onnx.Read(f, f.Size())
	if err != nil {
		return fmt.Errorf("read %s: %w", name, fault.InFile(name, err))
	}
	beside := func(file string) string {
		if file == "" {
			return name
		}
		return path.Join(path.Dir(name), file)
	}
	err = m.CheckExternal(func(file string) (int64, error) {
		f, err := c.file(beside(file))
		if errors.Is(err, fs.ErrNotExist) {
			return 0, &fault.Malformed{Format: "onnx", Where: file, Offset: -1, Reason: "file with external data is missing"}
		}
		if err != nil {
			return 0, err
		}
		return f.Size(), nil
	})
	if err != nil {
		return err
	}
	c.listed = &listed{format: "onnx", graph: m}
	if err := c.grow(len(m.Tensors) + len(m.Sparse)); err != nil {
		return err
	}
	add := func(t *onnx.Tensor) {
		if t.Type == onnx.String {
			return // texts are no weights
		}
		s := storedTensor{name: t.Name, typ: t.Type.Tensor(), shape: t.Shape, file: beside(t.File), offset: t.Offset, size: t.Size}
		if t.Scope != "" {
			s.name = t.Scope + ": " + t.Name
		}
		if !t.Plain {
			s.unread = "values are stored as numbers of varying length"
		}
		c.tensors = append(c.tensors, s)
	}
	for i := range m.Tensors {
		add(&m.Tensors[i])
	}
	for i := range m.Sparse {
		add(&m.Sparse[i].Values)
	}
	return nil
}

// readPickle reads one file of pickles and returns its tensors.
func (c *container) readPickle(name string) ([]pickle.Tensor, error) {
	f, err := c.file(name)
	if err != nil {
		return nil, err
	}
	if ext := path.Ext(strings.ToLower(name)); slices.Contains([]string{".bin", ".pt", ".pth", ".ckpt"}, ext) {
		// Other programs use these names too.
		head := make([]byte, min(f.Size(), 512))
		if n, err := f.ReadAt(head, 0); n < len(head) {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		if !pickle.Begins(head) {
			return nil, fault.NewUnsupported("file format", "weights in %s files that are no PyTorch checkpoints", ext)
		}
	}
	p, err := pickle.Read(f, f.Size())
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, fault.InFile(name, err))
	}
	if c.listed.format = "pytorch"; p.Layout == "pickle" {
		c.listed.format = "pickle"
	}
	for _, r := range p.References {
		c.listed.globals = append(c.listed.globals, GlobalFact{
			Name: r.String(), Op: r.Op, File: name, Member: r.Member, Offset: r.Offset, Count: r.Count, Known: r.Known,
		})
	}
	if err := c.grow(len(p.Tensors)); err != nil {
		return nil, err
	}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		s := storedTensor{name: t.Name, typ: t.Type, shape: t.Shape, file: name, size: t.Size, locate: t.Offset, shared: t.Shared}
		switch {
		case !t.Contiguous:
			s.unread = "elements do not lie in a row"
		case p.BigEndian:
			s.unread = "values are big-endian"
		}
		c.tensors = append(c.tensors, s)
	}
	return p.Tensors, nil
}

// readPickleShards reads the files that an index names, and checks that they and the index name the same tensors.
func (c *container) readPickleShards(ctx context.Context) error {
	b, err := readAll(ctx, c.files, pickleIndexName, safetensors.MaxIndex)
	if err != nil {
		return err
	}
	index, err := safetensors.ParseIndex(b)
	var bad *fault.Malformed
	if errors.As(err, &bad) {
		bad.Format = "pytorch index"
	}
	if err != nil {
		return err
	}
	c.listed = &listed{}
	malformed := func(where, format string, args ...any) error {
		return &fault.Malformed{Format: "pytorch index", Where: where, Offset: -1, Reason: fmt.Sprintf(format, args...)}
	}
	seen := make(map[string]bool, len(index.WeightMap))
	for _, name := range index.Files() {
		if err := ctx.Err(); err != nil {
			return err
		}
		tensors, err := c.readPickle(name)
		if errors.Is(err, fs.ErrNotExist) {
			return malformed(name, "shard is missing")
		}
		if err != nil {
			return err
		}
		for _, t := range tensors {
			if index.WeightMap[t.Name] != name || seen[t.Name] {
				return malformed(t.Name, "tensor of file %s is not mapped to it, or given twice", name)
			}
			seen[t.Name] = true
		}
	}
	for name, file := range index.WeightMap {
		if !seen[name] {
			return malformed(name, "file %s does not hold the tensor", file)
		}
	}
	return nil
}

// GraphFacts is what an ONNX file says of its graph.
type GraphFacts struct {
	IRVersion int64 `json:"irVersion"`
	// Opsets are the operator sets by domain, the standard one as "ai.onnx".
	Opsets   []OpsetFact       `json:"opsets"`
	Producer string            `json:"producer,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Inputs   []ValueFact       `json:"inputs"`
	Outputs  []ValueFact       `json:"outputs"`
	// Nodes counts those of all graphs, Operators those of each kind, most frequent first.
	Nodes     int            `json:"nodes"`
	Operators []OperatorFact `json:"operators"`
	Subgraphs int            `json:"subgraphs,omitempty"`
	Functions int            `json:"functions,omitempty"`
}

// OpsetFact is a version of a set of operators.
type OpsetFact struct {
	Domain  string `json:"domain"`
	Version int64  `json:"version"`
}

// ValueFact is an input or output; its type is written as "FLOAT[batch,128]".
type ValueFact struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// OperatorFact says how many nodes use an operator, which has its domain before it unless that is the standard one.
type OperatorFact struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

// GlobalFact is a name that a pickle would import or call: what it is called, by which opcode, and where that is first.
type GlobalFact struct {
	Name string `json:"name"`
	Op   string `json:"op"`
	File string `json:"file"`
	// Member is the file in the archive that a checkpoint is; Offset counts from its begin.
	Member string `json:"member,omitempty"`
	Offset int64  `json:"offset"`
	Count  int    `json:"count"`
	// Known says that the name is one of those that rebuild tensors. It says nothing about the file.
	Known bool `json:"known"`
}

// fromListed adds what is known of weights that are not run.
func (f *Facts) fromListed(l *listed) {
	f.Format, f.Globals = l.format, l.globals
	m := l.graph
	if m == nil {
		return
	}
	g := &GraphFacts{
		IRVersion: m.IRVersion, Opsets: []OpsetFact{}, Producer: m.Producer, Inputs: []ValueFact{}, Outputs: []ValueFact{},
		Nodes: m.Nodes, Operators: []OperatorFact{}, Subgraphs: m.Subgraphs, Functions: len(m.Functions),
	}
	if m.ProducerVersion != "" {
		g.Producer += " " + m.ProducerVersion
	}
	for _, o := range m.Opsets {
		g.Opsets = append(g.Opsets, OpsetFact{standard(o.Domain), o.Version})
	}
	for _, p := range m.Metadata {
		if g.Metadata == nil {
			g.Metadata = map[string]string{}
		}
		g.Metadata[p.Key] = p.Value
	}
	// Older files list the weights among the inputs.
	weights := map[string]bool{}
	for _, t := range m.Tensors {
		if t.Scope == "" {
			weights[t.Name] = true
		}
	}
	for _, v := range m.Inputs {
		if !weights[v.Name] {
			g.Inputs = append(g.Inputs, ValueFact{v.Name, v.Type.String()})
		}
	}
	for _, v := range m.Outputs {
		g.Outputs = append(g.Outputs, ValueFact{v.Name, v.Type.String()})
	}
	for _, o := range m.Operators {
		name := o.Name
		if o.Domain != "" {
			name = o.Domain + "." + o.Name
		}
		g.Operators = append(g.Operators, OperatorFact{name, o.Count})
	}
	f.Graph = g
}

// standard names the domain of the standard operators, which files leave empty.
func standard(domain string) string {
	if domain == "" {
		return "ai.onnx"
	}
	return domain
}

// checkpointExtensions are those of files that may be pickles. What lies beside the weights of a training run is none.
var (
	checkpointExtensions = []string{".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib"}
	trainingFiles        = []string{"training_args.", "optimizer.", "scheduler.", "scaler.", "rng_state", "random_states"}
)

func isTraining(name string) bool {
	return slices.ContainsFunc(trainingFiles, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// pickleShard is what the parts of one model are called, which only an index puts together.
var pickleShard = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`-\d{5}-of-\d{5}\.(bin|pt|pth)$`) })

// chooseListed picks weights that are looked into and not run. ok is false when there are none.
func chooseListed(names []string) (w weightFiles, ok bool, err error) {
	var checkpoints, graphs, below []string
	for _, n := range names {
		ext := path.Ext(strings.ToLower(n))
		switch {
		case path.Dir(n) == "onnx" && ext == ".onnx":
			below = append(below, n)
		case path.Dir(n) != ".":
		case ext == ".onnx":
			graphs = append(graphs, n)
		case slices.Contains(checkpointExtensions, ext) && !isTraining(n):
			checkpoints = append(checkpoints, n)
		}
	}
	if len(graphs) == 0 {
		graphs = below
	}
	graph, several := one(graphs, "model.onnx", "onnx/model.onnx")
	checkpoint, many := one(checkpoints, "pytorch_model.bin")
	switch {
	case slices.Contains(names, pickleIndexName):
		return weightFiles{pickleIndex: true}, true, nil
	case checkpoint != "":
		return weightFiles{pickle: checkpoint}, true, nil
	case many && slices.ContainsFunc(checkpoints, pickleShard().MatchString):
		return w, false, &fault.Malformed{Format: "pytorch", Where: pickleIndexName, Offset: -1, Reason: "shards without an index"}
	case graph != "":
		return weightFiles{onnx: graph}, true, nil
	case many:
		return w, false, fault.NewUnsupported("model folder", "%d files that may be checkpoints; open one of them by its name", len(checkpoints))
	case several:
		return w, false, fault.NewUnsupported("model folder", "%d ONNX files; open one of them by its name", len(graphs))
	}
	return w, false, nil
}

// one returns the only name, or the first of the preferred ones; several says that there are others.
func one(names []string, preferred ...string) (name string, several bool) {
	for _, p := range preferred {
		if slices.Contains(names, p) {
			return p, false
		}
	}
	if len(names) == 1 {
		return names[0], false
	}
	return "", len(names) > 1
}
