package pickle

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/carat-hub/carat/inference/fault"
)

// The limits of one machine.
const (
	maxStack   = 1 << 17
	maxMemo    = 1 << 17 // values remembered after there is no room for more
	maxKept    = 64 << 10
	maxGlobals = 1 << 13 // different references
	maxOps     = 1 << 31
)

// machine runs the opcodes of pickles that share one memory.
type machine struct {
	*cursor
	refs *references

	stack []Value
	marks []int // where MARK was called, in stack
	memo  map[uint64]Value
	names map[Global]*Global

	// room is how many bytes may yet be kept. Without room, containers drop their members and the machine goes on.
	room  int64
	extra int   // values remembered without room
	ops   int64 // executed
	at    int64 // offset of the opcode that is executed
	op    opcode
	frame int64 // where the frame that was announced last ends
	flaw  error // what is wrong with frames, told at the end of the pickle
	depth int   // of pickles in pickles
}

// keep charges n bytes and reports whether there was room.
func (m *machine) keep(n int) bool {
	if m.room < int64(n) {
		return false
	}
	m.room -= int64(n)
	return true
}

// The bytes that are charged: for one value in a container, with what growing the container costs, and for an object.
const (
	slotSize   = 48
	objectSize = 64
)

// hold returns v if there is room for n bytes more.
func (m *machine) hold(v Value, n int) Value {
	if m.keep(n) {
		return v
	}
	return Dropped{}
}

func (m *machine) fail(format string, args ...any) error {
	return m.failAt(m.at, m.op.name+": "+format, args...)
}

// run executes one pickle up to its STOP and returns its value.
func (m *machine) run() (Value, error) {
	m.stack, m.marks, m.memo, m.frame = m.stack[:0], m.marks[:0], map[uint64]Value{}, 0
	m.flaw = nil
	for {
		m.at, m.op = m.pos, opcode{}
		b, err := m.take(1)
		if err != nil {
			return nil, err
		}
		if m.op = opcodes[b[0]]; m.op.name == "" {
			return nil, m.failAt(m.at, "unknown opcode %#02x", b[0])
		}
		if m.ops++; m.ops > maxOps {
			return nil, m.fail("more than %d opcodes", maxOps)
		}
		if b[0] == '.' {
			v, err := m.pop() // marks may be left, as far as Python is concerned
			return v, cmp.Or(err, m.flaw)
		}
		if err := m.step(b[0]); err != nil {
			return nil, err
		}
		if m.at < m.frame && m.pos > m.frame && m.flaw == nil {
			// Python's readers do not agree on what comes next, so names may be missing; those that the bytes show are listed.
			m.flaw = m.fail("reads past the end of its frame at %d", m.frame)
		}
	}
}

func (m *machine) push(v Value) error {
	if len(m.stack) == maxStack {
		return m.fail("more than %d values on the stack", maxStack)
	}
	m.stack = append(m.stack, v)
	return nil
}

// fence is where the values of the innermost mark begin, below which nothing can be taken.
func (m *machine) fence() int {
	if len(m.marks) == 0 {
		return 0
	}
	return m.marks[len(m.marks)-1]
}

func (m *machine) pop() (Value, error) {
	v, err := m.top()
	if err == nil {
		m.stack = m.stack[:len(m.stack)-1]
	}
	return v, err
}

func (m *machine) top() (Value, error) {
	if len(m.stack) <= m.fence() {
		return nil, m.fail("the stack is empty")
	}
	return m.stack[len(m.stack)-1], nil
}

// popMark takes the values since the innermost mark. They are valid until the next push.
func (m *machine) popMark() ([]Value, error) {
	if len(m.marks) == 0 {
		return nil, m.fail("there is no mark")
	}
	at := m.fence()
	m.marks = m.marks[:len(m.marks)-1]
	list := m.stack[at:]
	m.stack = m.stack[:at]
	return list, nil
}

