package onnx

import (
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/tensor"
)

// Tensor is one initializer and where its data lies.
type Tensor struct {
	Name string
	// Scope names the graph that the tensor belongs to: "" for the model's own, otherwise "subgraph 2 (else_branch)" and the like.
	Scope string
	Type  DataType
	// Shape is row-major, outermost dimension first; a scalar has none.
	Shape []int
	// File is the slash-separated path of the file that holds the data, beside the model; "" for the model's own file.
	File string
	// Offset is the byte offset of the data in the file and Size its length.
	Offset, Size int64
	// Plain says that the data are the elements themselves, little-endian and in a row. Otherwise they are protobuf's numbers of
	// varying length, or strings.
	Plain bool
}

const tensorSize = int(unsafe.Sizeof(Tensor{}))

// SparseTensor is an initializer of which only some elements are stored.
type SparseTensor struct {
	// Shape is that of the whole; Values are its elements that are not zero, Indices their places.
	Shape           []int
	Values, Indices Tensor
}

// stored is what a TensorProto says of its data while it is read.
type stored struct {
	fields   int // with data, of any kind
	number   protowire.Number
	start    int64
	size     int64
	strings  int64
	external bool
	props    []Property
}

// tensor reads a TensorProto.
func (c *reader) tensor() (Tensor, error) {
	outer := c.where
	t := Tensor{Scope: c.scope}
	var s stored
	err := c.message(func(f field) (known bool, err error) {
		switch {
		case f == bytesField(1) || f == varintField(1):
			t.Shape, err = c.integers(t.Shape, f.typ, maxDims)
		case f == varintField(2):
			var n uint64
			n, err = c.varint()
			t.Type = dataType(n)
		case f.number == 3:
			err = fault.NewUnsupported("ONNX feature", "tensor %.80q in segments", t.Name)
		case f.number >= 4 && f.number <= 7 || f.number >= 9 && f.number <= 11:
			err = c.data(f, &s)
		case f == bytesField(8):
			t.Name, err = c.text("tensor name", MaxName)
			c.where = t.Name
		case f == bytesField(13):
			var p Property
			if len(s.props) == 16 {
				return true, c.fail("more than 16 properties of external data")
			}
			p, err = c.property(func() (string, error) { return c.text("value", MaxName) })
			s.props = append(s.props, p)
		case f == varintField(14):
			var n uint64
			n, err = c.varint()
			s.external = n == 1
			if err == nil && n > 1 {
				err = c.fail("unknown place of data %d", n)
			}
		default:
			return false, nil
		}
		return true, err
	})
	if err != nil {
		return t, err
	}
	err = c.place(&t, &s)
	c.where = outer
	return t, err
}

// data steps over a field with data and notes where it lies.
func (c *reader) data(f field, s *stored) error {
	start := c.pos
	if f.typ == protowire.BytesType {
		n, err := c.length()
		if err != nil {
			return err
		}
		start = c.pos
		c.pos += n
	} else if err := c.skip(f.typ); err != nil {
		return err
	}
	if f.number == 6 {
		s.strings++
	} else if s.fields > 0 && (f.number != s.number || f.number == 9) {
		return c.fail("data given twice, in fields %d and %d", s.number, f.number)
	}
	if s.fields == 0 {
		s.number, s.start = f.number, start
	}
	s.fields++
	s.size += c.pos - start
	return nil
}

// place checks that the data agrees with type and shape, and says where it lies.
func (c *reader) place(t *Tensor, s *stored) error {
	if t.Type == Undefined {
		return c.fail("tensor without a known element type")
	}
	elements, ok := tensor.Elements(t.Shape)
	if !ok {
		return c.fail("the product of shape %v does not fit 63 bits", t.Shape)
	}
	want, ok := t.Type.size(elements)
	if !ok {
		return c.fail("the size of shape %v does not fit 63 bits", t.Shape)
	}
	if s.external || len(s.props) > 0 && s.fields == 0 {
		if s.fields > 0 {
			return c.fail("data both inside and outside the file")
		}
		return c.placeOutside(t, s.props, want)
	}
	t.Offset, t.Size, t.Plain = s.start, s.size, s.fields <= 1
	switch s.number {
	case 0:
		t.Offset = c.pos
		if elements > 0 {
			return c.fail("%d elements, and no data", elements)
		}
	case 9:
		if t.Type == String || s.size != want {
			return c.fail("shape %v of %s needs %d bytes, the data has %d", t.Shape, t.Type, want, s.size)
		}
	case 6:
		if t.Plain = false; t.Type != String || s.strings != elements {
			return c.fail("%d strings as %d elements of %s", s.strings, elements, t.Type)
		}
	case 4, 10:
		if !t.Type.storedIn(s.number) || s.size != want {
			return c.fail("%d bytes of field %d as shape %v of %s", s.size, s.number, t.Shape, t.Type)
		}
	default:
		// A number takes one to ten bytes; two elements of four bits share one, and complex ones are not stored here.
		t.Plain = false
		if !t.Type.storedIn(s.number) || s.size < (elements+7)/8 || s.size/10 > elements {
			return c.fail("%d bytes of field %d as shape %v of %s", s.size, s.number, t.Shape, t.Type)
		}
	}
	return nil
}

