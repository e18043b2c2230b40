package inference_test

import (
	"bytes"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/carat-hub/carat/inference"
)

const exampleFolder = "../examples/tiny-llama"

// weightsOf reads all weights of a model by their roles.
func weightsOf(t *testing.T, files inference.Files, named bool) map[string]*inference.Weight {
	t.Helper()
	r, err := inference.OpenRoles(t.Context(), files, named)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	list, err := r.Ends(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range r.Layers() {
		l, err := r.Layer(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, l...)
	}
	byRole := map[string]*inference.Weight{}
	for _, w := range list {
		if byRole[w.Role] != nil {
			t.Errorf("role %s twice", w.Role)
		}
		byRole[w.Role] = w
	}
	return byRole
}

// farthest returns the largest difference of two weights relative to the root mean square of the second.
func farthest(t *testing.T, a, b *inference.Weight) float64 {
	t.Helper()
	if a == nil || b == nil || a.Rows != b.Rows || a.Cols != b.Cols {
		t.Fatalf("%+v has no counterpart like %+v", b, a)
	}
	x, y := make([]float32, a.Cols), make([]float32, a.Cols)
	var most, squares float64
	for i := range a.Rows {
		if err := a.Row(i, x); err != nil {
			t.Fatal(err)
		}
		if err := b.Row(i, y); err != nil {
			t.Fatal(err)
		}
		for j := range x {
			most = max(most, math.Abs(float64(x[j])-float64(y[j])))
			squares += float64(y[j]) * float64(y[j])
		}
	}
	return most / math.Sqrt(squares/float64(a.Rows*a.Cols))
}

// TestRolesAreThoseOfOtherFormats compares the weights of the example with those of its GGUF form, whose tensors have other names
// and whose rows of queries and keys another order.
func TestRolesAreThoseOfOtherFormats(t *testing.T) {
	t.Parallel()
	folder, err := inference.OpenPath(exampleFolder)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := inference.Quantize(t.Context(), folder, &out, inference.QuantizeOptions{Type: "bf16"}); err != nil {
		t.Fatal(err)
	}
	gguf := inference.FromSources(map[string]inference.Source{"m.gguf": {ReaderAt: bytes.NewReader(out.Bytes()), Size: int64(out.Len())}})
	whole, other := weightsOf(t, folder, false), weightsOf(t, gguf, false)
	if len(whole) != len(other) || len(whole) < 30 {
		t.Errorf("%d weights, in GGUF %d", len(whole), len(other))
	}
	for role, w := range whole {
		if far := farthest(t, w, other[role]); far != 0 {
			t.Errorf("%s differs by %g", role, far)
		}
	}
	q8, err := inference.OpenPath("testdata/tiny-llama-q8_0.gguf")
	if err != nil {
		t.Fatal(err)
	}
	for role, w := range weightsOf(t, q8, false) {
		if far := farthest(t, w, whole[role]); far > 0.1 {
			t.Errorf("%s of llama.cpp's file differs by %g", role, far)
		}
		if strings.Contains(role, ".q") && w.DType != "Q8_0" {
			t.Errorf("%s is %s", role, w.DType)
		}
	}
}

// TestRolesByName reads a model whose architecture is not known.
func TestRolesByName(t *testing.T) {
	t.Parallel()
	folder, err := inference.OpenPath(exampleFolder)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(exampleFolder)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/config.json", []byte(`{"model_type":"unheard-of"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	unknown, err := inference.OpenPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, want := weightsOf(t, unknown, false), weightsOf(t, folder, true)
	const name = "model.layers.1.self_attn.q_proj.weight"
	if len(got) != 38 || len(want) != 38 || farthest(t, got[name], want[name]) != 0 {
		t.Errorf("%d and %d weights", len(got), len(want))
	}
}