// step executes an opcode other than STOP.
func (m *machine) step(code byte) error {
	if m.op.arg != noArgument {
		return m.withArgument(code)
	}
	switch code {
	case 'N':
		return m.push(nil)
	case 0x88, 0x89:
		return m.push(code == 0x88)
	case ']':
		return m.push(m.hold(&List{}, objectSize))
	case ')':
		return m.push(&emptyTuple)
	case '}':
		return m.push(m.hold(&Dict{}, objectSize))
	case 0x8f:
		return m.push(m.hold(&Set{}, objectSize))
	case '(':
		if len(m.marks) == maxStack {
			return m.fail("more than %d marks", maxStack)
		}
		m.marks = append(m.marks, len(m.stack))
		return nil
	case '0':
		if len(m.marks) > 0 && len(m.stack) == m.fence() {
			m.marks = m.marks[:len(m.marks)-1]
			return nil
		}
		_, err := m.pop()
		return err
	case '1':
		_, err := m.popMark()
		return err
	case '2':
		v, err := m.top()
		if err != nil {
			return err
		}
		return m.push(v)
	case 0x94:
		return m.remember(uint64(len(m.memo)))
	case 'Q':
		v, err := m.pop()
		if err != nil {
			return err
		}
		return m.push(m.hold(&Persistent{v}, objectSize))
	case 0x97:
		return m.push(Dropped{})
	case 0x98:
		_, err := m.top()
		return err
	case 'a', 'e', 0x90, 's', 'u':
		return m.fill(code)
	case 0x93, 'R', 0x81, 0x92, 'o', 'b':
		return m.call(code)
	}
	return m.gather(code)
}

var emptyTuple Tuple

// gather makes a container of the values on the stack.
func (m *machine) gather(code byte) error {
	var list []Value
	var err error
	switch n := int(code) - 0x85 + 1; code {
	case 0x85, 0x86, 0x87:
		if len(m.stack)-n < m.fence() {
			return m.fail("fewer than %d values on the stack", n)
		}
		list = m.stack[len(m.stack)-n:]
		m.stack = m.stack[:len(m.stack)-n]
	default:
		if list, err = m.popMark(); err != nil {
			return err
		}
	}
	if !m.keep(objectSize + slotSize/2*len(list)) {
		return m.push(Dropped{})
	}
	switch code {
	case 'l':
		return m.push(&List{slices.Clone(list)})
	case 0x91:
		return m.push(&Set{slices.Clone(list), true})
	case 'd':
		if len(list)%2 != 0 {
			return m.fail("a key without a value")
		}
		d := &Dict{}
		d.add(list)
		return m.push(d)
	}
	return m.push(&Tuple{slices.Clone(list)})
}

func (d *Dict) add(pairs []Value) {
	d.Keys, d.Values = slices.Grow(d.Keys, len(pairs)/2), slices.Grow(d.Values, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		d.Keys, d.Values = append(d.Keys, pairs[i]), append(d.Values, pairs[i+1])
	}
}

// fill puts the values on top of the stack into the container below them. Anything but a list, set or dictionary would get
// them by a method call.
func (m *machine) fill(code byte) error {
	var list []Value
	var err error
	switch code {
	case 'a', 's':
		n := 1
		if code == 's' {
			n = 2
		}
		if len(m.stack)-n < m.fence() {
			return m.fail("fewer than %d values on the stack", n)
		}
		list = m.stack[len(m.stack)-n:]
		m.stack = m.stack[:len(m.stack)-n]
	default:
		if list, err = m.popMark(); err != nil {
			return err
		}
	}
	pairs := code == 's' || code == 'u'
	if pairs && len(list)%2 != 0 {
		return m.fail("a key without a value")
	}
	if len(list) == 0 {
		return nil
	}
	to, err := m.top()
	if err != nil || !m.keep(slotSize*len(list)) {
		return err
	}
	switch to := to.(type) {
	case Dropped:
	case *Dict:
		if !pairs {
			return m.fail("on a dictionary")
		}
		to.add(list)
	case *List:
		if pairs || code == 0x90 {
			return m.fail("on a list")
		}
		to.Items = append(to.Items, list...)
	case *Set:
		if code != 0x90 || to.Frozen {
			return m.fail("on a set")
		}
		to.Items = append(to.Items, list...)
	case *Object:
		if pairs {
			to.Entries.add(list)
		} else {
			to.Items.Items = append(to.Items.Items, list...)
		}
	default:
		return m.refs.note(m.op.name, describe(to), m)
	}
	return nil
}

// remember puts the value on top of the stack into the memo.
func (m *machine) remember(key uint64) error {
	v, err := m.top()
	if err != nil {
		return err
	}
	if !m.keep(2 * slotSize) {
		if m.extra++; m.extra > maxMemo {
			return m.fail("too many values to remember")
		}
	}
	m.memo[key] = v
	return nil
}

