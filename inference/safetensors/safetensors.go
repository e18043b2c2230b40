package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/tensor"
)

// The limits of a header. MaxHeader is the format's own.
const (
	MaxHeader  = 100_000_000
	MaxTensors = 1 << 20
	maxDims    = 16
	maxName    = 1 << 16 // bytes
	maxEntries = 1 << 14 // of metadata
)

// tensorLimit is how many tensors a file of size bytes may list: a header of empty tensors would take many times its own size.
func tensorLimit(size int64) int { return int(min(MaxTensors, 1<<15+size/512)) }

// Tensor describes one tensor of a file.
type Tensor struct {
	Name string
	Type tensor.Type
	// Shape is row-major, outermost dimension first; a scalar has none.
	Shape []int
	// Offset is the byte offset of the data in the file and Size its length.
	Offset, Size int64
}

// File is the parsed header of one safetensors file. It holds no tensor data and does not use the reader after Read.
type File struct {
	// Metadata is the __metadata__ object; nil when there is none.
	Metadata map[string]string
	// Tensors is ordered by offset.
	Tensors []Tensor
}

var types = map[string]tensor.Type{
	"F64": tensor.F64, "F32": tensor.F32, "F16": tensor.F16, "BF16": tensor.BF16,
	"F8_E4M3": tensor.F8E4M3, "F8_E5M2": tensor.F8E5M2, "F8_E8M0": tensor.F8E8M0,
	"F8_E4M3FNUZ": tensor.F8E4M3FNUZ, "F8_E5M2FNUZ": tensor.F8E5M2FNUZ,
	"F6_E2M3": tensor.F6E2M3, "F6_E3M2": tensor.F6E3M2, "F4": tensor.F4, "C64": tensor.C64, "BOOL": tensor.Bool,
	"I8": tensor.I8, "I16": tensor.I16, "I32": tensor.I32, "I64": tensor.I64,
	"U8": tensor.U8, "U16": tensor.U16, "U32": tensor.U32, "U64": tensor.U64,
}

func malformed(where string, offset int64, format string, args ...any) error {
	return &fault.Malformed{Format: "safetensors", Where: where, Offset: offset, Reason: fmt.Sprintf(format, args...)}
}

// Read parses the header of a file of size bytes: one read of 8 bytes and one of the header. It returns a *fault.Malformed
// when the file breaks the format and the reader's error when reading fails. Nothing is allocated for a header longer than
// the file or than MaxHeader.
func Read(r io.ReaderAt, size int64) (*File, error) {
	var prefix [8]byte
	if size < 8 {
		return nil, malformed("", 0, "file has %d bytes, a header needs 8", size)
	}
	if err := readFull(r, prefix[:], 0); err != nil {
		return nil, fmt.Errorf("read safetensors header length: %w", err)
	}
	n := binary.LittleEndian.Uint64(prefix[:])
	switch {
	case n > MaxHeader:
		return nil, malformed("", 0, "header length %d exceeds the format's limit of %d", n, MaxHeader)
	case int64(n) > size-8:
		return nil, malformed("", 0, "header length %d exceeds the file of %d bytes", n, size)
	case n < 2:
		return nil, malformed("", 0, "header length %d holds no JSON object", n)
	}
	header := make([]byte, n)
	if err := readFull(r, header, 8); err != nil {
		return nil, fmt.Errorf("read safetensors header: %w", err)
	}
	if header[0] != '{' {
		return nil, malformed("", 8, "header does not begin with {")
	}
	f, err := parse(header, tensorLimit(size))
	if err != nil {
		return nil, err
	}
	return f, f.check(int64(n)+8, size)
}

func readFull(r io.ReaderAt, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func parse(header []byte, limit int) (*File, error) {
	f := &File{Tensors: make([]Tensor, 0, min(bytes.Count(header, []byte(`"dtype"`)), limit))}
	s := &scanner{b: header}
	hasMetadata := false
	err := s.object(func(name string) error {
		if strings.EqualFold(name, "__metadata__") {
			if name != "__metadata__" || hasMetadata {
				return malformed(name, int64(8+s.i), "__metadata__ given twice or misspelt")
			}
			hasMetadata = true
			return f.metadata(s)
		}
		if name == "" {
			return s.fail("tensor without a name")
		}
		if len(f.Tensors) == limit {
			return s.fail("more than %d tensors", limit)
		}
		dtype, shape, begin, end, err := s.entry(name)
		if err != nil {
			return err
		}
		typ, ok := types[dtype]
		if !ok {
			return malformed(name, int64(8+s.i), "unknown dtype %.40q", dtype)
		}
		f.Tensors = append(f.Tensors, Tensor{Name: name, Type: typ, Shape: shape, Offset: begin, Size: end - begin})
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.space()
	if s.i != len(header) {
		return nil, s.fail("bytes after the header object")
	}
	return f, nil
}

func (f *File) metadata(s *scanner) error {
	f.Metadata = map[string]string{}
	return s.object(func(key string) error {
		if _, twice := f.Metadata[key]; twice {
			return malformed("__metadata__", int64(8+s.i), "key %.80q given twice", key)
		}
		if len(f.Metadata) == maxEntries {
			return s.fail("more than %d entries of metadata", maxEntries)
		}
		value, err := s.str()
		f.Metadata[key] = value
		return err
	})
}

// check makes sure that names are unique, that shapes fit their spans and that the spans tile the data, and turns offsets
// relative to the data into offsets in the file.
func (f *File) check(dataStart, size int64) error {
	slices.SortFunc(f.Tensors, func(a, b Tensor) int { return strings.Compare(a.Name, b.Name) })
	for i := range f.Tensors {
		if i > 0 && f.Tensors[i].Name == f.Tensors[i-1].Name {
			return malformed(f.Tensors[i].Name, -1, "tensor given twice")
		}
	}
	slices.SortFunc(f.Tensors, func(a, b Tensor) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Size, b.Size), strings.Compare(a.Name, b.Name))
	})
	end := int64(0)
	for i := range f.Tensors {
		t := &f.Tensors[i]
		elements, ok := tensor.Elements(t.Shape)
		if !ok {
			return malformed(t.Name, -1, "the product of shape %v does not fit 63 bits", t.Shape)
		}
		want, ok := t.Type.Size(elements)
		switch {
		case !ok:
			return malformed(t.Name, -1, "shape %v of %s has no whole number of bytes", t.Shape, t.Type)
		case t.Size < 0:
			return malformed(t.Name, -1, "data ends at %d before it begins at %d", t.Offset+t.Size, t.Offset)
		case t.Size != want:
			return malformed(t.Name, -1, "shape %v of %s needs %d bytes, the data has %d", t.Shape, t.Type, want, t.Size)
		case t.Offset < end:
			return malformed(t.Name, -1, "data at %d overlaps the tensor that ends at %d", t.Offset, end)
		case t.Offset > end:
			return malformed(t.Name, -1, "hole in the data from %d to %d", end, t.Offset)
		case t.Size > size-dataStart-t.Offset:
			return malformed(t.Name, -1, "data ends at %d, the file holds %d bytes of data", t.Offset+t.Size, size-dataStart)
		}
		end = t.Offset + t.Size
		t.Offset += dataStart
	}
	if end != size-dataStart {
		return malformed("", dataStart+end, "%d bytes after the last tensor", size-dataStart-end)
	}
	return nil
}
