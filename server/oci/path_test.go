package oci

import (
	"strings"
	"testing"

	"github.com/carat-hub/carat/registry"
)

const digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

func TestParsePath(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]struct {
		resource resource
		name     string
		what     string
	}{
		"/v2":                                      {resource: resourceBase},
		"/v2/":                                     {resource: resourceBase},
		"/v2/_catalog":                             {resource: resourceCatalog},
		"/v2/a/tags/list":                          {resourceTags, "a", ""},
		"/v2/a/b/c/manifests/v1":                   {resourceManifest, "a/b/c", "v1"},
		"/v2/a/manifests/" + digest:                {resourceManifest, "a", digest},
		"/v2/a/manifests/sha256%3A" + digest[7:]:   {resourceManifest, "a", digest},
		"/v2/a/blobs/" + digest:                    {resourceBlob, "a", digest},
		"/v2/a/referrers/" + digest:                {resourceReferrers, "a", digest},
		"/v2/a/blobs/uploads":                      {resourceUploads, "a", ""},
		"/v2/a/blobs/uploads/":                     {resourceUploads, "a", ""},
		"/v2/a/blobs/uploads/id":                   {resourceUpload, "a", "id"},
		"/v2/manifests/blobs/tags/manifests/blobs": {resourceManifest, "manifests/blobs/tags", "blobs"},
		"/v2/a/blobs/uploads/blobs/uploads/":       {resourceUploads, "a/blobs/uploads", ""},
	} {
		r, err := parsePath(path)
		what := r.reference.String() + r.digest.String() + r.upload
		if err != nil || r.resource != want.resource || string(r.name) != want.name || what != want.what {
			t.Errorf("%s: %+v, %v", path, r, err)
		}
	}
	for _, path := range []string{
		"/v2/a", "/v2/a/b", "/v2//tags/list", "/v2/a//tags/list", "/v2/A/tags/list", "/v2/a/tags/other", "/v2/a/blobs/x", "/v2/a%2fb/tags/list",
		"/v2/a/manifests/%2e%2e", "/v2/a/../b/tags/list", "/v2/a/manifests/", "/v2/a/manifests/v1/", "/v2/a/other/v1", "/v2/_catalog/", "/v2/a\\b/tags/list",
	} {
		if r, err := parsePath(path); err == nil {
			t.Errorf("%s: taken as %+v", path, r)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	f.Add("/v2/a/b/manifests/v1")
	f.Add("/v2/a/blobs/uploads/id")
	f.Fuzz(func(t *testing.T, path string) {
		r, err := parsePath(path)
		if err != nil || r.resource == resourceBase || r.resource == resourceCatalog {
			return
		}
		if _, err := registry.ParseName(string(r.name)); err != nil || strings.Contains(r.upload, "/") {
			t.Errorf("%q: %+v", path, r)
		}
	})
}
