package verify

import (
	"context"
	"time"

	"github.com/carat-hub/carat/registry"
)

// Verification is one verification of one version, as stored.
type Verification struct {
	ID        int64           `json:"id"`
	Name      registry.Name   `json:"name"`
	Digest    registry.Digest `json:"digest"` // of the manifest
	CheckSet  int             `json:"checkSet"`
	State     State           `json:"state"`
	Report    *Report         `json:"report,omitempty"`  // grows while it runs; nil while pending
	Referrer  registry.Digest `json:"referrer,omitzero"` // manifest of the signed report, zero until it is pushed
	KeyID     string          `json:"keyId,omitempty"`   // of the key that signed it
	CreatedAt time.Time       `json:"createdAt"`
	UpdatedAt time.Time       `json:"updatedAt"`
}

// Work is one verification that is to be done.
type Work struct {
	Verification int64 // id
	Name         registry.Name
	Digest       registry.Digest // of the manifest
	Size         int64           // bytes of the version's files
	Again        bool            // the hub asked for it because the checks changed: nobody waits for it
}

// Store keeps verifications. The manifest's transaction inserts them as
// pending; these methods carry them on. Each is one transaction.
type Store interface {
	// Verification returns the newest verification of a version.
	// Errors: registry.CodeManifestUnknown when there is none.
	Verification(ctx context.Context, n registry.Name, d registry.Digest) (Verification, error)
	// Verifications returns the history of a version, newest first.
	Verifications(ctx context.Context, n registry.Name, d registry.Digest, limit int) ([]Verification, error)
	// RequestVerification returns the version's newest unfinished verification.
	// When there is none it inserts a pending one and its job in one transaction.
	// Errors: registry.CodeManifestUnknown.
	RequestVerification(ctx context.Context, n registry.Name, d registry.Digest) (Verification, error)
	// SaveProgress stores the report of a verification that goes on, and its
	// state. One with a complete report goes on as running until
	// FinishVerification.
	// Errors: registry.CodeManifestUnknown when the version is gone.
	SaveProgress(ctx context.Context, id int64, r *Report) error
	// FinishVerification stores the final report and where it was pushed.
	// Errors: registry.CodeManifestUnknown when the version is gone.
	FinishVerification(ctx context.Context, id int64, r *Report, p Publication) error
}

// Uninspected is a version about which nothing is known yet, or less than
// could be: the reader has learned more since.
type Uninspected struct {
	ID     int64 // of the row
	Name   registry.Name
	Digest registry.Digest // of the manifest
}

// Backlog lists work that is not done, so that what lost its job can be
// enqueued again.
type Backlog interface {
	// Unfinished lists up to limit verifications in state pending or running
	// whose id is greater than after, in the order of their ids.
	Unfinished(ctx context.Context, after int64, limit int) ([]Work, error)
	// Uninspected lists up to limit versions from before the given time that
	// have neither facts nor a reason why not, or are stale, whose id is greater than after,
	// in the order of their ids.
	Uninspected(ctx context.Context, before time.Time, after int64, limit int) ([]Uninspected, error)
	// Reverify asks for verifications of up to limit versions whose newest one
	// is done and of a check set before the given one, tagged versions first
	// and of these the newest, and returns how many it asked for. What was
	// cancelled is left alone.
	Reverify(ctx context.Context, checkSet, limit int) (int, error)
}
