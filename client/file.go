package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/carat-hub/carat/registry"
)

// Ranges of a remote file are read in blocks, the last few of which are kept:
// headers are read in many small steps.
const (
	fileBlock  = 256 << 10
	fileBlocks = 16
	// maxSkip is how much of an answer is thrown away where a registry serves no ranges.
	maxSkip = 16 << 20
)

// File returns a reader of one of the artifact's files, which fetches what is
// read of it and no more. Each part of a file is as the registry serves it:
// only a whole file has a digest. It reads under ctx and is safe for
// concurrent use.
// Errors of reading: those of Blob, but for ErrDigest, and one that says so
// where the registry serves no ranges.
func (c *Client) File(ctx context.Context, a *Artifact, f registry.File) io.ReaderAt {
	r := c.remote(a.Ref.Host)
	ctx = r.scoped(ctx, a.Ref.Name, "pull")
	return &fileReader{size: f.Size, fetch: func(p []byte, off int64) error {
		for n := 1; ; n++ {
			err := r.blobRange(ctx, a.Ref.Name, f, p, off)
			if err == nil || errors.Is(err, errNoRanges) {
				return err
			}
			if err := r.backoff(ctx, nil, n, err); err != nil {
				return fmt.Errorf("read %s: %w", f.Path, err)
			}
		}
	}}
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

// fileReader reads by blocks.
type fileReader struct {
	size  int64
	fetch func(p []byte, off int64) error

	mu     sync.Mutex
	blocks []fetchedBlock // least recently used first
}

type fetchedBlock struct {
	index int64
	data  []byte
}

// ReadAt implements io.ReaderAt.
func (r *fileReader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("negative offset")
	}
	n := 0
	for n < len(p) {
		at := off + int64(n)
		if at >= r.size {
			return n, io.EOF
		}
		data, err := r.block(at / fileBlock)
		if err != nil {
			return n, err
		}
		n += copy(p[n:], data[at%fileBlock:])
	}
	return n, nil
}

func (r *fileReader) block(index int64) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, b := range r.blocks {
		if b.index == index {
			r.blocks = append(append(r.blocks[:i:i], r.blocks[i+1:]...), b)
			return b.data, nil
		}
	}
	off := index * fileBlock
	data := make([]byte, min(fileBlock, r.size-off))
	if err := r.fetch(data, off); err != nil {
		return nil, err
	}
	if len(r.blocks) == fileBlocks {
		r.blocks = r.blocks[1:]
	}
	r.blocks = append(r.blocks, fetchedBlock{index, data})
	return data, nil
}
