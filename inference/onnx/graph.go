package onnx

import "strconv"

// graph reads a GraphProto. scope names it where it is not the model's own.
func (c *reader) graph(scope string) error {
	outer := c.scope
	c.scope = scope
	defer func() { c.scope = outer }()
	return c.nested(func(f field) (known bool, err error) {
		switch f {
		case bytesField(1):
			err = c.node()
		case bytesField(2):
			var name string
			if name, err = c.text("graph name", MaxName); scope == "" {
				c.m.Graph = name
			}
		case bytesField(5):
			err = c.initializer()
		case bytesField(11):
			err = c.value("graph input", &c.m.Inputs, scope == "")
		case bytesField(12):
			err = c.value("graph output", &c.m.Outputs, scope == "")
		case bytesField(15):
			err = c.sparse()
		default:
			return false, nil
		}
		return true, err
	})
}

// node reads a NodeProto, of which only the operator counts, and the graphs and tensors in its attributes.
func (c *reader) node() error {
	var op operator
	where := c.where
	c.m.Nodes++
	err := c.message(func(f field) (known bool, err error) {
		switch f {
		case bytesField(4):
			op.name, err = c.short("operator")
		case bytesField(5):
			err = c.attribute()
		case bytesField(7):
			op.domain, err = c.short("operator domain")
		default:
			return false, nil
		}
		return true, err
	})
	if err != nil {
		return err
	}
	c.where = where
	return c.count(op)
}

// short reads a text that is seldom a new one: it is only charged for when it is kept.
func (c *reader) short(what string) (string, error) {
	room := c.room
	s, err := c.text(what, MaxName)
	c.room = max(c.room, room)
	return s, err
}

func (c *reader) count(op operator) error {
	if op.name == "" {
		return c.fail("node without an operator")
	}
	if n := c.operators[op]; n != nil {
		n.Count++
		return nil
	}
	if len(c.operators) == MaxOperators {
		return c.fail("more than %d different operators", MaxOperators)
	}
	c.operators[op] = &OperatorCount{Domain: op.domain, Name: op.name, Count: 1}
	return c.keep(len(op.domain) + len(op.name) + 256)
}

// attribute reads an AttributeProto for the graphs and tensors in it.
func (c *reader) attribute() error {
	name := ""
	return c.message(func(f field) (known bool, err error) {
		switch f {
		case bytesField(1):
			name, err = c.short("attribute name")
		case bytesField(5), bytesField(10):
			err = c.constant()
		case bytesField(6), bytesField(11):
			c.m.Subgraphs++
			err = c.subgraph(name)
		case bytesField(22), bytesField(23):
			_, err = c.sparseTensor()
		default:
			return false, nil
		}
		return true, err
	})
}

// subgraph reads a graph in an attribute. Its number keeps the names of its tensors apart from those of others.
func (c *reader) subgraph(attribute string) error {
	scope := "subgraph " + strconv.Itoa(c.m.Subgraphs)
	if attribute != "" && len(attribute) <= 64 {
		scope += " (" + attribute + ")"
	}
	return c.graph(scope)
}

func (c *reader) constant() error {
	t, err := c.tensor()
	if err != nil {
		return err
	}
	c.m.Constants++
	c.m.ConstantBytes += t.Size
	return nil
}

func (c *reader) initializer() error {
	if len(c.m.Tensors) == MaxTensors {
		return c.fail("more than %d initializers", MaxTensors)
	}
	at := c.pos
	t, err := c.tensor()
	if err != nil {
		return err
	}
	if t.Name == "" {
		return malformed("", at, "initializer without a name")
	}
	c.m.Tensors = append(c.m.Tensors, t)
	c.where = ""
	return c.keep(2 * tensorSize)
}

func (c *reader) sparse() error {
	if len(c.m.Sparse) == MaxTensors {
		return c.fail("more than %d sparse initializers", MaxTensors)
	}
	s, err := c.sparseTensor()
	if err != nil {
		return err
	}
	c.m.Sparse = append(c.m.Sparse, s)
	c.where = ""
	return c.keep(4 * tensorSize)
}
