package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// ollamaToken asks for a token as Ollama does after a 401 (getAuthorizationToken
// in its server/auth.go, Sign in its auth/auth.go).
func ollamaToken(t *testing.T, signer ssh.Signer, challenge string, at time.Time) *http.Request {
	t.Helper()
	value := func(name string) string {
		m := regexp.MustCompile(name + `="([^"]*)"`).FindStringSubmatch(challenge)
		if m == nil {
			t.Fatalf("no %s in %s", name, challenge)
		}
		return m[1]
	}
	u := must(url.Parse(value("realm")))(t)
	q := u.Query()
	q.Add("service", value("service"))
	for s := range strings.SplitSeq(value("scope"), " ") {
		q.Add("scope", s)
	}
	q.Add("ts", strconv.FormatInt(at.Unix(), 10))
	nonce := make([]byte, 16)
	rand.Read(nonce)
	q.Add("nonce", base64.RawURLEncoding.EncodeToString(nonce))
	u.RawQuery = q.Encode()

	sum := sha256.Sum256(nil)
	data := fmt.Sprintf("%s,%s,%s", http.MethodGet, u.String(), base64.StdEncoding.EncodeToString([]byte(hex.EncodeToString(sum[:]))))
	signed := must(signer.Sign(rand.Reader, []byte(data)))(t)
	parts := bytes.Split(ssh.MarshalAuthorizedKey(signer.PublicKey()), []byte(" "))
	req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, u.String(), nil))(t)
	req.Header.Set("Authorization", fmt.Sprintf("%s:%s", bytes.TrimSpace(parts[1]), base64.StdEncoding.EncodeToString(signed.Blob)))
	return req
}

func TestSSHKeysOfOllama(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, h *theHub, base string) {
		admin, host := user{t.TempDir()}, strings.TrimPrefix(base, "http://")
		admin.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
		admin.must(t, "", "push", example, host+"/lab/secret:v1")
		target(h, base).SetVisibility(t, "lab/secret", "private")
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		signer := must(ssh.NewSignerFromKey(private))(t)

		manifest := func(token string) (int, string) {
			t.Helper()
			req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/v2/lab/secret/manifests/v1", nil))(t)
			if token != "" {
				req.Header.Set("Authorization", "Bearer "+token)
			}
			got := must(send(req))(t)
			return got.status, got.header.Get("WWW-Authenticate")
		}
		status, challenge := manifest("")
		if status != http.StatusUnauthorized {
			t.Fatalf("anonymous: %d", status)
		}
		if got := must(send(ollamaToken(t, signer, challenge, time.Now())))(t); got.status != http.StatusUnauthorized || !strings.Contains(string(got.body), "carat ssh-key add") {
			t.Fatalf("before it is registered: %d %s", got.status, got.body)
		}

		file := filepath.Join(t.TempDir(), "id_ed25519.pub")
		write(t, file, append(bytes.TrimSpace(ssh.MarshalAuthorizedKey(signer.PublicKey())), " admin@laptop\n"...))
		if got := admin.must(t, "", "ssh-key", "add", host, file); got != "registered "+ssh.FingerprintSHA256(signer.PublicKey())+" admin@laptop\n" {
			t.Errorf("added: %s", got)
		}
		admin.expect(t, 1, "registered already", "ssh-key", "add", host, file)
		write(t, file, []byte("ssh-rsa AAAA"))
		admin.expect(t, 1, "not a public ssh-ed25519 key", "ssh-key", "add", host, file)
		write(t, file, []byte("-----BEGIN OPENSSH PRIVATE KEY-----"))
		admin.expect(t, 1, "give the .pub file", "ssh-key", "add", "nowhere.invalid", file) // nothing is sent

		status, got := readTokens(t, ollamaToken(t, signer, challenge, time.Now()))
		if status != http.StatusOK || got.Token == "" || got.RefreshToken != "" {
			t.Fatalf("signed: %d %+v", status, got)
		}
		if status, _ := manifest(got.Token); status != http.StatusOK {
			t.Errorf("pull with the token: %d", status)
		}
		for name, req := range map[string]*http.Request{
			"an hour old":   ollamaToken(t, signer, challenge, time.Now().Add(-time.Hour)),
			"another realm": ollamaToken(t, signer, strings.Replace(challenge, "127.0.0.1", "localhost", 1), time.Now()),
			"more than asked": func() *http.Request {
				r := ollamaToken(t, signer, challenge, time.Now())
				r.URL.RawQuery += "&scope=repository%3Alab%2Fsecret%3Apush"
				return r
			}(),
		} {
			if name == "another realm" { // sent to the same hub under another name
				req.Host, req.URL.Host = host, host
			}
			if got := must(send(req))(t); got.status != http.StatusUnauthorized {
				t.Errorf("%s: %d %s", name, got.status, got.body)
			}
		}
		if got := must(send(func() *http.Request {
			r := ollamaToken(t, signer, challenge, time.Now())
			r.URL.Path = "/api/v1/tokens"
			return r
		}()))(t); got.status != http.StatusUnauthorized {
			t.Errorf("elsewhere than at the token endpoint: %d", got.status)
		}

		list := strings.Split(strings.TrimSpace(admin.must(t, "", "ssh-key", "list", host)), "\n")
		if len(list) != 2 || !strings.Contains(list[1], "admin@laptop") || strings.HasSuffix(list[1], "-") {
			t.Fatalf("keys: %q", list)
		}
		id := strings.Fields(list[1])[0]
		admin.must(t, "", "ssh-key", "remove", host, id)
		admin.expect(t, 1, "no such SSH key", "ssh-key", "remove", host, id)
		if got := must(send(ollamaToken(t, signer, challenge, time.Now())))(t); got.status != http.StatusUnauthorized {
			t.Errorf("after it was removed: %d", got.status)
		}
	})
}
