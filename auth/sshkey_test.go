package auth_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/carat-hub/carat/auth"
)

// oneSSHKey is a store with one key.
type oneSSHKey struct {
	auth.SSHKeyStore
	key     auth.SSHKey
	touched time.Time
}

func (s *oneSSHKey) SSHKey(_ context.Context, public ed25519.PublicKey) (auth.SSHKey, auth.User, error) {
	if !bytes.Equal(public, s.key.Public) {
		return auth.SSHKey{}, auth.User{}, auth.ErrUnknownSSHKey
	}
	return s.key, auth.User{ID: 7, Name: "jane", Admin: true}, nil
}

func (s *oneSSHKey) TouchSSHKey(_ context.Context, _ int64, at time.Time) error {
	s.touched = at
	return nil
}

// ollama makes a request as Ollama's client does (server/auth.go and auth/auth.go there).
func ollama(t *testing.T, signer ssh.Signer, realm string, at time.Time) auth.SignedRequest {
	t.Helper()
	u, err := url.Parse(realm)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Add("service", "carat")
	q.Add("scope", "repository:acme/m:pull")
	q.Add("ts", strconv.FormatInt(at.Unix(), 10))
	nonce := make([]byte, 16)
	rand.Read(nonce)
	q.Add("nonce", base64.RawURLEncoding.EncodeToString(nonce))
	u.RawQuery = q.Encode()
	return auth.SignedRequest{Method: http.MethodGet, URL: u.String(), Authorization: ollamaSign(t, signer, http.MethodGet, u.String())}
}

