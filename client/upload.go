package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/carat-hub/carat/registry"
)

// upload is one blob on its way into a repository. It survives broken
// connections: the registry is asked how much it has and the rest follows.
type upload struct {
	r     *remote
	name  registry.Name
	d     Descriptor
	src   io.ReaderAt
	check func() error // ErrChanged when the source is no longer what was hashed
	t     *transfer

	location   *url.URL // of the upload, nil when there is none
	chunk      int64    // bytes in one request
	offset     int64    // bytes that the registry has
	monolithic bool     // the whole blob goes into one request
	unsure     bool     // the registry has to be asked for the offset
}

// pushBlob uploads a blob unless the repository has it, and reports whether it did.
func (r *remote) pushBlob(ctx context.Context, n registry.Name, d Descriptor, src io.ReaderAt, check func() error, t *transfer) (uploaded bool, err error) {
	if there, err := r.hasBlob(ctx, n, d, t); err != nil || there {
		return false, err
	}
	u := &upload{r: r, name: n, d: d, src: src, check: check, t: t}
	var most int64 // a registry that forgets what it took makes no progress
	for failures := 0; ; {
		done, err := u.step(ctx)
		switch {
		case err == nil && done:
			return true, nil
		case err == nil && u.offset > most:
			failures, most = 0, u.offset
		case err == nil:
		case r.retryable(err):
			failures++
			if err := r.backoff(ctx, t, failures, err); err != nil {
				return true, err
			}
			// The answer may have been lost after the work was done.
			if there, err := r.hasBlob(ctx, n, d, t); err != nil || there {
				return true, err
			}
		case u.lost(err):
			if failures++; failures >= r.c.opts.Attempts {
				return true, fmt.Errorf("gave up after %d attempts: %w", failures, err)
			}
		default:
			if changed := check(); changed != nil {
				return true, changed
			}
			return true, err
		}
	}
}

func (r *remote) hasBlob(ctx context.Context, n registry.Name, d Descriptor, t *transfer) (bool, error) {
	resp, err := r.try(ctx, t, request{method: http.MethodHead, url: r.url(n, "blobs", d.Digest.String())}, http.StatusOK, http.StatusNotFound)
	if err != nil {
		return false, err
	}
	drain(resp)
	return resp.StatusCode == http.StatusOK, nil
}

// step makes the next request of the upload.
func (u *upload) step(ctx context.Context) (done bool, err error) {
	if err := u.check(); err != nil {
		return false, err
	}
	switch {
	case u.location == nil:
		return false, u.start(ctx)
	case u.unsure:
		return false, u.ask(ctx)
	case u.monolithic:
		return u.sendAll(ctx)
	case u.offset < u.d.Size:
		return false, u.sendChunk(ctx)
	}
	return u.finish(ctx)
}

func (u *upload) start(ctx context.Context) error {
	resp, err := u.r.send(ctx, request{method: http.MethodPost, url: u.r.url(u.name, "blobs", "uploads/")}, http.StatusAccepted)
	if err != nil {
		return err
	}
	drain(resp)
	if resp.Header.Get("Location") == "" {
		return fmt.Errorf("POST %s: the registry began an upload but gave no Location", bareURL(resp.Request.URL))
	}
	if err := u.follow(resp); err != nil {
		return err
	}
	u.chunk = u.r.c.opts.ChunkSize
	if least, err := strconv.ParseInt(resp.Header.Get("OCI-Chunk-Min-Length"), 10, 64); err == nil {
		u.chunk = max(u.chunk, least)
	}
	if u.d.Size <= u.chunk {
		u.monolithic = true
	}
	u.offset, u.unsure = 0, false
	u.t.set(0)
	return nil
}

// follow takes the address of the next request from an answer. It may be on
// another host, which then gets no credentials: see guard.
func (u *upload) follow(resp *http.Response) error {
	location := resp.Header.Get("Location")
	if location == "" {
		return nil
	}
	next, err := resp.Request.URL.Parse(location)
	if err != nil || next.Host == "" || next.Scheme != "http" && next.Scheme != "https" {
		return fmt.Errorf("%s %s: the registry answered with an invalid Location", resp.Request.Method, bareURL(resp.Request.URL))
	}
	next.User = nil
	u.location = next
	return nil
}

