package registry

import (
	"context"

	"github.com/carat-hub/carat/auth"
)

// Tags lists up to limit tags after last in byte order, and whether there are
// more. A limit below zero means as many as one answer may have.
// Errors: CodeNameUnknown.
func (r *Registry) Tags(ctx context.Context, g auth.Grant, last Tag, limit int) (tags []Tag, more bool, err error) {
	n, err := granted(g, auth.Pull)
	if err != nil {
		return nil, false, err
	}
	if limit < 0 {
		limit = MaxPage
	}
	limit = clamp(limit)
	tags, err = r.store.Tags(ctx, n, last, limit+1)
	if err != nil {
		return nil, false, err
	}
	if len(tags) > limit {
		return tags[:limit], true, nil
	}
	return tags, false, nil
}

// DeleteTag removes a tag and leaves the manifest. Errors: CodeManifestUnknown.
func (r *Registry) DeleteTag(ctx context.Context, g auth.Grant, t Tag) error {
	n, err := granted(g, auth.Delete)
	if err != nil {
		return err
	}
	return r.store.DeleteTag(ctx, n, t)
}
