package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carat-hub/carat/registry"
)

// maxKeptAssessments is how many results are kept of one version.
const maxKeptAssessments = 100

// assessmentColumns needs assessments as a.
const assessmentColumns = `a.rule_set, a.input, a.expression, a.terms, a.claimed, a.verified, a.errors, a.warnings, a.unknown, a.created_at, a.checked_at`

// nullAssessment scans assessmentColumns of a row that may not be there.
type nullAssessment struct {
	ruleSet, input, expression, terms                    sql.NullString
	claimed, verified, problems, warnings, unknown, made sql.NullInt64
	checked                                              sql.NullInt64
}

func (n *nullAssessment) dest() []any {
	return []any{&n.ruleSet, &n.input, &n.expression, &n.terms, &n.claimed, &n.verified, &n.problems, &n.warnings, &n.unknown, &n.made, &n.checked}
}

func (n *nullAssessment) summary() (*registry.AssessmentSummary, error) {
	if !n.ruleSet.Valid {
		return nil, nil
	}
	s := &registry.AssessmentSummary{
		RuleSet: n.ruleSet.String, Input: n.input.String, Expression: n.expression.String, Terms: n.terms.String,
		Claimed: int(n.claimed.Int64), Verified: int(n.verified.Int64), Errors: int(n.problems.Int64), Warnings: int(n.warnings.Int64), Unknown: n.unknown.Int64 != 0,
	}
	return s, errors.Join(timeColumn{&s.CreatedAt}.Scan(n.made.Int64), timeColumn{&s.CheckedAt}.Scan(n.checked.Int64))
}

// scanAssessment scans assessmentColumns and findings, after other columns.
func scanAssessment(r row, others ...any) (s registry.AssessmentSummary, err error) {
	var n nullAssessment
	var findings []registry.AssessedFinding
	if err := r.Scan(slices.Concat(others, n.dest(), []any{jsonColumn{&findings}})...); err != nil {
		return s, err
	}
	found, err := n.summary()
	if err != nil || found == nil {
		return s, err
	}
	found.Findings = findings
	return *found, nil
}

// DueAssessments implements registry.AssessmentStore.
func (s *Store) DueAssessments(ctx context.Context, limit int) ([]registry.DueAssessment, error) {
	scan := func(r row) (d registry.DueAssessment, err error) {
		var name, digest sql.NullString
		if err := r.Scan(&d.Version, &d.Stamp, &name, &digest); err != nil || !name.Valid {
			return d, err
		}
		d.Name = registry.Name(name.String)
		d.Digest, err = registry.ParseDigest(digest.String)
		return d, err
	}
	found, err := list(ctx, s.db.reader, scan, `
		SELECT d.version_id, d.stamp, r.name, v.digest FROM assessment_due d
		LEFT JOIN versions v ON v.id = d.version_id
		LEFT JOIN repositories r ON r.id = v.repository_id
		ORDER BY d.version_id LIMIT $1`, max(limit, 0))
	return found, fail("list versions to assess", err)
}

// assessmentsAtOnce is how many results one transaction stores.
const assessmentsAtOnce = 100

// SaveAssessments implements registry.AssessmentStore.
func (s *Store) SaveAssessments(ctx context.Context, done []registry.DoneAssessment) error {
	for some := range slices.Chunk(done, assessmentsAtOnce) {
		err := s.write(ctx, "store assessments", nil, func(tx *sql.Tx) error { return s.saveAssessments(ctx, tx, some) })
		if err != nil {
			return err
		}
	}
	return nil
}

