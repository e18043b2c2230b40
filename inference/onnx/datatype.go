package onnx

import (
	"math"
	"math/bits"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/carat-hub/carat/inference/tensor"
)

// DataType is the element type of a tensor, with the numbers of the format.
type DataType int32

// The element types that have a use in this package by name.
const (
	Undefined DataType = 0
	Int64     DataType = 7
	String    DataType = 8
)

// dataTypes gives for each number its name, bits, the type of package tensor, and the field that stores its elements as numbers.
var dataTypes = [...]struct {
	name  string
	bits  uint64
	typ   tensor.Type
	field protowire.Number
}{
	1: {"FLOAT", 32, tensor.F32, 4}, 2: {"UINT8", 8, tensor.U8, 5}, 3: {"INT8", 8, tensor.I8, 5}, 4: {"UINT16", 16, tensor.U16, 5},
	5: {"INT16", 16, tensor.I16, 5}, 6: {"INT32", 32, tensor.I32, 5}, 7: {"INT64", 64, tensor.I64, 7}, 8: {"STRING", 0, tensor.Invalid, 6},
	9: {"BOOL", 8, tensor.Bool, 5}, 10: {"FLOAT16", 16, tensor.F16, 5}, 11: {"DOUBLE", 64, tensor.F64, 10},
	12: {"UINT32", 32, tensor.U32, 11}, 13: {"UINT64", 64, tensor.U64, 11}, 14: {"COMPLEX64", 64, tensor.C64, 4},
	15: {"COMPLEX128", 128, tensor.C128, 10}, 16: {"BFLOAT16", 16, tensor.BF16, 5}, 17: {"FLOAT8E4M3FN", 8, tensor.F8E4M3, 5},
	18: {"FLOAT8E4M3FNUZ", 8, tensor.F8E4M3FNUZ, 5}, 19: {"FLOAT8E5M2", 8, tensor.F8E5M2, 5},
	20: {"FLOAT8E5M2FNUZ", 8, tensor.F8E5M2FNUZ, 5}, 21: {"UINT4", 4, tensor.U4, 5}, 22: {"INT4", 4, tensor.I4, 5},
	23: {"FLOAT4E2M1", 4, tensor.F4, 5}, 24: {"FLOAT8E8M0", 8, tensor.F8E8M0, 5}, 25: {"UINT2", 2, tensor.U2, 5}, 26: {"INT2", 2, tensor.I2, 5},
}

// dataType returns the type of a number, Undefined for one that is not known.
func dataType(n uint64) DataType {
	if n == 0 || n >= uint64(len(dataTypes)) {
		return Undefined
	}
	return DataType(n)
}

// String returns the name that the format uses, "FLOAT16".
func (d DataType) String() string {
	if d <= 0 || int(d) >= len(dataTypes) {
		return "type " + strconv.Itoa(int(d))
	}
	return dataTypes[d].name
}

// Tensor returns the type as package tensor knows it, tensor.Invalid for strings.
func (d DataType) Tensor() tensor.Type {
	if d <= 0 || int(d) >= len(dataTypes) {
		return tensor.Invalid
	}
	return dataTypes[d].typ
}

// storedIn reports whether elements may be stored as numbers of a field.
func (d DataType) storedIn(f protowire.Number) bool { return dataTypes[d].field == f }

// size returns the bytes of n elements as they lie in a row, 0 for strings.
func (d DataType) size(n int64) (size int64, ok bool) {
	hi, lo := bits.Mul64(uint64(n), dataTypes[d].bits)
	if hi != 0 || lo > math.MaxInt64-7 {
		return 0, false
	}
	return int64(lo+7) / 8, true
}
