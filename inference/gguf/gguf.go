package gguf

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/internal/window"
	"github.com/carat-hub/carat/inference/tensor"
)

// The limits of a file's head.
const (
	MaxKeys    = 1 << 14
	MaxTensors = 1 << 16
	MaxKey     = 1<<16 - 1
	MaxName    = 1 << 10
	MaxString  = 16 << 20
	MaxArray   = 1 << 20
	maxDims    = 4
)

// Tensor describes one tensor of a file.
type Tensor struct {
	Name string
	Type tensor.Type
	// Shape is row-major, outermost dimension first: the reverse of the order in the file. A matrix is {rows, columns}.
	Shape []int
	// Offset is the byte offset of the data in the file and Size its length.
	Offset, Size int64
	// Part is the index of that file among the parts of a split model.
	Part int
}

// File is the parsed head of one GGUF file. It reads array members from the reader on demand and holds no tensor data.
type File struct {
	Version   uint32
	Alignment int64
	// Keys lists the metadata keys in file order.
	Keys []string
	// Tensors is in file order.
	Tensors []Tensor

	values map[string]Value
	r      io.ReaderAt
}

// Read parses the head of a file of size bytes. It returns a *fault.Malformed when the file breaks the format or a limit, a
// *fault.Unsupported for a version other than 2 and 3 or a big-endian file, and the reader's error when reading fails.
func Read(r io.ReaderAt, size int64) (*File, error) {
	c := &cursor{r: r, window: window.New(r, size, firstRead, readAhead), size: size}
	magic, err := c.u32()
	if err != nil {
		return nil, err
	}
	if magic != binary.LittleEndian.Uint32([]byte("GGUF")) {
		return nil, malformed("", 0, "file does not begin with GGUF")
	}
	f := &File{r: r, Alignment: 32, values: map[string]Value{}}
	if f.Version, err = c.u32(); err != nil {
		return nil, err
	}
	switch f.Version {
	case 2, 3:
	case 2 << 24, 3 << 24:
		return nil, fault.NewUnsupported("file format", "big-endian GGUF")
	default:
		return nil, fault.NewUnsupported("file format", "GGUF version %d (2 and 3 are read)", f.Version)
	}
	// A tensor info takes at least 33 bytes with a name of one letter, a metadata entry 14.
	tensors, err := c.length("tensor count", 33)
	if err != nil {
		return nil, err
	}
	keys, err := c.length("metadata count", 14)
	if err != nil {
		return nil, err
	}
	if tensors > MaxTensors || keys > MaxKeys {
		return nil, malformed("", 8, "%d tensors and %d keys exceed the limits of %d and %d", tensors, keys, MaxTensors, MaxKeys)
	}
	if err := f.readKeys(c, keys); err != nil {
		return nil, err
	}
	if err := f.readTensors(c, tensors); err != nil {
		return nil, err
	}
	return f, f.place(c.pos, size)
}

func (f *File) readKeys(c *cursor, n int64) error {
	for range n {
		c.where = ""
		at := c.pos
		key, err := c.str("key", MaxKey)
		if err != nil {
			return err
		}
		if key == "" {
			return malformed("", at, "empty key")
		}
		c.where = key
		if _, twice := f.values[key]; twice {
			return malformed(key, at, "key given twice")
		}
		if f.values[key], err = c.value(); err != nil {
			return err
		}
		f.Keys = append(f.Keys, key)
	}
	if v, ok := f.values["general.alignment"]; ok {
		n, isInt := v.Int()
		if !isInt || n < 8 || n > 1<<20 || n&(n-1) != 0 {
			return malformed("general.alignment", -1, "%s %d is no power of two from 8 to 1048576", v.Kind, n)
		}
		f.Alignment = n
	}
	return nil
}

func (f *File) readTensors(c *cursor, n int64) error {
	f.Tensors = make([]Tensor, 0, n)
	for range n {
		c.where = ""
		at := c.pos
		t := Tensor{}
		var err error
		if t.Name, err = c.str("tensor name", MaxName); err != nil {
			return err
		}
		if t.Name == "" {
			return malformed("", at, "tensor without a name")
		}
		c.where = t.Name
		dims, err := c.u32()
		if err != nil {
			return err
		}
		if dims > maxDims {
			return malformed(t.Name, c.pos-4, "%d dimensions exceed the limit of %d", dims, maxDims)
		}
		t.Shape = make([]int, dims)
		for i := range t.Shape {
			d, err := c.u64()
			if err != nil {
				return err
			}
			if d > 1<<62 || uint64(int(d)) != d {
				return malformed(t.Name, c.pos-8, "dimension %d does not fit", d)
			}
			t.Shape[len(t.Shape)-1-i] = int(d)
		}
		id, err := c.u32()
		if err != nil {
			return err
		}
		if t.Type = tensor.FromGGML(id); t.Type == tensor.Invalid {
			return malformed(t.Name, c.pos-4, "unknown tensor type %d", id)
		}
		offset, err := c.u64()
		if err != nil {
			return err
		}
		if offset > uint64(c.size) || offset%uint64(f.Alignment) != 0 {
			return malformed(t.Name, c.pos-8, "offset %d is outside the file or no multiple of %d", offset, f.Alignment)
		}
		t.Offset = int64(offset)
		f.Tensors = append(f.Tensors, t)
	}
	return nil
}

