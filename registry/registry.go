package registry

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/provenance"
	"github.com/carat-hub/carat/storage"
)

// Limits of what one request may ask for.
const (
	MaxManifestSize = 4 << 20 // bytes of one manifest
	maxDescriptors  = 4096    // descriptors in one manifest
	MaxPage         = 1000    // entries of one list
	maxReferrers    = 200     // referrers in one answer

	// maxReferrersSize bounds the annotations in one answer, in bytes, so that
	// clients that read at most 4 MiB can read it.
	maxReferrersSize = 2 << 20
)

// Store is everything the registry keeps in the metadata database.
type Store interface {
	RepositoryStore
	BlobStore
	UploadStore
	ManifestStore
	ModelStore
	GateStore
	ConsentStore
	LineageStore
	AffirmationStore
	PolicyStore
	AssessmentStore
	LicenseTextStore
}

// Options are what a Registry is made of.
type Options struct {
	Blobs storage.Store // required
	Store Store         // required

	// DefaultVisibility is what a repository gets at its first push; auth.Public when empty.
	DefaultVisibility auth.Visibility
	// DefaultGate is that of organizations without one of their own; GateOff when empty.
	DefaultGate Gate
	// Notary signs acceptances of terms; without one none can be accepted.
	Notary Notary
	// Trust is what signatures of others are believed on.
	Trust provenance.Trust
	// OwnKeys returns the keys with which this hub signs; it has none when nil.
	OwnKeys func(context.Context) ([]provenance.Key, error)
	// Clock tells the time; time.Now when nil.
	Clock func() time.Time
	// Logger gets what no caller is told; slog.Default() when nil.
	Logger *slog.Logger
}

// Registry is the domain's one entrance. It is safe for concurrent use.
type Registry struct {
	blobs      storage.Store
	store      Store
	visibility auth.Visibility
	gates      gates // of verification
	consent    consent
	lineages   gates // of lineage
	policies   policies
	confirmed  confirmedTexts
	listings   listings
	notary     Notary
	trust      provenance.Trust
	ownKeys    func(context.Context) ([]provenance.Key, error)
	now        func() time.Time
	log        *slog.Logger
}

// New returns a registry.
func New(o Options) *Registry {
	r := &Registry{blobs: o.Blobs, store: o.Store, visibility: o.DefaultVisibility, notary: o.Notary, trust: o.Trust, ownKeys: o.OwnKeys, now: o.Clock, log: o.Logger}
	if r.visibility == "" {
		r.visibility = auth.Public
	}
	r.gates = gates{load: r.store.Gates, store: r.store.SetGate, fallback: o.DefaultGate}
	if o.DefaultGate == "" {
		r.gates.fallback = GateOff
	}
	r.lineages = gates{load: r.store.LineageGates, store: r.store.SetLineageGate, fallback: GateWarn}
	if r.now == nil {
		r.now = time.Now
	}
	if r.log == nil {
		r.log = slog.Default()
	}
	return r
}

// Visibility returns who may pull from a repository. For one that does not
// exist it returns the default of new ones and exists as false.
func (r *Registry) Visibility(ctx context.Context, n Name) (v auth.Visibility, exists bool, err error) {
	repo, err := r.store.Repository(ctx, n)
	if IsCode(err, CodeNameUnknown) {
		return r.visibility, false, nil
	}
	if err != nil {
		return "", false, err
	}
	return repo.Visibility, true, nil
}

// Repository returns what is known of a repository. It needs a grant to pull.
// Errors: CodeNameUnknown.
func (r *Registry) Repository(ctx context.Context, g auth.Grant) (Repository, error) {
	n, err := granted(g, auth.Pull)
	if err != nil {
		return Repository{}, err
	}
	return r.store.Repository(ctx, n)
}

// SetVisibility changes who may pull. It needs a grant to maintain. Errors:
// CodeNameUnknown.
func (r *Registry) SetVisibility(ctx context.Context, g auth.Grant, v auth.Visibility) error {
	n, err := granted(g, auth.Maintain)
	if err != nil {
		return err
	}
	return r.store.SetVisibility(ctx, n, v)
}

// Repositories lists up to limit names after last in byte order, those that
// the principal may see, and whether there are more.
func (r *Registry) Repositories(ctx context.Context, p auth.Principal, last Name, limit int) (names []Name, more bool, err error) {
	limit = clamp(limit)
	names, err = r.store.Repositories(ctx, last, limit+1, p.Sight())
	if err != nil {
		return nil, false, err
	}
	if len(names) > limit {
		return names[:limit], true, nil
	}
	return names, false, nil
}

// granted returns the repository that the grant permits the action on.
func granted(g auth.Grant, a auth.Action) (Name, error) {
	if !g.Permits(a) {
		return "", Wrap(auth.ErrDenied, CodeDenied, "the grant does not permit "+string(a))
	}
	return ParseName(g.Repository())
}

// ensure makes the grant's repository exist.
func (r *Registry) ensure(ctx context.Context, n Name) error {
	now := r.now()
	_, err := r.store.CreateRepository(ctx, Repository{Name: n, Visibility: r.visibility, CreatedAt: now, UpdatedAt: now})
	return err
}

func clamp(limit int) int { return min(max(limit, 0), MaxPage) }

// storageError gives an error of the blob store the code that the client sees.
func storageError(err error) error {
	var coded *Error
	switch {
	case err == nil, errors.As(err, &coded):
		return err
	case errors.Is(err, storage.ErrNoSpace):
		return Wrap(err, CodeNoSpace, "the blob storage is full")
	case errors.Is(err, storage.ErrUnavailable):
		return Wrap(err, CodeUnavailable, "the blob storage cannot be reached")
	case errors.Is(err, storage.ErrRange):
		return Wrap(err, CodeRangeInvalid, "the range is outside the blob")
	}
	return err
}

// readError marks an error as the client's stream ending early.
type readError struct{ err error }

func (e readError) Error() string { return "read body: " + e.err.Error() }
func (e readError) Unwrap() error { return e.err }

// bodyReader turns the errors of a foreign stream into readErrors, to tell
// them from errors of the storage it is copied to.
type bodyReader struct{ r io.Reader }

func (b bodyReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && err != io.EOF {
		err = readError{err}
	}
	return n, err
}
