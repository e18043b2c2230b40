package pickle

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/tensor"
)

// The limits of a checkpoint.
const (
	MaxTensors = 1 << 17
	maxDims    = 64
	maxDepth   = 64
	maxPath    = 2 << 10 // bytes of a tensor's name
)

// Tensor is one tensor of a checkpoint: a view of a storage.
type Tensor struct {
	// Name is made of the keys on the way to the tensor, with dots between them.
	Name string
	Type tensor.Type
	// Shape is row-major, outermost dimension first; Stride tells for each dimension how many elements lie between neighbours.
	Shape, Stride []int
	// Storage names the storage. Begin is where the tensor begins in it, in elements.
	Storage string
	Begin   int64
	// Size is how many bytes the elements take in a row.
	Size int64
	// Contiguous says that they lie in a row.
	Contiguous bool
	// Shared says that an earlier tensor has the same elements, as with tied weights.
	Shared bool

	store *storage
}

// storage is a row of bytes that tensors are views of.
type storage struct {
	key   string
	typ   tensor.Type // Invalid for bytes without a type
	count int64       // elements, or bytes without a type
	// locate returns where the bytes begin in the file.
	locate func() (int64, error)
}

// storageTypes are the classes of typed storages in module torch.
var storageTypes = map[string]tensor.Type{
	"DoubleStorage": tensor.F64, "FloatStorage": tensor.F32, "HalfStorage": tensor.F16, "BFloat16Storage": tensor.BF16,
	"LongStorage": tensor.I64, "IntStorage": tensor.I32, "ShortStorage": tensor.I16, "CharStorage": tensor.I8,
	"ByteStorage": tensor.U8, "BoolStorage": tensor.Bool, "ComplexFloatStorage": tensor.C64, "ComplexDoubleStorage": tensor.C128,
	"QInt8Storage": tensor.I8, "QUInt8Storage": tensor.U8, "QInt32Storage": tensor.I32, "QUInt4x2Storage": tensor.U4,
	"QUInt2x4Storage": tensor.U2,
}

// dtypes are the element types by their names in module torch. Those without a type of package tensor are known and not read.
var dtypes = map[string]tensor.Type{
	"float64": tensor.F64, "double": tensor.F64, "float32": tensor.F32, "float": tensor.F32, "float16": tensor.F16, "half": tensor.F16,
	"bfloat16": tensor.BF16, "float8_e4m3fn": tensor.F8E4M3, "float8_e4m3fnuz": tensor.F8E4M3FNUZ, "float8_e5m2": tensor.F8E5M2,
	"float8_e5m2fnuz": tensor.F8E5M2FNUZ, "float8_e8m0fnu": tensor.F8E8M0, "complex64": tensor.C64, "complex128": tensor.C128,
	"int8": tensor.I8, "int16": tensor.I16, "short": tensor.I16, "int32": tensor.I32, "int": tensor.I32, "int64": tensor.I64,
	"long": tensor.I64, "uint8": tensor.U8, "uint16": tensor.U16, "uint32": tensor.U32, "uint64": tensor.U64, "bool": tensor.Bool,
	"qint8": tensor.I8, "quint8": tensor.U8, "qint32": tensor.I32, "quint4x2": tensor.U4, "quint2x4": tensor.U2,
	"float4_e2m1fn_x2": tensor.Invalid, "complex32": tensor.Invalid,
	"uint1": tensor.Invalid, "uint2": tensor.Invalid, "uint3": tensor.Invalid, "uint4": tensor.Invalid, "uint5": tensor.Invalid,
	"uint6": tensor.Invalid, "uint7": tensor.Invalid, "int1": tensor.Invalid, "int2": tensor.Invalid, "int3": tensor.Invalid,
	"int4": tensor.Invalid, "int5": tensor.Invalid, "int6": tensor.Invalid, "int7": tensor.Invalid,
}

// bytesOf returns the bytes of n elements in a row.
func bytesOf(t tensor.Type, n int64) (int64, bool) {
	block, _ := t.Block()
	if block == 0 || n < 0 || n > math.MaxInt64-int64(block) {
		return 0, false
	}
	return t.Size((n + int64(block) - 1) / int64(block) * int64(block))
}

