package readtest

import "io"

// Counter counts what is read of a file. It is for one goroutine.
type Counter struct {
	io.ReaderAt
	// Reads have been made for so many Bytes, the one farthest behind from Last on.
	Reads, Bytes int
	Last         int64
}

// ReadAt implements io.ReaderAt.
func (c *Counter) ReadAt(b []byte, off int64) (int, error) {
	c.Reads++
	c.Bytes += len(b)
	c.Last = max(c.Last, off)
	return c.ReaderAt.ReadAt(b, off)
}
