package gguf

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/carat-hub/carat/inference/internal/window"
	"github.com/carat-hub/carat/inference/tensor"
)

// Writer collects metadata and tensors and writes them as a version 3 file. The zero Writer is ready to use.
type Writer struct {
	head    []byte
	keys    int
	tensors []pending
	err     error
}

type pending struct {
	name  string
	typ   tensor.Type
	shape []int
	write func(io.Writer) error
}

// Set adds a metadata entry. value is a string, bool, uint16, int32, uint32, int64, uint64, float32, float64, or a slice of
// string, int32, uint32 or float32. Write reports a value of another type.
func (w *Writer) Set(key string, value any) {
	w.keys++
	w.str(key)
	switch v := value.(type) {
	case string:
		w.u32(uint32(String))
		w.str(v)
	case bool:
		w.u32(uint32(Bool))
		b := byte(0)
		if v {
			b = 1
		}
		w.head = append(w.head, b)
	case uint16:
		w.u32(uint32(Uint16))
		w.head = binary.LittleEndian.AppendUint16(w.head, v)
	case int32:
		w.u32(uint32(Int32))
		w.u32(uint32(v))
	case uint32:
		w.u32(uint32(Uint32))
		w.u32(v)
	case int64:
		w.u32(uint32(Int64))
		w.u64(uint64(v))
	case uint64:
		w.u32(uint32(Uint64))
		w.u64(v)
	case float32:
		w.u32(uint32(Float32))
		w.u32(math.Float32bits(v))
	case float64:
		w.u32(uint32(Float64))
		w.u64(math.Float64bits(v))
	case []string:
		array(w, String, v, w.str)
	case []int32:
		array(w, Int32, v, func(n int32) { w.u32(uint32(n)) })
	case []uint32:
		array(w, Uint32, v, w.u32)
	case []float32:
		array(w, Float32, v, func(f float32) { w.u32(math.Float32bits(f)) })
	default:
		w.err = fmt.Errorf("gguf key %s: cannot write a %T", key, value)
	}
}

func array[T any](w *Writer, k Kind, members []T, put func(T)) {
	w.u32(uint32(Array))
	w.u32(uint32(k))
	w.u64(uint64(len(members)))
	for _, m := range members {
		put(m)
	}
}

func (w *Writer) u32(n uint32) { w.head = binary.LittleEndian.AppendUint32(w.head, n) }
func (w *Writer) u64(n uint64) { w.head = binary.LittleEndian.AppendUint64(w.head, n) }

func (w *Writer) str(s string) {
	w.u64(uint64(len(s)))
	w.head = append(w.head, s...)
}

// Add adds a tensor. shape is row-major, outermost dimension first; data holds its blocks and is kept until Write.
func (w *Writer) Add(name string, t tensor.Type, shape []int, data []byte) {
	w.AddFrom(name, t, shape, func(out io.Writer) error {
		_, err := out.Write(data)
		return err
	})
}

// AddFrom is Add for data that write writes when the file gets to it, so that a file can be larger than memory.
func (w *Writer) AddFrom(name string, t tensor.Type, shape []int, write func(io.Writer) error) {
	w.tensors = append(w.tensors, pending{name, t, shape, write})
}

// Copy adds a metadata entry as f has it. It returns a *fault.Malformed when f has none of that name, and the reader's error.
func (w *Writer) Copy(f *File, key string) error {
	v, ok := f.values[key]
	if !ok {
		return malformed(key, -1, "missing")
	}
	var members []byte
	if v.Kind == Array {
		members = make([]byte, v.end-v.start)
		if err := window.ReadFull(f.r, members, v.start); err != nil {
			return fmt.Errorf("read gguf array %s: %w", key, err)
		}
	}
	w.keys++
	w.str(key)
	w.u32(uint32(v.Kind))
	switch v.Kind {
	case String:
		w.str(v.text)
	case Array:
		w.u32(uint32(v.Elem))
		w.u64(uint64(v.Len))
		w.head = append(w.head, members...)
	default:
		w.head = append(w.head, binary.LittleEndian.AppendUint64(nil, v.bits)[:v.Kind.size()]...)
	}
	return nil
}

// Write writes the file. It returns an error when a value or tensor given before cannot be written, or when out fails.
func (w *Writer) Write(out io.Writer) error {
	if w.err != nil {
		return w.err
	}
	const alignment = 32
	b := append([]byte("GGUF"), 3, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(w.tensors)))
	b = binary.LittleEndian.AppendUint64(b, uint64(w.keys))
	b = append(b, w.head...)
	offset := uint64(0)
	for _, t := range w.tensors {
		id, ok := t.typ.GGML()
		n, fits := tensor.Elements(t.shape)
		size, whole := t.typ.Size(n)
		if !ok || !fits || !whole || len(t.shape) > maxDims {
			return fmt.Errorf("gguf tensor %s: shape %v of %s", t.name, t.shape, t.typ)
		}
		b = binary.LittleEndian.AppendUint64(b, uint64(len(t.name)))
		b = append(b, t.name...)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(t.shape)))
		for i := len(t.shape) - 1; i >= 0; i-- {
			b = binary.LittleEndian.AppendUint64(b, uint64(t.shape[i]))
		}
		b = binary.LittleEndian.AppendUint32(b, id)
		b = binary.LittleEndian.AppendUint64(b, offset)
		offset += (uint64(size) + alignment - 1) / alignment * alignment
	}
	var zero [alignment]byte
	pad := func(n int64) []byte { return zero[:(alignment-n%alignment)%alignment] }
	b = append(b, pad(int64(len(b)))...)
	if _, err := out.Write(b); err != nil {
		return fmt.Errorf("write gguf head: %w", err)
	}
	for _, t := range w.tensors {
		n, _ := tensor.Elements(t.shape)
		size, _ := t.typ.Size(n)
		counted := &counter{w: out}
		if err := t.write(counted); err != nil {
			return fmt.Errorf("write gguf tensor %s: %w", t.name, err)
		}
		if counted.n != size {
			return fmt.Errorf("gguf tensor %s: %d bytes for shape %v of %s", t.name, counted.n, t.shape, t.typ)
		}
		if _, err := out.Write(pad(size)); err != nil {
			return fmt.Errorf("write gguf tensor %s: %w", t.name, err)
		}
	}
	return nil
}

// counter counts what is written through it.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
