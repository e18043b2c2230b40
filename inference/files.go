package inference

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"sync"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/gguf"
)

// File is one open file of a model. Its ReadAt may be called from several goroutines at once.
type File interface {
	io.ReaderAt
	// Size returns the file's length in bytes.
	Size() int64
	Close() error
}

// Mapped is what a File has in addition when its content is in memory or mapped into it.
type Mapped interface {
	// Bytes returns the whole content, valid until Close and never to be written to.
	Bytes() []byte
}

// Files is a set of named files that make up a model.
type Files interface {
	// Names returns the names of the files, with slashes after those of folders, in any order.
	Names() []string
	// Open opens a file by name; the caller closes it. An unknown name gives an error that is fs.ErrNotExist.
	Open(name string) (File, error)
}

// maxFiles bounds how many files of a folder are looked at.
const maxFiles = 10_000

// OpenPath returns the files of a folder, or a single file, or all parts of a split GGUF model when name is one of them. Of
// subfolders it takes those that hold the later modules of a sentence-transformers model, such as 1_Pooling. Files it opens are
// memory-mapped where the operating system allows it. The error is fs.ErrNotExist when nothing is there.
func OpenPath(name string) (Files, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	if !info.IsDir() {
		return &folder{dir: filepath.Dir(name), names: withParts(name)}, nil
	}
	names, err := listFiles(os.DirFS(name))
	if err != nil {
		return nil, err
	}
	return &folder{dir: name, names: names}, nil
}

// withParts returns the name of the file at path, and with it the other parts of the same model that lie beside it.
func withParts(path string) []string {
	dir, name := filepath.Split(path)
	p, split := gguf.ParsePart(name)
	if !split {
		return []string{name}
	}
	return slices.DeleteFunc(p.Names(), func(n string) bool {
		info, err := os.Stat(filepath.Join(dir, n))
		return err != nil || !info.Mode().IsRegular()
	})
}

type folder struct {
	dir   string
	names []string
}

// moduleFolder is what sentence-transformers calls the folders of a model's modules after the first.
var moduleFolder = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^\d{1,2}_[A-Za-z]+$`) })

// listFiles returns the names of the regular files in the root of a file system and in the folders of modules, sorted.
func listFiles(fsys fs.FS) ([]string, error) {
	var names []string
	folders := []string{"."}
	for len(folders) > 0 {
		dir := folders[0]
		folders = folders[1:]
		entries, err := readDir(fsys, dir)
		if err != nil {
			return nil, fmt.Errorf("list model files: %w", err)
		}
		if len(names)+len(entries) > maxFiles {
			return nil, fault.NewUnsupported("model folder", "more than %d files", maxFiles)
		}
		for _, e := range entries {
			// Caches link to their files, so the target decides.
			name := path.Join(dir, e.Name())
			info, err := fs.Stat(fsys, name)
			switch {
			case err == nil && info.Mode().IsRegular():
				names = append(names, name)
			case err == nil && info.IsDir() && dir == "." && moduleFolder().MatchString(name):
				folders = append(folders, name)
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// readDir reads no more of a folder than shows that there is too much.
func readDir(fsys fs.FS, dir string) ([]fs.DirEntry, error) {
	f, err := fsys.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d, ok := f.(fs.ReadDirFile)
	if !ok {
		return fs.ReadDir(fsys, dir)
	}
	entries, err := d.ReadDir(maxFiles + 1)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return entries, err
}

func (f *folder) Names() []string { return slices.Clone(f.names) }

func (f *folder) Open(name string) (File, error) {
	if !slices.Contains(f.names, name) {
		return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
	}
	file, err := os.Open(filepath.Join(f.dir, name))
	if err != nil {
		return nil, err
	}
	return mapFile(file)
}

// Source is the content of one file for FromSources.
type Source struct {
	io.ReaderAt
	Size int64
}

// FromSources returns Files over readers, such as ranged reads of a remote store. Closing a file leaves its reader alone.
func FromSources(sources map[string]Source) Files { return sourceFiles(sources) }

type sourceFiles map[string]Source

func (s sourceFiles) Names() []string { return sortedKeys(s) }

func (s sourceFiles) Open(name string) (File, error) {
	src, ok := s[name]
	if !ok {
		return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
	}
	return readerFile{src}, nil
}

type readerFile struct{ src Source }

func (r readerFile) ReadAt(b []byte, off int64) (int, error) { return r.src.ReadAt(b, off) }
func (r readerFile) Size() int64                             { return r.src.Size }
func (r readerFile) Close() error                            { return nil }

// FromOpen returns Files over files that are open already, so that a process without access to the file system can use them.
// They are memory-mapped where the operating system allows it. The
// descriptors stay open and belong to the caller, who may close them once the model is closed.
func FromOpen(files map[string]*os.File) Files { return openFiles(files) }

type openFiles map[string]*os.File

func (o openFiles) Names() []string { return sortedKeys(o) }

func (o openFiles) Open(name string) (File, error) {
	f, ok := o[name]
	if !ok {
		return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
	}
	return mapFile(keepOpen{f})
}

// FromFS returns Files over the root of a file system, such as one that is embedded in a program, as OpenPath does over a folder.
// Its files must have ReadAt, as those of embed.FS and os.DirFS have; another gives an *UnsupportedError when it is opened.
// Errors are those of listing the root.
func FromFS(fsys fs.FS) (Files, error) {
	names, err := listFiles(fsys)
	if err != nil {
		return nil, err
	}
	return &fileSystem{fsys, names}, nil
}

type fileSystem struct {
	fsys  fs.FS
	names []string
}

func (s *fileSystem) Names() []string { return slices.Clone(s.names) }

func (s *fileSystem) Open(name string) (File, error) {
	f, err := s.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	switch f := f.(type) {
	case *os.File:
		return mapFile(f)
	case interface {
		fs.File
		io.ReaderAt
	}:
		info, err := f.Stat()
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return fsFile{f, f, info.Size()}, nil
	}
	return nil, errors.Join(fault.NewUnsupported("file system", "%s can only be read from its beginning to its end", name), f.Close())
}

// fsFile is a file of a file system that can be read anywhere.
type fsFile struct {
	io.ReaderAt
	io.Closer
	size int64
}

func (f fsFile) Size() int64 { return f.size }

// keepOpen lends a descriptor to a mapping without giving it away.
type keepOpen struct{ *os.File }

func (keepOpen) Close() error { return nil }

// osFile is what mapping needs of an *os.File.
type osFile interface {
	io.ReaderAt
	io.Closer
	Stat() (fs.FileInfo, error)
	Fd() uintptr
}

// plainFile reads through the descriptor.
type plainFile struct {
	osFile
	size int64
}

func (p plainFile) Size() int64 { return p.size }

func sortedKeys[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// readAll reads a whole file of at most limit bytes into memory.
func readAll(ctx context.Context, files Files, name string, limit int64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if f.Size() > limit {
		return nil, &fault.Malformed{
			Format: name, Offset: -1, Reason: fmt.Sprintf("%d bytes exceed the limit of %d", f.Size(), limit),
		}
	}
	b := make([]byte, f.Size())
	if n, err := f.ReadAt(b, 0); n < len(b) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return b, nil
}
