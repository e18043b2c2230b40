package gguf

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/internal/window"
)

func malformed(where string, offset int64, format string, args ...any) error {
	return &fault.Malformed{Format: "gguf", Where: where, Offset: offset, Reason: fmt.Sprintf(format, args...)}
}

// How much of the file one read fetches: little at first, which is all that heads without a vocabulary take, and more where reading goes
// on, so that the head of a remote file takes few requests.
const (
	firstRead = 128 << 10
	readAhead = 1 << 20
)

// cursor walks the file through a window. Its methods check every length against the bytes that are left.
type cursor struct {
	r      io.ReaderAt
	window *window.Window
	size   int64
	pos    int64
	where  string
}

func (c *cursor) left() int64 { return c.size - c.pos }

func (c *cursor) fail(format string, args ...any) error {
	return malformed(c.where, c.pos, format, args...)
}

// peek returns the next n bytes, n <= 64 KiB, without consuming them. They are valid until the next call.
func (c *cursor) peek(n int) ([]byte, error) {
	if int64(n) > c.left() {
		return nil, c.fail("%d more bytes needed, the file has %d", n, c.left())
	}
	b, err := c.window.At(c.pos, n)
	if err != nil {
		return nil, fmt.Errorf("read gguf at %d: %w", c.pos, err)
	}
	return b, nil
}

func (c *cursor) u32() (uint32, error) {
	b, err := c.peek(4)
	if err != nil {
		return 0, err
	}
	c.pos += 4
	return binary.LittleEndian.Uint32(b), nil
}

func (c *cursor) u64() (uint64, error) {
	b, err := c.peek(8)
	if err != nil {
		return 0, err
	}
	c.pos += 8
	return binary.LittleEndian.Uint64(b), nil
}

// length reads a 64-bit length of items that take at least unit bytes each, and checks that the file can hold them.
func (c *cursor) length(what string, unit int64) (int64, error) {
	n, err := c.u64()
	if err != nil {
		return 0, err
	}
	if n > uint64(c.left()/unit) {
		return 0, malformed(c.where, c.pos-8, "%s %d does not fit the %d bytes left", what, n, c.left())
	}
	return int64(n), nil
}

// str reads a string of at most limit bytes.
func (c *cursor) str(what string, limit int64) (string, error) {
	n, err := c.length(what+" length", 1)
	if err != nil {
		return "", err
	}
	if n > limit {
		return "", malformed(c.where, c.pos-8, "%s of %d bytes exceeds the limit of %d", what, n, limit)
	}
	if n <= firstRead/2 {
		b, err := c.peek(int(n))
		if err != nil {
			return "", err
		}
		c.pos += n
		return string(b), nil
	}
	b := make([]byte, n)
	if err := window.ReadFull(c.r, b, c.pos); err != nil {
		return "", fmt.Errorf("read gguf at %d: %w", c.pos, err)
	}
	c.pos += n
	return string(b), nil
}

// value reads one metadata value; the members of an array are skipped.
func (c *cursor) value() (Value, error) {
	k, err := c.u32()
	if err != nil {
		return Value{}, err
	}
	v := Value{Kind: Kind(k)}
	switch {
	case v.Kind == String:
		v.text, err = c.str("string", MaxString)
		return v, err
	case v.Kind == Array:
		return c.array()
	case v.Kind.size() == 0:
		return v, malformed(c.where, c.pos-4, "unknown value type %d", k)
	}
	b, err := c.peek(v.Kind.size())
	if err != nil {
		return v, err
	}
	v.bits = scalar(v.Kind, b)
	if v.Kind == Bool && v.bits > 1 {
		return v, c.fail("boolean of value %d", v.bits)
	}
	c.pos += int64(v.Kind.size())
	return v, nil
}

func (c *cursor) array() (Value, error) {
	k, err := c.u32()
	if err != nil {
		return Value{}, err
	}
	v := Value{Kind: Array, Elem: Kind(k)}
	unit := int64(v.Elem.size())
	switch {
	case v.Elem == String:
		unit = 8
	case v.Elem == Array:
		return v, malformed(c.where, c.pos-4, "nested arrays are not allowed")
	case unit == 0:
		return v, malformed(c.where, c.pos-4, "unknown array element type %d", k)
	}
	if v.Len, err = c.length("array length", unit); err != nil {
		return v, err
	}
	if v.Len > MaxArray {
		return v, malformed(c.where, c.pos-8, "array of %d exceeds the limit of %d", v.Len, MaxArray)
	}
	v.start = c.pos
	if v.Elem == String {
		for range v.Len {
			n, err := c.length("string length", 1)
			if err != nil {
				return v, err
			}
			c.pos += n
		}
	} else {
		c.pos += v.Len * unit
	}
	v.end = c.pos
	return v, nil
}
