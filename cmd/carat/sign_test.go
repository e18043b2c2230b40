package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// keyPair writes a private key and its public half.
func keyPair(t *testing.T) (private, public string) {
	t.Helper()
	dir := t.TempDir()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	private, public = filepath.Join(dir, "key.pem"), filepath.Join(dir, "key.pub")
	write(t, private, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: must(x509.MarshalECPrivateKey(key))(t)}))
	write(t, public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(&key.PublicKey))(t)}))
	return private, public
}

// TestSign signs a folder, pushes it, and checks the signature in the
// registry and in the copy that was pulled.
func TestSign(t *testing.T) {
	t.Parallel()
	_, url := startHub(t, serveConfig{}, nil)
	u, host := user{t.TempDir()}, strings.TrimPrefix(url, "http://")
	u.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
	private, public := keyPair(t)
	_, stranger := keyPair(t)
	dir := filepath.Join(t.TempDir(), "signed")
	if err := os.CopyFS(dir, os.DirFS(example)); err != nil {
		t.Fatal(err)
	}
	u.expect(t, 2, "--key is required", "sign", dir)
	u.expect(t, 1, "there is no private key in it", "sign", dir, "--key", public)
	out := u.must(t, "", "sign", dir, "--key", private)
	root := out[strings.Index(out, "sha256:"):]
	ref := host + "/demo/signed:v1"
	u.must(t, "", "push", dir, ref)
	u.must(t, "", "push", example, host+"/demo/unsigned:v1")

	u.expect(t, 0, root, "verify-signature", dir, "--key", public)
	u.expect(t, 0, root, "verify-signature", ref, "--key", public)
	u.expect(t, 0, `"method": "key"`, "verify-signature", ref, "--key", public, "--json")
	u.expect(t, 1, "it is by none of the 1 keys that are trusted", "verify-signature", ref, "--key", stranger)
	u.expect(t, 1, "there is no model.sig in", "verify-signature", host+"/demo/unsigned:v1", "--key", public)
	u.expect(t, 2, "--key or --root", "verify-signature", ref)
	copied := filepath.Join(t.TempDir(), "copy")
	u.must(t, "", "pull", ref, "-o", copied)
	u.expect(t, 0, root, "verify-signature", copied, "--key", public)

	// Another model under the same signature, and a file more.
	write(t, filepath.Join(dir, "extra.py"), []byte("import os\n"))
	u.expect(t, 1, "extra.py was not signed", "verify-signature", dir, "--key", public)
	u.expect(t, 0, root, "verify-signature", dir, "--key", public, "--ignore-unsigned-files")
	u.must(t, "", "push", dir, host+"/demo/signed:v2")
	u.expect(t, 1, "extra.py was not signed", "verify-signature", host+"/demo/signed:v2", "--key", public)
	write(t, filepath.Join(dir, "config.json"), []byte("{}"))
	u.expect(t, 1, "config.json is changed", "verify-signature", dir, "--key", public)

	// Shards cannot be told from the digests of whole files.
	u.must(t, "", "sign", example, "--key", private, "--signature", filepath.Join(u.home, "sharded.sig"), "--shards", "--shard-size", "1000000", "--hash", "blake2b")
	u.expect(t, 0, "valid", "verify-signature", example, "--key", public, "--signature", filepath.Join(u.home, "sharded.sig"))
	u.expect(t, 1, "pull the model and check it on disk", "verify-signature", host+"/demo/unsigned:v1", "--key", public, "--signature", filepath.Join(u.home, "sharded.sig"))
}
