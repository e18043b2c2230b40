package web

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

// badge is the state of a verification in a word.
type badge struct {
	State      string // for the style: passed, failed, unsupported, error, running, pending, none
	Word       string
	Sentence   string // what the word means
	Unfinished bool
}

// badges are the words of the states.
var badges = map[verify.State]badge{
	verify.StatePending:     {"pending", "Verification waiting", "The verification waits for a free worker.", true},
	verify.StateRunning:     {"running", "Being verified", "The model is being loaded and run.", true},
	verify.StatePassed:      {"passed", "Runs", "The hub loaded this version and ran it; no check failed.", false},
	verify.StateFailed:      {"failed", "Failed verification", "A check failed: this version is broken, or is not what it says.", false},
	verify.StateUnsupported: {"unsupported", "Not run", "What could be checked is fine, but this hub cannot run this version.", false},
	verify.StateError:       {"error", "Not verified", "The verifier could not do its work. That says nothing about the model.", false},
	verify.StateCancelled:   {"none", "Not verified", "The last tag of this version went away before it was verified. Tagged again, it is verified.", false},
}

func badgeOf(v *registry.VerificationSummary) badge {
	if v == nil {
		return badge{State: "none", Word: "Not verified", Sentence: "No verification of this version was asked for."}
	}
	if b, ok := badges[verify.State(v.State)]; ok {
		return b
	}
	return badge{State: "error", Word: "Not verified", Sentence: "The state of the verification is not known."}
}

// Limits of what the page of a verification shows.
const (
	maxHistory  = 20
	maxEvidence = 64 << 10 // bytes of one check's evidence
)

// verificationPage is the tab of a version's verifications.
type verificationPage struct {
	modelPage
	Current *verificationView // nil when there is none
	History []historyRow
}

type verificationView struct {
	Badge    badge
	Summary  string
	Failed   []checkRow // those that failed, first of all
	Skipped  []checkRow // those that could not be done, of an unsupported version
	Checks   []checkRow
	Counts   string // "5 passed, 1 failed"
	Files    int
	CheckSet int
	Verifier string
	Referrer registry.Digest
	Started  moment
	Took     string
}

type checkRow struct {
	Number             int // in the report, from one
	ID, Proves, Reason string
	File               string // the model that is meant, where a version holds several
	Outcome, Word      string
	Seconds            string
	Evidence           string // indented JSON
}

type historyRow struct {
	Badge   badge
	Summary string
	When    moment
}

func (h *Handler) verificationPage(c echo.Context) error {
	s, err := h.load(c)
	if err != nil {
		return err
	}
	n := registry.Name(s.grant.Repository())
	list, err := h.verifications.Verifications(c.Request().Context(), n, s.version.Digest, maxHistory)
	if err != nil && !registry.IsCode(err, registry.CodeManifestUnknown) {
		return err
	}
	p := verificationPage{modelPage: h.modelPage(c, s, tabVerification)}
	for i, v := range list {
		if i == 0 {
			p.Current = h.verificationView(v)
			p.Refresh = p.Pending || p.Current.Badge.Unfinished
			continue
		}
		row := historyRow{Badge: badgeOf(&registry.VerificationSummary{State: string(v.State)}), When: h.moment(v.UpdatedAt)}
		if v.Report != nil {
			row.Summary = v.Report.Summary
		}
		p.History = append(p.History, row)
	}
	return h.render(c, http.StatusOK, h.pages.verification, p)
}

func (h *Handler) verificationView(v verify.Verification) *verificationView {
	view := &verificationView{
		Badge: badgeOf(&registry.VerificationSummary{State: string(v.State)}), CheckSet: v.CheckSet,
		Referrer: v.Referrer, Started: h.moment(v.CreatedAt),
	}
	r := v.Report
	if r == nil {
		return view
	}
	view.Summary, view.Files = r.Summary, len(r.Files)
	if r.Current != "" {
		view.Summary = "Now: " + r.Current
	}
	view.Verifier = strings.TrimSpace(strings.Join([]string{r.Verifier.Name, r.Verifier.Version, r.Verifier.Platform}, " "))
	if !r.StartedAt.IsZero() {
		view.Started = h.moment(r.StartedAt)
		if r.FinishedAt.After(r.StartedAt) {
			view.Took = formatSeconds(r.FinishedAt.Sub(r.StartedAt).Seconds())
		}
	}
	counts := make(map[verify.Outcome]int)
	for i, x := range r.Results {
		row := checkRowOf(x)
		row.Number = i + 1
		counts[x.Outcome]++
		view.Checks = append(view.Checks, row)
		switch {
		case x.Outcome == verify.OutcomeFailed:
			view.Failed = append(view.Failed, row)
		case x.Outcome == verify.OutcomeSkipped && v.State == verify.StateUnsupported:
			view.Skipped = append(view.Skipped, row)
		}
	}
	var words []string
	for _, o := range []verify.Outcome{verify.OutcomePassed, verify.OutcomeWarned, verify.OutcomeFailed, verify.OutcomeSkipped} {
		if counts[o] > 0 {
			words = append(words, fmt.Sprintf("%d %s", counts[o], strings.ToLower(outcomeWord(o))))
		}
	}
	view.Counts = strings.Join(words, ", ")
	return view
}

func checkRowOf(x verify.Result) checkRow {
	row := checkRow{ID: x.ID, File: x.File, Proves: x.Proves, Reason: x.Reason, Outcome: string(x.Outcome), Word: outcomeWord(x.Outcome), Seconds: formatSeconds(x.Seconds)}
	if len(x.Evidence) > 0 {
		text, whole := clip(strings.ToValidUTF8(evidenceText(x.Evidence), "\ufffd"), maxEvidence)
		if !whole {
			text += "\n…"
		}
		row.Evidence = text
	}
	return row
}

func outcomeWord(o verify.Outcome) string {
	switch o {
	case verify.OutcomePassed:
		return "Passed"
	case verify.OutcomeWarned:
		return "Warning"
	case verify.OutcomeFailed:
		return "Failed"
	case verify.OutcomeSkipped:
		return "Skipped"
	}
	return "Unknown"
}

// formatSeconds writes a duration with the digits that matter.
func formatSeconds(s float64) string {
	switch {
	case !(s >= 0): // also NaN
		return ""
	case s < 0.0005:
		return "< 1 ms"
	case s < 1:
		return fmt.Sprintf("%.0f ms", s*1000)
	case s < 120:
		return fmt.Sprintf("%.1f s", s)
	}
	return fmt.Sprintf("%.0f min", s/60)
}