// collector finds the tensors in what a pickle builds.
type collector struct {
	*machine
	tensors []Tensor
	// resolve finds the storage that a persistent reference names.
	resolve func(p *Persistent) (*storage, error)
	seen    map[any]bool
	views   map[view]bool
}

// view is what makes two tensors the same.
type view struct {
	store *storage
	begin int64
	shape string
}

func (c *collector) bad(name, format string, args ...any) error {
	return &fault.Malformed{Format: "pytorch", Where: name, Offset: -1, Reason: fmt.Sprintf(format, args...)}
}

// collect lists the tensors below v, which is found at path.
func (c *collector) collect(v Value, path string, depth int) error {
	if depth > maxDepth {
		return c.bad(path, "more than %d levels of containers", maxDepth)
	}
	switch v := v.(type) {
	case *Object:
		done, err := c.rebuilt(v, path, depth)
		if done || err != nil || !c.first(v) {
			return err
		}
		for _, part := range []Value{v.Args, &v.Entries, &v.Items, v.State} {
			if err := c.collect(part, path, depth+1); err != nil {
				return err
			}
		}
	case *Dict:
		if !c.first(v) {
			return nil
		}
		for i, k := range v.Keys {
			if err := c.collect(v.Values[i], c.join(path, k), depth+1); err != nil {
				return err
			}
		}
	case *List, *Tuple:
		if !c.first(v) {
			return nil
		}
		list, _ := items(v)
		for i, member := range list {
			switch member.(type) {
			case *Object, *Dict, *List, *Tuple:
				if err := c.collect(member, c.join(path, int64(i)), depth+1); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// first reports whether a container is met for the first time: values may contain themselves.
func (c *collector) first(v any) bool {
	if c.seen[v] || !c.keep(objectSize) {
		return false
	}
	c.seen[v] = true
	return true
}

// join appends a key to a path. The containers of a module's parts are left out, as a state dictionary does.
func (c *collector) join(path string, key Value) string {
	name := "?"
	switch key := key.(type) {
	case string:
		name = key
	case int64:
		name = strconv.FormatInt(key, 10)
	}
	switch {
	case name == "_parameters" || name == "_buffers" || name == "_modules":
		return path
	case len(path)+len(name) > maxPath:
		return path // the tensor's name will be refused where it is one
	case path == "":
		return name
	}
	return path + "." + name
}

// rebuilt lists the tensor that a call rebuilds; done is false for any other call.
func (c *collector) rebuilt(o *Object, path string, depth int) (done bool, err error) {
	class, _ := o.Class.(*Global)
	args, _ := items(o.Args)
	if class == nil {
		return false, nil
	}
	if state, ok := items(o.State); ok && len(state) == 4 && class.Module == "torch" {
		// What Tensor.__setstate__ got before there were functions to rebuild tensors.
		if p, ok := state[0].(*Persistent); ok {
			return true, c.add(path, p, state[1:], nil)
		}
	}
	if *class == (Global{"torch._tensor", "_rebuild_from_type_v2"}) && len(args) == 4 {
		return true, c.collect(&Object{Op: o.Op, Class: args[0], Args: args[2]}, path, depth+1)
	}
	if class.Module != "torch._utils" || len(args) == 0 {
		return false, nil
	}
	p, ok := args[0].(*Persistent)
	switch class.Name {
	case "_rebuild_parameter", "_rebuild_parameter_with_state", "_rebuild_device_tensor_from_cpu_tensor":
		return true, c.collect(args[0], path, depth+1)
	case "_rebuild_meta_tensor_no_storage":
		return true, nil // it has no data
	case "_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_qtensor":
		if !ok || len(args) < 4 {
			return true, c.bad(path, "%s without a storage, place, shape and strides", class.Name)
		}
		if err := c.add(path, p, args[1:4], nil); err != nil || class.Name != "_rebuild_qtensor" || len(args) < 5 {
			return true, err
		}
		return true, c.collect(args[4], path+".quantizer", depth+1)
	case "_rebuild_tensor_v3":
		if !ok || len(args) < 7 {
			return true, c.bad(path, "%s without a storage, place, shape, strides and type", class.Name)
		}
		dtype, _ := args[6].(*Global)
		if dtype == nil || dtype.Module != "torch" {
			return true, c.bad(path, "the element type is no type of PyTorch")
		}
		return true, c.add(path, p, args[1:4], dtype)
	}
	return false, nil
}

// add lists a tensor: place has where it begins, its shape and its strides.
func (c *collector) add(name string, p *Persistent, place []Value, dtype *Global) error {
	if name == "" {
		name = "tensor" // the file holds one and nothing else
	}
	if len(name) >= maxPath {
		return c.bad(name[:64], "the name has more than %d bytes", maxPath)
	}
	if len(c.tensors) == MaxTensors || !c.keep(512+len(name)) {
		return c.bad(name, "more than %d tensors, or too many for the size of the file", MaxTensors)
	}
	store, err := c.resolve(p)
	if err != nil {
		return fmt.Errorf("tensor %.120q: %w", name, err)
	}
	begin, ok := integer(place[0])
	shape, okShape := integers(place[1])
	stride, okStride := integers(place[2])
	if !ok || !okShape || !okStride || len(shape) != len(stride) {
		return c.bad(name, "place, shape or strides are no numbers, or as many of one as of the other")
	}
	t := Tensor{Name: name, Type: store.typ, Shape: shape, Stride: stride, Storage: store.key, Begin: int64(begin), store: store}
	if dtype != nil {
		t.Type = dtypes[dtype.Name]
	}
	if t.Type == tensor.Invalid {
		return fault.NewUnsupported("tensor type", "tensor %.120q of a type that is not known here", name)
	}
	if err := c.check(&t); err != nil {
		return err
	}
	v := view{store, t.Begin, fmt.Sprint(t.Shape, t.Stride, t.Type)}
	t.Shared = c.views[v]
	c.views[v] = true
	c.tensors = append(c.tensors, t)
	return nil
}

// check makes sure that a tensor lies inside its storage.
func (c *collector) check(t *Tensor) error {
	elements, ok := tensor.Elements(t.Shape)
	if !ok {
		return c.bad(t.Name, "the product of shape %v does not fit 63 bits", t.Shape)
	}
	if t.Size, ok = bytesOf(t.Type, elements); !ok {
		return c.bad(t.Name, "the size of shape %v does not fit 63 bits", t.Shape)
	}
	t.Contiguous = true
	last := uint64(t.Begin) // the last element that is looked at
	step := uint64(1)       // the stride of a row-major tensor
	for i := len(t.Shape) - 1; i >= 0 && elements > 0; i-- {
		d, s := uint64(t.Shape[i]), uint64(t.Stride[i])
		if d > 1 && s != step {
			t.Contiguous = false
		}
		step *= d // a factor of elements, so it fits
		hi, lo := bits.Mul64(d-1, s)
		if last += lo; hi != 0 || lo > math.MaxInt64 || last > math.MaxInt64 {
			return c.bad(t.Name, "strides %v do not fit 63 bits", t.Stride)
		}
	}
	has := t.store.count
	if t.store.typ == tensor.Invalid {
		block, bytes := t.Type.Block()
		has = has / int64(bytes) * int64(block)
	} else if t.store.typ != t.Type {
		return c.bad(t.Name, "elements of %s in a storage of %s", t.Type, t.store.typ)
	}
	if elements > 0 && last >= uint64(has) {
		return c.bad(t.Name, "shape %v with strides %v from %d ends outside storage %.40q of %d elements", t.Shape, t.Stride, t.Begin, t.store.key, has)
	}
	return nil
}

// Offset returns the byte offset in the file of a contiguous tensor's data, which are little-endian unless the file says
// otherwise. It reads the header of the archive's member that holds them.
func (t *Tensor) Offset() (int64, error) {
	at, err := t.store.locate()
	if err != nil {
		return 0, err
	}
	skip, ok := bytesOf(t.Type, t.Begin)
	if !ok || skip > math.MaxInt64-at {
		return 0, &fault.Malformed{Format: "pytorch", Where: t.Name, Offset: -1, Reason: "the place of the data does not fit 63 bits"}
	}
	return at + skip, nil
}
