package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/licenses/term"
	"github.com/carat-hub/carat/licenses/text"
	"github.com/carat-hub/carat/provenance"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/sandbox"
)

var today = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// hub is an in-memory Models and Verifications.
type hub struct {
	models        []fakeModel // newest first
	verifications map[registry.Digest][]verify.Verification
	gate          registry.Gate
	done          []audit.Event // the oldest first
	err           error         // of every call
	ended         []int64       // sessions; -1 for all
}

type fakeModel struct {
	name       registry.Name
	visibility auth.Visibility
	versions   []registry.Version // newest first
}

func (h *hub) find(n registry.Name) (fakeModel, bool) {
	for _, m := range h.models {
		if m.name == n {
			return m, true
		}
	}
	return fakeModel{}, false
}

func (h *hub) Visibility(_ context.Context, n registry.Name) (auth.Visibility, bool, error) {
	m, ok := h.find(n)
	return m.visibility, ok, h.err
}

func (h *hub) TermsView(_ context.Context, _ auth.Grant, v *registry.Version) (*registry.TermsView, error) {
	a := registry.NewAncestry(v)
	s := term.New(a.Graph)
	t := registry.TermsOf(a)
	return &registry.TermsView{
		Required: true, Statement: &s, Terms: t, Key: t.Key(), Digest: v.Digest,
		Gate: &registry.ConsentGate{Mode: registry.ConsentAuto, Prompt: "Who are you?", Fields: []registry.ConsentField{{Name: "Company <b>", Kind: registry.FieldText}, {Name: "Agreed", Kind: registry.FieldCheckbox}}},
	}, h.err
}

func (h *hub) Accept(context.Context, auth.Grant, *registry.Version, registry.Answers) (*registry.Acceptance, error) {
	return nil, h.err
}

func (h *hub) Sessions(_ context.Context, userID int64) ([]auth.Session, error) {
	return []auth.Session{
		{ID: 2, UserID: userID, Address: "192.0.2.7", Agent: "Browser/1.0 <b>", CreatedAt: today.Add(-time.Hour), SeenAt: today.Add(-time.Minute)},
		{ID: 1, UserID: userID, Address: "2001:db8::7", CreatedAt: today.Add(-49 * time.Hour), SeenAt: today.Add(-48 * time.Hour)},
		{ID: 0, UserID: userID, Address: "too old", CreatedAt: today.Add(-auth.SessionLife - 1), SeenAt: today},
	}, h.err
}

func (h *hub) DeleteSession(_ context.Context, _, id int64) error {
	h.ended = append(h.ended, id)
	return h.err
}

func (h *hub) DeleteRefreshTokens(context.Context, int64) error {
	h.ended = append(h.ended, -1)
	return h.err
}

func (h *hub) ReadLicense(_ context.Context, _ auth.Grant, v *registry.Version) (*registry.Reading, error) {
	if v.Facts.License.Text == "" {
		return nil, h.err
	}
	return registry.ReadText(v.Facts.License.Text, v.Facts.License.File)
}

func (h *hub) Assess(_ context.Context, _ auth.Principal, v *registry.Version) (*registry.Assessment, error) {
	return registry.NewAncestry(v).Assess(today), h.err
}

// Provenance has one piece of evidence of each kind and state for the first model.
func (h *hub) Provenance(_ context.Context, g auth.Grant, v *registry.Version) (*registry.Provenance, error) {
	if g.Repository() != "carat/tiny-llama" {
		return &registry.Provenance{Complete: true}, h.err
	}
	return &registry.Provenance{Root: digest("root").Hex(), Evidence: []registry.Evidence{
		{Kind: registry.ModelSignature, State: registry.EvidenceVerified, File: "model.sig", Signer: &provenance.Signer{KeyID: digest("key").String(), Certificate: "CN=<b>Carat</b>"}},
		{
			Kind: registry.SLSAProvenance, State: registry.EvidenceVerified, Digest: digest("slsa"), Signer: &provenance.Signer{KeyID: digest("key").String()},
			PredicateType: provenance.PredicateProvenance, BuildType: "https://ci.example.org/finetune/v1", Builder: "https://ci.example.org", Time: today,
			Dependencies: []provenance.Dependency{{Name: "acme/<i>base</i>", Relation: "finetune", SHA256: digest("base").Hex()}},
		},
		{
			Kind: registry.SLSAProvenance, State: registry.EvidenceVerified, Own: true, Digest: digest("import"), Signer: &provenance.Signer{KeyID: digest("own").String()},
			PredicateType: provenance.PredicateProvenance, BuildType: provenance.BuildImport, Builder: "https://hub.example.org",
			Dependencies: []provenance.Dependency{{Name: "acme/tiny", Relation: "copy", URI: "https://huggingface.co/acme/tiny", Declared: true}},
		},
		{
			Kind: registry.VerdictSummary, State: registry.EvidenceVerified, Own: true, Digest: digest("vsa"), Signer: &provenance.Signer{KeyID: digest("own").String()},
			Result: "PASSED", Levels: []string{"CHECKS_PASSED", "OPENNESS_L3"}, Builder: "https://hub.example.org", Time: today,
		},
		{Kind: registry.CosignSignature, State: registry.EvidenceUnverified, Reason: "it is not signed by a trusted key", Digest: digest("cosign")},
		{Kind: registry.NotationSignature, State: registry.EvidenceInvalid, Reason: "it is not about this version", Digest: digest("notation")},
	}}, h.err
}

