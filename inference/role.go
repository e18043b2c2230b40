package inference

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/kernel"
	"github.com/carat-hub/carat/inference/tensor"
)

// Weight is a matrix or a vector of a model by what it is for. Halves of a tensor that holds several matrices are weights of
// their own, and rows are in the order of Hugging Face's files, also those of queries and keys that GGUF files have in another
// one. So a weight of a model and that of its quantization are comparable element by element.
type Weight struct {
	// Role says what the weight is for, whatever the files call it: "embedding", "output", "norm", "layers.3.q",
	// "layers.3.experts.5.down", and for biases "layers.3.q.bias". Of a model that is read by names it is the name.
	Role string
	// DType is the type of its elements: "BF16", "Q4_K", or the name of a packed layout. It is empty for a vector, which is
	// one row.
	DType      string
	Rows, Cols int

	matrix   *kernel.Matrix
	vector   []float32
	permuted int // heads whose rows lie in pairs; 0 for rows that lie as they are
}

// Row decodes row i into dst, which has Cols elements. It may be called from several goroutines at once.
func (w *Weight) Row(i int, dst []float32) error {
	if w.matrix == nil {
		if i != 0 || len(dst) != w.Cols {
			return fmt.Errorf("row %d into %d elements of a vector of %d", i, len(dst), w.Cols)
		}
		copy(dst, w.vector)
		return nil
	}
	if err := w.matrix.Row(unpaired(i, w.Rows, w.permuted), dst); err != nil {
		return err
	}
	if s := w.matrix.Scale; s != 1 {
		kernel.Scale(dst, s)
	}
	return nil
}

// unpaired returns where row i lies among rows of heads whose halves lie in turn: the j-th row of a head's first half at 2j, that
// of its second at 2j+1.
func unpaired(i, rows, heads int) int {
	if heads == 0 {
		return i
	}
	half := rows / heads / 2
	if half == 0 || i >= heads*2*half {
		return i
	}
	in := i % (2 * half)
	return i - in + in%half*2 + in/half
}

// RoleReader gives out the weights of a model by their roles, layer by layer, so that memory holds what is made of one layer.
type RoleReader struct {
	c      *container
	d      *Description
	b      *binder
	packed string // what matrices in packed layouts have as their type
	named  bool
}

// OpenRoles reads the headers of a model to give out its weights. The weights of an architecture whose graph is not known, and
// those of any with named, have their names as roles. Errors are those of Inspect.
func OpenRoles(ctx context.Context, files Files, named bool) (_ *RoleReader, err error) {
	defer guard(&err)
	c, err := openContainer(ctx, files)
	if err != nil {
		return nil, err
	}
	r := &RoleReader{c: c}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	if !named {
		err = r.bind(ctx)
	}
	if unknown := (*fault.Unsupported)(nil); named || errors.As(err, &unknown) {
		r.named, err = true, nil
	}
	return r, err
}

// bind finds out whether the graph of the model is known.
func (r *RoleReader) bind(ctx context.Context) (err error) {
	if r.d, err = r.c.describe(ctx); err != nil {
		return err
	}
	if _, err = bind(ctx, r.c, r.d, bindOptions{dry: true}); err != nil {
		return err
	}
	if q := r.c.config.quantization(); q != nil && r.c.gguf == nil {
		f := Facts{}
		if err := f.fromFolder(ctx, r.c); err != nil {
			return err
		}
		r.packed = f.Quantization
	}
	r.b, _, err = newBinder(r.c, r.d, bindOptions{})
	return err
}

// Close closes the files. The weights that were given out cannot be read any more.
func (r *RoleReader) Close() error { return r.c.close() }

// Named says that roles are names, as the graph of the model is not known or not asked for.
func (r *RoleReader) Named() bool { return r.named }

// Layers returns the number of layers, 0 for a model that is read by names.
func (r *RoleReader) Layers() int {
	if r.named {
		return 0
	}
	return r.d.Layers
}

// Ends returns the weights outside the layers, or all of a model that is read by names.
func (r *RoleReader) Ends(ctx context.Context) (_ []*Weight, err error) {
	defer guard(&err)
	if r.named {
		return r.all(ctx)
	}
	w, err := r.b.ends()
	if err != nil {
		return nil, err
	}
	if err := r.b.heads(w); err != nil {
		return nil, err
	}
	l := roleList{packed: r.packed}
	l.matrix("embedding", linear{Matrix: w.embedding}, 0)
	l.matrix("positions", linear{Matrix: w.positions}, 0)
	l.matrix("types", linear{Matrix: w.types}, 0)
	l.vector("relative", w.relative)
	l.norm("embedding_norm", w.embeddingNorm)
	l.norm("norm", w.norm)
	if w.output.Matrix != w.embedding {
		l.matrix("output", w.output, 0)
	}
	for name, h := range map[string]*head{"classifier": w.classifier, "tagger": w.tagger, "masked": w.masked} {
		if h == nil {
			continue
		}
		l.matrix(name+".dense", h.dense, 0)
		l.norm(name+".norm", h.norm)
		if h.out.Matrix != w.embedding {
			l.matrix(name+".out", h.out, 0)
		}
	}
	for i, d := range w.dense {
		l.matrix(fmt.Sprintf("dense.%d", i), d.linear, 0)
	}
	slices.SortFunc(l.weights, func(a, b *Weight) int { return strings.Compare(a.Role, b.Role) })
	return l.weights, nil
}

