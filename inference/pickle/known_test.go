package pickle

import "testing"

// TestKnownNamesAreExact: nothing that calls anything else, or that only looks like a known name, counts as known.
func TestKnownNamesAreExact(t *testing.T) {
	t.Parallel()
	for _, g := range []Global{
		{"collections", "OrderedDict"},
		{"torch._utils", "_rebuild_tensor_v2"},
		{"torch", "FloatStorage"},
		{"torch", "bfloat16"},
		{"torch", "float8_e4m3fn"},
		{"torch.nn.parameter", "Parameter"},
		{"numpy.core.multiarray", "_reconstruct"},
		{"_codecs", "encode"},
	} {
		if !IsKnown(g) {
			t.Errorf("%s is not known", g)
		}
	}
	for _, g := range []Global{
		{"collections", "OrderedDict "},
		{"Collections", "OrderedDict"},
		{"collections", "OrderedDict.fromkeys"},
		{"", "collections.OrderedDict"},
		{"collections.OrderedDict", ""},
		{"os", "system"},
		{"posix", "system"},
		{"builtins", "eval"},
		{"builtins", "getattr"},
		{"builtins", "exec"},
		{"torch", "load"},
		{"torch.storage", "_load_from_bytes"},
		{"torch.hub", "load"},
		{"torch._utils", "_rebuild_tensor_v4"},
		{"torch", ""},
		{"numpy.core.multiarray", "scalar"},
		{"joblib.numpy_pickle", "NumpyArrayWrapper"},
		{"copyreg", "_reconstructor"},
		{"builtins", "set.__init__"},
		{"runpy", "_run_code"},
		{"functools", "partial"},
		{"operator", "attrgetter"},
		{"torch.jit", "load"},
		{"torch", "FloatStorage.from_file"},
	} {
		if IsKnown(g) {
			t.Errorf("%s is known", g)
		}
	}
}
