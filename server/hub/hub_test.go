package hub_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/auth/authtest"
	"github.com/carat-hub/carat/licenses/lineage"
	"github.com/carat-hub/carat/licenses/term"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/registry/export"
	"github.com/carat-hub/carat/server"
	"github.com/carat-hub/carat/server/hub"
	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/attestation"
)

var (
	digest = registry.MustParseDigest("sha256:" + strings.Repeat("ab", 32))
	epoch  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	admin  = auth.Principal{UserID: 1, Name: "admin", Admin: true}
	user   = auth.Principal{UserID: 2, Name: "user"}
)

// store is a registry of two models with one version each, in memory.
type store struct {
	mu         sync.Mutex
	visibility map[registry.Name]auth.Visibility
	requested  []registry.Name
	imported   []string            // user, source and revision
	query      registry.ModelQuery // the last one
	asked      auth.Principal      // who asked it
	rotated    int                 // how often the key was replaced
	foreign    error               // what replacing it fails with
	gates      map[registry.Name]registry.Gate
}

func (s *store) Visibility(_ context.Context, n registry.Name) (auth.Visibility, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := s.visibility[n]; ok {
		return v, true, nil
	}
	return auth.Public, false, nil
}

func (s *store) SetVisibility(_ context.Context, g auth.Grant, v auth.Visibility) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := registry.Name(g.Repository())
	if !g.Permits(auth.Maintain) {
		return auth.ErrDenied
	}
	if _, ok := s.visibility[n]; !ok {
		return registry.Errorf(registry.CodeNameUnknown, "unknown")
	}
	s.visibility[n] = v
	return nil
}

func (s *store) Models(_ context.Context, p auth.Principal, q registry.ModelQuery) ([]registry.ModelSummary, int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.query, s.asked = q, p
	if q.Text == "nothing" {
		return nil, 0, nil
	}
	return []registry.ModelSummary{{Name: "open/model", Latest: version("open/model"), UpdatedAt: epoch}}, 1, nil
}

func (s *store) Version(_ context.Context, g auth.Grant, ref registry.Reference) (registry.Version, error) {
	n := registry.Name(g.Repository())
	_, ok := s.visibility[n]
	if !g.Permits(auth.Pull) || !ok || n == "open/empty" || ref.Tag != "v1" && ref.Digest != digest {
		return registry.Version{}, registry.Errorf(registry.CodeManifestUnknown, "unknown")
	}
	return version(n), nil
}

func (s *store) Versions(_ context.Context, g auth.Grant) ([]registry.Version, error) {
	if !g.Permits(auth.Pull) {
		return nil, auth.ErrDenied
	}
	if g.Repository() == "open/empty" {
		return nil, nil
	}
	return []registry.Version{version(registry.Name(g.Repository()))}, nil
}

func (s *store) Verification(_ context.Context, n registry.Name, d registry.Digest) (verify.Verification, error) {
	if n == "open/new" {
		return verify.Verification{}, registry.Errorf(registry.CodeManifestUnknown, "no verification")
	}
	return verify.Verification{ID: 7, Name: n, Digest: d, CheckSet: 1, State: verify.StatePassed, CreatedAt: epoch, UpdatedAt: epoch}, nil
}

func (s *store) RequestVerification(_ context.Context, n registry.Name, d registry.Digest) (verify.Verification, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requested = append(s.requested, n)
	return verify.Verification{ID: 8, Name: n, Digest: d, CheckSet: 1, State: verify.StatePending, CreatedAt: epoch, UpdatedAt: epoch}, nil
}

func (s *store) Assessments(context.Context, auth.Grant, registry.Digest) ([]registry.AssessmentSummary, error) {
	return []registry.AssessmentSummary{{RuleSet: "one", Terms: "open", Claimed: 3, Verified: 2, CreatedAt: epoch, CheckedAt: epoch}}, nil
}

func (s *store) OrgLineageGate(context.Context, registry.Name) (registry.Gate, bool, error) {
	return registry.GateWarn, false, nil
}

func (s *store) SetOrgLineageGate(context.Context, auth.Principal, registry.Name, registry.Gate) error {
	return nil
}

func (s *store) Waive(context.Context, auth.Principal, *registry.Version, string, string, time.Time) (*lineage.Waiver, error) {
	return nil, nil
}

func (s *store) Unwaive(context.Context, auth.Principal, *registry.Version, string) error { return nil }

