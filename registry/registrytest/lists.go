package registrytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"testing"
)

var nextLink = regexp.MustCompile(`^<([^>]+)>; rel="next"$`)

// next returns the address of the next page, "" on the last one.
func (r response) next(t *testing.T) string {
	t.Helper()
	link := r.header.Get("Link")
	if link == "" {
		return ""
	}
	m := nextLink.FindStringSubmatch(link)
	if m == nil {
		t.Fatalf("Link %q", link)
	}
	return m[1]
}

func testTags(t *testing.T, target Target) {
	t.Parallel()
	c := target.in(t)
	var all []string
	for _, name := range []string{"b", "a", "Z", "v1.0", "v1.10", "v1.2", "_x"} {
		c.pushImage(t, name, content(t.Name(), 50), nil)
		all = append(all, name)
	}
	slices.Sort(all)
	list := func(t *testing.T, path string) (tags []string, next string) {
		t.Helper()
		got := c.expect(t, http.StatusOK, request{method: "GET", path: path})
		var answer struct {
			Name string
			Tags []string
		}
		if err := json.Unmarshal(got.body, &answer); err != nil || answer.Name != c.repo || answer.Tags == nil {
			t.Fatalf("%s: %v\n%s", path, err, got.body)
		}
		return answer.Tags, got.next(t)
	}

	t.Run("all in byte order", func(t *testing.T) {
		if got, next := list(t, "tags/list"); !slices.Equal(got, all) || next != "" {
			t.Errorf("tags %q, next %q", got, next)
		}
	})
	t.Run("pages", func(t *testing.T) {
		for n := 1; n <= len(all)+1; n++ {
			var got []string
			for next := fmt.Sprintf("tags/list?n=%d", n); next != ""; {
				var tags []string
				tags, next = list(t, next)
				if len(tags) > n || next != "" && len(tags) < n {
					t.Fatalf("n=%d: page of %d", n, len(tags))
				}
				got = append(got, tags...)
			}
			if !slices.Equal(got, all) {
				t.Errorf("n=%d: %q", n, got)
			}
		}
	})
	t.Run("last", func(t *testing.T) {
		if got, _ := list(t, "tags/list?last=v1.10"); !slices.Equal(got, []string{"v1.2"}) {
			t.Errorf("after v1.10: %q", got)
		}
		if got, _ := list(t, "tags/list?last=b0&n=1"); !slices.Equal(got, []string{"v1.0"}) {
			t.Errorf("after a tag that does not exist: %q", got)
		}
	})
	t.Run("none asked for", func(t *testing.T) {
		if got, _ := list(t, "tags/list?n=0"); len(got) != 0 {
			t.Errorf("n=0: %q", got)
		}
	})
	t.Run("more than a page may have", func(t *testing.T) {
		if got, _ := list(t, "tags/list?n=2147483647"); !slices.Equal(got, all) {
			t.Errorf("%q", got)
		}
	})
}

