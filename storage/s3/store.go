package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/carat-hub/carat/storage"
)

// maxExpiry is how long a presigned URL can hold.
const maxExpiry = 7 * 24 * time.Hour

// Store keeps objects in a bucket. It implements storage.Store and
// storage.Redirector.
type Store struct {
	opts   Options
	core   *minio.Core
	public *minio.Client // signs with the name that clients use
	chunks sync.Pool     // of *[chunkSize]byte
	used   atomic.Int64  // bytes of chunks that are out of the pool
}

var (
	_ storage.Store      = (*Store)(nil)
	_ storage.Redirector = (*Store)(nil)
)

// New connects to the bucket and creates it when it is missing and the keys
// allow it. Errors: storage.ErrUnavailable when the service cannot be reached.
func New(ctx context.Context, opts Options) (*Store, error) {
	opts = opts.withDefaults()
	if err := opts.check(); err != nil {
		return nil, err
	}
	s := &Store{opts: opts}
	s.chunks.New = func() any { return new([chunkSize]byte) }
	client, err := newClient(opts, opts.Endpoint)
	if err != nil {
		return nil, err
	}
	s.core = &minio.Core{Client: client}
	if s.public, err = newClient(opts, opts.PublicEndpoint); err != nil {
		return nil, err
	}
	if err := s.ensureBucket(ctx); err != nil {
		return nil, fmt.Errorf("bucket %s at %s: %w", opts.Bucket, opts.Endpoint, err)
	}
	return s, nil
}

// Close gives the idle connections back. Readers and Writers stay usable.
func (s *Store) Close() error {
	if t, ok := s.opts.Transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
	return nil
}

func newClient(opts Options, endpoint string) (*minio.Client, error) {
	u, err := parseEndpoint(endpoint)
	if err != nil {
		return nil, err
	}
	lookup := minio.BucketLookupDNS
	if opts.PathStyle {
		lookup = minio.BucketLookupPath
	}
	c, err := minio.New(u.Host, &minio.Options{
		Creds:        credentials.NewStaticV4(opts.AccessKeyID, opts.SecretAccessKey, opts.SessionToken),
		Secure:       u.Scheme == "https",
		Region:       opts.Region,
		BucketLookup: lookup,
		Transport:    opts.Transport,
		MaxRetries:   1, // Store.attempt does that
	})
	if err != nil {
		return nil, fmt.Errorf("S3 client for %s: %w", u.Host, err)
	}
	return c, nil
}

func (s *Store) ensureBucket(ctx context.Context) error {
	exists, err := s.bucketExists(ctx)
	if err != nil || exists {
		return err
	}
	err = s.retry(ctx, s.opts.Timeout, func(ctx context.Context, _ func()) error {
		return s.core.MakeBucket(ctx, s.opts.Bucket, minio.MakeBucketOptions{Region: s.opts.Region})
	})
	if err == nil {
		return nil
	}
	// Another node may have been faster.
	if exists, e := s.bucketExists(ctx); e == nil && exists {
		return nil
	}
	return fmt.Errorf("it does not exist and could not be created: %w", err)
}

func (s *Store) bucketExists(ctx context.Context) (exists bool, err error) {
	err = s.retry(ctx, s.opts.Timeout, func(ctx context.Context, _ func()) error {
		exists, err = s.core.BucketExists(ctx, s.opts.Bucket)
		return err
	})
	return exists, err
}

// Ping implements storage.Store. It asks for the bucket only, once: reading
// and writing a probe object every second would cost money.
func (s *Store) Ping(ctx context.Context) error {
	dog := watch(ctx, s.opts.Timeout)
	defer dog.stop()
	exists, err := s.core.BucketExists(dog.ctx, s.opts.Bucket) //nolint:contextcheck // the watchdog's context is made from ctx
	if err == nil && !exists {
		err = fmt.Errorf("%w: the bucket does not exist", storage.ErrUnavailable)
	}
	if err != nil {
		return fmt.Errorf("probe bucket %s: %w", s.opts.Bucket, classify(ctx, dog.explain(err)))
	}
	return nil
}

// Stat implements storage.Store.
func (s *Store) Stat(ctx context.Context, key storage.Key) (int64, error) {
	name, err := s.objectName(key)
	if err != nil {
		return 0, err
	}
	size, err := s.size(ctx, name)
	if err != nil {
		return 0, fmt.Errorf("stat object %s: %w", key, err)
	}
	return size, nil
}

