package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carat-hub/carat/licenses/lineage"
	"github.com/carat-hub/carat/registry"
)

// keyPair writes a private key and its public half and returns both files.
func keyPair(t *testing.T, dir, name string) (k *ecdsa.PrivateKey, private, public string) {
	t.Helper()
	k = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	private, public = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".pub")
	write(t, private, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(k))(t)}))
	write(t, public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(&k.PublicKey))(t)}))
	return k, private, public
}

// certified writes a root certificate, and returns a certificate below it for a key.
func certified(t *testing.T, dir string, k *ecdsa.PrivateKey) (root string, chain [][]byte) {
	t.Helper()
	rootKey := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))(t)
	top := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Root"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	rootDER := must(x509.CreateCertificate(rand.Reader, top, top, &rootKey.PublicKey, rootKey))(t)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Publisher"}, NotBefore: top.NotBefore, NotAfter: top.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
	leafDER := must(x509.CreateCertificate(rand.Reader, leaf, top, &k.PublicKey, rootKey))(t)
	root = filepath.Join(dir, "root.pem")
	write(t, root, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER}))
	return root, [][]byte{leafDER, rootDER}
}

func signSHA256(t *testing.T, k *ecdsa.PrivateKey, message []byte) []byte {
	t.Helper()
	sum := sha256.Sum256(message)
	return must(k.Sign(rand.Reader, sum[:], crypto.SHA256))(t)
}

// attach pushes a document as a referrer of a manifest, or under a tag when
// there is one.
func attach(t *testing.T, p *peer, subject registry.Digest, tag, artifactType, mediaType string, document []byte, annotations map[string]string) {
	t.Helper()
	blob := func(b []byte) map[string]any {
		d := registry.DigestOf(registry.SHA256, b).String()
		p.want(t, http.StatusCreated, "", http.MethodPost, "blobs/uploads/?digest="+d, b, "Content-Type", "application/octet-stream")
		return map[string]any{"digest": d, "size": len(b)}
	}
	config, layer := blob([]byte("{}")), blob(document)
	config["mediaType"], layer["mediaType"], layer["annotations"] = registry.MediaTypeOCIEmpty, mediaType, annotations
	m := map[string]any{"schemaVersion": 2, "mediaType": registry.MediaTypeOCIManifest, "config": config, "layers": []any{layer}}
	if tag == "" {
		m["artifactType"] = artifactType
		head := p.want(t, http.StatusOK, "", http.MethodGet, "manifests/"+subject.String(), nil, "Accept", registry.MediaTypeOCIManifest)
		m["subject"] = map[string]any{"mediaType": registry.MediaTypeOCIManifest, "digest": subject.String(), "size": len(head.body)}
	}
	body := must(json.Marshal(m))(t)
	if tag == "" {
		tag = registry.DigestOf(registry.SHA256, body).String()
	}
	p.want(t, http.StatusCreated, "", http.MethodPut, "manifests/"+tag, body, "Content-Type", registry.MediaTypeOCIManifest)
}

