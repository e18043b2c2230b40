package fs

import (
	"fmt"
	"io"
	"os"

	"github.com/carat-hub/carat/storage"
)

// reader reads a range of a file and closes it.
type reader struct {
	f    *os.File
	left int64 // bytes still to deliver
}

// newReader takes over f when it succeeds.
func newReader(f *os.File, offset, length int64) (*reader, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, classify(err)
	}
	if offset < 0 || offset > info.Size() {
		return nil, fmt.Errorf("%w: offset %d of %d", storage.ErrRange, offset, info.Size())
	}
	if length < 0 {
		length = info.Size() - offset
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return nil, classify(err)
	}
	return &reader{f: f, left: length}, nil
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > r.left {
		p = p[:r.left]
	}
	n, err := r.f.Read(p)
	r.left -= int64(n)
	if err == io.EOF && r.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, classify(err)
}

// WriteTo implements io.WriterTo. It hands the destination the very type
// that net recognises as a file range, so that sendfile does the copying.
func (r *reader) WriteTo(w io.Writer) (int64, error) {
	n, err := io.Copy(w, &io.LimitedReader{R: r.f, N: r.left})
	r.left -= n
	if err == nil && r.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, classify(err)
}

// Close implements io.Closer.
func (r *reader) Close() error { return r.f.Close() }
