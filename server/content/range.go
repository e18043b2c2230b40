package content

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/carat-hub/carat/registry"
)

// maxRanges is how many ranges one request may ask for. Each of them is a
// request of its own to a storage that has no files.
const maxRanges = 32

// requestedRanges returns how many ranges of the content the request asks
// for, 0 for all of it. A Range header of another unit is dropped, as RFC
// 9110 says, and so is one with too many ranges that holds under a condition.
// Errors: CodeRangeInvalid when no part of it can be answered, and for too
// many ranges.
func requestedRanges(r *http.Request, size int64) (int, error) {
	header := r.Header.Get("Range")
	if header == "" {
		return 0, nil
	}
	tooMany := strings.Count(header, ",") >= maxRanges
	if r.Header.Get("If-Range") != "" {
		if tooMany {
			r.Header.Del("Range")
		}
		return 0, nil
	}
	specs, ok := strings.CutPrefix(header, "bytes=")
	if !ok {
		r.Header.Del("Range")
		return 0, nil
	}
	if tooMany {
		return 0, registry.Errorf(registry.CodeRangeInvalid, "a request may ask for at most %d ranges", maxRanges)
	}
	n, satisfiable := 0, false
	for spec := range strings.SplitSeq(specs, ",") {
		overlaps, err := overlapsContent(strings.TrimSpace(spec), size)
		if err != nil {
			return 0, err
		}
		n, satisfiable = n+1, satisfiable || overlaps
	}
	if !satisfiable {
		return 0, registry.Errorf(registry.CodeRangeInvalid, "the blob has %d bytes, none of them in the range", size)
	}
	return n, nil
}

// overlapsContent reports whether one range, <first>-, <first>-<last> or
// -<length>, has bytes in common with the content.
func overlapsContent(spec string, size int64) (bool, error) {
	malformed := registry.Errorf(registry.CodeRangeInvalid, "the Range header is malformed")
	from, to, ok := strings.Cut(spec, "-")
	if !ok {
		return false, malformed
	}
	var first, last uint64
	var err error
	if from == "" {
		length, err := strconv.ParseUint(to, 10, 63)
		if err != nil {
			return false, malformed
		}
		return length > 0 && size > 0, nil
	}
	if first, err = strconv.ParseUint(from, 10, 63); err != nil {
		return false, malformed
	}
	if to != "" {
		if last, err = strconv.ParseUint(to, 10, 63); err != nil || last < first {
			return false, malformed
		}
	}
	return first < uint64(size), nil
}

// rangeReader reads a blob from where it was last sought to. For an answer
// of several ranges net/http reads in a goroutine that may outlive the
// handler, hence the lock.
type rangeReader struct {
	ctx  context.Context //nolint:containedctx // lives as long as the request that it serves
	reg  *registry.Registry
	blob registry.Blob

	mu     sync.Mutex
	pos    int64
	rc     io.ReadCloser
	err    error // why reading failed
	closed bool
}

// failure returns why reading failed, if it did.
func (r *rangeReader) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Read implements io.Reader.
func (r *rangeReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, io.ErrClosedPipe
	}
	if r.pos >= r.blob.Size {
		return 0, io.EOF
	}
	if r.rc == nil {
		rc, err := r.reg.Open(r.ctx, r.blob, r.pos, -1)
		if err != nil {
			r.err = err
			return 0, err
		}
		r.rc = rc
	}
	n, err := r.rc.Read(p)
	r.pos += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = fmt.Errorf("read blob %s at %d: %w", r.blob.Digest, r.pos, err)
	}
	return n, err
}

// Seek implements io.Seeker.
func (r *rangeReader) Seek(offset int64, whence int) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		offset += r.pos
	case io.SeekEnd:
		offset += r.blob.Size
	}
	if offset < 0 {
		return 0, errors.New("seek before the start")
	}
	if offset != r.pos {
		_ = r.drop() // what was left of another range
		r.pos = offset
	}
	return offset, nil
}

// Close implements io.Closer.
func (r *rangeReader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	return r.drop()
}

func (r *rangeReader) drop() error {
	if r.rc == nil {
		return nil
	}
	rc := r.rc
	r.rc = nil
	return rc.Close()
}
