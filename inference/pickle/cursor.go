package pickle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/carat-hub/carat/inference/fault"
)

const (
	window  = 64 << 10 // bytes of one read
	maxLine = 32 << 10 // bytes of a textual argument
)

// cursor reads a stream of opcodes through a window.
type cursor struct {
	r    io.ReaderAt
	name string // of the member of an archive, for errors
	pos  int64
	end  int64

	buf   []byte
	start int64 // of buf[0]
}

func (c *cursor) failAt(at int64, format string, args ...any) error {
	return &fault.Malformed{Format: "pickle", Where: c.name, Offset: at, Reason: fmt.Sprintf(format, args...)}
}

func (c *cursor) fail(format string, args ...any) error { return c.failAt(c.pos, format, args...) }

// peek returns up to n of the next bytes, n <= window. They are valid until the next call.
func (c *cursor) peek(n int) ([]byte, error) {
	n = int(min(int64(n), c.end-c.pos))
	at := c.pos - c.start
	if at < 0 || at+int64(n) > int64(len(c.buf)) {
		want := int(min(window, c.end-c.pos))
		if cap(c.buf) < want {
			c.buf = make([]byte, want)
		}
		c.buf = c.buf[:want]
		if err := readFull(c.r, c.buf, c.pos); err != nil {
			c.buf = nil
			return nil, fmt.Errorf("read pickle at %d: %w", c.pos, err)
		}
		c.start, at = c.pos, 0
	}
	return c.buf[at : at+int64(n)], nil
}

func readFull(r io.ReaderAt, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// take consumes exactly n bytes, n <= window. They are valid until the next call.
func (c *cursor) take(n int) ([]byte, error) {
	b, err := c.peek(n)
	if err != nil {
		return nil, err
	}
	if len(b) < n {
		return nil, c.fail("%d more bytes needed, there are %d", n, len(b))
	}
	c.pos += int64(n)
	return b, nil
}

// number reads a little-endian number of n bytes.
func (c *cursor) number(n int) (uint64, error) {
	b, err := c.take(n)
	if err != nil {
		return 0, err
	}
	var full [8]byte
	copy(full[:], b)
	return binary.LittleEndian.Uint64(full[:]), nil
}

// line reads up to a newline, which it consumes and leaves out.
func (c *cursor) line() ([]byte, error) {
	b, err := c.peek(maxLine)
	if err != nil {
		return nil, err
	}
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return nil, c.fail("no end of line in %d bytes", len(b))
	}
	c.pos += int64(i) + 1
	return b[:i], nil
}

// count reads the length that comes before a text or bytes and checks that the stream holds as much.
func (c *cursor) count(a argument) (int64, error) {
	at := c.pos
	width := map[argument]int{counted1: 1, counted4: 4, signed4: 4, counted8: 8}[a]
	n, err := c.number(width)
	if err != nil {
		return 0, err
	}
	if a == signed4 && n > 1<<31-1 {
		return 0, c.failAt(at, "negative length %d", int32(n))
	}
	if n > uint64(c.end-c.pos) {
		return 0, c.failAt(at, "length %d exceeds the %d bytes left", n, c.end-c.pos)
	}
	return int64(n), nil
}
