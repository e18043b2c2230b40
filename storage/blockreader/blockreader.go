package blockreader

import (
	"errors"
	"io"
	"sync"
)

// Objects are fetched in blocks, the last few of which are kept: headers are
// read in many small steps.
const (
	blockSize = 256 << 10 // bytes
	maxBlocks = 16
)

// Reader is an io.ReaderAt over an object of known size. It is safe for
// concurrent use and fetches one block at a time.
type Reader struct {
	size  int64
	fetch func(p []byte, off int64) error

	mu     sync.Mutex
	blocks []block // least recently used first
}

type block struct {
	index int64
	data  []byte
}

// New returns a reader of an object of size bytes. Fetch fills p with the
// bytes from off on, all of which lie within the object, or fails; it must
// not fail with io.EOF, which would be taken for the end of the object.
func New(size int64, fetch func(p []byte, off int64) error) *Reader {
	return &Reader{size: size, fetch: fetch}
}

// ReadAt implements io.ReaderAt. Errors: io.EOF and those of fetch.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("negative offset")
	}
	n := 0
	for n < len(p) {
		at := off + int64(n)
		if at >= r.size {
			return n, io.EOF
		}
		data, err := r.block(at / blockSize)
		if err != nil {
			return n, err
		}
		n += copy(p[n:], data[at%blockSize:])
	}
	return n, nil
}

func (r *Reader) block(index int64) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, b := range r.blocks {
		if b.index == index {
			r.blocks = append(append(r.blocks[:i:i], r.blocks[i+1:]...), b)
			return b.data, nil
		}
	}
	off := index * blockSize
	data := make([]byte, min(blockSize, r.size-off))
	if err := r.fetch(data, off); err != nil {
		return nil, err
	}
	if len(r.blocks) == maxBlocks {
		r.blocks = r.blocks[1:]
	}
	r.blocks = append(r.blocks, block{index, data})
	return data, nil
}
