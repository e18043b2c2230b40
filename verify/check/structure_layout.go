package check

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path"
	"slices"

	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/inference/safetensors"
	"github.com/carat-hub/carat/verify"
)

// layoutCheck looks at the bytes of weights that belong to no tensor. That tensors do not overlap and lie inside their file,
// the readers of the headers see to; of safetensors, also that there is nothing between and behind them.
var layoutCheck = check{
	id: idLayout, level: verify.LevelQuick, after: []string{idHeaders},
	proves: "Header and tensors fill their files: no byte between or behind them can hold anything else.",
	run:    layOut,
}

type layoutEvidence struct {
	Files []fileLayout `json:"files,omitempty"` // the first few
}

// fileLayout tells what the bytes of a file are.
type fileLayout struct {
	File    string `json:"file"`
	Header  int64  `json:"header"`            // bytes up to the first tensor
	Tensors int64  `json:"tensors"`           // bytes of all tensors
	Padding int64  `json:"padding,omitempty"` // bytes that alignment needs
	Blank   int64  `json:"blank,omitempty"`   // spaces at the end of the header
	Holes   int64  `json:"holes,omitempty"`   // bytes between tensors that nothing needs
	Behind  int64  `json:"behind,omitempty"`  // bytes behind the last tensor that nothing needs
	Aligned bool   `json:"aligned"`           // tensors begin at multiples of 8 bytes, or of what the file says
}

// mostBlank is how many spaces a header may end with to be aligned, and to be written again with longer names.
const mostBlank = 64 << 10

func layOut(ctx context.Context, m *model) (finding, error) {
	var ev layoutEvidence
	var bad, odd []string
	files := 0
	for _, f := range m.part.files {
		if ctx.Err() != nil {
			return finding{}, context.Cause(ctx)
		}
		look := map[string]func(*verify.File, *fileLayout) ([]string, []string, error){".safetensors": safetensorsLayout, ".gguf": ggufLayout}[path.Ext(f.Path)]
		if look == nil || f.Packed {
			continue
		}
		l := fileLayout{File: storable(f.Path)}
		b, o, err := look(f, &l)
		if err != nil {
			return finding{}, err
		}
		files++
		for _, s := range b {
			bad = append(bad, l.File+": "+s)
		}
		for _, s := range o {
			odd = append(odd, l.File+": "+s)
		}
		if len(ev.Files) < maxNamed {
			ev.Files = append(ev.Files, l)
		}
	}
	switch {
	case files == 0:
		return skipped("the weights are in no format whose layout is known here"), nil
	case len(bad) > 0:
		return failed(ev, "%s", listed(bad)), nil
	case len(odd) > 0:
		return warned(ev, "%s", listed(odd)), nil
	}
	return passed(ev), nil
}

func safetensorsLayout(f *verify.File, l *fileLayout) (bad, odd []string, err error) {
	st, err := safetensors.Read(f, f.Size)
	if err != nil {
		return nil, nil, err
	}
	l.Header = f.Size
	for _, t := range st.Tensors {
		l.Tensors += t.Size
	}
	l.Header -= l.Tensors
	l.Aligned = l.Header%8 == 0
	tail := make([]byte, min(l.Header-8, 2*mostBlank))
	if _, err := io.ReadFull(io.NewSectionReader(f, l.Header-int64(len(tail)), int64(len(tail))), tail); err != nil {
		return nil, nil, err
	}
	for i := len(tail) - 1; i >= 0 && tail[i] <= ' '; i-- {
		l.Blank++
	}
	if l.Blank > mostBlank {
		odd = append(odd, fmt.Sprintf("the header ends with more than %d spaces", mostBlank))
	}
	for key, value := range st.Metadata {
		if len(value) > 1<<20 {
			odd = append(odd, fmt.Sprintf("the metadata %q have %d bytes", storable(key), len(value)))
		}
	}
	slices.Sort(odd)
	return nil, odd, nil
}

func ggufLayout(f *verify.File, l *fileLayout) (bad, odd []string, err error) {
	g, err := gguf.Read(f, f.Size)
	if err != nil || len(g.Tensors) == 0 {
		return nil, nil, err
	}
	l.Aligned = true
	listedOrder := slices.IsSortedFunc(g.Tensors, func(a, b gguf.Tensor) int { return cmp.Compare(a.Offset, b.Offset) })
	slices.SortFunc(g.Tensors, func(a, b gguf.Tensor) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Size, b.Size))
	})
	l.Header = g.Tensors[0].Offset
	dirty := false
	for i, t := range g.Tensors {
		l.Tensors += t.Size
		next := f.Size
		if i+1 < len(g.Tensors) {
			next = g.Tensors[i+1].Offset
		}
		end := t.Offset + t.Size
		pad := min((end+g.Alignment-1)/g.Alignment*g.Alignment, next) - end
		l.Padding += pad
		if i+1 < len(g.Tensors) {
			l.Holes += next - end - pad
		} else {
			l.Behind = next - end - pad
		}
		clean, err := zeros(f, end, pad)
		if err != nil {
			return nil, nil, err
		}
		dirty = dirty || !clean
	}
	if l.Holes > 0 {
		bad = append(bad, fmt.Sprintf("%d bytes between tensors belong to none", l.Holes))
	}
	if l.Behind > 0 {
		clean, err := zeros(f, f.Size-l.Behind, min(l.Behind, 1<<20))
		if err != nil {
			return nil, nil, err
		}
		if sentence := fmt.Sprintf("%d bytes lie behind the last tensor", l.Behind); clean && l.Behind <= 1<<20 {
			odd = append(odd, sentence+", all zero")
		} else {
			bad = append(bad, sentence)
		}
	}
	if dirty {
		odd = append(odd, "bytes that only align tensors are not zero")
	}
	if !listedOrder && len(bad) == 0 {
		odd = append(odd, "tensors are listed in another order than they lie in, which some programs refuse")
	}
	return bad, odd, nil
}

// zeros reports whether n bytes from off on are all zero.
func zeros(f *verify.File, off, n int64) (bool, error) {
	p := make([]byte, n)
	if n == 0 {
		return true, nil
	}
	if _, err := io.ReadFull(io.NewSectionReader(f, off, n), p); err != nil {
		return false, fmt.Errorf("read %s: %w", f.Path, err)
	}
	return !slices.ContainsFunc(p, func(b byte) bool { return b != 0 }), nil
}
