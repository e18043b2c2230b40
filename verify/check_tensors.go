package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/tensor"
)

// tensorChunk is how many elements are decoded at once; a multiple of every block.
const tensorChunk = 64 << 10

// maxNamed is how many tensors the evidence names.
const maxNamed = 16

// tensorsCheck reads every weight once.
type tensorsCheck struct{}

func (tensorsCheck) id() string { return "tensors" }
func (tensorsCheck) proves() string {
	return "No weight is NaN or infinite, and no matrix is all zero."
}
func (tensorsCheck) after() []string { return []string{structureCheck{}.id()} }

type tensorsEvidence struct {
	Tensors    int      `json:"tensors"`
	Elements   int64    `json:"elements"`
	NaN        int64    `json:"nan"`
	Inf        int64    `json:"inf"`
	Zero       int64    `json:"zero"`                 // elements
	AllZero    []string `json:"allZero,omitempty"`    // tensors, the first few
	NotFinite  []string `json:"notFinite,omitempty"`  // tensors, the first few
	NotDecoded []string `json:"notDecoded,omitempty"` // element types that cannot be read here
	MaxAbs     float64  `json:"maxAbs"`               // rounded to 4 digits
}

func (tensorsCheck) run(ctx context.Context, m *model) (finding, error) {
	d, err := m.describe(ctx)
	if err != nil {
		return finding{}, err
	}
	list := d.weights
	ev := tensorsEvidence{Tensors: len(list)}
	var wrong []string
	for _, t := range list {
		s, err := scan(ctx, t)
		var unsupported *fault.Unsupported
		switch {
		case errors.As(err, &unsupported):
			ev.NotDecoded = addNamed(ev.NotDecoded, t.typ.String())
			continue
		case err != nil:
			return finding{}, fmt.Errorf("read tensor %q: %w", t.name, err)
		}
		wrong = append(wrong, s.judge(t, &ev)...)
		ev.Elements += s.elements
		ev.NaN += s.nan
		ev.Inf += s.inf
		ev.Zero += s.zero
		ev.MaxAbs = max(ev.MaxAbs, s.maxAbs)
	}
	ev.MaxAbs = rounded(ev.MaxAbs)
	switch {
	case len(wrong) > 0:
		return failed(ev, "%s", listed(wrong)), nil
	case len(ev.NotDecoded) > 0:
		return finding{evidence: ev}, &cannotRunError{"tensor type: " + strings.Join(ev.NotDecoded, ", ")}
	}
	return passed(ev), nil
}

// stats is what one pass over a tensor counts.
type stats struct {
	elements, nan, inf, zero int64
	maxAbs                   float64
}

// judge returns what is wrong with a tensor and names it in the evidence.
func (s stats) judge(t weight, ev *tensorsEvidence) []string {
	if s.nan+s.inf > 0 {
		ev.NotFinite = addNamed(ev.NotFinite, t.name)
		return []string{fmt.Sprintf("tensor %q has %d NaN and %d infinite values", t.name, s.nan, s.inf)}
	}
	if s.zero < s.elements || s.elements == 0 {
		return nil
	}
	ev.AllZero = addNamed(ev.AllZero, t.name)
	if len(t.shape) < 2 {
		return nil // a bias may well be zero
	}
	return []string{fmt.Sprintf("tensor %q is all zero", t.name)}
}

func addNamed(list []string, name string) []string {
	for _, n := range list {
		if n == name {
			return list
		}
	}
	if len(list) < maxNamed {
		list = append(list, name)
	}
	return list
}

// scan decodes a tensor in chunks and counts. Errors: *fault.Unsupported for
// an element type that cannot be decoded.
func scan(ctx context.Context, t weight) (stats, error) {
	if !t.typ.Runnable() {
		return stats{}, fault.NewUnsupported("tensor type", "%s", t.typ)
	}
	total, ok := tensor.Elements(t.shape)
	if !ok {
		return stats{}, errors.New("shape overflows")
	}
	s := stats{elements: total}
	values := make([]float32, min(total, tensorChunk))
	most, ok := t.typ.Size(int64(len(values)))
	if !ok {
		return stats{}, errors.New("element count is no multiple of the block")
	}
	raw := make([]byte, most)
	at := t.offset
	for left := total; left > 0; {
		if err := ctx.Err(); err != nil {
			return stats{}, context.Cause(ctx)
		}
		n := min(left, tensorChunk)
		size, ok := t.typ.Size(n)
		if !ok {
			return stats{}, errors.New("element count is no multiple of the block")
		}
		if _, err := io.ReadFull(io.NewSectionReader(t.file, at, size), raw[:size]); err != nil {
			return stats{}, err
		}
		if err := tensor.Decode(t.typ, values[:n], raw[:size]); err != nil {
			return stats{}, err
		}
		s.add(values[:n])
		at += size
		left -= n
	}
	return s, nil
}

func (s *stats) add(values []float32) {
	var largest float32
	var zero int64
	for _, v := range values {
		if v == 0 {
			zero++
		}
		if v < 0 {
			v = -v
		}
		if v != v {
			s.nan++
			continue
		}
		if v > math.MaxFloat32 {
			s.inf++
			continue
		}
		largest = max(largest, v)
	}
	s.zero += zero
	s.maxAbs = max(s.maxAbs, float64(largest))
}
