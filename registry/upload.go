package registry

import (
	"context"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/storage"
)

const (
	claimTime  = 15 * time.Second // how long an appender holds an upload without a sign of life
	settleTime = 2 * time.Minute  // how long saving what was received may take after the client has gone
	settleRate = 20 << 20         // bytes a second by which that grows for content to be committed or read again
)

// AnyOffset tells AppendUpload and FinishUpload to go on where the upload stands.
const AnyOffset int64 = -1

// StartUpload begins an upload whose bytes will be hashed with the algorithm.
func (r *Registry) StartUpload(ctx context.Context, g auth.Grant, a Algorithm) (Upload, error) {
	return r.startUpload(ctx, g, a, "")
}

func (r *Registry) startUpload(ctx context.Context, g auth.Grant, a Algorithm, claim string) (Upload, error) {
	n, err := granted(g, auth.Push)
	if err != nil {
		return Upload{}, err
	}
	if err := r.ensure(ctx, n); err != nil {
		return Upload{}, err
	}
	now := r.now()
	u := Upload{
		ID: uuid.NewString(), Name: n, Key: storage.NewKey(), Algorithm: a,
		StartedAt: now, UpdatedAt: now, Claim: claim,
	}
	if claim != "" {
		u.ClaimUntil = now.Add(claimTime)
	}
	return u, r.store.CreateUpload(ctx, u)
}

// Upload returns the state of an upload. Errors: CodeBlobUploadUnknown.
func (r *Registry) Upload(ctx context.Context, g auth.Grant, id string) (Upload, error) {
	n, err := granted(g, auth.Push)
	if err != nil {
		return Upload{}, err
	}
	if err := uuid.Validate(id); err != nil {
		return Upload{}, Wrap(err, CodeBlobUploadUnknown, "no such upload")
	}
	return r.store.Upload(ctx, n, id)
}

// CancelUpload drops an upload with its bytes. Errors: CodeBlobUploadUnknown.
func (r *Registry) CancelUpload(ctx context.Context, g auth.Grant, id string) error {
	u, err := r.Upload(ctx, g, id)
	if err != nil {
		return err
	}
	return r.store.DeleteUpload(ctx, u.Name, u.ID)
}

// AppendUpload appends a chunk that starts at offset at, or AnyOffset.
// What was received before an error is kept: the upload goes on from there.
// Errors: CodeBlobUploadUnknown; CodeRangeInvalid when the upload stands
// elsewhere, with the upload as it is; CodeTooManyRequests while another
// request appends; CodeNoSpace, CodeUnavailable.
func (r *Registry) AppendUpload(ctx context.Context, g auth.Grant, id string, at int64, body io.Reader) (Upload, error) {
	s, ctx, err := r.openSession(ctx, g, id, at)
	if err != nil {
		return s.Upload, err
	}
	defer s.close()
	if err := s.resume(ctx); err != nil {
		return s.Upload, s.release(ctx, err)
	}
	copyErr := s.copy(ctx, body)
	if err := s.suspend(ctx); err != nil {
		return s.Upload, err
	}
	return s.Upload, copyErr
}

// FinishUpload appends the last chunk, which may be empty, and makes the
// blob. When it returns without an error the blob is durable and linked.
// Errors as AppendUpload; CodeDigestInvalid when the content has another
// digest, after which the upload is gone.
func (r *Registry) FinishUpload(ctx context.Context, g auth.Grant, id string, at int64, body io.Reader, d Digest) (Blob, error) {
	s, ctx, err := r.openSession(ctx, g, id, at)
	if err != nil {
		return Blob{}, err
	}
	defer s.close()
	return s.finish(ctx, body, d)
}

// PutBlob stores a blob in one call. Size is what the content must have, or
// -1 when it is not known. Errors: CodeDigestInvalid, CodeSizeInvalid,
// CodeNoSpace, CodeUnavailable.
func (r *Registry) PutBlob(ctx context.Context, g auth.Grant, d Digest, size int64, body io.Reader) (Blob, error) {
	claim := uuid.NewString()
	u, err := r.startUpload(ctx, g, d.Algorithm(), claim)
	if err != nil {
		return Blob{}, err
	}
	s, ctx := r.newSession(ctx, u)
	defer s.close()
	s.want = size
	s.single = true
	return s.finish(ctx, body, d)
}

// session is one request's hold on an upload. Its claim is extended until
// close, and a lost claim cancels the context that came with it.
type session struct {
	Upload
	r       *Registry
	cancel  context.CancelCauseFunc
	stop    context.CancelFunc // ends the heartbeat
	stopped chan struct{}
	w       storage.Writer
	h       hash.Hash
	held    atomic.Int64 // until when the claim is surely ours, in Unix nanoseconds
	want    int64        // total size asked for, -1 when unknown
	single  bool         // nobody can come back to this upload
}

