package registry

import (
	"hash"
	"io"
	"sync"
)

const (
	copyBuffer  = 256 << 10 // bytes of one buffer
	copyBuffers = 4         // buffers in flight between writing and hashing
)

var copyPool = sync.Pool{New: func() any { return new([copyBuffer]byte) }}

type hashChunk struct {
	buf *[copyBuffer]byte
	n   int
}

// copyHashing copies r to w and feeds h with exactly the bytes that w took,
// also when it fails. Hashing runs beside reading and writing, so that a
// stream is as fast as the slower of the two.
func copyHashing(w io.Writer, h hash.Hash, r io.Reader) error {
	written := make(chan hashChunk, copyBuffers)
	hashed := make(chan struct{})
	go func() {
		defer close(hashed)
		for c := range written {
			h.Write(c.buf[:c.n])
			copyPool.Put(c.buf)
		}
	}()
	defer func() {
		close(written)
		<-hashed
	}()
	for {
		buf := copyPool.Get().(*[copyBuffer]byte)
		n, readErr := io.ReadFull(r, buf[:])
		var writeErr error
		if n > 0 {
			n, writeErr = w.Write(buf[:n])
		}
		written <- hashChunk{buf, n}
		switch {
		case writeErr != nil:
			return writeErr
		case readErr == io.EOF, readErr == io.ErrUnexpectedEOF:
			return nil
		case readErr != nil:
			return readErr
		}
	}
}
