package onnx

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// msg is a protobuf message that is put together field by field, so that each field can lie.
type msg []byte

func (m msg) num(f protowire.Number, v uint64) msg {
	return protowire.AppendVarint(protowire.AppendTag(m, f, protowire.VarintType), v)
}

func (m msg) str(f protowire.Number, s string) msg {
	return protowire.AppendString(protowire.AppendTag(m, f, protowire.BytesType), s)
}

func (m msg) sub(f protowire.Number, b msg) msg { return m.str(f, string(b)) }

func (m msg) nums(f protowire.Number, values ...uint64) msg {
	var packed msg
	for _, v := range values {
		packed = protowire.AppendVarint(packed, v)
	}
	return m.sub(f, packed)
}

// encTensor is a TensorProto without data.
func encTensor(name string, typ DataType, dims ...uint64) msg {
	var m msg
	for _, d := range dims {
		m = m.num(1, d)
	}
	return m.num(2, uint64(typ)).str(8, name)
}

func (m msg) outside(pairs ...string) msg {
	for i := 0; i < len(pairs); i += 2 {
		m = m.sub(13, msg{}.str(1, pairs[i]).str(2, pairs[i+1]))
	}
	return m.num(14, 1)
}

// encValue is a ValueInfoProto of a FLOAT tensor; a dimension is a number or a symbol, nil for neither.
func encValue(name string, dims ...any) msg {
	var shape msg
	for _, d := range dims {
		switch d := d.(type) {
		case int:
			shape = shape.sub(1, msg{}.num(1, uint64(d)))
		case string:
			shape = shape.sub(1, msg{}.str(2, d))
		default:
			shape = shape.sub(1, msg{})
		}
	}
	return msg{}.str(1, name).sub(2, msg{}.sub(1, msg{}.num(1, 1).sub(2, shape)))
}

func encNode(op string, attributes ...msg) msg {
	m := msg{}.str(1, "in").str(2, "out").str(3, "name")
	m = m.str(4, op)
	for _, a := range attributes {
		m = m.sub(5, a)
	}
	return m
}

// encModel is a ModelProto of IR version 8 around a graph.
func encModel(graph msg) msg {
	return msg{}.num(1, 8).str(2, "maker").str(3, "1.0").sub(7, graph).sub(8, msg{}.num(2, 17)).
		sub(8, msg{}.str(1, "com.microsoft").num(2, 1))
}

func encInitializers(tensors ...msg) msg {
	var m msg
	for _, t := range tensors {
		m = m.sub(5, t)
	}
	return encModel(m)
}
