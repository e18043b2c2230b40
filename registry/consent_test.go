package registry

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/carat-hub/carat/licenses"
)

func terms(refs ...string) *Terms {
	t := &Terms{Licences: []TermsLicence{}}
	for _, ref := range refs {
		l := TermsLicence{Ref: ref}
		if f, ok := licenses.Lookup(ref); ok {
			l.Ref, l.Effective = f.SPDX, f.Effective
		}
		t.Licences = append(t.Licences, l)
	}
	return t
}

func TestCovers(t *testing.T) {
	t.Parallel()
	unclear := terms("mit")
	unclear.Unclear = []string{"the base is not known"}
	strange := func(texts ...string) *Terms {
		t := terms("LicenseRef-Own")
		for _, s := range texts {
			t.Strange = append(t.Strange, DigestOf(SHA256, []byte(s)))
		}
		return t
	}
	for _, tt := range []struct {
		name          string
		before, later *Terms
		want          bool
	}{
		{"the same", terms("llama3.1"), terms("llama3.1"), true},
		{"looser", terms("cc-by-nc-4.0"), terms("cc-by-4.0"), true},
		{"tighter", terms("mit"), terms("cc-by-nc-4.0"), false},
		{"one more", terms("mit"), terms("mit", "llama3.1"), false},
		{"one less", terms("mit", "llama3.1"), terms("mit"), true},
		{"less is known", terms("mit"), unclear, false},
		{"as little is known", unclear, unclear, true},
		{"more is known", unclear, terms("mit"), true},
		{"a licence that nobody knows", terms("mit"), terms("LicenseRef-Nobody"), false},
		{"from one that nobody knows", terms("LicenseRef-Nobody"), terms("LicenseRef-Somebody"), false},
		{"a text that nobody knows", strange(), strange("may"), false},
		{"the same text", strange("may", "must"), strange("must", "may"), true},
		{"a text that was changed", strange("may", "must"), strange("may", "must not"), false},
		{"a text that is gone", strange("may", "must"), strange("may"), true},
	} {
		if got := tt.before.Covers(tt.later); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	// A text that its vendor changed under the same id.
	for _, f := range licenses.All() {
		if list := licenses.Versions(f.SPDX); len(list) > 1 {
			old := &Terms{Licences: []TermsLicence{{Ref: list[1].SPDX, Effective: list[1].Effective}}}
			want := licenses.Compare(list[1], list[0]).Change != licenses.ChangeTighter
			if got := old.Covers(terms(list[0].SPDX)); got != want {
				t.Errorf("%s of %s and of %s: %v, want %v", f.SPDX, list[1].Effective, list[0].Effective, got, want)
			}
		}
	}
}

// TestDecideConsent: the newest acceptance that covers the terms counts.
func TestDecideConsent(t *testing.T) {
	t.Parallel()
	list := func(states ...ConsentState) (list []Acceptance) {
		for _, s := range states {
			list = append(list, Acceptance{State: s, Terms: *terms("mit")})
		}
		return list
	}
	for _, tt := range []struct {
		name    string
		list    []Acceptance
		terms   *Terms
		pass    bool
		refusal ConsentError
	}{
		{"never asked", nil, terms("mit"), false, ConsentError{}},
		{"accepted", list(ConsentAccepted), terms("mit"), true, ConsentError{}},
		{"accepted after a denial", list(ConsentAccepted, ConsentDenied), terms("mit"), true, ConsentError{}},
		{"denied after it was accepted", list(ConsentDenied, ConsentAccepted), terms("mit"), false, ConsentError{Denied: true}},
		{"waiting", list(ConsentPending, ConsentDenied), terms("mit"), false, ConsentError{Pending: true}},
		{"accepted, and tighter now", list(ConsentAccepted), terms("cc-by-nc-4.0"), false, ConsentError{Changed: true}},
		{"denied, and tighter now", list(ConsentDenied), terms("cc-by-nc-4.0"), false, ConsentError{}},
	} {
		var got ConsentError
		if pass := got.decide(tt.list, tt.terms); pass != tt.pass || got != tt.refusal {
			t.Errorf("%s: %v, %+v", tt.name, pass, got)
		}
	}
}

func TestConsentGateCheck(t *testing.T) {
	t.Parallel()
	field := func(name string, kind FieldKind, options ...string) ConsentGate {
		return ConsentGate{Mode: ConsentAuto, Fields: []ConsentField{{name, kind, options}}}
	}
	twice := field("a", FieldText)
	twice.Fields = append(twice.Fields, twice.Fields...)
	for name, tt := range map[string]struct {
		gate ConsentGate
		ok   bool
	}{
		"plain":                  {ConsentGate{Mode: ConsentManual}, true},
		"no mode":                {ConsentGate{}, false},
		"a field":                {field("Company", FieldText), true},
		"a selection":            {field("Use", FieldSelect, "a", "b"), true},
		"a selection of nothing": {field("Use", FieldSelect), false},
		"text with options":      {field("Use", FieldText, "a"), false},
		"no name":                {field("", FieldText), false},
		"a bad name":             {field("a\x00", FieldText), false},
		"an unknown kind":        {field("a", "colour"), false},
		"twice":                  {twice, false},
		"an address":             {field("geo", FieldAddress), true},
		"the same option twice":  {field("Use", FieldSelect, "a", "a"), false},
		"an option of nothing":   {field("Use", FieldSelect, "a", ""), false},
		"space about an option":  {field("Use", FieldSelect, "a "), false},
		"an option of two lines": {field("Use", FieldSelect, "a\nb"), false},
		"a long option":          {field("Use", FieldSelect, strings.Repeat("x", maxConsentWord+1)), false},
		"many options":           {field("Use", FieldSelect, make([]string, maxConsentOptions+1)...), false},
		"a long prompt":          {ConsentGate{Mode: ConsentAuto, Prompt: strings.Repeat("x", maxConsentText+1)}, false},
	} {
		if err := tt.gate.Check(); (err == nil) != tt.ok || err != nil && !IsCode(err, CodeTermsInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	g := ConsentGate{Mode: ConsentAuto, Fields: []ConsentField{
		{"Name", FieldText, nil},
		{"Agreed", FieldCheckbox, nil},
		{"Born", FieldDate, nil},
		{"Country", FieldCountry, nil},
		{"Use", FieldSelect, []string{"a", "b"}},
		{"geo", FieldAddress, nil},
	}}
	good := map[string]string{"Name": " Jane\n", "Agreed": "on", "Born": "2000-02-29", "Country": "de", "Use": "b", "More": "x", "geo": "192.0.2.99"}
	got, err := g.answers(Answers{Fields: good, Address: "192.0.2.1"})
	if err != nil || len(got) != 6 || got["geo"] != "192.0.2.1" || got["Name"] != "Jane" || got["Country"] != "DE" || got["Agreed"] != "true" {
		t.Errorf("%v %v", got, err)
	}
	for name, bad := range map[string]string{"Name": "", "Agreed": "no", "Born": "2001-02-29", "Country": "Germany", "Use": "c"} {
		told := map[string]string{}
		for k, v := range good {
			told[k] = v
		}
		told[name] = bad
		if _, err := g.answers(Answers{Fields: told}); !IsCode(err, CodeTermsInvalid) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s as %q: %v", name, bad, err)
		}
	}
}

func entry() *Entry {
	x := terms("mit")
	return &Entry{
		Name: "acme/m", Digest: DigestOf(SHA256, nil), Terms: *x, Key: x.Key(), Party: partyDigest([]byte("salt"), []byte(`{"user":"jane"}`)),
		AcceptedAt: time.Unix(1, 0).UTC(), Channel: "web",
	}
}

func TestReceipt(t *testing.T) {
	t.Parallel()
	e := entry()
	payload, err := e.encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseEntry(payload)
	if err != nil || got.Party != e.Party || got.Key != e.Key {
		t.Fatalf("%+v %v", got, err)
	}
	r := Receipt{Salt: []byte("salt"), Party: []byte("{ \"user\": \"jane\" }")}
	if p, err := r.By(got); err != nil || p.User != "jane" {
		t.Errorf("who: %+v %v", p, err)
	}
	for name, r := range map[string]Receipt{
		"another salt": {Salt: []byte("pepper"), Party: []byte(`{"user":"jane"}`)}, "another user": {Salt: []byte("salt"), Party: []byte(`{"user":"john"}`)}, "rubbish": {Salt: []byte("salt"), Party: []byte(`{`)},
	} {
		if _, err := r.By(got); !errors.Is(err, ErrReceipt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if p, err := (&Receipt{}).By(got); p != nil || err != nil {
		t.Errorf("erased: %+v %v", p, err)
	}
	for name, bad := range map[string][]byte{
		"other terms":       bytes.Replace(payload, []byte(`"MIT"`), []byte(`"MIX"`), 1),
		"white space":       append([]byte(" "), payload...),
		"something behind":  append(bytes.Clone(payload), payload...),
		"an unknown field":  bytes.Replace(payload, []byte(`"channel"`), []byte(`"x":1,"channel"`), 1),
		"another type":      bytes.Replace(payload, []byte(`terms-acceptance/v1`), []byte(`terms-acceptance/v2`), 1),
		"a key in capitals": bytes.Replace(payload, []byte(`"channel"`), []byte(`"CHANNEL"`), 1),
	} {
		if _, err := ParseEntry(bad); !errors.Is(err, ErrReceipt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseEntry(f *testing.F) {
	payload, err := entry().encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payload)
	f.Add([]byte(`{"predicate":{}}`))
	f.Fuzz(func(t *testing.T, p []byte) {
		e, err := ParseEntry(p)
		if err != nil {
			if !errors.Is(err, ErrReceipt) {
				t.Error(err)
			}
			return
		}
		if again, err := e.encode(); err != nil || !bytes.Equal(again, p) {
			t.Errorf("%q is encoded as %q: %v", p, again, err)
		}
	})
}

// termsStore is a shelf with gates and waivers.
type termsStore struct {
	shelf
	lookups int
}

func (s *termsStore) Waivers(_ context.Context, _ Name, _ Digest) ([][]byte, error) {
	s.lookups++
	return nil, nil
}

// TestKnownTerms: the same bytes in two repositories are two versions, whose
// names, bases' visibility and waivers are their own.
func TestKnownTerms(t *testing.T) {
	t.Parallel()
	s := &termsStore{}
	first := s.put("acme/one", "mit")
	second := *first
	second.Name = "other/two"
	now := time.Unix(0, 0)
	r := New(Options{Store: s, Clock: func() time.Time { return now }})
	for _, v := range []*Version{first, &second, first, &second} {
		if _, err := r.known(t.Context(), v); err != nil {
			t.Fatal(err)
		}
	}
	if s.lookups != 2 {
		t.Errorf("%d look-ups, want one for each repository", s.lookups)
	}
	r.forget(first)
	now = now.Add(gateAge)
	for _, v := range []*Version{first, &second} {
		if _, err := r.known(t.Context(), v); err != nil {
			t.Fatal(err)
		}
	}
	if s.lookups != 4 {
		t.Errorf("%d look-ups after their time", s.lookups)
	}
}
