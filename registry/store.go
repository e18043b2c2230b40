package registry

import (
	"context"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/storage"
)

// The store interfaces are what the registry needs of a metadata database.
// storage/sqlstore implements all of them over one connection; every method
// that changes something is one transaction of its own. All errors that are
// not named mean that nothing is known to have changed.

// Blob is stored content.
type Blob struct {
	Digest Digest
	Key    storage.Key
	Size   int64
}

// RepositoryStore keeps repositories.
type RepositoryStore interface {
	// Repository returns the repository of that name. Errors: CodeNameUnknown.
	Repository(ctx context.Context, n Name) (Repository, error)
	// CreateRepository makes the repository unless it exists, and returns the one that exists now.
	CreateRepository(ctx context.Context, r Repository) (Repository, error)
	// SetVisibility changes who may pull. Errors: CodeNameUnknown.
	SetVisibility(ctx context.Context, n Name, v auth.Visibility) error
	// Repositories lists up to limit names after last in byte order: those
	// that are public, and what else is in sight.
	Repositories(ctx context.Context, last Name, limit int, sight auth.Sight) ([]Name, error)
}

// BlobStore keeps which blobs there are and in which repositories they are
// visible. A blob without a link in a repository does not exist there.
type BlobStore interface {
	// Blob returns a blob linked in the repository. Errors: CodeBlobUnknown.
	Blob(ctx context.Context, n Name, d Digest) (Blob, error)
	// MountBlob links a blob of one repository in another one, which must
	// exist. Errors: CodeBlobUnknown when from does not have it.
	MountBlob(ctx context.Context, from, to Name, d Digest) error
	// UnlinkBlob removes the link, unless a manifest of the repository still
	// refers to the blob. Errors: CodeBlobUnknown; CodeDenied when referred to.
	UnlinkBlob(ctx context.Context, n Name, d Digest) error
}

// Upload is an unfinished upload: the intent row that is committed before
// the first byte, so that every object ever begun has a row.
type Upload struct {
	ID        string // UUID; unguessable enough with the repository's grant
	Name      Name
	Key       storage.Key
	Algorithm Algorithm     // of HashState
	Offset    int64         // bytes taken
	HashState []byte        // state of the hash at Offset, nil at 0
	State     storage.State // of the storage driver at Offset, nil at 0
	StartedAt time.Time
	UpdatedAt time.Time

	// Claim is the holder's token while somebody appends, "" otherwise.
	Claim string
	// ClaimUntil is when the claim may be taken over.
	ClaimUntil time.Time
}

// UploadStore keeps unfinished uploads.
type UploadStore interface {
	// CreateUpload commits the intent row, claimed when u.Claim is set.
	CreateUpload(ctx context.Context, u Upload) error
	// Upload returns an unfinished upload. Errors: CodeBlobUploadUnknown.
	Upload(ctx context.Context, n Name, id string) (Upload, error)
	// ClaimUpload gives the claim to token until the time given, unless
	// another token holds one that has not run out at now. It also extends a claim
	// that token holds already. Errors: CodeBlobUploadUnknown, CodeTooManyRequests.
	ClaimUpload(ctx context.Context, n Name, id, token string, now, until time.Time) (Upload, error)
	// SaveUpload stores Offset, HashState, State and UpdatedAt and drops the
	// claim. It fails with CodeBlobUploadUnknown when u.Claim is no longer the holder.
	SaveUpload(ctx context.Context, u Upload) error
	// CommitUpload makes a blob of the upload and links it in the repository,
	// in one transaction: the blob's row (when the digest exists already, the
	// stored one stays and u.Key gets a tombstone), the link, and the end of
	// the upload. Calling it again after a lost answer returns the same blob.
	// Errors: CodeBlobUploadUnknown when neither upload nor link is there.
	CommitUpload(ctx context.Context, u Upload, d Digest, size int64) (Blob, error)
	// DeleteUpload replaces the upload by a tombstone for its key.
	// Errors: CodeBlobUploadUnknown.
	DeleteUpload(ctx context.Context, n Name, id string) error
}

// Manifest is a stored manifest with its exact bytes.
type Manifest struct {
	Digest       Digest
	MediaType    string
	ArtifactType string // artifactType, or the config's media type where that is the rule
	Body         []byte
	Subject      Digest // zero when there is none
	CreatedAt    time.Time

	// Warning is what whoever pulls it should be told, nil for nothing. It is
	// not stored: Registry.Manifest sets it.
	Warning *GateError
}

