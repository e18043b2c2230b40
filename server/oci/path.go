package oci

import (
	"strings"

	"github.com/carat-hub/carat/registry"
)

type resource int

const (
	resourceBase resource = iota
	resourceCatalog
	resourceTags
	resourceManifest
	resourceReferrers
	resourceBlob
	resourceUploads
	resourceUpload
)

// patterns name the resources in logs and metrics.
var patterns = [...]string{
	resourceBase:      "/v2/",
	resourceCatalog:   "/v2/_catalog",
	resourceTags:      "/v2/<name>/tags/list",
	resourceManifest:  "/v2/<name>/manifests/<reference>",
	resourceReferrers: "/v2/<name>/referrers/<digest>",
	resourceBlob:      "/v2/<name>/blobs/<digest>",
	resourceUploads:   "/v2/<name>/blobs/uploads/",
	resourceUpload:    "/v2/<name>/blobs/uploads/<id>",
}

func (r resource) pattern() string { return patterns[r] }

// route is a parsed path below /v2/.
type route struct {
	resource  resource
	name      registry.Name
	reference registry.Reference // of a manifest
	digest    registry.Digest    // of a blob, or of a referrers' subject
	upload    string             // upload id, not yet checked
}

// parsePath is the one parser of all /v2/ paths. It works on the escaped
// path; nothing that the grammar allows needs escaping but the colon of a
// digest. Because names may themselves contain words like "blobs", the path
// is read from its end.
func parsePath(escaped string) (route, error) {
	p := strings.TrimPrefix(strings.TrimPrefix(escaped, "/v2"), "/")
	p = strings.ReplaceAll(strings.ReplaceAll(p, "%3A", ":"), "%3a", ":")
	switch p {
	case "":
		return route{resource: resourceBase}, nil
	case "_catalog":
		return route{resource: resourceCatalog}, nil
	}
	if strings.ContainsRune(p, '%') {
		return route{}, registry.Errorf(registry.CodeNameInvalid, "the path must not be percent-encoded")
	}
	if name, ok := strings.CutSuffix(strings.TrimSuffix(p, "/"), "/blobs/uploads"); ok {
		return route{resource: resourceUploads}.named(name)
	}
	parts := strings.Split(p, "/")
	if n := len(parts); n >= 4 && parts[n-3] == "blobs" && parts[n-2] == "uploads" {
		return route{resource: resourceUpload, upload: parts[n-1]}.named(strings.Join(parts[:n-3], "/"))
	}
	if len(parts) < 3 {
		return route{}, registry.Errorf(registry.CodeNameUnknown, "no such resource")
	}
	last := parts[len(parts)-1]
	r, err := route{}.named(strings.Join(parts[:len(parts)-2], "/"))
	if err != nil {
		return r, err
	}
	switch parts[len(parts)-2] {
	case "blobs":
		r.resource = resourceBlob
		r.digest, err = registry.ParseDigest(last)
	case "manifests":
		r.resource = resourceManifest
		r.reference, err = registry.ParseReference(last)
	case "referrers":
		r.resource = resourceReferrers
		r.digest, err = registry.ParseDigest(last)
	case "tags":
		r.resource = resourceTags
		if last != "list" {
			err = registry.Errorf(registry.CodeNameUnknown, "no such resource")
		}
	default:
		err = registry.Errorf(registry.CodeNameUnknown, "no such resource")
	}
	return r, err
}

func (r route) named(name string) (route, error) {
	n, err := registry.ParseName(name)
	r.name = n
	return r, err
}