func (s *store) Assess(_ context.Context, _ auth.Principal, v *registry.Version) (*registry.Assessment, error) {
	return registry.NewAncestry(v).Assess(epoch), nil
}

func (s *store) Ancestry(_ context.Context, _ auth.Principal, v *registry.Version) (*registry.Ancestry, error) {
	return registry.NewAncestry(v), nil
}

func (s *store) Ask(_ context.Context, _ auth.Principal, v *registry.Version, q term.Question) (*term.Answer, error) {
	return new(term.Ask(registry.NewAncestry(v).Graph, q)), nil
}

func (s *store) Provenance(_ context.Context, g auth.Grant, v *registry.Version) (*registry.Provenance, error) {
	if !g.Permits(auth.Pull) {
		return nil, auth.ErrDenied
	}
	return &registry.Provenance{Root: v.Root(), Evidence: []registry.Evidence{
		{Kind: registry.CosignSignature, State: registry.EvidenceUnverified, Reason: "it is not signed by a trusted key", Digest: digest},
	}, Complete: true}, nil
}

func (s *store) Import(_ context.Context, _ *registry.Version, by string, u verify.Upstream) (registry.Digest, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.imported = append(s.imported, by+" "+u.URI+" "+u.Revision)
	return digest, nil
}

func version(n registry.Name) registry.Version {
	return registry.Version{
		Name: n, Digest: digest, Tags: []registry.Tag{"v1"}, Kind: registry.KindModelPack, Size: 3, CreatedAt: epoch,
		Files: []registry.File{{Path: "a", Digest: digest, Size: 3, MediaType: registry.ModelPackWeight}},
		Facts: factsOf(n),
	}
}

// factsOf are those of the one model that has some.
func factsOf(n registry.Name) *registry.Facts {
	if n != "open/llama" {
		return nil
	}
	return &registry.Facts{
		Card:    registry.Card{LicenseID: "apache-2.0"},
		License: registry.License{Declared: "LicenseRef-scancode-llama-3.1-license-2024"},
	}
}

func (s *store) Verifications(_ context.Context, n registry.Name, d registry.Digest, limit int) ([]verify.Verification, error) {
	if n == "open/new" {
		return nil, nil
	}
	return []verify.Verification{
		{ID: 8, Name: n, Digest: d, CheckSet: 1, State: verify.StatePending, CreatedAt: epoch, UpdatedAt: epoch},
		{ID: 7, Name: n, Digest: d, CheckSet: 1, State: verify.StatePassed, Referrer: d, KeyID: "sha256:key", CreatedAt: epoch, UpdatedAt: epoch, Report: &verify.Report{
			Version: 1, CheckSet: 1, Level: verify.LevelStandard, State: verify.StatePassed, Summary: "fine", StartedAt: epoch, FinishedAt: epoch,
			Results: []verify.Result{{ID: "structure.headers"}}, Files: []verify.VerifiedFile{{Path: "a", Digest: d}},
		}},
	}[:min(limit, 2)], nil
}

// Keys and Rotate are those of a hub with one key.
func (s *store) Keys(context.Context) ([]attestation.Key, error) {
	return []attestation.Key{testKey}, nil
}

func (s *store) Rotate(context.Context) (attestation.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rotated++
	return testKey, s.foreign
}

func (s *store) OrgGate(_ context.Context, org registry.Name) (registry.Gate, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if org == "UPPER" {
		return "", false, registry.Errorf(registry.CodeNameInvalid, "no name")
	}
	g, own := s.gates[org]
	if !own {
		g = registry.GateWarn
	}
	return g, own, nil
}

func (s *store) SetOrgGate(_ context.Context, p auth.Principal, org registry.Name, g registry.Gate) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !p.Admin {
		return auth.ErrDenied
	}
	if s.gates = map[registry.Name]registry.Gate{org: g}; g == "" {
		s.gates = nil
	}
	return nil
}

var testKey = attestation.NewKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey))

type bundle struct {
	*store
	t       *testing.T
	handler http.Handler
	signer  *auth.Signer
}

// users are an administrator and somebody else, whose passwords are their names.
type users map[string]auth.User

func (u users) User(_ context.Context, name string) (auth.User, error) {
	if found, ok := u[name]; ok {
		return found, nil
	}
	return auth.User{}, auth.ErrUnknownUser
}

