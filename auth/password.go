package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strings"

	"golang.org/x/crypto/argon2"
)

// ErrCredentials says that credentials were sent and are wrong: an unknown
// user, a wrong password, or a token that does not verify. It never says which.
var ErrCredentials = errors.New("credentials are not valid")

// Parameters of argon2id as OWASP's password storage cheat sheet recommends.
const (
	argonMemory  = 19 * 1024 // KiB
	argonTime    = 2
	argonThreads = 1
	saltLen      = 16
	keyLen       = 32
)

// Limits on a stored hash, so that a damaged row cannot demand all memory.
const (
	maxArgonMemory = 256 * 1024 // KiB
	maxArgonTime   = 16
	maxHashLen     = 256 // bytes of the PHC string
)

const (
	maxPasswordLen = 1024 // bytes
	maxUserLen     = 255  // bytes
)

// hashing bounds how many argon2 computations run at once in this process:
// each takes 19 MiB and a core.
var hashing = make(chan struct{}, 2)

// decoy is compared with when there is no such user, so that the answer takes
// as long as for a known one. Its key is no password's.
var decoy = phc{
	memory: argonMemory, time: argonTime, threads: argonThreads,
	salt: make([]byte, saltLen), key: make([]byte, keyLen),
}

// HashPassword returns a salted argon2id hash in PHC string format. It waits
// for its turn. Errors: an empty or overlong password, and the context's.
func HashPassword(ctx context.Context, password string) (string, error) {
	if password == "" || len(password) > maxPasswordLen {
		return "", fmt.Errorf("a password needs 1 to %d bytes, not %d", maxPasswordLen, len(password))
	}
	p := phc{memory: argonMemory, time: argonTime, threads: argonThreads, salt: make([]byte, saltLen)}
	rand.Read(p.salt) // never fails since Go 1.24
	key, err := p.derive(ctx, password, keyLen)
	if err != nil {
		return "", err
	}
	p.key = key
	return p.String(), nil
}

// CheckPassword compares a password with what HashPassword returned, in
// constant time. It waits for its turn. Errors: ErrCredentials when they do
// not match, the context's, and others for a hash that is damaged.
func CheckPassword(ctx context.Context, hash, password string) error {
	p, err := parsePHC(hash)
	if err != nil {
		return fmt.Errorf("read password hash: %w", err)
	}
	return p.check(ctx, password)
}

// Users is what Authenticate needs of a UserStore.
type Users interface {
	// User returns the user of that name. Errors: ErrUnknownUser.
	User(ctx context.Context, name string) (User, error)
}

var _ Users = UserStore(nil)

// Authenticate returns the user of that name if the password is right. An
// unknown name, or one without a password, costs as much work as a wrong password. Errors:
// ErrCredentials, the context's and the store's.
func Authenticate(ctx context.Context, users Users, name, password string) (User, error) {
	u, err := User{}, ErrUnknownUser
	if name != "" && len(name) <= maxUserLen && len(password) <= maxPasswordLen {
		u, err = users.User(ctx, name)
	}
	if errors.Is(err, ErrUnknownUser) || err == nil && u.PasswordHash == "" {
		if err := decoy.check(ctx, ""); err != nil && !errors.Is(err, ErrCredentials) {
			return User{}, err
		}
		return User{}, ErrCredentials
	}
	if err != nil {
		return User{}, fmt.Errorf("look up user: %w", err)
	}
	if err := CheckPassword(ctx, u.PasswordHash, password); err != nil {
		return User{}, err
	}
	return u, nil
}

// phc is an argon2id hash with its parameters.
type phc struct {
	memory  uint32 // KiB
	time    uint32
	threads uint8
	salt    []byte
	key     []byte
}

// derive computes the key for a password once a place is free.
func (p phc) derive(ctx context.Context, password string, n int) ([]byte, error) {
	select {
	case hashing <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait to hash a password: %w", ctx.Err())
	}
	defer func() { <-hashing }()
	return argon2.IDKey([]byte(password), p.salt, p.time, p.memory, p.threads, uint32(n)), nil
}

func (p phc) check(ctx context.Context, password string) error {
	key, err := p.derive(ctx, password, len(p.key))
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(key, p.key) != 1 {
		return ErrCredentials
	}
	return nil
}

// String returns the PHC string: $argon2id$v=19$m=…,t=…,p=…$salt$key.
func (p phc) String() string {
	enc := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.time, p.threads, enc(p.salt), enc(p.key))
}

func parsePHC(s string) (phc, error) {
	var p phc
	if len(s) > maxHashLen {
		return p, errors.New("too long")
	}
	part := strings.Split(s, "$")
	if len(part) != 6 || part[0] != "" || part[1] != "argon2id" {
		return p, errors.New("not an argon2id PHC string")
	}
	if part[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, errors.New("unknown argon2 version")
	}
	if _, err := fmt.Sscanf(part[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.threads); err != nil {
		return p, errors.New("unreadable parameters")
	}
	var err error
	if p.salt, err = base64.RawStdEncoding.DecodeString(part[4]); err != nil {
		return p, errors.New("unreadable salt")
	}
	if p.key, err = base64.RawStdEncoding.DecodeString(part[5]); err != nil {
		return p, errors.New("unreadable key")
	}
	switch {
	case p.String() != s:
		return p, errors.New("not in canonical form")
	case p.memory < 8*uint32(p.threads) || p.memory > maxArgonMemory, p.time < 1 || p.time > maxArgonTime, p.threads < 1 || p.threads == math.MaxUint8:
		return p, errors.New("parameters out of range")
	case len(p.salt) < 8 || len(p.key) < 16:
		return p, errors.New("salt or key too short")
	}
	return p, nil
}
