//go:build sigstore

package provenance

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"testing/fstest"
	"time"

	rekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"google.golang.org/protobuf/encoding/protojson"
)

const (
	issuer  = "https://issuer.example.org"
	subject = "builder@example.org"
)

// trustedRoot writes a trusted root as JSON. The signing certificates of the
// test's authority have no SCT: their log is in it only when a case asks for one.
func trustedRoot(t testing.TB, s *ca.VirtualSigstore, certificateLog bool) []byte {
	t.Helper()
	logs := func(of map[string]*root.TransparencyLog) map[string]*root.TransparencyLog {
		for id, l := range of {
			raw, err := hex.DecodeString(id)
			if err != nil {
				t.Fatal(err)
			}
			l.ID = raw
		}
		return of
	}
	var certificates map[string]*root.TransparencyLog
	if certificateLog {
		certificates = logs(s.CTLogs())
	}
	r, err := root.NewTrustedRoot(root.TrustedRootMediaType01, s.FulcioCertificateAuthorities(), certificates, s.TimestampingAuthorities(), logs(s.RekorLogs()))
	if err != nil {
		t.Fatal(err)
	}
	p, err := r.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// attested makes a bundle; change may damage it.
func attested(t testing.TB, s *ca.VirtualSigstore, at time.Time, change func(map[string]any)) []byte {
	t.Helper()
	statement := fmt.Appendf(nil, `{"_type":%q,"subject":[{"digest":{"sha256":%q}}],"predicateType":"https://example.org/p","predicate":{}}`, StatementType, digest)
	e, err := s.AttestAtTime(subject, issuer, statement, at, true)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := e.SignatureContent()
	if err != nil {
		t.Fatal(err)
	}
	by, err := e.VerificationContent()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := e.TlogEntries()
	if err != nil {
		t.Fatal(err)
	}
	// The library's own entries lack their kind and what the log promised of them.
	logged := entries[0].TransparencyLogEntry()
	logged.KindVersion = &rekor.KindVersion{Kind: "dsse", Version: "0.0.1"}
	promise, err := s.RekorSignPayload(tlog.RekorPayload{
		Body: base64.StdEncoding.EncodeToString(logged.CanonicalizedBody), IntegratedTime: logged.IntegratedTime, LogIndex: logged.LogIndex, LogID: hex.EncodeToString(logged.LogId.KeyId),
	})
	if err != nil {
		t.Fatal(err)
	}
	logged.InclusionPromise = &rekor.InclusionPromise{SignedEntryTimestamp: promise}
	entry, err := protojson.Marshal(logged)
	if err != nil {
		t.Fatal(err)
	}
	b := map[string]any{}
	if err := json.Unmarshal(encode(t, map[string]any{
		"mediaType":    MediaTypeBundle,
		"dsseEnvelope": signed.EnvelopeContent().RawEnvelope(),
		"verificationMaterial": map[string]any{
			"certificate": map[string]any{"rawBytes": by.Certificate().Raw},
			"tlogEntries": []any{json.RawMessage(entry)},
		},
	}), &b); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(b)
	}
	return encode(t, b)
}

func logEntry(b map[string]any) map[string]any {
	return b["verificationMaterial"].(map[string]any)["tlogEntries"].([]any)[0].(map[string]any)
}

