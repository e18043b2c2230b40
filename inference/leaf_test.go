package inference_test

import (
	"context"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carat-hub/carat/inference"
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

func Example() {
	ctx := context.Background()
	files, err := inference.OpenPath("../examples/tiny-llama")
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := inference.Open(ctx, files)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	tok, err := m.Tokenizer()
	if err != nil {
		fmt.Println(err)
		return
	}
	s := m.NewSession(inference.SessionOptions{Threads: 2})
	defer s.Close()
	ids, err := s.Generate(ctx, tok.Encode("In the beginning", true), inference.GenerateOptions{MaxTokens: 8})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%q\n", tok.Decode(ids))
	// Output: " of the LORD, and the LORD thy"
}
