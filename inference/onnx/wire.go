package onnx

import (
	"fmt"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/internal/window"
)

func malformed(where string, offset int64, format string, args ...any) error {
	return &fault.Malformed{Format: "onnx", Where: where, Offset: offset, Reason: fmt.Sprintf(format, args...)}
}

// The sizes of reads: small after a jump over data, growing while the file is read on.
const (
	minWindow = 4 << 10
	maxWindow = 256 << 10
)

// cursor walks one protobuf message through a window of the file. end is where the innermost message ends.
type cursor struct {
	window   *window.Window
	size     int64
	pos, end int64

	where string // what is being read, for errors
	depth int    // of messages that may nest
	room  int64  // bytes that may yet be kept
}

func (c *cursor) fail(format string, args ...any) error {
	return malformed(c.where, c.pos, format, args...)
}

// keep charges n bytes of memory, so that no file makes a reader hold much more than the file's own size.
func (c *cursor) keep(n int) error {
	if c.room -= int64(n); c.room < 0 {
		return c.fail("too many names and shapes for a file of %d bytes", c.size)
	}
	return nil
}

// peek returns up to n of the next bytes of the message, n <= minWindow. They are valid until the next call.
func (c *cursor) peek(n int) ([]byte, error) {
	n = int(min(int64(n), c.end-c.pos))
	b, err := c.window.At(c.pos, n)
	if err != nil {
		return nil, fmt.Errorf("read onnx at %d: %w", c.pos, err)
	}
	return b, nil
}

func (c *cursor) varint() (uint64, error) {
	b, err := c.peek(10)
	if err != nil {
		return 0, err
	}
	v, n := protowire.ConsumeVarint(b)
	if n < 0 {
		return 0, c.fail("%v", protowire.ParseError(n))
	}
	c.pos += int64(n)
	return v, nil
}

// length reads the length of what comes next and checks that the message holds it.
func (c *cursor) length() (int64, error) {
	at := c.pos
	n, err := c.varint()
	if err != nil {
		return 0, err
	}
	if n > uint64(c.end-c.pos) {
		return 0, malformed(c.where, at, "%d bytes do not fit the %d left", n, c.end-c.pos)
	}
	return int64(n), nil
}

// text reads a string of at most limit bytes, limit <= minWindow.
func (c *cursor) text(what string, limit int) (string, error) {
	n, err := c.length()
	if err != nil {
		return "", err
	}
	if n > int64(limit) {
		return "", c.fail("%s of %d bytes exceeds the limit of %d", what, n, limit)
	}
	b, err := c.peek(int(n))
	if err != nil {
		return "", err
	}
	if !utf8.Valid(b) {
		return "", c.fail("%s is not UTF-8", what)
	}
	if err := c.keep(len(b) + 16); err != nil {
		return "", err
	}
	c.pos += n
	return string(b), nil
}

// field is the tag of one field: its number and how it is written.
type field struct {
	number protowire.Number
	typ    protowire.Type
}

// bytes, number and friends name the wire types of the fields that are read.
func bytesField(n protowire.Number) field  { return field{n, protowire.BytesType} }
func varintField(n protowire.Number) field { return field{n, protowire.VarintType} }

// fields reads the fields of a message that ends at c.end. each consumes a field it knows and returns true.
func (c *cursor) fields(each func(f field) (known bool, err error)) error {
	for c.pos < c.end {
		b, err := c.peek(10)
		if err != nil {
			return err
		}
		number, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return c.fail("%v", protowire.ParseError(n))
		}
		c.pos += int64(n)
		known, err := each(field{number, typ})
		if err == nil && !known {
			err = c.skip(typ)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// message reads a length and the fields of the message behind it.
func (c *cursor) message(each func(f field) (known bool, err error)) error {
	n, err := c.length()
	if err != nil {
		return err
	}
	outer := c.end
	c.end = c.pos + n
	err = c.fields(each)
	c.end = outer
	return err
}

// nested is message for what may hold more of its kind.
func (c *cursor) nested(each func(f field) (known bool, err error)) error {
	if c.depth == MaxDepth {
		return c.fail("more than %d levels of graphs or types", MaxDepth)
	}
	c.depth++
	err := c.message(each)
	c.depth--
	return err
}

func (c *cursor) skip(typ protowire.Type) error {
	n, err := int64(0), error(nil)
	switch typ {
	case protowire.VarintType:
		_, err = c.varint()
		return err
	case protowire.Fixed32Type:
		n = 4
	case protowire.Fixed64Type:
		n = 8
	case protowire.BytesType:
		n, err = c.length()
	default:
		// Groups were given up before this format was made.
		return c.fail("field of wire type %d", typ)
	}
	if err != nil {
		return err
	}
	if n > c.end-c.pos {
		return c.fail("%d bytes do not fit the %d left", n, c.end-c.pos)
	}
	c.pos += n
	return nil
}

// integers reads one number, or as many as a packed field holds, and appends them.
func (c *cursor) integers(to []int, typ protowire.Type, limit int) ([]int, error) {
	end := c.pos + 1
	if typ == protowire.BytesType {
		n, err := c.length()
		if err != nil {
			return nil, err
		}
		end = c.pos + n
	}
	for c.pos < end {
		if len(to) == limit {
			return nil, c.fail("more than %d dimensions", limit)
		}
		n, err := c.varint()
		if err != nil {
			return nil, err
		}
		if n > math.MaxInt {
			return nil, c.fail("dimension %d is negative or does not fit", int64(n))
		}
		to = append(to, int(n))
	}
	if typ == protowire.BytesType && c.pos != end {
		return nil, c.fail("packed numbers end in the middle of one")
	}
	return to, c.keep(8 * len(to))
}
