package sqlstore

import (
	"context"
	"database/sql"
)

// isStale is the condition on a version v that its newest verification is done
// and of a check set before $1.
const isStale = `EXISTS (
	SELECT 1 FROM verifications c
	WHERE c.version_id = v.id AND c.check_set < $1 AND c.state IN ('passed', 'failed', 'unsupported', 'error')
		AND NOT EXISTS (SELECT 1 FROM verifications n WHERE n.version_id = v.id AND n.id > c.id))`

// Reverify implements verify.Backlog.
func (s *Store) Reverify(ctx context.Context, checkSet, limit int) (int, error) {
	const what = "ask for verifications again"
	stale, err := list(ctx, s.db.reader, scanOne[int64], `
		SELECT v.id FROM versions v WHERE `+isStale+`
		ORDER BY CASE WHEN EXISTS (SELECT 1 FROM tags t WHERE t.repository_id = v.repository_id AND t.digest = v.digest) THEN 0 ELSE 1 END,
			v.created_at DESC, v.id DESC LIMIT $2`, checkSet, max(limit, 0))
	if err != nil {
		return 0, fail(what, err)
	}
	asked := 0
	for _, version := range stale {
		done := false
		err := s.write(ctx, what, nil, func(tx *sql.Tx) error {
			// Other nodes may have asked, or somebody may, since the list was read. The condition is asked for behind the lock: a
			// statement that waits for one sees what was there when it began.
			done = false
			there, err := exists(ctx, tx, "SELECT 1 FROM versions WHERE id = $1"+s.db.engine.lock(lockChange), version)
			if err != nil || !there {
				return err
			}
			if done, err = exists(ctx, tx, "SELECT 1 FROM versions v WHERE v.id = $2 AND "+isStale, checkSet, version); err != nil || !done {
				return err
			}
			_, err = s.addVerificationAs(ctx, tx, version, true)
			return err
		})
		if err != nil {
			return asked, err
		}
		if done {
			asked++
		}
	}
	return asked, nil
}