func (h *hub) Assessments(ctx context.Context, g auth.Grant, d registry.Digest) ([]registry.AssessmentSummary, error) {
	v, err := h.Version(ctx, g, registry.Reference{Digest: d})
	if err != nil || v.Assessment == nil {
		return nil, err
	}
	before := *v.Assessment
	before.Errors, before.Terms, before.CreatedAt = 1, "unclear", today.AddDate(0, -1, 0)
	return []registry.AssessmentSummary{*v.Assessment, before}, nil
}

func (h *hub) Models(_ context.Context, p auth.Principal, q registry.ModelQuery) ([]registry.ModelSummary, int, error) {
	var list []registry.ModelSummary
	for _, m := range h.models {
		v := m.versions[0]
		f := v.Facts
		if f == nil {
			f = new(registry.Facts)
		}
		org, _, _ := m.name.Split()
		_, err := auth.Allow(p, auth.Pull, auth.Resource{Repository: string(m.name), Visibility: m.visibility})
		if err != nil || q.Org != "" && q.Org != org ||
			q.Architecture != "" && q.Architecture != f.Architecture || q.Format != "" && q.Format != f.Format ||
			q.License != "" && q.License != f.License.Declared || q.Openness > 0 && (v.Assessment == nil || v.Assessment.Verified < q.Openness) ||
			!strings.Contains(strings.ToLower(string(m.name)+" "+f.Card.Body), strings.ToLower(q.Text)) {
			continue
		}
		list = append(list, registry.ModelSummary{Name: m.name, Latest: v, UpdatedAt: v.CreatedAt})
	}
	total := len(list)
	list = list[min(q.Offset, total):]
	return list[:min(q.Limit, len(list))], total, h.err
}

func (h *hub) Version(_ context.Context, g auth.Grant, r registry.Reference) (registry.Version, error) {
	m, _ := h.find(registry.Name(g.Repository()))
	for _, v := range m.versions {
		if v.Digest == r.Digest || r.Tag != "" && slices.Contains(v.Tags, r.Tag) {
			return v, h.err
		}
	}
	return registry.Version{}, registry.Errorf(registry.CodeManifestUnknown, "no version %s", r)
}

func (h *hub) Versions(_ context.Context, g auth.Grant) ([]registry.Version, error) {
	m, _ := h.find(registry.Name(g.Repository()))
	return m.versions, h.err
}

func (h *hub) Admission(_ context.Context, g auth.Grant, d registry.Digest) (registry.Admission, error) {
	m, _ := h.find(registry.Name(g.Repository()))
	for _, v := range m.versions {
		if v.Digest == d && v.Verification != nil && v.Verification.State == registry.StatePassed {
			return registry.Admission{}, h.err
		}
	}
	return registry.Admission{Warned: h.gate == registry.GateWarn || h.gate == registry.GateBlock, Refused: h.gate == registry.GateBlock}, h.err
}

func (h *hub) Verifications(_ context.Context, _ registry.Name, d registry.Digest, limit int) ([]verify.Verification, error) {
	list := h.verifications[d]
	return list[:min(limit, len(list))], h.err
}

