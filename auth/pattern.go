package auth

import (
	"errors"
	"fmt"
	"strings"
)

// MaxPatterns is how many patterns of repositories a credential may have.
const MaxPatterns = MaxScopes

// anyRepository, as a pattern, stands for all repositories. Nobody can ask for a scope
// of it: it is the name of no repository.
const anyRepository = "*"

// ErrPattern says that a pattern of repositories cannot be read, or that there are too many.
var ErrPattern = errors.New("invalid pattern of repositories")

// ParsePatterns checks patterns of repositories: "*" for all, "org/*" for those below,
// or a whole name. None are all. Errors: ErrPattern.
func ParsePatterns(list []string) ([]string, error) {
	if len(list) == 0 {
		return []string{anyRepository}, nil
	}
	if len(list) > MaxPatterns {
		return nil, fmt.Errorf("%w: more than %d", ErrPattern, MaxPatterns)
	}
	for _, p := range list {
		name, below := strings.CutSuffix(p, "/*")
		switch {
		case p == anyRepository:
		case len(p) > maxScopeName || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789._-/") != "" || strings.Contains("/"+name+"/", "//"):
			return nil, fmt.Errorf("%w: write org/name, org/* or *", ErrPattern)
		case !below && !strings.Contains(name, "/"):
			return nil, fmt.Errorf("%w: write %s/* for all of an organization", ErrPattern, name)
		}
	}
	return list, nil
}

// matches reports whether a pattern covers a repository.
func matches(pattern, repository string) bool {
	if org, ok := strings.CutSuffix(pattern, "*"); ok && (org == "" || strings.HasSuffix(org, "/")) {
		return strings.HasPrefix(repository, org) && len(repository) > len(org)
	}
	return pattern == repository
}