func testReferrers(t *testing.T, target Target) {
	t.Parallel()
	c := target.in(t)
	subject, subjectDigest := c.pushImage(t, "v1", content(t.Name(), 100), nil)
	missing := []byte("pushed by nobody")
	refer := func(t *testing.T, subject []byte, artifactType string, changes object) string {
		t.Helper()
		m := object{"subject": descriptor(typeManifest, subject), "artifactType": artifactType, "annotations": object{"of": artifactType}}
		if artifactType == "" {
			m["artifactType"] = nil
		}
		for k, v := range changes {
			m[k] = v
		}
		body := image([]byte("{}"), m)
		got := c.expect(t, http.StatusCreated, request{method: "PUT", path: "manifests/" + digestOf(body), body: body, header: map[string]string{"Content-Type": typeManifest}})
		got.check(t, "OCI-Subject", digestOf(subject))
		return digestOf(body)
	}
	type descriptorJSON struct {
		MediaType, Digest, ArtifactType string
		Size                            int64
		Annotations                     map[string]string
	}
	list := func(t *testing.T, path string) (list []descriptorJSON, r response) {
		t.Helper()
		r = c.expect(t, http.StatusOK, request{method: "GET", path: path})
		r.check(t, "Content-Type", typeIndex)
		var index struct {
			SchemaVersion int
			MediaType     string
			Manifests     []descriptorJSON
		}
		if err := json.Unmarshal(r.body, &index); err != nil || index.SchemaVersion != 2 || index.MediaType != typeIndex || index.Manifests == nil {
			t.Fatalf("%s: %v\n%s", path, err, r.body)
		}
		return index.Manifests, r
	}
	sbom := refer(t, subject, "application/x.sbom", nil)
	sig := refer(t, subject, "application/x.signature", nil)
	plain := refer(t, subject, "", nil)
	early := refer(t, missing, "application/x.sbom", nil)

	t.Run("all", func(t *testing.T) {
		got, r := list(t, "referrers/"+subjectDigest)
		want := []string{sbom, sig, plain}
		slices.Sort(want)
		digests := []string{}
		for _, d := range got {
			digests = append(digests, d.Digest)
			switch d.Digest {
			case plain:
				if d.ArtifactType != typeEmpty {
					t.Errorf("artifactType of a manifest without one is %q, want the config's media type", d.ArtifactType)
				}
			case sbom:
				if d.ArtifactType != "application/x.sbom" || d.Annotations["of"] != "application/x.sbom" || d.MediaType != typeManifest || d.Size <= 0 {
					t.Errorf("descriptor %+v", d)
				}
			}
		}
		if !slices.Equal(digests, want) || r.header.Get("OCI-Filters-Applied") != "" {
			t.Errorf("referrers %q, want %q", digests, want)
		}
	})
	t.Run("filtered", func(t *testing.T) {
		got, r := list(t, "referrers/"+subjectDigest+"?artifactType=application/x.sbom")
		r.check(t, "OCI-Filters-Applied", "artifactType")
		if len(got) != 1 || got[0].Digest != sbom {
			t.Errorf("referrers %+v", got)
		}
		if got, _ := list(t, "referrers/"+subjectDigest+"?artifactType=application/x.none"); len(got) != 0 {
			t.Errorf("referrers %+v", got)
		}
	})
	t.Run("of a subject that is not there", func(t *testing.T) {
		if got, _ := list(t, "referrers/"+digestOf(missing)); len(got) != 1 || got[0].Digest != early {
			t.Errorf("referrers %+v", got)
		}
		if got, _ := list(t, "referrers/"+digestOf([]byte("never heard of"))); len(got) != 0 {
			t.Errorf("referrers %+v", got)
		}
	})
	t.Run("kept when the subject goes, gone when deleted", func(t *testing.T) {
		body, d := c.pushImage(t, "v2", content(t.Name(), 100), nil)
		ref := refer(t, body, "application/x.sbom", nil)
		c.expect(t, http.StatusAccepted, request{method: "DELETE", path: "manifests/" + d})
		if got, _ := list(t, "referrers/"+d); len(got) != 1 {
			t.Errorf("after the subject's end: %+v", got)
		}
		c.expect(t, http.StatusAccepted, request{method: "DELETE", path: "manifests/" + ref})
		if got, _ := list(t, "referrers/"+d); len(got) != 0 {
			t.Errorf("after the referrer's end: %+v", got)
		}
	})
	t.Run("pages", func(t *testing.T) {
		body, d := c.pushImage(t, "v3", content(t.Name(), 100), nil)
		var want, got []string
		for i := range 5 {
			big := string(content(fmt.Sprint(i), 700_000))
			want = append(want, refer(t, body, "application/x.big", object{"annotations": object{"big": fmt.Sprintf("%x", big)[:700_000]}}))
		}
		slices.Sort(want)
		pages := 0
		for next := "referrers/" + d + "?artifactType=application/x.big"; next != ""; pages++ {
			list, r := list(t, next)
			r.check(t, "OCI-Filters-Applied", "artifactType")
			for _, ref := range list {
				got = append(got, ref.Digest)
			}
			if len(r.body) > 4<<20 {
				t.Errorf("a page of %d bytes", len(r.body))
			}
			next = r.next(t)
		}
		if !slices.Equal(got, want) || pages < 2 {
			t.Errorf("%d pages: %q, want %q", pages, got, want)
		}
	})
}
