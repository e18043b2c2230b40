package inference

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/inference/tensor"
)

// mix says which type the tensors of a quantized file get.
type mix struct {
	// fileType is its number in general.file_type.
	fileType uint32
	base     tensor.Type
	// output is that of the output layer, which suffers most; more that of the values and of the feed-forward layer's way back,
	// in the layers that uses more bits.
	output, more tensor.Type
}

// mixes are the types that Quantize knows, by the names that llama.cpp uses. A matrix has the base type, the output layer (also one
// that is the embedding) the output type; Q4_K_M gives more bits to the matrices that llama.cpp gives them to. "q4_k" is Q4_K
// throughout, but for the output layer.
var mixes = map[string]mix{
	"f32":    {0, tensor.F32, tensor.F32, tensor.F32},
	"f16":    {1, tensor.F16, tensor.F16, tensor.F16},
	"bf16":   {32, tensor.BF16, tensor.BF16, tensor.BF16},
	"q8_0":   {7, tensor.Q8_0, tensor.Q8_0, tensor.Q8_0},
	"q4_0":   {2, tensor.Q4_0, tensor.Q6K, tensor.Q4_0},
	"q4_k":   {14, tensor.Q4K, tensor.Q6K, tensor.Q4K},
	"q4_k_m": {15, tensor.Q4K, tensor.Q6K, tensor.Q6K},
	"q6_k":   {18, tensor.Q6K, tensor.Q6K, tensor.Q6K},
}

// QuantizeTypes returns the types that Quantize knows.
func QuantizeTypes() []string { return sortedKeys(mixes) }

// QuantizeOptions are the choices for Quantize.
type QuantizeOptions struct {
	// Type is one of QuantizeTypes.
	Type string
	// Name is written as general.name of a file made from a folder.
	Name string
	// Progress is called with how many tensors are written, and how many there are.
	Progress func(done, tensors int)
}

// quantizable is a tensor of a file to be written.
type quantizable struct {
	name   string
	source storedTensor
	// permuted is the number of heads whose rows, stored as halves, become pairs; 0 leaves rows where they are.
	permuted int
	layer    int // -1 for none
}

// Quantize writes a model as one GGUF file, with its matrices stored in another type, tensor by tensor, so that memory holds a few
// rows. The model is GGUF, of which all keys are kept, or safetensors of an architecture that is laid out as Llama is, with
// its tokenizer. Where rows are no multiple of a type's block, Q8_0 takes its place, and F16 where they are none of that either.
//
// It returns an *UnsupportedError for a type, architecture or tokenizer that cannot be written, and the errors of Open and of out.
func Quantize(ctx context.Context, files Files, out io.Writer, o QuantizeOptions) (err error) {
	mix, ok := mixes[o.Type]
	if !ok {
		return fault.NewUnsupported("quantization", "type %.40q; there are %s", o.Type, strings.Join(QuantizeTypes(), ", "))
	}
	c, err := openContainer(ctx, files)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	var w gguf.Writer
	var tensors []quantizable
	if c.gguf != nil {
		tensors, err = c.copyGGUF(&w)
	} else {
		tensors, err = c.convert(ctx, &w, o.Name)
	}
	if err != nil {
		return err
	}
	w.Set("general.quantization_version", uint32(2))
	w.Set("general.file_type", mix.fileType)
	if o.Progress == nil {
		o.Progress = func(int, int) {}
	}
	layers, tied := 0, true
	for _, t := range tensors {
		layers = max(layers, t.layer+1)
		tied = tied && t.name != "output.weight"
	}
	for i, t := range tensors {
		typ := mix.typeOf(&t, layers, tied)
		w.AddFrom(t.name, typ, t.source.shape, func(out io.Writer) error {
			if err := c.requantize(ctx, out, &t, typ); err != nil {
				return err
			}
			o.Progress(i+1, len(tensors))
			return nil
		})
	}
	return w.Write(out)
}

// typeOf returns what a tensor is stored as.
func (m mix) typeOf(t *quantizable, layers int, tied bool) tensor.Type {
	shape := t.source.shape
	if len(shape) < 2 || !strings.HasSuffix(t.name, ".weight") || strings.Contains(t.name, "_norm.") {
		return tensor.F32
	}
	for _, small := range []string{"ffn_gate_inp", "position_embd", "rope_freqs", "token_types"} {
		if strings.Contains(t.name, small) {
			return tensor.F32
		}
	}
	typ := m.base
	switch {
	case t.name == "output.weight" || tied && t.name == "token_embd.weight":
		typ = m.output
	case (strings.Contains(t.name, ".attn_v.") || strings.Contains(t.name, ".ffn_down")) && moreBits(t.layer, layers):
		typ = m.more
	}
	for _, candidate := range []tensor.Type{typ, tensor.Q8_0} {
		if block, _ := candidate.Block(); shape[len(shape)-1]%block == 0 {
			return candidate
		}
	}
	return tensor.F16
}

