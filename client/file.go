package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/storage/blockreader"
)

// maxSkip is how much of an answer is thrown away where a registry serves no
// ranges.
const maxSkip = 16 << 20 // bytes

// File returns a reader of one of the artifact's files, which fetches what is
// read of it and no more. Each part of a file is as the registry serves it:
// only a whole file has a digest. It reads under ctx and is safe for
// concurrent use.
// Errors of reading: those of Blob, but for ErrDigest, and one that says so
// where the registry serves no ranges.
func (c *Client) File(ctx context.Context, a *Artifact, f registry.File) io.ReaderAt {
	r := c.remote(a.Ref.Host)
	ctx = r.scoped(ctx, a.Ref.Name, "pull")
	return blockreader.New(f.Size, func(p []byte, off int64) error {
		for n := 1; ; n++ {
			err := r.blobRange(ctx, a.Ref.Name, f, p, off)
			if err == nil || errors.Is(err, errNoRanges) {
				return err
			}
			if err := r.backoff(ctx, nil, n, err); err != nil {
				return fmt.Errorf("read %s: %w", f.Path, err)
			}
		}
	})
}

// blobRange fills p with the bytes of a blob from off on.
func (r *remote) blobRange(ctx context.Context, n registry.Name, f registry.File, p []byte, off int64) error {
	last := off + int64(len(p)) - 1
	resp, err := r.send(ctx, request{
		method: http.MethodGet, url: r.url(n, "blobs", f.Digest.String()),
		header: http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", off, last)}},
	}, http.StatusPartialContent, http.StatusOK)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch want := fmt.Sprintf("bytes %d-%d/%d", off, last, f.Size); {
	case resp.StatusCode == http.StatusPartialContent && resp.Header.Get("Content-Range") != want:
		return fmt.Errorf("%w: %q instead of %q", errNoRanges, printable(resp.Header.Get("Content-Range")), want)
	case resp.StatusCode == http.StatusOK && off > maxSkip:
		return errNoRanges
	case resp.StatusCode == http.StatusOK:
		if _, err := io.CopyN(io.Discard, resp.Body, off); err != nil {
			return redact(err)
		}
	}
	if _, err := io.ReadFull(resp.Body, p); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return redact(err)
	}
	return nil
}
