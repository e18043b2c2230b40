package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/licenses/lineage"
	"github.com/carat-hub/carat/licenses/openness"
)

// AssessmentSummary is the result of an assessment as it is stored: as
// everybody may see it, and as it was at a time. What is decided by and what the
// page of a version shows is computed anew; see Assess.
type AssessmentSummary struct {
	RuleSet    string            `json:"ruleSet"`              // of the rules and the catalogue, see RuleSet
	Input      string            `json:"input"`                // SHA-256 of what the rules were given, in hexadecimal
	Expression string            `json:"expression,omitempty"` // the declared licence
	Terms      string            `json:"terms"`                // "open", "restricted" or "unclear", over the whole lineage
	Claimed    int               `json:"claimed"`              // level of openness
	Verified   int               `json:"verified"`             // level of openness by evidence
	Errors     int               `json:"errors"`               // findings that nobody waived
	Warnings   int               `json:"warnings"`
	Unknown    bool              `json:"unknown,omitempty"` // something that it was made from is not known
	Findings   []AssessedFinding `json:"findings,omitempty"`
	CreatedAt  time.Time         `json:"createdAt"` // since when it is so
	CheckedAt  time.Time         `json:"checkedAt"` // when it was last computed
}

// AssessedFinding is a finding of a stored assessment.
type AssessedFinding struct {
	ID       string           `json:"id"`
	Rule     string           `json:"rule"`
	Severity lineage.Severity `json:"severity"`
	Message  string           `json:"message"`
	Section  string           `json:"section,omitempty"` // of the clause
	Waived   bool             `json:"waived,omitempty"`
}

// Supersedes reports whether s says something else than the summary before
// it, which may be nil.
func (s *AssessmentSummary) Supersedes(before *AssessmentSummary) bool {
	if before == nil {
		return true
	}
	now, then := *s, *before
	for _, x := range []*AssessmentSummary{&now, &then} {
		x.Findings, x.CreatedAt, x.CheckedAt = nil, time.Time{}, time.Time{}
	}
	return !slices.Equal(s.Findings, before.Findings) || !reflect.DeepEqual(now, then)
}

// DueAssessment is a version that has to be assessed.
type DueAssessment struct {
	Version int64 // row
	Stamp   int64
	Name    Name
	Digest  Digest
}

// DoneAssessment is the result for one that was due. Summary is nil where
// there is none, because nothing is known of the files.
type DoneAssessment struct {
	DueAssessment
	Summary *AssessmentSummary
	Bases   []string // SHA-256 of the names of the models that it rests on
}

// AssessmentStore keeps the results of assessments. It notes by itself that a
// version is due when its facts change or those of what it was made from.
type AssessmentStore interface {
	// DueAssessments lists up to limit versions that are due.
	DueAssessments(ctx context.Context, limit int) ([]DueAssessment, error)
	// SaveAssessments stores results. What changed meanwhile stays due.
	SaveAssessments(ctx context.Context, list []DoneAssessment) error
	// MarkAssessments makes up to limit versions due that were assessed by other
	// rules or not at all, or before a waiver of theirs ended, and returns how many.
	MarkAssessments(ctx context.Context, ruleSet string, limit int) (int, error)
	// Assessments returns the results for a version, newest first.
	Assessments(ctx context.Context, n Name, d Digest, limit int) ([]AssessmentSummary, error)
}

// RuleSet names the rules and the catalogue by which this program assesses.
var RuleSet = sync.OnceValue(func() string {
	p, err := json.Marshal(licenses.All())
	if err != nil {
		panic(fmt.Sprintf("encode the catalogue: %v", err)) // strings and numbers only
	}
	sum := sha256.Sum256(p)
	return fmt.Sprintf("lineage-%d openness-%d licenses-%s", lineage.RuleSet, openness.RuleSet, hex.EncodeToString(sum[:6]))
})

// ruleSet names the rules, the catalogue and the texts that were confirmed here.
func (t *texts) ruleSet() string {
	if t == nil || t.mark == "" {
		return RuleSet()
	}
	return RuleSet() + " texts-" + t.mark
}

