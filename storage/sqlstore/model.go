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

// addVersion inserts the model record of a manifest unless it is there, with
// a pending verification and its job.
func (s *Store) addVersion(ctx context.Context, tx *sql.Tx, repository int64, w registry.ManifestWrite) error {
	v := w.Version
	files, err := jsonText(append([]registry.File{}, v.Files...))
	if err != nil {
		return err
	}
	facts, err := factsText(v.Facts)
	if err != nil {
		return err
	}
	created := v.CreatedAt
	if created.IsZero() {
		created = w.Manifest.CreatedAt
	}
	var id int64
	err = tx.QueryRowContext(ctx, `
		INSERT INTO versions (repository_id, digest, kind, size, files, facts, facts_error, created_at, pushed_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (repository_id, digest) DO NOTHING RETURNING id`,
		repository, w.Manifest.Digest, v.Kind, v.Size, files, facts, plain(v.FactsError), micros(created), plain(v.PushedBy)).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = s.addVerification(ctx, tx, id)
	return err
}

// factsText encodes facts for a JSON column, nil as NULL.
func factsText(f *registry.Facts) (any, error) {
	if f == nil {
		return nil, nil
	}
	p, err := registry.MarshalFacts(f)
	return string(p), err
}

// factsColumn scans what factsText returns.
type factsColumn struct{ facts **registry.Facts }

// Scan implements sql.Scanner.
func (c factsColumn) Scan(src any) (err error) {
	switch v := src.(type) {
	case []byte:
		*c.facts, err = registry.UnmarshalFacts(v)
	case string:
		*c.facts, err = registry.UnmarshalFacts([]byte(v))
	}
	return err
}

