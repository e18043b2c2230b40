package registry

import (
	"context"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/google/uuid"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/storage"
)

const (
	claimTime  = 30 * time.Second // how long an appender holds an upload without a sign of life
	settleTime = time.Minute      // how long saving what was received may take after the client has gone
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
	s, err := r.openSession(ctx, g, id, at)
	if err != nil {
		return s.Upload, err
	}
	defer s.close()
	if err := s.resume(); err != nil {
		return s.Upload, s.release(err)
	}
	copyErr := s.copy(body)
	if err := s.suspend(); err != nil {
		return s.Upload, err
	}
	return s.Upload, copyErr
}

// FinishUpload appends the last chunk, which may be empty, and makes the
// blob. When it returns without an error the blob is durable and linked.
// Errors as AppendUpload; CodeDigestInvalid when the content has another
// digest, after which the upload is gone.
func (r *Registry) FinishUpload(ctx context.Context, g auth.Grant, id string, at int64, body io.Reader, d Digest) (Blob, error) {
	s, err := r.openSession(ctx, g, id, at)
	if err != nil {
		return Blob{}, err
	}
	defer s.close()
	return s.finish(body, d)
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
	s := r.newSession(ctx, u)
	defer s.close()
	s.want = size
	s.single = true
	return s.finish(body, d)
}

// session is one request's hold on an upload. Its claim is extended until
// close, and lost claims cancel its context.
type session struct {
	Upload
	r      *Registry
	ctx    context.Context
	cancel context.CancelCauseFunc
	beat   chan struct{}
	w      storage.Writer
	h      hash.Hash
	want   int64 // total size asked for, -1 when unknown
	single bool  // nobody can come back to this upload
}

func (r *Registry) openSession(ctx context.Context, g auth.Grant, id string, at int64) (*session, error) {
	u, err := r.Upload(ctx, g, id)
	if err != nil {
		return &session{}, err
	}
	now := r.now()
	u, err = r.store.ClaimUpload(ctx, u.Name, id, uuid.NewString(), now, now.Add(claimTime))
	if err != nil {
		return &session{Upload: u}, err
	}
	s := r.newSession(ctx, u)
	if at != AnyOffset && at != u.Offset {
		defer s.close()
		return s, s.release(Errorf(CodeRangeInvalid, "the upload stands at %d, the chunk starts at %d", u.Offset, at))
	}
	return s, nil
}

func (r *Registry) newSession(ctx context.Context, u Upload) *session {
	s := &session{Upload: u, r: r, want: -1, beat: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	go s.heartbeat()
	return s
}

// heartbeat extends the claim while bytes may still flow.
func (s *session) heartbeat() {
	defer close(s.beat)
	t := time.NewTicker(claimTime / 3)
	defer t.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-t.C:
		}
		now := s.r.now()
		_, err := s.r.store.ClaimUpload(s.ctx, s.Name, s.ID, s.Claim, now, now.Add(claimTime))
		if IsCode(err, CodeTooManyRequests) || IsCode(err, CodeBlobUploadUnknown) {
			s.cancel(err)
			return
		}
	}
}

func (s *session) close() {
	s.cancel(nil)
	<-s.beat
}

// settle returns a context for saving state, which outlives the request.
func (s *session) settle() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(s.ctx), settleTime)
}

// release gives the claim back without a change and returns cause.
func (s *session) release(cause error) error {
	ctx, cancel := s.settle()
	defer cancel()
	if err := s.r.store.SaveUpload(ctx, s.Upload); err != nil && !IsCode(err, CodeBlobUploadUnknown) {
		s.r.log.Warn("release upload claim", "upload", s.ID, "error", err)
	}
	return cause
}

// resume opens the writer and the hash where the upload stands.
func (s *session) resume() error {
	s.h = s.Algorithm.New()
	if s.HashState != nil {
		if err := s.h.(encoding.BinaryUnmarshaler).UnmarshalBinary(s.HashState); err != nil {
			return fmt.Errorf("restore hash of upload %s: %w", s.ID, err)
		}
	}
	var err error
	if s.State == nil {
		s.w, err = s.r.blobs.Create(s.ctx, s.Key)
	} else {
		s.w, err = s.r.blobs.Resume(s.ctx, s.Key, s.State)
	}
	if errors.Is(err, storage.ErrNotExist) || errors.Is(err, storage.ErrState) {
		return Wrap(err, CodeBlobUploadUnknown, "the bytes of this upload are gone; start again")
	}
	return storageError(err)
}

