package onnx

import (
	"cmp"
	"io"
	"slices"
	"strings"

	"github.com/carat-hub/carat/inference/internal/window"
)

// The limits of a model.
const (
	MaxName      = 4 << 10 // bytes of a name, key or value
	MaxDepth     = 32      // of graphs in attributes, and of types in types
	MaxTensors   = 1 << 16
	MaxValues    = 1 << 13 // inputs and outputs
	MaxOperators = 1 << 12 // different ones
	maxOpsets    = 1 << 8
	maxFunctions = 1 << 14
	maxMetadata  = 1 << 12
	maxDims      = 32
)

// Model is the structure of one ONNX file.
type Model struct {
	// IRVersion is the version of the format.
	IRVersion int64
	// Opsets are the operator sets that the model imports.
	Opsets []Opset
	// Producer and ProducerVersion name the program that wrote the file.
	Producer, ProducerVersion string
	Domain                    string
	Version                   int64
	// Metadata is metadata_props in file order.
	Metadata []Property
	// Graph is the name of the graph that is run.
	Graph string
	// Inputs and Outputs are those of the graph. Before IR version 4, initializers are among the inputs.
	Inputs, Outputs []Value
	// Nodes counts the nodes of all graphs and functions, Operators those of each kind, most frequent first.
	Nodes     int
	Operators []OperatorCount
	// Subgraphs counts the graphs in attributes, such as the branches of an If.
	Subgraphs int
	// Functions are operators that the model defines itself.
	Functions []Function
	// Tensors are the initializers of all graphs in file order.
	Tensors []Tensor
	// Sparse are the initializers of which only some elements are stored.
	Sparse []SparseTensor
	// Constants counts the tensors in attributes, ConstantBytes what they take.
	Constants     int
	ConstantBytes int64
}

// Opset is a version of a set of operators. The standard set's domain is empty.
type Opset struct {
	Domain  string
	Version int64
}

// Property is one pair of metadata.
type Property struct{ Key, Value string }

// OperatorCount says how many nodes use an operator.
type OperatorCount struct {
	Domain, Name string
	Count        int
}

// Function is an operator made of others.
type Function struct {
	Domain, Name string
	Nodes        int
}

// reader collects the model.
type reader struct {
	*cursor
	m         *Model
	operators map[operator]*OperatorCount
	scope     string // of the graph that is being read
	hasGraph  bool
}

type operator struct{ domain, name string }

// Read parses the structure of a file of size bytes. It returns a *fault.Malformed when the file breaks the format or a limit,
// a *fault.Unsupported for a tensor in segments, and the reader's error when reading fails. What external data refers to is
// not looked at.
func Read(r io.ReaderAt, size int64) (*Model, error) {
	c := &reader{cursor: &cursor{window: window.New(r, size, minWindow, maxWindow), size: size, end: size, room: 6<<20 + size}, m: &Model{}, operators: map[operator]*OperatorCount{}}
	if err := c.fields(c.modelField); err != nil {
		return nil, err
	}
	switch {
	case !c.hasGraph:
		return nil, malformed("", -1, "there is no graph")
	case c.m.IRVersion <= 0:
		return nil, malformed("ir_version", -1, "missing or not positive")
	}
	if err := c.unique(); err != nil {
		return nil, err
	}
	for _, o := range c.operators {
		c.m.Operators = append(c.m.Operators, *o)
	}
	slices.SortFunc(c.m.Operators, func(a, b OperatorCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Name, b.Name))
	})
	return c.m, nil
}

// unique checks that no two initializers of one graph share a name.
func (c *reader) unique() error {
	order := make([]*Tensor, len(c.m.Tensors))
	for i := range c.m.Tensors {
		order[i] = &c.m.Tensors[i]
	}
	slices.SortFunc(order, func(a, b *Tensor) int {
		return cmp.Or(strings.Compare(a.Scope, b.Scope), strings.Compare(a.Name, b.Name))
	})
	for i := 1; i < len(order); i++ {
		if order[i].Name == order[i-1].Name && order[i].Scope == order[i-1].Scope {
			return malformed(order[i].Name, -1, "initializer given twice")
		}
	}
	return nil
}