func (r *Registry) openSession(ctx context.Context, g auth.Grant, id string, at int64) (*session, context.Context, error) {
	u, err := r.Upload(ctx, g, id)
	if err != nil {
		return &session{}, ctx, err
	}
	now := r.now()
	u, err = r.store.ClaimUpload(ctx, u.Name, id, uuid.NewString(), now, now.Add(claimTime))
	if err != nil {
		return &session{Upload: u}, ctx, err
	}
	s, ctx := r.newSession(ctx, u)
	if at != AnyOffset && at != u.Offset {
		defer s.close()
		return s, ctx, s.release(ctx, Errorf(CodeRangeInvalid, "the upload stands at %d, the chunk starts at %d", u.Offset, at))
	}
	return s, ctx, nil
}

func (r *Registry) newSession(ctx context.Context, u Upload) (*session, context.Context) {
	// The claim outlives the request: what was received is saved after it. So
	// does the writer, or else the last bytes of a client that went away were
	// dropped with it; the body ends by itself then.
	ctx = context.WithoutCancel(ctx)
	beat, stop := context.WithCancel(ctx)
	ctx, cancel := context.WithCancelCause(ctx)
	s := &session{Upload: u, r: r, want: -1, stop: stop, cancel: cancel, stopped: make(chan struct{})}
	s.held.Store(u.ClaimUntil.UnixNano())
	go s.heartbeat(beat)
	return s, ctx
}

// heartbeat extends the claim until close.
func (s *session) heartbeat(ctx context.Context) {
	defer close(s.stopped)
	t := time.NewTicker(claimTime / 3)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		err := s.extend(ctx)
		if IsCode(err, CodeTooManyRequests) || IsCode(err, CodeBlobUploadUnknown) {
			s.cancel(err)
			return
		}
	}
}

// extend claims the upload for longer. When somebody else had it meanwhile it
// may stand elsewhere; then it is not ours any more.
func (s *session) extend(ctx context.Context) error {
	now := s.r.now()
	u, err := s.r.store.ClaimUpload(ctx, s.Name, s.ID, s.Claim, now, now.Add(claimTime))
	if err != nil {
		return err
	}
	if u.Offset != s.Offset {
		return Errorf(CodeTooManyRequests, "another request went on with the upload")
	}
	s.held.Store(now.Add(claimTime).UnixNano())
	return nil
}

// confirm makes sure that the upload is still ours before its object is
// published: after a standstill another request may have finished it, and
// what we published would take the place of what was acknowledged.
func (s *session) confirm(ctx context.Context) error {
	if s.r.now().UnixNano() < s.held.Load() {
		return nil
	}
	return s.extend(ctx)
}

// quiet ends the heartbeat. A claim that is given back must not be taken again.
func (s *session) quiet() {
	s.stop()
	<-s.stopped
}

func (s *session) close() {
	s.quiet()
	s.cancel(nil)
}

// settle returns a context for saving state, which outlives the request, with
// time enough for the bytes that are in the way of it.
func settle(ctx context.Context, bytes int64) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), settleTime+time.Duration(bytes/settleRate)*time.Second)
}

// release gives the claim back without a change and returns cause.
func (s *session) release(ctx context.Context, cause error) error {
	ctx, cancel := settle(ctx, 0)
	defer cancel()
	s.quiet()
	if err := s.r.store.SaveUpload(ctx, s.Upload); err != nil && !IsCode(err, CodeBlobUploadUnknown) {
		s.r.log.Warn("release upload claim", slog.String("upload", s.ID), slog.Any("error", err))
	}
	return cause
}

// resume opens the writer and the hash where the upload stands.
func (s *session) resume(ctx context.Context) error {
	s.h = s.Algorithm.New()
	if s.HashState != nil {
		if err := s.h.(encoding.BinaryUnmarshaler).UnmarshalBinary(s.HashState); err != nil {
			return fmt.Errorf("restore hash of upload %s: %w", s.ID, err)
		}
	}
	var err error
	if s.State == nil {
		s.w, err = s.create(ctx)
	} else {
		s.w, err = s.r.blobs.Resume(ctx, s.Key, s.State)
	}
	if errors.Is(err, storage.ErrNotExist) || errors.Is(err, storage.ErrState) {
		return Wrap(err, CodeBlobUploadUnknown, "the bytes of this upload are gone; start again")
	}
	return storageError(err)
}

// create begins the object. An earlier request of this upload may have begun
// it too, and ended with its process or its database before it could say so.
func (s *session) create(ctx context.Context) (storage.Writer, error) {
	w, err := s.r.blobs.Create(ctx, s.Key)
	if !errors.Is(err, os.ErrExist) {
		return w, err
	}
	switch _, statErr := s.r.blobs.Stat(ctx, s.Key); {
	case statErr == nil: // it got as far as the whole object
		return nil, fmt.Errorf("%w: %w", storage.ErrState, err)
	case !errors.Is(statErr, storage.ErrNotExist):
		return nil, statErr
	}
	if err := s.r.blobs.Delete(ctx, s.Key); err != nil {
		return nil, err
	}
	return s.r.blobs.Create(ctx, s.Key)
}

