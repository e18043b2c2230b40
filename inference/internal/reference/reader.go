package reference

import (
	"fmt"
	"reflect"
	"sort"
	"strings"
)

// Files is a model as its files hold it: a configuration and tensors by name.
type Files struct {
	// GGUF says that Config is the metadata of a GGUF file. Otherwise it is a decoded config.json.
	GGUF    bool
	Config  map[string]any
	Tensors map[string]Tensor
}

// Read builds the model for sequences in a session of length positions, on which the angles of some rotary embeddings depend.
// It returns an error for an architecture that it does not know, for what the configuration or the tensors lack, and for
// tensors that have no part in the model.
func Read(f Files, length int) (m *Model, err error) {
	r := &reader{Files: f, length: length, used: map[string]bool{}, embeddingScale: 1, residualScale: 1, logitScale: 1}
	defer func() {
		if failed, ok := recover().(failure); ok {
			m, err = nil, failed.error
		}
	}()
	r.name = r.text("", "model_type", "")
	if f.GGUF {
		r.name, _ = f.Config["general.architecture"].(string)
	}
	a, ok := architectures[r.name]
	if !ok {
		return nil, fmt.Errorf("unknown architecture %q", r.name)
	}
	r.architecture = a
	r.names = map[string]string{}
	for _, pair := range strings.Fields(a.names) {
		role, name, _ := strings.Cut(pair, "=")
		r.names[role] = r.present(strings.ReplaceAll(name, "@", a.layers))
	}
	r.sizes()
	m = a.read(r)
	r.tensor("cls.output", ".weight") // of rerankers, no part of the logits
	var unused []string
	for name := range f.Tensors {
		if !r.used[name] && !r.predicts(name) {
			unused = append(unused, name)
		}
	}
	if sort.Strings(unused); unused != nil {
		return nil, fmt.Errorf("tensors without a part: %v", unused)
	}
	return m, nil
}

// architecture says how the files of one kind of model are to be understood.
type architecture struct {
	// names are the folder's names of the tensors, as pairs ROLE=NAME; roles are the names that GGUF files use. In a name @ stands
	// for layers, which has the number of the layer in place of %d, and a further %d for the number of an expert.
	names, layers string
	// prefix begins all names, unless no tensor's name begins with it.
	prefix string
	// ggufAdjacent and folderAdjacent say how elements are paired by the rotary embedding in the two kinds of files: the
	// converters to GGUF reorder the rows of some architectures.
	ggufAdjacent, folderAdjacent bool
	// epsilon is that of norms where the configuration does not say it; 0 means what decoders have.
	epsilon float64
	// layerNorm says that norms are LayerNorm, not RMSNorm. plusOne says that folders store their gains less one.
	layerNorm, plusOne bool
	// noGains says that norms have no tensors.
	noGains bool
	// activation is that of GGUF files, and of folders whose configuration names none.
	activation func(float64) float64
	// rotated is the part of a head that is rotated where the folder's configuration does not say it; 0 means all of it.
	rotated float64
	// grouped says that folders store queries, keys and values as one matrix, group by group: the heads of queries that share
	// a key, the key, the value. transposed says that folders store matrices with one row for each input. fusedGate says that
	// the rows of ffn_up are those of the gate and then those of the other half.
	grouped, transposed, fusedGate bool
	// fusedShared says of the shared expert in folders what fusedGate says of others. expertsTransposed and expertsAlternate say
	// that folders' joined matrices of experts have one row for each input, and the rows of gate and other half in turn.
	fusedShared, expertsTransposed, expertsAlternate bool
	// heads are what can follow an encoder, by the ends of the names of classes.
	heads map[string]headNames
	// feedFactors and expertFactors say that the .scale tensors of feed-forward matrices and of experts in GGUF files count.
	feedFactors, expertFactors bool
	read                       func(r *reader) *Model
}

// reader gives the numbers and tensors of a model.
type reader struct {
	Files
	architecture
	name   string
	names  map[string]string
	used   map[string]bool
	length int

	layerCount, hidden, headCount, kvHeads, headDim, context int
	predicting                                               int // layers that follow and predict further tokens
	eps                                                      float64
	// What the model multiplies and bounds; the functions of architectures change it before they call model.
	embeddingScale, residualScale, logitScale, logitCap float64
}

