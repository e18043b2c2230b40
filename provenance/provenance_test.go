package provenance

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	now    = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	digest = strings.Repeat("ab", 32)
)

func curveKey(t testing.TB, c elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func rsaKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// selfSigned makes a certificate that may sign code and is its own root.
func selfSigned(t testing.TB, k crypto.Signer) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "publisher"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func trusting(t testing.TB, publics ...crypto.PublicKey) Trust {
	t.Helper()
	var trust Trust
	for _, p := range publics {
		k, err := NewKey(p)
		if err != nil {
			t.Fatal(err)
		}
		trust.Keys = append(trust.Keys, k)
	}
	return trust
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	p, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// sign signs as each kind of key does by default.
func sign(t testing.TB, k crypto.Signer, message []byte) []byte {
	t.Helper()
	hash, sum := crypto.SHA256, func() []byte { s := sha256.Sum256(message); return s[:] }()
	switch public := k.Public().(type) {
	case ed25519.PublicKey:
		hash, sum = 0, message
	case *ecdsa.PublicKey:
		switch public.Curve {
		case elliptic.P384():
			s := sha512.Sum384(message)
			sum = s[:]
		case elliptic.P521():
			s := sha512.Sum512(message)
			sum = s[:]
		}
	}
	sig, err := k.Sign(rand.Reader, sum, hash)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// dsse makes an envelope by the letter of the specification.
func dsse(t testing.TB, payload []byte, keys ...crypto.Signer) map[string]any {
	t.Helper()
	message := fmt.Sprintf("DSSEv1 28 application/vnd.in-toto+json %d %s", len(payload), payload)
	sigs := []any{}
	for _, k := range keys {
		sigs = append(sigs, map[string]any{"sig": sign(t, k, []byte(message))})
	}
	return map[string]any{"payloadType": "application/vnd.in-toto+json", "payload": payload, "signatures": sigs}
}

func TestEnvelope(t *testing.T) {
	t.Parallel()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	payload := []byte(`{"_type":"x"}`)
	stranger := curveKey(t, elliptic.P256())
	for name, k := range map[string]crypto.Signer{
		"Ed25519": ed, "RSA": rsaKey(t), "P-256": curveKey(t, elliptic.P256()), "P-384": curveKey(t, elliptic.P384()), "P-521": curveKey(t, elliptic.P521()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := ReadEnvelope(encode(t, dsse(t, payload, stranger, k)))
			if err != nil {
				t.Fatal(err)
			}
			trust := trusting(t, k.Public())
			s, err := e.Verify(trust, now)
			if err != nil || s.KeyID != trust.Keys[0].ID || string(e.Payload) != string(payload) {
				t.Errorf("%v, %+v, %s", err, s, e.Payload)
			}
			if _, err := e.Verify(trusting(t, curveKey(t, elliptic.P256()).Public()), now); !errors.Is(err, ErrUnknownKey) || !Unproved(err) {
				t.Errorf("under another key: %v", err)
			}
			if _, err := e.Verify(Trust{}, now); !errors.Is(err, ErrUnknownKey) {
				t.Errorf("without keys: %v", err)
			}
			other := dsse(t, payload, k)
			other["payload"] = []byte(`{"_type":"y"}`)
			if e, err = ReadEnvelope(encode(t, other)); err != nil {
				t.Fatal(err)
			}
			if _, err := e.Verify(trust, now); !errors.Is(err, ErrUnknownKey) {
				t.Errorf("another payload: %v", err)
			}
		})
	}
}

func TestReadEnvelopeRefuses(t *testing.T) {
	t.Parallel()
	k := curveKey(t, elliptic.P256())
	envelope := string(encode(t, dsse(t, []byte(`{}`), k)))
	in := func(material, envelope string) string {
		return `{"mediaType":"` + MediaTypeBundle + `","verificationMaterial":` + material + `,"dsseEnvelope":` + envelope + `}`
	}
	certificate := base64.StdEncoding.EncodeToString(selfSigned(t, k).Raw)
	for name, tt := range map[string]struct {
		text string
		want error
	}{
		"envelope":          {envelope, nil},
		"bundle":            {in(`{"publicKey":{"rawBytes":"eA=="}}`, envelope), nil},
		"chain":             {in(`{"x509CertificateChain":{"certificates":[{"rawBytes":"`+certificate+`"}]}}`, envelope), nil},
		"keyless":           {in(`{"certificate":{"rawBytes":"eA=="},"tlogEntries":[{}]}`, envelope), nil},
		"keyless, no log":   {in(`{"certificate":{"rawBytes":"eA=="}}`, envelope), ErrMalformed},
		"two materials":     {in(`{"publicKey":{"hint":"x"},"certificate":{"rawBytes":"eA=="}}`, envelope), ErrMalformed},
		"no material":       {in(`{}`, envelope), ErrMalformed},
		"null material":     {in(`null`, envelope), ErrMalformed},
		"nameless key":      {in(`{"publicKey":{}}`, envelope), ErrMalformed},
		"empty chain":       {in(`{"x509CertificateChain":{"certificates":[]}}`, envelope), ErrMalformed},
		"no certificate":    {in(`{"x509CertificateChain":{"certificates":[{"rawBytes":"eA=="}]}}`, envelope), ErrMalformed},
		"other version":     {strings.Replace(in(`{"publicKey":{"hint":"x"}}`, envelope), "v0.3", "v0.9", 1), ErrUnsupported},
		"message signature": {`{"mediaType":"` + MediaTypeBundle + `","verificationMaterial":{"publicKey":{"hint":"x"}},"messageSignature":{}}`, ErrUnsupported},
		"empty bundle":      {`{"mediaType":"` + MediaTypeBundle + `","verificationMaterial":{"publicKey":{"hint":"x"}}}`, ErrMalformed},
		"statement alone":   {`{"_type":"https://in-toto.io/Statement/v1"}`, ErrUnsigned},
		"no signatures":     {`{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[]}`, ErrUnsigned},
		"other payload":     {`{"payloadType":"text/plain","payload":"e30=","signatures":[{"sig":"eA=="}]}`, ErrUnsupported},
		"no base64":         {`{"payloadType":"application/vnd.in-toto+json","payload":"!","signatures":[{"sig":"eA=="}]}`, ErrMalformed},
		"key twice":         {`{"payloadType":"application/vnd.in-toto+json","payloadtype":"x"}`, ErrMalformed},
		"something after":   {envelope + `{}`, ErrMalformed},
		"list":              {`[]`, ErrMalformed},
		"nothing":           {``, ErrMalformed},
		"other object":      {`{}`, ErrMalformed},
		"deep":              {`{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, ErrMalformed},
		"large":             {`{"x":"` + strings.Repeat("x", MaxDocument) + `"}`, ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := ReadEnvelope([]byte(tt.text)); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

func TestParseTrust(t *testing.T) {
	t.Parallel()
	k := curveKey(t, elliptic.P384())
	der, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: selfSigned(t, k).Raw})
	trust, err := ParseTrust(append(public, certificate...))
	if err != nil || len(trust.Keys) != 1 || len(trust.Roots) != 1 || trust.Empty() || !strings.HasPrefix(trust.Keys[0].ID, "sha256:") {
		t.Errorf("%v, %+v", err, trust)
	}
	if ders, err := ParseCertificates(append(certificate, certificate...)); err != nil || len(ders) != 2 {
		t.Errorf("%v, %d certificates", err, len(ders))
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := x509.MarshalPKIXPublicKey(small.Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string][]byte{
		"nothing": nil, "private": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY"}), "broken": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY"}),
		"no certificate": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE"}), "large": make([]byte, maxTrust+1),
		"weak": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: weak}),
	} {
		if _, err := ParseTrust(p); !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := ParseCertificates(p); !errors.Is(err, ErrKey) && name != "no certificate" {
			t.Errorf("certificates, %s: %v", name, err)
		}
	}
}

const slsa = `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"m","digest":{"sha256":"%s"}}],
"predicateType":"https://slsa.dev/provenance/v1","predicate":{"buildDefinition":{"buildType":"%s","externalParameters":{},
"resolvedDependencies":%s},"runDetails":{"builder":{"id":"https://ci.example.org"},"metadata":{"startedOn":"2030-01-02T03:04:05Z"}}}}`

func TestDependencies(t *testing.T) {
	t.Parallel()
	other := strings.Repeat("cd", 32)
	for name, tt := range map[string]struct {
		build, dependencies string
		want                []Dependency
	}{
		"Hugging Face": {
			"https://ci.example.org/quantize/v1", `[{"uri":"https://huggingface.co/acme/Base","digest":{"sha256":"` + other + `"}}]`,
			[]Dependency{{Name: "acme/Base", Relation: "quantized", SHA256: other, URI: "https://huggingface.co/acme/Base"}},
		},
		"package": {
			BuildTypePrefix + "merge/v1", `[{"uri":"pkg:huggingface/acme/base@main"},{"uri":"pkg:huggingface/datasets/acme/words"}]`,
			[]Dependency{{Name: "acme/base", Relation: "merge", URI: "pkg:huggingface/acme/base@main"}, {Name: "acme/words", Relation: "dataset", URI: "pkg:huggingface/datasets/acme/words"}},
		},
		"OCI": {
			"https://example.org/unheard-of", `[{"uri":"oci://hub.example.org/acme/base@sha256:` + other + `"}]`,
			[]Dependency{{Name: "acme/base", Relation: "finetune", URI: "oci://hub.example.org/acme/base@sha256:" + other}},
		},
		"annotated": {
			"https://example.org/train/v1", `[{"name":"acme/base","digest":{"sha256":"` + other + `"},"annotations":{"relation":"Distill","declared":"true"}}]`,
			[]Dependency{{Name: "acme/base", Relation: "distill", SHA256: other, Declared: true}},
		},
		"others":        {"https://example.org/train/v1", `[{"uri":"git+https://github.com/acme/code"},{"uri":"pkg:docker/acme/image"},{"name":"x"},{"uri":"https://huggingface.co/acme"},{"uri":":"}]`, nil},
		"datasets page": {"https://example.org/train/v1", `[{"uri":"https://huggingface.co/datasets/acme/words/tree/main"}]`, []Dependency{{Name: "acme/words", Relation: "dataset", URI: "https://huggingface.co/datasets/acme/words/tree/main"}}},
		"nothing":       {"x", `null`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := ReadStatement(fmt.Appendf(nil, slsa, digest, tt.build, tt.dependencies))
			if err != nil {
				t.Fatal(err)
			}
			p, err := ReadProvenance(s)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, p.Dependencies()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{digest}, s.SHA256()); diff != "" {
				t.Errorf("subjects (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadStatementRefuses(t *testing.T) {
	t.Parallel()
	good := fmt.Sprintf(slsa, digest, "x", "[]")
	for name, text := range map[string]string{
		"type":      strings.Replace(good, "in-toto.io", "example.org", 1),
		"predicate": strings.Replace(good, `"https://slsa.dev/provenance/v1"`, `""`, 1),
		"digest":    strings.Replace(good, digest, "00", 1),
		"capitals":  strings.Replace(good, digest, strings.ToUpper(digest), 1),
		"subject":   strings.Replace(good, `{"name":"m","digest":{"sha256":"`+digest+`"}}`, `{"name":"m"}`, 1),
		"subjects":  strings.Replace(good, `{"name":"m","digest":{"sha256":"`+digest+`"}}`, ``, 1),
		"long name": strings.Replace(good, `"name":"m"`, `"name":"`+strings.Repeat("m", maxText+1)+`"`, 1),
	} {
		if _, err := ReadStatement([]byte(text)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"build type": fmt.Sprintf(slsa, digest, "", "[]"),
		"builder":    strings.Replace(good, "https://ci.example.org", "", 1),
		"many":       fmt.Sprintf(slsa, digest, "x", "["+strings.Repeat("{},", maxDependencies)+"{}]"),
		"digest":     fmt.Sprintf(slsa, digest, "x", `[{"digest":{"sha256":"x"}}]`),
	} {
		s, err := ReadStatement([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := ReadProvenance(s); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCosign(t *testing.T) {
	t.Parallel()
	k := curveKey(t, elliptic.P256())
	payload := fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":"hub.example.org/a/b"},"image":{"docker-manifest-digest":"sha256:%s"},"type":"cosign container image signature"},"optional":null}`, digest)
	annotations := map[string]string{AnnotationCosign: base64.StdEncoding.EncodeToString(sign(t, k, payload))}
	c, err := ReadCosign(payload, annotations)
	if err != nil || c.Digest != "sha256:"+digest {
		t.Fatalf("%v, %+v", err, c)
	}
	if s, err := c.Verify(trusting(t, k.Public())); err != nil || s.KeyID == "" {
		t.Errorf("%v, %+v", err, s)
	}
	stranger := trusting(t, curveKey(t, elliptic.P256()).Public())
	if _, err := c.Verify(stranger); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("under another key: %v", err)
	}
	annotations[annotationCosignIdentity] = "-----BEGIN CERTIFICATE-----"
	if c, err = ReadCosign(payload, annotations); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Verify(stranger); !errors.Is(err, ErrKeyless) {
		t.Errorf("keyless: %v", err)
	}
	for name, tt := range map[string]struct {
		payload string
		sig     string
		want    error
	}{
		"unsigned": {string(payload), "", ErrUnsigned},
		"base64":   {string(payload), "!", ErrMalformed},
		"type":     {strings.Replace(string(payload), "cosign container", "other", 1), "eA==", ErrMalformed},
		"digest":   {strings.Replace(string(payload), digest, "x", 1), "eA==", ErrMalformed},
		"JSON":     {"x", "eA==", ErrMalformed},
		"large":    {strings.Repeat(" ", maxSimpleSigning) + string(payload), "eA==", ErrMalformed},
	} {
		if _, err := ReadCosign([]byte(tt.payload), map[string]string{AnnotationCosign: tt.sig}); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	if tag := CosignTag("sha256:" + digest); tag != "sha256-"+digest+".sig" {
		t.Error(tag)
	}
}

