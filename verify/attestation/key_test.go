package attestation

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestKeyID pins the name of a key, which stands in every report. It is what
// openssl pkey -pubin -outform DER | sha256sum prints.
func TestKeyID(t *testing.T) {
	t.Parallel()
	keys, err := ParseKeys([]byte("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAiojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=\n-----END PUBLIC KEY-----\n"))
	if err != nil {
		t.Fatal(err)
	}
	if !keys[0].Public.Equal(public(testKey(1))) {
		t.Error("another key was read")
	}
	if want := "sha256:fd110d301d2f077de1414b8f99f441b1403fab207b2052fbd2c065e4ee8e7dc2"; keys[0].ID != want {
		t.Errorf("the key is called %s, not %s", keys[0].ID, want)
	}
}

func pemOf(t *testing.T, kind string, key any) []byte {
	t.Helper()
	marshal := x509.MarshalPKIXPublicKey
	if kind == "PRIVATE KEY" {
		marshal = x509.MarshalPKCS8PrivateKey
	}
	der, err := marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func TestParseKeys(t *testing.T) {
	t.Parallel()
	a, b := publicKey(1), publicKey(2)
	got, err := ParseKeys(append(append([]byte("The keys of a hub:\n"), a.PEM()...), b.PEM()...))
	if err != nil || len(got) != 2 || got[0].ID != a.ID || got[1].ID != b.ID {
		t.Errorf("%v, %+v", err, got)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string][]byte{
		"nothing":         nil,
		"no PEM":          []byte("ssh-ed25519 AAAA"),
		"a private key":   pemOf(t, "PRIVATE KEY", testKey(1)),
		"another kind":    pemOf(t, "PUBLIC KEY", &other.PublicKey),
		"no key within":   pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")}),
		"a private later": append(a.PEM(), pemOf(t, "PRIVATE KEY", testKey(1))...),
		"too long":        bytes.Repeat([]byte(" "), maxKeyFile+1),
		"too many":        bytes.Repeat(a.PEM(), maxKeys+1),
	} {
		if got, err := ParseKeys(p); !errors.Is(err, ErrKey) || got != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParsePrivateKey(t *testing.T) {
	t.Parallel()
	got, err := ParsePrivateKey(pemOf(t, "PRIVATE KEY", testKey(1)))
	if err != nil || !got.Equal(testKey(1)) {
		t.Error(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string][]byte{
		"nothing":      nil,
		"a public key": publicKey(1).PEM(),
		"another kind": pemOf(t, "PRIVATE KEY", other),
		"no PKCS #8":   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: testKey(1)}),
		"two":          bytes.Repeat(pemOf(t, "PRIVATE KEY", testKey(1)), 2),
	} {
		if got, err := ParsePrivateKey(p); !errors.Is(err, ErrKey) || got != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeyJSON(t *testing.T) {
	t.Parallel()
	k := publicKey(1)
	k.NotBefore, k.NotAfter = made, made.Add(time.Hour)
	p, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	var back Key
	if err := json.Unmarshal(p, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(k, back, cmp.Comparer(func(a, b ed25519.PublicKey) bool { return a.Equal(b) })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, old := range map[string]string{"id": k.ID, "algorithm": Algorithm, "pem": "BEGIN PUBLIC"} {
		bad := bytes.Replace(p, []byte(old), []byte("x"), 1)
		if err := json.Unmarshal(bad, &back); !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseKeys(f *testing.F) {
	f.Add(publicKey(1).PEM())
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----"))
	f.Fuzz(func(t *testing.T, p []byte) {
		keys, err := ParseKeys(p)
		if err != nil && keys != nil || err == nil && len(keys) == 0 {
			t.Errorf("%d keys, %v", len(keys), err)
		}
		for _, k := range keys {
			if back, err := ParseKeys(k.PEM()); err != nil || back[0].ID != k.ID {
				t.Errorf("%s reads back as %v, %v", k.ID, back, err)
			}
		}
	})
}
