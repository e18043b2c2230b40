package toolbin

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

const module = "module github.com/carat-hub/carat\n"

// Path returns the absolute path of the program pinned by tools/<name>, building it first if needed. The build runs once,
// also when several test processes ask at the same time; where the Go module proxy cannot be reached and nothing is
// cached, the test fails.
func Path(t testing.TB, name string) string {
	t.Helper()
	path, err := Build(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Build is Path without a test.
func Build(name string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	pin := filepath.Join(root, "tools", name)
	folder := filepath.Join(root, "bin", "tools")
	path := filepath.Join(folder, name)
	if _, err := os.Stat(filepath.Join(pin, "go.mod")); err != nil {
		return "", fmt.Errorf("no module under tools/ pins %s: %w", name, err)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", fmt.Errorf("make folder for programs: %w", err)
	}
	unlock, err := lock(filepath.Join(folder, "."+name+".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if fresh(path, filepath.Join(pin, "go.mod"), filepath.Join(pin, "go.sum")) {
		return path, nil
	}
	if err := build(pin, folder, name); err != nil {
		return "", err
	}
	return path, nil
}

// build builds every program of the module in the folder pin, into a folder beside their place, and then moves them: no
// other process ever sees half a binary.
func build(pin, folder, name string) error {
	scratch, err := os.MkdirTemp(folder, ".build-"+name+"-")
	if err != nil {
		return fmt.Errorf("make build folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	cmd := exec.Command("go", "build", "-C", pin, "-trimpath", "-o", scratch+string(filepath.Separator), "tool")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	built, err := os.ReadDir(scratch)
	if err != nil {
		return fmt.Errorf("list what the build of %s made: %w", name, err)
	}
	for _, e := range built {
		if err := os.Rename(filepath.Join(scratch, e.Name()), filepath.Join(folder, e.Name())); err != nil {
			return fmt.Errorf("put %s in place: %w", e.Name(), err)
		}
	}
	if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
		return fmt.Errorf("the module %s builds no program of its own name: %w", pin, err)
	}
	return nil
}

// Root is the folder of the product's go.mod, looked for upwards from the working folder; `go test` runs every test in
// the folder of its package.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the module's root: %w", err)
	}
	for {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(mod, []byte(module)) {
			return dir, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("find the module's root: %w", err)
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find the module's root: no folder above the working folder holds its go.mod")
		}
		dir = parent
	}
}

// fresh tells whether path exists and none of the files it is made from is newer.
func fresh(path string, from ...string) bool {
	have, err := os.Stat(path)
	if err != nil {
		return false
	}
	for _, f := range from {
		src, err := os.Stat(f)
		if err != nil || src.ModTime().After(have.ModTime()) {
			return false
		}
	}
	return true
}

// lock takes the lock file at path, waiting for other processes that hold it, and returns what gives it back. A process
// that dies gives it back too.
func lock(path string) (func(), error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { _ = f.Close() }, nil
}
