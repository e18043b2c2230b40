package auth

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// sshKeyType is the only type of keys that is taken, as SSH writes it.
const sshKeyType = "ssh-ed25519"

// sshBlobHead is what the encoded form of every such key begins with
// (RFC 8709): its type and the length of the key, each with their lengths.
var sshBlobHead = []byte("\x00\x00\x00\x0b" + sshKeyType + "\x00\x00\x00\x20")

// Limits on what comes from outside.
const (
	maxSSHKeyLine  = 1 << 10 // bytes
	maxSSHComment  = 100     // bytes
	maxSSHURL      = 16 << 10
	maxNonceLen    = 64
	sshClockWindow = 5 * time.Minute // how far the clocks may differ
)

// Errors of SSH keys.
var (
	// ErrSSHKey says that a text is no public Ed25519 key of SSH.
	ErrSSHKey = errors.New("not a public ssh-ed25519 key")
	// ErrSSHKeyTaken says that a key is registered already.
	ErrSSHKeyTaken = errors.New("SSH key is registered already")
	// ErrTooManySSHKeys says that a user has as many as they may.
	ErrTooManySSHKeys = errors.New("too many SSH keys")
	// ErrUnknownSSHKey says that a key is registered by nobody.
	ErrUnknownSSHKey = errors.New("unknown SSH key")
)

// SSHKey is a public key whose owner's signature stands for a user.
type SSHKey struct {
	ID         int64             `json:"id"`
	UserID     int64             `json:"-"`
	Name       string            `json:"name"`
	Public     ed25519.PublicKey `json:"-"`
	CreatedAt  time.Time         `json:"createdAt"`
	LastUsedAt time.Time         `json:"lastUsedAt,omitzero"` // to the hour
}

// Fingerprint returns what ssh-keygen -l shows of the key.
func (k SSHKey) Fingerprint() string {
	sum := sha256.Sum256(append(bytes.Clone(sshBlobHead), k.Public...))
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// SSHKeyStore keeps the SSH keys of users. They end with their user.
type SSHKeyStore interface {
	// CreateSSHKey stores a key and returns its id. Errors: ErrSSHKeyTaken, ErrTooManySSHKeys.
	CreateSSHKey(ctx context.Context, k SSHKey) (int64, error)
	// SSHKey returns a key and its user. Errors: ErrUnknownSSHKey.
	SSHKey(ctx context.Context, public ed25519.PublicKey) (SSHKey, User, error)
	// SSHKeys lists those of a user, the newest first.
	SSHKeys(ctx context.Context, userID int64) ([]SSHKey, error)
	// DeleteSSHKey takes one away. Errors: ErrUnknownSSHKey.
	DeleteSSHKey(ctx context.Context, userID, id int64) error
	// TouchSSHKey notes that one was used.
	TouchSSHKey(ctx context.Context, id int64, at time.Time) error
}

// ParseSSHKey reads a line as in ~/.ssh/id_ed25519.pub: type, key, and a
// comment, which becomes the key's name. Errors: ErrSSHKey.
func ParseSSHKey(line string) (SSHKey, error) {
	if len(line) > maxSSHKeyLine {
		return SSHKey{}, fmt.Errorf("%w: longer than %d bytes", ErrSSHKey, maxSSHKeyLine)
	}
	line = strings.Trim(line, " \t\r\n")
	if strings.ContainsAny(line, "\r\n") {
		return SSHKey{}, fmt.Errorf("%w: several lines", ErrSSHKey)
	}
	if strings.HasPrefix(line, "-----BEGIN") {
		return SSHKey{}, fmt.Errorf("%w: a private key; give the .pub file", ErrSSHKey)
	}
	typ, rest, _ := strings.Cut(line, " ")
	text, comment, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	if typ != sshKeyType {
		return SSHKey{}, fmt.Errorf("%w: it does not begin with that type", ErrSSHKey)
	}
	public, err := parseSSHBlob(text)
	if err != nil {
		return SSHKey{}, err
	}
	comment = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(strings.TrimSpace(comment), ""))
	if len(comment) > maxSSHComment {
		comment = strings.ToValidUTF8(comment[:maxSSHComment], "")
	}
	return SSHKey{Name: comment, Public: public}, nil
}

