package modelsigning

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var vectors = flag.String("vectors", os.Getenv("CARAT_OMS_VECTORS"), "`DIR` with the test vectors of the specification, v1.0")

// plain is how files are listed by default.
var plain = Serialization{Method: MethodFiles, HashType: HashSHA256}

func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
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

func model(t testing.TB) string {
	t.Helper()
	return folder(t, map[string]string{
		"config.json": "{}", "weights.bin": "0123456789", "tokenizer/vocab.txt": "a\nb\n", "Z.txt": "", ".git/HEAD": "ref", "sub/.git/HEAD": "kept", ".gitignore": "x",
	})
}

func list(t testing.TB, dir string, s Serialization) *Manifest {
	t.Helper()
	m, err := List(t.Context(), dir, filepath.Join(dir, "model.sig"), s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newKey(t testing.TB, c elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestRoot compares with digests that sha256sum, b2sum and xxd made.
func TestRoot(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		s    Serialization
		want string
	}{
		{"files", plain, "f83c0625016da67057300d6f8abc1e282bffac5c65b65586f9b01a1f39c6a616"},
		{"BLAKE2b", Serialization{Method: MethodFiles, HashType: HashBLAKE2b}, "f04a61f30df3988c73ae34b9b90e59d4ea70375116f9048bef00e9ca3febc2c7"},
		{"shards", Serialization{Method: MethodShards, HashType: HashSHA256, ShardSize: 4}, "953a24d7715d2014466a18e9253601aac9a0b1e6608d1d78d4e6498cbe003ae8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			root, err := list(t, model(t), tt.s).Root()
			if err != nil {
				t.Fatal(err)
			}
			if got := hex.EncodeToString(root[:]); got != tt.want {
				t.Errorf("root %s, want %s", got, tt.want)
			}
		})
	}
}

func TestVectors(t *testing.T) {
	t.Parallel()
	if *vectors == "" {
		t.Skip("the specification's vectors are not here: -vectors")
	}
	n := 0
	for _, kind := range []string{"valid", "invalid", "invalid-payload"} {
		files, err := filepath.Glob(filepath.Join(*vectors, kind, "*.json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			p, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			n++
			var b bundle
			if err = json.Unmarshal(p, &b); err == nil {
				_, _, err = readStatement(b.Envelope.Payload)
			}
			if (err == nil) != (kind == "valid") && kind != "invalid" {
				t.Errorf("%s: %v", f, err)
			}
			if _, err := Open(p, Trust{}); err == nil || kind == "invalid" && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnsupported) {
				t.Errorf("%s, opened without trust: %v", f, err)
			}
		}
	}
	if n < 8 {
		t.Errorf("%d vectors", n)
	}
}

func TestSignWithKey(t *testing.T) {
	t.Parallel()
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		t.Run(curve.Params().Name, func(t *testing.T) {
			t.Parallel()
			dir, key := model(t), newKey(t, curve)
			m := list(t, dir, plain)
			p, err := Sign(m, "tiny", key, nil)
			if err != nil {
				t.Fatal(err)
			}
			s, err := Open(p, Trust{Keys: []*ecdsa.PublicKey{&newKey(t, curve).PublicKey, &key.PublicKey}})
			if err != nil {
				t.Fatal(err)
			}
			if s.Name != "tiny" || s.Method != "key" || s.Signer == "" {
				t.Errorf("signed: %+v", s)
			}
			if err := s.Manifest.Compare(list(t, dir, s.Manifest.Serialization), false); err != nil {
				t.Error(err)
			}
			if _, err := Open(p, Trust{Keys: []*ecdsa.PublicKey{&newKey(t, curve).PublicKey}}); !errors.Is(err, ErrSignature) {
				t.Errorf("another key: %v", err)
			}
			var b bundle
			if err := json.Unmarshal(p, &b); err != nil {
				t.Fatal(err)
			}
			b.Envelope.Payload = []byte(strings.Replace(string(b.Envelope.Payload), `"tiny"`, `"grim"`, 1))
			forged, err := json.Marshal(b)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Open(forged, Trust{Keys: []*ecdsa.PublicKey{&key.PublicKey}}); !errors.Is(err, ErrSignature) {
				t.Errorf("a changed statement: %v", err)
			}
		})
	}
}

