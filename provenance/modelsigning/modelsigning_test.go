package modelsigning

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/carat-hub/carat/provenance"
)

var now = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// folder writes files and returns where.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "my-model")
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var small = map[string]string{
	"config.json": "{}\n", "weights.bin": "0123456789", "onnx/a b.txt": "", "onnx/ü.txt": "ü",
	".git/HEAD": "x", ".gitattributes": "x", "sub/.git": "kept", "cache/x": "ignored",
}

func measure(t *testing.T, dir string, s Serialization, ignored ...string) *Manifest {
	t.Helper()
	m, err := Measure(t.Context(), dir, s, ignored...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestMeasure compares with what sha256sum and b2sum say, in the order of
// "LC_ALL=C sort", and with sha256sum over the digests through "xxd -r -p".
func TestMeasure(t *testing.T) {
	t.Parallel()
	dir := folder(t, small)
	for name, tt := range map[string]struct {
		path  string
		s     Serialization
		names []string
		first string
		root  string
	}{
		"files": {
			dir,
			Serialization{},
			[]string{"config.json", "onnx/a b.txt", "onnx/ü.txt", "sub/.git", "weights.bin"},
			"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356", "48ebbe1bb5043465d3c9a712d68fba013d51e2a6a4364a6b74bec98237610fd1",
		},
		"shards": {
			dir,
			Serialization{Method: Shards, ShardSize: 4},
			[]string{"config.json:0:3", "onnx/ü.txt:0:2", "sub/.git:0:4", "weights.bin:0:4", "weights.bin:4:8", "weights.bin:8:10"},
			"ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356", "31758fefc3d7ee83b009b948fbedc9e4dc2688b84ee10e037f888ef8f9ad1a2d",
		},
		"blake2b": {
			dir,
			Serialization{HashType: BLAKE2b},
			[]string{"config.json", "onnx/a b.txt", "onnx/ü.txt", "sub/.git", "weights.bin"},
			"035bda269db519c0bb15018359b4baf73c447696af19a05af322ab2a051084e71143e662845edaf8c591a382f18da989c6b69e8271f33e58f617a9fc67911370", "b76fde2c9bfdcdfc5e03ebf48c99026a4d3cbafe8ad03e29bbe5a91d00533814",
		},
		"one file": {filepath.Join(dir, "weights.bin"), Serialization{}, []string{"weights.bin"}, "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882", "b1c4b79edaed1a737bff254f5325092f214b7595224b0552e0c0d04a9cbc3718"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := measure(t, tt.path, tt.s, "cache")
			var names []string
			for _, r := range m.Resources {
				names = append(names, r.Name)
			}
			if diff := cmp.Diff(tt.names, names); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if m.Resources[0].Digest != tt.first || m.Root() != tt.root {
				t.Errorf("first %s, root %s", m.Resources[0].Digest, m.Root())
			}
		})
	}
}

func TestMeasureRefuses(t *testing.T) {
	t.Parallel()
	linked := folder(t, small)
	if err := os.Symlink("config.json", filepath.Join(linked, "link.json")); err != nil {
		t.Fatal(err)
	}
	outside := folder(t, small)
	if err := os.Symlink("/etc/hostname", filepath.Join(outside, "link.json")); err != nil {
		t.Fatal(err)
	}
	latin := folder(t, small)
	if err := os.WriteFile(filepath.Join(latin, "\xfc"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		path string
		s    Serialization
		err  error
	}{
		"link":           {linked, Serialization{}, ErrDiffers},
		"link outside":   {outside, Serialization{AllowSymlinks: true}, nil},
		"no UTF-8":       {latin, Serialization{}, provenance.ErrMalformed},
		"nothing":        {t.TempDir(), Serialization{}, provenance.ErrMalformed},
		"not there":      {filepath.Join(latin, "x"), Serialization{}, os.ErrNotExist},
		"blake3":         {latin, Serialization{HashType: "blake3"}, provenance.ErrUnsupported},
		"method":         {latin, Serialization{Method: "lines"}, provenance.ErrUnsupported},
		"ignored":        {latin, Serialization{IgnorePaths: []string{"../x"}}, provenance.ErrMalformed},
		"shards of none": {latin, Serialization{ShardSize: 3}, provenance.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if m, err := Measure(t.Context(), tt.path, tt.s); err == nil || tt.err != nil && !errors.Is(err, tt.err) {
				t.Errorf("%v, %+v", err, m)
			}
		})
	}
	if m := measure(t, linked, Serialization{AllowSymlinks: true}); m.Resources[2].Name != "link.json" || m.Resources[2].Digest != m.Resources[1].Digest {
		t.Errorf("a link was not followed: %+v", m.Resources)
	}
}

func key(t *testing.T, c elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// certificate makes one for a key, signed by a parent, or by itself.
func certificate(t *testing.T, name string, k, by *ecdsa.PrivateKey, parent *x509.Certificate, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(name))), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
	}
	if parent == nil || strings.HasPrefix(name, "ca") {
		c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign
	} else {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
	}
	if change != nil {
		change(c)
	}
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &k.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func trusting(t *testing.T, keys ...*ecdsa.PrivateKey) provenance.Trust {
	t.Helper()
	var trust provenance.Trust
	for _, k := range keys {
		public, err := provenance.NewKey(&k.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		trust.Keys = append(trust.Keys, public)
	}
	return trust
}

func TestSignAndVerify(t *testing.T) {
	t.Parallel()
	dir := folder(t, small)
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		t.Run(curve.Params().Name, func(t *testing.T) {
			t.Parallel()
			k := key(t, curve)
			m := measure(t, dir, Serialization{Method: Shards, ShardSize: 7}, SignatureFile)
			bundle, err := Sign(m, Signer{Key: k})
			if err != nil {
				t.Fatal(err)
			}
			s, err := Read(bundle)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(m, s.Manifest); diff != "" {
				t.Errorf("(-signed +read):\n%s", diff)
			}
			signer, err := s.Verify(trusting(t, key(t, curve), k), now)
			if err != nil || signer.KeyID == "" || signer.Certificate != "" {
				t.Errorf("%v, %+v", err, signer)
			}
			if _, err := s.Verify(trusting(t, key(t, curve)), now); !errors.Is(err, provenance.ErrUnknownKey) {
				t.Errorf("under another key: %v", err)
			}
			if err := s.Manifest.Compare(measure(t, dir, s.Manifest.Serialization)); err != nil {
				t.Error(err)
			}
			var b map[string]any
			if err := json.Unmarshal(bundle, &b); err != nil {
				t.Fatal(err)
			}
			if hint, _ := Hint(&k.PublicKey); s.Envelope.Hint != hint || len(hint) != 64 {
				t.Errorf("hint %s", s.Envelope.Hint)
			}
		})
	}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	m := measure(t, folder(t, small), Serialization{})
	rootKey, caKey, leafKey := key(t, elliptic.P256()), key(t, elliptic.P384()), key(t, elliptic.P521())
	root := certificate(t, "root", rootKey, rootKey, nil, nil)
	ca := certificate(t, "ca", caKey, rootKey, root, nil)
	leaf := func(change func(*x509.Certificate)) *x509.Certificate {
		return certificate(t, "publisher", leafKey, caKey, ca, change)
	}
	other := certificate(t, "other root", caKey, caKey, nil, nil)
	for name, tt := range map[string]struct {
		chain []*x509.Certificate
		roots []*x509.Certificate
		at    time.Time
		want  error
	}{
		"good":          {[]*x509.Certificate{leaf(nil), ca}, []*x509.Certificate{root}, now, nil},
		"whole chain":   {[]*x509.Certificate{leaf(nil), ca, root}, []*x509.Certificate{root}, now, nil},
		"gap":           {[]*x509.Certificate{leaf(nil)}, []*x509.Certificate{root}, now, provenance.ErrCertificate},
		"own root":      {[]*x509.Certificate{leaf(nil), ca, root}, nil, now, provenance.ErrCertificate},
		"another root":  {[]*x509.Certificate{leaf(nil), ca}, []*x509.Certificate{other}, now, provenance.ErrCertificate},
		"too late":      {[]*x509.Certificate{leaf(nil), ca}, []*x509.Certificate{root}, now.Add(2 * time.Hour), provenance.ErrCertificate},
		"too early":     {[]*x509.Certificate{leaf(nil), ca}, []*x509.Certificate{root}, now.Add(-2 * time.Hour), provenance.ErrCertificate},
		"for servers":   {[]*x509.Certificate{leaf(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), ca}, []*x509.Certificate{root}, now, provenance.ErrCertificate},
		"not to sign":   {[]*x509.Certificate{leaf(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }), ca}, []*x509.Certificate{root}, now, provenance.ErrCertificate},
		"any extension": {[]*x509.Certificate{leaf(func(c *x509.Certificate) { c.ExtKeyUsage = nil }), ca}, []*x509.Certificate{root}, now, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var ders [][]byte
			for _, c := range tt.chain {
				ders = append(ders, c.Raw)
			}
			bundle, err := Sign(m, Signer{Key: leafKey, Chain: ders})
			if err != nil {
				t.Fatal(err)
			}
			s, err := Read(bundle)
			if err != nil {
				t.Fatal(err)
			}
			signer, err := s.Verify(provenance.Trust{Roots: tt.roots, Keys: trusting(t, leafKey).Keys}, tt.at)
			if !errors.Is(err, tt.want) || err == nil && signer.Certificate != "CN=publisher" {
				t.Errorf("%v, %+v; want %v", err, signer, tt.want)
			}
		})
	}
	if _, err := Sign(m, Signer{Key: rootKey, Chain: [][]byte{leaf(nil).Raw}}); !errors.Is(err, provenance.ErrKey) {
		t.Errorf("with the certificate of another key: %v", err)
	}
}

