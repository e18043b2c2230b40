package kernel

import (
	"fmt"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/tensor"
)

// cachePage is how many positions a page of a Cache holds.
const cachePage = 128

// Cache holds the keys, or the values, of a sequence: the vectors of all heads for each position. They lie in pages that are made
// when they are needed and never moved; in a page those of a head follow each other.
type Cache struct {
	heads, dim int
	typ        tensor.Type
	floats     [][]float32 // the pages of F32
	encoded    [][]byte    // and of other types
}

// NewCache returns an empty cache of heads vectors of dim elements for each position, stored as F32, F16 or Q8_0. It returns a
// *fault.Unsupported for another type, and for Q8_0 when dim is no multiple of 32.
func NewCache(heads, dim int, t tensor.Type) (*Cache, error) {
	_, ok := t.Size(int64(dim))
	switch {
	case t != tensor.F32 && t != tensor.F16 && t != tensor.Q8_0:
		return nil, fault.NewUnsupported("cache type", "%s", t)
	case !ok:
		return nil, fault.NewUnsupported("cache type", "%s for vectors of %d elements", t, dim)
	}
	return &Cache{heads: heads, dim: dim, typ: t}, nil
}

// Positions returns how many positions there is room for.
func (c *Cache) Positions() int { return cachePage * max(len(c.floats), len(c.encoded)) }

// Bytes returns what the pages for so many positions take.
func (c *Cache) Bytes(positions int) int64 {
	size, _ := c.typ.Size(int64(c.dim))
	pages := (int64(positions) + cachePage - 1) / cachePage
	return pages * cachePage * int64(c.heads) * size
}

// Set stores the vectors of n positions from first on, {n, heads, dim}, and makes the pages for them.
func (c *Cache) Set(first int, x []float32, n int) error {
	if first < 0 || n < 0 || len(x) < n*c.heads*c.dim {
		return fmt.Errorf("cache %d positions from %d on: %d elements", n, first, len(x))
	}
	size, _ := c.typ.Size(int64(c.dim))
	for c.Positions() < first+n {
		if c.typ == tensor.F32 {
			c.floats = append(c.floats, make([]float32, c.heads*cachePage*c.dim))
		} else {
			c.encoded = append(c.encoded, make([]byte, c.heads*cachePage*int(size)))
		}
	}
	for i := range n {
		page, at := (first+i)/cachePage, (first+i)%cachePage
		for head := range c.heads {
			from := x[(i*c.heads+head)*c.dim:][:c.dim]
			row := head*cachePage + at
			if c.typ == tensor.F32 {
				copy(c.floats[page][row*c.dim:], from)
			} else if err := encodeState(c.typ, c.encoded[page][row*int(size):][:size], from); err != nil {
				return err
			}
		}
	}
	return nil
}

func encodeState(t tensor.Type, dst []byte, x []float32) error {
	if t == tensor.Q8_0 {
		return tensor.QuantizeQ8(dst, x)
	}
	for i, v := range x {
		h := tensor.HalfFromFloat(v)
		dst[2*i], dst[2*i+1] = byte(h), byte(h>>8)
	}
	return nil
}

// run returns vectors of a head from position from on, the next one stride elements after each: at most n, and no more than lie
// together. buf is used for types that are decoded.
func (c *Cache) run(e engine, head, from, n int, buf *[]float32) (x []float32, stride, count int) {
	page, at := from/cachePage, from%cachePage
	count = min(n, cachePage-at)
	row := head*cachePage + at
	if c.typ == tensor.F32 {
		return c.floats[page][row*c.dim : (row+count)*c.dim], c.dim, count
	}
	size, _ := c.typ.Size(int64(c.dim))
	x = grow(buf, count*c.dim)
	if err := e.decode(c.typ, x, c.encoded[page][row*int(size):(row+count)*int(size)]); err != nil {
		panic(err) // NewCache lets only types in that can be decoded
	}
	return x, c.dim, count
}

// states are keys or values that attention reads: those of a Cache, or {positions, heads, dim} in memory.
type states interface {
	run(e engine, head, from, n int, buf *[]float32) (x []float32, stride, count int)
}

type flat struct {
	x          []float32
	heads, dim int
}

func (f flat) run(_ engine, head, from, n int, _ *[]float32) (x []float32, stride, count int) {
	return f.x[(from*f.heads+head)*f.dim:], f.heads * f.dim, n
}