// withArgument executes an opcode that something follows.
func (m *machine) withArgument(code byte) error {
	switch m.op.arg {
	case line, twoLines:
		return m.textual(code)
	case counted1, counted4, signed4, counted8:
		n, err := m.count(m.op.arg)
		if err != nil {
			return err
		}
		return m.counted(code, n)
	case float8:
		b, err := m.take(8)
		if err != nil {
			return err
		}
		return m.push(m.hold(math.Float64frombits(binary.BigEndian.Uint64(b)), 16))
	}
	width := map[argument]int{uint1: 1, uint2: 2, int4: 4, uint4: 4, uint8bytes: 8}[m.op.arg]
	n, err := m.number(width)
	if err != nil {
		return err
	}
	switch code {
	case 'J':
		return m.pushInt(int64(int32(n)))
	case 'K', 'M':
		return m.pushInt(int64(n))
	case 'h', 'j':
		return m.recall(n)
	case 'q', 'r':
		return m.remember(n)
	case 0x80:
		if n > 5 {
			return fault.NewUnsupported("file format", "pickle of protocol %d (0 to 5 are read)", n)
		}
		return nil
	case 0x95:
		if n > uint64(m.end-m.pos) {
			return m.fail("%d bytes exceed the %d left", n, m.end-m.pos)
		}
		if m.at < m.frame {
			m.flaw = cmp.Or(m.flaw, m.fail("a frame begins before the one around it ends at %d", m.frame))
			return nil
		}
		m.frame = m.pos + int64(n)
		return nil
	}
	// EXT1, EXT2 and EXT4 stand for a name that the loading program has registered.
	g := Global{"", "extension " + strconv.FormatUint(n, 10)}
	if err := m.refs.note(m.op.name, g, m); err != nil {
		return err
	}
	return m.push(m.intern(g))
}

func (m *machine) pushInt(n int64) error {
	if n >= 0 && n < 256 {
		return m.push(n) // needs no memory
	}
	return m.push(m.hold(n, 8))
}

func (m *machine) recall(key uint64) error {
	v, ok := m.memo[key]
	if !ok {
		return m.fail("nothing is remembered as %d", key)
	}
	return m.push(v)
}

// counted executes an opcode that is followed by n bytes.
func (m *machine) counted(code byte, n int64) error {
	if n > maxKept {
		at := m.pos
		m.pos += n
		return m.push(m.hold(&Blob{at, n}, objectSize))
	}
	b, err := m.take(int(n))
	if err != nil {
		return err
	}
	switch code {
	case 0x8a, 0x8b:
		if n <= 8 {
			return m.pushInt(binary64(b))
		}
		return m.push(m.hold(&Long{Bytes: slices.Clone(b)}, objectSize+len(b)))
	case 'B', 'C', 0x8e, 0x96:
		if !m.keep(32 + len(b)) {
			return m.push(Dropped{})
		}
		return m.push(Bytes(slices.Clone(b)))
	}
	// A short text is made even without room: it may be a name.
	if !m.keep(32+len(b)) && len(b) > maxName {
		return m.push(Dropped{})
	}
	return m.push(string(b))
}

// textual executes an opcode that is followed by lines.
func (m *machine) textual(code byte) error {
	b, err := m.line()
	if err != nil {
		return err
	}
	if !m.keep(32 + len(b)) {
		b = b[:min(len(b), maxName)]
	}
	s := string(b)
	switch code {
	case 'c', 'i':
		b, err := m.line()
		if err != nil {
			return err
		}
		return m.named(code, Global{s, string(b)})
	case 'P':
		return m.push(m.hold(&Persistent{s}, objectSize))
	case 'g', 'p':
		n, ok := decimal(s, false)
		key, isInt := n.(int64)
		if !ok || !isInt || key < 0 {
			return m.fail("%.40q is no number", s)
		}
		if code == 'g' {
			return m.recall(uint64(key))
		}
		return m.remember(uint64(key))
	case 'F':
		f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil && f == 0 {
			return m.fail("%.40q is no number", s)
		}
		return m.push(f)
	}
	var v Value
	ok := false
	switch code {
	case 'I', 'L':
		if v, ok = decimal(s, code == 'L'); code == 'I' && (s == "00" || s == "01") {
			v = s == "01" // how protocol 0 writes booleans
		}
	case 'S':
		v, ok = quoted([]byte(s))
	case 'V':
		v, ok = rawUnicode([]byte(s))
	}
	if !ok {
		return m.fail("%.40q cannot be read", s)
	}
	return m.push(v)
}
