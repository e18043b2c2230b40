package fs_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/storage"
	blobfs "github.com/carat-hub/carat/storage/fs"
	"github.com/carat-hub/carat/storage/storagetest"
)

func open(t testing.TB) *blobfs.Store {
	t.Helper()
	s, err := blobfs.New(blobfs.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func TestSuite(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, func(t *testing.T) storage.Store { return open(t) })
}

// tree lists the files of a folder with their permissions.
func tree(t *testing.T, dir string) map[string]fs.FileMode {
	t.Helper()
	files := make(map[string]fs.FileMode)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		files[filepath.ToSlash(name)] = info.Mode()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func newStore(t *testing.T, dir string) *blobfs.Store {
	t.Helper()
	s, err := blobfs.New(blobfs.Options{Dir: dir})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// TestLayout follows one object through the folder.
func TestLayout(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	s := newStore(t, dir)
	const id = "0199f0f0-0000-7000-8000-0000000000ab"
	const key = storage.Key("objects/" + id)
	want := func(what string, files map[string]fs.FileMode) {
		t.Helper()
		if diff := cmp.Diff(files, tree(t, dir)); diff != "" {
			t.Errorf("files %s (-want +got):\n%s", what, diff)
		}
	}
	w, err := s.Create(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	want("after Create", map[string]fs.FileMode{"uploads/" + id: 0o640})
	if _, err := w.Write([]byte("bytes")); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	want("after Commit", map[string]fs.FileMode{"objects/ab/" + id: 0o440})
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	want("after Ping", map[string]fs.FileMode{"objects/ab/" + id: 0o440})

	if _, err := s.Create(t.Context(), key); !errors.Is(err, os.ErrExist) {
		t.Errorf("Create under a key in use: %v", err)
	}
	if err := s.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	want("after Delete", map[string]fs.FileMode{})
}

// TestOneWriter keeps a forgotten stream out of an upload that went on.
func TestOneWriter(t *testing.T) {
	t.Parallel()
	s := open(t)
	key := storage.NewKey()
	w, err := s.Create(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(t.Context(), key); err == nil {
		t.Error("a second Create of the key worked")
	}
	if _, err := s.Resume(t.Context(), key, storage.State(`{"offset":0}`)); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("Resume while another writer has the upload: %v", err)
	}
	st, err := w.Suspend(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if w, err = s.Resume(t.Context(), key, st); err != nil {
		t.Fatalf("Resume after Suspend: %v", err)
	}
	if err := w.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestOtherProcess hands an upload to a store that was opened later.
func TestOtherProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := storage.NewKey()
	w, err := newStore(t, dir).Create(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("first ")); err != nil {
		t.Fatal(err)
	}
	st, err := w.Suspend(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// A Commit that was cut off before its rename leaves a read-only upload.
	if err := os.Chmod(filepath.Join(dir, "uploads", key.ID()), 0o440); err != nil {
		t.Fatal(err)
	}
	s := newStore(t, dir)
	if w, err = s.Resume(t.Context(), key, st); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("second")); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); string(got) != "first second" || err != nil {
		t.Errorf("object is %q, %v", got, err)
	}
}

// TestDamage shortens files behind the back of the store.
func TestDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newStore(t, dir)
	key := storage.NewKey()
	w, err := s.Create(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	st, err := w.Suspend(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "uploads", key.ID()), 99_999); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Resume(t.Context(), key, st); !errors.Is(err, storage.ErrState) {
		t.Errorf("Resume of a file that became shorter: %v", err)
	}
	if w, err = s.Resume(t.Context(), key, storage.State(`{"offset":99999}`)); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	id := key.ID()
	object := filepath.Join(dir, "objects", id[len(id)-2:], id)
	for name, read := range map[string]func(r io.Reader) (int64, error){
		"Read":    func(r io.Reader) (int64, error) { p, err := io.ReadAll(r); return int64(len(p)), err },
		"WriteTo": func(r io.Reader) (int64, error) { return io.Copy(io.Discard, r) },
	} {
		r, err := s.Open(t.Context(), key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(object)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(object, info.Size()-1); err != nil {
			t.Fatal(err)
		}
		n, err := read(r)
		if n != info.Size()-1 || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s of an object that became shorter = %d, %v", name, n, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestEscape puts a symbolic link where the store keeps its files.
func TestEscape(t *testing.T) {
	t.Parallel()
	dir, outside := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "uploads")); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	s := newStore(t, dir)
	w, err := s.Create(t.Context(), storage.NewKey())
	if err == nil {
		t.Errorf("Create through a link out of the folder worked, abort: %v", w.Abort(t.Context()))
	}
	if got := tree(t, outside); len(got) != 0 {
		t.Errorf("files outside of the folder: %v", got)
	}
}

func BenchmarkSuite(b *testing.B) {
	storagetest.Bench(b, func(b *testing.B) storage.Store { return open(b) })
}
