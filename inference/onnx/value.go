package onnx

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// Value is an input or output of a graph.
type Value struct {
	Name string
	Type Type
}

// Type is what a value may hold.
type Type struct {
	// Kind is "tensor", "sparse_tensor", "sequence", "map", "optional", or "" when the file gives none.
	Kind string
	// Elem is the element type of a tensor, and the key type of a map.
	Elem DataType
	// Shape has the dimensions of a tensor; HasShape is false where the file leaves even their number open.
	Shape    []Dimension
	HasShape bool
	// Of is the type of the members of a sequence, map or optional.
	Of *Type
}

// Dimension is a number, or a symbol, or neither.
type Dimension struct {
	// Size is -1 where it is not fixed.
	Size   int
	Symbol string
}

// String gives the number, the symbol, or "?".
func (d Dimension) String() string {
	switch {
	case d.Size >= 0:
		return strconv.Itoa(d.Size)
	case d.Symbol != "":
		return d.Symbol
	}
	return "?"
}

// String gives a type as "FLOAT[batch,128]", "sequence(FLOAT)" or "map(INT64,FLOAT)".
func (t Type) String() string {
	of := "?"
	if t.Of != nil {
		of = t.Of.String()
	}
	switch t.Kind {
	case "tensor", "sparse_tensor":
		s := t.Elem.String()
		if t.HasShape {
			dims := make([]string, len(t.Shape))
			for i, d := range t.Shape {
				dims[i] = d.String()
			}
			s += "[" + strings.Join(dims, ",") + "]"
		}
		if t.Kind != "tensor" {
			s = t.Kind + "(" + s + ")"
		}
		return s
	case "map":
		return fmt.Sprintf("map(%s,%s)", t.Elem, of)
	case "":
		return "?"
	}
	return t.Kind + "(" + of + ")"
}

// value reads a ValueInfoProto and appends it to list when it is to be kept.
func (c *reader) value(what string, list *[]Value, keep bool) error {
	if len(*list) == MaxValues {
		return c.fail("more than %d values as %s", MaxValues, what)
	}
	var v Value
	err := c.message(func(f field) (known bool, err error) {
		switch f {
		case bytesField(1):
			v.Name, err = c.text(what, MaxName)
			c.where = v.Name
		case bytesField(2):
			v.Type, err = c.typ()
		default:
			return false, nil
		}
		return true, err
	})
	if err != nil || !keep {
		return err
	}
	if v.Name == "" {
		return c.fail("%s without a name", what)
	}
	*list = append(*list, v)
	c.where = ""
	return c.keep(256)
}

// typ reads a TypeProto.
func (c *reader) typ() (t Type, err error) {
	err = c.nested(func(f field) (known bool, err error) {
		switch f {
		case bytesField(1):
			t = Type{Kind: "tensor"}
			err = c.tensorType(&t)
		case bytesField(8):
			t = Type{Kind: "sparse_tensor"}
			err = c.tensorType(&t)
		case bytesField(4):
			t = Type{Kind: "sequence"}
			err = c.memberType(&t, 1)
		case bytesField(5):
			t = Type{Kind: "map"}
			err = c.memberType(&t, 2)
		case bytesField(9):
			t = Type{Kind: "optional"}
			err = c.memberType(&t, 1)
		default:
			return false, nil
		}
		return true, err
	})
	return t, err
}

// memberType reads what is made of another type, which is in field of; a map's key type is in field 1.
func (c *reader) memberType(t *Type, of protowire.Number) error {
	return c.message(func(f field) (bool, error) {
		switch {
		case f == varintField(1):
			n, err := c.varint()
			t.Elem = dataType(n)
			return true, err
		case f == bytesField(of):
			member, err := c.typ()
			t.Of = &member
			if err == nil {
				err = c.keep(128)
			}
			return true, err
		}
		return false, nil
	})
}

func (c *reader) tensorType(t *Type) error {
	return c.message(func(f field) (bool, error) {
		switch f {
		case varintField(1):
			n, err := c.varint()
			t.Elem = dataType(n)
			return true, err
		case bytesField(2):
			t.HasShape = true
			return true, c.message(func(f field) (bool, error) {
				if f != bytesField(1) {
					return false, nil
				}
				if len(t.Shape) == maxDims {
					return true, c.fail("more than %d dimensions", maxDims)
				}
				d, err := c.dimension()
				t.Shape = append(t.Shape, d)
				return true, err
			})
		}
		return false, nil
	})
}

func (c *reader) dimension() (Dimension, error) {
	d := Dimension{Size: -1}
	err := c.message(func(f field) (known bool, err error) {
		switch f {
		case varintField(1):
			n, err := c.varint()
			// Some exporters write -1 for what they leave open.
			if d.Size = -1; n <= math.MaxInt {
				d.Size = int(n)
			}
			return true, err
		case bytesField(2):
			d.Size = -1
			d.Symbol, err = c.text("dimension", MaxName)
		default:
			return false, nil
		}
		return true, err
	})
	if err == nil {
		err = c.keep(64)
	}
	return d, err
}
