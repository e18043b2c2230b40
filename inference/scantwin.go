package inference

import (
	"bytes"
	"context"

	"github.com/carat-hub/carat/inference/tensor"
)

// twins finds tensors with the same bytes. What a scan found serves as the hash: it is the same for the same bytes.
type twins struct {
	seen map[twinKey][]twin // the first tensors with the key that differ
	buf  [2]reader
}

type twin struct {
	t    *storedTensor
	file File
}

type twinKey struct {
	typ                 tensor.Type
	elements, zero, nan int64
	min, max, mean, rms float64
}

// maxTwins is with how many tensors that a scan cannot tell from it a tensor is compared.
const maxTwins = 4

func newTwins() *twins { return &twins{seen: map[twinKey][]twin{}} }

// find returns the name of the first tensor before j with the same bytes, "" when there is none.
func (w *twins) find(ctx context.Context, j *scanJob, s *TensorScan) (name string, err error) {
	defer guard(&err)
	if s.Elements == 0 {
		return "", nil
	}
	key := twinKey{j.t.typ, s.Elements, s.Zero, s.NaN, s.Min, s.Max, s.Mean, s.RMS}
	this := twin{j.t, j.file}
	for _, other := range w.seen[key] {
		same, err := w.same(ctx, this, other)
		if same || err != nil {
			return other.t.name, err
		}
	}
	if len(w.seen[key]) < maxTwins {
		w.seen[key] = append(w.seen[key], this)
	}
	return "", nil
}

// same compares the bytes of two tensors of the same type and number of elements.
func (w *twins) same(ctx context.Context, a, b twin) (bool, error) {
	if a.file == b.file && a.t.offset == b.t.offset {
		return true, nil
	}
	elements, _ := tensor.Elements(a.t.shape)
	size, _ := a.t.typ.Size(elements)
	for at := int64(0); at < size; at += chunkBytes {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		n := int(min(chunkBytes, size-at))
		x, err := w.buf[0].read(a.file, a.t.offset+at, n)
		if err != nil {
			return false, err
		}
		y, err := w.buf[1].read(b.file, b.t.offset+at, n)
		if err != nil {
			return false, err
		}
		if !bytes.Equal(x, y) {
			return false, nil
		}
	}
	return true, nil
}
