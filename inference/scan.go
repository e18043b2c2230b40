package inference

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/carat-hub/carat/inference/tensor"
)

// TensorScan is what the values of one tensor look like.
type TensorScan struct {
	Name  string `json:"name"`
	DType string `json:"dtype"`
	Shape []int  `json:"shape"`
	// Skipped says why the values were not looked at: their type or layout cannot be decoded here. The rest is zero then.
	Skipped  string `json:"skipped,omitempty"`
	Elements int64  `json:"elements"`
	NaN      int64  `json:"nan"`
	Inf      int64  `json:"inf"`
	Zero     int64  `json:"zero"`
	// Min, Max, Mean and RMS are of the finite values.
	Min  float64 `json:"min"`
	Max  float64 `json:"max"`
	Mean float64 `json:"mean"`
	RMS  float64 `json:"rms"`
}

// scanElements is how many elements are decoded at once, a multiple of every block.
const scanElements = 1 << 16

// ScanTensors reads every tensor once, in the order of the files, and calls each with what it found. It works for
// architectures that cannot be run. Errors are those of Inspect, of each, and of reading.
func ScanTensors(ctx context.Context, files Files, each func(TensorScan) error) (err error) {
	c, err := openContainer(ctx, files)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	raw := make([]byte, 8*scanElements)
	values := make([]float32, scanElements)
	for _, t := range c.tensors {
		scan, err := c.scan(ctx, t, raw, values)
		if err != nil {
			return fmt.Errorf("scan tensor %.120q: %w", t.name, err)
		}
		if err := each(scan); err != nil {
			return err
		}
	}
	return nil
}

func (c *container) scan(ctx context.Context, t storedTensor, raw []byte, values []float32) (s TensorScan, err error) {
	defer guard(&err)
	s = TensorScan{Name: t.name, DType: t.typ.String(), Shape: slices.Clone(t.shape)}
	if !t.typ.Runnable() {
		s.Skipped = "values of type " + t.typ.String() + " cannot be decoded yet"
		return s, nil
	}
	if s.Skipped = t.unread; t.unread != "" {
		return s, nil
	}
	f, err := c.file(t.file)
	if err != nil {
		return s, err
	}
	if t.locate != nil {
		if t.offset, err = t.locate(); err != nil {
			return s, err
		}
	}
	left, _ := tensor.Elements(t.shape)
	s.Elements = left
	s.Min, s.Max = math.Inf(1), math.Inf(-1)
	var sum, squares float64
	for at := t.offset; left > 0; {
		if err := ctx.Err(); err != nil {
			return s, err
		}
		n := min(left, scanElements)
		size, _ := t.typ.Size(n)
		if got, err := f.ReadAt(raw[:size], at); int64(got) < size {
			return s, fmt.Errorf("read at %d: %w", at, err)
		}
		if err := tensor.Decode(t.typ, values[:n], raw[:size]); err != nil {
			return s, err
		}
		for _, v := range values[:n] {
			x := float64(v)
			switch {
			case x != x:
				s.NaN++
				continue
			case math.IsInf(x, 0):
				s.Inf++
				continue
			case x == 0:
				s.Zero++
			}
			s.Min, s.Max = math.Min(s.Min, x), math.Max(s.Max, x)
			sum += x
			squares += x * x
		}
		at, left = at+size, left-n
	}
	if finite := float64(s.Elements - s.NaN - s.Inf); finite > 0 {
		s.Mean, s.RMS = sum/finite, math.Sqrt(squares/finite)
	} else {
		s.Min, s.Max = 0, 0
	}
	return s, nil
}