// jws makes an envelope of notation by the letter of its specification.
func jws(t testing.TB, k crypto.Signer, change func(protected, payload map[string]any)) []byte {
	t.Helper()
	alg := map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
	protected := map[string]any{
		"cty": "application/vnd.cncf.notary.payload.v1+json", "crit": []string{"io.cncf.notary.signingScheme"},
		"io.cncf.notary.signingScheme": "notary.x509", "io.cncf.notary.signingTime": now.Format(time.RFC3339), "alg": "PS256",
	}
	if e, ok := k.(*ecdsa.PrivateKey); ok {
		protected["alg"] = alg[e.Params().Name]
	}
	payload := map[string]any{"targetArtifact": map[string]any{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:" + digest, "size": 1}}
	if change != nil {
		change(protected, payload)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	head, body := b64(encode(t, protected)), b64(encode(t, payload))
	message := []byte(head + "." + body)
	var sig []byte
	var err error
	switch k := k.(type) {
	case *rsa.PrivateKey:
		sum := sha256.Sum256(message)
		sig, err = rsa.SignPSS(rand.Reader, k, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: 32})
	case *ecdsa.PrivateKey:
		sum := func() []byte { s := sha256.Sum256(message); return s[:] }()
		if k.Params().BitSize == 384 {
			s := sha512.Sum384(message)
			sum = s[:]
		}
		r, s, serr := ecdsa.Sign(rand.Reader, k, sum)
		size := (k.Params().BitSize + 7) / 8
		sig, err = append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...), serr
	}
	if err != nil {
		t.Fatal(err)
	}
	return encode(t, map[string]any{
		"payload": body, "protected": head, "signature": b64(sig),
		"header": map[string]any{"x5c": [][]byte{selfSigned(t, k).Raw}, "io.cncf.notary.signingAgent": "test"},
	})
}

func TestNotation(t *testing.T) {
	t.Parallel()
	for name, k := range map[string]crypto.Signer{"RSA": rsaKey(t), "P-256": curveKey(t, elliptic.P256()), "P-384": curveKey(t, elliptic.P384())} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, err := ReadNotation(jws(t, k, nil))
			if err != nil || n.Digest != "sha256:"+digest || !n.SigningTime.Equal(now) {
				t.Fatalf("%v, %+v", err, n)
			}
			root, err := x509.ParseCertificate(n.chain[0])
			if err != nil {
				t.Fatal(err)
			}
			trust := Trust{Roots: []*x509.Certificate{root}}
			if s, err := n.Verify(trust, now); err != nil || s.Certificate != "CN=publisher" {
				t.Errorf("%v, %+v", err, s)
			}
			if _, err := n.Verify(trust, now.Add(2*time.Hour)); !errors.Is(err, ErrCertificate) {
				t.Errorf("later: %v", err)
			}
			if _, err := n.Verify(Trust{Roots: []*x509.Certificate{selfSigned(t, curveKey(t, elliptic.P256()))}}, now); !errors.Is(err, ErrCertificate) {
				t.Errorf("under another root: %v", err)
			}
			n.message = append(n.message, 'x')
			if _, err := n.Verify(trust, now); !errors.Is(err, ErrSignature) {
				t.Errorf("of another message: %v", err)
			}
		})
	}
}

