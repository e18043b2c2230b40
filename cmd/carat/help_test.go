package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// must returns a function that returns v, or ends the test when err is set.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func asError[T error](err error, target *T) bool { return errors.As(err, target) }

func write(t *testing.T, path string, p []byte) {
	t.Helper()
	if err := os.WriteFile(path, p, 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	p, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// tarball writes a small archive into the folder and returns its path.
func tarball(t *testing.T, folder string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	content := bytes.Repeat([]byte("appended "), 1000)
	if err := errors.Join(w.WriteHeader(&tar.Header{Name: "file", Mode: 0o600, Size: int64(len(content))}), second(w.Write(content)), w.Close()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "layer.tar")
	write(t, path, b.Bytes())
	return path
}

func second[T any](_ T, err error) error { return err }