// signed is a good bundle with its parts at hand.
func signed(t *testing.T, m *Manifest, change func(statement map[string]any)) []byte {
	t.Helper()
	text, err := m.Statement()
	if err != nil {
		t.Fatal(err)
	}
	var s map[string]any
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	change(s)
	if text, err = json.Marshal(s); err != nil {
		t.Fatal(err)
	}
	b := map[string]any{
		"mediaType":            provenance.MediaTypeBundle,
		"verificationMaterial": map[string]any{"publicKey": map[string]any{"hint": "x"}, "tlogEntries": []any{}},
		"dsseEnvelope": map[string]any{
			"payloadType": provenance.MediaTypeInToto, "payload": text, "signatures": []any{map[string]any{"sig": []byte("x"), "keyid": nil}},
		},
	}
	p, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	m := measure(t, folder(t, small), Serialization{})
	resource := func(s map[string]any, i int) map[string]any {
		return s["predicate"].(map[string]any)["resources"].([]any)[i].(map[string]any)
	}
	for name, tt := range map[string]struct {
		change func(map[string]any)
		want   error
	}{
		"good":              {func(map[string]any) {}, nil},
		"unknown of a file": {func(s map[string]any) { resource(s, 0)["uri"] = "x" }, nil},
		"deprecated type":   {func(s map[string]any) { s["predicateType"] = "https://model_signing/Digests/v0.1" }, ErrNotModelSigning},
		"no statement":      {func(s map[string]any) { s["_type"] = "x" }, provenance.ErrMalformed},
		"two subjects":      {func(s map[string]any) { s["subject"] = append(s["subject"].([]any), s["subject"].([]any)[0]) }, provenance.ErrMalformed},
		"another root": {func(s map[string]any) {
			s["subject"] = []any{map[string]any{"digest": map[string]any{"sha256": strings.Repeat("0", 64)}}}
		}, provenance.ErrMalformed},
		"digest":        {func(s map[string]any) { resource(s, 0)["digest"] = "00" }, provenance.ErrMalformed},
		"capitals":      {func(s map[string]any) { resource(s, 0)["digest"] = strings.ToUpper(m.Resources[0].Digest) }, provenance.ErrMalformed},
		"algorithm":     {func(s map[string]any) { resource(s, 0)["algorithm"] = "blake2b" }, provenance.ErrMalformed},
		"order":         {func(s map[string]any) { resource(s, 0)["name"] = "z" }, provenance.ErrMalformed},
		"twice":         {func(s map[string]any) { resource(s, 1)["name"] = "cache/x" }, provenance.ErrMalformed},
		"parent":        {func(s map[string]any) { resource(s, 0)["name"] = "../config.json" }, provenance.ErrMalformed},
		"absolute":      {func(s map[string]any) { resource(s, 0)["name"] = "/config.json" }, provenance.ErrMalformed},
		"no files":      {func(s map[string]any) { s["predicate"].(map[string]any)["resources"] = []any{} }, provenance.ErrMalformed},
		"unknown field": {func(s map[string]any) { s["predicate"].(map[string]any)["x"] = 1 }, provenance.ErrMalformed},
		"blake3": {func(s map[string]any) {
			s["predicate"].(map[string]any)["serialization"].(map[string]any)["hash_type"] = "blake3"
		}, provenance.ErrUnsupported},
		"shard size": {func(s map[string]any) {
			s["predicate"].(map[string]any)["serialization"].(map[string]any)["shard_size"] = 7
		}, provenance.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Read(signed(t, m, tt.change)); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

func TestCompareFiles(t *testing.T) {
	t.Parallel()
	files := []File{{"b", strings.Repeat("1", 64)}, {"a", strings.Repeat("2", 64)}, {"model.sig", strings.Repeat("3", 64)}}
	m, err := FromFiles("m", files[:2])
	if err != nil {
		t.Fatal(err)
	}
	if err := m.CompareFiles(files, "model.sig"); err != nil {
		t.Error(err)
	}
	for name, tt := range map[string]struct {
		files []File
		want  string
	}{
		"one more":  {files, `"model.sig" was not signed`},
		"missing":   {files[:1], `"a" is missing`},
		"different": {[]File{files[0], {"a", strings.Repeat("4", 64)}}, `"a" is 4444`},
		"nothing":   {nil, "lists 0 files"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := m.CompareFiles(tt.files); !errors.Is(err, ErrDiffers) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
	shards := *m
	shards.Serialization.Method, shards.Serialization.ShardSize = Shards, 3
	if err := shards.CompareFiles(files); !errors.Is(err, provenance.ErrUnsupported) {
		t.Errorf("of shards: %v", err)
	}
}

func TestHidden(t *testing.T) {
	t.Parallel()
	list, err := Hidden(folder(t, map[string]string{"a": "", ".cache/x": "", ".git/x": "", "b/.x": "", "c/__pycache__/y": "", ".DS_Store": ""}))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{".DS_Store", ".cache", "b/.x", "c/__pycache__"}, list); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParsePrivateKey(t *testing.T) {
	t.Parallel()
	k := key(t, elliptic.P256())
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"pkcs8": {Type: "PRIVATE KEY", Bytes: pkcs8}, "sec1": {Type: "EC PRIVATE KEY", Bytes: sec1}} {
		if got, err := ParsePrivateKey(append([]byte("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"), pem.EncodeToMemory(block)...)); err != nil || !got.Equal(k) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, p := range map[string]string{"nothing": "", "other": "-----BEGIN X-----\n-----END X-----\n", "broken": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if _, err := ParsePrivateKey([]byte(p)); !errors.Is(err, provenance.ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSpecification runs the specification's own vectors and schemas, from a
// checkout of ossf/model-signing-spec that CARAT_OMS_SPEC names.
func TestSpecification(t *testing.T) {
	t.Parallel()
	spec := os.Getenv("CARAT_OMS_SPEC")
	if spec == "" {
		t.Skip("CARAT_OMS_SPEC names no checkout of ossf/model-signing-spec")
	}
	each := func(pattern string, f func(t *testing.T, p []byte)) {
		names, err := filepath.Glob(filepath.Join(spec, "test-vectors", "v1.0", pattern))
		if err != nil || len(names) == 0 {
			t.Fatalf("%v: nothing at %s", err, pattern)
		}
		for _, name := range names {
			p, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			t.Run(filepath.Base(name), func(t *testing.T) { f(t, p) })
		}
	}
	each("valid/*.json", func(t *testing.T, p []byte) {
		s, err := Read(p)
		if err != nil {
			t.Fatal(err)
		}
		switch s.Envelope.Method {
		case provenance.MethodCertificate:
			// The vector's root is not in it; the highest certificate that is stands for it.
			var b struct {
				VerificationMaterial struct {
					X509CertificateChain struct {
						Certificates []struct{ RawBytes []byte }
					}
				}
			}
			if err := json.Unmarshal(p, &b); err != nil {
				t.Fatal(err)
			}
			list := b.VerificationMaterial.X509CertificateChain.Certificates
			top, err := x509.ParseCertificate(list[len(list)-1].RawBytes)
			if err != nil {
				t.Fatal(err)
			}
			signer, err := s.Verify(provenance.Trust{Roots: []*x509.Certificate{top}}, top.NotBefore.Add(time.Hour))
			if err != nil {
				t.Error(err)
			}
			t.Logf("signed by %+v", signer)
		case provenance.MethodKeyless:
			if _, err := s.Verify(provenance.Trust{}, now); !errors.Is(err, provenance.ErrKeyless) {
				t.Error(err)
			}
		case provenance.MethodKey:
			if _, err := s.Verify(trusting(t, key(t, elliptic.P256())), now); !errors.Is(err, provenance.ErrUnknownKey) {
				t.Error(err)
			}
		}
	})
	for _, pattern := range []string{"invalid/*.json", "invalid-payload/*.json"} {
		each(pattern, func(t *testing.T, p []byte) {
			if _, err := Read(p); err == nil {
				t.Error("it was read")
			}
		})
	}

	c := jsonschema.NewCompiler()
	for _, name := range []string{"bundle", "envelope", "statement", "predicate"} {
		p, err := os.ReadFile(filepath.Join(spec, "schemas", "v1.0", name+".schema.json"))
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(p))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource("https://model_signing/"+name+"/v1.0/schema", doc); err != nil {
			t.Fatal(err)
		}
	}
	validate := func(name string, p []byte) {
		t.Helper()
		schema, err := c.Compile("https://model_signing/" + name + "/v1.0/schema")
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(p))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(doc); err != nil {
			t.Error(err)
		}
	}
	k := key(t, elliptic.P384())
	leaf := certificate(t, "leaf", k, k, nil, nil)
	for _, s := range []Serialization{{}, {Method: Shards, HashType: BLAKE2b, ShardSize: 3}} {
		m := measure(t, folder(t, small), s)
		for _, signer := range []Signer{{Key: k}, {Key: k, Chain: [][]byte{leaf.Raw}}} {
			bundle, err := Sign(m, signer)
			if err != nil {
				t.Fatal(err)
			}
			validate("bundle", bundle)
			e, err := provenance.ReadBundle(bundle)
			if err != nil {
				t.Fatal(err)
			}
			validate("statement", e.Payload)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"x"}},"dsseEnvelope":{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[{"sig":"eA=="}]}}`))
	f.Fuzz(func(t *testing.T, p []byte) {
		s, err := Read(p)
		if err != nil {
			return
		}
		if err := s.Manifest.Compare(s.Manifest); err != nil {
			t.Errorf("it is not like itself: %v", err)
		}
	})
}

func FuzzReadManifest(f *testing.F) {
	m, err := FromFiles("m", []File{{"a", strings.Repeat("1", 64)}, {"b:0:7", strings.Repeat("2", 64)}})
	if err != nil {
		f.Fatal(err)
	}
	text, err := m.Statement()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, p []byte) {
		s, err := provenance.ReadStatement(p)
		if err != nil {
			return
		}
		m, err := ReadManifest(s)
		if err != nil {
			return
		}
		again, err := m.Statement()
		if err != nil {
			t.Fatal(err)
		}
		if s, err = provenance.ReadStatement(again); err != nil {
			t.Fatal(err)
		}
		if n, err := ReadManifest(s); err != nil || n.Root() != m.Root() {
			t.Errorf("written and read again: %v", err)
		}
	})
}
