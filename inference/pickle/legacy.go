package pickle

import (
	"fmt"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/tensor"
)

// legacyProtocol is the version of the legacy layout.
const legacyProtocol = 1001

// readLegacy reads what follows the magic number of a checkpoint made before PyTorch 1.6: the version, a description of the
// machine, the model, the list of storages, and then each storage as its number of elements in 8 bytes and the elements.
func (f *File) readLegacy(m *machine) error {
	var parts [4]Value
	for i := range parts {
		v, err := m.run()
		if err != nil {
			return err
		}
		parts[i] = v
		f.Pickles++
	}
	if parts[0] != int64(legacyProtocol) {
		return fault.NewUnsupported("file format", "PyTorch checkpoint of protocol %.40q", fmt.Sprint(parts[0]))
	}
	if info, ok := parts[1].(*Dict); ok {
		for i, k := range info.Keys {
			f.BigEndian = f.BigEndian || k == "little_endian" && info.Values[i] == false
		}
	}
	f.Value = parts[2]
	keys, ok := parts[3].(*List)
	if !ok {
		return &fault.Malformed{Format: "pytorch", Offset: m.pos, Reason: "there is no list of storages"}
	}
	l := &legacy{m: m, stores: map[string]*storage{}}
	c := &collector{machine: m, resolve: l.resolve, seen: map[any]bool{}, views: map[view]bool{}}
	if err := c.collect(f.Value, "", 0); err != nil {
		return err
	}
	if err := l.place(keys.Items); err != nil {
		return err
	}
	f.Tensors = c.tensors
	f.Rest = m.end - m.pos
	return nil
}

// legacy knows the storages that the tensors of a checkpoint refer to.
type legacy struct {
	m      *machine
	stores map[string]*storage
}

// resolve finds the storage of a tensor. Where it lies is known only after the list of storages.
func (l *legacy) resolve(p *Persistent) (*storage, error) {
	s, id, err := parseStorage(p)
	if err != nil {
		return nil, err
	}
	if len(id) > 5 && id[5] != nil {
		return nil, fault.NewUnsupported("file format", "PyTorch storages that are views of others")
	}
	known := l.stores[s.key]
	switch {
	case known == nil:
		if !l.m.keep(256) {
			return nil, badStorage(s.key, "there are too many storages")
		}
		l.stores[s.key] = s
		return s, nil
	case known.typ != s.typ || known.count != s.count:
		return nil, badStorage(s.key, "it has different types or sizes")
	}
	return known, nil
}

// place steps over the storages and notes where each lies.
func (l *legacy) place(keys []Value) error {
	m, placed := l.m, 0
	for _, k := range keys {
		key, _ := k.(string)
		s := l.stores[key]
		if s == nil || s.locate != nil {
			return badStorage(key, "no tensor refers to it, or it is listed twice")
		}
		n, err := m.number(8)
		if err != nil {
			return err
		}
		if n != uint64(s.count) {
			return badStorage(key, "it has %d elements, tensors want %d", n, s.count)
		}
		size, ok := bytesOf(s.typ, s.count)
		if !ok || size > m.end-m.pos {
			return badStorage(key, "%d elements exceed the %d bytes left", n, m.end-m.pos)
		}
		at := m.pos
		s.locate = func() (int64, error) { return at, nil }
		m.pos += size
		placed++
	}
	if placed != len(l.stores) {
		return badStorage("", "%d storages are listed, tensors refer to %d", placed, len(l.stores))
	}
	return nil
}

func badStorage(key, format string, args ...any) error {
	return &fault.Malformed{Format: "pytorch", Where: "storage " + cut(key), Offset: -1, Reason: fmt.Sprintf(format, args...)}
}

// parseStorage reads a reference to a storage: the word "storage", its class, key, device and number of elements.
func parseStorage(p *Persistent) (*storage, []Value, error) {
	id, _ := items(p.ID)
	if len(id) < 5 || id[0] != "storage" {
		return nil, nil, badStorage("", "the reference has %d parts", len(id))
	}
	class, ok := id[1].(*Global)
	key, isText := id[2].(string)
	count, isCount := integer(id[4])
	if !ok || !isText || !isCount {
		return nil, nil, badStorage("", "the reference has no class, key and size")
	}
	s := &storage{key: key, count: int64(count)}
	switch {
	case class.Module == "torch" || class.Module == "torch.cuda":
		if s.typ = storageTypes[class.Name]; s.typ == tensor.Invalid && class.Name != "UntypedStorage" {
			return nil, nil, fault.NewUnsupported("tensor type", "storage of class %.80q", class.Name)
		}
	case *class != Global{"torch.storage", "UntypedStorage"}:
		return nil, nil, fault.NewUnsupported("tensor type", "storage of class %.80q", class.String())
	}
	return s, id, nil
}
