//go:build linux

package fs_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/carat-hub/carat/storage"
	"github.com/carat-hub/carat/storage/fs"
)

// smallDisk mounts a file system of its own of size bytes.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a small disk needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("carat-test", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// TestFullDisk fills the disk, saves what was taken, and goes on when there
// is space again. Nothing that was acknowledged before is touched.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	s, err := fs.New(fs.Options{Dir: smallDisk(t, "4m")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}()
	ctx := t.Context()
	want := bytes.Repeat([]byte("0123456789abcdef"), 3<<20/16)
	put := func(p []byte) storage.Key {
		key := storage.NewKey()
		w, err := s.Create(ctx, key)
		if err != nil {
			t.Fatalf("Create: %v", err)
		}
		if _, err := w.Write(p); err != nil {
			t.Fatalf("Write: %v", err)
		}
		if err := w.Commit(ctx); err != nil {
			t.Fatalf("Commit: %v", err)
		}
		return key
	}
	ballast, kept := put(want[:2<<20]), put(want[:1000])

	for name, fill := range map[string]func(w storage.Writer) (int64, error){
		"Write":    func(w storage.Writer) (int64, error) { n, err := w.Write(want); return int64(n), err },
		"ReadFrom": func(w storage.Writer) (int64, error) { return io.Copy(w, io.MultiReader(bytes.NewReader(want))) },
	} {
		key := storage.NewKey()
		w, err := s.Create(ctx, key)
		if err != nil {
			t.Fatalf("Create: %v", err)
		}
		n, err := fill(w)
		if !errors.Is(err, storage.ErrNoSpace) || n == 0 || n >= int64(len(want)) || w.Offset() != n {
			t.Fatalf("%s on a full disk = %d, %v, Offset %d", name, n, err, w.Offset())
		}
		if err := s.Ping(ctx); !errors.Is(err, storage.ErrNoSpace) {
			t.Errorf("Ping on a full disk: %v", err)
		}
		st, err := w.Suspend(ctx)
		if err != nil {
			t.Fatalf("Suspend on a full disk: %v", err)
		}
		if w, err = s.Resume(ctx, key, st); err != nil || w.Offset() != n {
			t.Fatalf("Resume: %v", err)
		}
		if _, err := w.Write(want[n:]); !errors.Is(err, storage.ErrNoSpace) {
			t.Fatalf("Write while still full: %v", err)
		}
		at := w.Offset()
		if err := s.Delete(ctx, ballast); err != nil {
			t.Fatalf("Delete on a full disk: %v", err)
		}
		if _, err := w.Write(want[at:]); err != nil {
			t.Fatalf("Write when there is space again: %v", err)
		}
		if err := w.Commit(ctx); err != nil {
			t.Fatalf("Commit: %v", err)
		}
		for key, want := range map[storage.Key][]byte{key: want, kept: want[:1000]} {
			f, err := s.File(ctx, key)
			if err != nil {
				t.Fatalf("File: %v", err)
			}
			got, err := io.ReadAll(f)
			if err := errors.Join(err, f.Close()); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("object of %d bytes after the disk was full, want %d, %v", len(got), len(want), err)
			}
		}
		if err := s.Ping(ctx); err != nil {
			t.Errorf("Ping with space again: %v", err)
		}
		if err := s.Delete(ctx, key); err != nil {
			t.Fatalf("Delete: %v", err)
		}
		ballast = put(want[:2<<20])
	}
}

// TestNoFiles has no space for one more file, only for bytes.
func TestNoFiles(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "4m,nr_inodes=5") // the root, objects, uploads, two more
	s, err := fs.New(fs.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}()
	var writers []storage.Writer
	for range 2 {
		w, err := s.Create(t.Context(), storage.NewKey())
		if err != nil {
			t.Fatalf("Create: %v", err)
		}
		writers = append(writers, w)
	}
	if _, err := s.Create(t.Context(), storage.NewKey()); !errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("Create without space for a file: %v", err)
	}
	if err := writers[0].Commit(t.Context()); !errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("Commit without space for a folder: %v", err)
	}
	if err := writers[1].Abort(t.Context()); err != nil {
		t.Errorf("Abort: %v", err)
	}
}

// TestSendfile holds Open to handing over what package net knows how to give
// to the kernel.
func TestSendfile(t *testing.T) {
	t.Parallel()
	s := open(t)
	key := storage.NewKey()
	w, err := s.Create(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte("sendfile"), 100_000)
	if _, err := w.Write(want); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(t.Context(), key, 8, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var got destination
	n, err := io.Copy(&got, r)
	if err := errors.Join(err, r.Close()); n != 1000 || err != nil {
		t.Fatalf("io.Copy = %d, %v", n, err)
	}
	if got.fileRanges != 1 {
		t.Errorf("the destination was handed %d ranges of files, want 1", got.fileRanges)
	}
	if !bytes.Equal(got.Bytes(), want[8:1008]) {
		t.Errorf("wrong bytes")
	}
}

// destination recognises what net.TCPConn hands to sendfile.
type destination struct {
	bytes.Buffer
	fileRanges int
}

func (d *destination) ReadFrom(r io.Reader) (int64, error) {
	if l, ok := r.(*io.LimitedReader); ok {
		if _, ok := l.R.(*os.File); ok {
			d.fileRanges++
		}
	}
	return d.Buffer.ReadFrom(r)
}
