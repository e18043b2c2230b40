package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/carat-hub/carat/registry"
)

// ErrNoHub is returned by the Hub's methods for a registry that is none.
var ErrNoHub = errors.New("the registry has no hub API")

// maxHubAnswer bounds an answer of the hub API, in bytes.
const maxHubAnswer = 32 << 20

// Hub is the hub API of a registry, /api/v1.
type Hub struct{ r *remote }

// Hub returns the API of the hub at host. Nothing is asked yet.
func (c *Client) Hub(host string) *Hub { return &Hub{r: c.remote(host)} }

// Version returns the model record of a version.
// Errors: ErrNoHub, registry.CodeManifestUnknown, registry.CodeNameUnknown, *ResponseError.
func (h *Hub) Version(ctx context.Context, n registry.Name, ref registry.Reference) (registry.Version, error) {
	var v registry.Version
	err := h.get(ctx, n, ref, "", nil, &v)
	if err == nil && v.Digest.IsZero() {
		err = ErrNoHub
	}
	if err != nil {
		return registry.Version{}, fmt.Errorf("fetch version %s of %s: %w", ref, n, err)
	}
	return v, nil
}

// States of a verification, as the hub writes them.
const (
	StatePending     = "pending"
	StateRunning     = "running"
	StatePassed      = "passed"
	StateFailed      = "failed"      // a check failed
	StateUnsupported = "unsupported" // what could be checked is fine, but the hub cannot run it
	StateError       = "error"       // the hub could not do its work
	StateCancelled   = "cancelled"   // the last tag of the version went away before
)

// Verification is a verification of a version as the hub tells it.
type Verification struct {
	Digest    registry.Digest `json:"digest"` // of the manifest
	CheckSet  int             `json:"checkSet"`
	State     string          `json:"state"`
	Report    *Report         `json:"report,omitempty"` // grows while it runs
	Referrer  registry.Digest `json:"referrer,omitzero"`
	KeyID     string          `json:"keyId,omitempty"` // of the key that signed the report
	UpdatedAt time.Time       `json:"updatedAt"`
}

// Done reports whether the state will not change by itself.
func (v *Verification) Done() bool { return v.State != StatePending && v.State != StateRunning }

// Report is what a verification found.
type Report struct {
	Summary string        `json:"summary"`
	Results []CheckResult `json:"results"`
}

// CheckResult is the outcome of one check.
type CheckResult struct {
	ID      string  `json:"id"`
	File    string  `json:"file,omitempty"` // the model that is meant, where a version holds several
	Proves  string  `json:"proves"`
	Outcome string  `json:"outcome"` // "passed", "warned", "failed", "skipped"
	Reason  string  `json:"reason,omitempty"`
	Seconds float64 `json:"seconds"`
}

// Verification returns the newest verification of a version.
// Errors: ErrNoHub, registry.CodeManifestUnknown when there is none, *ResponseError.
func (h *Hub) Verification(ctx context.Context, n registry.Name, ref registry.Reference) (*Verification, error) {
	var v Verification
	err := h.get(ctx, n, ref, "/verification", nil, &v)
	if err == nil && v.State == "" {
		err = ErrNoHub
	}
	if err != nil {
		return nil, fmt.Errorf("fetch verification of %s@%s: %w", n, ref, err)
	}
	return &v, nil
}

// Assessment returns in what way a version is open, as the one who asks may see it.
// Errors: ErrNoHub, registry.CodeManifestUnknown, registry.CodeNameUnknown, *ResponseError.
func (h *Hub) Assessment(ctx context.Context, n registry.Name, ref registry.Reference) (*registry.Assessment, error) {
	var a registry.Assessment
	err := h.get(ctx, n, ref, "/assessment", nil, &a)
	if err == nil && a.Openness.RuleSet == 0 {
		err = ErrNoHub
	}
	if err != nil {
		return nil, fmt.Errorf("fetch the assessment of %s: %w", displayVersion(n, ref), err)
	}
	return &a, nil
}

// Assessments returns the stored assessments of a version, newest first, as
// everybody may see it. Errors: those of Assessment.
func (h *Hub) Assessments(ctx context.Context, n registry.Name, ref registry.Reference) ([]registry.AssessmentSummary, error) {
	var a struct {
		Assessments []registry.AssessmentSummary `json:"assessments"`
	}
	if err := h.get(ctx, n, ref, "/assessments", nil, &a); err != nil {
		return nil, fmt.Errorf("fetch the assessments of %s: %w", displayVersion(n, ref), err)
	}
	return a.Assessments, nil
}

// Ask asks whether the terms of a version permit a use; question are the
// parameters of the hub API, and the answer is decoded into answer.
// Errors: those of Assessment.
func (h *Hub) Ask(ctx context.Context, n registry.Name, ref registry.Reference, question url.Values, answer any) error {
	if err := h.get(ctx, n, ref, "/ask", question, answer); err != nil {
		return fmt.Errorf("ask for the terms of %s: %w", displayVersion(n, ref), err)
	}
	return nil
}

