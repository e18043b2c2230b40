package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sync"

	"github.com/minio/minio-go/v7"

	"github.com/carat-hub/carat/storage"
)

const (
	maxParts    = 10_000  // what S3 allows
	partsRound  = 1000    // parts of equal size before the size doubles
	maxDouble   = 8       // times that it doubles
	largestPart = 4 << 30 // bytes; S3 allows 5 GiB
	maxState    = 4 << 20 // bytes of JSON; 10,000 parts make about 700 KB
	maxETag     = 128     // bytes
)

// part is one part that S3 has acknowledged. Its number is its place in the
// list, from 1.
type part struct {
	ETag string `json:"etag"`
	Size int64  `json:"size"` // bytes
}

// state is the JSON of storage.State.
type state struct {
	Offset int64  `json:"offset"`           // bytes in parts and tail
	Upload string `json:"upload,omitempty"` // id of the multipart upload, when there are parts
	Parts  []part `json:"parts,omitempty"`
	Tail   string `json:"tail,omitempty"` // object in the folder of tails, when there are more bytes
	Size   int64  `json:"size,omitempty"` // of the tail, bytes
}

// tailName is what nextTail makes; anything else could lead to another object.
var tailName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9]{1,19}-[A-Z2-7]{26}$`) })

// nextTail names a tail. The random part keeps it apart from a tail of the
// same length whose state was never saved.
func nextTail(offset int64) string { return fmt.Sprintf("%d-%s", offset, rand.Text()) }

// partSize is the size of the nth part, n from 1. Doubling after every 1000
// parts keeps the parts of ordinary files small and lets 10,000 of them hold
// more than the 5 TiB that an object may have.
func (o Options) partSize(n int) int64 {
	return min(o.PartSize<<min((n-1)/partsRound, maxDouble), largestPart)
}

func parseState(raw storage.State) (state, error) {
	var st state
	if len(raw) > maxState {
		return st, fmt.Errorf("%w: %d bytes long", storage.ErrState, len(raw))
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&st); err != nil {
		return st, fmt.Errorf("%w: %w", storage.ErrState, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return st, fmt.Errorf("%w: more than one value", storage.ErrState)
	}
	if err := st.check(); err != nil {
		return st, fmt.Errorf("%w: %w", storage.ErrState, err)
	}
	return st, nil
}

// check refuses what Suspend never writes. The sum cannot overflow: 10,000
// parts of 5 GiB are 50 TiB.
func (st state) check() error {
	switch {
	case (st.Upload != "") != (len(st.Parts) > 0):
		return errors.New("parts and upload do not go together")
	case len(st.Upload) > 2048:
		return errors.New("upload id is too long")
	case len(st.Parts) > maxParts:
		return fmt.Errorf("%d parts", len(st.Parts))
	case (st.Tail != "") != (st.Size > 0):
		return errors.New("tail and its size do not go together")
	case st.Tail != "" && !tailName().MatchString(st.Tail):
		return errors.New("tail has a foreign name")
	case st.Size < 0 || st.Size > maxPartSize:
		return fmt.Errorf("tail of %d bytes", st.Size)
	}
	sum := st.Size
	for i, p := range st.Parts {
		if p.ETag == "" || len(p.ETag) > maxETag {
			return fmt.Errorf("part %d has no ETag", i+1)
		}
		if p.Size < minPartSize || p.Size > maxPartSize {
			return fmt.Errorf("part %d of %d bytes", i+1, p.Size)
		}
		sum += p.Size
	}
	if sum != st.Offset {
		return fmt.Errorf("offset %d with %d bytes in parts and tail", st.Offset, sum)
	}
	return nil
}

// Resume implements storage.Store. It asks the service whether all bytes of
// the state are still there.
func (s *Store) Resume(ctx context.Context, key storage.Key, raw storage.State) (storage.Writer, error) {
	if _, err := s.objectName(key); err != nil {
		return nil, err
	}
	st, err := parseState(raw)
	if err != nil {
		return nil, fmt.Errorf("resume object %s: %w", key, err)
	}
	w := s.newWriter(ctx, key)
	w.stray = true
	if err := w.restore(ctx, st); err != nil {
		w.close()
		return nil, fmt.Errorf("resume object %s: %w", key, err)
	}
	return w, nil
}

func (w *writer) restore(ctx context.Context, st state) error {
	if st.Upload != "" {
		if err := w.store.verifyParts(ctx, w.key, st); err != nil {
			return err
		}
	}
	if st.Tail != "" {
		err := w.readTail(ctx, st.Tail, st.Size)
		if errors.Is(err, storage.ErrNotExist) && st.Upload != "" {
			err = fmt.Errorf("%w: tail is missing: %w", storage.ErrState, err)
		}
		if err != nil {
			return fmt.Errorf("tail %s: %w", st.Tail, err)
		}
	}
	w.upload, w.parts, w.offset = st.Upload, st.Parts, st.Offset
	w.tail, w.tailAt = st.Tail, st.Offset
	return nil
}

// verifyParts compares the parts of a state with those that S3 lists. More
// parts may be there: what was written after the state was returned.
func (s *Store) verifyParts(ctx context.Context, key storage.Key, st state) error {
	for marker := 0; marker < len(st.Parts); {
		var page minio.ListObjectPartsResult
		err := s.retry(ctx, s.opts.Timeout, func(ctx context.Context, _ func()) (err error) {
			page, err = s.core.ListObjectParts(ctx, s.opts.Bucket, s.path(string(key)), st.Upload, marker, 1000)
			return err
		})
		if err != nil {
			return fmt.Errorf("list parts: %w", err)
		}
		for _, got := range page.ObjectParts {
			marker++
			if marker > len(st.Parts) {
				return nil
			}
			want := st.Parts[marker-1]
			if got.PartNumber != marker || got.Size != want.Size || unquote(got.ETag) != want.ETag {
				return fmt.Errorf("%w: part %d is %d, %d bytes with ETag %s; promised are %d bytes with ETag %s",
					storage.ErrState, marker, got.PartNumber, got.Size, got.ETag, want.Size, want.ETag)
			}
		}
		if marker < len(st.Parts) && (!page.IsTruncated || len(page.ObjectParts) == 0) {
			return fmt.Errorf("%w: %d parts are stored, %d are promised", storage.ErrState, marker, len(st.Parts))
		}
	}
	return nil
}

// unquote takes the quotes off an ETag, which lists have and headers lose.
func unquote(etag string) string {
	if len(etag) >= 2 && etag[0] == '"' && etag[len(etag)-1] == '"' {
		return etag[1 : len(etag)-1]
	}
	return etag
}

// readTail brings a tail back into memory.
func (w *writer) readTail(ctx context.Context, tail string, size int64) error {
	name := w.store.tailName(w.key, tail)
	return w.store.attempt(ctx, func() error {
		w.fill.free()
		r, err := w.store.get(ctx, name, 0, -1)
		if err != nil {
			return err
		}
		defer r.Close() //nolint:errcheck // everything was read, or the read failed
		if r.left != size {
			return fmt.Errorf("%w: %d bytes are stored, %d are promised", storage.ErrState, r.left, size)
		}
		for w.fill.size < size {
			n, err := io.ReadFull(r, w.fill.space(size-w.fill.size))
			w.fill.took(n)
			if err != nil {
				return err
			}
		}
		return nil
	})
}