// saveAssessments stores results with as many statements for a hundred as for
// one: after a change of the rules there are as many as versions.
func (s *Store) saveAssessments(ctx context.Context, tx *sql.Tx, done []registry.DoneAssessment) error {
	ids := make([]any, len(done))
	pairs := make([]any, 0, 2*len(done))
	for i, d := range done {
		ids[i] = d.Version
		pairs = append(pairs, d.Version, d.Stamp)
	}
	in := " IN (" + parameters(1, len(ids)) + ")"
	there, err := list(ctx, tx, scanOne[int64], "SELECT id FROM versions WHERE id"+in+" ORDER BY id"+s.db.engine.lock(lockKey), ids...)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "DELETE FROM assessment_due WHERE (version_id = "+strings.Join(placeholders(len(pairs), 2, " AND stamp = "), ") OR (version_id = ")+")", pairs...)
	if err != nil {
		return err
	}
	newest, err := newestAssessments(ctx, tx, in, ids)
	if err != nil {
		return err
	}
	var fresh, based []registry.DoneAssessment
	same := []any{}
	var checked time.Time
	for _, d := range done {
		if _, ok := slices.BinarySearch(there, d.Version); !ok || d.Summary == nil {
			continue
		}
		based = append(based, d)
		if before, ok := newest[d.Version]; ok && !d.Summary.Supersedes(&before.summary) {
			same, checked = append(same, before.id), d.Summary.CheckedAt
			continue
		}
		fresh = append(fresh, d)
	}
	if len(same) > 0 {
		_, err := tx.ExecContext(ctx, "UPDATE assessments SET checked_at = $1 WHERE id IN ("+parameters(2, len(same))+")", append([]any{micros(checked)}, same...)...)
		if err != nil {
			return err
		}
	}
	if err := insertAssessments(ctx, tx, fresh); err != nil {
		return err
	}
	return saveBases(ctx, tx, in, ids, based)
}

// placeholders returns the parameters $1 to $n in groups of some, which are
// joined by a word.
func placeholders(n, some int, word string) []string {
	var groups []string
	for i := 1; i <= n; i += some {
		var b strings.Builder
		for j := range some {
			if j > 0 {
				b.WriteString(word)
			}
			b.WriteString("$" + strconv.Itoa(i+j))
		}
		groups = append(groups, b.String())
	}
	return groups
}

type storedAssessment struct {
	id, version int64
	summary     registry.AssessmentSummary
}

// newestAssessments returns the newest result of each version.
func newestAssessments(ctx context.Context, tx *sql.Tx, in string, ids []any) (map[int64]storedAssessment, error) {
	found, err := list(ctx, tx, func(r row) (a storedAssessment, err error) {
		a.summary, err = scanAssessment(r, &a.id, &a.version)
		return a, err
	}, "SELECT a.id, a.version_id, "+assessmentColumns+", a.findings FROM assessments a WHERE a.id IN (SELECT MAX(x.id) FROM assessments x WHERE x.version_id"+in+" GROUP BY x.version_id)", ids...)
	newest := make(map[int64]storedAssessment, len(found))
	for _, a := range found {
		newest[a.version] = a
	}
	return newest, err
}