type failure struct{ error }

func (r *reader) fail(format string, args ...any) { panic(failure{fmt.Errorf(format, args...)}) }

// present returns a name without the prefix where no tensor has it.
func (r *reader) present(name string) string {
	for stored := range r.Tensors {
		if r.prefix == "" || strings.HasPrefix(stored, r.prefix) {
			return name
		}
	}
	return strings.TrimPrefix(name, r.prefix)
}

// predicts says whether a tensor belongs to the layers that predict further tokens, which have no part in the next one.
func (r *reader) predicts(name string) bool {
	for l := range r.predicting {
		prefix := "blk.%d."
		if !r.GGUF {
			prefix = r.layers
		}
		if strings.HasPrefix(name, fmt.Sprintf(prefix, r.layerCount+l)) {
			return true
		}
	}
	return false
}

// value returns what the configuration says: in GGUF files at the key gguf, below the architecture's name; in folders at the first
// of the keys in folder, which are divided by bars, that is there. A dot leads into an object.
func (r *reader) value(gguf, folder string) any {
	if r.GGUF {
		return r.Config[r.name+"."+gguf]
	}
	for _, path := range strings.Split(folder, "|") {
		var v any = r.Config
		for _, key := range strings.Split(path, ".") {
			object, _ := v.(map[string]any)
			v = object[key]
		}
		if v != nil {
			return v
		}
	}
	return nil
}

// number returns the number that the configuration says, or def.
func (r *reader) number(gguf, folder string, def float64) float64 {
	switch v := reflect.ValueOf(r.value(gguf, folder)); {
	case v.CanFloat():
		return v.Float()
	case v.CanInt():
		return float64(v.Int())
	case v.CanUint():
		return float64(v.Uint())
	}
	return def
}

// nonzero returns the number that the configuration says, or def where that is 0, which says nothing in many keys of GGUF files.
func (r *reader) nonzero(gguf, folder string, def float64) float64 {
	if n := r.number(gguf, folder, def); n != 0 {
		return n
	}
	return def
}

func (r *reader) integer(gguf, folder string, def int) int {
	return int(r.number(gguf, folder, float64(def)))
}

func (r *reader) text(gguf, folder, def string) string {
	if s, ok := r.value(gguf, folder).(string); ok {
		return s
	}
	return def
}

func (r *reader) truth(gguf, folder string, def bool) bool {
	if b, ok := r.value(gguf, folder).(bool); ok {
		return b
	}
	return def
}

// list returns the elements of an array, nil when there is none.
func (r *reader) list(gguf, folder string) []any {
	v := reflect.ValueOf(r.value(gguf, folder))
	if v.Kind() != reflect.Slice {
		return nil
	}
	var out []any
	for i := range v.Len() {
		out = append(out, v.Index(i).Interface())
	}
	return out
}

// sizes reads what all decoders have.
func (r *reader) sizes() {
	r.layerCount = r.integer("block_count", "num_hidden_layers|n_layer|n_layers", 0)
	if r.predicting = r.integer("nextn_predict_layers", "num_nextn_predict_layers", 0); r.GGUF {
		r.layerCount -= r.predicting
	}
	r.hidden = r.integer("embedding_length", "hidden_size|n_embd|d_model|dim", 0)
	r.headCount = r.integer("attention.head_count", "num_attention_heads|n_head|n_heads", 0)
	r.kvHeads = r.integer("attention.head_count_kv", "num_key_value_heads|num_kv_heads", r.headCount)
	r.context = r.integer("context_length", "max_position_embeddings|n_positions|max_seq_len", 0)
	if r.layerCount == 0 || r.hidden == 0 || r.headCount == 0 {
		r.fail("sizes are missing")
	}
	r.headDim = r.integer("attention.key_length", "head_dim", r.hidden/r.headCount)
	const folder = "rms_norm_eps|layer_norm_eps|layer_norm_epsilon|norm_epsilon|norm_eps"
	key, def := "attention.layer_norm_rms_epsilon", 1e-6
	if r.layerNorm && r.name != "phimoe" {
		key, def = "attention.layer_norm_epsilon", 1e-5
	}
	if r.epsilon != 0 {
		def = r.epsilon
	}
	r.eps = r.number(key, folder, def)
}