// parseSSHBlob reads a key in the encoding of SSH, as base64.
func parseSSHBlob(text string) (ed25519.PublicKey, error) {
	const size = 51 // bytes
	if len(text) != base64.StdEncoding.EncodedLen(size) {
		return nil, fmt.Errorf("%w: wrong length", ErrSSHKey)
	}
	blob, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || !bytes.HasPrefix(blob, sshBlobHead) || len(blob) != size {
		return nil, ErrSSHKey
	}
	return blob[len(sshBlobHead):], nil
}

// SignedRequest is a request for a token that an SSH key has signed, as
// Ollama sends it.
type SignedRequest struct {
	Method        string
	URL           string // absolute, as the client was told it, with the query as it came
	Authorization string // the header: the public key in the encoding of SSH, a colon, the signature, both base64
}

// IsSSHAuthorization reports whether an Authorization header has the form of
// a public key and a signature.
func IsSSHAuthorization(header string) bool {
	key, signature, ok := strings.Cut(header, ":")
	return ok && len(key) == 68 && len(signature) == 88 && strings.HasPrefix(key, "AAAAC3NzaC1lZDI1NTE5AAAAI")
}

// AuthenticateSSH returns the principal of a signed request: the user who
// registered the key, limited to pulling and pushing. The request must have been
// made within five minutes, by its parameter ts, and have a nonce. Errors:
// ErrCredentials, with ErrUnknownSSHKey for a good signature of a key that nobody
// registered, and the store's.
func AuthenticateSSH(ctx context.Context, store SSHKeyStore, r SignedRequest, now time.Time) (Principal, error) {
	refuse := func(why string) (Principal, error) { return Principal{}, fmt.Errorf("%w: %s", ErrCredentials, why) }
	if !IsSSHAuthorization(r.Authorization) || len(r.URL) > maxSSHURL {
		return refuse("not a request signed by an SSH key")
	}
	key, text, _ := strings.Cut(r.Authorization, ":")
	public, err := parseSSHBlob(key)
	if err != nil {
		return refuse("unreadable SSH key")
	}
	signature, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(signature) != ed25519.SignatureSize {
		return refuse("unreadable signature")
	}
	u, err := url.Parse(r.URL)
	if err != nil {
		return refuse("unreadable URL")
	}
	q := u.Query()
	ts, err := strconv.ParseInt(q.Get("ts"), 10, 64)
	if err != nil || len(q["ts"]) != 1 {
		return refuse("a signed request without its time")
	}
	if n := len(q.Get("nonce")); n == 0 || n > maxNonceLen || len(q["nonce"]) != 1 {
		return refuse("a signed request without a nonce")
	}
	if d := now.Sub(time.Unix(ts, 0)); d > sshClockWindow || d < -sshClockWindow {
		return refuse("a signed request of another time")
	}
	if !ed25519.Verify(public, signedText(r.Method, r.URL), signature) {
		return refuse("wrong signature of an SSH key")
	}
	k, user, err := store.SSHKey(ctx, public)
	if errors.Is(err, ErrUnknownSSHKey) {
		return Principal{}, fmt.Errorf("%w: %w %s", ErrCredentials, ErrUnknownSSHKey, SSHKey{Public: public}.Fingerprint())
	}
	if err != nil {
		return Principal{}, err
	}
	if now.Sub(k.LastUsedAt) >= time.Hour {
		if err := store.TouchSSHKey(ctx, k.ID, now.Truncate(time.Hour)); err != nil {
			return Principal{}, err
		}
	}
	p := user.Principal()
	p.Limited = true
	p.Scopes = []Scope{{Type: TypeRepository, Name: anyRepository, Actions: []string{string(Pull), string(Push)}}}
	return p, nil
}

// signedText is what is signed: method, URL, and the hash of the body, of
// which there is none.
func signedText(method, address string) []byte {
	sum := sha256.Sum256(nil)
	return []byte(method + "," + address + "," + base64.StdEncoding.EncodeToString([]byte(hex.EncodeToString(sum[:]))))
}