// evidence asks the hub what is signed of a version.
func evidence(t *testing.T, p *peer, d registry.Digest) registry.Provenance {
	t.Helper()
	var got registry.Provenance
	r := p.want(t, http.StatusOK, "", http.MethodGet, "/api/v1/models/"+p.repo+"/versions/"+d.String()+"/provenance", nil)
	if err := json.Unmarshal(r.body, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

func states(p registry.Provenance, kind registry.EvidenceKind) (list []string) {
	for _, e := range p.Evidence {
		if e.Kind == kind {
			list = append(list, string(e.State))
		}
	}
	slices.Sort(list)
	return list
}

func pushed(t *testing.T, u user, args ...string) registry.Digest {
	t.Helper()
	out := strings.TrimSpace(u.must(t, "", append([]string{"push"}, args...)...))
	return must(registry.ParseDigest(out[strings.LastIndexByte(out, '@')+1:]))(t)
}

// TestModelSignature signs a folder, pushes it, and verifies it in all ways.
func TestModelSignature(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k, private, public := keyPair(t, dir, "signer")
	_, _, other := keyPair(t, dir, "other")
	root, chain := certified(t, dir, k)
	chainFile := filepath.Join(dir, "chain.pem")
	var text []byte
	for _, der := range chain {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	write(t, chainFile, text)
	_, url := startHub(t, serveConfig{TrustedKeys: public}, nil)
	u, host := user{t.TempDir()}, strings.TrimPrefix(url, "http://")
	u.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")

	folder := filepath.Join(dir, "model")
	if err := os.CopyFS(folder, os.DirFS(example)); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, ".cache"), []byte("x"))
	signedRoot := strings.TrimSpace(strings.TrimPrefix(u.must(t, "", "sign", folder, "--key", private), "sha256:"))
	u.expect(t, 0, "signature  valid, by key sha256:", "verify-signature", folder, "--key", public)
	u.expect(t, 1, "not signed by a trusted key", "verify-signature", folder, "--key", other)
	ref := host + "/demo/signed:v1"
	d := pushed(t, u, folder, ref)
	u.expect(t, 0, "exactly those that were signed", "verify-signature", ref, "--key", public)
	u.expect(t, 1, "not signed by a trusted key", "verify-signature", ref, "--key", other)
	p := newPeer(t, url, "demo/signed")
	if got := evidence(t, p, d); got.Root != signedRoot || !slices.Equal(states(got, registry.ModelSignature), []string{"verified"}) {
		t.Errorf("root %s, want %s; %+v", got.Root, signedRoot, got.Evidence)
	}

	byChain := filepath.Join(dir, "chain.sig")
	u.must(t, "", "sign", folder, "--key", private, "--certificate-chain", chainFile, "--signature", byChain, "--ignore", "model.sig")
	u.expect(t, 0, "certificate CN=Publisher", "verify-signature", ref, "--signature", byChain, "--certificate-chain", root)
	shards := filepath.Join(dir, "shards.sig")
	u.must(t, "", "sign", folder, "--key", private, "--shard-size", "1000000", "--hash", "blake2b", "--signature", shards, "--ignore", "model.sig")
	u.expect(t, 0, "signature  valid", "verify-signature", folder, "--signature", shards, "--key", public)
	u.expect(t, 1, "without reading the files", "verify-signature", ref, "--signature", shards, "--key", public)

	config := filepath.Join(folder, "config.json")
	original := read(t, config)
	write(t, config, append(slices.Clone(original), ' '))
	u.expect(t, 1, `"config.json" is`, "verify-signature", folder, "--key", public)
	tampered := host + "/demo/tampered:v1"
	d = pushed(t, u, folder, tampered)
	u.expect(t, 1, `"config.json" is`, "verify-signature", tampered, "--key", public)
	if got := evidence(t, newPeer(t, url, "demo/tampered"), d); !slices.Equal(states(got, registry.ModelSignature), []string{"invalid"}) {
		t.Errorf("of other files: %+v", got.Evidence)
	}
	write(t, config, original)
	write(t, filepath.Join(folder, "extra.json"), []byte("{}"))
	u.expect(t, 1, `"extra.json" was not signed`, "verify-signature", folder, "--key", public)
	u.expect(t, 1, "model.sig", "verify-signature", example, "--key", public)
	u.expect(t, 2, "either --key or", "verify-signature", folder)
	u.expect(t, 2, "--key is required", "sign", folder)
	u.expect(t, 2, "no-such", "verify-signature", "no-such", "--key", public)
}

// TestProvenance attaches what others sign and what they do not, made here by
// the letter of the specifications, and looks at what the hub believes.
func TestProvenance(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k, _, public := keyPair(t, dir, "builder")
	stranger, _, _ := keyPair(t, dir, "stranger")
	root, chain := certified(t, dir, k)
	trusted := filepath.Join(dir, "trusted.pem")
	write(t, trusted, append(read(t, public), read(t, root)...))
	_, url := startHub(t, serveConfig{TrustedKeys: trusted}, nil)
	u, host := user{t.TempDir()}, strings.TrimPrefix(url, "http://")
	u.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
	base := pushed(t, u, example, host+"/demo/base:v1")
	tuned := filepath.Join(dir, "tuned")
	if err := os.CopyFS(tuned, os.DirFS(example)); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(tuned, "NOTES.txt"), []byte("tuned"))
	d := pushed(t, u, tuned, host+"/demo/tuned:v1", "--source", "https://huggingface.co/acme/tuned@main", "--wait")
	p := newPeer(t, url, "demo/tuned")

	slsa := func(k *ecdsa.PrivateKey, subject registry.Digest) []byte {
		payload := fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"%s"}}],"predicateType":"https://slsa.dev/provenance/v1",
			"predicate":{"buildDefinition":{"buildType":"https://ci.example.org/finetune/v1","externalParameters":{},"resolvedDependencies":[
			{"uri":"oci://%s/demo/base","digest":{"sha256":"%s"}},{"uri":"git+https://example.org/code"}]},"runDetails":{"builder":{"id":"https://ci.example.org"}}}}`,
			subject.Hex(), host, base.Hex())
		sig := signSHA256(t, k, fmt.Appendf(nil, "DSSEv1 28 application/vnd.in-toto+json %d %s", len(payload), payload))
		return must(json.Marshal(map[string]any{"payloadType": "application/vnd.in-toto+json", "payload": payload, "signatures": []any{map[string]any{"sig": sig}}}))(t)
	}
	edges := func() (list []lineage.Edge) {
		t.Helper()
		var a registry.Assessment
		r := p.want(t, http.StatusOK, "", http.MethodGet, "/api/v1/models/demo/tuned/versions/v1/assessment", nil)
		if err := json.Unmarshal(r.body, &a); err != nil {
			t.Fatal(err)
		}
		return a.Works[0].Edges
	}
	const dsse = "application/vnd.dsse.envelope.v1+json"
	before := edges()
	attach(t, p, d, "", dsse, dsse, slsa(stranger, d), nil)
	attach(t, p, d, "", dsse, dsse, slsa(k, base), nil) // about another version
	attach(t, p, d, "", dsse, dsse, []byte("{}"), nil)
	if after := edges(); len(after) != len(before) {
		t.Errorf("unverified provenance gave edges: %+v", after)
	}
	attach(t, p, d, "", dsse, dsse, slsa(k, d), nil)
	want := lineage.Edge{To: "demo/base@" + base.String(), Relation: lineage.FineTune, Origin: lineage.FromAttestation}
	if after := edges(); len(after) != len(before)+1 || after[0] != want {
		t.Errorf("edges %+v, want first %+v", after, want)
	}

	simple := fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":"%s/demo/tuned"},"image":{"docker-manifest-digest":"%s"},"type":"cosign container image signature"},"optional":null}`, host, d)
	const simpleType = "application/vnd.dev.cosign.simplesigning.v1+json"
	by := func(k *ecdsa.PrivateKey) map[string]string {
		return map[string]string{"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(signSHA256(t, k, simple))}
	}
	attach(t, p, d, "sha256-"+d.Hex()+".sig", "", simpleType, simple, by(k))
	attach(t, p, d, "", "application/vnd.dev.cosign.artifact.sig.v1+json", simpleType, simple, by(stranger))

	notation := func(about registry.Digest) []byte {
		b64 := base64.RawURLEncoding.EncodeToString
		head := b64(fmt.Appendf(nil, `{"alg":"ES256","cty":"application/vnd.cncf.notary.payload.v1+json","crit":["io.cncf.notary.signingScheme"],"io.cncf.notary.signingScheme":"notary.x509","io.cncf.notary.signingTime":"%s"}`, time.Now().UTC().Format(time.RFC3339)))
		body := b64(fmt.Appendf(nil, `{"targetArtifact":{"mediaType":"%s","digest":"%s","size":1}}`, registry.MediaTypeOCIManifest, about))
		sum := sha256.Sum256([]byte(head + "." + body))
		r, s, err := ecdsa.Sign(rand.Reader, k, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		sig := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		return must(json.Marshal(map[string]any{"payload": body, "protected": head, "signature": b64(sig), "header": map[string]any{"x5c": chain}}))(t)
	}
	attach(t, p, d, "", "application/vnd.cncf.notary.signature", "application/jose+json", notation(d), nil)
	attach(t, p, d, "", "application/vnd.cncf.notary.signature", "application/jose+json", notation(base), nil)

	got := evidence(t, p, d)
	for end := time.Now().Add(30 * time.Second); len(states(got, registry.VerdictSummary)) == 0 && time.Now().Before(end); got = evidence(t, p, d) {
		// The summary comes a moment after the verdict that the push waited for.
	}
	for kind, want := range map[registry.EvidenceKind][]string{
		registry.SLSAProvenance:    {"invalid", "unverified", "verified", "verified"}, // another version, a stranger, the builder, the hub's import
		registry.CosignSignature:   {"unverified", "verified"},
		registry.NotationSignature: {"invalid", "verified"},
		registry.VerdictSummary:    {"verified"},
		registry.OtherStatement:    {"invalid"},
	} {
		if s := states(got, kind); !slices.Equal(s, want) {
			t.Errorf("%s: %v, want %v", kind, s, want)
		}
	}
	for _, e := range got.Evidence {
		switch {
		case e.Kind == registry.VerdictSummary:
			if !e.Own || e.Result != "PASSED" || !slices.Contains(e.Levels, "CHECKS_PASSED") || !slices.ContainsFunc(e.Levels, func(l string) bool { return strings.HasPrefix(l, "OPENNESS_L") }) {
				t.Errorf("summary %+v", e)
			}
		case e.Own:
			if len(e.Dependencies) != 1 || !e.Dependencies[0].Declared || e.Dependencies[0].URI != "https://huggingface.co/acme/tuned" {
				t.Errorf("import %+v", e)
			}
		}
	}
	if b, err := hex.DecodeString(got.Root); err != nil || len(b) != 32 || !got.Complete {
		t.Errorf("root %q, complete %t", got.Root, got.Complete)
	}
	page := string(p.want(t, http.StatusOK, "", http.MethodGet, "/demo/tuned/provenance", nil).body)
	for _, text := range []string{"SLSA provenance", "by this hub", "declared by who pushed it", "CN=Publisher", "Unverified", "CHECKS_PASSED"} {
		if !strings.Contains(page, text) {
			t.Errorf("the page lacks %q", text)
		}
	}
}
