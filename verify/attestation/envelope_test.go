package attestation

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

// testKey returns the n-th of a few fixed keys.
func testKey(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

func publicKey(n byte) Key { return NewKey(public(testKey(n))) }

func seal(t testing.TB, r *verify.Report) []byte {
	t.Helper()
	p, err := Seal(context.WithoutCancel(t.Context()), testKey(1), registry.MediaTypeOCIManifest, r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// sign signs any payload, as a hub that has gone astray would.
func sign(t testing.TB, payloadType string, payload []byte) []byte {
	t.Helper()
	signer, err := dsse.NewEnvelopeSigner(signing{testKey(1)})
	if err != nil {
		t.Fatal(err)
	}
	e, err := signer.SignPayload(context.WithoutCancel(t.Context()), payloadType, payload)
	if err != nil {
		t.Fatal(err)
	}
	p, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestOpen(t *testing.T) {
	t.Parallel()
	sealed := seal(t, sample())
	if again := seal(t, sample()); !bytes.Equal(sealed, again) {
		t.Error("one report gave two envelopes")
	}
	a, err := Open(t.Context(), sealed, []Key{publicKey(2), publicKey(1), publicKey(1)})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample(), a.Report, cmp.Comparer(func(a, b registry.Digest) bool { return a == b })); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if a.Key.ID != publicKey(1).ID {
		t.Errorf("signed by %s", a.Key.ID)
	}
	if err := a.About(manifest); err != nil {
		t.Error(err)
	}
	for _, d := range []registry.Digest{{}, registry.DigestOf(registry.SHA256, []byte("other")), registry.DigestOf(registry.SHA512, []byte("manifest"))} {
		if err := a.About(d); !errors.Is(err, ErrSubject) {
			t.Errorf("about %s: %v", d, err)
		}
	}
	for _, state := range []verify.State{verify.StateFailed, verify.StateUnsupported, verify.StateError} {
		r := sample()
		r.State = state
		if a, err := Open(t.Context(), seal(t, r), []Key{publicKey(1)}); err != nil || a.Report.State != state {
			t.Errorf("%s: %v", state, err)
		}
	}
}

func TestAboutFiles(t *testing.T) {
	t.Parallel()
	a := &Attestation{Report: sample()}
	other := registry.DigestOf(registry.SHA256, []byte("other"))
	for name, tt := range map[string]struct {
		change func(f []verify.VerifiedFile) []verify.VerifiedFile
		want   string // in the error, "" for none
	}{
		"same":        {func(f []verify.VerifiedFile) []verify.VerifiedFile { return f }, ""},
		"other order": {func(f []verify.VerifiedFile) []verify.VerifiedFile { slices.Reverse(f); return f }, ""},
		"one less":    {func(f []verify.VerifiedFile) []verify.VerifiedFile { return f[1:] }, "a <b>.gguf is missing"},
		"none":        {func([]verify.VerifiedFile) []verify.VerifiedFile { return nil }, "README.md is missing"},
		"one more": {func(f []verify.VerifiedFile) []verify.VerifiedFile {
			return append(f, verify.VerifiedFile{Path: "evil.py", Digest: other})
		}, "says nothing of evil.py"},
		"twice":      {func(f []verify.VerifiedFile) []verify.VerifiedFile { return append(f, f[0]) }, "says nothing of a <b>.gguf"},
		"other":      {func(f []verify.VerifiedFile) []verify.VerifiedFile { f[0].Digest = other; return f }, "a <b>.gguf is " + other.String()},
		"other size": {func(f []verify.VerifiedFile) []verify.VerifiedFile { f[1].Size++; return f }, "README.md is"},
	} {
		err := a.AboutFiles(tt.change(slices.Clone(a.Report.Files)))
		if tt.want == "" && err != nil || tt.want != "" && (!errors.Is(err, ErrSubject) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (&Attestation{Report: &verify.Report{}}).AboutFiles(nil); !errors.Is(err, ErrSubject) {
		t.Errorf("a report without files is about no files: %v", err)
	}
}

// TestOpenRefuses injects every fault that there is an error for. Whatever
// cannot be read is never a report.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	good := seal(t, sample())
	text := encode(t, sample())
	// change edits the envelope after it was signed; state, what is signed.
	change := func(f func(*dsse.Envelope)) func() []byte {
		return func() []byte {
			var e dsse.Envelope
			if err := json.Unmarshal(good, &e); err != nil {
				panic(err)
			}
			f(&e)
			p, _ := json.Marshal(e)
			return p
		}
	}
	raw := func(s string) func() []byte { return func() []byte { return []byte(s) } }
	statement := func(old, new string) func() []byte {
		return func() []byte {
			p := strings.Replace(string(text), old, new, 1)
			if p == string(text) {
				panic("nothing to replace: " + old)
			}
			return sign(t, PayloadType, []byte(p))
		}
	}
	report := func(f func(*verify.Report)) func() []byte {
		return func() []byte {
			r := sample()
			f(r)
			p, err := encodeStatement(registry.MediaTypeOCIManifest, r)
			if err != nil {
				panic(err)
			}
			return sign(t, PayloadType, p)
		}
	}
	keys := []Key{publicKey(1)}
	retired, future := publicKey(1), publicKey(1)
	retired.NotAfter = made.Add(-time.Hour)
	future.NotBefore = made.Add(time.Hour)
	swapped := func(e *dsse.Envelope) {
		r := sample()
		r.State = verify.StateFailed
		p, _ := encodeStatement(registry.MediaTypeOCIManifest, r)
		e.Payload = base64.StdEncoding.EncodeToString(p)
	}
	for name, tt := range map[string]struct {
		envelope func() []byte
		keys     []Key
		want     error
	}{
		"nothing":             {raw(""), keys, ErrMalformed},
		"no JSON":             {raw("not JSON"), keys, ErrMalformed},
		"a list":              {raw("[]"), keys, ErrMalformed},
		"an empty object":     {raw("{}"), keys, ErrPayloadType},
		"cut short":           {func() []byte { return good[:len(good)-1] }, keys, ErrMalformed},
		"data behind":         {func() []byte { return append(slices.Clone(good), "{}"...) }, keys, ErrMalformed},
		"too long":            {func() []byte { return append(bytes.Repeat([]byte(" "), MaxEnvelope), good...) }, keys, ErrMalformed},
		"a key twice":         {raw(`{"payloadType":"a","payloadType":"` + PayloadType + `"}`), keys, ErrMalformed},
		"a key in other case": {raw(strings.Replace(string(good), `"payload":`, `"Payload":`, 1)), keys, ErrMalformed},
		"nested without end":  {raw(`{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`), keys, ErrMalformed},
		"wrong field type":    {raw(`{"payloadType":1}`), keys, ErrMalformed},
		"payload no base64":   {change(func(e *dsse.Envelope) { e.Payload = "!" }), keys, ErrSignature},
		"no payload":          {change(func(e *dsse.Envelope) { e.Payload = "" }), keys, ErrMalformed},
		"other payload type":  {change(func(e *dsse.Envelope) { e.PayloadType = "text/plain" }), keys, ErrPayloadType},
		"signed other type":   {func() []byte { return sign(t, "application/json", text) }, keys, ErrPayloadType},
		"type not signed": {func() []byte {
			return []byte(strings.Replace(string(sign(t, "application/json", text)), `"application/json"`, `"`+PayloadType+`"`, 1))
		}, keys, ErrSignature},
		"no signature":        {change(func(e *dsse.Envelope) { e.Signatures = nil }), keys, ErrSignature},
		"empty signature":     {change(func(e *dsse.Envelope) { e.Signatures[0].Sig = "" }), keys, ErrSignature},
		"signature no base64": {change(func(e *dsse.Envelope) { e.Signatures[0].Sig = "?" }), keys, ErrSignature},
		"signature cut short": {change(func(e *dsse.Envelope) { e.Signatures[0].Sig = e.Signatures[0].Sig[:44] }), keys, ErrSignature},
		"many signatures":     {change(func(e *dsse.Envelope) { e.Signatures = slices.Repeat(e.Signatures, maxSignatures+1) }), keys, ErrMalformed},
		"swapped payload":     {change(swapped), keys, ErrSignature},
		"no keys":             {func() []byte { return good }, nil, ErrUnknownKey},
		"another key":         {func() []byte { return good }, []Key{publicKey(2)}, ErrUnknownKey},
		"named as ours":       {change(func(e *dsse.Envelope) { e.Signatures[0].KeyID = publicKey(2).ID }), []Key{publicKey(2)}, ErrSignature},
		"no key named":        {change(func(e *dsse.Envelope) { e.Signatures[0].KeyID = "" }), []Key{publicKey(2)}, ErrSignature},
		"key retired":         {func() []byte { return good }, []Key{retired}, ErrKeyTime},
		"key not yet in use":  {func() []byte { return good }, []Key{future}, ErrKeyTime},

		"no statement":           {func() []byte { return sign(t, PayloadType, []byte("null")) }, keys, ErrMalformed},
		"statement cut short":    {func() []byte { return sign(t, PayloadType, text[:len(text)-1]) }, keys, ErrMalformed},
		"statement key twice":    {statement(`{"_type":`, `{"_type":"x","_type":`), keys, ErrMalformed},
		"state twice":            {statement(`"state":"passed"`, `"state":"failed","state":"passed"`), keys, ErrMalformed},
		"state in other case":    {statement(`"state":"passed"`, `"state":"failed","State":"passed"`), keys, ErrMalformed},
		"other statement":        {statement("Statement/v1", "Statement/v2"), keys, ErrPredicateType},
		"other predicate":        {statement(PredicateType, "https://slsa.dev/provenance/v1"), keys, ErrPredicateType},
		"predicate too new":      {statement(PredicateType, predicatePrefix+"2"), keys, ErrTooNew},
		"predicate of version 0": {statement(PredicateType, predicatePrefix+"0"), keys, ErrPredicateType},
		"predicate of no number": {statement(PredicateType, predicatePrefix+"next"), keys, ErrPredicateType},
		"report too new":         {statement(`"version":1,"checkSet"`, `"version":2,"checkSet"`), keys, ErrTooNew},
		"report of no version":   {statement(`"version":1,"checkSet"`, `"checkSet"`), keys, ErrMalformed},
		"report null":            {statement(`"predicate":{`, `"predicate":null,"other":{`), keys, ErrMalformed},
		"report of wrong type":   {statement(`"checkSet":1`, `"checkSet":"1"`), keys, ErrMalformed},
		"unknown state":          {statement(`"state":"passed"`, `"state":"verified"`), keys, ErrMalformed},
		"state not there":        {statement(`"state":"passed",`, ``), keys, ErrMalformed},
		"not final":              {statement(`"state":"passed"`, `"state":"running"`), keys, ErrMalformed},
		"cancelled":              {statement(`"state":"passed"`, `"state":"cancelled"`), keys, ErrMalformed},
		"time not there":         {statement(`"finishedAt":"2030-01-02T03:04:05Z",`, ``), keys, ErrMalformed},
		"other subject":          {statement(manifest.Hex(), registry.DigestOf(registry.SHA256, nil).Hex()), keys, ErrMalformed},
		"subject without digest": {statement(`{"digest":{"sha256":"`+manifest.Hex()+`"}`, `{"digest":{}`), keys, ErrMalformed},
		"subject of two digests": {statement(`"digest":{`, `"digest":{"sha1":"da39a3ee5e6b4b0d3255bfef95601890afd80709",`), keys, ErrMalformed},
		"subject by a weak hash": {statement(`"sha256":`, `"md5":`), keys, ErrMalformed},
		"named first subject":    {statement(`"subject":[{`, `"subject":[{"name":"a",`), keys, ErrMalformed},
		"other name of a file":   {statement(`{"name":"onnx/README.md"`, `{"name":"README.md"`), keys, ErrMalformed},
		"passed with a failure":  {report(func(r *verify.Report) { r.Results[0].Outcome = verify.OutcomeFailed }), keys, ErrMalformed},
		"passed without checks":  {report(func(r *verify.Report) { r.Results = nil }), keys, ErrMalformed},
		"two files of one path":  {report(func(r *verify.Report) { r.Files[1].Path = r.Files[0].Path }), keys, ErrMalformed},
		"file without path":      {report(func(r *verify.Report) { r.Files[1].Path = "" }), keys, ErrMalformed},
		"file of negative size":  {report(func(r *verify.Report) { r.Files[1].Size = -1 }), keys, ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := Open(t.Context(), tt.envelope(), tt.keys)
			if a != nil || !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

// TestOpenAnyFlippedBit: no byte of an envelope can change and leave a report
// that says something else.
func TestOpenAnyFlippedBit(t *testing.T) {
	t.Parallel()
	r := sample()
	r.Results, r.Files = r.Results[:1], r.Files[:1]
	good := seal(t, r)
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1 << (i % 8)
		a, err := Open(t.Context(), bad, []Key{publicKey(1)})
		if err == nil && !cmp.Equal(r, a.Report, cmp.Comparer(func(a, b registry.Digest) bool { return a == b })) {
			t.Fatalf("bit %d of byte %d changed the report", i%8, i)
		}
	}
}

func TestSealRefuses(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*verify.Report){
		"running":    func(r *verify.Report) { r.State = verify.StateRunning },
		"cancelled":  func(r *verify.Report) { r.State = verify.StateCancelled },
		"no subject": func(r *verify.Report) { r.Subject = nil },
		"too long":   func(r *verify.Report) { r.Summary = strings.Repeat("x", MaxEnvelope) },
	} {
		r := sample()
		spoil(r)
		if _, err := Seal(t.Context(), testKey(1), registry.MediaTypeOCIManifest, r); err == nil {
			t.Errorf("%s: sealed", name)
		}
	}
}

func FuzzOpen(f *testing.F) {
	good := seal(f, sample())
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(sign(f, PayloadType, []byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":""}}],"predicateType":"`+PredicateType+`","predicate":{"version":1}}`)))
	f.Add([]byte(`{"payloadType":"` + PayloadType + `","payload":"e30=","signatures":[{"keyid":"","sig":""}]}`))
	key := publicKey(1)
	f.Fuzz(func(t *testing.T, p []byte) {
		a, err := Open(t.Context(), p, []Key{key})
		switch {
		case err == nil && (a.Report.Subject == nil || !final(a.Report.State)):
			t.Errorf("opened %+v", a.Report)
		case err == nil:
			if err := a.About(*a.Report.Subject); err != nil {
				t.Error(err)
			}
		case a != nil:
			t.Errorf("a report with an error: %v", err)
		}
	})
}

// FuzzStatement fuzzes what only a hub's key can sign.
func FuzzStatement(f *testing.F) {
	r := sample()
	p, err := encodeStatement(registry.MediaTypeOCIManifest, r)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p)
	f.Add(bytes.Replace(p, []byte(`"passed"`), []byte(`"failed"`), 1))
	f.Fuzz(func(t *testing.T, p []byte) {
		r, err := decodeStatement(p)
		if err != nil {
			return
		}
		again, err := encodeStatement("", r)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if _, err := decodeStatement(again); err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("%v\n%s", err, fmt.Sprintf("%q", again))
		}
	})
}