// copy appends body to the writer and the hash.
func (s *session) copy(ctx context.Context, body io.Reader) error {
	err := copyHashing(s.w, s.h, bodyReader{body})
	if cause := context.Cause(ctx); err != nil && IsCode(cause, CodeTooManyRequests) {
		return cause
	}
	var client readError
	if errors.As(err, &client) {
		return Wrap(client.err, CodeBlobUploadInvalid, "the body ended early; ask for the upload's status and go on from there")
	}
	return storageError(err)
}

// suspend makes what was received durable and saves where the upload stands.
func (s *session) suspend(ctx context.Context) error {
	ctx, cancel := settle(ctx, 0)
	defer cancel()
	state, err := s.w.Suspend(ctx)
	if err != nil {
		return s.release(ctx, storageError(err))
	}
	sum, err := s.h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return s.release(ctx, fmt.Errorf("save hash of upload %s: %w", s.ID, err))
	}
	next := s.Upload
	next.Offset, next.State, next.HashState, next.UpdatedAt = s.w.Offset(), state, sum, s.r.now()
	s.quiet()
	if err := s.r.store.SaveUpload(ctx, next); err != nil {
		return err
	}
	s.Upload = next
	return nil
}

// finish appends the last bytes, checks them and makes the blob.
func (s *session) finish(ctx context.Context, body io.Reader, d Digest) (Blob, error) {
	err := s.resume(ctx)
	if IsCode(err, CodeBlobUploadUnknown) {
		return s.recommit(ctx, err, d)
	}
	if err != nil {
		return Blob{}, s.giveUp(ctx, err)
	}
	if err := s.copy(ctx, body); err != nil {
		if s.single {
			return Blob{}, s.drop(ctx, err)
		}
		if saveErr := s.suspend(ctx); saveErr != nil {
			return Blob{}, saveErr
		}
		return Blob{}, err
	}
	size := s.w.Offset()
	if s.want >= 0 && size != s.want {
		return Blob{}, s.drop(ctx, Errorf(CodeSizeInvalid, "the content has %d bytes, %d were announced", size, s.want))
	}
	if d.Algorithm() == s.Algorithm {
		if got := DigestFromHash(s.Algorithm, s.h); got != d {
			return Blob{}, s.drop(ctx, mismatch(got))
		}
	}
	ctx, cancel := settle(ctx, size)
	defer cancel()
	if err := s.confirm(ctx); err != nil {
		return Blob{}, s.giveUp(ctx, err)
	}
	if err := s.w.Commit(ctx); err != nil {
		return Blob{}, s.giveUp(ctx, storageError(err))
	}
	if d.Algorithm() != s.Algorithm {
		if err := s.rehash(ctx, d); err != nil {
			return Blob{}, s.drop(ctx, err)
		}
	}
	return s.r.store.CommitUpload(ctx, s.Upload, d, size)
}

// recommit finishes an upload whose object is complete already: an earlier
// request got that far and then lost the database. Without an object it
// returns cause.
func (s *session) recommit(ctx context.Context, cause error, d Digest) (Blob, error) {
	ctx, cancel := settle(ctx, s.Offset)
	defer cancel()
	size, err := s.r.blobs.Stat(ctx, s.Key)
	if err != nil {
		return Blob{}, s.release(ctx, cause)
	}
	if err := s.rehash(ctx, d); err != nil {
		return Blob{}, s.drop(ctx, err)
	}
	return s.r.store.CommitUpload(ctx, s.Upload, d, size)
}

// rehash reads the committed object again for a digest whose algorithm was
// not known while it streamed.
func (s *session) rehash(ctx context.Context, d Digest) error {
	rc, err := s.r.blobs.Open(ctx, s.Key, 0, -1)
	if err != nil {
		return storageError(err)
	}
	defer rc.Close()
	h := d.Algorithm().New()
	if _, err := io.Copy(h, rc); err != nil {
		return storageError(err)
	}
	if got := DigestFromHash(d.Algorithm(), h); got != d {
		return mismatch(got)
	}
	return nil
}

func mismatch(got Digest) error {
	return Errorf(CodeDigestInvalid, "the content has the digest %s", got)
}

// giveUp ends a failed session: for good when nobody can come back to it.
func (s *session) giveUp(ctx context.Context, cause error) error {
	if s.single {
		return s.drop(ctx, cause)
	}
	return s.release(ctx, cause)
}

// drop deletes the upload and returns cause.
func (s *session) drop(ctx context.Context, cause error) error {
	ctx, cancel := settle(ctx, 0)
	defer cancel()
	if s.w != nil {
		if err := s.w.Abort(ctx); err != nil {
			s.r.log.Warn("abort upload", slog.String("upload", s.ID), slog.Any("error", err))
		}
	}
	if err := s.r.store.DeleteUpload(ctx, s.Name, s.ID); err != nil && !IsCode(err, CodeBlobUploadUnknown) {
		s.r.log.Warn("drop upload", slog.String("upload", s.ID), slog.Any("error", err))
	}
	return cause
}
