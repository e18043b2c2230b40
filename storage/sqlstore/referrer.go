package sqlstore

import (
	"context"

	"github.com/carat-hub/carat/registry"
)

// Referrers implements registry.ManifestStore. The subject need not be there;
// a repository that is not there has no referrers.
func (s *Store) Referrers(ctx context.Context, n registry.Name, d registry.Digest, artifactType string, last registry.Digest, limit, size int) ([]registry.Referrer, error) {
	what := "list the referrers of " + d.String()
	rows, err := s.db.reader.QueryContext(ctx, `
		SELECT m.digest, m.media_type, m.artifact_type, m.size, m.annotations
		FROM repositories r
		JOIN manifests m ON m.repository_id = r.id
		WHERE r.name = $1 AND m.subject = $2 AND m.digest > $3 AND ($4 = '' OR m.artifact_type = $4)
		ORDER BY m.digest LIMIT $5`, n, d, last.String(), plain(artifactType), max(limit, 0))
	if err != nil {
		return nil, fail(what, err)
	}
	defer rows.Close()
	// Row by row: two hundred of them can have four megabytes each.
	refs, bytes := []registry.Referrer{}, 0
	for rows.Next() && (len(refs) < 2 || bytes <= size) {
		var ref registry.Referrer
		if err := rows.Scan(&ref.Digest, &ref.MediaType, &ref.ArtifactType, &ref.Size, jsonColumn{&ref.Annotations}); err != nil {
			return nil, fail(what, err)
		}
		refs, bytes = append(refs, ref), bytes+ref.AnnotationBytes()
	}
	if err := rows.Err(); err != nil {
		return nil, fail(what, err)
	}
	return refs, nil
}