func TestChangedFiles(t *testing.T) {
	t.Parallel()
	dir := model(t)
	m := list(t, dir, plain)
	change := func(name, content string) *Manifest {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return list(t, dir, plain)
	}
	if err := m.Compare(change("model.sig", "the signature itself"), false); err != nil {
		t.Errorf("beside its signature: %v", err)
	}
	more := change("new.py", "import os")
	if err := m.Compare(more, false); !errors.Is(err, ErrFiles) || !strings.Contains(err.Error(), "new.py was not signed") {
		t.Errorf("a file more: %v", err)
	}
	if err := m.Compare(more, true); err != nil {
		t.Errorf("a file more that is let be: %v", err)
	}
	if err := m.Compare(change("weights.bin", "0123456780"), true); !errors.Is(err, ErrFiles) || !strings.Contains(err.Error(), "weights.bin is changed") {
		t.Errorf("changed weights: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "config.json")); err != nil {
		t.Fatal(err)
	}
	if err := m.Compare(list(t, dir, plain), true); !errors.Is(err, ErrFiles) || !strings.Contains(err.Error(), "config.json is missing") {
		t.Errorf("a file less: %v", err)
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	dir := model(t)
	if err := os.Symlink("weights.bin", filepath.Join(dir, "link.bin")); err != nil {
		t.Fatal(err)
	}
	if _, err := List(t.Context(), dir, "", plain); !errors.Is(err, ErrFiles) {
		t.Errorf("a link: %v", err)
	}
	follow := Serialization{Method: MethodFiles, HashType: HashSHA256, AllowSymlinks: true}
	if m := list(t, dir, follow); len(m.Resources) != 6 {
		t.Errorf("%d resources with the link", len(m.Resources))
	}
	if err := os.Symlink("..", filepath.Join(dir, "sub", "up")); err != nil {
		t.Fatal(err)
	}
	if _, err := List(t.Context(), dir, "", follow); !errors.Is(err, ErrFiles) {
		t.Errorf("a circle: %v", err)
	}
	if _, err := List(t.Context(), t.TempDir(), "", plain); !errors.Is(err, ErrFiles) {
		t.Errorf("an empty folder: %v", err)
	}
	if _, err := List(t.Context(), dir, "", Serialization{Method: MethodFiles, HashType: HashSHA256, IgnorePaths: []string{"*.bin"}}); !errors.Is(err, ErrMalformed) {
		t.Errorf("a pattern: %v", err)
	}
}

func TestCertificate(t *testing.T) {
	t.Parallel()
	now := time.Now()
	serial := int64(0)
	issue := func(name string, key *ecdsa.PrivateKey, parent *x509.Certificate, by *ecdsa.PrivateKey, ca bool, until time.Time) *x509.Certificate {
		serial++
		c := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: until,
			IsCA: ca, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		}
		if ca {
			c.KeyUsage, c.ExtKeyUsage = x509.KeyUsageCertSign, nil
		}
		if parent == nil {
			parent = c
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
		if err != nil {
			t.Fatal(err)
		}
		c, err = x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	rootKey, middleKey, leafKey := newKey(t, elliptic.P256()), newKey(t, elliptic.P384()), newKey(t, elliptic.P256())
	root := issue("root", rootKey, nil, rootKey, true, now.Add(time.Hour))
	middle := issue("middle", middleKey, root, rootKey, true, now.Add(time.Hour))
	leaf := issue("signer", leafKey, middle, middleKey, false, now.Add(time.Minute))
	m := list(t, model(t), plain)
	p, err := Sign(m, "tiny", leafKey, []*x509.Certificate{leaf, middle})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := Open(p, Trust{Roots: []*x509.Certificate{root}}); err != nil || s.Method != "certificate" || s.Signer != "CN=signer" {
		t.Errorf("signed: %+v %v", s, err)
	}
	other := newKey(t, elliptic.P256())
	for name, trust := range map[string]Trust{
		"no root":       {},
		"another root":  {Roots: []*x509.Certificate{issue("root", other, nil, other, true, now.Add(time.Hour))}},
		"too late":      {Roots: []*x509.Certificate{root}, Now: now.Add(2 * time.Minute)},
		"a key instead": {Keys: []*ecdsa.PublicKey{&leafKey.PublicKey}},
	} {
		if _, err := Open(p, trust); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Sign(m, "tiny", rootKey, []*x509.Certificate{leaf}); !errors.Is(err, ErrSignature) {
		t.Errorf("with another's certificate: %v", err)
	}
}

func TestFromDigests(t *testing.T) {
	t.Parallel()
	m := list(t, model(t), plain)
	digests := map[string]string{".gitignore": strings.Repeat("0", 64)}
	for _, r := range m.Resources {
		digests[r.Name] = r.Digest
	}
	got, err := FromDigests(digests, plain)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Compare(got, false); err != nil {
		t.Error(err)
	}
	if _, err := FromDigests(digests, Serialization{Method: MethodShards, HashType: HashSHA256, ShardSize: 1}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("shards: %v", err)
	}
}

func TestManifestsThatAreRefused(t *testing.T) {
	t.Parallel()
	digest := strings.Repeat("a", 64)
	one := func(names ...string) *Manifest {
		m := &Manifest{Serialization: plain}
		for _, n := range names {
			m.Resources = append(m.Resources, Resource{n, digest, HashSHA256})
		}
		return m
	}
	shards := one("a:0:4")
	shards.Serialization = Serialization{Method: MethodShards, HashType: HashSHA256, ShardSize: 4}
	if err := shards.check(); err != nil {
		t.Error(err)
	}
	for name, m := range map[string]*Manifest{
		"empty": one(), "above": one("../x"), "absolute": one("/x"), "dot": one("./x"), "twice": one("x", "x"), "out of order": one("b", "a"), "slash": one("x/"),
		"upper case": {Resources: []Resource{{"x", strings.Repeat("A", 64), HashSHA256}}, Serialization: plain},
		"short":      {Resources: []Resource{{"x", "aa", HashSHA256}}, Serialization: plain},
		"two hashes": {Resources: []Resource{{"x", digest, HashBLAKE2b}}, Serialization: plain},
		"no shard":   {Resources: []Resource{{"a", digest, HashSHA256}}, Serialization: shards.Serialization},
		"odd shard":  {Resources: []Resource{{"a:1:4", digest, HashSHA256}}, Serialization: shards.Serialization},
		"zeros":      {Resources: []Resource{{"a:00:4", digest, HashSHA256}}, Serialization: shards.Serialization},
		"blake3":     {Resources: []Resource{{"a", digest, "blake3"}}, Serialization: Serialization{Method: MethodFiles, HashType: "blake3"}},
		"glob":       {Resources: []Resource{{"a", digest, HashSHA256}}, Serialization: Serialization{Method: MethodFiles, HashType: HashSHA256, IgnorePaths: []string{"a*"}}},
	} {
		if err := m.check(); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	key := newKey(t, elliptic.P256())
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for kind, der := range map[string][]byte{"EC PRIVATE KEY": der, "PRIVATE KEY": p8} {
		text := append([]byte("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
		if k, err := ParsePrivateKey(text); err != nil || !k.Equal(key) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	if k, err := ParsePublicKeys(append(text, text...)); err != nil || len(k) != 2 || !k[1].Equal(&key.PublicKey) {
		t.Errorf("public keys: %v", err)
	}
	for _, bad := range []string{"", "x", string(text)} {
		if _, err := ParsePrivateKey([]byte(bad)); !errors.Is(err, ErrKey) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := ParsePublicKeys(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")})); !errors.Is(err, ErrKey) {
		t.Errorf("a public key of rubbish: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	key := newKey(f, elliptic.P256())
	p, err := Sign(list(f, model(f), plain), "tiny", key, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p)
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}`))
	trust := Trust{Keys: []*ecdsa.PublicKey{&key.PublicKey}}
	f.Fuzz(func(t *testing.T, p []byte) {
		s, err := Open(p, trust)
		switch {
		case err == nil && s.Manifest.check() != nil:
			t.Error("what was opened is not in order")
		case err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrSignature) && !errors.Is(err, ErrUnsupported):
			t.Errorf("an error of another kind: %v", err)
		}
	})
}
