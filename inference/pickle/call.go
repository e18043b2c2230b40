package pickle

import "slices"

// maxName bounds the names that are listed, in bytes; longer ones are cut off.
const maxName = 512

// intern returns the one *Global of a name.
func (m *machine) intern(g Global) Value {
	if known := m.names[g]; known != nil {
		return known
	}
	if !m.keep(objectSize + 64) {
		return Dropped{}
	}
	m.names[g] = &g
	return &g
}

// named executes GLOBAL and INST, whose names follow the opcode.
func (m *machine) named(code byte, g Global) error {
	if err := m.refs.note(m.op.name, g, m); err != nil {
		return err
	}
	if code == 'c' {
		return m.push(m.intern(g))
	}
	args, err := m.popMark()
	if err != nil {
		return err
	}
	return m.object(m.intern(g), m.tuple(args))
}

// tuple copies values off the stack.
func (m *machine) tuple(list []Value) Value {
	if !m.keep(objectSize + slotSize/2*len(list)) {
		return Dropped{}
	}
	return &Tuple{slices.Clone(list)}
}

// call executes an opcode that would import, make or call something that is on the stack.
func (m *machine) call(code byte) error {
	switch code {
	case 0x93:
		return m.stackGlobal()
	case 'o':
		args, err := m.popMark()
		if err != nil {
			return err
		}
		if len(args) == 0 {
			return m.fail("there is no class")
		}
		if err := m.refs.note(m.op.name, describe(args[0]), m); err != nil {
			return err
		}
		return m.object(args[0], m.tuple(args[1:]))
	}
	last, err := m.pop()
	if err != nil {
		return err
	}
	if code == 'b' {
		return m.build(last)
	}
	args := last
	if code == 0x92 { // keyword arguments come last
		positional, err := m.pop()
		if err != nil {
			return err
		}
		args = m.tuple([]Value{positional, last})
	}
	class, err := m.pop()
	if err != nil {
		return err
	}
	if err := m.refs.note(m.op.name, describe(class), m); err != nil {
		return err
	}
	return m.object(class, args)
}

// object pushes the record of a call.
func (m *machine) object(class, args Value) error {
	return m.push(m.hold(&Object{Op: m.op.name, Class: class, Args: args}, 4*objectSize))
}

func (m *machine) stackGlobal() error {
	name, err := m.pop()
	if err != nil {
		return err
	}
	module, err := m.pop()
	if err != nil {
		return err
	}
	a, isText := module.(string)
	b, alsoText := name.(string)
	g := Global{a, b}
	if !isText || !alsoText {
		// Python refuses anything but texts; one that is not known here counts as a name.
		g = Global{"", "a name that is not written in the pickle"}
	}
	if err := m.refs.note(m.op.name, g, m); err != nil {
		return err
	}
	return m.push(m.intern(g))
}

// build executes BUILD, which hands a state to an object.
func (m *machine) build(state Value) error {
	to, err := m.top()
	if err != nil {
		return err
	}
	switch to := to.(type) {
	case *Object:
		to.State = state
		if err := m.refs.note(m.op.name, describe(to.Class), m); err != nil {
			return err
		}
		if g, ok := to.Class.(*Global); ok && *g == joblibArray {
			return m.skipArray(state)
		}
		return nil
	case Dropped:
		return nil
	}
	return m.refs.note(m.op.name, describe(to), m)
}

// describe names what would be called.
func describe(v Value) Global {
	switch v := v.(type) {
	case *Global:
		return *v
	case *Object:
		if g, ok := v.Class.(*Global); ok {
			return Global{"", "what " + g.String() + " returns"}
		}
		return Global{"", "what a call returns"}
	case *Persistent:
		return Global{"", "a persistent object"}
	}
	return Global{"", "a value that is no name"}
}

// String gives the name with its module, "collections.OrderedDict".
func (g Global) String() string {
	if g.Module == "" {
		return g.Name
	}
	return g.Module + "." + g.Name
}
