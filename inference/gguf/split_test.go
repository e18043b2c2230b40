package gguf

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/tensor"
)

func TestParsePart(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]*Part{
		"m-00001-of-00003.gguf":        {"m", 0, 3},
		"a-b-00003-of-00003.gguf":      {"a-b", 2, 3},
		"-00001-of-00001.gguf":         {"", 0, 1},
		"m-00000-of-00003.gguf":        nil,
		"m-00004-of-00003.gguf":        nil,
		"m-1-of-3.gguf":                nil,
		"m-00001-of-00003.gguf.part":   nil,
		"m-00001-of-99999.gguf":        nil,
		"m-00001-of-00003.safetensors": nil,
	} {
		p, ok := ParsePart(name)
		if ok != (want != nil) || ok && p != *want {
			t.Errorf("%s: %+v, %v", name, p, ok)
		}
		if ok && (p.Name(p.No) != name || len(p.Names()) != p.Count) {
			t.Errorf("%s: named %s, of %d", name, p.Name(p.No), len(p.Names()))
		}
	}
}

// split writes one file for each list of tensors. change may add keys, replace them by deleting, or rename tensors.
func split(t testing.TB, tensors [][]string, keys func(no int) map[string]any) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for no, names := range tensors {
		var w Writer
		for k, v := range keys(no) {
			w.Set(k, v)
		}
		for _, n := range names {
			w.Add(n, tensor.F32, []int{2}, []byte{byte(no), 0, 0, 0, 0, 0, 0, 0})
		}
		var out bytes.Buffer
		if err := w.Write(&out); err != nil {
			t.Fatal(err)
		}
		files[Part{"m", no, len(tensors)}.Name(no)] = out.Bytes()
	}
	return files
}

func readParts(files map[string][]byte, count int) (*File, error) {
	return ReadParts(Part{"m", 0, count}.Names(), func(name string) (io.ReaderAt, int64, error) {
		b, ok := files[name]
		if !ok {
			return nil, 0, fs.ErrNotExist
		}
		return bytes.NewReader(b), int64(len(b)), nil
	})
}

func plainKeys(no int) map[string]any {
	keys := map[string]any{"split.no": uint16(no), "split.count": uint16(3), "split.tensors.count": int32(3)}
	if no == 0 {
		keys["general.architecture"] = "llama"
	}
	return keys
}

func TestReadParts(t *testing.T) {
	t.Parallel()
	files := split(t, [][]string{{}, {"a", "b"}, {"c"}}, plainKeys) // gguf-split can leave the first part without tensors
	f, err := readParts(files, 3)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, ts := range f.Tensors {
		b := files[Part{"m", 0, 3}.Name(ts.Part)]
		got = append(got, fmt.Sprintf("%s in %d with %d", ts.Name, ts.Part, b[ts.Offset]))
	}
	if d := cmp.Diff([]string{"a in 1 with 1", "b in 1 with 1", "c in 2 with 2"}, got); d != "" {
		t.Error(d)
	}
	if f.Text("general.architecture", "") != "llama" || f.Quantization() != "F32" {
		t.Errorf("architecture %q, %s", f.Text("general.architecture", ""), f.Quantization())
	}
}

func TestPartsThatDoNotBelongTogether(t *testing.T) {
	t.Parallel()
	abc := [][]string{{"a"}, {"b"}, {"c"}}
	with := func(part int, key string, value any) map[string][]byte {
		return split(t, abc, func(no int) map[string]any {
			keys := plainKeys(no)
			if no == part {
				if keys[key] = value; value == nil {
					delete(keys, key)
				}
			}
			return keys
		})
	}
	cut := split(t, abc, plainKeys)
	cut["m-00002-of-00003.gguf"] = cut["m-00002-of-00003.gguf"][:40]
	for name, c := range map[string]struct {
		files map[string][]byte
		says  string
	}{
		"other number":    {with(1, "split.no", uint16(2)), `("m-00002-of-00003.gguf"): split.no is 2, want 1`},
		"first not first": {with(0, "split.no", uint16(1)), `("m-00001-of-00003.gguf"): split.no is 1, want 0`},
		"no number":       {with(2, "split.no", nil), "split.no is -1, want 2"},
		"other count":     {with(2, "split.count", uint16(4)), "split.count is 4, by their names there are 3"},
		"no count":        {with(0, "split.count", nil), "split.count is 1, by their names there are 3"},
		"tensors missing": {with(0, "split.tensors.count", int32(5)), "the parts have 3 tensors, not 5"},
		"tensor twice":    {split(t, [][]string{{"a"}, {"b"}, {"a"}}, plainKeys), `("a"): tensor is in m-00001-of-00003.gguf and in m-00003-of-00003.gguf`},
		"part is cut":     {cut, "read m-00002-of-00003.gguf"},
	} {
		_, err := readParts(c.files, 3)
		var bad *fault.Malformed
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	files := split(t, abc, plainKeys)
	delete(files, "m-00003-of-00003.gguf")
	if _, err := readParts(files, 3); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "m-00003-of-00003.gguf") {
		t.Errorf("missing part: %v", err)
	}
}

func FuzzParts(f *testing.F) {
	files := split(f, [][]string{{"a"}, {"b"}}, func(no int) map[string]any {
		return map[string]any{"split.no": uint16(no), "split.count": uint16(2), "split.tensors.count": int32(2)}
	})
	f.Add(files["m-00001-of-00002.gguf"], files["m-00002-of-00002.gguf"])
	f.Fuzz(func(t *testing.T, a, b []byte) {
		files := map[string][]byte{"m-00001-of-00002.gguf": a, "m-00002-of-00002.gguf": b}
		g, err := readParts(files, 2)
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, ts := range g.Tensors {
			if end := int64(len(files[Part{"m", 0, 2}.Name(ts.Part)])); ts.Offset < 0 || ts.Size < 0 || ts.Offset > end-ts.Size || seen[ts.Name] {
				t.Fatalf("tensor twice or outside part %d of %d bytes: %+v", ts.Part, end, ts)
			}
			seen[ts.Name] = true
		}
	})
}