func insertAssessments(ctx context.Context, tx *sql.Tx, fresh []registry.DoneAssessment) error {
	if len(fresh) == 0 {
		return nil
	}
	const columns = 13
	rows := make([]any, 0, columns*len(fresh))
	ids := make([]any, len(fresh))
	for i, d := range fresh {
		x := d.Summary
		findings, err := jsonText(append([]registry.AssessedFinding{}, x.Findings...))
		if err != nil {
			return err
		}
		unknown := 0
		if x.Unknown {
			unknown = 1
		}
		rows = append(rows, d.Version, x.RuleSet, x.Input, plain(x.Expression), x.Terms, x.Claimed, x.Verified, x.Errors, x.Warnings, unknown, findings, micros(x.CreatedAt), micros(x.CheckedAt))
		ids[i] = d.Version
	}
	_, err := tx.ExecContext(ctx, `
		INSERT INTO assessments (version_id, rule_set, input, expression, terms, claimed, verified, errors, warnings, unknown, findings, created_at, checked_at)
		VALUES (`+strings.Join(placeholders(len(rows), columns, ", "), "), (")+")", rows...)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		DELETE FROM assessments WHERE version_id IN (`+parameters(2, len(ids))+`)
			AND id <= (SELECT x.id FROM assessments x WHERE x.version_id = assessments.version_id ORDER BY x.id DESC LIMIT 1 OFFSET $1)`,
		append([]any{maxKeptAssessments}, ids...)...)
	return err
}

// saveBases notes on which models assessments rest.
func saveBases(ctx context.Context, tx *sql.Tx, in string, ids []any, done []registry.DoneAssessment) error {
	type pair struct {
		version int64
		base    string
	}
	found, err := list(ctx, tx, func(r row) (p pair, err error) {
		err = r.Scan(&p.version, &p.base)
		return p, err
	}, "SELECT version_id, base FROM assessment_bases WHERE version_id"+in+" ORDER BY version_id, base", ids...)
	if err != nil {
		return err
	}
	before := make(map[int64][]string, len(done))
	for _, p := range found {
		before[p.version] = append(before[p.version], p.base)
	}
	for _, d := range done {
		if slices.Equal(before[d.Version], d.Bases) {
			continue
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM assessment_bases WHERE version_id = $1", d.Version); err != nil {
			return err
		}
		for _, b := range d.Bases {
			if _, err := tx.ExecContext(ctx, "INSERT INTO assessment_bases (base, version_id) VALUES ($1, $2)", b, d.Version); err != nil {
				return err
			}
		}
	}
	return nil
}

// MarkAssessments implements registry.AssessmentStore.
func (s *Store) MarkAssessments(ctx context.Context, ruleSet string, limit int) (int, error) {
	marked := 0
	err := s.write(ctx, "mark versions to assess", nil, func(tx *sql.Tx) error {
		n, err := change(ctx, tx, `
			INSERT INTO assessment_due (version_id, stamp)
			SELECT v.id, 1 FROM versions v
			WHERE v.facts IS NOT NULL
				AND COALESCE((SELECT a.rule_set FROM assessments a WHERE a.version_id = v.id ORDER BY a.id DESC LIMIT 1), '') <> $1
				AND NOT EXISTS (SELECT 1 FROM assessment_due d WHERE d.version_id = v.id)
			ORDER BY v.id LIMIT $2
			ON CONFLICT (version_id) DO NOTHING`, ruleSet, max(limit, 0))
		if err != nil {
			return err
		}
		ended, err := change(ctx, tx, `
			INSERT INTO assessment_due (version_id, stamp)
			SELECT DISTINCT v.id, 1 FROM waivers w
			JOIN repositories r ON r.name = w.repository
			JOIN versions v ON v.repository_id = r.id AND v.digest = w.digest
			WHERE w.expires_at <= $1
				AND (SELECT a.checked_at FROM assessments a WHERE a.version_id = v.id ORDER BY a.id DESC LIMIT 1) < w.expires_at
				AND NOT EXISTS (SELECT 1 FROM assessment_due d WHERE d.version_id = v.id)
			ORDER BY v.id LIMIT $2
			ON CONFLICT (version_id) DO NOTHING`, micros(s.now()), max(limit, 0))
		marked = int(n + ended)
		return err
	})
	return marked, err
}

// Assessments implements registry.AssessmentStore.
func (s *Store) Assessments(ctx context.Context, n registry.Name, d registry.Digest, limit int) ([]registry.AssessmentSummary, error) {
	found, err := list(ctx, s.db.reader, func(r row) (registry.AssessmentSummary, error) { return scanAssessment(r) }, "SELECT "+assessmentColumns+`, a.findings FROM assessments a
		JOIN versions v ON v.id = a.version_id JOIN repositories r ON r.id = v.repository_id
		WHERE r.name = $1 AND v.digest = $2 ORDER BY a.id DESC LIMIT $3`, string(n), d, max(limit, 0))
	return found, fail("read the assessments of "+d.String(), err)
}

// dueWhere makes versions v due that a condition selects, and asks for the job.
func (s *Store) dueWhere(ctx context.Context, tx *sql.Tx, from string, args ...any) error {
	n, err := change(ctx, tx, `
		INSERT INTO assessment_due (version_id, stamp) SELECT v.id, 1 FROM versions v `+from+` ORDER BY v.id
		ON CONFLICT (version_id) DO UPDATE SET stamp = assessment_due.stamp + 1`, args...)
	if err != nil || n == 0 || s.outbox == nil {
		return err
	}
	return s.outbox.EnqueueAssessments(ctx, tx)
}

// dependentsDue makes versions due that were made from a repository's model.
func (s *Store) dependentsDue(ctx context.Context, tx *sql.Tx, n registry.Name) error {
	return s.dueWhere(ctx, tx, "JOIN assessment_bases b ON b.version_id = v.id WHERE b.base = $1", registry.BaseDigest(n))
}

// versionDue makes a version due.
func (s *Store) versionDue(ctx context.Context, tx *sql.Tx, n registry.Name, d registry.Digest) error {
	return s.dueWhere(ctx, tx, "JOIN repositories r ON r.id = v.repository_id WHERE r.name = $1 AND v.digest = $2", string(n), d)
}
