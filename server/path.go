package server

import (
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// area is a part of the URL space with its own way to authenticate and to
// show errors.
type area int

const (
	areaPage  area = iota // everything for browsers
	areaV2                // the distribution API: Bearer only
	areaAPI               // our API: Bearer or Basic
	areaHF                // the API of Hugging Face, and the files that it names
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
	case below("/api/models"), below("/api/datasets"), below("/api/spaces"), below("/api/repos"), path == "/api/whoami-v2", hasVerb(path, "resolve"), hasVerb(path, "raw"):
		return areaHF
	case below("/api"):
		return areaAPI
	case path == "/token":
		return areaToken
	case path == "/livez", path == "/readyz", path == "/metrics", path == "/.well-known/jwks.json":
		return areaProbe
	}
	return areaPage
}

// hasVerb reports whether a path is /{org}/{name}/{verb}/…
func hasVerb(path, verb string) bool {
	segments := strings.SplitN(path, "/", 5)
	return len(segments) == 5 && segments[0] == "" && segments[3] == verb
}

// json reports whether errors are answered as JSON.
func (a area) json() bool { return a != areaPage && a != areaProbe }

// escapedSlash stands for a slash within a segment of a path of areaHF. Since
// an escaped percent sign is refused everywhere, it can stand for nothing else.
const escapedSlash = "%2F"

// Unslash returns a segment of a path with the slashes that clients of Hugging
// Face escape: those of revisions and of folders.
func Unslash(segment string) string { return strings.ReplaceAll(segment, escapedSlash, "/") }

// pathProblem says why an escaped path is refused, "" when it is fine.
//
// Refused is every path that two parsers could read differently: escaped
// slashes, backslashes, dots, percent signs and control characters, plain
// backslashes, empty and dot segments, and all that is not ASCII. What passes
// has one meaning, its decoded form.
//
// In areaHF slashes may be escaped, between what would be good segments, and
// letters that are not ASCII, in UTF-8, because files have such names.
func pathProblem(p string, a area) string {
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
			c := unhex(p[i+1])<<4 | unhex(p[i+2])
			if problem := escapeProblem(c); problem != "" && (a != areaHF || c != '/' && c <= 0x7f) {
				return problem
			}
			i += 2
		}
	}
	if a == areaHF {
		if areaOf(hfPath(p)) != areaHF {
			return "an escaped slash"
		}
		p = Unslash(upperSlash(p))
		if decoded, err := url.PathUnescape(p); err != nil || !utf8.ValidString(decoded) || strings.ContainsFunc(decoded, unicode.IsControl) {
			return "an escape that is no UTF-8, or a control character"
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

// upperSlash writes escaped slashes in one way.
func upperSlash(escaped string) string { return strings.ReplaceAll(escaped, "%2f", escapedSlash) }

// canonical returns a copy of the request's URL that has only one path, the
// decoded one, so that no router can read the escaped one in another way. In
// areaHF slashes that are escaped stay so, see Unslash, but for the one between
// organization and name. The path must have no problem.
func canonical(r *http.Request, a area) *url.URL {
	u := *r.URL
	if a == areaHF {
		u.Path = hfPath(r.URL.EscapedPath())
	}
	u.RawPath = ""
	return &u
}

func hfPath(escaped string) string {
	kept := strings.ReplaceAll(upperSlash(escaped), escapedSlash, "%25"+escapedSlash[1:])
	path, err := url.PathUnescape(kept)
	if err != nil {
		return escaped // it had a problem
	}
	const models = "/api/models/"
	prefix, rest := "/", path[1:]
	if strings.HasPrefix(path, models) {
		prefix, rest = models, path[len(models):]
	}
	repository, below, _ := strings.Cut(rest, "/")
	if (prefix == models || (strings.HasPrefix(below, "resolve/") || strings.HasPrefix(below, "raw/"))) && strings.Count(repository, escapedSlash) == 1 {
		return prefix + Unslash(repository) + rest[len(repository):]
	}
	return path
}
