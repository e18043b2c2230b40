package client

import (
	"encoding/json"
	"errors"
	"flag"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/carat-hub/carat/registry"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func indent(t *testing.T, p []byte) []byte {
	t.Helper()
	var v any
	if err := json.Unmarshal(p, &v); err != nil {
		t.Fatal(err)
	}
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(out, '\n')
}

func TestPackExample(t *testing.T) {
	t.Parallel()
	s, err := OpenSource("../examples/tiny-llama")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, rec := newClient(t, nil)
	p, err := c.Pack(t.Context(), s, Description{
		Name: "tiny-llama", Family: "llama", Licenses: []string{"Apache-2.0"}, Languages: []string{"en", "code"},
		Architecture: "llama", Format: "safetensors", Parameters: 2_885_888, Precision: "bf16",
		InputTypes: []string{"text"}, OutputTypes: []string{"text"}, CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600)),
	})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "tiny-llama.manifest.json", indent(t, p.Manifest))
	golden(t, "tiny-llama.config.json", indent(t, p.Config))
	if got := registry.DigestOf(registry.SHA256, p.Manifest); got != p.Digest {
		t.Errorf("digest is %s, want %s", p.Digest, got)
	}
	if got := rec.count(Hashed); got != len(s.Files) {
		t.Errorf("%d files were reported as hashed, want %d", got, len(s.Files))
	}

	// The standard's own types read it back.
	var m ispec.Manifest
	if err := json.Unmarshal(p.Manifest, &m); err != nil {
		t.Fatal(err)
	}
	if m.SchemaVersion != 2 || m.MediaType != ispec.MediaTypeImageManifest || m.ArtifactType != registry.ModelPackArtifact {
		t.Errorf("manifest has schema version %d, media type %q, artifact type %q", m.SchemaVersion, m.MediaType, m.ArtifactType)
	}
	a, err := parseManifest(p.Manifest, registry.MediaTypeOCIManifest)
	if err != nil {
		t.Fatal(err)
	}
	files, err := a.Files()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(files, func(a, b registry.File) int { return strings.Compare(a.Path, b.Path) }) || len(files) != len(s.Files) {
		t.Errorf("layers are not the files in the order of their paths: %v", files)
	}
}

