package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	neturl "net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/attestation"
)

// zeroed copies the example and overwrites its first large tensor with zeros.
func zeroed(t *testing.T) string {
	t.Helper()
	return damagedExample(t, "model.safetensors", func(p []byte) []byte {
		clear(p[100_000:1_200_000])
		return p
	})
}

// envelope fetches the only signed report of a version.
func envelope(t *testing.T, ref string) []byte {
	t.Helper()
	c := client.New(client.Options{})
	at := must(client.ParseReference(ref))(t)
	if at.Digest.IsZero() {
		at = at.Pinned(must(c.Artifact(t.Context(), at))(t).Digest)
	}
	list := must(c.Referrers(t.Context(), at, registry.ArtifactVerification))(t)
	if len(list) != 1 {
		t.Fatalf("%d reports", len(list))
	}
	a := must(c.Artifact(t.Context(), at.Pinned(list[0].Digest)))(t)
	return must(c.Blob(t.Context(), a, a.Layers[0], attestation.MaxEnvelope))(t)
}

// expect runs a command and checks its exit code and what it prints.
func (u user) expect(t *testing.T, code int, want string, args ...string) {
	t.Helper()
	out, errs, got := u.carat(t, "", args...)
	if got != code || !strings.Contains(out+errs, want) {
		t.Errorf("carat %s: exit code %d, want %d and %q\n%s%s", strings.Join(args, " "), got, code, want, out, errs)
	}
}

// TestSignedReports follows the reports of a good and a damaged model from
// the hub to those who check them without it.
func TestSignedReports(t *testing.T) {
	t.Parallel()
	_, url := startHub(t, serveConfig{}, nil)
	u, host, dir := user{t.TempDir()}, strings.TrimPrefix(url, "http://"), t.TempDir()
	good, bad := host+"/demo/good:v1", host+"/demo/bad:v1"
	u.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
	u.must(t, "", "push", example, good, "--wait")
	u.expect(t, 1, "tensors.values", "push", zeroed(t), bad, "--wait")
	key, asJSON, report := filepath.Join(dir, "hub.pub"), filepath.Join(dir, "hub.json"), filepath.Join(dir, "report.json")
	write(t, key, []byte(u.must(t, "", "keys", host)))
	write(t, asJSON, []byte(u.must(t, "", "keys", good, "--json")))
	sealed := envelope(t, good)
	write(t, report, sealed)
	other := filepath.Join(dir, "other.pub")
	write(t, other, attestation.NewKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey)).PEM())

	t.Run("by reference", func(t *testing.T) {
		u.expect(t, 0, "signature  valid", "verify", "--key", key, good)
		u.expect(t, 0, "passed: ", "verify", "--key", asJSON, good)
		u.expect(t, 1, "failed: tensors.values", "verify", "--key", key, bad)
		u.expect(t, 1, "not among those given", "verify", "--key", other, good)
		u.expect(t, 2, "no model", "verify", "--key", key, host+"/demo/none:v1")
		u.expect(t, 2, "no-such-key", "verify", "--key", "no-such-key", good)
		u.expect(t, 2, "https://HOST", "verify", "--key", "https://example.org/elsewhere", good)
		u.expect(t, 2, "--report", "verify", "--key", key, example)
		u.expect(t, 2, "--key", "verify", "--report", report, example)
		var r verify.Report
		if err := json.Unmarshal([]byte(u.must(t, "", "verify", "--key", key, "--json", good)), &r); err != nil || r.State != verify.StatePassed || len(r.Files) != 8 {
			t.Errorf("%v: %+v", err, r)
		}
	})
	t.Run("report in a file", func(t *testing.T) {
		u.expect(t, 0, "passed: ", "verify", "--key", key, "--report", report, good)
		u.expect(t, 1, "it is about manifest", "verify", "--key", key, "--report", report, bad)
		u.expect(t, 2, "no-such-report", "verify", "--key", key, "--report", "no-such-report", good)
	})
	t.Run("without the hub", func(t *testing.T) {
		copied := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(copied, os.DirFS(example)); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(copied, verify.ReportFile), sealed) // where oras puts it
		write(t, filepath.Join(copied, ".cache"), []byte("x"))
		offline := func(code int, want string) {
			t.Helper()
			u.expect(t, code, want, "verify", "--key", key, "--report", filepath.Join(copied, verify.ReportFile), copied)
		}
		offline(0, "passed: ")
		u.expect(t, 0, "passed: ", "verify", "--key", key, "--report", report, filepath.Join(example, "model.safetensors"))
		u.expect(t, 1, "it says nothing of", "verify", "--key", key, "--report", report, key)
		write(t, filepath.Join(copied, "evil.py"), []byte("import os"))
		offline(1, "it says nothing of evil.py")
		if err := os.Remove(filepath.Join(copied, "evil.py")); err != nil {
			t.Fatal(err)
		}
		config := filepath.Join(copied, "config.json")
		original := read(t, config)
		write(t, config, append(original, ' '))
		offline(1, "config.json is")
		if err := os.Remove(config); err != nil {
			t.Fatal(err)
		}
		offline(1, "config.json is missing")
		write(t, config, original)
		offline(0, "passed: ")

		tampered := filepath.Join(dir, "tampered.json")
		write(t, tampered, bytes.Replace(sealed, []byte(`"sig":"`), []byte(`"sig":"AAAA`), 1))
		u.expect(t, 1, "signature", "verify", "--key", key, "--report", tampered, copied)
		write(t, tampered, sealed[:len(sealed)/2])
		u.expect(t, 1, "malformed", "verify", "--key", key, "--report", tampered, copied)
		u.expect(t, 1, "not among those given", "verify", "--key", other, "--report", report, copied)
	})
	t.Run("pull", func(t *testing.T) {
		anonymous := user{t.TempDir()}
		to := func() string { return filepath.Join(t.TempDir(), "model") }
		folder := to()
		anonymous.expect(t, 0, "published by "+host, "pull", "--verified", good, "-o", folder)
		sameFolder(t, example, folder)
		anonymous.expect(t, 0, "from "+key, "pull", "--verified", "--key", key, good, "-o", to())
		refused := to()
		anonymous.expect(t, 1, "its verification says failed", "pull", "--verified", "--key", key, bad, "-o", refused)
		anonymous.expect(t, 1, "not among those given", "pull", "--verified", "--key", other, good, "-o", refused)
		anonymous.expect(t, 2, "--key needs --verified", "pull", "--key", key, good, "-o", refused)
		if _, err := os.Stat(refused); !os.IsNotExist(err) {
			t.Errorf("a refused pull left something: %v", err)
		}
		plain := plainRegistry(t)
		u.must(t, "", "push", example, plain+"/demo/good:v1")
		anonymous.expect(t, 1, "no signed verification report", "pull", "--verified", "--key", key, plain+"/demo/good:v1", "-o", refused)
		anonymous.expect(t, 1, "no hub API", "pull", "--verified", plain+"/demo/good:v1", "-o", refused)
	})
	t.Run("rotation", func(t *testing.T) {
		user{t.TempDir()}.expect(t, 1, "log in as an administrator", "keys", host, "--rotate")
		next, all := filepath.Join(dir, "next.pub"), filepath.Join(dir, "all.pub")
		write(t, next, []byte(u.must(t, "", "keys", host, "--rotate")))
		write(t, all, []byte(u.must(t, "", "keys", host, "--all")))
		u.expect(t, 1, "not among those given", "verify", "--key", next, good)
		again := host + "/demo/again:v1"
		u.must(t, "", "push", example, again, "--wait")
		u.expect(t, 0, "passed: ", "verify", "--key", next, again)
		u.expect(t, 1, "not among those given", "verify", "--key", key, again)
		for _, ref := range []string{good, again} { // the hub answers for both
			u.must(t, "", "pull", "--verified", ref, "-o", filepath.Join(t.TempDir(), "model"))
		}
		u.expect(t, 0, "passed: ", "verify", "--key", all, good)
		write(t, asJSON, []byte(u.must(t, "", "keys", host, "--json")))
		u.expect(t, 0, "passed: ", "verify", "--key", asJSON, good)
	})
}

