package client

import (
	"path"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckPath(t *testing.T) {
	t.Parallel()
	for _, p := range []string{
		"README.md", "model-00001-of-00002.safetensors", "onnx/model.onnx", "a/b/c/d.json", ".gitattributes", "vocab (1).txt",
		"模型.gguf", "consolidated.00.pth", "console.txt", "nul_value.json", strings.Repeat("x", 255),
	} {
		if err := CheckPortable(p); err != nil {
			t.Errorf("CheckPortable(%q) = %v, want nil", p, err)
		}
	}
	for _, p := range []string{
		"", "/", "/etc/passwd", "//x", ".", "..", "../x", "a/../x", "a/..", "a/./b", "a//b", "a/", "./a",
		`a\b`, `..\x`, `C:\x`, "C:/x", "c:x", "a:b", "x\x00y", "x\ny", "x\x7f", "x\u202ey.gguf", "x\xff", "x\ufffd",
		"CON", "con.txt", "a/nul", "Aux.json", "com1.tar.gz", "LPT9", "COM¹", "nul .txt", "x.", "x ", " x", "a./b", "a /b",
		".git/config", "a/.GIT/hooks/post-checkout", ".model.gguf.0123456789ab.part", "a*", "a?", `"a"`, "a|b", "<a>",
		strings.Repeat("x", 256), strings.Repeat("x/", 600) + "x",
	} {
		if err := CheckPortable(p); err == nil {
			t.Errorf("CheckPortable(%q) = nil, want an error", p)
		}
	}
}

func TestPathSet(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		paths []string
		ok    bool
	}{
		{"different", []string{"a", "b/a", "b/c"}, true},
		{"same", []string{"a", "a"}, false},
		{"case", []string{"README.md", "readme.MD"}, false},
		{"case of a folder with the same files", []string{"A/x", "a/y"}, true},
		{"case in folders", []string{"A/x", "a/X"}, false},
		{"sharp s folds", []string{"straße", "STRASSE"}, false},
		{"normalization", []string{"caf\u00e9", "cafe\u0301"}, false},
		{"file then folder", []string{"a", "a/b"}, false},
		{"folder then file", []string{"a/b/c", "a/b"}, false},
		{"folder then file in other case", []string{"a/b/c", "A"}, false},
		{"prefix of a name only", []string{"a", "ab/c", "a.b"}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newPathSet()
			var err error
			for _, p := range tt.paths {
				if err = s.add(p); err != nil {
					break
				}
			}
			if (err == nil) != tt.ok {
				t.Errorf("adding %q: %v, want ok = %v", tt.paths, err, tt.ok)
			}
		})
	}
}

func FuzzCheckPath(f *testing.F) {
	for _, p := range []string{"README.md", "a/b", "../x", "/x", `a\..\b`, "nul.txt", "x\x00", "a/./b", ".git/x", "C:x"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if CheckPortable(p) != nil {
			return
		}
		if path.Clean(p) != p || path.IsAbs(p) || !filepath.IsLocal(p) {
			t.Errorf("CheckPortable let %q through, which is not a clean local path", p)
		}
		if strings.ContainsAny(p, "\x00\\:") {
			t.Errorf("CheckPortable let %q through", p)
		}
		if err := newPathSet().add(p); err != nil {
			t.Errorf("a lone valid path is refused: %v", err)
		}
	})
}
