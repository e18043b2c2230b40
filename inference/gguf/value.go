package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Kind is the type of a metadata value, with the numbers of the file format.
type Kind uint32

// The kinds of metadata values.
const (
	Uint8 Kind = iota
	Int8
	Uint16
	Int16
	Uint32
	Int32
	Float32
	Bool
	String
	Array
	Uint64
	Int64
	Float64
)

var kindNames = [...]string{
	"uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "bool", "string", "array", "uint64", "int64", "float64",
}

var kindSizes = [...]int{Uint8: 1, Int8: 1, Uint16: 2, Int16: 2, Uint32: 4, Int32: 4, Float32: 4, Bool: 1, Uint64: 8, Int64: 8, Float64: 8}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint32(k))
}

// size returns the bytes of a value of fixed size, 0 for strings, arrays and unknown kinds.
func (k Kind) size() int {
	if int(k) < len(kindSizes) {
		return kindSizes[k]
	}
	return 0
}

// Value is one metadata value. An array's members are read by File.Strings, File.Ints and File.Floats.
type Value struct {
	Kind Kind
	// Elem and Len describe an array.
	Elem Kind
	Len  int64

	text       string
	bits       uint64
	start, end int64 // of an array's members in the file
}

// scalar interprets the little-endian bytes of a fixed-size kind. Signed integers are sign-extended.
func scalar(k Kind, b []byte) uint64 {
	switch k {
	case Uint8, Bool:
		return uint64(b[0])
	case Int8:
		return uint64(int64(int8(b[0])))
	case Uint16:
		return uint64(binary.LittleEndian.Uint16(b))
	case Int16:
		return uint64(int64(int16(binary.LittleEndian.Uint16(b))))
	case Uint32, Float32:
		return uint64(binary.LittleEndian.Uint32(b))
	case Int32:
		return uint64(int64(int32(binary.LittleEndian.Uint32(b))))
	default:
		return binary.LittleEndian.Uint64(b)
	}
}

func asInt(k Kind, bits uint64) (int64, bool) {
	switch k {
	case Uint8, Int8, Uint16, Int16, Uint32, Int32, Int64:
		return int64(bits), true
	case Uint64:
		return int64(bits), bits <= math.MaxInt64
	default:
		return 0, false
	}
}

func asFloat(k Kind, bits uint64) (float64, bool) {
	switch k {
	case Float32:
		return float64(math.Float32frombits(uint32(bits))), true
	case Float64:
		return math.Float64frombits(bits), true
	default:
		n, ok := asInt(k, bits)
		return float64(n), ok
	}
}

// Int returns an integer value of any width; ok is false for other kinds and for values beyond an int64.
func (v Value) Int() (n int64, ok bool) { return asInt(v.Kind, v.bits) }

// Float returns a floating-point or integer value.
func (v Value) Float() (f float64, ok bool) { return asFloat(v.Kind, v.bits) }

// Bool returns a boolean value.
func (v Value) Bool() (b, ok bool) { return v.bits != 0, v.Kind == Bool }

// Text returns a string value.
func (v Value) Text() (s string, ok bool) { return v.text, v.Kind == String }
