package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/carat-hub/carat/registry"
)

// maxFiles is how many files of a folder are looked at.
const maxFiles = 4096

// File is one open file of a version. It is safe for concurrent reading.
type File struct {
	Path   string          // slash-separated, relative to the model
	Size   int64           // bytes
	Digest registry.Digest // what the manifest says; zero where there is no manifest
	Packed bool            // the bytes are an archive of the file

	r     io.ReaderAt
	disk  *os.File
	fault atomic.Pointer[error]
}

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 { // computed from what the file says
		return 0, errors.New("read at a negative offset")
	}
	n, err := f.r.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		f.fault.CompareAndSwap(nil, &err)
	}
	return n, err
}

// Measure reads the whole file and returns its size and digest by algorithm a.
func (f *File) Measure(ctx context.Context, a registry.Algorithm) (VerifiedFile, error) {
	h := a.New()
	n, err := io.CopyBuffer(h, contextReader{ctx, io.NewSectionReader(f, 0, f.Size)}, make([]byte, 1<<20))
	if err == nil && n < f.Size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return VerifiedFile{}, fmt.Errorf("hash %s: %w", f.Path, err)
	}
	return VerifiedFile{Path: f.Path, Size: n, Digest: registry.DigestFromHash(a, h)}, nil
}

// contextReader fails once its context is done.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.r.Read(p)
}

// OS returns the file of this machine behind f, nil when there is none. It
// is closed with f.
func (f *File) OS() *os.File { return f.disk }

// Fault returns the first failure to read the file that was no fault of its
// content: a broken disk or a lost connection.
func (f *File) Fault() error {
	if p := f.fault.Load(); p != nil {
		return fmt.Errorf("read %s: %w", f.Path, *p)
	}
	return nil
}

func (f *File) close() error {
	if f.disk == nil {
		return nil
	}
	return f.disk.Close()
}

// Files are the open files of one version in the order of their paths.
type Files []*File

// Lookup returns the file of that path, nil when there is none.
func (fs Files) Lookup(p string) *File {
	for _, f := range fs {
		if f.Path == p {
			return f
		}
	}
	return nil
}

// Fault returns the first failure to read any of the files.
func (fs Files) Fault() error {
	for _, f := range fs {
		if err := f.Fault(); err != nil {
			return err
		}
	}
	return nil
}

// Close closes all files.
func (fs Files) Close() error {
	var errs []error
	for _, f := range fs {
		errs = append(errs, f.close())
	}
	return errors.Join(errs...)
}

func (fs Files) sort() {
	slices.SortFunc(fs, func(a, b *File) int { return strings.Compare(a.Path, b.Path) })
}

// NewFile returns what r reads, size bytes, as a file of a version.
func NewFile(name string, size int64, d registry.Digest, r io.ReaderAt) *File {
	return &File{Path: name, Size: size, Digest: d, r: r}
}

// OpenFile returns an open file of this machine as a file of a version. The
// file is closed with the Files that it becomes part of.
func OpenFile(name string, d registry.Digest, f *os.File) (*File, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("stat %s: %w", name, err)
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	return &File{Path: name, Size: st.Size(), Digest: d, r: f, disk: f}, nil
}

// OpenPath opens a folder, or a single file, as a model of this machine.
// Hidden files and folders are left out, as are links that leave the folder.
// Errors: fs.ErrNotExist; one that says so when there is no file at all.
func OpenPath(name string) (Files, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !st.IsDir() {
		if !st.Mode().IsRegular() { // opening a pipe would wait for its writer
			return nil, fmt.Errorf("%s is not a regular file", name)
		}
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		one, err := OpenFile(filepath.Base(name), registry.Digest{}, f)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return Files{one}, nil
	}
	return openFolder(name, nil)
}

// OpenPulled opens the files of a version that were pulled into a folder,
// with the digests of its manifest.
func OpenPulled(folder string, files []registry.File) (Files, error) {
	digests := make(map[string]registry.Digest, len(files))
	for _, f := range files {
		digests[f.Path] = f.Digest
	}
	return openFolder(folder, digests)
}

func openFolder(folder string, digests map[string]registry.Digest) (list Files, err error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	defer func() {
		if err != nil {
			err = errors.Join(err, list.Close())
			list = nil
		}
	}()
	err = fs.WalkDir(root.FS(), ".", func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if p != "." && strings.HasPrefix(path.Base(p), ".") && digests == nil {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if e.IsDir() {
			return nil
		}
		if len(list) == maxFiles {
			return fmt.Errorf("folder %s has more than %d files", folder, maxFiles)
		}
		f, err := openIn(root, p, digests[p])
		if f != nil {
			list = append(list, f)
		}
		return err
	})
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("folder %s holds no files", folder)
	}
	list.sort()
	return list, err
}

// openIn opens one entry of a folder. Links that lead out of it, broken links
// and what is no regular file give nil.
func openIn(root *os.Root, p string, d registry.Digest) (*File, error) {
	st, err := root.Stat(p)
	if err != nil || !st.Mode().IsRegular() {
		return nil, nil
	}
	f, err := root.Open(p)
	if err != nil {
		return nil, err
	}
	one, err := OpenFile(p, d, f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return one, nil
}

// Head returns the first bytes of a file, at most limit.
func (f *File) Head(limit int64) ([]byte, error) {
	p := make([]byte, min(f.Size, limit))
	if _, err := io.ReadFull(io.NewSectionReader(f, 0, f.Size), p); err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Path, err)
	}
	return p, nil
}
