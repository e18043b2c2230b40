package client

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// maxFiles bounds the files of one model, so that its manifest stays within
// what registries take.
const maxFiles = 4000

// SourceFile is one file that a push would send.
type SourceFile struct {
	Path      string // slash-separated, checked by CheckPortable
	Size      int64  // bytes
	MediaType string // ModelPack media type of its layer
	Guessed   bool   // the media type comes from the size, because the name says nothing

	modTime time.Time
}

// Source is a model on disk: a folder, or a single file with weights. All reading
// goes through the folder's os.Root, so nothing outside it is ever read.
type Source struct {
	Path  string // as given to OpenSource
	Files []SourceFile

	root *os.Root
	part bool // a single file of a format that does not hold whole models
}

// ErrNoModel is returned by OpenSource for a folder or file that holds no model.
var ErrNoModel = errors.New("no model found")

// OpenSource lists the files of a folder that are part of the model, or
// takes a single file with weights. Hidden files and folders (.git, .cache, …) are
// left out. Symbolic links to files inside the folder are followed; links
// that leave it, links to folders, and files that are not regular are errors,
// as are paths that CheckPortable refuses. Errors: ErrNoModel.
func OpenSource(name string) (*Source, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	if !info.IsDir() {
		return openFile(name, info)
	}
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, fmt.Errorf("open model folder: %w", err)
	}
	s := &Source{Path: name, root: root}
	if err := s.scan(); err != nil {
		return nil, errors.Join(fmt.Errorf("read model folder %s: %w", name, err), root.Close())
	}
	return s, nil
}

func openFile(name string, info fs.FileInfo) (*Source, error) {
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	// A link's target decides what is read; its own name is what the file is called.
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return nil, fmt.Errorf("open model file: %w", err)
	}
	if filepath.Base(real) != filepath.Base(name) {
		return nil, fmt.Errorf("%s is a symbolic link to a file of another name, %s; name that file or its folder", name, real)
	}
	root, err := os.OpenRoot(filepath.Dir(real))
	if err != nil {
		return nil, fmt.Errorf("open model file: %w", err)
	}
	s := &Source{Path: name, root: root}
	err = func() error {
		if err := s.add(newPathSet(), filepath.Base(real)); err != nil {
			return err
		}
		gguf, err := s.isGGUF(filepath.Base(real))
		if err != nil {
			return err
		}
		ext := strings.ToLower(path.Ext(filepath.Base(real)))
		if !gguf && (ext == ".gguf" || !weightExtensions[ext]) {
			return fmt.Errorf("%w: %s is no file with weights (*.safetensors, *.gguf, *.onnx, *.bin, …)", ErrNoModel, name)
		}
		s.part = !gguf
		return nil
	}()
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return s, nil
}

// Complete returns ErrNoModel for a single file that needs others beside it to
// be a model, which is any but a GGUF file.
func (s *Source) Complete() error {
	if s.part {
		return fmt.Errorf("%w: %s is not a GGUF file; for other formats give the model's folder", ErrNoModel, s.Path)
	}
	return nil
}

// Close releases the folder.
func (s *Source) Close() error { return s.root.Close() }

// Open opens one of the files for reading.
func (s *Source) Open(name string) (*os.File, error) {
	return s.root.Open(filepath.FromSlash(name))
}

// Size returns the bytes of all files.
func (s *Source) Size() int64 {
	var n int64
	for _, f := range s.Files {
		n += f.Size
	}
	return n
}

func (s *Source) scan() error {
	paths := newPathSet()
	err := fs.WalkDir(s.root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case p == ".":
			return nil
		case strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			if d.Name() == "__pycache__" {
				return fs.SkipDir
			}
			return nil
		}
		return s.add(paths, p)
	})
	if err != nil {
		return err
	}
	slices.SortFunc(s.Files, func(a, b SourceFile) int { return cmp.Compare(a.Path, b.Path) })
	if !slices.ContainsFunc(s.Files, func(f SourceFile) bool { return weightExtensions[strings.ToLower(path.Ext(f.Path))] }) {
		return fmt.Errorf("%w: there is no file with weights (*.safetensors, *.gguf, *.onnx, *.bin, …)", ErrNoModel)
	}
	return nil
}

// add stats one file through the root, which refuses to leave the folder.
func (s *Source) add(paths *pathSet, p string) error {
	local := filepath.FromSlash(p)
	link, err := s.root.Lstat(local)
	if err != nil {
		return err
	}
	info := link
	if link.Mode()&fs.ModeSymlink != 0 {
		target, err := s.root.Readlink(local)
		if err != nil {
			return err
		}
		info, err = s.root.Stat(local)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%s is a symbolic link to %s, which does not exist", p, target)
		case err != nil:
			return fmt.Errorf("%s is a symbolic link to %s, which leaves the folder; copy the files first (cp -rL)", p, target)
		case info.IsDir():
			return fmt.Errorf("%s is a symbolic link to the folder %s; copy the files first (cp -rL)", p, target)
		}
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file (%s)", p, info.Mode().Type())
	}
	if err := paths.add(p); err != nil {
		return err
	}
	if len(s.Files) == maxFiles {
		return fmt.Errorf("there are more than %d files", maxFiles)
	}
	mediaType, guessed := classify(p, info.Size())
	s.Files = append(s.Files, SourceFile{Path: p, Size: info.Size(), MediaType: mediaType, Guessed: guessed, modTime: info.ModTime()})
	return nil
}

func (s *Source) isGGUF(p string) (bool, error) {
	f, err := s.Open(p)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var magic [4]byte
	if _, err := io.ReadFull(f, magic[:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return false, nil
		}
		return false, err
	}
	return string(magic[:]) == "GGUF", nil
}

// unchanged returns an error unless the open file is still as it was listed.
func (f *SourceFile) unchanged(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("read %s: %w", f.Path, err)
	}
	if info.Size() != f.Size || !info.ModTime().Equal(f.modTime) {
		return fmt.Errorf("%s: %w", f.Path, ErrChanged)
	}
	return nil
}

// ErrChanged is returned when a file changes while it is packed or pushed.
var ErrChanged = errors.New("the file changed while it was being read; push again when nothing writes to it")