func (s *Store) size(ctx context.Context, name string) (size int64, err error) {
	err = s.retry(ctx, s.opts.Timeout, func(ctx context.Context, _ func()) error {
		info, err := s.core.StatObject(ctx, s.opts.Bucket, name, minio.StatObjectOptions{})
		size = info.Size
		if err == nil && size < 0 {
			err = errors.New("answer without Content-Length")
		}
		return err
	})
	return size, err
}

// Open implements storage.Store.
func (s *Store) Open(ctx context.Context, key storage.Key, offset, length int64) (io.ReadCloser, error) {
	name, err := s.objectName(key)
	if err != nil {
		return nil, err
	}
	r, err := s.open(ctx, name, offset, length)
	if err != nil {
		return nil, fmt.Errorf("open object %s: %w", key, err)
	}
	return r, nil
}

func (s *Store) open(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	if offset < 0 {
		return nil, fmt.Errorf("%w: offset %d", storage.ErrRange, offset)
	}
	if length == 0 {
		return s.openBehind(ctx, name, offset, 0)
	}
	var r *reader
	err := s.attempt(ctx, func() (err error) {
		r, err = s.get(ctx, name, offset, length)
		return err
	})
	if errors.Is(err, storage.ErrRange) {
		// S3 has no empty ranges, we have.
		return s.openBehind(ctx, name, offset, length)
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// openBehind answers for ranges in which there are no bytes.
func (s *Store) openBehind(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	size, err := s.size(ctx, name)
	if err != nil {
		return nil, err
	}
	if offset > size {
		return nil, fmt.Errorf("%w: offset %d of %d", storage.ErrRange, offset, size)
	}
	dog := watch(ctx, s.opts.Timeout)
	dog.pause()
	return &reader{ctx: ctx, body: http.NoBody, left: max(length, 0), dog: dog}, nil
}

// get asks once. It refuses an answer whose length is not known, because its
// truncation could not be told from its end.
func (s *Store) get(ctx context.Context, name string, offset, length int64) (*reader, error) {
	var opts minio.GetObjectOptions
	ranged := offset > 0 || length > 0
	switch {
	case length > 0 && length-1 <= math.MaxInt64-offset:
		opts.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, offset+length-1))
	case ranged:
		opts.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	dog := watch(ctx, s.opts.Timeout)
	body, info, header, err := s.core.GetObject(dog.ctx, s.opts.Bucket, name, opts) //nolint:contextcheck // the watchdog's context is made from ctx
	dog.pause()
	if err != nil {
		defer dog.stop()
		return nil, dog.explain(err)
	}
	if ranged {
		start, ok := rangeStart(header.Get("Content-Range"))
		if !ok || start != offset {
			err = fmt.Errorf("%w: S3 answered a range from %d with Content-Range %q",
				storage.ErrUnavailable, offset, header.Get("Content-Range"))
		}
	}
	if err == nil && (info.Size < 0 || length > 0 && info.Size > length) {
		err = fmt.Errorf("%w: S3 answered with Content-Length %d to a range of %d", storage.ErrUnavailable, info.Size, length)
	}
	if err != nil {
		dog.stop()
		return nil, errors.Join(err, body.Close())
	}
	left := info.Size
	if length > 0 {
		left = length
	}
	return &reader{ctx: ctx, body: body, left: left, dog: dog}, nil
}

// rangeStart reads the first number of "bytes 10-19/100".
func rangeStart(header string) (int64, bool) {
	rest, ok := strings.CutPrefix(header, "bytes ")
	if !ok {
		return 0, false
	}
	number, _, ok := strings.Cut(rest, "-")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(number, 10, 64)
	return n, err == nil
}

// Delete implements storage.Store.
func (s *Store) Delete(ctx context.Context, key storage.Key) error {
	name, err := s.objectName(key)
	if err != nil {
		return err
	}
	// Uploads first: one that completed now would bring the object back.
	if err := s.dropUnfinished(ctx, key); err != nil {
		return fmt.Errorf("delete unfinished upload of %s: %w", key, err)
	}
	if err := s.remove(ctx, name); err != nil {
		return fmt.Errorf("delete object %s: %w", key, err)
	}
	return nil
}

func (s *Store) remove(ctx context.Context, name string) error {
	err := s.retry(ctx, s.opts.Timeout, func(ctx context.Context, _ func()) error {
		return s.core.RemoveObject(ctx, s.opts.Bucket, name, minio.RemoveObjectOptions{})
	})
	if errors.Is(err, storage.ErrNotExist) {
		return nil
	}
	return err
}

// dropUnfinished aborts all multipart uploads of exactly this key and removes
// all of its tails.
func (s *Store) dropUnfinished(ctx context.Context, key storage.Key) error {
	uploads, err := s.uploads(ctx, s.path(string(key)))
	if err != nil {
		return err
	}
	for _, id := range uploads {
		if err := s.abortUpload(ctx, key, id); err != nil {
			return err
		}
	}
	tails, err := s.tails(ctx, key)
	if err != nil {
		return err
	}
	for _, name := range tails {
		if err := s.remove(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) abortUpload(ctx context.Context, key storage.Key, id string) error {
	err := s.retry(ctx, s.opts.Timeout, func(ctx context.Context, _ func()) error {
		return s.core.AbortMultipartUpload(ctx, s.opts.Bucket, s.path(string(key)), id)
	})
	if errors.Is(err, storage.ErrNotExist) {
		return nil
	}
	return err
}

// uploads lists the unfinished multipart uploads of exactly one object.
func (s *Store) uploads(ctx context.Context, name string) ([]string, error) {
	var ids []string
	var keyMarker, idMarker string
	for {
		var page minio.ListMultipartUploadsResult
		err := s.retry(ctx, s.opts.Timeout, func(ctx context.Context, _ func()) (err error) {
			page, err = s.core.ListMultipartUploads(ctx, s.opts.Bucket, name, keyMarker, idMarker, "", 1000)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("list multipart uploads: %w", err)
		}
		for _, u := range page.Uploads {
			if u.Key == name {
				ids = append(ids, u.UploadID)
			}
		}
		if !page.IsTruncated || page.NextKeyMarker == keyMarker && page.NextUploadIDMarker == idMarker {
			return ids, nil
		}
		keyMarker, idMarker = page.NextKeyMarker, page.NextUploadIDMarker
	}
}

// tails lists the names of the tail objects of one upload.
func (s *Store) tails(ctx context.Context, key storage.Key) ([]string, error) {
	var names []string
	err := s.retry(ctx, s.opts.Timeout, func(ctx context.Context, touch func()) error {
		names = nil
		for info := range s.core.ListObjectsIter(ctx, s.opts.Bucket, minio.ListObjectsOptions{
			Prefix: s.tailName(key, ""), Recursive: true,
		}) {
			if info.Err != nil {
				return info.Err
			}
			touch()
			names = append(names, info.Key)
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list tails: %w", err)
	}
	return names, nil
}

// RedirectURL implements storage.Redirector: a presigned URL that holds for
// up to seven days. It asks the service nothing.
func (s *Store) RedirectURL(ctx context.Context, key storage.Key, r storage.Redirect) (string, error) {
	name, err := s.objectName(key)
	if err != nil {
		return "", err
	}
	if !r.Valid() || r.Expires > maxExpiry {
		return "", fmt.Errorf("presign object %s: %s for %s cannot be signed", key, r.Method, r.Expires)
	}
	params := make(url.Values)
	if r.ContentType != "" {
		params.Set("response-content-type", r.ContentType)
	}
	if r.Filename != "" {
		params.Set("response-content-disposition",
			mime.FormatMediaType("attachment", map[string]string{"filename": r.Filename}))
	}
	// The signature counts whole seconds, at least one.
	u, err := s.public.Presign(ctx, r.Method, s.opts.Bucket, name, max(r.Expires, time.Second), params)
	if err != nil {
		return "", fmt.Errorf("presign object %s: %w", key, classify(ctx, err))
	}
	return u.String(), nil
}

// objectName checks a key and returns the name of its object in the bucket.
func (s *Store) objectName(key storage.Key) (string, error) {
	if _, err := storage.ParseKey(string(key)); err != nil {
		return "", err
	}
	return s.path(string(key)), nil
}

func (s *Store) tailName(key storage.Key, tail string) string {
	return s.path("tails/" + key.ID() + "/" + tail)
}

func (s *Store) path(name string) string {
	if s.opts.Prefix == "" {
		return name
	}
	return s.opts.Prefix + "/" + name
}
