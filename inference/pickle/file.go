package pickle

import (
	"bytes"
	"io"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/internal/window"
)

// File is what a file of pickles holds.
type File struct {
	// Layout is "zip" or "legacy" for checkpoints of PyTorch, "pickle" for anything else.
	Layout string
	// References are the names that unpickling would import or call, in the order in which they come first.
	References []Reference
	// Tensors are those of a checkpoint, in the order of the pickle.
	Tensors []Tensor
	// BigEndian says that the elements of tensors are big-endian.
	BigEndian bool
	// Code lists the source files of a TorchScript archive, which are programs too.
	Code []string
	// Pickles counts the pickles that were read to their end, and Rest the bytes behind the last of them that are none.
	Pickles int
	Rest    int64
	// Value is what the pickle of the model builds.
	Value Value
}

// maxPickles bounds how many pickles of one file are read.
const maxPickles = 1 << 10

// Read looks into a file of size bytes. Of a zip archive it reads the directory and the pickles, of others the whole of the
// pickles. It returns a *fault.Malformed when a pickle or a checkpoint breaks its format or a limit, a *fault.Unsupported for
// a compressed file, and the reader's error when reading fails. The File beside an error is not nil: it holds the names found
// up to there, and unpickling would have got as far.
func Read(r io.ReaderAt, size int64) (*File, error) {
	head := make([]byte, min(size, 512))
	if err := window.ReadFull(r, head, 0); err != nil {
		return &File{}, err
	}
	refs := &references{index: map[referenceKey]int{}}
	f := &File{Layout: "pickle"}
	m := &machine{cursor: &cursor{window: window.New(r, size, readAhead, readAhead), end: size}, refs: refs, names: map[Global]*Global{}, room: 5<<20 + size/2}
	var err error
	switch {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		f.Layout = "zip"
		err = f.readZip(r, size, m)
	case compression(head) != "":
		err = fault.NewUnsupported("file format", "pickle compressed with %s", compression(head))
	default:
		err = f.readStream(m)
	}
	f.References = refs.list
	return f, err
}

// compression names what a file is compressed with, by its first bytes.
func compression(head []byte) string {
	for _, c := range []struct{ magic, name string }{
		{"\x1f\x8b", "gzip"},
		{"BZh", "bzip2"},
		{"\xfd7zXZ\x00", "xz"},
		{"\x28\xb5\x2f\xfd", "zstandard"},
		{"\x04\x22\x4d\x18", "lz4"},
		{"\x78\x01", "zlib"},
		{"\x78\x5e", "zlib"},
		{"\x78\x9c", "zlib"},
		{"\x78\xda", "zlib"},
		{"\x5d\x00\x00", "lzma"},
	} {
		if bytes.HasPrefix(head, []byte(c.magic)) {
			return c.name
		}
	}
	if len(head) > 262 && string(head[257:262]) == "ustar" {
		return "tar"
	}
	return ""
}

// Begins reports whether a file may be one that Read reads, by its first bytes: a zip archive, a compressed file, or a pickle of
// protocol 2 or later. Older protocols begin with any opcode.
func Begins(head []byte) bool {
	return len(head) >= 2 && head[0] == 0x80 && head[1] >= 2 && head[1] <= 5 || bytes.HasPrefix(head, []byte("PK\x03\x04")) || compression(head) != ""
}

// legacyMagic is the number that the first pickle of a legacy checkpoint is, in LONG1's bytes.
var legacyMagic = []byte{0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19}

// readStream reads the pickles that follow each other in a file.
func (f *File) readStream(m *machine) error {
	first, err := m.run()
	if err != nil {
		return err
	}
	f.Pickles, f.Value = 1, first
	if l, ok := first.(*Long); ok && bytes.Equal(l.Bytes, legacyMagic) {
		f.Layout = "legacy"
		return f.readLegacy(m)
	}
	for m.pos < m.end {
		// Whatever reads on after the first pickle would find the next one here; other bytes are data.
		at := m.pos
		b, err := m.peek(1)
		if err != nil {
			return err
		}
		if b[0] != 0x80 {
			f.Rest = m.end - at
			return nil
		}
		if f.Pickles == maxPickles {
			return m.failAt(at, "more than %d pickles", maxPickles)
		}
		if _, err := m.run(); err != nil {
			return err
		}
		f.Pickles++
	}
	return nil
}