// placeOutside reads the properties of data in another file.
func (c *reader) placeOutside(t *Tensor, props []Property, want int64) error {
	if t.Type == String {
		return c.fail("strings in another file")
	}
	seen := map[string]bool{}
	t.Size, t.Plain = want, true
	for _, p := range props {
		if seen[p.Key] {
			return c.fail("%s of external data given twice", p.Key)
		}
		seen[p.Key] = true
		switch p.Key {
		case "location":
			if !isLocal(p.Value) {
				return c.fail("external data in %.120q, which is no path below the model's folder", p.Value)
			}
			t.File = path.Clean(p.Value)
		case "offset", "length":
			n, err := strconv.ParseUint(p.Value, 10, 63)
			if err != nil {
				return c.fail("%s %.40q of external data is no number of 63 bits", p.Key, p.Value)
			}
			if p.Key == "offset" {
				t.Offset = int64(n)
			} else if int64(n) != want {
				return c.fail("shape %v of %s needs %d bytes, external data gives %d", t.Shape, t.Type, want, n)
			}
		}
	}
	if t.File == "" {
		return c.fail("external data without a location")
	}
	if t.Offset > math.MaxInt64-t.Size {
		return c.fail("external data from %d with %d bytes does not fit 63 bits", t.Offset, t.Size)
	}
	return nil
}

// isLocal reports whether a path stays in the model's folder, on every operating system.
func isLocal(p string) bool {
	p = strings.TrimPrefix(p, "./")
	return fs.ValidPath(p) && p != "." && !strings.ContainsAny(p, "\\:\x00")
}

// sparseTensor reads a SparseTensorProto.
func (c *reader) sparseTensor() (s SparseTensor, err error) {
	at := c.pos
	err = c.message(func(f field) (known bool, err error) {
		switch {
		case f == bytesField(1):
			s.Values, err = c.tensor()
		case f == bytesField(2):
			s.Indices, err = c.tensor()
		case f == bytesField(3) || f == varintField(3):
			s.Shape, err = c.integers(s.Shape, f.typ, maxDims)
		default:
			return false, nil
		}
		return true, err
	})
	if err != nil {
		return s, err
	}
	whole, ok := tensor.Elements(s.Shape)
	stored, _ := tensor.Elements(s.Values.Shape)
	places, _ := tensor.Elements(s.Indices.Shape)
	switch {
	case s.Values.Type == Undefined || s.Indices.Type != Int64:
		return s, malformed(s.Values.Name, at, "sparse tensor without values, or with indices of another type than INT64")
	case !ok || len(s.Values.Shape) != 1 || stored > whole:
		return s, malformed(s.Values.Name, at, "values of shape %v in a sparse tensor of shape %v", s.Values.Shape, s.Shape)
	case len(s.Indices.Shape) == 1 && places == stored:
	case len(s.Indices.Shape) == 2 && s.Indices.Shape[0] == s.Values.Shape[0] && s.Indices.Shape[1] == len(s.Shape):
	default:
		return s, malformed(s.Values.Name, at, "indices of shape %v for values of shape %v", s.Indices.Shape, s.Values.Shape)
	}
	return s, nil
}

// Files returns the other files that hold data of the model, each once, in the order in which they are named.
func (m *Model) Files() []string {
	var names []string
	seen := map[string]bool{"": true}
	for _, t := range m.all() {
		if !seen[t.File] {
			seen[t.File] = true
			names = append(names, t.File)
		}
	}
	return names
}

func (m *Model) all() []*Tensor {
	list := make([]*Tensor, 0, len(m.Tensors)+2*len(m.Sparse))
	for i := range m.Tensors {
		list = append(list, &m.Tensors[i])
	}
	for i := range m.Sparse {
		list = append(list, &m.Sparse[i].Values, &m.Sparse[i].Indices)
	}
	return list
}

// CheckExternal compares the data in other files with their sizes. size returns that of a file by its path; its errors are
// returned as they are. It returns a *fault.Malformed for data outside its file.
func (m *Model) CheckExternal(size func(file string) (int64, error)) error {
	sizes := map[string]int64{}
	for _, t := range m.all() {
		if t.File == "" {
			continue
		}
		n, ok := sizes[t.File]
		if !ok {
			var err error
			if n, err = size(t.File); err != nil {
				return err
			}
			sizes[t.File] = n
		}
		if t.Offset > n || t.Size > n-t.Offset {
			return malformed(t.Name, -1, "data from %d with %d bytes ends outside %s of %d bytes", t.Offset, t.Size, t.File, n)
		}
	}
	return nil
}
