package client

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/carat-hub/carat/registry"
)

// download is one file on its way to the disk, through a part file beside it.
type download struct {
	r    *remote
	name registry.Name
	file registry.File
	part *os.File
	t    *transfer

	hash   hash.Hash // of the first offset bytes
	offset int64     // bytes in the part file
	reused bool      // some of them come from an earlier pull, or from more than one answer
	whole  bool      // ranges are of no use with this registry
	single bool      // it does not serve pieces
	asked  bool      // the registry was asked for bytes
}

// run fills the part file until it has the whole file with the right digest.
func (d *download) run(ctx context.Context) error {
	if err := d.adopt(ctx); err != nil {
		return err
	}
	again := true
	for {
		if err := d.fill(ctx); err != nil {
			return err
		}
		got := d.digest()
		if got == d.file.Digest {
			return nil
		}
		if err := d.reset(); err != nil {
			return err
		}
		if !d.reused || !again {
			return fmt.Errorf("%w: %s was to be %s and came as %s", ErrDigest, d.file.Path, d.file.Digest, got)
		}
		again, d.reused, d.whole = false, false, true
	}
}

// adopt takes over what an earlier pull left in the part file.
func (d *download) adopt(ctx context.Context) error {
	d.hash = d.file.Digest.Algorithm().New()
	info, err := d.part.Stat()
	if err != nil {
		return err
	}
	if info.Size() == 0 {
		return nil
	}
	if info.Size() > d.file.Size {
		return d.reset()
	}
	n, err := io.CopyBuffer(d.hash, d.t.reading(ctx, io.NewSectionReader(d.part, 0, info.Size()), 0), make([]byte, copyBuffer))
	if err != nil {
		return fmt.Errorf("read part file: %w", err)
	}
	d.offset, d.reused = n, true
	return nil
}

func (d *download) reset() error {
	if err := d.part.Truncate(0); err != nil {
		return fmt.Errorf("empty part file: %w", err)
	}
	d.hash.Reset()
	d.offset = 0
	d.t.set(0)
	return nil
}

// fill fetches what is missing, beginning anew where a connection broke.
func (d *download) fill(ctx context.Context) error {
	most := d.offset // a registry that makes us start over makes no progress
	for failures := 0; d.offset < d.file.Size; {
		d.asked = true
		if d.inPieces() {
			err := d.fillRanges(ctx)
			if err == nil || !errors.Is(err, errNoRanges) {
				return err
			}
			d.single = true
			continue
		}
		err := d.fetch(ctx)
		if d.offset > most {
			failures, most = 0, d.offset
		}
		if err == nil {
			continue
		}
		failures++
		d.reused = true
		var answer *ResponseError
		if errors.As(err, &answer) && answer.Status == http.StatusRequestedRangeNotSatisfiable && d.offset > 0 || errors.Is(err, errWrongRange) {
			if failures >= d.r.c.opts.Attempts {
				return err
			}
			d.whole = true
			continue
		}
		if err := d.r.backoff(ctx, d.t, failures, err); err != nil {
			return err
		}
	}
	return nil
}

func (d *download) inPieces() bool {
	c := d.r.c
	if d.whole || d.single || c.wholeFromLoopback && IsLoopback(d.r.base.Host) {
		return false
	}
	return d.file.Size-d.offset >= c.rangesFrom
}

// errWrongRange is an answer whose range is not the one asked for.
var errWrongRange = errors.New("the registry answered with another range than the one asked for")

// fetch makes one request and writes what comes.
func (d *download) fetch(ctx context.Context) error {
	if d.whole && d.offset > 0 {
		if err := d.reset(); err != nil {
			return err
		}
	}
	var span string
	if d.offset > 0 {
		span = fmt.Sprintf("bytes=%d-", d.offset)
	}
	resp, err := d.get(ctx, span)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		if d.offset > 0 {
			if err := d.reset(); err != nil {
				return err
			}
		}
	} else if d.offset == 0 || !d.within(resp.Header.Get("Content-Range"), d.offset, d.file.Size-1) {
		return fmt.Errorf("%w: %q after %d of %d bytes", errWrongRange, printable(resp.Header.Get("Content-Range")), d.offset, d.file.Size)
	}
	return d.write(ctx, resp.Body)
}

// get asks for the blob, or for the part of it that a Range header names.
func (d *download) get(ctx context.Context, span string) (*http.Response, error) {
	q := request{method: http.MethodGet, url: d.r.url(d.name, "blobs", d.file.Digest.String()), header: http.Header{"Accept-Encoding": {"identity"}}}
	if span != "" {
		q.header.Set("Range", span)
	}
	resp, err := d.r.send(ctx, q, http.StatusOK, http.StatusPartialContent)
	if err != nil {
		return nil, err
	}
	if encoding := resp.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		_ = resp.Body.Close() // its bytes are of no use
		return nil, fmt.Errorf("GET %s: the answer is encoded as %q, not the file's own bytes", bareURL(resp.Request.URL), printable(encoding))
	}
	return resp, nil
}

// within reports whether a Content-Range is of this file, begins at first
// and does not go beyond last.
func (d *download) within(contentRange string, first, last int64) bool {
	v, ok := strings.CutPrefix(contentRange, "bytes ")
	if !ok {
		return false
	}
	span, total, ok := strings.Cut(v, "/")
	if !ok || total != "*" && total != strconv.FormatInt(d.file.Size, 10) {
		return false
	}
	from, to, ok := strings.Cut(span, "-")
	if !ok || from != strconv.FormatInt(first, 10) {
		return false
	}
	end, err := strconv.ParseInt(to, 10, 64)
	return err == nil && end >= first && end <= last
}

func (d *download) write(ctx context.Context, body io.Reader) error {
	buf := make([]byte, copyBuffer)
	for {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		n, err := body.Read(buf)
		if int64(n) > d.file.Size-d.offset {
			return fmt.Errorf("%w: %s has more than the %d bytes that its manifest says", ErrDigest, d.file.Path, d.file.Size)
		}
		if n > 0 {
			if err := d.append(buf[:n]); err != nil {
				return err
			}
			d.t.set(d.offset)
		}
		switch {
		case errors.Is(err, io.EOF) && d.offset < d.file.Size:
			return fmt.Errorf("the answer ended after %d of %d bytes: %w", d.offset, d.file.Size, io.ErrUnexpectedEOF)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return redact(err)
		}
	}
}

// append writes and hashes the next bytes of the file, both at once.
func (d *download) append(p []byte) error {
	written := make(chan error, 1)
	go func() {
		_, err := d.part.WriteAt(p, d.offset)
		written <- err
	}()
	d.hash.Write(p)
	if err := <-written; err != nil {
		return fmt.Errorf("write part file: %w", err)
	}
	d.offset += int64(len(p))
	return nil
}

// digest returns the digest of what is in the part file.
func (d *download) digest() registry.Digest {
	return registry.DigestFromHash(d.file.Digest.Algorithm(), d.hash)
}
