package pickle

import (
	"archive/zip"
	"errors"
	"io"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/internal/window"
	"github.com/carat-hub/carat/inference/tensor"
)

// maxMember bounds the small members of an archive that are read whole.
const maxMember = 64

// budgetReader fails once more has been read than allowed: reading an archive's directory takes memory for each entry.
type budgetReader struct {
	io.ReaderAt
	left int64
}

// ErrDirectory says that a zip archive's directory is out of proportion to the archive.
var ErrDirectory = errors.New("the directory is too large for the archive")

func (b *budgetReader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 { // which the directory asks for; a reader's complaint would be taken for a broken disk
		return 0, zip.ErrFormat
	}
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, ErrDirectory
	}
	return b.ReaderAt.ReadAt(p, off)
}

// Directory reads the directory of a zip archive of size bytes, with memory in proportion to size.
// Errors: ErrDirectory, those of zip.NewReader and of r; as there, zip.ErrInsecurePath comes with a reader.
func Directory(r io.ReaderAt, size int64) (*zip.Reader, error) {
	limited := &budgetReader{r, 1<<20 + size/16}
	z, err := zip.NewReader(limited, size)
	limited.left = math.MaxInt64
	return z, err
}

// archive is a checkpoint as PyTorch has written it since version 1.6: a zip archive with data.pkl and one member for each
// storage, none of them compressed.
type archive struct {
	r       io.ReaderAt
	size    int64
	members map[string]*zip.File
	stores  map[string]*storage
	folder  string // of the storages of the pickle that is read
	m       *machine
}

func badArchive(member, reason string) error {
	return &fault.Malformed{Format: "pytorch", Where: member, Offset: -1, Reason: reason}
}

func (f *File) readZip(r io.ReaderAt, size int64, m *machine) error {
	z, err := Directory(r, size)
	switch {
	case errors.Is(err, ErrDirectory) || errors.Is(err, zip.ErrFormat) || errors.Is(err, zip.ErrAlgorithm) || errors.Is(err, zip.ErrChecksum):
		return badArchive("", err.Error())
	case err != nil:
		return err
	}
	a := &archive{r: r, size: size, members: make(map[string]*zip.File, len(z.File)), m: m}
	var pickles []string
	for _, member := range z.File {
		name := member.Name
		if a.members[name] != nil {
			return badArchive(name, "the archive holds two members of this name")
		}
		a.members[name] = member
		switch ext := path.Ext(name); {
		case ext == ".pkl":
			pickles = append(pickles, name)
		case ext == ".py" && len(f.Code) < maxGlobals:
			f.Code = append(f.Code, cut(name))
		}
	}
	slices.Sort(pickles)
	slices.Sort(f.Code)
	if len(pickles) == 0 {
		return fault.NewUnsupported("file format", "zip archive without a pickle")
	}
	return f.readMembers(a, pickles)
}

// readMembers reads the pickles of an archive. The names in all of them are found before what is wrong with tensors is told.
func (f *File) readMembers(a *archive, pickles []string) error {
	values := make([]Value, len(pickles))
	for i, name := range pickles {
		at, size, err := a.stored(name)
		if err != nil {
			return err
		}
		a.m.cursor = &cursor{
			window: window.New(io.NewSectionReader(a.r, at, size), size, readAhead, readAhead), name: name, end: size,
		}
		if values[i], err = a.m.run(); err != nil {
			return err
		}
		f.Pickles++
	}
	for i, name := range pickles {
		a.folder, a.stores = strings.TrimSuffix(name, ".pkl")+"/", map[string]*storage{}
		if path.Base(name) == "data.pkl" {
			f.Value = values[i]
			order, err := a.small(path.Join(path.Dir(name), "byteorder"))
			if err != nil {
				return err
			}
			f.BigEndian = order == "big"
		}
		c := &collector{machine: a.m, tensors: f.Tensors, resolve: a.resolve, seen: map[any]bool{}, views: map[view]bool{}}
		if err := c.collect(values[i], "", 0); err != nil {
			return err
		}
		f.Tensors = c.tensors
	}
	return nil
}

// stored returns where the bytes of a member lie.
func (a *archive) stored(name string) (at, size int64, err error) {
	member := a.members[name]
	if member.Method != zip.Store || member.Flags&1 != 0 || member.CompressedSize64 != member.UncompressedSize64 {
		return 0, 0, fault.NewUnsupported("file format", "PyTorch archive with compressed member %.80q", name)
	}
	at, err = member.DataOffset()
	switch {
	case errors.Is(err, zip.ErrFormat) || errors.Is(err, io.EOF):
		return 0, 0, badArchive(name, "its header is damaged")
	case err != nil:
		return 0, 0, err
	case at < 0 || at > a.size || member.UncompressedSize64 > uint64(a.size-at):
		return 0, 0, badArchive(name, "it ends outside the archive")
	}
	return at, int64(member.UncompressedSize64), nil
}

// small reads a member of a few bytes, "" when there is none.
func (a *archive) small(name string) (string, error) {
	if a.members[name] == nil {
		return "", nil
	}
	at, size, err := a.stored(name)
	if err != nil {
		return "", err
	}
	if size > maxMember {
		return "", badArchive(name, "it is too long")
	}
	b := make([]byte, size)
	if err := window.ReadFull(a.r, b, at); err != nil {
		return "", err
	}
	return strings.TrimSpace(string(b)), nil
}

// resolve finds the storage of a tensor.
func (a *archive) resolve(p *Persistent) (*storage, error) {
	s, _, err := parseStorage(p)
	if err != nil {
		return nil, err
	}
	if known := a.stores[s.key]; known != nil {
		if known.typ != s.typ || known.count != s.count {
			return nil, badStorage(s.key, "it has different types or sizes")
		}
		return known, nil
	}
	name := a.folder + s.key
	member := a.members[name]
	if member == nil {
		return nil, badStorage(s.key, "the archive has no member %.120q", name)
	}
	size, ok := s.count, true
	if s.typ != tensor.Invalid {
		size, ok = bytesOf(s.typ, s.count)
	}
	if !ok || uint64(size) != member.UncompressedSize64 {
		return nil, badStorage(s.key, "it has %d elements, the archive %d bytes", s.count, member.UncompressedSize64)
	}
	if !a.m.keep(256) {
		return nil, badStorage(s.key, "there are too many storages")
	}
	s.locate = func() (int64, error) {
		at, _, err := a.stored(name)
		return at, err
	}
	a.stores[s.key] = s
	return s, nil
}
