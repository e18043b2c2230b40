package inference

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/inference/tensor"
)

// parts writes the toy as a GGUF model split into count files.
func (m *toy) parts(t testing.TB, count int) map[string][]byte {
	t.Helper()
	writers := make([]gguf.Writer, count)
	for _, k := range sortedKeys(m.keys) {
		writers[0].Set(k, m.keys[k])
	}
	for i, n := range sortedKeys(m.tensors) {
		writers[i%count].Add(n, tensor.F32, m.tensors[n].shape, f32Bytes(m.tensors[n].values))
	}
	files := map[string][]byte{}
	for no := range writers {
		w := &writers[no]
		w.Set("split.no", uint16(no))
		w.Set("split.count", uint16(count))
		w.Set("split.tensors.count", int32(len(m.tensors)))
		var b bytes.Buffer
		if err := w.Write(&b); err != nil {
			t.Fatal(err)
		}
		files[gguf.Part{Prefix: "toy", Count: count}.Name(no)] = b.Bytes()
	}
	return files
}

func TestSplitModel(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	ids := []int{1, 9, 3, 3, 0}
	run := func(files Files) ([][]float32, *Facts) {
		m, err := Open(ctx, files)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		return evalAll(t, session(t, m, SessionOptions{}), ids), m.Facts()
	}
	want, whole := run(newToy().gguf(t))
	dir := t.TempDir()
	for name, b := range newToy().parts(t, 3) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"", "toy-00001-of-00003.gguf", "toy-00003-of-00003.gguf"} {
		files, err := OpenPath(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		got, facts := run(files)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q: %s", name, d)
		}
		byName := map[string]TensorFact{}
		for _, ts := range whole.Tensors {
			byName[ts.Name] = ts
		}
		for _, ts := range facts.Tensors {
			if want := byName[ts.Name]; ts.File == want.File || ts.Bytes != want.Bytes || !cmp.Equal(ts.Shape, want.Shape) {
				t.Errorf("%+v, in one file %+v", ts, want)
			}
		}
		all := *facts
		all.Tensors = whole.Tensors
		if d := cmp.Diff(whole, &all); d != "" || len(facts.Tensors) != len(whole.Tensors) {
			t.Errorf("%q: %d tensors, %s", name, len(facts.Tensors), d)
		}
	}
	if err := os.Remove(filepath.Join(dir, "toy-00002-of-00003.gguf")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "toy-00001-of-00003.gguf"} {
		files, err := OpenPath(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		_, err = Open(ctx, files)
		var bad *MalformedError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), "toy-00002-of-00003.gguf") || !strings.Contains(err.Error(), "missing") {
			t.Errorf("%q without a part: %v", name, err)
		}
	}
}