func ollamaSign(t *testing.T, signer ssh.Signer, method, address string) string {
	t.Helper()
	sum := sha256.Sum256(nil)
	text := fmt.Sprintf("%s,%s,%s", method, address, base64.StdEncoding.EncodeToString([]byte(hex.EncodeToString(sum[:]))))
	signed, err := signer.Sign(rand.Reader, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	parts := bytes.Split(ssh.MarshalAuthorizedKey(signer.PublicKey()), []byte(" "))
	return fmt.Sprintf("%s:%s", bytes.TrimSpace(parts[1]), base64.StdEncoding.EncodeToString(signed.Blob))
}

func newSSHKey(t testing.TB) (ssh.Signer, string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
}

func TestAuthenticateSSH(t *testing.T) {
	t.Parallel()
	signer, line := newSSHKey(t)
	stranger, _ := newSSHKey(t)
	key, err := auth.ParseSSHKey(line + " jane@laptop\n")
	if err != nil || key.Name != "jane@laptop" || key.Fingerprint() != ssh.FingerprintSHA256(signer.PublicKey()) {
		t.Fatalf("key %+v, %v", key, err)
	}
	store, now := &oneSSHKey{key: key}, epoch
	const realm = "https://hub.example/token"
	good := ollama(t, signer, realm, now)
	p, err := auth.AuthenticateSSH(t.Context(), store, good, now)
	if err != nil || p.UserID != 7 || !p.Limited || store.touched.IsZero() || p.Sight().Within != nil {
		t.Fatalf("principal %+v, %v", p, err)
	}
	private := auth.Resource{Repository: "acme/m", Visibility: auth.Private}
	for action, want := range map[auth.Action]bool{auth.Pull: true, auth.Push: true, auth.Delete: false} {
		if _, err := auth.Allow(p, action, private); (err == nil) != want {
			t.Errorf("%s: %v", action, err)
		}
	}
	for _, d := range []time.Duration{-5 * time.Minute, 5 * time.Minute} {
		if _, err := auth.AuthenticateSSH(t.Context(), store, good, now.Add(d)); err != nil {
			t.Errorf("%s later: %v", d, err)
		}
	}
	edit := func(change func(r *auth.SignedRequest)) auth.SignedRequest {
		r := good
		change(&r)
		return r
	}
	resigned := func(change func(q url.Values)) auth.SignedRequest {
		u, _ := url.Parse(good.URL)
		q := u.Query()
		change(q)
		u.RawQuery = q.Encode()
		return auth.SignedRequest{Method: http.MethodGet, URL: u.String(), Authorization: ollamaSign(t, signer, http.MethodGet, u.String())}
	}
	_, sig, _ := strings.Cut(good.Authorization, ":")
	strangerKey, _, _ := strings.Cut(ollamaSign(t, stranger, "", ""), ":")
	for name, r := range map[string]auth.SignedRequest{
		"another key":                ollama(t, stranger, realm, now),
		"our key, another signature": edit(func(r *auth.SignedRequest) { r.Authorization = strangerKey + ":" + sig }),
		"another method":             edit(func(r *auth.SignedRequest) { r.Method = http.MethodPost }),
		"another host":               edit(func(r *auth.SignedRequest) { r.URL = strings.Replace(r.URL, "hub.example", "hub2.example", 1) }),
		"another scope":              edit(func(r *auth.SignedRequest) { r.URL = strings.Replace(r.URL, "pull", "push", 1) }),
		"more scopes":                edit(func(r *auth.SignedRequest) { r.URL += "&scope=repository:acme/m:push" }),
		"of six minutes ago":         ollama(t, signer, realm, now.Add(-6*time.Minute)),
		"of the future":              ollama(t, signer, realm, now.Add(6*time.Minute)),
		"no time":                    resigned(func(q url.Values) { q.Del("ts") }),
		"two times":                  resigned(func(q url.Values) { q.Add("ts", q.Get("ts")) }),
		"time a word":                resigned(func(q url.Values) { q.Set("ts", "now") }),
		"time far out":               resigned(func(q url.Values) { q.Set("ts", "9223372036854775807") }),
		"time before all":            resigned(func(q url.Values) { q.Set("ts", "-9223372036854775808") }),
		"no nonce":                   resigned(func(q url.Values) { q.Del("nonce") }),
		"a long nonce":               resigned(func(q url.Values) { q.Set("nonce", strings.Repeat("n", 65)) }),
		"a long URL":                 resigned(func(q url.Values) { q.Set("x", strings.Repeat("n", 20000)) }),
		"no signature":               edit(func(r *auth.SignedRequest) { r.Authorization = strings.TrimSuffix(r.Authorization, sig) }),
		"empty":                      edit(func(r *auth.SignedRequest) { r.Authorization = "" }),
		"a signature of zeros": edit(func(r *auth.SignedRequest) {
			r.Authorization = strings.TrimSuffix(r.Authorization, sig) + base64.StdEncoding.EncodeToString(make([]byte, 64))
		}),
	} {
		if p, err := auth.AuthenticateSSH(t.Context(), store, r, now); !errors.Is(err, auth.ErrCredentials) || !p.Anonymous() {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	if _, err := auth.AuthenticateSSH(t.Context(), store, ollama(t, stranger, realm, now), now); !errors.Is(err, auth.ErrUnknownSSHKey) {
		t.Errorf("a key that nobody registered: %v", err)
	}
}

func TestParseSSHKeyRefuses(t *testing.T) {
	t.Parallel()
	_, line := newSSHKey(t)
	for name, text := range map[string]string{
		"empty":         "",
		"type alone":    "ssh-ed25519",
		"another type":  strings.Replace(line, "ssh-ed25519", "ssh-rsa", 1),
		"options":       `command="x" ` + line,
		"short":         line[:len(line)-4],
		"long":          line + "AAAA",
		"type inside":   "ssh-ed25519 " + base64.StdEncoding.EncodeToString(append([]byte("\x00\x00\x00\x0bssh-ed25518\x00\x00\x00\x20"), make([]byte, 32)...)),
		"not base64":    "ssh-ed25519 " + strings.Repeat("!", 68),
		"two lines":     line + "\n" + line,
		"a private key": "-----BEGIN OPENSSH PRIVATE KEY-----",
		"much":          line + " " + strings.Repeat("c", 2000),
	} {
		if k, err := auth.ParseSSHKey(text); !errors.Is(err, auth.ErrSSHKey) {
			t.Errorf("%s: %+v, %v", name, k, err)
		}
	}
}

// What is taken is what the library of SSH reads.
func FuzzParseSSHKey(f *testing.F) {
	_, line := newSSHKey(f)
	for _, s := range []string{line, line + " jane@laptop", " " + line + "\r\n", "ssh-ed25519 AAAA", "", line + " \x1b[31m\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		k, err := auth.ParseSSHKey(line)
		if err != nil {
			if !errors.Is(err, auth.ErrSSHKey) {
				t.Error(err)
			}
			return
		}
		other, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			t.Fatalf("%q is taken, and the library says %v", line, err)
		}
		if ssh.FingerprintSHA256(other) != k.Fingerprint() || strings.ContainsAny(k.Name, "\x1b\n\r\x00") || len(k.Name) > 100 {
			t.Errorf("%q is read as %+v", line, k)
		}
	})
}

func FuzzAuthenticateSSH(f *testing.F) {
	_, line := newSSHKey(f)
	key, err := auth.ParseSSHKey(line)
	if err != nil {
		f.Fatal(err)
	}
	blob, _, _ := strings.Cut(strings.TrimPrefix(line, "ssh-ed25519 "), " ")
	f.Add("https://h/token?ts="+strconv.FormatInt(epoch.Unix(), 10)+"&nonce=x", blob+":"+strings.Repeat("A", 86)+"==")
	f.Add("", "a:b")
	f.Fuzz(func(t *testing.T, address, authorization string) {
		_, err := auth.AuthenticateSSH(t.Context(), &oneSSHKey{key: key}, auth.SignedRequest{Method: http.MethodGet, URL: address, Authorization: authorization}, epoch)
		if !errors.Is(err, auth.ErrCredentials) {
			t.Errorf("%q with %q: %v", address, authorization, err)
		}
	})
}
