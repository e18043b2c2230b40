package pickle

import (
	"strconv"
	"strings"

	"github.com/carat-hub/carat/inference/tensor"
)

// joblibArray is what joblib writes in place of a numpy array, whose bytes follow the opcode that sets its state, in the middle
// of the pickle.
var joblibArray = Global{"joblib.numpy_pickle", "NumpyArrayWrapper"}

// maxNested bounds pickles in arrays in pickles.
const maxNested = 8

// get returns the value of a text key.
func (d *Dict) get(key string) (v Value, ok bool) {
	for i := range d.Keys {
		if d.Keys[i] == key {
			v, ok = d.Values[i], true
		}
	}
	return v, ok
}

// skipArray steps over the bytes of an array that is described by the state of its wrapper. An array of objects is a pickle of
// its own.
func (m *machine) skipArray(state Value) error {
	d, ok := state.(*Dict)
	if !ok {
		return m.fail("a joblib array without a description")
	}
	shape, _ := d.get("shape")
	dims, ok := integers(shape)
	elements, fits := tensor.Elements(dims)
	dtype, _ := d.get("dtype")
	size, known := itemSize(dtype)
	if !ok || !fits || !known {
		return m.fail("a joblib array of unknown size")
	}
	if m.pos == m.frame {
		m.frame = 0 // the bytes come behind it
	}
	if size == 0 {
		return m.nested()
	}
	if align, ok := d.get("numpy_array_alignment_bytes"); ok && align != nil {
		pad, err := m.number(1)
		if err != nil {
			return err
		}
		if _, err := m.take(int(pad)); err != nil {
			return err
		}
	}
	if elements > (m.end-m.pos)/size {
		return m.fail("a joblib array of %d elements exceeds the %d bytes left", elements, m.end-m.pos)
	}
	m.pos += elements * size
	return nil
}

// nested executes a pickle within a pickle, which has a stack and a memo of its own.
func (m *machine) nested() error {
	if m.depth == maxNested {
		return m.fail("more than %d pickles in each other", maxNested)
	}
	m.depth++
	at, op, stack, marks, memo, frame, flaw := m.at, m.op, m.stack, m.marks, m.memo, m.frame, m.flaw
	m.stack, m.marks = nil, nil
	_, err := m.run()
	m.at, m.op, m.stack, m.marks, m.memo, m.frame, m.flaw = at, op, stack, marks, memo, frame, flaw
	m.depth--
	return err
}

// itemSize returns the bytes of one element of a numpy type given as numpy.dtype("f8", …), 0 for objects.
func itemSize(dtype Value) (int64, bool) {
	o, ok := dtype.(*Object)
	if !ok {
		return 0, false
	}
	args, _ := items(o.Args)
	if len(args) == 0 {
		return 0, false
	}
	name, _ := args[0].(string)
	if strings.HasPrefix(name, "O") {
		return 0, true
	}
	if len(name) < 2 || !strings.Contains("biufcmMSUV", name[:1]) {
		return 0, false
	}
	n, err := strconv.ParseInt(name[1:], 10, 32)
	if err != nil || n <= 0 {
		return 0, false
	}
	if name[0] == 'U' {
		n *= 4
	}
	return n, true
}