// stored returns the name of a role's tensor.
func (r *reader) stored(role string, numbers []int) string {
	pattern, ok := r.names[role]
	if r.GGUF {
		if pattern, ok = role, true; len(numbers) > 0 {
			pattern = "blk.%d." + role
		}
	}
	if !ok {
		return ""
	}
	for _, n := range numbers {
		pattern = strings.Replace(pattern, "%d", fmt.Sprint(n), 1)
	}
	return pattern
}

// tensor returns the tensor of a role whose name ends in suffix or, for a weight, in nothing. numbers are those of the layer and
// the expert.
func (r *reader) tensor(role, suffix string, numbers ...int) (Tensor, bool) {
	name := r.stored(role, numbers)
	if t, ok := r.Tensors[name+suffix]; ok {
		r.used[name+suffix] = true
		return t, true
	}
	t, ok := r.Tensors[name]
	if ok = ok && suffix == ".weight"; ok {
		r.used[name] = true
	}
	return t, ok
}

func (r *reader) has(role string, numbers ...int) bool {
	_, ok := r.tensor(role, ".weight", numbers...)
	return ok
}

// vector returns the elements of a tensor, nil when there is none.
func (r *reader) vector(role string, numbers ...int) []float64 {
	t, _ := r.tensor(role, ".weight", numbers...)
	return t.Data
}

// linear returns a matrix with its bias if there is one.
func (r *reader) linear(role string, numbers ...int) Linear {
	t, ok := r.tensor(role, ".weight", numbers...)
	if !ok {
		r.fail("no tensor %s %v (%s)", role, numbers, r.stored(role, numbers))
	}
	l := Linear{Weight: t.Rows(0, 1)}
	if r.transposed && !r.GGUF && len(numbers) > 0 {
		l = l.Transposed()
	}
	if bias, ok := r.tensor(role, ".bias", numbers...); ok {
		l.Bias = bias.Data
	}
	if r.GGUF && len(numbers) > 0 {
		l = r.factors(l, role, numbers[0], 0)
	}
	return l
}

// norm returns a norm, nil when there is no tensor for it.
func (r *reader) norm(role string, layer ...int) Norm {
	if gains := make([]float64, r.hidden); r.noGains && !strings.HasPrefix(role, "post_") && role != "token_embd_norm" {
		return r.normOf(Map(gains, func(float64) float64 { return 1 }), nil)
	}
	t, ok := r.tensor(role, ".weight", layer...)
	if !ok {
		return nil
	}
	bias, _ := r.tensor(role, ".bias", layer...)
	return r.normOf(t.Data, bias.Data)
}

func (r *reader) normOf(gain, bias []float64) Norm {
	if r.plusOne && !r.GGUF {
		gain = Map(gain, func(g float64) float64 { return g + 1 })
	}
	eps := r.eps
	if r.layerNorm {
		return func(x []float64) []float64 { return LayerNorm(x, gain, bias, eps) }
	}
	return func(x []float64) []float64 { return RMSNorm(x, gain, eps) }
}

// activationOf returns the activation that a folder names.
func (r *reader) activationOf() func(float64) float64 {
	name := r.text("", "hidden_activation|hidden_act|activation_function|activation", "")
	if r.GGUF || name == "" {
		return r.activation
	}
	f, ok := map[string]func(float64) float64{
		"silu": SiLU, "gelu": GELU, "gelu_new": GELUTanh, "gelu_fast": GELUTanh, "gelu_pytorch_tanh": GELUTanh, "relu": ReLU,
		"relu2": ReLUSquared, "quick_gelu": GELUQuick, "swiglu": SiLU,
	}[name]
	if !ok {
		r.fail("unknown activation %q", name)
	}
	return f
}