// moreBits says in which layers llama.cpp's mixtures spend more: the first and last eighth, and every third between.
func moreBits(layer, layers int) bool {
	return layer < layers/8 || layer >= 7*layers/8 || (layer-layers/8)%3 == 2
}

// copyGGUF copies all keys but those that Quantize sets, and lists all tensors.
func (c *container) copyGGUF(w *gguf.Writer) ([]quantizable, error) {
	for _, key := range c.gguf.Keys {
		switch key {
		case "general.quantization_version", "general.file_type", "general.alignment", "split.no", "split.count", "split.tensors.count":
			continue
		}
		if err := w.Copy(c.gguf, key); err != nil {
			return nil, err
		}
	}
	tensors := make([]quantizable, 0, len(c.tensors))
	for _, t := range c.tensors {
		q := quantizable{name: t.name, source: t, layer: -1}
		if _, err := fmt.Sscanf(t.name, "blk.%d.", &q.layer); err != nil {
			q.layer = -1
		}
		tensors = append(tensors, q)
	}
	return tensors, nil
}

// quantizeElements is about how many elements are in memory at once.
const quantizeElements = 1 << 20

// requantize writes a tensor in another type, some rows at a time.
func (c *container) requantize(ctx context.Context, out io.Writer, t *quantizable, typ tensor.Type) error {
	s := &t.source
	if s.packed != nil || !s.typ.Runnable() {
		return fault.NewUnsupported("quantization", "tensor %.120q of type %s", s.name, s.typ)
	}
	f, err := c.file(s.file)
	if err != nil {
		return err
	}
	elements, _ := tensor.Elements(s.shape)
	if elements == 0 {
		return nil
	}
	cols := int64(1) // a bias of permuted rows has one element for each
	if len(s.shape) > 1 || len(s.shape) == 1 && t.permuted == 0 {
		cols = int64(s.shape[len(s.shape)-1])
	}
	rows := elements / cols
	rowSize, ok := s.typ.Size(cols)
	outSize, fits := typ.Size(cols)
	if !ok || !fits {
		return fmt.Errorf("rows of %d elements of %s do not become %s", cols, s.typ, typ)
	}
	step := max(1, min(rows, quantizeElements/cols))
	raw, values, encoded := make([]byte, step*rowSize), make([]float32, step*cols), make([]byte, step*outSize)
	for first := int64(0); first < rows; first += step {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(step, rows-first)
		if err := t.read(f, raw[:n*rowSize], first, n, rows, rowSize); err != nil {
			return err
		}
		err := inParts(n, func(from, to int64) error {
			if err := tensor.Decode(s.typ, values[from*cols:to*cols], raw[from*rowSize:to*rowSize]); err != nil {
				return err
			}
			return tensor.Encode(typ, encoded[from*outSize:to*outSize], values[from*cols:to*cols])
		})
		if err != nil {
			return err
		}
		if _, err := out.Write(encoded[:n*outSize]); err != nil {
			return err
		}
	}
	return nil
}

// inParts calls f for parts of n rows on all processors at once.
func inParts(n int64, f func(from, to int64) error) error {
	parts := min(n, int64(runtime.GOMAXPROCS(0)))
	errs := make([]error, parts)
	var wg sync.WaitGroup
	for i := range parts {
		wg.Go(func() { errs[i] = f(n*i/parts, n*(i+1)/parts) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// read reads n rows of the result from the first-th on, which need not lie in a row.
func (t *quantizable) read(f io.ReaderAt, raw []byte, first, n, rows, rowSize int64) error {
	at := func(b []byte, row int64) error {
		if got, err := f.ReadAt(b, t.source.offset+row*rowSize); got < len(b) {
			return fmt.Errorf("read: %w", err)
		}
		return nil
	}
	if t.permuted == 0 {
		return at(raw, first)
	}
	half := rows / int64(t.permuted) / 2
	for i := range n {
		// Rows 2j and 2j+1 of a head are the j-th of its first and of its second half.
		head, in := (first+i)/(2*half), (first+i)%(2*half)
		if err := at(raw[i*rowSize:(i+1)*rowSize], head*2*half+in%2*half+in/2); err != nil {
			return err
		}
	}
	return nil
}

// inOrder puts tensors before and after the layers around those, as the files of llama.cpp have it.
func inOrder(tensors []quantizable) {
	slices.SortStableFunc(tensors, func(a, b quantizable) int {
		place := func(t quantizable) int {
			if t.layer < 0 && strings.HasPrefix(t.name, "output") {
				return 1 << 30
			}
			return t.layer
		}
		return place(a) - place(b)
	})
}