var someUsers = sync.OnceValue(func() users {
	list := users{}
	for _, p := range []auth.Principal{admin, user} {
		hash, err := auth.HashPassword(context.Background(), p.Name)
		if err != nil {
			panic(err)
		}
		list[p.Name] = auth.User{ID: p.UserID, Name: p.Name, PasswordHash: hash, Admin: p.Admin}
	}
	return list
})

// basic returns an Authorization header with a user's password.
func basic(p auth.Principal) string {
	if p.Anonymous() {
		return ""
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(p.Name+":"+p.Name))
}

func setup(t *testing.T) *bundle {
	t.Helper()
	signer, tokenKeys := authtest.Signer(t, make([]byte, auth.SeedLen))
	s := &store{visibility: map[registry.Name]auth.Visibility{
		"open/model": auth.Public, "open/new": auth.Public, "open/empty": auth.Public, "closed/model": auth.Private,
		"open/llama": auth.Public,
	}}
	h, err := server.New(server.Options{
		Users: someUsers(), Signer: signer, Repositories: s, Logger: slog.New(slog.DiscardHandler),
		Routes: []server.Routes{hub.New(hub.Options{Models: s, Verifications: s, Keys: s, TokenKeys: tokenKeys, Gates: s, Assessments: s, Lineages: s, Origins: s, Imports: s, Access: server.NewAccess(s)})},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &bundle{store: s, t: t, handler: h, signer: signer}
}

// as returns an Authorization header for a principal, all on one repository.
func (b *bundle) as(p auth.Principal, repository string) string {
	b.t.Helper()
	tok, err := b.signer.Sign(p, []auth.Scope{{Type: auth.TypeRepository, Name: repository, Actions: []string{"pull", "push", "delete"}}}, time.Minute)
	if err != nil {
		b.t.Fatal(err)
	}
	return "Bearer " + tok.Text
}

func (b *bundle) send(method, path, body string, header ...string) *httptest.ResponseRecorder {
	b.t.Helper()
	var r io.Reader = http.NoBody
	if body != "" {
		r = strings.NewReader(body)
	}
	if !strings.HasPrefix(path, "/api/") {
		path = "/api/v1/models" + path
	}
	req := httptest.NewRequestWithContext(b.t.Context(), method, path, r)
	for i := 0; i < len(header); i += 2 {
		if header[i+1] != "" {
			req.Header.Set(header[i], header[i+1])
		}
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, req)
	document().check(b.t, method, path, w)
	return w
}

func code(w *httptest.ResponseRecorder) string {
	var list struct {
		Errors []struct{ Code string }
	}
	if json.Unmarshal(w.Body.Bytes(), &list) != nil || len(list.Errors) == 0 {
		return ""
	}
	return list.Errors[0].Code
}

func TestAssessment(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var a registry.Assessment
	if err := json.Unmarshal(b.send("GET", "/open/llama/versions/v1/assessment", "").Body.Bytes(), &a); err != nil {
		t.Fatal(err)
	}
	if a.Terms.Openness != "restricted" || len(a.Terms.MustNot) == 0 || len(a.Works) != 1 || a.Lineage.Findings == nil {
		t.Errorf("%+v", a)
	}
	var answer term.Answer
	if err := json.Unmarshal(b.send("GET", "/open/llama/versions/v1/ask?commercial=true&monthlyUsers=1e9", "").Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	if answer.Verdict != term.No || len(answer.Because) == 0 || answer.Because[0].Section != "2" {
		t.Errorf("%+v", answer)
	}
}

func TestExport(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, k := range export.Kinds() {
		res := b.send("GET", "/open/llama/versions/v1/export/"+string(k.Format), "")
		if res.Code != http.StatusOK || res.Body.Len() == 0 {
			t.Fatalf("%s: status %d: %s", k.Format, res.Code, res.Body)
		}
		if got := res.Header().Get("Content-Type"); got != k.MediaType {
			t.Errorf("%s: content type %q, want %q", k.Format, got, k.MediaType)
		}
		if got := res.Header().Get("Content-Disposition"); !strings.HasPrefix(got, "attachment; filename=open-llama-") || !strings.HasSuffix(got, k.Suffix) {
			t.Errorf("%s: disposition %q", k.Format, got)
		}
		if res.Header().Get("ETag") == "" {
			t.Errorf("%s: no entity tag", k.Format)
		}
	}
}

func TestProvenance(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var p registry.Provenance
	if err := json.Unmarshal(b.send("GET", "/open/model/versions/v1/provenance", "").Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	if len(p.Evidence) != 1 || p.Evidence[0].State != registry.EvidenceUnverified || len(p.Root) != 64 || !p.Complete {
		t.Errorf("%+v", p)
	}
	post := func(path, body string, who auth.Principal) *httptest.ResponseRecorder {
		header := []string{"Content-Type", "application/json"}
		if !who.Anonymous() {
			header = append(header, "Authorization", b.as(who, "open/model"))
		}
		return b.send("POST", path, body, header...)
	}
	for name, tt := range map[string]struct {
		path, body string
		who        auth.Principal
		status     int
	}{
		"good":        {"/open/model/versions/v1/provenance", `{"source":{"uri":"https://huggingface.co/acme/m","revision":"main"}}`, admin, 201},
		"nobody":      {"/open/model/versions/v1/provenance", `{"source":{"uri":"https://huggingface.co/acme/m"}}`, auth.Principal{}, 401},
		"other user":  {"/open/model/versions/v1/provenance", `{"source":{"uri":"https://huggingface.co/acme/m"}}`, user, 401},
		"no version":  {"/open/model/versions/v2/provenance", `{"source":{"uri":"https://huggingface.co/acme/m"}}`, admin, 404},
		"script":      {"/open/model/versions/v1/provenance", `{"source":{"uri":"javascript:alert(1)"}}`, admin, 400},
		"credentials": {"/open/model/versions/v1/provenance", `{"source":{"uri":"https://a:b@example.org/m"}}`, admin, 400},
		"revision":    {"/open/model/versions/v1/provenance", `{"source":{"uri":"https://example.org/m","revision":"a b"}}`, admin, 400},
		"unknown":     {"/open/model/versions/v1/provenance", `{"origin":{}}`, admin, 400},
	} {
		if w := post(tt.path, tt.body, tt.who); w.Code != tt.status {
			t.Errorf("%s: status %d, want %d: %s", name, w.Code, tt.status, w.Body)
		}
	}
	if diff := cmp.Diff([]string{"admin https://huggingface.co/acme/m main"}, b.store.imported); diff != "" {
		t.Errorf("imported (-want +got):\n%s", diff)
	}
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	d := digest.String()
	missing := "sha256:" + strings.Repeat("0", 64)
	for _, tc := range []struct {
		method, path string
		who          auth.Principal // with a token for the repository when not anonymous
		repository   string
		status       int
		code         string
	}{
		{"GET", "", auth.Principal{}, "", 200, ""},
		{"GET", "/open/model", auth.Principal{}, "", 200, ""},
		{"GET", "/open/empty", auth.Principal{}, "", 200, ""},
		{"GET", "/open/model/versions/v1", auth.Principal{}, "", 200, ""},
		{"GET", "/open/model/versions/" + d, auth.Principal{}, "", 200, ""},
		{"GET", "/open/model/versions/" + strings.Replace(d, ":", "%3A", 1), auth.Principal{}, "", 200, ""},
		{"GET", "/open/model/versions/" + missing, auth.Principal{}, "", 404, "MANIFEST_UNKNOWN"},
		{"GET", "/open/model/versions/v2", auth.Principal{}, "", 404, "MANIFEST_UNKNOWN"},
		{"GET", "/open/model/versions/-v", auth.Principal{}, "", 400, "TAG_INVALID"},
		{"GET", "/open/model/versions/md5:ab", auth.Principal{}, "", 400, "DIGEST_INVALID"},
		{"GET", "/open/model/versions/v1/verification", auth.Principal{}, "", 200, ""},
		{"GET", "/open/new/versions/v1/verification", auth.Principal{}, "", 404, "MANIFEST_UNKNOWN"},
		{"GET", "/open/model/versions/v1/verifications", auth.Principal{}, "", 200, ""},
		{"GET", "/open/model/versions/v2/verifications", auth.Principal{}, "", 404, "MANIFEST_UNKNOWN"},
		{"GET", "/closed/model/versions/v1/verifications", auth.Principal{}, "", 401, "UNAUTHORIZED"},
		{"GET", "/open/model/versions/v1/assessment", auth.Principal{}, "", 200, ""},
		{"GET", "/open/model/versions/v2/assessment", auth.Principal{}, "", 404, "MANIFEST_UNKNOWN"},
		{"GET", "/closed/model/versions/v1/assessment", auth.Principal{}, "", 401, "UNAUTHORIZED"},
		{"GET", "/open/llama/versions/v1/export/spdx", auth.Principal{}, "", 200, ""},
		{"GET", "/open/llama/versions/v1/export/word", auth.Principal{}, "", 404, "NOT_FOUND"},
		{"GET", "/open/model/versions/v1/export/spdx", auth.Principal{}, "", 503, "UNAVAILABLE"}, // not inspected yet
		{"GET", "/open/model/versions/v2/export/spdx", auth.Principal{}, "", 404, "MANIFEST_UNKNOWN"},
		{"GET", "/closed/model/versions/v1/export/spdx", auth.Principal{}, "", 401, "UNAUTHORIZED"},
		{"GET", "/open/model/versions/v1/ask?commercial=true&monthlyUsers=5e6&country=fr", auth.Principal{}, "", 200, ""},
		{"GET", "/open/model/versions/v1/ask?commercial=perhaps", auth.Principal{}, "", 400, "REQUEST_INVALID"},
		{"GET", "/open/model/versions/v1/ask?monthlyUsers=-1", auth.Principal{}, "", 400, "REQUEST_INVALID"},
		{"GET", "/closed/model/versions/v1/ask", auth.Principal{}, "", 401, "UNAUTHORIZED"},
		{"GET", "/api/v1/licenses", auth.Principal{}, "", 200, ""},
		{"GET", "/api/v1/licenses/llama3.1", auth.Principal{}, "", 200, ""},
		{"GET", "/api/v1/licenses/nothing", auth.Principal{}, "", 404, "NOT_FOUND"},
		{"GET", "/api/v1/orgs/open/verification-gate", auth.Principal{}, "", 200, ""},
		{"GET", "/api/v1/orgs/UPPER/verification-gate", auth.Principal{}, "", 400, "NAME_INVALID"},
		{"PUT", "/api/v1/orgs/open/verification-gate", auth.Principal{}, "", 401, "UNAUTHORIZED"},
		{"PUT", "/api/v1/orgs/open/verification-gate", admin, "open/model", 403, "DENIED"},
		{"PATCH", "/open/model", admin, "open/model", 403, "DENIED"},
		{"GET", "/api/v1/keys", auth.Principal{}, "", 200, ""},
		{"POST", "/open/model/versions/v1/verification", auth.Principal{}, "", 401, "UNAUTHORIZED"},
		{"POST", "/open/model/versions/v1/verification", user, "open/model", 401, "UNAUTHORIZED"},
		{"POST", "/open/model/versions/v1/verification", admin, "open/model", 202, ""},
		{"POST", "/open/model/versions/v2/verification", admin, "open/model", 404, "MANIFEST_UNKNOWN"},
		{"POST", "/closed/model/versions/v1/verification", admin, "open/model", 401, "UNAUTHORIZED"},

		// Private and missing look the same to who may not see the first.
		{"GET", "/closed/model", auth.Principal{}, "", 401, "UNAUTHORIZED"},
		{"GET", "/no/model", auth.Principal{}, "", 401, "UNAUTHORIZED"},
		{"GET", "/closed/model/versions/v1", user, "closed/model", 401, "UNAUTHORIZED"},
		{"GET", "/no/model/versions/v1", user, "no/model", 401, "UNAUTHORIZED"},
		{"GET", "/closed/model/versions/v1/verification", auth.Principal{}, "", 401, "UNAUTHORIZED"},
		{"GET", "/closed/model", admin, "closed/model", 200, ""},
		{"GET", "/closed/model/versions/v1", admin, "closed/model", 200, ""},
		{"GET", "/no/model", admin, "no/model", 404, "NAME_UNKNOWN"},

		{"GET", "/UPPER/model", auth.Principal{}, "", 400, "NAME_INVALID"},
		{"GET", "/open/model/versions", auth.Principal{}, "", 404, "NOT_FOUND"},
		{"GET", "/open", auth.Principal{}, "", 404, "NOT_FOUND"},
		{"GET", "/a/b/c", auth.Principal{}, "", 404, "NOT_FOUND"},
		{"DELETE", "/open/model", admin, "open/model", 405, "UNSUPPORTED"},
	} {
		authorization := ""
		if !tc.who.Anonymous() {
			authorization = b.as(tc.who, tc.repository)
		}
		w := b.send(tc.method, tc.path, "", "Authorization", authorization)
		if w.Code != tc.status || code(w) != tc.code {
			t.Errorf("%s %s as %q: %d %s", tc.method, tc.path, tc.who.Name, w.Code, w.Body)
		}
		if challenge := w.Header().Get("WWW-Authenticate"); (tc.status == 401) != strings.HasPrefix(challenge, "Bearer realm=") {
			t.Errorf("%s %s: challenge %q", tc.method, tc.path, challenge)
		}
	}
	if diff := cmp.Diff([]registry.Name{"open/model"}, b.requested); diff != "" {
		t.Errorf("verifications requested: %s", diff)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	v, err := json.Marshal(version("open/model"))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"":                        `{"models":[{"name":"open/model","latest":` + string(v) + `,"updatedAt":"2026-01-02T03:04:05Z"}],"total":1}`,
		"?q=nothing":              `{"models":[],"total":0}`,
		"/open/model":             `{"name":"open/model","visibility":"public","versions":[` + string(v) + `]}`,
		"/open/empty":             `{"name":"open/empty","visibility":"public","versions":[]}`,
		"/open/model/versions/v1": string(v),
		"/open/model/versions/v1/verification": `{"id":7,"name":"open/model","digest":"` + digest.String() +
			`","checkSet":1,"state":"passed","createdAt":"2026-01-02T03:04:05Z","updatedAt":"2026-01-02T03:04:05Z"}`,
		"/open/new/versions/v1/verifications": `{"verifications":[]}`,
		"/open/model/versions/v1/verifications": `{"verifications":[{"id":8,"name":"open/model","digest":"` + digest.String() +
			`","checkSet":1,"state":"pending","createdAt":"2026-01-02T03:04:05Z","updatedAt":"2026-01-02T03:04:05Z"},` +
			`{"id":7,"name":"open/model","digest":"` + digest.String() + `","checkSet":1,"state":"passed","report":{"version":1,"checkSet":1,"level":"standard","state":"passed",` +
			`"summary":"fine","results":[],"files":[],"startedAt":"2026-01-02T03:04:05Z","finishedAt":"2026-01-02T03:04:05Z","verifier":{"name":"","version":"","platform":""}},` +
			`"referrer":"` + digest.String() + `","keyId":"sha256:key","createdAt":"2026-01-02T03:04:05Z","updatedAt":"2026-01-02T03:04:05Z"}]}`,
		"/api/v1/orgs/open/verification-gate": `{"org":"open","gate":"warn","own":false}`,
		"/api/v1/keys": `{"keys":[{"id":"sha256:339e2ff917630507b6a423b5ce084e285d1fa65d93b3e27a6195d3bbebc9ae23","algorithm":"Ed25519",` +
			`"pem":"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAO2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik=\n-----END PUBLIC KEY-----\n"}]}`,
	} {
		w := b.send("GET", path, "")
		if diff := cmp.Diff(want+"\n", w.Body.String()); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
		if w.Header().Get("Content-Type") != "application/json" || w.Header().Get("Vary") != "Authorization" {
			t.Errorf("%s: %v", path, w.Header())
		}
		tag := w.Header().Get("ETag")
		if again := b.send("GET", path, "", "If-None-Match", `"x", W/`+tag); again.Code != http.StatusNotModified || again.Body.Len() != 0 {
			t.Errorf("%s with %s: %d %s", path, tag, again.Code, again.Body)
		}
		if other := b.send("GET", path, "", "If-None-Match", `"x"`); other.Code != http.StatusOK {
			t.Errorf("%s with another tag: %d", path, other.Code)
		}
	}
	w := b.send("POST", "/open/model/versions/v1/verification", "", "Authorization", b.as(admin, "open/model"))
	if got := w.Header().Get("Location"); got != "/api/v1/models/open/model/versions/"+digest.String()+"/verification" || !strings.Contains(w.Body.String(), `"state":"pending"`) {
		t.Errorf("location %q, body %s", got, w.Body)
	}
}

func TestQuery(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if w := b.send("GET", "?q=tiny+llama&architecture=llama&format=gguf&license=MIT&limit=100&offset=10000", "", "Authorization", b.as(user, "a/b")); w.Code != http.StatusOK {
		t.Fatal(w.Body)
	}
	want := registry.ModelQuery{Text: "tiny llama", Architecture: "llama", Format: "gguf", License: "MIT", Limit: 100, Offset: 10_000}
	if diff := cmp.Diff(want, b.query); diff != "" {
		t.Error(diff)
	}
	if b.asked.Name != "user" {
		t.Errorf("asked by %+v", b.asked)
	}
	b.send("GET", "", "")
	if diff := cmp.Diff(registry.ModelQuery{Limit: 20}, b.query); diff != "" {
		t.Error(diff)
	}
	for query, want := range map[string]string{
		"?limit=0":                            "PAGINATION_NUMBER_INVALID",
		"?limit=101":                          "PAGINATION_NUMBER_INVALID",
		"?limit=-1":                           "PAGINATION_NUMBER_INVALID",
		"?limit=ten":                          "PAGINATION_NUMBER_INVALID",
		"?limit=99999999999999999999":         "PAGINATION_NUMBER_INVALID",
		"?offset=-1":                          "PAGINATION_NUMBER_INVALID",
		"?offset=10001":                       "PAGINATION_NUMBER_INVALID",
		"?q=a&q=b":                            "REQUEST_INVALID",
		"?private=true":                       "REQUEST_INVALID",
		"?IncludePrivate=true":                "REQUEST_INVALID",
		"?q=%ff":                              "REQUEST_INVALID",
		"?q=" + strings.Repeat("x", 201):      "REQUEST_INVALID",
		"?" + strings.Repeat("x", 1000) + "=": "REQUEST_INVALID",
	} {
		if w := b.send("GET", query, ""); w.Code != http.StatusBadRequest || code(w) != want || w.Body.Len() > 300 {
			t.Errorf("%.60s: %d %s", query, w.Code, w.Body)
		}
	}
}

func TestPatchVisibility(t *testing.T) {
	t.Parallel()
	const asJSON = "application/json"
	for name, tc := range map[string]struct {
		path, body, contentType string
		who                     auth.Principal
		status                  int
		code                    string
	}{
		"to private":         {"/open/model", `{"visibility":"private"}`, asJSON + "; charset=utf-8", admin, 200, ""},
		"to internal":        {"/open/model", `{"visibility":"internal"}`, asJSON, admin, 200, ""},
		"anonymous":          {"/open/model", `{"visibility":"private"}`, asJSON, auth.Principal{}, 401, "UNAUTHORIZED"},
		"user":               {"/open/model", `{"visibility":"private"}`, asJSON, user, 403, "DENIED"},
		"missing":            {"/no/model", `{"visibility":"private"}`, asJSON, admin, 404, "NAME_UNKNOWN"},
		"unknown visibility": {"/open/model", `{"visibility":"secret"}`, asJSON, admin, 400, "REQUEST_INVALID"},
		"no visibility":      {"/open/model", `{}`, asJSON, admin, 400, "REQUEST_INVALID"},
		"unknown field":      {"/open/model", `{"visibility":"private","admin":true}`, asJSON, admin, 400, "REQUEST_INVALID"},
		"two objects":        {"/open/model", `{"visibility":"private"}{}`, asJSON, admin, 400, "REQUEST_INVALID"},
		"not JSON":           {"/open/model", `visibility=private`, asJSON, admin, 400, "REQUEST_INVALID"},
		"form":               {"/open/model", `{"visibility":"private"}`, "application/x-www-form-urlencoded", admin, 400, "REQUEST_INVALID"},
		"no content type":    {"/open/model", `{"visibility":"private"}`, "", admin, 400, "REQUEST_INVALID"},
		"too long":           {"/open/model", `{"visibility":"` + strings.Repeat("x", 70000) + `"}`, asJSON, admin, 413, "REQUEST_TOO_LARGE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			authorization := ""
			if !tc.who.Anonymous() {
				authorization = basic(tc.who)
			}
			w := b.send("PATCH", tc.path, tc.body, "Content-Type", tc.contentType, "Authorization", authorization)
			if w.Code != tc.status || code(w) != tc.code {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			want := auth.Public
			if tc.status == http.StatusOK {
				if want = auth.Private; strings.Contains(tc.body, "internal") {
					want = auth.Internal
				}
				if got := bytes.TrimSpace(w.Body.Bytes()); string(got) != `{"name":"open/model","visibility":"`+string(want)+`"}` {
					t.Errorf("body %s", got)
				}
			}
			if got := b.visibility["open/model"]; got != want {
				t.Errorf("visibility is %s", got)
			}
		})
	}
}

// failing breaks every look-up.
type failing struct{ *store }

var errAway = errors.New("canary-cause")

func (failing) Visibility(context.Context, registry.Name) (auth.Visibility, bool, error) {
	return "", false, errAway
}

func (failing) Models(context.Context, auth.Principal, registry.ModelQuery) ([]registry.ModelSummary, int, error) {
	return nil, 0, errAway
}

func TestStoreAway(t *testing.T) {
	t.Parallel()
	good := setup(t)
	broken := failing{good.store}
	h, err := server.New(server.Options{
		Users: someUsers(), Signer: good.signer, Repositories: broken, Logger: slog.New(slog.DiscardHandler),
		Routes: []server.Routes{hub.New(hub.Options{Models: broken, Verifications: good.store, Gates: good.store, Lineages: good.store, Access: server.NewAccess(broken)})},
	})
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle{store: good.store, t: t, handler: h, signer: good.signer}
	for _, path := range []string{"", "/open/model", "/open/model/versions/v1", "/open/model/versions/v1/verification"} {
		if w := b.send("GET", path, ""); w.Code != http.StatusInternalServerError || code(w) != "UNKNOWN" || strings.Contains(w.Body.String(), "canary") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestRotateKey(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		authorization, contentType string
		foreign                    error
		status                     int
		code                       string
	}{
		"administrator": {basic(admin), "application/json", nil, 201, ""},
		"user":          {basic(user), "application/json", nil, 403, "DENIED"},
		"anonymous":     {"", "application/json", nil, 401, "UNAUTHORIZED"},
		"a form":        {basic(admin), "text/plain", nil, 400, "REQUEST_INVALID"},
		"key of others": {basic(admin), "application/json", attestation.ErrForeignKey, 405, "UNSUPPORTED"},
		"store away":    {basic(admin), "application/json", errAway, 500, "UNKNOWN"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.foreign = tc.foreign
			w := b.send("POST", "/api/v1/keys", "{}", "Authorization", tc.authorization, "Content-Type", tc.contentType)
			if w.Code != tc.status || code(w) != tc.code {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if (b.rotated == 1) != (tc.status == 201 || tc.foreign != nil) {
				t.Errorf("rotated %d times", b.rotated)
			}
			if tc.status == 201 && !strings.Contains(w.Body.String(), testKey.ID) {
				t.Errorf("body %s", w.Body)
			}
		})
	}
	b := setup(t)
	if w := b.send("POST", "/api/v1/keys", "{}", "Authorization", b.as(admin, "open/model"), "Content-Type", "application/json"); w.Code != http.StatusForbidden || b.rotated > 0 {
		t.Errorf("with a token for one repository: %d", w.Code)
	}
}

func TestSetGate(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		who          auth.Principal
		org, body    string
		status       int
		answer, code string
	}{
		"block":         {admin, "open", `{"gate":"block"}`, 200, `{"org":"open","gate":"block","own":true}`, ""},
		"off":           {admin, "open", `{"gate":"off"}`, 200, `{"org":"open","gate":"off","own":true}`, ""},
		"default":       {admin, "open", `{"gate":"default"}`, 200, `{"org":"open","gate":"warn","own":false}`, ""},
		"user":          {user, "open", `{"gate":"off"}`, 403, "", "DENIED"},
		"anonymous":     {auth.Principal{}, "open", `{"gate":"off"}`, 401, "", "UNAUTHORIZED"},
		"unknown":       {admin, "open", `{"gate":"open"}`, 400, "", "REQUEST_INVALID"},
		"empty":         {admin, "open", `{"gate":""}`, 400, "", "REQUEST_INVALID"},
		"unknown field": {admin, "open", `{"gate":"off","org":"other"}`, 400, "", "REQUEST_INVALID"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.gates = map[registry.Name]registry.Gate{"open": registry.GateBlock}
			w := b.send("PUT", "/api/v1/orgs/"+tc.org+"/verification-gate", tc.body, "Authorization", basic(tc.who), "Content-Type", "application/json")
			if w.Code != tc.status || code(w) != tc.code || tc.answer != "" && strings.TrimSpace(w.Body.String()) != tc.answer {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if tc.status != 200 && b.gates["open"] != registry.GateBlock {
				t.Errorf("the gate is %s", b.gates["open"])
			}
		})
	}
}
