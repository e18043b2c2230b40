package modelsigning

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
)

// Measure lists the files of a folder, or takes one file, and hashes them as
// s says. What has a path in ignored is left out, and so recorded; defaults
// are filled in. Everything is read through the folder, so that no link leads
// out of it. Errors: provenance.ErrMalformed for paths that cannot be signed.
func Measure(ctx context.Context, name string, s Serialization, ignored ...string) (*Manifest, error) {
	if s.Method == "" {
		s.Method = Files
	}
	if s.HashType == "" {
		s.HashType = SHA256
	}
	if s.Method == Shards && s.ShardSize == 0 {
		s.ShardSize = DefaultShardSize
	}
	s.IgnorePaths = slices.Concat(s.IgnorePaths, ignored)
	slices.Sort(s.IgnorePaths)
	s.IgnorePaths = slices.Compact(s.IgnorePaths)
	if err := s.check(); err != nil {
		return nil, err
	}
	full, err := filepath.Abs(name)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(full)
	if err != nil {
		return nil, err
	}
	m := &Manifest{Name: filepath.Base(full), Serialization: s}
	w := walker{m: m}
	folder := full
	if !info.IsDir() {
		folder = filepath.Dir(full)
	}
	if w.root, err = os.OpenRoot(folder); err != nil {
		return nil, err
	}
	defer w.root.Close()
	if info.IsDir() {
		err = fs.WalkDir(w.root.FS(), ".", w.visit)
	} else {
		err = w.add(m.Name)
	}
	if err != nil {
		return nil, err
	}
	if err := w.hash(ctx); err != nil {
		return nil, err
	}
	slices.SortFunc(m.Resources, byName)
	return m, m.check()
}

// walker collects the resources of a manifest, at first without digests.
type walker struct {
	root   *os.Root
	m      *Manifest
	ranges []section // of each resource
}

// section is what a resource is hashed of.
type section struct {
	path       string
	start, end int64
}

func (w *walker) visit(p string, d fs.DirEntry, err error) error {
	switch {
	case err != nil:
		return err
	case p == ".":
		return nil
	case w.m.Serialization.ignores(p):
		if d.IsDir() {
			return fs.SkipDir
		}
		return nil
	case d.IsDir():
		return nil
	}
	return w.add(p)
}

func (w *walker) add(p string) error {
	if err := checkPath(p); err != nil {
		return err
	}
	local := filepath.FromSlash(p)
	info, err := w.root.Lstat(local)
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		if !w.m.Serialization.AllowSymlinks {
			return fmt.Errorf("%w: %s is a symbolic link, and links are not followed", ErrDiffers, p)
		}
		if info, err = w.root.Stat(local); err != nil {
			return fmt.Errorf("%s is a symbolic link that leads nowhere or out of the folder: %w", p, err)
		}
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file (%s)", p, info.Mode().Type())
	}
	s := w.m.Serialization
	if s.Method == Files {
		return w.resource(p, section{p, 0, info.Size()})
	}
	for start := int64(0); start < info.Size(); start += s.ShardSize {
		end := min(start+s.ShardSize, info.Size())
		name := p + ":" + strconv.FormatInt(start, 10) + ":" + strconv.FormatInt(end, 10)
		if err := w.resource(name, section{p, start, end}); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) resource(name string, s section) error {
	if len(w.ranges) == maxResources {
		return fmt.Errorf("there are more than %d files or shards", maxResources)
	}
	w.m.Resources = append(w.m.Resources, Resource{Name: name, Algorithm: w.m.Serialization.HashType})
	w.ranges = append(w.ranges, s)
	return nil
}

// hash fills in the digests, on all processors.
func (w *walker) hash(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, s := range w.ranges {
		g.Go(func() error {
			digest, err := w.digest(ctx, s)
			w.m.Resources[i].Digest = digest
			return err
		})
	}
	return g.Wait()
}

func (w *walker) digest(ctx context.Context, s section) (string, error) {
	f, err := w.root.Open(filepath.FromSlash(s.path))
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := w.m.Serialization.HashType.new()
	buffer := make([]byte, 1<<20)
	// One byte more than there should be tells a file that grows.
	limit := s.end - s.start
	if w.m.Serialization.Method == Files {
		limit++
	}
	r := io.NewSectionReader(f, s.start, limit)
	var done int64
	for {
		if err := context.Cause(ctx); err != nil {
			return "", err
		}
		n, err := r.Read(buffer)
		h.Write(buffer[:n])
		done += int64(n)
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", fmt.Errorf("read %s: %w", s.path, err)
		}
	}
	if done != s.end-s.start {
		return "", fmt.Errorf("%s changed while it was read", s.path)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Hidden lists the paths in a folder whose last part begins with a dot, and
// folders of Python's byte code, as far as they are not ignored anyway: what a
// push leaves out.
func Hidden(folder string) ([]string, error) {
	var list []string
	err := fs.WalkDir(os.DirFS(folder), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == "." {
			return err
		}
		if strings.HasPrefix(path.Base(p), ".") || d.IsDir() && path.Base(p) == "__pycache__" {
			if !slices.Contains(DefaultIgnored, p) {
				list = append(list, p)
			}
			if d.IsDir() {
				return fs.SkipDir
			}
		}
		return nil
	})
	return list, err
}
