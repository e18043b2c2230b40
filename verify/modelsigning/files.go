package modelsigning

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/crypto/blake2b"
)

// defaultIgnored are left out at the root of every model.
var defaultIgnored = []string{".git", ".gitattributes", ".github", ".gitignore"}

// checkIgnored refuses what is no plain path. Errors: ErrMalformed.
func checkIgnored(p string) error {
	if strings.ContainsAny(p, "*?[") || !isPath(p) {
		return fmt.Errorf("%w: %.80q is no path that can be left out", ErrMalformed, p)
	}
	return nil
}

// List lists the files of a model on disk, a folder or a single file, and
// hashes them. signature is the path of the signature itself, "" when it lies
// elsewhere. Errors: of reading, ErrMalformed for names that cannot be listed,
// ErrFiles where there is nothing, or a link that s does not allow.
func List(ctx context.Context, model, signature string, s Serialization) (*Manifest, error) {
	m := &Manifest{Serialization: s}
	m.Serialization.IgnorePaths = slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(s.IgnorePaths), defaultIgnored...))))
	for _, p := range m.Serialization.IgnorePaths {
		if err := checkIgnored(p); err != nil {
			return nil, err
		}
	}
	if s.Method == MethodShards && s.ShardSize <= 0 {
		return nil, fmt.Errorf("%w: shards of %d bytes", ErrMalformed, s.ShardSize)
	}
	files, err := m.find(model, signature)
	if err != nil {
		return nil, err
	}
	if m.Resources, err = hashAll(ctx, files, &m.Serialization); err != nil {
		return nil, err
	}
	m.sort()
	return m, m.check()
}

// found is a file that has to be hashed.
type found struct {
	name string // within the model
	path string // on disk
}

// find enumerates the files.
func (m *Manifest) find(model, signature string) ([]found, error) {
	info, err := os.Stat(model)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []found{{filepath.Base(model), model}}, nil
	}
	var own os.FileInfo
	if signature != "" {
		if own, err = os.Stat(signature); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	var list []found
	var walk func(name, dir string, above []os.FileInfo) error
	walk = func(name, dir string, above []os.FileInfo) error {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			name, file := path.Join(name, e.Name()), filepath.Join(dir, e.Name())
			if slices.Contains(m.Serialization.IgnorePaths, name) {
				continue
			}
			if !utf8.ValidString(name) {
				return fmt.Errorf("%w: the name %q is not UTF-8", ErrMalformed, name)
			}
			info, err := os.Lstat(file)
			if err == nil && info.Mode()&fs.ModeSymlink != 0 {
				if !m.Serialization.AllowSymlinks {
					return fmt.Errorf("%w: %s is a symbolic link", ErrFiles, name)
				}
				info, err = os.Stat(file)
			}
			switch {
			case err != nil:
				return err
			case info.IsDir():
				if slices.ContainsFunc(above, func(a os.FileInfo) bool { return os.SameFile(a, info) }) {
					return fmt.Errorf("%w: %s leads back to a folder above it", ErrFiles, name)
				}
				if err := walk(name, file, append(above, info)); err != nil {
					return err
				}
			case !info.Mode().IsRegular():
				return fmt.Errorf("%w: %s is no regular file", ErrFiles, name)
			case own != nil && os.SameFile(own, info):
			default:
				if list = append(list, found{name, file}); len(list) > maxResources {
					return fmt.Errorf("%w: there are more than %d files", ErrMalformed, maxResources)
				}
			}
		}
		return nil
	}
	if err := walk("", model, []os.FileInfo{info}); err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: there are none", ErrFiles)
	}
	return list, nil
}

// hashAll hashes several files at once.
func hashAll(ctx context.Context, files []found, s *Serialization) ([]Resource, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	lists := make([][]Resource, len(files))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(files)) {
		wg.Go(func() {
			for i := range next {
				var err error
				if lists[i], err = hashFile(ctx, files[i], s); err != nil {
					stop(err)
				}
			}
		})
	}
	for i := range files {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return slices.Concat(lists...), nil
}

func newHash(name string) (hash.Hash, error) {
	switch name {
	case HashSHA256:
		return sha256.New(), nil
	case HashBLAKE2b:
		return blake2b.New512(nil)
	}
	return nil, fmt.Errorf("%w: hash %.40q", ErrUnsupported, name)
}

// hashFile lists one file, whole or in shards.
func hashFile(ctx context.Context, f found, s *Serialization) ([]Resource, error) {
	r, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	h, err := newHash(s.HashType)
	if err != nil {
		return nil, err
	}
	buffer := make([]byte, 1<<20)
	sum := func(limit int64) (int64, error) {
		h.Reset()
		return io.CopyBuffer(struct{ io.Writer }{h}, &limited{ctx, r, limit}, buffer)
	}
	if s.Method == MethodFiles {
		if _, err := sum(-1); err != nil {
			return nil, fmt.Errorf("read %s: %w", f.name, err)
		}
		return []Resource{{f.name, hex.EncodeToString(h.Sum(nil)), s.HashType}}, nil
	}
	var list []Resource
	for start := int64(0); ; {
		n, err := sum(s.ShardSize)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", f.name, err)
		}
		if n > 0 {
			list = append(list, Resource{shardName(f.name, start, start+n), hex.EncodeToString(h.Sum(nil)), s.HashType})
		}
		if start += n; n < s.ShardSize {
			return list, nil
		}
		if len(list) > maxResources {
			return nil, fmt.Errorf("%w: %s has more than %d shards", ErrMalformed, f.name, maxResources)
		}
	}
}

// limited reads up to a number of bytes, all where it is negative, until the
// context ends.
type limited struct {
	ctx  context.Context
	from io.Reader
	left int64
}

func (r *limited) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	if r.left == 0 {
		return 0, io.EOF
	}
	if r.left > 0 && int64(len(p)) > r.left {
		p = p[:r.left]
	}
	n, err := r.from.Read(p)
	if r.left > 0 {
		r.left -= int64(n)
	}
	return n, err
}