// ask gets the offset from the registry after something went wrong.
func (u *upload) ask(ctx context.Context) error {
	resp, err := u.r.send(ctx, request{method: http.MethodGet, url: u.location}, http.StatusNoContent, http.StatusAccepted, http.StatusOK)
	if err != nil {
		return err
	}
	drain(resp)
	offset, ok := uploadedTo(resp.Header)
	if !ok || offset > u.d.Size {
		return fmt.Errorf("GET %s: the registry says it has the range %q of %d bytes", bareURL(resp.Request.URL), printable(resp.Header.Get("Range")), u.d.Size)
	}
	u.offset, u.unsure = offset, false
	u.t.set(offset)
	return u.follow(resp)
}

func (u *upload) restart() {
	u.location, u.offset, u.unsure = nil, 0, false
}

func (u *upload) body(from, size int64) func() io.Reader {
	return func() io.Reader {
		section := io.NewSectionReader(u.src, from, size)
		done := from
		return readerFunc(func(p []byte) (int, error) {
			n, err := section.Read(p)
			done += int64(n)
			u.t.set(done)
			return n, err
		})
	}
}

func (u *upload) sendChunk(ctx context.Context) error {
	size := min(u.chunk, u.d.Size-u.offset)
	end := u.offset + size
	resp, err := u.r.send(ctx, request{
		method: http.MethodPatch, url: u.location, size: size, body: u.body(u.offset, size),
		header: http.Header{
			"Content-Type":  {"application/octet-stream"},
			"Content-Range": {fmt.Sprintf("%d-%d", u.offset, end-1)},
		},
	}, http.StatusAccepted)
	if err != nil {
		u.unsure = true
		return err
	}
	drain(resp)
	if resp.Header.Get("Range") != "" {
		got, ok := uploadedTo(resp.Header)
		if !ok || got <= u.offset || got > end {
			return fmt.Errorf("PATCH %s: the registry answered with the range %q after bytes %d to %d were sent", bareURL(resp.Request.URL), printable(resp.Header.Get("Range")), u.offset, end-1)
		}
		end = got
	}
	u.offset = end
	return u.follow(resp)
}

func (u *upload) sendAll(ctx context.Context) (bool, error) {
	resp, err := u.r.send(ctx, request{
		method: http.MethodPut, url: u.commitURL(), size: u.d.Size, body: u.body(0, u.d.Size),
		header: http.Header{"Content-Type": {"application/octet-stream"}},
	}, http.StatusCreated)
	if err != nil {
		u.restart()
		return false, err
	}
	drain(resp)
	return true, nil
}

func (u *upload) finish(ctx context.Context) (bool, error) {
	resp, err := u.r.send(ctx, request{
		method: http.MethodPut, url: u.commitURL(), header: http.Header{"Content-Type": {"application/octet-stream"}},
	}, http.StatusCreated)
	if err != nil {
		u.unsure = true
		return false, err
	}
	drain(resp)
	return true, nil
}

func (u *upload) commitURL() *url.URL {
	next := *u.location
	q := next.Query()
	q.Set("digest", u.d.Digest.String())
	next.RawQuery = q.Encode()
	return &next
}

// lost handles the refusals after which there is another way: an upload that
// the registry forgot, an offset it disagrees with, chunks it does not take.
func (u *upload) lost(err error) bool {
	var answer *ResponseError
	if !errors.As(err, &answer) || answer.Code == registry.CodeDigestInvalid || answer.Code == registry.CodeNameInvalid {
		return false
	}
	patch := answer.Method == http.MethodPatch
	switch answer.Status {
	case http.StatusRequestedRangeNotSatisfiable:
		u.unsure = u.location != nil
		return true
	case http.StatusNotFound, http.StatusGone:
		if answer.Method == http.MethodPost {
			return false // the repository, not the upload
		}
		u.restart()
		return true
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusLengthRequired, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusNotImplemented:
		if u.monolithic {
			return false
		}
		if patch && u.offset == 0 {
			u.monolithic = true
		} else if answer.Method != http.MethodGet {
			return false
		}
		u.restart()
		return true
	}
	return false
}

// uploadedTo returns how many bytes the registry has, from "Range: 0-LAST".
// A registry that has none says 0-0 or 0--1, which cannot be told from one
// byte: a single byte is sent again then.
func uploadedTo(h http.Header) (int64, bool) {
	v := strings.TrimPrefix(h.Get("Range"), "bytes=")
	first, last, ok := strings.Cut(v, "-")
	if !ok || first != "0" {
		return 0, v == ""
	}
	n, err := strconv.ParseInt(last, 10, 64)
	if err != nil || n < -1 || n == math.MaxInt64 {
		return 0, false
	}
	if n <= 0 {
		return 0, true
	}
	return n + 1, true
}
