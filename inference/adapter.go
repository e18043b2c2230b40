package inference

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/carat-hub/carat/inference/fault"
)

// Adapter is a low-rank adaptation (Hu et al. 2021, LoRA) that a model is opened with: matrices A and B for some of its matrices W,
// which then give Wx + B(Ax) times the adapter's own factor and Scale.
type Adapter struct {
	// Files is a folder as Hugging Face's PEFT writes it, with adapter_config.json and adapter_model.safetensors, for a model in a
	// folder, or an adapter in a GGUF file for a model in one.
	Files Files
	// Scale multiplies what the adapter adds; 0 means 1.
	Scale float32
}

// Names that a folder of an adapter uses.
const (
	adapterConfigName  = "adapter_config.json"
	adapterWeightsName = "adapter_model.safetensors"
)

// The limits of an adapter.
const (
	maxRank         = 1 << 14
	maxPatterns     = 1 << 12
	maxPatternBytes = 1 << 10
)

// adapterConfig is what an adapter says of itself.
type adapterConfig struct {
	base    string
	rank    int
	alpha   float64
	root    bool // divides by the root of the rank, not by the rank
	modules []string
	// unusable says why the adapter cannot be applied here, nil when it can.
	unusable error
	// alphas and ranks are those of modules whose names match.
	alphas, ranks []modulePattern
}

type modulePattern struct {
	name  *regexp.Regexp
	value float64
}

// readAdapterConfig reads PEFT's adapter_config.json.
func readAdapterConfig(ctx context.Context, files Files) (*adapterConfig, error) {
	c, err := readJSON(ctx, files, adapterConfigName)
	if err != nil {
		return nil, err
	}
	a := &adapterConfig{
		base: c.text("base_model_name_or_path", ""), rank: c.integer("r", 0), alpha: c.float("lora_alpha", 8),
		root: c.boolean("use_rslora", false),
	}
	a.unusable = unusable(c)
	if a.unusable == nil && a.rank < 1 || a.rank > maxRank {
		return nil, &fault.Malformed{Format: adapterConfigName, Where: "r", Offset: -1, Reason: fmt.Sprintf("rank %d is not from 1 to %d", a.rank, maxRank)}
	}
	if one, ok := c["target_modules"].(string); ok {
		a.modules = []string{one}
	}
	for _, v := range list(c["target_modules"]) {
		if s, ok := v.(string); ok {
			a.modules = append(a.modules, s)
		}
	}
	slices.Sort(a.modules)
	if a.alphas, err = patterns(c.object("alpha_pattern"), "alpha_pattern"); err == nil {
		a.ranks, err = patterns(c.object("rank_pattern"), "rank_pattern")
	}
	if unsupported := (*fault.Unsupported)(nil); errors.As(err, &unsupported) {
		a.unusable, err = err, nil
	}
	return a, err
}

