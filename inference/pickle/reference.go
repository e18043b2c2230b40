package pickle

import (
	"strings"
)

// Reference is one name and how a pickle uses it. The same use of the same name is listed once.
type Reference struct {
	Global
	// Op is the opcode: "GLOBAL", "STACK_GLOBAL", "INST", "EXT1" and the like for the import of a name; "REDUCE", "NEWOBJ",
	// "NEWOBJ_EX", "OBJ" and "BUILD" for a call.
	Op string
	// Member is the file in a zip archive, "" for a plain pickle.
	Member string
	// Offset is where the opcode lies first, in the member or the file, and Count how often it occurs.
	Offset int64
	Count  int
	// Known says that the name is, letter for letter, one of those that rebuild tensors and plain containers. It says nothing
	// about the other names, or about the file.
	Known bool
}

type referenceKey struct {
	Global
	op, member string
}

// references collects the names of a file.
type references struct {
	list  []Reference
	index map[referenceKey]int
}

// note records the use of a name at the opcode that m executes.
func (r *references) note(op string, g Global, m *machine) error {
	g.Module, g.Name = cut(g.Module), cut(g.Name)
	key := referenceKey{g, op, m.name}
	if i, ok := r.index[key]; ok {
		r.list[i].Count++
		return nil
	}
	if len(r.list) == maxGlobals {
		return m.fail("more than %d different names", maxGlobals)
	}
	r.index[key] = len(r.list)
	r.list = append(r.list, Reference{Global: g, Op: op, Member: m.name, Offset: m.at, Count: 1, Known: IsKnown(g)})
	return nil
}

// cut shortens a name to what is listed and makes it UTF-8.
func cut(s string) string {
	if len(s) > maxName {
		s = s[:maxName] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// known are the names that files of weights need: what PyTorch itself lets through when it loads weights only, and the parts
// of a numpy array.
var known = func() map[Global]bool {
	set := map[Global]bool{}
	for module, names := range map[string]string{
		"collections":            "OrderedDict Counter",
		"_codecs":                "encode",
		"builtins":               "bytearray set complex",
		"__builtin__":            "bytearray set complex",
		"torch":                  "Size Tensor device per_tensor_affine per_tensor_symmetric per_channel_affine per_channel_symmetric per_channel_affine_float_qparams",
		"torch.nn.parameter":     "Parameter",
		"torch.serialization":    "_get_layout",
		"torch.storage":          "UntypedStorage TypedStorage",
		"torch._tensor":          "_rebuild_from_type_v2",
		"torch._utils":           "_rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_parameter _rebuild_parameter_with_state _rebuild_qtensor _rebuild_sparse_tensor _rebuild_meta_tensor_no_storage _rebuild_wrapper_subclass _rebuild_device_tensor_from_numpy _rebuild_device_tensor_from_cpu_tensor",
		"numpy":                  "ndarray dtype",
		"numpy.core.multiarray":  "_reconstruct",
		"numpy._core.multiarray": "_reconstruct",
	} {
		for _, name := range strings.Fields(names) {
			set[Global{module, name}] = true
		}
	}
	for name := range storageTypes {
		set[Global{"torch", name}] = true
		set[Global{"torch.cuda", name}] = true
	}
	for name := range dtypes {
		set[Global{"torch", name}] = true
	}
	return set
}()

// IsKnown reports whether a name is one of those that files of weights need, compared letter for letter.
func IsKnown(g Global) bool { return known[g] }

// Unknown returns the names that are not known, each once, in the order of their first use.
func (f *File) Unknown() []Global {
	var list []Global
	seen := map[Global]bool{}
	for _, r := range f.References {
		if !r.Known && !seen[r.Global] {
			seen[r.Global] = true
			list = append(list, r.Global)
		}
	}
	return list
}
