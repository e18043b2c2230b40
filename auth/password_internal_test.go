package auth

import (
	"context"
	"errors"
	"strings"
	"testing"
)

type known map[string]User

func (k known) User(_ context.Context, name string) (User, error) {
	u, ok := k[name]
	if !ok {
		return u, ErrUnknownUser
	}
	return u, nil
}

// TestWhoIsNotThereCostsAsMuch: whether there is such a user, or such a user
// has a password, an attempt waits for a place to hash, and so takes as long.
func TestWhoIsNotThereCostsAsMuch(t *testing.T) {
	users := known{
		"ada":     {ID: 1, Name: "ada", PasswordHash: phc{memory: argonMemory, time: argonTime, threads: argonThreads, salt: make([]byte, saltLen), key: make([]byte, keyLen)}.String()},
		"acme+ci": {ID: 2, Name: "acme+ci"},
	}
	// This test does not run beside others, which would wait too.
	for range cap(hashing) {
		hashing <- struct{}{}
	}
	defer func() {
		for range cap(hashing) {
			<-hashing
		}
	}()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, name := range []string{"ada", "acme+ci", "nobody", "", strings.Repeat("x", maxUserLen+1)} {
		if _, err := Authenticate(ctx, users, name, "guess"); !errors.Is(err, context.Canceled) {
			t.Errorf("%.20q does not wait for a hash: %v", name, err)
		}
	}
	if decoy.memory != argonMemory || decoy.time != argonTime || decoy.threads != argonThreads || len(decoy.key) != keyLen {
		t.Errorf("what a password is compared with where there is none costs less: %+v", decoy)
	}
}
