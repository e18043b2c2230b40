package pickle

import "math"

// Value is what a pickle builds, made inert: nil for None, bool, int64, float64, string, Bytes, *Long, *Blob, *List, *Tuple,
// *Dict, *Set, *Global, *Object, *Persistent, or Dropped.
type Value any

// Bytes is a bytes or bytearray object.
type Bytes []byte

// Long is an integer of more than 64 bits: its bytes, little-endian in two's complement, or its digits.
type Long struct {
	Bytes  []byte
	Digits string
}

// Blob stands for a text or bytes that are too long to be kept.
type Blob struct{ Offset, Size int64 }

// Dropped stands for a value that was not kept because the pickle holds too many of them.
type Dropped struct{}

// List is a list.
type List struct{ Items []Value }

// Tuple is a tuple.
type Tuple struct{ Items []Value }

// Set is a set, or a frozenset.
type Set struct {
	Items  []Value
	Frozen bool
}

// Dict is a dictionary in the order in which it was filled. A key may occur more than once; the last one counts.
type Dict struct{ Keys, Values []Value }

// Global is a name that unpickling would import.
type Global struct{ Module, Name string }

// Object is the result that a call would have, and what would be done with it.
type Object struct {
	// Op is the opcode that makes it: "REDUCE", "NEWOBJ", "NEWOBJ_EX", "INST" or "OBJ".
	Op string
	// Class is what is called, usually a *Global, and Args the tuple of its arguments.
	Class, Args Value
	// State is what BUILD would set; Items and Entries what would be appended and set by key.
	State   Value
	Items   List
	Entries Dict
}

// Persistent is a reference to something outside the pickle, such as a tensor's storage.
type Persistent struct{ ID Value }

// integer returns a non-negative int.
func integer(v Value) (int, bool) {
	n, ok := v.(int64)
	return int(n), ok && n >= 0 && n <= math.MaxInt
}

// items returns the members of a tuple or list.
func items(v Value) ([]Value, bool) {
	switch v := v.(type) {
	case *Tuple:
		return v.Items, true
	case *List:
		return v.Items, true
	case *Object:
		// torch.Size is a tuple.
		if g, ok := v.Class.(*Global); ok && *g == (Global{"torch", "Size"}) {
			if args, ok := items(v.Args); ok && len(args) == 1 {
				return items(args[0])
			}
		}
	}
	return nil, false
}

// integers returns a tuple or list of non-negative ints.
func integers(v Value) ([]int, bool) {
	list, ok := items(v)
	if !ok || len(list) > maxDims {
		return nil, false
	}
	out := make([]int, len(list))
	for i := range list {
		if out[i], ok = integer(list[i]); !ok {
			return nil, false
		}
	}
	return out, true
}