func trustFile(t testing.TB, trusted []byte, identities string) Trust {
	t.Helper()
	files := fstest.MapFS{"root.json": {Data: trusted}}
	trust, err := ParseTrustFile([]byte(`{"sigstore":{"trustedRoot":"root.json","identities":[`+identities+`]}}`), func(name string) ([]byte, error) { return fs.ReadFile(files, name) })
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

func TestKeyless(t *testing.T) {
	t.Parallel()
	newCA := func() *ca.VirtualSigstore {
		s, err := ca.NewVirtualSigstore()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s, other := newCA(), newCA()
	during, exact := time.Now().Add(time.Minute), fmt.Sprintf(`{"issuer":%q,"subject":%q}`, issuer, subject)
	trusted := trustedRoot(t, s, false)
	for name, tt := range map[string]struct {
		trusted    []byte
		identities string
		at         time.Time
		change     func(map[string]any)
		want       error
	}{
		"good":                               {},
		"pattern":                            {identities: `{"issuer":"` + issuer + `","subjectPattern":"[a-z]+@example\\.org"}`},
		"one of two":                         {identities: `{"issuer":"` + issuer + `","subject":"x@example.org"},` + exact},
		"other identity":                     {identities: `{"issuer":"` + issuer + `","subject":"other@example.org"}`, want: ErrIdentity},
		"part of it":                         {identities: `{"issuer":"` + issuer + `","subjectPattern":"example"}`, want: ErrIdentity},
		"other issuer":                       {identities: `{"issuer":"https://other.example.org","subject":"` + subject + `"}`, want: ErrIdentity},
		"other root":                         {trusted: trustedRoot(t, other, false), want: ErrSigstore},
		"no SCT":                             {trusted: trustedRoot(t, s, true), want: ErrSigstore},
		"logged after the certificate ended": {at: time.Now().Add(time.Hour), want: ErrSigstore},
		"no time that is signed":             {change: func(b map[string]any) { delete(logEntry(b), "inclusionPromise") }, want: ErrSigstore},
		"other time":                         {change: func(b map[string]any) { logEntry(b)["integratedTime"] = "1700000000" }, want: ErrSigstore},
		"other entry": {change: func(b map[string]any) {
			logEntry(b)["canonicalizedBody"] = logEntry(decoded(t, attested(t, s, during, nil)))["canonicalizedBody"]
		}, want: ErrSigstore},
		"other payload": {change: func(b map[string]any) {
			p := fmt.Appendf(nil, `{"_type":%q,"subject":[{"digest":{"sha256":"%064d"}}],"predicateType":"https://example.org/p"}`, StatementType, 1)
			b["dsseEnvelope"].(map[string]any)["payload"] = base64.StdEncoding.EncodeToString(p)
		}, want: ErrSigstore},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.trusted == nil {
				tt.trusted = trusted
			}
			if tt.identities == "" {
				tt.identities = exact
			}
			if tt.at.IsZero() {
				tt.at = during
			}
			e, err := ReadBundle(attested(t, s, tt.at, tt.change))
			if err != nil {
				t.Fatal(err)
			}
			// The certificate has ended long before it is verified.
			signer, err := e.Verify(trustFile(t, tt.trusted, tt.identities), time.Now().AddDate(1, 0, 0))
			if !errors.Is(err, tt.want) || tt.want == nil && err != nil {
				t.Fatalf("%v, want %v", err, tt.want)
			}
			if err == nil && (signer.KeyID == "" || signer.Certificate != subject+", vouched for by "+issuer) {
				t.Errorf("signed by %+v", signer)
			}
			if _, err := e.Verify(Trust{}, time.Now()); !errors.Is(err, ErrKeyless) {
				t.Errorf("without trust: %v", err)
			}
		})
	}
}

func decoded(t testing.TB, p []byte) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(p, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// FuzzKeyless goes from bytes through the libraries of sigstore: what was not
// signed so is not believed, and nothing panics.
func FuzzKeyless(f *testing.F) {
	s, err := ca.NewVirtualSigstore()
	if err != nil {
		f.Fatal(err)
	}
	trust := trustFile(f, trustedRoot(f, s, false), fmt.Sprintf(`{"issuer":%q,"subject":%q}`, issuer, subject))
	good := attested(f, s, time.Now().Add(time.Minute), nil)
	e, err := ReadBundle(good)
	if err != nil {
		f.Fatal(err)
	}
	payload := string(e.Payload)
	f.Add(good)
	f.Fuzz(func(t *testing.T, p []byte) {
		e, err := ReadBundle(p)
		if err != nil || e.Method != MethodKeyless {
			return
		}
		if _, err := e.Verify(trust, time.Now()); err == nil && string(e.Payload) != payload {
			t.Errorf("believed %q", e.Payload)
		}
	})
}
