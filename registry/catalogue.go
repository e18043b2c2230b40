package registry

import (
	"context"

	"github.com/carat-hub/carat/auth"
)

// maxVersions is how many versions of a model one answer lists.
const maxVersions = 200

// maxModels is how many models one answer lists.
const maxModels = 100

// Version returns the model record of a manifest. Errors: CodeManifestUnknown,
// also for a manifest that is no model.
func (r *Registry) Version(ctx context.Context, g auth.Grant, ref Reference) (Version, error) {
	n, err := granted(g, auth.Pull)
	if err != nil {
		return Version{}, err
	}
	return r.store.Version(ctx, n, ref)
}

// Versions lists the versions of a model, newest first.
func (r *Registry) Versions(ctx context.Context, g auth.Grant) ([]Version, error) {
	n, err := granted(g, auth.Pull)
	if err != nil {
		return nil, err
	}
	return r.store.Versions(ctx, n, maxVersions)
}

// Models lists the models that the principal may see, and returns how many
// match in all. The query's limit is clamped to 1..100.
func (r *Registry) Models(ctx context.Context, p auth.Principal, q ModelQuery) ([]ModelSummary, int, error) {
	q.Sight = p.Sight()
	q.Limit = min(max(q.Limit, 1), maxModels)
	q.Offset = max(q.Offset, 0)
	return r.store.Models(ctx, q)
}

// SaveFacts stores what an inspection of a version's files found, or why it
// failed when facts is nil. It needs a grant to push. Errors: CodeManifestUnknown.
func (r *Registry) SaveFacts(ctx context.Context, g auth.Grant, d Digest, facts *Facts, problem string) error {
	n, err := granted(g, auth.Push)
	if err != nil {
		return err
	}
	return r.store.SaveFacts(ctx, n, d, facts, problem)
}
