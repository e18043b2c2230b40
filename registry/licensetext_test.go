package registry

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/licenses/openness"
	"github.com/carat-hub/carat/licenses/text"
	"github.com/carat-hub/carat/provenance"
)

func (s *shelf) PutLicenseText(_ context.Context, t StoredLicenseText) error {
	s.texts = append(s.texts, t)
	return nil
}

func (s *shelf) DeleteLicenseText(context.Context, Digest) error {
	s.texts = nil
	return nil
}

// ofTeapots is a text that no licence has.
const ofTeapots = `Whoever receives this model may pour it, warm it up and hand it on to anybody, in whole or in part, as long as each cup
comes with these words. Nobody may pour it on a book. The model comes as it is.
`

func hubOf(t *testing.T, s *shelf, now *time.Time) *Registry {
	t.Helper()
	key, err := provenance.NewKey(signer(1).key().Public())
	if err != nil {
		t.Fatal(err)
	}
	return New(Options{
		Store: s, Notary: signer(1), Clock: func() time.Time { return *now },
		OwnKeys: func(context.Context) ([]provenance.Key, error) { return []provenance.Key{key}, nil },
	})
}

func TestConfirmText(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	s := &shelf{}
	r := hubOf(t, s, &now)
	admin := auth.Principal{UserID: 1, Name: "ada", Admin: true}
	v := s.put("acme/m", "apple-ascl")
	v.Facts.License.File, v.Facts.License.Text = "LICENSE", ofTeapots
	// The same words in other lines, in a model that is made from it.
	other := s.put("acme/other", "apple-ascl", "acme/m")
	other.Facts.License.File, other.Facts.License.Text = "LICENSE.md", "> "+strings.ReplaceAll(ofTeapots, "\n", "\n> ")
	match := func() openness.Match {
		t.Helper()
		a, err := r.Ancestry(t.Context(), auth.Principal{}, other)
		if err != nil {
			t.Fatal(err)
		}
		return licenceOf(other.Facts, a.Graph.Works[a.Graph.Root].Text).Match
	}
	if got := match(); got != openness.MatchUnknown {
		t.Fatalf("before: %q", got)
	}

	mit, ok := text.Standard("MIT")
	if !ok {
		t.Fatal("no text of MIT")
	}
	refused := map[string]struct {
		who         auth.Principal
		text        string
		ref, reason string
		want        string
	}{
		"nobody":           {auth.Principal{}, ofTeapots, "apple-ascl", "r", "authentication required"},
		"a user":           {auth.Principal{UserID: 2, Name: "bob"}, ofTeapots, "apple-ascl", "r", "access denied"},
		"a token":          {auth.Principal{UserID: 1, Admin: true, Limited: true}, ofTeapots, "apple-ascl", "r", "access denied"},
		"no text":          {admin, "", "apple-ascl", "r", "no file with the text"},
		"too short":        {admin, "Do as you like.", "apple-ascl", "r", "only 4 words"},
		"no reason":        {admin, ofTeapots, "apple-ascl", " ", "a reason of at most"},
		"a long reason":    {admin, ofTeapots, "apple-ascl", strings.Repeat("r", maxConfirmReason+1), "a reason of at most"},
		"no licence":       {admin, ofTeapots, "LicenseRef-Teapot", "r", "the catalogue has no licence"},
		"a known text":     {admin, mit, "apple-ascl", "r", "that of MIT, word for word"},
		"longer than laws": {admin, strings.Repeat("word ", 300_000), "apple-ascl", "r", "too long"},
	}
	for name, tt := range refused {
		facts := *v.Facts
		facts.License.Text = tt.text
		if _, err := r.ConfirmText(t.Context(), tt.who, &Version{Name: v.Name, Digest: v.Digest, Facts: &facts}, tt.ref, tt.reason); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	if len(s.texts) > 0 {
		t.Fatal("a refused confirmation is kept")
	}

	x, err := r.ConfirmText(t.Context(), admin, v, "apple-ascl", "The text that the vendor published.")
	if err != nil || x.Ref != "LicenseRef-Apple-Sample-Code" || x.By != "ada" || x.Name != v.Name {
		t.Fatalf("%+v, %v", x, err)
	}
	if got := match(); got != openness.MatchReviewed {
		t.Errorf("after: %q", got)
	}
	a, err := r.Ancestry(t.Context(), auth.Principal{}, other)
	if err != nil {
		t.Fatal(err)
	}
	if got := a.Summarize(now).RuleSet; got == RuleSet() || !strings.HasPrefix(got, RuleSet()) {
		t.Errorf("assessed by %s, which does not tell of the text", got)
	}
	g := auth.System("acme/other", auth.Pull)
	reading, err := r.ReadLicense(t.Context(), g, other)
	if err != nil || !reading.Confirmed || len(reading.Refs) != 1 || reading.Difference != nil {
		t.Errorf("%v: %+v", err, reading)
	}
	twisted := *other.Facts
	twisted.License.Text = strings.Replace(ofTeapots, "Nobody may", "You may", 1)
	if reading, err = r.ReadLicense(t.Context(), g, &Version{Name: other.Name, Digest: other.Digest, Facts: &twisted}); err != nil || len(reading.Refs) > 0 ||
		reading.Compared != "LicenseRef-Apple-Sample-Code" || !strings.Contains(reading.Difference.Text(), "[-nobody-] {+you+}") {
		t.Errorf("twisted: %v %+v", err, reading)
	}
	got, err := r.LicenseText(t.Context(), admin, x.Text)
	if err != nil || got.Content != ofTeapots || got.Reason != x.Reason {
		t.Errorf("%v: %+v", err, got)
	}
	if _, err := r.LicenseTexts(t.Context(), auth.Principal{UserID: 2}); err == nil {
		t.Error("others may list texts")
	}
	if err := r.ForgetText(t.Context(), auth.Principal{UserID: 2}, x.Text); err == nil {
		t.Error("others may forget texts")
	}
	if err := r.ForgetText(t.Context(), admin, x.Text); err != nil {
		t.Fatal(err)
	}
	if got := match(); got != openness.MatchUnknown {
		t.Errorf("forgotten: %q", got)
	}
}

// TestTextsOfTheHubOnly: what counts is signed by the hub and about the very
// bytes that are kept.
func TestTextsOfTheHubOnly(t *testing.T) {
	t.Parallel()
	v := &Version{Name: "acme/m", Digest: DigestOf(SHA256, []byte("m"))}
	now := time.Unix(1e9, 0)
	d := DigestOf(SHA256, []byte(ofTeapots))
	sign := func(s signer, predicateType string, of Digest) []byte {
		t.Helper()
		p, err := (&Registry{notary: s}).signDecision(t.Context(), v, predicateType, LicenseText{Ref: "LicenseRef-Apple-Sample-Code", Text: of})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for name, tt := range map[string]struct {
		stored StoredLicenseText
		want   int
	}{
		"the hub's":        {StoredLicenseText{d, "", ofTeapots, sign(1, licenseTextType, d)}, 1},
		"another key's":    {StoredLicenseText{d, "", ofTeapots, sign(2, licenseTextType, d)}, 0},
		"of another kind":  {StoredLicenseText{d, "", ofTeapots, sign(1, waiverType, d)}, 0},
		"of another text":  {StoredLicenseText{d, "", ofTeapots, sign(1, licenseTextType, DigestOf(SHA256, nil))}, 0},
		"an exchanged one": {StoredLicenseText{d, "", ofTeapots + "Or not.", sign(1, licenseTextType, d)}, 0},
		"no envelope":      {StoredLicenseText{d, "", ofTeapots, []byte("{}")}, 0},
	} {
		r := hubOf(t, &shelf{texts: []StoredLicenseText{tt.stored}}, &now)
		list, err := r.LicenseTexts(t.Context(), auth.Principal{UserID: 1, Admin: true})
		if err != nil || len(list) != tt.want {
			t.Errorf("%s: %d count, %v", name, len(list), err)
		}
		used, err := r.texts(t.Context())
		if err != nil || (used.mark != "") != (tt.want > 0) {
			t.Errorf("%s: mark %q, %v", name, used.mark, err)
		}
	}
}

// TestTextsAreReadAgain: another node confirms a text.
func TestTextsAreReadAgain(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	s := &shelf{}
	one, two := hubOf(t, s, &now), hubOf(t, s, &now)
	v := s.put("acme/m", "apple-ascl")
	v.Facts.License.Text = ofTeapots
	known := func() bool {
		t.Helper()
		x, err := two.texts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(x.of(v.Facts).Refs) > 0
	}
	known()
	if _, err := one.ConfirmText(t.Context(), auth.Principal{UserID: 1, Admin: true}, v, "apple-ascl", "r"); err != nil {
		t.Fatal(err)
	}
	if now = now.Add(gateAge); !known() {
		t.Error("the other node does not know the text")
	}
}