func TestNotationRefuses(t *testing.T) {
	t.Parallel()
	k := curveKey(t, elliptic.P256())
	for name, tt := range map[string]struct {
		change func(protected, payload map[string]any)
		want   error
	}{
		"content":      {func(h, _ map[string]any) { h["cty"] = "x" }, ErrUnsupported},
		"scheme":       {func(h, _ map[string]any) { h["io.cncf.notary.signingScheme"] = "notary.x509.signingAuthority" }, ErrUnsupported},
		"not critical": {func(h, _ map[string]any) { h["crit"] = []string{} }, ErrMalformed},
		"critical":     {func(h, _ map[string]any) { h["crit"] = []string{"io.cncf.notary.signingScheme", "x"} }, ErrUnsupported},
		"expiry":       {func(h, _ map[string]any) { h["io.cncf.notary.expiry"] = now.Format(time.RFC3339) }, ErrMalformed},
		"target":       {func(_, p map[string]any) { p["targetArtifact"] = map[string]any{} }, ErrMalformed},
	} {
		if _, err := ReadNotation(jws(t, k, tt.change)); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	for name, text := range map[string]string{"JSON": "x", "empty": "{}", "base64": `{"payload":"!","protected":"e30","signature":"e30"}`, "large": strings.Repeat(" ", maxNotation+1)} {
		if _, err := ReadNotation([]byte(text)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	verify := func(change func(h, _ map[string]any)) error {
		n, err := ReadNotation(jws(t, k, change))
		if err != nil {
			t.Fatal(err)
		}
		root, err := x509.ParseCertificate(n.chain[0])
		if err != nil {
			t.Fatal(err)
		}
		_, err = n.Verify(Trust{Roots: []*x509.Certificate{root}}, now)
		return err
	}
	expires := func(at time.Time) func(h, _ map[string]any) {
		return func(h, _ map[string]any) {
			h["crit"] = []string{"io.cncf.notary.signingScheme", "io.cncf.notary.expiry"}
			h["io.cncf.notary.expiry"] = at.Format(time.RFC3339)
		}
	}
	if err := verify(expires(now.Add(-time.Minute))); !errors.Is(err, ErrExpired) {
		t.Errorf("expired: %v", err)
	}
	if err := verify(expires(now.Add(time.Minute))); err != nil {
		t.Errorf("before it expires: %v", err)
	}
	for _, alg := range []string{"none", "HS256", "ES384", "PS256", ""} {
		if err := verify(func(h, _ map[string]any) { h["alg"] = alg }); !errors.Is(err, ErrSignature) {
			t.Errorf("algorithm %q: %v", alg, err)
		}
	}
}

func TestReadSummary(t *testing.T) {
	t.Parallel()
	var v Summary
	v.Verifier.ID, v.VerificationResult, v.VerifiedLevels, v.TimeVerified = "https://hub.example.org", "PASSED", []string{"OPENNESS_L3"}, now
	text, err := EncodeStatement([]Resource{{Digest: map[string]string{"sha256": digest}}}, PredicateSummary, v)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ReadStatement(text)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadSummary(s)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&v, got); diff != "" {
		t.Errorf("(-written +read):\n%s", diff)
	}
	for _, change := range []func(*Summary){
		func(v *Summary) { v.Verifier.ID = "" }, func(v *Summary) { v.VerificationResult = "MAYBE" }, func(v *Summary) { v.VerifiedLevels = make([]string, 65) },
	} {
		bad := v
		change(&bad)
		s.Predicate = encode(t, bad)
		if _, err := ReadSummary(s); !errors.Is(err, ErrMalformed) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func FuzzReadEnvelope(f *testing.F) {
	k := curveKey(f, elliptic.P256())
	f.Add(encode(f, dsse(f, []byte(`{"_type":"x"}`), k)))
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"x"}},"dsseEnvelope":{}}`))
	f.Fuzz(func(t *testing.T, p []byte) {
		if e, err := ReadEnvelope(p); err == nil {
			if _, err := e.Verify(trusting(t, k.Public()), now); err != nil && !Unproved(err) && !errors.Is(err, ErrSignature) && !errors.Is(err, ErrMalformed) {
				t.Errorf("%v", err)
			}
		}
	})
}

func FuzzReadStatement(f *testing.F) {
	f.Add(fmt.Appendf(nil, slsa, digest, "https://example.org/merge/v1", `[{"uri":"https://huggingface.co/a/b","annotations":{"relation":"merge"}}]`))
	f.Fuzz(func(t *testing.T, p []byte) {
		s, err := ReadStatement(p)
		if err != nil {
			return
		}
		if v, err := ReadProvenance(s); err == nil {
			for _, d := range v.Dependencies() {
				if d.Relation == "" || d.Name == "" && d.SHA256 == "" {
					t.Errorf("a dependency without relation or name: %+v", d)
				}
			}
		}
		_, _ = ReadSummary(s)
	})
}

func FuzzReadCosign(f *testing.F) {
	f.Add(fmt.Appendf(nil, `{"critical":{"image":{"docker-manifest-digest":"sha256:%s"},"type":"cosign container image signature"}}`, digest), "eA==")
	f.Fuzz(func(t *testing.T, p []byte, sig string) {
		if c, err := ReadCosign(p, map[string]string{AnnotationCosign: sig}); err == nil && len(c.Digest) != 71 {
			t.Errorf("about %q", c.Digest)
		}
	})
}

func FuzzReadNotation(f *testing.F) {
	f.Add(jws(f, curveKey(f, elliptic.P256()), nil))
	f.Fuzz(func(t *testing.T, p []byte) {
		if n, err := ReadNotation(p); err == nil {
			if _, err := n.Verify(Trust{}, now); err == nil {
				t.Error("believed without any trust")
			}
		}
	})
}