// copy appends body to the writer and the hash.
func (s *session) copy(body io.Reader) error {
	err := copyHashing(s.w, s.h, bodyReader{body})
	s.Offset = s.w.Offset()
	if cause := context.Cause(s.ctx); err != nil && IsCode(cause, CodeTooManyRequests) {
		return cause
	}
	var client readError
	if errors.As(err, &client) {
		return Wrap(client.err, CodeBlobUploadInvalid, "the body ended early; ask for the upload's status and go on from there")
	}
	return storageError(err)
}

// suspend makes what was received durable and saves where the upload stands.
func (s *session) suspend() error {
	ctx, cancel := s.settle()
	defer cancel()
	state, err := s.w.Suspend(ctx)
	if err != nil {
		return s.release(storageError(err))
	}
	sum, err := s.h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return s.release(fmt.Errorf("save hash of upload %s: %w", s.ID, err))
	}
	next := s.Upload
	next.State, next.HashState, next.UpdatedAt = state, sum, s.r.now()
	if err := s.r.store.SaveUpload(ctx, next); err != nil {
		return err
	}
	s.Upload = next
	return nil
}

// finish appends the last bytes, checks them and makes the blob.
func (s *session) finish(body io.Reader, d Digest) (Blob, error) {
	err := s.resume()
	if IsCode(err, CodeBlobUploadUnknown) {
		return s.recommit(err, d)
	}
	if err != nil {
		return Blob{}, s.giveUp(err)
	}
	if err := s.copy(body); err != nil {
		if s.single {
			return Blob{}, s.drop(err)
		}
		if saveErr := s.suspend(); saveErr != nil {
			return Blob{}, saveErr
		}
		return Blob{}, err
	}
	if s.want >= 0 && s.Offset != s.want {
		return Blob{}, s.drop(Errorf(CodeSizeInvalid, "the content has %d bytes, %d were announced", s.Offset, s.want))
	}
	if d.Algorithm() == s.Algorithm {
		if got := DigestFromHash(s.Algorithm, s.h); got != d {
			return Blob{}, s.drop(mismatch(got))
		}
	}
	ctx, cancel := s.settle()
	defer cancel()
	if err := s.w.Commit(ctx); err != nil {
		return Blob{}, s.giveUp(storageError(err))
	}
	if d.Algorithm() != s.Algorithm {
		if err := s.rehash(ctx, d); err != nil {
			return Blob{}, s.drop(err)
		}
	}
	return s.r.store.CommitUpload(ctx, s.Upload, d, s.Offset)
}

// recommit finishes an upload whose object is complete already: an earlier
// request got that far and then lost the database. Without an object it
// returns cause.
func (s *session) recommit(cause error, d Digest) (Blob, error) {
	ctx, cancel := s.settle()
	defer cancel()
	size, err := s.r.blobs.Stat(ctx, s.Key)
	if err != nil {
		return Blob{}, s.release(cause)
	}
	if err := s.rehash(ctx, d); err != nil {
		return Blob{}, s.drop(err)
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
func (s *session) giveUp(cause error) error {
	if s.single {
		return s.drop(cause)
	}
	return s.release(cause)
}

// drop deletes the upload and returns cause.
func (s *session) drop(cause error) error {
	ctx, cancel := s.settle()
	defer cancel()
	if s.w != nil {
		if err := s.w.Abort(ctx); err != nil {
			s.r.log.Warn("abort upload", "upload", s.ID, "error", err)
		}
	}
	if err := s.r.store.DeleteUpload(ctx, s.Name, s.ID); err != nil && !IsCode(err, CodeBlobUploadUnknown) {
		s.r.log.Warn("drop upload", "upload", s.ID, "error", err)
	}
	return cause
}