// ManifestWrite is all that one manifest PUT commits.
type ManifestWrite struct {
	Name        Name
	Visibility  auth.Visibility // of the repository when it is new
	Manifest    Manifest
	Annotations map[string]string // of the manifest, for its referrer descriptor
	Blobs       []Digest          // must be linked in the repository
	Manifests   []Digest          // children; must be in the repository
	Tags        []Tag             // to point at it

	// Version is the model record, nil when the manifest is no model.
	// When it is new the transaction also enqueues its inspection and verification.
	Version *Version
}

// ManifestStore keeps manifests and the tags that point at them.
type ManifestStore interface {
	// PutManifest commits w in one transaction and checks in it that all
	// references are there. A repository that is not there is made in it too,
	// so that a manifest which is refused leaves none. Putting the same again
	// is no error. Errors: CodeManifestBlobUnknown with the missing digest.
	PutManifest(ctx context.Context, w ManifestWrite) error
	// Manifest returns a manifest by tag or digest in one query. Errors: CodeManifestUnknown.
	Manifest(ctx context.Context, n Name, r Reference) (Manifest, error)
	// PublicManifest is Manifest for what is in public repositories only.
	PublicManifest(ctx context.Context, n Name, r Reference) (Manifest, error)
	// DeleteManifest deletes a manifest and all tags on it. Its blobs stay
	// linked until the clean-up drops links that no manifest needs.
	// Errors: CodeManifestUnknown; CodeDenied when an index of the repository refers to it.
	DeleteManifest(ctx context.Context, n Name, d Digest) error
	// Tags lists up to limit tags after last in byte order. Errors: CodeNameUnknown.
	Tags(ctx context.Context, n Name, last Tag, limit int) ([]Tag, error)
	// DeleteTag removes a tag and leaves the manifest. Errors: CodeManifestUnknown.
	DeleteTag(ctx context.Context, n Name, t Tag) error
	// Referrers lists up to limit manifests whose subject is d, in the order of
	// their digests after last, with the artifact type given ("" = all). From
	// the second on the list ends with the first of them that brings the
	// AnnotationBytes of all to more than size.
	Referrers(ctx context.Context, n Name, d Digest, artifactType string, last Digest, limit, size int) ([]Referrer, error)
}

// Referrer is a manifest whose subject is another one.
type Referrer struct {
	Digest       Digest
	MediaType    string
	ArtifactType string
	Size         int64
	Annotations  map[string]string
}

// AnnotationBytes is how many bytes the annotations have, without JSON's signs.
func (r Referrer) AnnotationBytes() int {
	n := 0
	for k, v := range r.Annotations {
		n += len(k) + len(v)
	}
	return n
}

// ModelStore keeps the model records for pages, search and the API.
type ModelStore interface {
	// Version returns a version by tag or digest. Errors: CodeManifestUnknown.
	Version(ctx context.Context, n Name, r Reference) (Version, error)
	// Locate returns the digest of the version that s tells. Errors:
	// CodeManifestUnknown, also for a prefix that several versions have.
	Locate(ctx context.Context, n Name, s Selector) (Digest, error)
	// Versions lists all versions of a model, newest first, at most limit.
	Versions(ctx context.Context, n Name, limit int) ([]Version, error)
	// Models lists models by their newest version, newest first, and returns
	// how many there are in all.
	Models(ctx context.Context, q ModelQuery) (list []ModelSummary, total int, err error)
	// SaveFacts stores what an inspection found, or why it failed when facts is nil.
	// Errors: CodeManifestUnknown.
	SaveFacts(ctx context.Context, n Name, d Digest, facts *Facts, problem string) error
}

// CollectorStore is what the clean-up of abandoned uploads and deleted
// objects needs.
type CollectorStore interface {
	// ExpireUploads replaces up to limit unclaimed uploads not touched since
	// before by tombstones and returns how many.
	ExpireUploads(ctx context.Context, before time.Time, limit int) (int, error)
	// DropUnreferencedLinks drops up to limit links of blobs that no manifest
	// of their repository refers to, when that has been so since before and the
	// blobs were not pushed or mounted there again, and returns how many.
	DropUnreferencedLinks(ctx context.Context, before time.Time, limit int) (int, error)
	// UnlinkedBlobs replaces up to limit blobs that no repository has linked
	// since before by tombstones, due at due, and returns how many.
	UnlinkedBlobs(ctx context.Context, before, due time.Time, limit int) (int, error)
	// Tombstones returns up to limit keys that are due for deletion at now.
	Tombstones(ctx context.Context, now time.Time, limit int) ([]storage.Key, error)
	// BuryTombstone removes a tombstone after its object has been deleted.
	BuryTombstone(ctx context.Context, k storage.Key) error
}
