package registry

import (
	"context"

	"github.com/carat-hub/carat/auth"
)

// Referrers lists manifests whose subject is d, in the order of their digests
// after last, and whether there are more. A repository or a subject that does
// not exist has none.
func (r *Registry) Referrers(ctx context.Context, g auth.Grant, d Digest, artifactType string, last Digest) (list []Referrer, more bool, err error) {
	n, err := granted(g, auth.Pull)
	if err != nil {
		return nil, false, err
	}
	list, err = r.store.Referrers(ctx, n, d, artifactType, last, maxReferrers+1, maxReferrersSize)
	if err != nil {
		return nil, false, err
	}
	size := 0
	for i, ref := range list {
		size += ref.AnnotationBytes()
		if i == maxReferrers || i > 0 && size > maxReferrersSize {
			return list[:i], true, nil
		}
	}
	return list, false, nil
}
