package pickle

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/internal/window"
)

const (
	readAhead = 64 << 10 // bytes of one read
	maxLine   = 32 << 10 // bytes of a textual argument
)

// cursor reads a stream of opcodes through a window.
type cursor struct {
	window *window.Window
	name   string // of the member of an archive, for errors
	pos    int64
	end    int64
}

func (c *cursor) failAt(at int64, format string, args ...any) error {
	return &fault.Malformed{Format: "pickle", Where: c.name, Offset: at, Reason: fmt.Sprintf(format, args...)}
}

func (c *cursor) fail(format string, args ...any) error { return c.failAt(c.pos, format, args...) }

// peek returns up to n of the next bytes, n <= readAhead. They are valid until the next call.
func (c *cursor) peek(n int) ([]byte, error) {
	n = int(min(int64(n), c.end-c.pos))
	b, err := c.window.At(c.pos, n)
	if err != nil {
		return nil, fmt.Errorf("read pickle at %d: %w", c.pos, err)
	}
	return b, nil
}

// take consumes exactly n bytes, n <= readAhead. They are valid until the next call.
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