// place turns offsets relative to the data into offsets in the file and checks that tensors lie inside it, do not overlap
// and have names of their own.
func (f *File) place(headEnd, size int64) error {
	data := (headEnd + f.Alignment - 1) / f.Alignment * f.Alignment
	for i := range f.Tensors {
		t := &f.Tensors[i]
		elements, ok := tensor.Elements(t.Shape)
		if !ok {
			return malformed(t.Name, -1, "the product of shape %v does not fit 63 bits", t.Shape)
		}
		block, _ := t.Type.Block()
		if len(t.Shape) > 0 && t.Shape[len(t.Shape)-1]%block != 0 || len(t.Shape) == 0 && block != 1 {
			return malformed(t.Name, -1, "rows of shape %v are no multiple of the %d elements in a block of %s", t.Shape, block, t.Type)
		}
		if t.Size, ok = t.Type.Size(elements); !ok {
			return malformed(t.Name, -1, "the size of shape %v does not fit 63 bits", t.Shape)
		}
		t.Offset += data
		if t.Offset > size || t.Size > size-t.Offset {
			return malformed(t.Name, -1, "data from %d with %d bytes ends outside the file of %d bytes", t.Offset, t.Size, size)
		}
	}
	order := make([]*Tensor, len(f.Tensors))
	for i := range f.Tensors {
		order[i] = &f.Tensors[i]
	}
	slices.SortFunc(order, func(a, b *Tensor) int { return strings.Compare(a.Name, b.Name) })
	for i := 1; i < len(order); i++ {
		if order[i].Name == order[i-1].Name {
			return malformed(order[i].Name, -1, "tensor given twice")
		}
	}
	slices.SortFunc(order, func(a, b *Tensor) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Size, b.Size))
	})
	for i := 1; i < len(order); i++ {
		if before := order[i-1]; before.Offset+before.Size > order[i].Offset {
			return malformed(order[i].Name, -1, "data overlaps tensor %.80q", before.Name)
		}
	}
	return nil
}

// Value returns the metadata value of a key.
func (f *File) Value(key string) (v Value, ok bool) {
	v, ok = f.values[key]
	return v, ok
}

// Text returns the string value of a key, or def when it is missing or no string.
func (f *File) Text(key, def string) string {
	if s, ok := f.values[key].Text(); ok {
		return s
	}
	return def
}

// Int returns the integer value of a key, or def when it is missing or no integer.
func (f *File) Int(key string, def int64) int64 {
	v, ok := f.values[key]
	if n, isInt := v.Int(); ok && isInt {
		return n
	}
	return def
}

// Float returns the numeric value of a key, or def when it is missing or no number.
func (f *File) Float(key string, def float64) float64 {
	v, ok := f.values[key]
	if x, isNumber := v.Float(); ok && isNumber {
		return x
	}
	return def
}

// Bool returns the boolean value of a key, or def when it is missing or no boolean.
func (f *File) Bool(key string, def bool) bool {
	if b, ok := f.values[key].Bool(); ok {
		return b
	}
	return def
}

// members reads the bytes of an array whose element kind passes want.
func (f *File) members(key string, want func(Kind) bool) (Value, []byte, error) {
	v, ok := f.values[key]
	if !ok {
		return v, nil, malformed(key, -1, "missing")
	}
	if v.Kind != Array || !want(v.Elem) {
		return v, nil, malformed(key, -1, "has type %s of %s", v.Kind, v.Elem)
	}
	b := make([]byte, v.end-v.start)
	if err := window.ReadFull(f.r, b, v.start); err != nil {
		return v, nil, fmt.Errorf("read gguf array %s: %w", key, err)
	}
	return v, b, nil
}

// StringBytes returns the members of an array of strings, which share the memory of one read. It returns a *fault.Malformed when
// the key is missing or of another type.
func (f *File) StringBytes(key string) (iter.Seq[[]byte], error) {
	_, b, err := f.members(key, func(k Kind) bool { return k == String })
	if err != nil {
		return nil, err
	}
	for rest := b; len(rest) > 0; {
		if len(rest) < 8 || binary.LittleEndian.Uint64(rest) > uint64(len(rest)-8) {
			return nil, malformed(key, -1, "array changed while it was read")
		}
		rest = rest[8+binary.LittleEndian.Uint64(rest):]
	}
	return func(yield func([]byte) bool) {
		for rest := b; len(rest) > 0; {
			end := 8 + int(binary.LittleEndian.Uint64(rest))
			if !yield(rest[8:end:end]) {
				return
			}
			rest = rest[end:]
		}
	}, nil
}

// Strings reads an array of strings. It returns a *fault.Malformed when the key is missing or of another type.
func (f *File) Strings(key string) ([]string, error) {
	members, err := f.StringBytes(key)
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, f.values[key].Len)
	for b := range members {
		out = append(out, string(b))
	}
	return out, nil
}

// Ints reads an array of integers of any width. It returns a *fault.Malformed when the key is missing or of another type.
func (f *File) Ints(key string) ([]int64, error) {
	return numbers(f, key, asInt)
}

// Floats reads an array of numbers. It returns a *fault.Malformed when the key is missing or of another type.
func (f *File) Floats(key string) ([]float64, error) {
	return numbers(f, key, asFloat)
}

func numbers[T any](f *File, key string, as func(Kind, uint64) (T, bool)) ([]T, error) {
	v, b, err := f.members(key, func(k Kind) bool { _, ok := as(k, 0); return ok })
	if err != nil {
		return nil, err
	}
	out := make([]T, v.Len)
	width := v.Elem.size()
	for i := range out {
		x, ok := as(v.Elem, scalar(v.Elem, b[i*width:]))
		if !ok {
			return nil, malformed(key, v.start+int64(i*width), "member %d does not fit 63 bits", i)
		}
		out[i] = x
	}
	return out, nil
}