// TestPullVerifiedSpeaksOneDigest moves the tag while a verified pull is
// under way: what is fetched is what was verified.
func TestPullVerifiedSpeaksOneDigest(t *testing.T) {
	t.Parallel()
	_, url := startHub(t, serveConfig{}, nil)
	u, host := user{t.TempDir()}, strings.TrimPrefix(url, "http://")
	u.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
	u.must(t, "", "push", example, host+"/demo/m:v1", "--wait")
	p := newPeer(t, url, "demo/m")
	moved := false
	proxy := httputil.NewSingleHostReverseProxy(must(neturl.Parse(url))(t))
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/referrers/") && !moved {
			moved = true
			body := `{"schemaVersion":2,"mediaType":"` + registry.MediaTypeOCIIndex + `","manifests":[]}`
			p.want(t, http.StatusCreated, "", http.MethodPut, "manifests/v1", []byte(body), "Content-Type", registry.MediaTypeOCIIndex)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	dir := filepath.Join(t.TempDir(), "model")
	user{t.TempDir()}.must(t, "", "pull", "--verified", strings.TrimPrefix(front.URL, "http://")+"/demo/m:v1", "-o", dir)
	sameFolder(t, example, dir)
	if !moved {
		t.Error("the tag was not moved")
	}
}

// TestSigningKeyFile starts hubs with a key of their operator's.
func TestSigningKeyFile(t *testing.T) {
	t.Parallel()
	data, file := t.TempDir(), filepath.Join(t.TempDir(), "key.pem")
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	der := must(x509.MarshalPKCS8PrivateKey(private))(t)
	write(t, file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	_, url := startHub(t, serveConfig{Data: data, SigningKey: file}, nil)
	u, host := user{t.TempDir()}, strings.TrimPrefix(url, "http://")
	u.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
	if out, want := u.must(t, "", "keys", host), attestation.KeyID(private.Public().(ed25519.PublicKey)); !strings.HasPrefix(out, want+", since "+time.Now().UTC().Format("2006-")) {
		t.Errorf("the key is not %s:\n%s", want, out)
	}
	u.expect(t, 1, "--signing-key", "keys", host, "--rotate")
	var code int
	for name, content := range map[string]string{"none": "", "public": "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"} {
		broken := filepath.Join(t.TempDir(), name)
		write(t, broken, []byte(content))
		var errs bytes.Buffer
		code = run(t.Context(), []string{"serve", "--data", t.TempDir(), "--signing-key", broken}, func(string) string { return "" }, strings.NewReader(""), io.Discard, &errs)
		if code != 1 || !strings.Contains(errs.String(), "--signing-key "+broken) {
			t.Errorf("%s: exit code %d: %s", name, code, errs.String())
		}
	}
}
