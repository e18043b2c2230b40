package auth

import (
	"sync"
	"time"
)

// maxVerified bounds how many tokens are remembered, with less than twice MaxTokenLen each.
const maxVerified = 2048

// verified are tokens whose signatures were found to be good: programs send the
// same one with every request, and to check a signature takes as long as half of
// a small answer.
type verified struct {
	mu    sync.RWMutex
	known map[string]verifiedToken
}

// verifiedToken is what a token stands for while its key verifies and its time
// has come and not passed. Nobody changes what the principal holds.
type verifiedToken struct {
	principal   Principal
	key         string
	from, until time.Time // with leeway
}

func (v *verified) get(text string, now time.Time) (verifiedToken, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	t, ok := v.known[text]
	return t, ok && !now.Before(t.from) && now.Before(t.until)
}

func (v *verified) put(text string, t verifiedToken, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.known) >= maxVerified {
		for t, old := range v.known {
			if !now.Before(old.until) {
				delete(v.known, t)
			}
		}
	}
	if v.known == nil || len(v.known) >= maxVerified {
		v.known = map[string]verifiedToken{}
	}
	v.known[text] = t
}