func versionPath(n registry.Name, ref registry.Reference) string {
	return "/api/v1/models/" + string(n) + "/versions/" + ref.String()
}

// displayVersion writes a version for messages.
func displayVersion(n registry.Name, ref registry.Reference) string {
	if ref.Tag != "" {
		return string(n) + ":" + ref.String()
	}
	return string(n) + "@" + ref.String()
}

// DeclareSource has the hub sign that the user says from where a version
// comes. It returns the digest of the signed statement's manifest.
// Errors: ErrNoCredentials, *ResponseError.
func (h *Hub) DeclareSource(ctx context.Context, n registry.Name, d registry.Digest, uri, revision string) (registry.Digest, error) {
	body := map[string]map[string]string{"source": {"uri": uri}}
	if revision != "" {
		body["source"]["revision"] = revision
	}
	var answer struct {
		Referrer registry.Digest `json:"referrer"`
	}
	if err := h.change(ctx, http.MethodPost, "/api/v1/models/"+string(n)+"/versions/"+d.String()+"/provenance", body, &answer); err != nil {
		return registry.Digest{}, fmt.Errorf("declare the source of %s@%s: %w", n, d, err)
	}
	return answer.Referrer, nil
}

// Await polls the verification of a version until it is done and calls seen
// with each answer, the last one included. The waits grow from a fraction of
// every up to it. Errors: those of Verification, and the context's.
func (h *Hub) Await(ctx context.Context, n registry.Name, d registry.Digest, every time.Duration, seen func(*Verification)) (*Verification, error) {
	for delay := every / 32; ; delay = min(2*delay, every) {
		v, err := h.Verification(ctx, n, registry.Reference{Digest: d})
		if err != nil {
			return nil, err
		}
		seen(v)
		if v.Done() {
			return v, nil
		}
		if err := h.r.c.opts.Sleep(ctx, delay); err != nil {
			return nil, fmt.Errorf("wait for the verification of %s@%s: %w", n, d, err)
		}
	}
}

// Export is what the hub tells of a version in a format of others.
type Export struct {
	MediaType string
	Body      []byte
}

// Export fetches what the hub tells of a version in a format, such as
// "cyclonedx". Errors: ErrNoHub, registry.CodeManifestUnknown,
// registry.CodeNameUnknown, *ResponseError.
func (h *Hub) Export(ctx context.Context, n registry.Name, ref registry.Reference, format string) (Export, error) {
	var x Export
	path := versionPath(n, ref) + "/export/" + url.PathEscape(format)
	err := h.ask(h.r.scoped(ctx, n, "pull"), path, nil, "*/*", func(resp *http.Response, p []byte) error {
		x = Export{MediaType: resp.Header.Get("Content-Type"), Body: p}
		return nil
	})
	if err != nil {
		return Export{}, fmt.Errorf("export %s as %s: %w", displayVersion(n, ref), format, err)
	}
	return x, nil
}

func (h *Hub) get(ctx context.Context, n registry.Name, ref registry.Reference, suffix string, query url.Values, into any) error {
	return h.read(h.r.scoped(ctx, n, "pull"), versionPath(n, ref)+suffix, query, into)
}

// read gets what the hub has at a path. Errors: ErrNoHub, *ResponseError.
func (h *Hub) read(ctx context.Context, path string, query url.Values, into any) error {
	return h.ask(ctx, path, query, "application/json", func(_ *http.Response, p []byte) error {
		if err := json.Unmarshal(p, into); err != nil {
			return fmt.Errorf("%w: its answer is not of that form: %w", ErrNoHub, err)
		}
		return nil
	})
}

// ask gets an answer and hands it to take, trying again where that may help.
func (h *Hub) ask(ctx context.Context, path string, query url.Values, accept string, take func(*http.Response, []byte) error) error {
	u := h.r.base
	u.Path, u.RawQuery = path, query.Encode()
	for attempt := 1; ; attempt++ {
		err := h.fetch(ctx, &u, accept, take)
		if err == nil {
			return nil
		}
		var answer *ResponseError
		if errors.As(err, &answer) && !answer.json && !h.r.retryable(err) {
			return fmt.Errorf("%w (%w)", ErrNoHub, err)
		}
		if errors.Is(err, ErrNoHub) {
			return err
		}
		if err := h.r.backoff(ctx, nil, attempt, err); err != nil {
			return err
		}
	}
}

func (h *Hub) fetch(ctx context.Context, u *url.URL, accept string, take func(*http.Response, []byte) error) error {
	resp, err := h.r.send(ctx, request{method: http.MethodGet, url: u, header: http.Header{"Accept": {accept}}}, http.StatusOK)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := readLimited(resp.Body, maxHubAnswer)
	if err != nil {
		return err
	}
	return take(resp, body)
}
