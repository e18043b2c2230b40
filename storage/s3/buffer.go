package s3

import (
	"errors"
	"io"
	"sync"
)

// chunkSize is the unit in which memory is taken, in bytes: small enough for
// the many small objects, large enough to be rare.
const chunkSize = 256 << 10

// buffer holds the bytes of one part in chunks of the store's pool, so that
// a part takes only the memory that it fills.
type buffer struct {
	store  *Store
	chunks []*[chunkSize]byte
	size   int64
}

// space returns at most limit free bytes at the end; it is not empty.
func (b *buffer) space(limit int64) []byte {
	at := b.size % chunkSize
	if int64(len(b.chunks))*chunkSize == b.size {
		b.chunks = append(b.chunks, b.store.chunks.Get().(*[chunkSize]byte))
		b.store.used.Add(chunkSize)
	}
	free := b.chunks[len(b.chunks)-1][at:]
	return free[:min(int64(len(free)), limit)]
}

// took says that n bytes of space were filled.
func (b *buffer) took(n int) { b.size += int64(n) }

// free gives all memory back.
func (b *buffer) free() {
	for _, chunk := range b.chunks {
		b.store.chunks.Put(chunk)
	}
	b.store.used.Add(-chunkSize * int64(len(b.chunks)))
	b.chunks, b.size = nil, 0
}

// body reads a buffer for one request. It is no io.Seeker on purpose: the
// library must not send it again while net/http may still be reading it for
// the request before. stop keeps such late reads from memory that is reused.
type body struct {
	touch func()

	mu      sync.Mutex
	buf     *buffer
	at      int64
	stopped bool
}

// errStopped is what a request gets that goes on reading after its end.
var errStopped = errors.New("request is over")

func (b *buffer) body(touch func()) *body { return &body{touch: touch, buf: b} }

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return 0, errStopped
	}
	b.touch()
	n := 0
	for n < len(p) && b.at < b.buf.size {
		chunk := b.buf.chunks[b.at/chunkSize][b.at%chunkSize:]
		chunk = chunk[:min(int64(len(chunk)), b.buf.size-b.at)]
		m := copy(p[n:], chunk)
		n += m
		b.at += int64(m)
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (b *body) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
}