// Layer returns the weights of layer i.
func (r *RoleReader) Layer(ctx context.Context, i int) (_ []*Weight, err error) {
	defer guard(&err)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r.named || i < 0 || i >= r.d.Layers {
		return nil, fmt.Errorf("layer %d of %d", i, r.Layers())
	}
	w, err := r.b.layer(i)
	if err != nil {
		return nil, err
	}
	heads, kvHeads := 0, 0
	if f := r.d.family; r.c.gguf != nil && f.ropeAdjacent && !f.folderAdjacent {
		heads, kvHeads = r.d.Heads, r.d.KVHeads
	}
	l := roleList{prefix: fmt.Sprintf("layers.%d.", i), packed: r.packed}
	for _, n := range []struct {
		role string
		norm norm
	}{
		{"attention_norm", w.attentionNorm},
		{"post_attention_norm", w.postAttention},
		{"feed_norm", w.feedForwardNorm},
		{"post_feed_norm", w.postFeedForward},
		{"after_attention_norm", w.afterAttention},
		{"after_feed_norm", w.afterFeedForward},
		{"q_norm", w.queryNorm},
		{"k_norm", w.keyNorm},
	} {
		l.norm(n.role, n.norm)
	}
	l.matrix("q", w.q, heads)
	l.matrix("k", w.k, kvHeads)
	l.matrix("v", w.v, 0)
	l.matrix("o", w.o, 0)
	l.vector("sinks", w.sinks)
	if a := w.latent; a != nil {
		l.matrix("query_down", a.queryDown, 0)
		l.matrix("query_up", a.queryUp, 0)
		l.norm("query_down_norm", a.queryNorm)
		l.norm("latent_norm", a.norm)
		l.matrix("latent_down", a.down, 0)
		for h := range a.key {
			l.matrix(fmt.Sprintf("latent_key.%d", h), a.key[h], 0)
			l.matrix(fmt.Sprintf("latent_value.%d", h), a.value[h], 0)
		}
	}
	l.gated("", &w.feed)
	if e := w.experts; e != nil {
		l.matrix("router", e.router, 0)
		l.vector("selection", e.selection)
		for n := range e.each {
			l.gated(fmt.Sprintf("experts.%d.", n), &e.each[n])
		}
		if e.shared != nil {
			l.gated("shared.", e.shared)
		}
		l.matrix("shared_router", linear{Matrix: e.sharedRouter}, 0)
	}
	return l.weights, nil
}

// all returns every tensor whose elements can be decoded, with its name as its role.
func (r *RoleReader) all(ctx context.Context) ([]*Weight, error) {
	l := roleList{}
	for i := range r.c.tensors {
		t := r.c.tensors[i]
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, ok := tensor.Elements(t.shape)
		if !ok || n == 0 || !t.typ.Runnable() || t.unread != "" || t.shared {
			continue
		}
		if t.locate != nil {
			var err error
			if t.offset, err = t.locate(); err != nil {
				return nil, err
			}
		}
		cols := 1
		if len(t.shape) > 0 {
			cols = t.shape[len(t.shape)-1]
		}
		if _, whole := t.typ.Size(int64(cols)); !whole {
			continue
		}
		m, err := r.c.matrix(&t, 0, int(n)/cols, cols)
		if err != nil {
			return nil, err
		}
		l.matrix(t.name, linear{Matrix: m}, 0)
		if m.Rows == 1 {
			l.weights[len(l.weights)-1].DType = ""
		}
	}
	slices.SortFunc(l.weights, func(a, b *Weight) int { return strings.Compare(a.Role, b.Role) })
	return l.weights, nil
}

// roleList collects weights.
type roleList struct {
	prefix, packed string
	weights        []*Weight
}

func (l *roleList) matrix(role string, m linear, permuted int) {
	if m.Matrix == nil {
		return
	}
	w := &Weight{Role: l.prefix + role, DType: m.Type.String(), Rows: m.Rows, Cols: m.Cols, matrix: m.Matrix, permuted: permuted}
	if l.packed != "" && m.Type == tensor.F32 {
		w.DType = l.packed
	}
	l.weights = append(l.weights, w)
	if m.bias == nil {
		return
	}
	bias := make([]float32, len(m.bias))
	for i := range bias {
		bias[i] = m.bias[unpaired(i, len(bias), permuted)]
	}
	l.vector(role+".bias", bias)
}

func (l *roleList) vector(role string, v []float32) {
	if v != nil {
		l.weights = append(l.weights, &Weight{Role: l.prefix + role, Rows: 1, Cols: len(v), vector: v})
	}
}

func (l *roleList) norm(role string, n norm) {
	l.vector(role, n.weight)
	l.vector(role+".bias", n.bias)
}

func (l *roleList) gated(role string, g *gated) {
	l.matrix(role+"gate", g.gate, 0)
	l.matrix(role+"up", g.up, 0)
	l.matrix(role+"down", g.down, 0)
	l.vector(role+"divisor", g.divisor)
}
