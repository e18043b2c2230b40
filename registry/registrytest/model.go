package registrytest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// model is what must be visible in the repositories of a walk. It knows
// nothing of storage: each repository has its own blobs, manifests and tags,
// and content comes from a push or a mount of somebody who may see it.
type model struct {
	repos []*modelRepo
}

type modelRepo struct {
	name      string
	exists    bool
	private   bool
	blobs     map[string][]byte // by digest
	manifests map[string]modelManifest
	tags      map[string]string // digest by tag
}

// modelManifest is a manifest as it was pushed.
type modelManifest struct {
	body         []byte
	mediaType    string
	artifactType string
	subject      string // digest, "" when there is none
	annotations  map[string]string
	blobs        []string // digests that it refers to
	children     []string
}

func newModelRepo(name string) *modelRepo {
	return &modelRepo{name: name, blobs: map[string][]byte{}, manifests: map[string]modelManifest{}, tags: map[string]string{}}
}

// resolve returns the digest that a reference means, "" when it means nothing.
func (r *modelRepo) resolve(reference string) string {
	if !strings.Contains(reference, ":") {
		return r.tags[reference]
	}
	if _, ok := r.manifests[reference]; ok {
		return reference
	}
	return ""
}

// put adds a manifest and returns "", or returns something that it refers to
// and that is not there.
func (r *modelRepo) put(digest string, m modelManifest, tags ...string) (missing string) {
	for _, b := range m.blobs {
		if _, ok := r.blobs[b]; !ok {
			return b
		}
	}
	for _, c := range m.children {
		if _, ok := r.manifests[c]; !ok {
			return c
		}
	}
	r.exists = true
	r.manifests[digest] = m
	for _, tag := range tags {
		r.tags[tag] = digest
	}
	return ""
}

// deleteManifest deletes a manifest by digest or a tag, and returns the
// status of the answer.
func (r *modelRepo) deleteManifest(reference string) int {
	digest := r.resolve(reference)
	switch {
	case digest == "":
		return http.StatusNotFound
	case digest != reference:
		delete(r.tags, reference)
		return http.StatusAccepted
	}
	for _, m := range r.manifests {
		if slices.Contains(m.children, digest) {
			return http.StatusForbidden
		}
	}
	delete(r.manifests, digest)
	maps.DeleteFunc(r.tags, func(_, d string) bool { return d == digest })
	return http.StatusAccepted
}

func (r *modelRepo) deleteBlob(digest string) int {
	if _, ok := r.blobs[digest]; !ok {
		return http.StatusNotFound
	}
	for _, m := range r.manifests {
		if slices.Contains(m.blobs, digest) {
			return http.StatusForbidden
		}
	}
	delete(r.blobs, digest)
	return http.StatusAccepted
}

// modelReferrer is one entry of a referrers list.
type modelReferrer struct {
	MediaType, Digest, ArtifactType string
	Size                            int
	Annotations                     map[string]string
}

// referrers returns what the list must say, in its order.
func (r *modelRepo) referrers(subject, artifactType string) []modelReferrer {
	list := []modelReferrer{}
	for d, m := range r.manifests {
		if m.subject == subject && (artifactType == "" || m.artifactType == artifactType) {
			list = append(list, modelReferrer{m.mediaType, d, m.artifactType, len(m.body), m.annotations})
		}
	}
	slices.SortFunc(list, func(a, b modelReferrer) int { return cmp.Compare(a.Digest, b.Digest) })
	return list
}

// status is what a reader gets for something that is there or not.
func (r *modelRepo) status(c *caller, there bool) int {
	switch {
	case c.anon && (r.private || !r.exists):
		return http.StatusUnauthorized // whether it is there or not
	case there:
		return http.StatusOK
	}
	return http.StatusNotFound
}

// checkBlob compares HEAD, GET and a range of a blob with the model.
func (r *modelRepo) checkBlob(t *testing.T, c *caller, digest string) {
	t.Helper()
	want, there := r.blobs[digest]
	status := r.status(c, there)
	head := c.expect(t, status, request{method: "HEAD", path: "blobs/" + digest})
	got := c.expect(t, status, request{method: "GET", path: "blobs/" + digest})
	if status != http.StatusOK {
		return
	}
	head.check(t, "Content-Length", strconv.Itoa(len(want)))
	head.check(t, "Docker-Content-Digest", digest)
	if !bytes.Equal(got.body, want) {
		t.Fatalf("%s: blob %s has %d bytes that differ from the %d pushed", r.name, digest, len(got.body), len(want))
	}
	if len(want) > 1 {
		last := len(want) - 1
		part := c.expect(t, http.StatusPartialContent, request{method: "GET", path: "blobs/" + digest, header: map[string]string{"Range": fmt.Sprintf("bytes=%d-", last)}})
		if !bytes.Equal(part.body, want[last:]) {
			t.Fatalf("%s: the last byte of blob %s comes as %d bytes", r.name, digest, len(part.body))
		}
	}
}

// checkManifest compares HEAD and GET of a manifest with the model.
func (r *modelRepo) checkManifest(t *testing.T, c *caller, reference string) {
	t.Helper()
	digest := r.resolve(reference)
	want := r.manifests[digest]
	status := r.status(c, digest != "")
	for _, method := range []string{"HEAD", "GET"} {
		got := c.expect(t, status, request{method: method, path: "manifests/" + reference})
		if status != http.StatusOK {
			continue
		}
		got.check(t, "Docker-Content-Digest", digest)
		got.check(t, "Content-Type", want.mediaType)
		got.check(t, "Content-Length", strconv.Itoa(len(want.body)))
		if method == "GET" && !bytes.Equal(got.body, want.body) {
			t.Fatalf("%s: manifest %s has other bytes than pushed", r.name, reference)
		}
	}
}

// checkTags compares the tag list, read in pages of n, with the model.
func (r *modelRepo) checkTags(t *testing.T, c *caller, n int) {
	t.Helper()
	got := []string{}
	for next := fmt.Sprintf("tags/list?n=%d", n); next != ""; {
		answer := c.expect(t, r.status(c, r.exists), request{method: "GET", path: next})
		if answer.status != http.StatusOK {
			return
		}
		var page struct{ Tags []string }
		if err := json.Unmarshal(answer.body, &page); err != nil {
			t.Fatal(err)
		}
		got, next = append(got, page.Tags...), answer.next(t)
	}
	if want := slices.Sorted(maps.Keys(r.tags)); !slices.Equal(got, want) {
		t.Fatalf("%s: tags %q, want %q", r.name, got, want)
	}
}

// checkReferrers compares a referrers list with the model.
func (r *modelRepo) checkReferrers(t *testing.T, c *caller, subject, artifactType string) {
	t.Helper()
	path := "referrers/" + subject
	if artifactType != "" {
		path += "?artifactType=" + artifactType
	}
	got := c.expect(t, r.status(c, true), request{method: "GET", path: path})
	if got.status != http.StatusOK {
		return
	}
	var index struct{ Manifests []modelReferrer }
	if err := json.Unmarshal(got.body, &index); err != nil {
		t.Fatal(err)
	}
	want := r.referrers(subject, artifactType)
	same := slices.EqualFunc(index.Manifests, want, func(a, b modelReferrer) bool {
		return a.MediaType == b.MediaType && a.Digest == b.Digest && a.ArtifactType == b.ArtifactType && a.Size == b.Size && maps.Equal(a.Annotations, b.Annotations)
	})
	if !same {
		t.Fatalf("%s: referrers of %s (%s) are %+v, want %+v", r.name, subject, artifactType, index.Manifests, want)
	}
}