func (h *hub) Org(_ context.Context, name string) (auth.Org, error) {
	if name != "empty" && !slices.ContainsFunc(h.models, func(m fakeModel) bool { return auth.Organization(string(m.name)) == name }) {
		return auth.Org{}, auth.ErrUnknownScope
	}
	o := auth.Org{Name: name, CreatedAt: today}
	if name == "carat" {
		o.Description = "Models that are <small> enough for tests."
	}
	return o, h.err
}

func (h *hub) Members(_ context.Context, scope string) ([]auth.Member, error) {
	if scope != "carat" {
		return nil, h.err
	}
	return []auth.Member{{User: "carat+ci", Role: auth.Writer}, {User: "jane", Role: auth.Reader}, {User: "joan", Role: auth.Owner}}, h.err
}

func (h *hub) Teams(_ context.Context, org string) ([]auth.Team, error) {
	if org != "carat" {
		return nil, h.err
	}
	return []auth.Team{
		{Name: "nobody", Members: []string{}},
		{Name: "testers", Members: []string{"jane", "john"}, Roles: []auth.TeamRole{{Scope: "carat", Role: auth.Reader}, {Scope: "carat/tiny-llama", Role: auth.Maintainer}}},
	}, h.err
}

func digest(s string) registry.Digest { return registry.DigestOf(registry.SHA256, []byte(s)) }

const card = `# tiny-llama

A Llama-architecture language model with **2.9 million** parameters. It writes plausible nonsense; see the [licence](LICENSE),
the [configuration](config.json), [a missing file](nowhere.txt) and [the evaluation](#evaluation).

## Evaluation

| text | perplexity |
|:-----|-----------:|
| King James | 38.35 |
| Shakespeare | 41.20 |

- [x] trained
- [ ] useful

![a diagram](https://example.org/diagram.png) [![badge](https://example.org/b.svg)](https://example.org/ci)

> It exists to test software.

` + "```python\nprint(\"hello\")\n```\n"

