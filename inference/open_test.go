package inference

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"testing"
	"testing/fstest"
)

func TestOpenTellsProgress(t *testing.T) {
	t.Parallel()
	var done []int
	m, err := Load(t.Context(), tinyFolder, OpenOptions{Progress: func(n, layers int) {
		if layers != 4 {
			t.Errorf("%d layers", layers)
		}
		done = append(done, n)
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if !slices.Equal(done, []int{0, 1, 2, 3, 4}) {
		t.Errorf("progress %v", done)
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	reached := 0
	_, err := Load(ctx, tinyFolder, OpenOptions{Progress: func(n, _ int) {
		if reached = n; n == 2 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || reached != 2 {
		t.Errorf("%v after %d layers", err, reached)
	}
	if _, err := Load(t.Context(), "no-such-folder", OpenOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing at the path: %v", err)
	}
}

// onlyForward is a file system whose files have no ReadAt.
type onlyForward struct{ fs.FS }

func (o onlyForward) Open(name string) (fs.File, error) {
	f, err := o.FS.Open(name)
	if name == "." {
		return f, err
	}
	return struct{ fs.File }{f}, err
}

// readable is a file system whose files have ReadAt and are no *os.File.
type readable struct{ fs.FS }

func (r readable) Open(name string) (fs.File, error) {
	f, err := r.FS.Open(name)
	if file, ok := f.(*os.File); ok && name != "." {
		return struct{ osFileRead }{file}, nil
	}
	return f, err
}

type osFileRead interface {
	fs.File
	ReadAt(b []byte, off int64) (int, error)
}

func TestFromFS(t *testing.T) {
	t.Parallel()
	logits, err := session(t, open(t, tinyFolder), SessionOptions{Threads: 1}).Eval(t.Context(), sequence)
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Clone(logits)
	for name, fsys := range map[string]fs.FS{"mapped": os.DirFS(tinyFolder), "read": readable{os.DirFS(tinyFolder)}} {
		files, err := FromFS(fsys)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Open(t.Context(), files)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		s := session(t, m, SessionOptions{Threads: 1})
		if got, err := s.Eval(t.Context(), sequence); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: other logits, %v", name, err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	files, err := FromFS(onlyForward{os.DirFS(tinyFolder)})
	if err != nil {
		t.Fatal(err)
	}
	var unsupported *UnsupportedError
	if _, err := Open(t.Context(), files); !errors.As(err, &unsupported) {
		t.Errorf("files without ReadAt: %v", err)
	}
	files, err = FromFS(fstest.MapFS{"sub/model.gguf": {Data: []byte("GGUF")}, "config.json": {Data: []byte("{}")}})
	if err != nil || !slices.Equal(files.Names(), []string{"config.json"}) {
		t.Errorf("%v, %v", files, err)
	}
}
