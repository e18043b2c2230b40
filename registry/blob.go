package registry

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/storage"
)

// StatBlob returns a blob that is linked in the grant's repository.
// Errors: CodeBlobUnknown; CodeDenied with a *GateError when the gate refuses it.
func (r *Registry) StatBlob(ctx context.Context, g auth.Grant, d Digest) (Blob, error) {
	n, err := granted(g, auth.Pull)
	if err != nil {
		return Blob{}, err
	}
	b, err := r.store.Blob(ctx, n, d)
	if err != nil {
		return Blob{}, err
	}
	if err := r.passTerms(ctx, g, n, func(ctx context.Context) ([]Digest, error) { return r.store.ManifestsOfBlob(ctx, n, d, 100) }); err != nil {
		return Blob{}, err
	}
	if err := r.passBlob(ctx, g, n, d); err != nil {
		return Blob{}, err
	}
	return b, nil
}

// OpenBlob returns length bytes of a blob from offset on, all of the rest
// when length is below zero. Errors: those of StatBlob, CodeRangeInvalid,
// CodeUnavailable.
func (r *Registry) OpenBlob(ctx context.Context, g auth.Grant, d Digest, offset, length int64) (io.ReadCloser, error) {
	b, err := r.StatBlob(ctx, g, d)
	if err != nil {
		return nil, err
	}
	return r.Open(ctx, b, offset, length)
}

// Open is OpenBlob for a blob that StatBlob returned.
func (r *Registry) Open(ctx context.Context, b Blob, offset, length int64) (io.ReadCloser, error) {
	rc, err := r.blobs.Open(ctx, b.Key, offset, length)
	return rc, storageError(err)
}

// File opens a blob that StatBlob returned as a file of this machine.
// It fails with errors.ErrUnsupported where the storage has no files.
func (r *Registry) File(ctx context.Context, b Blob) (*os.File, error) {
	f, ok := r.blobs.(storage.Filer)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	file, err := f.File(ctx, b.Key)
	return file, storageError(err)
}

// RedirectURL returns a URL that serves a blob that StatBlob returned.
// It fails with errors.ErrUnsupported where the storage has no URLs.
func (r *Registry) RedirectURL(ctx context.Context, b Blob, to storage.Redirect) (string, error) {
	s, ok := r.blobs.(storage.Redirector)
	if !ok {
		return "", errors.ErrUnsupported
	}
	url, err := s.RedirectURL(ctx, b.Key, to)
	return url, storageError(err)
}

// MountBlob links a blob of another repository, which from must permit
// pulling from, in the grant's. Errors: CodeBlobUnknown.
func (r *Registry) MountBlob(ctx context.Context, g, from auth.Grant, d Digest) error {
	to, err := granted(g, auth.Push)
	if err != nil {
		return err
	}
	source, err := granted(from, auth.Pull)
	if err != nil {
		return err
	}
	if _, err := r.StatBlob(ctx, from, d); err != nil {
		var gate *GateError
		var consent *ConsentError
		var terms *LineageError
		var rules *PolicyError
		if errors.As(err, &gate) || errors.As(err, &consent) || errors.As(err, &terms) || errors.As(err, &rules) { // who may not have it need not know of it
			return Errorf(CodeBlobUnknown, "blob %s is not known in %s", d, source)
		}
		return err
	}
	if err := r.ensure(ctx, to); err != nil {
		return err
	}
	return r.store.MountBlob(ctx, source, to, d)
}

// DeleteBlob removes a blob from the grant's repository. Errors:
// CodeBlobUnknown; CodeDenied while a manifest refers to it.
func (r *Registry) DeleteBlob(ctx context.Context, g auth.Grant, d Digest) error {
	n, err := granted(g, auth.Delete)
	if err != nil {
		return err
	}
	return r.store.UnlinkBlob(ctx, n, d)
}