func TestPackIsDeterministic(t *testing.T) {
	t.Parallel()
	model := smallModel()
	one, two := writeModel(t, model), writeModel(t, model)
	// Other times, other permissions, and files that do not belong to the model.
	if err := os.Chtimes(filepath.Join(two, "config.json"), time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(two, "README.md"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".git/config", ".cache/huggingface/x.lock", ".DS_Store", ".gitattributes", "__pycache__/x.pyc"} {
		full := filepath.Join(two, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c, _ := newClient(t, nil)
	a, b := pack(t, c, one), pack(t, c, two)
	if a.Digest != b.Digest {
		t.Errorf("equal models have the digests %s and %s\n%s", a.Digest, b.Digest, cmp.Diff(string(a.Manifest), string(b.Manifest)))
	}
}

func TestPackNoticesChange(t *testing.T) {
	t.Parallel()
	dir := writeModel(t, smallModel())
	s, err := OpenSource(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := os.WriteFile(filepath.Join(dir, "README.md"), []byte("# Another\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Join(dir, "README.md"), time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	c, _ := newClient(t, nil)
	if _, err := c.Pack(t.Context(), s, Description{}); !errors.Is(err, ErrChanged) {
		t.Errorf("packing a changed file: %v, want ErrChanged", err)
	}
}

func TestOpenSourceRefuses(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("needs symbolic links and sockets")
	}
	secret := writeModel(t, map[string][]byte{"secret": []byte("s")})
	link := func(target, name string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		name   string
		change func(t *testing.T, dir string)
		want   string // part of the error, "" for none
	}{
		{"nothing odd", func(*testing.T, string) {}, ""},
		{"link inside", link("model.safetensors", "other.safetensors"), ""},
		{"link out, absolute", link(filepath.Join(secret, "secret"), "notes.txt"), "leaves the folder"},
		{"link out, relative", link("../../etc/hostname", "notes.txt"), "leaves the folder"},
		{"link to nothing", link("nothing", "notes.txt"), "does not exist"},
		{"link to a folder", link("onnx", "more"), "link to the folder"},
		{"link to a folder outside", link(secret, "more"), "leaves the folder"},
		{"name that others cannot have", func(t *testing.T, dir string) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(dir, "a:b"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}, "character ':'"},
		{"names that differ in case", func(t *testing.T, dir string) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(dir, "CONFIG.json"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}, "ignore case"},
		{"socket", func(t *testing.T, dir string) {
			t.Helper()
			short, err := os.MkdirTemp("", "s")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(short) })
			l, err := net.Listen("unix", filepath.Join(short, "sock"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			if err := os.Rename(filepath.Join(short, "sock"), filepath.Join(dir, "sock")); err != nil {
				t.Fatal(err)
			}
		}, "not a regular file"},
		{"no weights", func(t *testing.T, dir string) {
			t.Helper()
			for _, name := range []string{"model.safetensors", "copy", "onnx"} {
				if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
		}, "no model found"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := writeModel(t, smallModel())
			tt.change(t, dir)
			s, err := OpenSource(dir)
			if err == nil {
				s.Close()
			}
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("OpenSource: %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("OpenSource: %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestOpenSourceFile(t *testing.T) {
	t.Parallel()
	dir := writeModel(t, map[string][]byte{"m.gguf": []byte("GGUF\x03\x00\x00\x00"), "fake.gguf": []byte("GG"), "m.onnx": []byte("x"), "secret.txt": []byte("x")})
	s, err := OpenSource(filepath.Join(dir, "m.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if len(s.Files) != 1 || s.Files[0].Path != "m.gguf" || s.Files[0].MediaType != registry.ModelPackWeight {
		t.Errorf("files of a single GGUF are %+v", s.Files)
	}
	if err := s.Complete(); err != nil {
		t.Error(err)
	}
	part, err := OpenSource(filepath.Join(dir, "m.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	defer part.Close()
	if err := part.Complete(); len(part.Files) != 1 || part.Files[0].MediaType != registry.ModelPackWeight || !errors.Is(err, ErrNoModel) {
		t.Errorf("a file of another format is %+v, %v; want ErrNoModel from Complete", part.Files, err)
	}
	for _, name := range []string{"fake.gguf", "secret.txt"} {
		if _, err := OpenSource(filepath.Join(dir, name)); !errors.Is(err, ErrNoModel) {
			t.Errorf("%s: %v, want ErrNoModel", name, err)
		}
	}
	if _, err := OpenSource(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"model-00001-of-00002.safetensors": "weight", "a/b.GGUF": "weight", "pytorch_model.bin": "weight", "onnx/model.onnx": "weight",
		"config.json": "weight.config", "tokenizer.json": "weight.config", "model.safetensors.index.json": "weight.config", "tokenizer.model": "weight.config",
		"vocab.txt": "weight.config", "merges.txt": "weight.config", "chat_template.jinja": "weight.config", "generation_config.json": "weight.config",
		"README.md": "doc", "LICENSE": "doc", "LICENSE.txt": "doc", "NOTICE": "doc", "USE_POLICY.md": "doc", "figures/loss.png": "doc", "license": "doc",
		"modeling_x.py": "code", "requirements.txt": "code", "run.sh": "code", "Dockerfile": "code",
		"train.parquet": "dataset", "data/eval.jsonl": "dataset", "x.csv": "dataset",
	}
	for name, want := range tests {
		got, guessed := classify(name, 100)
		if got != "application/vnd.cncf.model."+want+".v1.raw" || guessed {
			t.Errorf("classify(%q) = %q, %v; want %s, surely", name, got, guessed, want)
		}
	}
	if got, guessed := classify("thing", 1<<30); got != registry.ModelPackWeight || !guessed {
		t.Errorf("a large unknown file is %q, %v", got, guessed)
	}
	if got, guessed := classify("thing.xyz", 10); got != registry.ModelPackDoc || !guessed {
		t.Errorf("a small unknown file is %q, %v", got, guessed)
	}
}

func TestParamSize(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		-1: "", 0: "", 999: "", 1000: "1K", 2_885_888: "2.9M", 999_949: "999.9K", 999_960: "1M", 7_000_000_000: "7B", 70_553_706_496: "70.6B",
		1_000_000_000_000: "1T", 9_223_372_036_854_775_807: "9223.4Q",
	} {
		if got := ParamSize(n); got != want {
			t.Errorf("ParamSize(%d) = %q, want %q", n, got, want)
		}
	}
}
