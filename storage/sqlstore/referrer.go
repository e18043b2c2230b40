package sqlstore

import (
	"context"

	"github.com/carat-hub/carat/registry"
)

// Referrers implements registry.ManifestStore. The subject need not be there;
// a repository that is not there has no referrers.
func (s *Store) Referrers(ctx context.Context, n registry.Name, d registry.Digest, artifactType string, last registry.Digest, limit int) ([]registry.Referrer, error) {
	refs, err := list(ctx, s.db.reader, func(r row) (ref registry.Referrer, err error) {
		err = r.Scan(&ref.Digest, &ref.MediaType, &ref.ArtifactType, &ref.Size, jsonColumn{&ref.Annotations})
		return ref, err
	}, `
		SELECT m.digest, m.media_type, m.artifact_type, m.size, m.annotations
		FROM repositories r
		JOIN manifests m ON m.repository_id = r.id
		WHERE r.name = $1 AND m.subject = $2 AND m.digest > $3 AND ($4 = '' OR m.artifact_type = $4)
		ORDER BY m.digest LIMIT $5`, n, d, last.String(), plain(artifactType), max(limit, 0))
	return refs, fail("list the referrers of "+d.String(), err)
}
