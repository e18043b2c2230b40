//go:build unix

package inference

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// mapFile maps f read-only and closes it with the mapping. What cannot be mapped (an empty file, a file system without maps)
// is read through the descriptor.
func mapFile(f osFile) (File, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	plain := plainFile{f, info.Size()}
	if info.Size() <= 0 || int64(int(info.Size())) != info.Size() {
		return plain, nil
	}
	b, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return plain, nil //nolint:nilerr // reading through the descriptor works without a mapping
	}
	return &mappedFile{file: f, b: b}, nil
}

type mappedFile struct {
	file osFile
	b    []byte
}

var _ Mapped = (*mappedFile)(nil)

func (m *mappedFile) Bytes() []byte { return m.b }
func (m *mappedFile) Size() int64   { return int64(len(m.b)) }

func (m *mappedFile) ReadAt(b []byte, off int64) (int, error) {
	// Through the descriptor: a file cut short then gives an error, where the mapping would fault.
	if off < 0 {
		return 0, fmt.Errorf("read at negative offset %d", off)
	}
	if off >= int64(len(m.b)) {
		return 0, io.EOF
	}
	return m.file.ReadAt(b, off)
}

func (m *mappedFile) Close() error {
	if m.b == nil {
		return nil
	}
	err := unix.Munmap(m.b)
	m.b = nil
	return errors.Join(err, m.file.Close())
}