func (c *reader) modelField(f field) (known bool, err error) {
	m := c.m
	switch f {
	case varintField(1):
		var n uint64
		n, err = c.varint()
		m.IRVersion = int64(n)
	case bytesField(2):
		m.Producer, err = c.text("producer name", MaxName)
	case bytesField(3):
		m.ProducerVersion, err = c.text("producer version", MaxName)
	case bytesField(4):
		m.Domain, err = c.text("domain", MaxName)
	case varintField(5):
		var n uint64
		n, err = c.varint()
		m.Version = int64(n)
	case bytesField(7):
		if c.hasGraph {
			return true, c.fail("graph given twice")
		}
		c.hasGraph = true
		err = c.graph("")
	case bytesField(8):
		err = c.opset()
	case bytesField(14):
		if len(m.Metadata) == maxMetadata {
			return true, c.fail("more than %d properties", maxMetadata)
		}
		var p Property
		p, err = c.property(c.skipText)
		m.Metadata = append(m.Metadata, p)
	case bytesField(20):
		// Training has graphs of its own, which take no part in running the model; they are walked for what they refer to.
		err = c.training()
	case bytesField(25):
		err = c.function()
	default:
		return false, nil
	}
	return true, err
}

func (c *reader) opset() error {
	if len(c.m.Opsets) == maxOpsets {
		return c.fail("more than %d operator sets", maxOpsets)
	}
	var o Opset
	err := c.message(func(f field) (known bool, err error) {
		switch f {
		case bytesField(1):
			o.Domain, err = c.text("domain", MaxName)
		case varintField(2):
			var n uint64
			n, err = c.varint()
			o.Version = int64(n)
		default:
			return false, nil
		}
		return true, err
	})
	c.m.Opsets = append(c.m.Opsets, o)
	return err
}

// skipText reads a text that may be longer than a name: what does not fit is cut off.
func (c *reader) skipText() (string, error) {
	n, err := c.length()
	if err != nil {
		return "", err
	}
	b, err := c.peek(int(min(n, MaxName)))
	if err != nil {
		return "", err
	}
	s := strings.ToValidUTF8(string(b), "\uFFFD")
	c.pos += n
	return s, c.keep(len(s) + 16)
}

// property reads a pair of texts.
func (c *reader) property(value func() (string, error)) (p Property, err error) {
	err = c.message(func(f field) (known bool, err error) {
		switch f {
		case bytesField(1):
			p.Key, err = c.text("key", MaxName)
		case bytesField(2):
			p.Value, err = value()
		default:
			return false, nil
		}
		return true, err
	})
	if err == nil {
		err = c.keep(64)
	}
	return p, err
}

func (c *reader) training() error {
	return c.message(func(f field) (bool, error) {
		switch f {
		case bytesField(1):
			return true, c.graph("training initialization")
		case bytesField(2):
			return true, c.graph("training algorithm")
		}
		return false, nil
	})
}

func (c *reader) function() error {
	if len(c.m.Functions) == maxFunctions {
		return c.fail("more than %d functions", maxFunctions)
	}
	var fn Function
	before := c.m.Nodes
	err := c.message(func(f field) (known bool, err error) {
		switch f {
		case bytesField(1):
			fn.Name, err = c.text("function name", MaxName)
		case bytesField(7):
			err = c.node()
		case bytesField(10):
			fn.Domain, err = c.text("function domain", MaxName)
		case bytesField(11):
			err = c.attribute()
		default:
			return false, nil
		}
		return true, err
	})
	if err != nil {
		return err
	}
	fn.Nodes = c.m.Nodes - before
	c.m.Functions = append(c.m.Functions, fn)
	return c.keep(128)
}