// refreshModel brings a repository's row in the list of models up to date
// with its newest version. It must run in every change to versions, their
// facts and their tags.
func (s *Store) refreshModel(ctx context.Context, tx *sql.Tx, repository int64) error {
	var (
		id      int64
		name    registry.Name
		digest  registry.Digest
		facts   *registry.Facts
		created time.Time
	)
	err := tx.QueryRowContext(ctx, `
		SELECT v.id, r.name, v.digest, v.facts, v.created_at
		FROM versions v JOIN repositories r ON r.id = v.repository_id
		WHERE v.repository_id = $1 ORDER BY v.created_at DESC, v.id DESC LIMIT 1`, repository).
		Scan(&id, &name, &digest, factsColumn{&facts}, timeColumn{&created})
	if errors.Is(err, sql.ErrNoRows) {
		if _, err := tx.ExecContext(ctx, "DELETE FROM models WHERE repository_id = $1", repository); err != nil {
			return err
		}
		return s.search.remove(ctx, tx, repository)
	}
	if err != nil {
		return err
	}
	if facts == nil {
		facts = new(registry.Facts)
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO models (repository_id, version_id, format, architecture, license, updated_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (repository_id) DO UPDATE SET version_id = excluded.version_id, format = excluded.format,
			architecture = excluded.architecture, license = excluded.license, updated_at = excluded.updated_at`,
		repository, id, plain(facts.Format), plain(facts.Architecture), plain(facts.License.Declared), micros(created))
	if err != nil {
		return err
	}
	tags, err := list(ctx, tx, scanOne[string], "SELECT name FROM tags WHERE repository_id = $1 AND digest = $2", repository, digest)
	if err != nil {
		return err
	}
	return s.search.put(ctx, tx, repository, indexWords(modelText(name, tags, facts)...))
}

// modelText returns all text that a model is found by, that of its labels too.
func modelText(n registry.Name, tags []string, f *registry.Facts) []string {
	c := f.Card
	text := []string{string(n), f.Architecture, f.Format, f.Quantization, c.Title, c.Summary, c.Library, c.Pipeline, c.LicenseID, c.LicenseName}
	for _, more := range [][]string{tags, c.Tags, c.Languages, c.BaseModels, c.Datasets} {
		text = append(text, more...)
	}
	return append(text, c.Body)
}

// versionColumns needs versions as v, repositories as r, and the newest
// verification as c and assessment as a.
const versionColumns = `v.id, r.name, v.digest, v.kind, v.size, v.files, v.facts, v.facts_error, v.created_at, v.pushed_by,
	c.state, c.check_set, c.summary, c.updated_at, c.referrer, ` + assessmentColumns

const versionJoins = `
	JOIN repositories r ON r.id = v.repository_id
	LEFT JOIN verifications c ON c.id = (SELECT MAX(x.id) FROM verifications x WHERE x.version_id = v.id)
	LEFT JOIN assessments a ON a.id = (SELECT MAX(y.id) FROM assessments y WHERE y.version_id = v.id)`

type versionRow struct {
	id      int64
	version registry.Version
}

func scanVersion(r row) (versionRow, error) {
	var (
		id       int64
		v        = registry.Version{Tags: []registry.Tag{}}
		state    sql.NullString
		checkSet sql.NullInt64
		summary  sql.NullString
		updated  time.Time
		referrer registry.Digest
	)
	var assessed nullAssessment
	err := r.Scan(append([]any{
		&id, &v.Name, &v.Digest, &v.Kind, &v.Size,
		jsonColumn{&v.Files},
		factsColumn{&v.Facts},
		&v.FactsError,
		timeColumn{&v.CreatedAt},
		&v.PushedBy,
		&state, &checkSet, &summary,
		timeColumn{&updated},
		&referrer,
	}, assessed.dest()...)...)
	if err != nil {
		return versionRow{}, err
	}
	if v.Assessment, err = assessed.summary(); err != nil {
		return versionRow{}, err
	}
	if state.Valid {
		v.Verification = &registry.VerificationSummary{
			State: state.String, CheckSet: int(checkSet.Int64), Summary: summary.String, UpdatedAt: updated, Referrer: referrer,
		}
	}
	return versionRow{id, v}, err
}

// versions runs a query for versionColumns and adds all tags with one more query.
func (s *Store) versions(ctx context.Context, query string, args ...any) ([]registry.Version, error) {
	rows, err := list(ctx, s.db.reader, scanVersion, query, args...)
	if err != nil {
		return nil, err
	}
	index := make(map[int64]*registry.Version, len(rows))
	all := make([]registry.Version, len(rows))
	for i, r := range rows {
		all[i] = r.version
		index[r.id] = &all[i]
	}
	type tagRow struct {
		id  int64
		tag registry.Tag
	}
	for chunk := range slices.Chunk(rows, maxParameters) {
		ids := make([]any, len(chunk))
		for i, r := range chunk {
			ids[i] = r.id
		}
		tags, err := list(ctx, s.db.reader, func(r row) (t tagRow, err error) {
			err = r.Scan(&t.id, &t.tag)
			return t, err
		}, `SELECT v.id, t.name FROM versions v JOIN tags t ON t.repository_id = v.repository_id AND t.digest = v.digest
			WHERE v.id IN (`+parameters(1, len(ids))+`) ORDER BY t.name`, ids...)
		if err != nil {
			return nil, err
		}
		for _, t := range tags {
			v := index[t.id]
			v.Tags = append(v.Tags, t.tag)
		}
	}
	return all, nil
}

// Version implements registry.ModelStore.
func (s *Store) Version(ctx context.Context, n registry.Name, r registry.Reference) (registry.Version, error) {
	query := "SELECT " + versionColumns + " FROM versions v" + versionJoins
	if r.Tag == "" {
		query += " WHERE r.name = $1 AND v.digest = $2"
	} else {
		query += " JOIN tags t ON t.repository_id = v.repository_id AND t.digest = v.digest WHERE r.name = $1 AND t.name = $2"
	}
	found, err := s.versions(ctx, query, n, r.String())
	if err == nil && len(found) == 0 {
		err = manifestUnknown(n, r.String())
	}
	if err != nil {
		return registry.Version{}, fail("read version "+r.String(), err)
	}
	return found[0], nil
}

// Locate implements registry.ModelStore.
func (s *Store) Locate(ctx context.Context, n registry.Name, which registry.Selector) (registry.Digest, error) {
	query := "SELECT v.digest FROM versions v JOIN repositories r ON r.id = v.repository_id"
	args := []any{n}
	var text string
	switch {
	case which.Prefix != "":
		// Digests are written in ASCII, of which "~" is the last that can be seen.
		text = string(registry.SHA256) + ":" + plain(which.Prefix)
		query += " WHERE r.name = $1 AND v.digest >= $2 AND v.digest < $3 ORDER BY v.digest LIMIT 2"
		args = append(args, text, text+"~")
	case which.Tag != "":
		text = string(which.Tag)
		query += " JOIN tags t ON t.repository_id = v.repository_id AND t.digest = v.digest WHERE r.name = $1 AND t.name = $2"
		args = append(args, text)
	case !which.Digest.IsZero():
		text = which.Digest.String()
		query += " WHERE r.name = $1 AND v.digest = $2"
		args = append(args, text)
	default:
		text = "main"
		query += ` WHERE r.name = $1 AND v.id = (
			SELECT x.id FROM versions x LEFT JOIN tags t ON t.repository_id = x.repository_id AND t.digest = x.digest AND t.name IN ('main', 'latest')
			WHERE x.repository_id = r.id
			ORDER BY CASE t.name WHEN 'main' THEN 0 WHEN 'latest' THEN 1 ELSE 2 END, x.created_at DESC, x.id DESC LIMIT 1)`
	}
	found, err := list(ctx, s.db.reader, scanOne[registry.Digest], query, args...)
	if err == nil && len(found) != 1 {
		err = manifestUnknown(n, text)
	}
	if err != nil {
		return registry.Digest{}, fail("locate a version of "+string(n), err)
	}
	return found[0], nil
}

// Versions implements registry.ModelStore. A repository that is not there has none.
func (s *Store) Versions(ctx context.Context, n registry.Name, limit int) ([]registry.Version, error) {
	found, err := s.versions(ctx, "SELECT "+versionColumns+" FROM versions v"+versionJoins+
		" WHERE r.name = $1 ORDER BY v.created_at DESC, v.id DESC LIMIT $2", n, max(limit, 0))
	return found, fail("list the versions of "+string(n), err)
}

// Models implements registry.ModelStore.
func (s *Store) Models(ctx context.Context, q registry.ModelQuery) ([]registry.ModelSummary, int, error) {
	const what = "list models"
	where, args := s.modelFilter(q)
	var total int
	err := s.db.reader.QueryRowContext(ctx, "SELECT COUNT(*) FROM models m JOIN repositories p ON p.id = m.repository_id"+where, args...).Scan(&total)
	if err != nil {
		return nil, 0, fail(what, err)
	}
	where, args = afterModel(q, where, args)
	order := modelOrder(q)
	n := len(args)
	args = append(args, max(q.Limit, 0), max(q.Offset, 0))
	found, err := s.versions(ctx, "SELECT "+versionColumns+`
		FROM (SELECT m.repository_id, m.version_id, m.updated_at FROM models m JOIN repositories p ON p.id = m.repository_id`+where+`
			ORDER BY `+order("m")+" LIMIT $"+strconv.Itoa(n+1)+" OFFSET $"+strconv.Itoa(n+2)+`) page
		JOIN versions v ON v.id = page.version_id`+versionJoins+`
		ORDER BY `+order("page"), args...)
	if err != nil {
		return nil, 0, fail(what, err)
	}
	models := make([]registry.ModelSummary, len(found))
	byName := make(map[registry.Name]*registry.ModelSummary, len(found))
	ids := make([]any, len(found))
	for i, v := range found {
		models[i] = registry.ModelSummary{Name: v.Name, Latest: v, UpdatedAt: v.CreatedAt}
		byName[v.Name], ids[i] = &models[i], v.Name
	}
	for chunk := range slices.Chunk(ids, maxParameters) {
		repositories, err := list(ctx, s.db.reader, scanRepository, "SELECT "+repositoryColumns+" FROM repositories WHERE name IN ("+parameters(1, len(chunk))+")", chunk...)
		if err != nil {
			return nil, 0, fail(what, err)
		}
		for _, r := range repositories {
			m := byName[r.Name]
			m.Visibility, m.CreatedAt = r.Visibility, r.CreatedAt
		}
	}
	return models, total, nil
}

// modelOrder returns what a list is ordered by, given the name of its table.
// Rows of repositories are numbered as they come to be.
func modelOrder(q registry.ModelQuery) func(table string) string {
	columns, direction := []string{"updated_at", "repository_id"}, " DESC"
	if q.Order == registry.OrderCreated {
		columns = columns[1:]
	}
	if q.Ascending {
		direction = ""
	}
	return func(table string) string {
		var order []string
		for _, c := range columns {
			order = append(order, table+"."+c+direction)
		}
		return strings.Join(order, ", ")
	}
}

// afterModel adds the condition that a model comes after the query's cursor.
// After a repository that is gone comes nothing that has its very time.
func afterModel(q registry.ModelQuery, where string, args []any) (string, []any) {
	if q.After.Name == "" {
		return where, args
	}
	sign := "<"
	if q.Ascending {
		sign = ">"
	}
	args = append(args, plain(string(q.After.Name)))
	term := "m.repository_id " + sign + " (SELECT x.id FROM repositories x WHERE x.name = $" + strconv.Itoa(len(args)) + ")"
	if q.Order != registry.OrderCreated {
		args = append(args, micros(q.After.UpdatedAt))
		at := "$" + strconv.Itoa(len(args))
		term = "(m.updated_at " + sign + " " + at + " OR m.updated_at = " + at + " AND " + term + ")"
	}
	if where == "" {
		return " WHERE " + term, args
	}
	return where + " AND " + term, args
}

// modelFilter returns the WHERE clause for a query, with models as m and
// repositories as p. It holds constant text only; all values are arguments.
func (s *Store) modelFilter(q registry.ModelQuery) (where string, args []any) {
	var terms []string
	add := func(term string, value any) {
		args = append(args, value)
		terms = append(terms, strings.ReplaceAll(term, "?", "$"+strconv.Itoa(len(args))))
	}
	var sight string
	sight, args = inSight(q.Sight, args)
	terms = append(terms, sight)
	if q.Org != "" { // its names are those between "org/" and "org0"
		add("p.name >= ?", plain(q.Org)+"/")
		add("p.name < ?", plain(q.Org)+"0")
	}
	if q.Architecture != "" {
		add("m.architecture = ?", plain(q.Architecture))
	}
	if q.Format != "" {
		add("m.format = ?", plain(q.Format))
	}
	if q.License != "" {
		add("m.license = ?", plain(q.License))
	}
	if q.Openness > 0 {
		add("(SELECT a.verified FROM assessments a WHERE a.version_id = m.version_id ORDER BY a.id DESC LIMIT 1) >= ?", q.Openness)
	}
	if words := queryWords(q.Text); len(words) > 0 {
		add(s.search.term(), s.search.match(words))
	}
	if len(terms) == 0 {
		return "", nil
	}
	return " WHERE " + strings.Join(terms, " AND "), args
}

// SaveFacts implements registry.ModelStore.
func (s *Store) SaveFacts(ctx context.Context, n registry.Name, d registry.Digest, facts *registry.Facts, problem string) error {
	encoded, err := factsText(facts)
	if err != nil {
		return fail("encode facts", err)
	}
	return s.write(ctx, "save the facts of "+d.String(), nil, func(tx *sql.Tx) error {
		repository, err := s.lockRepository(ctx, tx, n)
		if registry.IsCode(err, registry.CodeNameUnknown) {
			return manifestUnknown(n, d.String())
		}
		if err != nil {
			return err
		}
		count, err := change(ctx, tx, "UPDATE versions SET facts = $3, facts_error = $4, stale = 0 WHERE repository_id = $1 AND digest = $2",
			repository, d, encoded, plain(problem))
		if err != nil {
			return err
		}
		if count == 0 {
			return manifestUnknown(n, d.String())
		}
		if err := s.versionDue(ctx, tx, n, d); err != nil {
			return err
		}
		if err := s.dependentsDue(ctx, tx, n); err != nil {
			return err
		}
		return s.refreshModel(ctx, tx, repository)
	})
}

// versionID returns the row id of a version and locks the row. Errors: CodeManifestUnknown.
func versionID(ctx context.Context, q querier, n registry.Name, d registry.Digest, lock string) (int64, error) {
	var id int64
	err := q.QueryRowContext(ctx, `
		SELECT id FROM versions
		WHERE repository_id = (SELECT id FROM repositories WHERE name = $1) AND digest = $2`+lock, n, d).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, manifestUnknown(n, d.String())
	}
	return id, err
}
