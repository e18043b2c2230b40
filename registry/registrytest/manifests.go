package registrytest

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"testing"
)

func testManifests(t *testing.T, target Target) {
	t.Parallel()
	asManifest := map[string]string{"Content-Type": typeManifest}
	asIndex := map[string]string{"Content-Type": typeIndex}

	t.Run("by tag and digest", func(t *testing.T) {
		t.Parallel()
		c := target.in(t)
		body, d := c.pushImage(t, "v1", content(t.Name(), 100), nil)
		for _, ref := range []string{"v1", d} {
			got := c.expect(t, http.StatusOK, request{method: "GET", path: "manifests/" + ref})
			if !bytes.Equal(got.body, body) {
				t.Errorf("%s: other bytes than pushed", ref)
			}
			head := c.expect(t, http.StatusOK, request{method: "HEAD", path: "manifests/" + ref})
			for _, r := range []response{got, head} {
				r.check(t, "Content-Type", typeManifest)
				r.check(t, "Content-Length", strconv.Itoa(len(body)))
				r.check(t, "Docker-Content-Digest", d)
				r.check(t, "ETag", `"`+d+`"`)
			}
			c.expect(t, http.StatusNotModified, request{method: "GET", path: "manifests/" + ref, header: map[string]string{"If-None-Match": `"` + d + `"`}})
		}
	})

	t.Run("tag moves", func(t *testing.T) {
		t.Parallel()
		c := target.in(t)
		_, first := c.pushImage(t, "latest", content(t.Name()+"1", 100), nil)
		_, second := c.pushImage(t, "latest", content(t.Name()+"2", 100), nil)
		c.expect(t, http.StatusOK, request{method: "HEAD", path: "manifests/latest"}).check(t, "Docker-Content-Digest", second)
		c.expect(t, http.StatusOK, request{method: "HEAD", path: "manifests/" + first})
	})

	t.Run("tag parameters", func(t *testing.T) {
		t.Parallel()
		c := target.in(t)
		body, d := c.pushImage(t, "", content(t.Name(), 100), nil)
		got := c.expect(t, http.StatusCreated, request{method: "PUT", path: "manifests/" + d + "?tag=a&tag=b", body: body, header: asManifest})
		if tags := got.header.Values("OCI-Tag"); !slices.Equal(tags, []string{"a", "b"}) {
			t.Errorf("OCI-Tag %q", tags)
		}
		for _, ref := range []string{"a", "b"} {
			c.expect(t, http.StatusOK, request{method: "HEAD", path: "manifests/" + ref}).check(t, "Docker-Content-Digest", d)
		}
	})

	t.Run("sha512", func(t *testing.T) {
		t.Parallel()
		c := target.in(t)
		body, _ := c.pushImage(t, "v1", content(t.Name(), 100), nil)
		d := digest512(body)
		got := c.expect(t, http.StatusCreated, request{method: "PUT", path: "manifests/" + d, body: body, header: asManifest})
		got.check(t, "Docker-Content-Digest", d)
		c.expect(t, http.StatusOK, request{method: "GET", path: "manifests/" + d}).check(t, "Docker-Content-Digest", d)
	})

	t.Run("index", func(t *testing.T) {
		t.Parallel()
		c := target.in(t)
		child, d := c.pushImage(t, "", content(t.Name(), 100), nil)
		index := encode(object{"schemaVersion": 2, "mediaType": typeIndex, "manifests": []any{descriptor(typeManifest, child)}}, nil)
		c.expect(t, http.StatusCreated, request{method: "PUT", path: "manifests/all", body: index, header: asIndex})
		c.expect(t, http.StatusOK, request{method: "GET", path: "manifests/all"}).check(t, "Content-Type", typeIndex)
		if got := c.expect(t, http.StatusForbidden, request{method: "DELETE", path: "manifests/" + d}); got.code() != "DENIED" {
			t.Errorf("delete of a child: code %q", got.code())
		}
		c.expect(t, http.StatusAccepted, request{method: "DELETE", path: "manifests/" + digestOf(index)})
		c.expect(t, http.StatusNotFound, request{method: "GET", path: "manifests/all"})
		c.expect(t, http.StatusAccepted, request{method: "DELETE", path: "manifests/" + d})
		empty := encode(object{"schemaVersion": 2, "mediaType": typeIndex, "manifests": []any{}}, nil)
		c.expect(t, http.StatusCreated, request{method: "PUT", path: "manifests/empty", body: empty, header: asIndex})
	})

	t.Run("delete", func(t *testing.T) {
		t.Parallel()
		c := target.in(t)
		_, d := c.pushImage(t, "one", content(t.Name(), 100), nil)
		c.pushImage(t, "two", content(t.Name(), 100), nil)
		c.expect(t, http.StatusAccepted, request{method: "DELETE", path: "manifests/one"})
		c.expect(t, http.StatusNotFound, request{method: "HEAD", path: "manifests/one"})
		c.expect(t, http.StatusNotFound, request{method: "DELETE", path: "manifests/one"})
		c.expect(t, http.StatusOK, request{method: "HEAD", path: "manifests/two"})
		c.expect(t, http.StatusAccepted, request{method: "DELETE", path: "manifests/" + d})
		c.expect(t, http.StatusNotFound, request{method: "HEAD", path: "manifests/two"})
		c.expect(t, http.StatusNotFound, request{method: "HEAD", path: "manifests/" + d})
		c.expect(t, http.StatusNotFound, request{method: "DELETE", path: "manifests/" + d})
	})

	t.Run("taken without a mediaType of its own", func(t *testing.T) {
		t.Parallel()
		c := target.in(t)
		c.pushImage(t, "v1", content(t.Name(), 100), object{"mediaType": nil})
		c.expect(t, http.StatusOK, request{method: "GET", path: "manifests/v1"}).check(t, "Content-Type", typeManifest)
	})

	t.Run("layers that need not be here", func(t *testing.T) {
		t.Parallel()
		c := target.in(t)
		c.pushBlob(t, []byte("{}"))
		body := image(nil, object{"layers": []any{descriptor("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", []byte("elsewhere"))}})
		c.expect(t, http.StatusCreated, request{method: "PUT", path: "manifests/v1", body: body, header: asManifest})
	})

	t.Run("size limit", func(t *testing.T) {
		t.Parallel()
		c := target.in(t)
		c.pushBlob(t, []byte("{}"))
		c.pushBlob(t, []byte("x"))
		padded := func(n int) []byte {
			plain := len(image([]byte("x"), object{"annotations": object{"pad": ""}}))
			return image([]byte("x"), object{"annotations": object{"pad": string(bytes.Repeat([]byte("x"), n-plain))}})
		}
		c.expect(t, http.StatusCreated, request{method: "PUT", path: "manifests/most", body: padded(4 << 20), header: asManifest})
		c.expect(t, http.StatusRequestEntityTooLarge, request{method: "PUT", path: "manifests/more", body: padded(4<<20 + 1), header: asManifest})
		c.expect(t, http.StatusRequestEntityTooLarge, request{method: "PUT", path: "manifests/more", stream: bytes.NewBuffer(padded(5 << 20)), header: asManifest})
		c.expect(t, http.StatusNotFound, request{method: "HEAD", path: "manifests/more"})
	})
}