// example is a hub with one model of every state.
func example() *hub {
	h := &hub{verifications: make(map[registry.Digest][]verify.Verification)}
	add := func(name string, visibility auth.Visibility, versions ...registry.Version) {
		for i := range versions {
			versions[i].Name = registry.Name(name)
			versions[i].Kind = registry.KindModelPack
			if versions[i].CreatedAt.IsZero() {
				versions[i].CreatedAt = today.Add(-time.Duration(len(h.models)*7+i+1) * time.Hour)
			}
		}
		h.models = append(h.models, fakeModel{registry.Name(name), visibility, versions})
	}
	summary := func(s verify.State) *registry.VerificationSummary {
		return &registry.VerificationSummary{State: string(s), CheckSet: 1, UpdatedAt: today}
	}
	files := []registry.File{
		{Path: "README.md", Digest: digest("readme"), Size: 1834, MediaType: registry.ModelPackDoc},
		{Path: "LICENSE", Digest: digest("license"), Size: 11358, MediaType: registry.ModelPackDoc},
		{Path: "config.json", Digest: digest("config"), Size: 642, MediaType: registry.ModelPackWeightConfig},
		{Path: "model.safetensors", Digest: digest("weights"), Size: 5_901_234, MediaType: registry.ModelPackWeight},
		{Path: "onnx/decoder.tar", Digest: digest("tar"), Size: 900_100, MediaType: "application/vnd.cncf.model.weight.v1.tar", Packed: true},
	}
	facts := func() *registry.Facts {
		return &registry.Facts{
			Format: "safetensors", Architecture: "llama", Parameters: 2_900_480, Quantization: "BF16", ContextLength: 512, VocabSize: 2048,
			HiddenSize: 256, Layers: 4, Tensors: 39, Tokenizer: "byte-level BPE", ChatTemplate: true,
			Card: registry.Card{
				Title: "tiny-llama", Summary: "A Llama-architecture language model with 2.9 million parameters.", Body: card,
				Languages: []string{"en"}, Library: "transformers", Pipeline: "text-generation", Tags: []string{"llama", "tiny"},
				LicenseID: "apache-2.0",
			},
			License: registry.License{Declared: "Apache-2.0", File: "LICENSE", Text: "Apache License\nVersion 2.0, January 2004\n"},
		}
	}
	assessed := func(level, errors int) *registry.AssessmentSummary {
		return &registry.AssessmentSummary{
			RuleSet: "lineage-1 openness-1 licenses-0123456789ab", Expression: "Apache-2.0", Terms: "open", Claimed: level, Verified: level, Errors: errors,
			CreatedAt: today.AddDate(0, 0, -1), CheckedAt: today,
		}
	}
	older := facts()
	older.Quantization, older.Format = "Q8_0", "gguf"
	add("carat/tiny-llama", auth.Public,
		registry.Version{Digest: digest("v2"), Tags: []registry.Tag{"latest", "v2"}, Size: 6_815_168, Files: files, Facts: facts(), Verification: summary(verify.StatePassed), Assessment: assessed(3, 0)},
		registry.Version{Digest: digest("v1"), Tags: []registry.Tag{"v1"}, Size: 3_100_000, Files: files[:4], Facts: older, Verification: summary(verify.StateFailed), Assessment: assessed(2, 2)},
		registry.Version{Digest: digest("v0"), Size: 3_100_000, Files: files[:4], Facts: older, CreatedAt: today.AddDate(0, -2, 0)},
	)
	add("lab/just-pushed", auth.Public,
		registry.Version{Digest: digest("fresh"), Tags: []registry.Tag{"main"}, Size: 18_204_000_000, Files: files[:4], Verification: summary(verify.StatePending)})
	llama := facts()
	llama.Card.Body, llama.Card.LicenseID, llama.License = "", "llama3.1", registry.License{Declared: "LicenseRef-scancode-llama-3.1-license-2024"}
	llama.Parameters = 8_030_261_248
	add("lab/running", auth.Public,
		registry.Version{Digest: digest("running"), Tags: []registry.Tag{"latest"}, Size: 16_060_000_000, Files: files, Facts: llama, Verification: summary(verify.StateRunning)})
	twisted := facts()
	twisted.License.File, twisted.License.Text = "LICENSE", twistedMIT()
	vision := facts()
	vision.Architecture, vision.Card.LicenseID, vision.License.Declared = "vision-mamba", "other", ""
	vision.Card.LicenseName, vision.License.Text = "house-terms", ""
	add("lab/unsupported", auth.Public,
		registry.Version{Digest: digest("unsupported"), Tags: []registry.Tag{"latest"}, Size: 900_000_000, Files: files, Facts: vision, Verification: summary(verify.StateUnsupported)})
	add("lab/twisted", auth.Public,
		registry.Version{Digest: digest("twisted"), Tags: []registry.Tag{"latest"}, Size: 1024, Files: files[:4], Facts: twisted})
	add("lab/unreadable", auth.Public,
		registry.Version{Digest: digest("unreadable"), Tags: []registry.Tag{"latest"}, Size: 1024, Files: files[:4], FactsError: "model.safetensors: header claims 3.2 GB, the file has 1024 bytes", Verification: summary(verify.StateError)})
	add("secret/model", auth.Private,
		registry.Version{Digest: digest("secret"), Tags: []registry.Tag{"latest"}, Size: 99, Files: files[:1], Facts: facts()})

	ran := func(state verify.State, sum string, results ...verify.Result) verify.Verification {
		return verify.Verification{
			ID: 1, CheckSet: 1, State: state, CreatedAt: today.Add(-time.Hour), UpdatedAt: today.Add(-50 * time.Minute), Referrer: digest("referrer"), KeyID: digest("key").String(),
			Report: &verify.Report{
				Version: 1, CheckSet: 1, State: state, Summary: sum, Results: results, Files: []verify.VerifiedFile{{Path: "model.safetensors"}},
				StartedAt: today.Add(-time.Hour), FinishedAt: today.Add(-time.Hour + 2300*time.Millisecond),
				Verifier: verify.Verifier{Name: "carat", Version: "0.1.0", Platform: "linux/amd64"},
				Sandbox:  &sandbox.Level{Layers: sandbox.Default, Landlock: 7},
			},
		}
	}
	check := func(id string, o verify.Outcome, proves, reason, evidence string) verify.Result {
		return verify.Result{ID: id, Outcome: o, Proves: proves, Reason: reason, Evidence: json.RawMessage(evidence), Seconds: 0.012}
	}
	structure := check("structure.tensors", verify.OutcomePassed, "Every tensor lies within its file and has the shape that the architecture asks for.", "", `{"tensors":39,"bytes":5801984}`)
	generate := check("run.generate", verify.OutcomePassed, "The model generates 16 tokens with finite logits.", "", `{"tokens":[12,873,44],"text":"And God said"}`)
	h.verifications[digest("v2")] = []verify.Verification{
		ran(verify.StatePassed, "6 checks passed.", structure, generate,
			check("run.perplexity", verify.OutcomeWarned, "The perplexity of a bundled text is that of a trained model.", "38.35 is high, as for a small model.", `{"perplexity":38.35}`),
			check("lineage.base", verify.OutcomePassed, "The weights are those of the declared base, quantized or trained further.", "", `{"bases":[{"name":"org/base","relation":"quantized","from":"card","verdict":"confirmed"}]}`)),
		ran(verify.StateError, "The worker was stopped."),
	}
	h.verifications[digest("v1")] = []verify.Verification{ran(verify.StateFailed, "1 check failed.", structure,
		check("tensors.finite", verify.OutcomeFailed, "No weight is NaN or infinite.", "model.layers.0.mlp.up_proj.weight has 3 NaN", `{"tensor":"model.layers.0.mlp.up_proj.weight","nan":3}`))}
	h.verifications[digest("unsupported")] = []verify.Verification{ran(verify.StateUnsupported, "The architecture vision-mamba cannot be run here.", structure,
		check("run.generate", verify.OutcomeSkipped, "The model generates 16 tokens with finite logits.", "architecture vision-mamba is not supported", ""))}
	running := ran(verify.StateRunning, "", structure)
	running.Referrer, running.KeyID, running.Report.FinishedAt = registry.Digest{}, "", time.Time{}
	h.verifications[digest("running")] = []verify.Verification{running}
	h.verifications[digest("fresh")] = []verify.Verification{{ID: 3, CheckSet: 1, State: verify.StatePending, CreatedAt: today}}
	h.verifications[digest("unreadable")] = []verify.Verification{ran(verify.StateError, "The sandbox could not be started.")}
	return h
}