// unusable returns why an adapter with the configuration c cannot be applied, nil when it can. fan_in_fan_out is no reason: it
// tells how the model's matrices are stored, which its own files tell too.
func unusable(c config) error {
	unsupported := func(format string, args ...any) error { return fault.NewUnsupported("adapter", format, args...) }
	switch {
	case c.text("peft_type", "LORA") != "LORA":
		return unsupported("%.40q instead of LORA", c.text("peft_type", ""))
	case c.boolean("use_dora", false):
		return unsupported("weights decomposed into magnitude and direction (DoRA)")
	case c.text("bias", "none") != "none" || c.boolean("lora_bias", false):
		return unsupported("trained biases")
	case len(list(c["modules_to_save"])) > 0:
		return unsupported("modules saved as a whole: %.80q", fmt.Sprint(c["modules_to_save"]))
	case len(list(c["target_parameters"])) > 0:
		return unsupported("parameters that are no modules: %.80q", fmt.Sprint(c["target_parameters"]))
	case len(list(c["layer_replication"])) > 0:
		return unsupported("layers that are repeated")
	case len(list(c["alora_invocation_tokens"])) > 0:
		return unsupported("an adapter that some tokens turn on")
	}
	return nil
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

// patterns reads numbers by regular expressions, each of which has to match a module's name or what follows a dot in it.
func patterns(c config, where string) ([]modulePattern, error) {
	bad := func(reason string, args ...any) error {
		return &fault.Malformed{Format: adapterConfigName, Where: where, Offset: -1, Reason: fmt.Sprintf(reason, args...)}
	}
	if len(c) > maxPatterns {
		return nil, bad("%d patterns exceed the limit of %d", len(c), maxPatterns)
	}
	var out []modulePattern
	for _, key := range sortedKeys(c) {
		value, ok := c[key].(float64)
		if !ok || len(key) > maxPatternBytes {
			return nil, bad("%.80q has no number, or is too long", key)
		}
		name, err := regexp.Compile(`^(?:.*\.)?(?:` + key + `)$`)
		if err != nil {
			return nil, fault.NewUnsupported("adapter", "the pattern %.80q: %v", key, err)
		}
		out = append(out, modulePattern{name, value})
	}
	return out, nil
}

// match returns the number of the patterns that a module matches, or def. Patterns that contradict each other are told apart
// only by their order, which is lost.
func match(all []modulePattern, module string, def float64) (float64, error) {
	found := false
	for _, p := range all {
		switch {
		case !p.name.MatchString(module):
		case found && p.value != def:
			return 0, fault.NewUnsupported("adapter", "module %.120q matches several patterns", module)
		default:
			def, found = p.value, true
		}
	}
	return def, nil
}

// scale returns the factor of a module with matrices of the given rank.
func (a *adapterConfig) scale(module string, rank int) (float64, error) {
	want, err := match(a.ranks, module, float64(a.rank))
	if err != nil {
		return 0, err
	}
	if want != float64(rank) {
		return 0, &fault.Malformed{Format: "adapter", Where: module, Offset: -1, Reason: fmt.Sprintf("the matrices have rank %d, the configuration says %g", rank, want)}
	}
	alpha, err := match(a.alphas, module, a.alpha)
	if a.root {
		return alpha / math.Sqrt(float64(rank)), err
	}
	return alpha / float64(rank), err
}

// adapter is an open one.
type adapter struct {
	c     *container
	pairs map[string]*adapterPair // by the names of matrices, without .weight
}

// adapterPair are the matrices of one module: down is {rank, inputs} and up {outputs, rank}. Of an embedding down is {rank,
// vocabulary} in folders and {vocabulary, rank} in GGUF files.
type adapterPair struct {
	down, up  *storedTensor
	embedding bool
	scale     float64
	used      bool
}

// openAdapter reads the headers of an adapter for the model in base. The caller closes its container.
func openAdapter(ctx context.Context, base *container, o Adapter) (a *adapter, err error) {
	c, err := openContainer(ctx, o.Files)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	switch {
	case c.adapter == nil:
		return nil, fault.NewUnsupported("adapter", "the files hold no adapter")
	case c.adapter.unusable != nil:
		return nil, c.adapter.unusable
	case (c.gguf == nil) != (base.gguf == nil):
		return nil, fault.NewUnsupported("adapter", "a folder's matrices have other names and orders of rows than a GGUF file's; adapter and model must be alike")
	case c.gguf != nil && c.gguf.Text("general.architecture", "") != base.gguf.Text("general.architecture", ""):
		return nil, fault.NewUnsupported("adapter", "it is for the architecture %.80q", c.gguf.Text("general.architecture", ""))
	}
	if a, err = c.pairs(); err != nil {
		return nil, err
	}
	for _, p := range a.pairs {
		if o.Scale != 0 {
			p.scale *= float64(o.Scale)
		}
	}
	return a, nil
}

// pairs sorts the tensors of an adapter into the pairs of its modules, and compares them with what it says of itself.
func (c *container) pairs() (*adapter, error) {
	a := &adapter{c: c, pairs: map[string]*adapterPair{}}
	for i := range c.tensors {
		if err := a.add(&c.tensors[i]); err != nil {
			return nil, err
		}
	}
	for _, name := range sortedKeys(a.pairs) {
		p := a.pairs[name]
		if p.down == nil || p.up == nil {
			return nil, adapterError(name, "one of its two matrices is missing")
		}
		rank := p.up.shape[len(p.up.shape)-1]
		if rank < 1 || rank > maxRank {
			return nil, adapterError(name, "rank %d is not from 1 to %d", rank, maxRank)
		}
		var err error
		if p.scale, err = c.adapter.scale(name, rank); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// AdapterModule is one matrix that an adapter adds to, and the sizes of the two that it has for it.
type AdapterModule struct {
	Name                  string
	Rank, Inputs, Outputs int
	// Scale is the factor of their product.
	Scale float64
}

// InspectAdapter reads what an adapter holds, without the model that it is for: one entry for each module, in the order of their
// names. It returns a *MalformedError when matrices are missing, or do not fit each other or the configuration, an
// *UnsupportedError for files that hold no adapter, or one that cannot be applied here, and the errors of Inspect.
func InspectAdapter(ctx context.Context, files Files) (modules []AdapterModule, err error) {
	defer guard(&err)
	c, err := openContainer(ctx, files)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	switch {
	case c.adapter == nil:
		return nil, fault.NewUnsupported("adapter", "the files hold no adapter")
	case c.adapter.unusable != nil:
		return nil, c.adapter.unusable
	}
	a, err := c.pairs()
	if err != nil {
		return nil, err
	}
	for _, name := range sortedKeys(a.pairs) {
		p := a.pairs[name]
		last := len(p.up.shape) - 1
		m := AdapterModule{Name: name, Rank: p.up.shape[last], Outputs: p.up.shape[last-1], Scale: p.scale}
		low, in := p.down.shape[len(p.down.shape)-2], p.down.shape[len(p.down.shape)-1]
		if low != m.Rank && in == m.Rank && c.gguf != nil { // of an embedding
			low, in = in, low
		}
		if m.Inputs = in; low != m.Rank {
			return nil, adapterError(name, "its matrices have ranks %d and %d", low, m.Rank)
		}
		modules = append(modules, m)
	}
	return modules, nil
}

func adapterError(module, format string, args ...any) error {
	return &fault.Malformed{Format: "adapter", Where: module, Offset: -1, Reason: fmt.Sprintf(format, args...)}
}

type adapterSuffix struct {
	suffix        string
	up, embedding bool
}

// adapterSuffixes are what the names of an adapter's tensors end in.
var adapterSuffixes = []adapterSuffix{
	{".lora_A.weight", false, false},
	{".lora_B.weight", true, false},
	{".lora_embedding_A", false, true},
	{".lora_embedding_B", true, true},
	{".weight.lora_a", false, false},
	{".weight.lora_b", true, false},
}

// AdapterOutput reports whether a tensor of that name is the second matrix of an adapter's pair.
func AdapterOutput(name string) bool {
	return slices.ContainsFunc(adapterSuffixes, func(s adapterSuffix) bool { return s.up && strings.HasSuffix(name, s.suffix) })
}

// add files a tensor with the other one of its module.
func (a *adapter) add(t *storedTensor) error {
	if len(t.shape) != 2 && len(t.shape) != 3 {
		return adapterError(t.name, "shape %v is of no matrix", t.shape)
	}
	for _, s := range adapterSuffixes {
		module, ok := strings.CutSuffix(t.name, s.suffix)
		if !ok {
			continue
		}
		module = languageName(strings.TrimPrefix(module, "base_model.model."))
		p := a.pairs[module]
		if p == nil {
			p = &adapterPair{embedding: s.embedding}
			a.pairs[module] = p
		}
		to := &p.down
		if s.up {
			to = &p.up
		}
		if *to != nil || p.embedding != s.embedding {
			return adapterError(t.name, "the module has another matrix of the kind")
		}
		*to = t
		return nil
	}
	return fault.NewUnsupported("adapter", "tensor %.120q is no low-rank matrix", t.name)
}

// readAdapter sets what a container that holds an adapter says of itself.
func (c *container) readAdapter(ctx context.Context) (err error) {
	if c.gguf == nil {
		if c.config == nil && slices.Contains(c.files.Names(), adapterConfigName) {
			c.adapter, err = readAdapterConfig(ctx, c.files)
		}
		return err
	}
	if c.gguf.Text("general.type", "model") != "adapter" {
		return nil
	}
	a := &adapterConfig{alpha: c.gguf.Float("adapter.lora.alpha", 0)}
	if kind := c.gguf.Text("adapter.type", "lora"); kind != "lora" {
		a.unusable = fault.NewUnsupported("adapter", "%.40q instead of lora", kind)
	} else if _, ok := c.gguf.Value("adapter.alora.invocation_tokens"); ok {
		a.unusable = fault.NewUnsupported("adapter", "an adapter that some tokens turn on")
	}
	for _, key := range []string{"general.base_model.0.repo_url", "general.base_model.0.name"} {
		if a.base == "" {
			a.base = c.gguf.Text(key, "")
		}
	}
	for _, t := range c.tensors {
		if module, ok := strings.CutSuffix(t.name, ".weight.lora_b"); ok && len(t.shape) > 0 {
			a.modules = append(a.modules, module)
			rank := t.shape[len(t.shape)-1]
			a.rank = max(a.rank, rank)
			a.ranks = append(a.ranks, modulePattern{regexp.MustCompile("^" + regexp.QuoteMeta(module) + "$"), float64(rank)})
			if a.alpha == 0 { // stands for one that leaves the product as it is
				a.alphas = append(a.alphas, modulePattern{a.ranks[len(a.ranks)-1].name, float64(rank)})
			}
		}
	}
	c.adapter = a
	return nil
}
