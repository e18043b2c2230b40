package inference_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestLeaf keeps the core a library of its own: it imports nothing else of this module and no cgo.
func TestLeaf(t *testing.T) {
	t.Parallel()
	const module, core = "github.com/carat-hub/carat/", "github.com/carat-hub/carat/inference"
	files := 0
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") {
			return err
		}
		files++
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, i := range f.Imports {
			p := strings.Trim(i.Path.Value, `"`)
			if p == "C" || strings.HasPrefix(p, module) && p != core && !strings.HasPrefix(p, core+"/") {
				t.Errorf("%s imports %s", path, p)
			}
		}
		return nil
	})
	if err != nil || files < 20 {
		t.Fatalf("%d files, %v", files, err)
	}
}
