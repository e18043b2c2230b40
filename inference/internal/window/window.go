package window

import (
	"errors"
	"io"
)

// Window is a part of a file in memory that moves to where it is looked at. It belongs to one goroutine.
type Window struct {
	r           io.ReaderAt
	end         int64
	least, most int

	buf   []byte
	start int64 // of buf[0]
}

// New returns a window on the bytes of r before end. A read fetches least bytes after a jump, and twice as many each time that
// reading goes on where the window ends, up to most.
func New(r io.ReaderAt, end int64, least, most int) *Window {
	return &Window{r: r, end: end, least: least, most: most}
}

// At returns the n bytes from pos on, which are valid until the next call. n is at most least, and pos+n at most end. The errors are
// those of ReadFull.
func (w *Window) At(pos int64, n int) ([]byte, error) {
	at := pos - w.start
	if at < 0 || at+int64(n) > int64(len(w.buf)) {
		want := w.least
		if at >= 0 && at <= int64(len(w.buf)) {
			want = max(want, min(2*len(w.buf), w.most))
		}
		want = int(min(int64(want), w.end-pos))
		if cap(w.buf) < want {
			w.buf = make([]byte, want)
		}
		w.buf = w.buf[:want]
		if err := ReadFull(w.r, w.buf, pos); err != nil {
			w.buf = nil
			return nil, err
		}
		w.start, at = pos, 0
	}
	return w.buf[at : at+int64(n)], nil
}

// ReadFull fills b from offset off. It returns io.ErrUnexpectedEOF when the file ends before, and other errors of r.
func ReadFull(r io.ReaderAt, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