// Summarize computes what is stored of an assessment.
func (a *Ancestry) Summarize(now time.Time) *AssessmentSummary {
	s := a.Assess(now)
	r := &AssessmentSummary{
		RuleSet: a.texts.ruleSet(), Input: a.inputDigest(s.Openness.Input), Terms: string(s.Terms.Openness),
		Claimed: int(s.Openness.Claimed.Level), Verified: int(s.Openness.Verified.Level),
		Errors: s.Lineage.Errors(), Warnings: s.Lineage.Warnings(), Unknown: s.Lineage.Unknown, CreatedAt: now, CheckedAt: now,
	}
	if x := a.Graph.Works[a.Graph.Root].Expression; !x.IsZero() {
		r.Expression = x.String()
	}
	for _, f := range s.Lineage.Findings {
		x := AssessedFinding{ID: f.ID, Rule: f.Rule, Severity: f.Severity, Message: f.Message, Waived: f.Waived != nil}
		if f.Clause != nil {
			x.Section = f.Clause.Section
		}
		r.Findings = append(r.Findings, x)
	}
	return r
}

// inputDigest is that of all that the rules were given.
func (a *Ancestry) inputDigest(opennessInput string) string {
	h := sha256.New()
	enc := json.NewEncoder(h)
	write := func(v any) {
		if err := enc.Encode(v); err != nil {
			panic(fmt.Sprintf("encode a lineage: %v", err)) // strings and numbers only
		}
	}
	for _, w := range a.ordered() {
		write(w)
		write([]string{w.Notice, w.Card})
	}
	write(a.Waivers)
	write(opennessInput)
	return hex.EncodeToString(h.Sum(nil))
}

// bases are the SHA-256 of the names of the models that the assessment rests
// on, sorted.
func (a *Ancestry) bases() []string {
	var list []string
	for id, w := range a.Graph.Works {
		switch n, ok := BaseName(w.Name); {
		case id == a.Graph.Root || w.Dataset:
		case w.Hidden:
			// Its id is the digest of its name.
			if _, hex, ok := strings.Cut(strings.TrimPrefix(id, "hidden:"), ":"); ok {
				list = append(list, hex)
			}
		case ok:
			list = append(list, BaseDigest(n))
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// BaseDigest is how a model is named among the bases of stored assessments,
// so that the names of private ones do not stand there.
func BaseDigest(n Name) string { return DigestOf(SHA256, []byte(n)).Hex() }

// AssessDue assesses up to limit versions that are due and returns how many
// it looked at. Those that cannot be assessed stay due and hinder no other.
func (r *Registry) AssessDue(ctx context.Context, limit int) (int, error) {
	due, err := r.store.DueAssessments(ctx, limit)
	if err != nil || len(due) == 0 {
		return 0, err
	}
	done := make([]DoneAssessment, len(due))
	failed := make([]error, len(due))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(due)) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(due)); i = next.Add(1) - 1 {
				done[i], failed[i] = r.assessDue(ctx, due[i])
			}
		})
	}
	workers.Wait()
	var saved []DoneAssessment
	for i, d := range done {
		if failed[i] == nil {
			saved = append(saved, d)
		}
	}
	if err := errors.Join(append(failed, r.store.SaveAssessments(ctx, saved))...); err != nil {
		return 0, err
	}
	return len(due), nil
}

func (r *Registry) assessDue(ctx context.Context, due DueAssessment) (DoneAssessment, error) {
	done := DoneAssessment{DueAssessment: due}
	v, err := r.store.Version(ctx, due.Name, Reference{Digest: due.Digest})
	if IsCode(err, CodeManifestUnknown) {
		return done, nil
	}
	if err != nil {
		return done, err
	}
	if v.Facts == nil {
		return done, nil
	}
	a, err := r.Ancestry(ctx, auth.Principal{}, &v)
	if err != nil {
		return done, fmt.Errorf("assess %s@%s: %w", due.Name, due.Digest, err)
	}
	done.Summary, done.Bases = a.Summarize(r.now()), a.bases()
	return done, nil
}

// MarkAssessments makes up to limit versions due that this program's rules, or
// the time, may see otherwise, and returns how many.
func (r *Registry) MarkAssessments(ctx context.Context, limit int) (int, error) {
	t, err := r.texts(ctx)
	if err != nil {
		return 0, err
	}
	return r.store.MarkAssessments(ctx, t.ruleSet(), limit)
}

// maxAssessments is how many results are shown of one version.
const maxAssessments = 50

// Assessments returns the stored results for a version, newest first. Errors:
// CodeManifestUnknown.
func (r *Registry) Assessments(ctx context.Context, g auth.Grant, d Digest) ([]AssessmentSummary, error) {
	n, err := granted(g, auth.Pull)
	if err != nil {
		return nil, err
	}
	return r.store.Assessments(ctx, n, d, maxAssessments)
}
