package server

import (
	"net/http"
	"net/url"
	"strings"
)

// area is a part of the URL space with its own way to authenticate and to
// show errors.
type area int

const (
	areaPage  area = iota // everything for browsers
	areaV2                // the distribution API: Bearer only
	areaAPI               // our API: Bearer or Basic
	areaToken             // the token endpoint: credentials are its own business
	areaProbe             // health, metrics and keys: credentials are their own business
)

func areaOf(path string) area {
	below := func(prefix string) bool {
		rest, ok := strings.CutPrefix(path, prefix)
		return ok && (rest == "" || rest[0] == '/')
	}
	switch {
	case below("/v2"):
		return areaV2
	case below("/api"):
		return areaAPI
	case path == "/token":
		return areaToken
	case path == "/livez", path == "/readyz", path == "/metrics", path == "/.well-known/jwks.json":
		return areaProbe
	}
	return areaPage
}

// json reports whether errors are answered as JSON.
func (a area) json() bool { return a == areaV2 || a == areaAPI || a == areaToken }

// pathProblem says why an escaped path is refused, "" when it is fine.
//
// Refused is every path that two parsers could read differently: escaped
// slashes, backslashes, dots, percent signs and control characters, plain
// backslashes, empty and dot segments, and all that is not ASCII. What passes
// has one meaning, its decoded form.
func pathProblem(p string) string {
	if p == "" || p[0] != '/' {
		return "no slash at its start"
	}
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case c <= ' ' || c == 0x7f:
			return "a control character or space"
		case c > 0x7f:
			return "a character that is not ASCII"
		case c == '\\':
			return "a backslash"
		case c == '%':
			// EscapedPath returns only valid escapes.
			if problem := escapeProblem(unhex(p[i+1])<<4 | unhex(p[i+2])); problem != "" {
				return problem
			}
			i += 2
		}
	}
	segments := strings.Split(p[1:], "/")
	for i, s := range segments {
		switch {
		case s == "" && i < len(segments)-1:
			return "an empty segment"
		case s == "." || s == "..":
			return "a dot segment"
		}
	}
	return ""
}

func escapeProblem(c byte) string {
	switch {
	case c < ' ' || c == 0x7f:
		return "an escaped control character"
	case c > 0x7f:
		return "an escaped character that is not ASCII"
	case c == '/' || c == '\\' || c == '.' || c == '%':
		return "an escaped slash, backslash, dot or percent sign"
	}
	return ""
}

func unhex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}

// canonical returns a copy of the request whose URL has only the decoded
// path, so that no router can read the escaped one in another way.
func canonical(r *http.Request) *url.URL {
	u := *r.URL
	u.RawPath = ""
	return &u
}