// twistedMIT is a text that looks like that of MIT.
func twistedMIT() string {
	mit, ok := text.Standard("MIT")
	if !ok {
		panic("no text of MIT")
	}
	return strings.Replace(strings.Replace(mit, "without restriction", "within reason", 1), "The above copyright", "Use in <b>teapots</b> is forbidden. The above copyright", 1)
}

// site is a server with the pages of a hub.
type site struct {
	echo    *echo.Echo
	handler *Handler
	hub     *hub
}

// as is the header by which a test says who asks.
const as = "X-As"

func setup(t *testing.T, h *hub) *site {
	t.Helper()
	handler, err := New(Options{
		Models: h, Verifications: h, Audit: chain{h}, Directory: h, SignIns: h, Version: "0.1.0",
		Clock:   func() time.Time { return today },
		Session: func(echo.Context) int64 { return 2 },
		BaseURL: func(echo.Context) string { return "https://models.example.org" },
		Principal: func(c echo.Context) auth.Principal {
			switch c.Request().Header.Get(as) {
			case "admin":
				return auth.Principal{UserID: 1, Name: "admin", Admin: true}
			case "user":
				return auth.Principal{UserID: 2, Name: "user"}
			case "member":
				return auth.Principal{UserID: 3, Name: "jane", Roles: auth.Roles{"carat": auth.Reader, "empty": auth.Owner}}
			case "owner":
				return auth.Principal{UserID: 4, Name: "joan", Roles: auth.Roles{"carat": auth.Owner}}
			}
			return auth.Principal{}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	e := echo.New()
	handler.Register(e)
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		c.Response().Header().Set(echo.HeaderXRequestID, "request-1")
		if err := handler.ErrorPage(c, status(err), "a message"); err != nil {
			t.Errorf("error page: %v", err)
		}
	}
	return &site{e, handler, h}
}

// get requests a path; headers are pairs of name and value.
func (s *site) get(path string, headers ...string) *httptest.ResponseRecorder {
	return s.do(http.MethodGet, path, headers...)
}

func (s *site) do(method, path string, headers ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	s.echo.ServeHTTP(rec, req)
	return rec
}

// status is what the server answers with.
func status(err error) int {
	var fromEcho *echo.HTTPError
	switch {
	case registry.IsCode(err, registry.CodeNameUnknown), registry.IsCode(err, registry.CodeManifestUnknown):
		return http.StatusNotFound
	case errors.Is(err, auth.ErrUnauthenticated):
		return http.StatusUnauthorized
	case errors.Is(err, auth.ErrDenied):
		return http.StatusForbidden
	case errors.As(err, &fromEcho):
		return fromEcho.Code
	}
	return http.StatusInternalServerError
}
