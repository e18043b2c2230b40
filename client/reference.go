package client

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/carat-hub/carat/registry"
)

// DefaultTag is the tag of a reference that gives neither tag nor digest.
const DefaultTag registry.Tag = "latest"

// Reference names a manifest in a registry: HOST[:PORT]/NAME[:TAG][@DIGEST].
// When a digest is set it decides and the tag is only said along.
type Reference struct {
	Host   string // host name, IPv4 address or bracketed IPv6 address, with ":port" when one was given
	Name   registry.Name
	Tag    registry.Tag
	Digest registry.Digest
}

var hostRE = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)*$`)
})

// maxReferenceLen bounds what is parsed at all: 255 bytes each of host and
// name, 128 of tag, 135 of a sha512 digest, and separators.
const maxReferenceLen = 800

// ParseReference parses a reference. Without a tag and a digest the tag is
// DefaultTag. The host is required: no registry is the default one.
func ParseReference(s string) (Reference, error) {
	if len(s) > maxReferenceLen {
		return Reference{}, fmt.Errorf("reference has %d bytes; at most %d are allowed", len(s), maxReferenceLen)
	}
	if strings.Contains(s, "://") {
		return Reference{}, fmt.Errorf("reference %q is a URL; write HOST[:PORT]/ORG/NAME[:TAG] without a scheme", s)
	}
	host, rest, ok := strings.Cut(s, "/")
	if !ok || rest == "" {
		return Reference{}, fmt.Errorf("reference %q needs the form HOST[:PORT]/ORG/NAME[:TAG|@DIGEST]", s)
	}
	host, err := ParseHost(host)
	if err != nil {
		return Reference{}, fmt.Errorf("reference %q: %w", s, err)
	}
	ref := Reference{Host: host}
	if before, digest, found := strings.Cut(rest, "@"); found {
		if ref.Digest, err = registry.ParseDigest(digest); err != nil {
			return Reference{}, fmt.Errorf("reference %q: %w", s, err)
		}
		rest = before
	}
	name, tag, tagged := strings.Cut(rest, ":")
	if tagged {
		if ref.Tag, err = registry.ParseTag(tag); err != nil {
			return Reference{}, fmt.Errorf("reference %q: %w", s, err)
		}
	} else if ref.Digest.IsZero() {
		ref.Tag = DefaultTag
	}
	if ref.Name, err = registry.ParseName(name); err != nil {
		return Reference{}, fmt.Errorf("reference %q: %w", s, err)
	}
	return ref, nil
}

// ParseHost checks HOST[:PORT] as references and logins have it. A word
// without dot and port is refused, "localhost" aside: it is more likely the
// organization of a name whose host was forgotten.
func ParseHost(s string) (string, error) {
	host, port := s, ""
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return "", fmt.Errorf("host %q has no closing bracket", s)
		}
		addr, err := netip.ParseAddr(s[1:end])
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", fmt.Errorf("host %q is no IPv6 address", s)
		}
		port = s[end+1:]
		if port != "" && port[0] != ':' {
			return "", fmt.Errorf("host %q has something after the bracket that is no port", s)
		}
	} else {
		if i := strings.IndexByte(s, ':'); i >= 0 {
			host, port = s[:i], s[i:]
		}
		if len(host) > 253 || !hostRE().MatchString(host) {
			return "", fmt.Errorf("host %q is no host name", s)
		}
		if port == "" && !strings.Contains(host, ".") && !strings.EqualFold(host, "localhost") {
			return "", fmt.Errorf("%q names no registry: a host needs a dot or a port, as in localhost:8080 or models.example.org", s)
		}
	}
	if port != "" {
		n, err := strconv.ParseUint(port[1:], 10, 16)
		if err != nil || n == 0 || port[1] == '0' {
			return "", fmt.Errorf("host %q has no valid port", s)
		}
	}
	return strings.ToLower(s), nil
}

// Target returns what follows the name in a manifest URL: the digest when
// there is one, the tag otherwise.
func (r Reference) Target() registry.Reference {
	if !r.Digest.IsZero() {
		return registry.Reference{Digest: r.Digest}
	}
	return registry.Reference{Tag: r.Tag}
}

// String returns the reference in the form that ParseReference takes.
func (r Reference) String() string {
	s := r.Host + "/" + string(r.Name)
	if r.Tag != "" {
		s += ":" + string(r.Tag)
	}
	if !r.Digest.IsZero() {
		s += "@" + r.Digest.String()
	}
	return s
}

// Pinned returns HOST/NAME@DIGEST, which names the same bytes for ever.
func (r Reference) Pinned(d registry.Digest) Reference {
	return Reference{Host: r.Host, Name: r.Name, Digest: d}
}

// Folder returns the last part of the name, where a pull goes by default.
func (r Reference) Folder() string {
	s := string(r.Name)
	return s[strings.LastIndexByte(s, '/')+1:]
}

// IsLoopback reports whether a host with or without port is this machine by
// its very name, so that plain HTTP to it crosses no network.
func IsLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.IsLoopback()
	}
	host = strings.ToLower(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
