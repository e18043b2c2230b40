package registrytest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func testAccess(t *testing.T, target Target) {
	t.Parallel()

	t.Run("version check challenges", func(t *testing.T) {
		t.Parallel()
		c := target.in(t)
		got := c.expect(t, http.StatusUnauthorized, request{method: "GET", path: "/v2/", bare: true})
		if ch := got.header.Get("WWW-Authenticate"); !strings.HasPrefix(ch, `Bearer realm="`+target.URL+`/token",service="`) {
			t.Errorf("challenge %q", ch)
		}
		for _, path := range []string{"/v2/", "/v2"} {
			c.expect(t, http.StatusOK, request{method: "GET", path: path}).check(t, "Docker-Distribution-Api-Version", "registry/2.0")
		}
		c.expect(t, http.StatusUnauthorized, request{method: "GET", path: "/v2/", bare: true, header: map[string]string{"Authorization": "Bearer forged"}})
	})

	t.Run("anonymous", func(t *testing.T) {
		t.Parallel()
		c := target.in(t)
		p := content(t.Name(), 100)
		body, d := c.pushImage(t, "v1", p, nil)
		target.SetVisibility(t, c.repo, "public")
		anon := c.anonymous()
		anon.expect(t, http.StatusOK, request{method: "GET", path: "manifests/v1"})
		anon.wantBlob(t, digestOf(p), p)
		tok := anon.token(t, "repository:"+c.repo+":pull,push")
		withToken := map[string]string{"Authorization": "Bearer " + tok, "Content-Type": typeManifest}
		anon.expect(t, http.StatusOK, request{method: "GET", path: "manifests/v1", header: withToken})
		anon.expect(t, http.StatusOK, request{method: "GET", path: "/v2/", header: withToken})
		for _, r := range []request{
			{method: "POST", path: "blobs/uploads/"},
			{method: "PUT", path: "manifests/v1", body: body},
			{method: "DELETE", path: "manifests/" + d},
			{method: "DELETE", path: "blobs/" + digestOf(p)},
		} {
			got := anon.expect(t, http.StatusUnauthorized, r)
			if ch := got.header.Get("WWW-Authenticate"); !strings.Contains(ch, `scope="repository:`+c.repo+`:`) {
				t.Errorf("%s %s: challenge %q", r.method, r.path, ch)
			}
			r.header = withToken
			anon.expect(t, http.StatusUnauthorized, r)
		}
	})

	t.Run("private", func(t *testing.T) {
		t.Parallel()
		c := target.in(t)
		p := content(t.Name(), 100)
		_, d := c.pushImage(t, "v1", p, nil)
		target.SetVisibility(t, c.repo, "private")
		c.expect(t, http.StatusOK, request{method: "GET", path: "manifests/v1"})
		missing := target.at(c.repo + "-missing").anonymous()
		anon := c.anonymous()
		for _, path := range []string{"manifests/v1", "manifests/" + d, "blobs/" + digestOf(p), "tags/list", "referrers/" + d} {
			hidden := anon.expect(t, http.StatusUnauthorized, request{method: "GET", path: path})
			absent := missing.do(t, request{method: "GET", path: path})
			if hidden.code() != "UNAUTHORIZED" {
				t.Errorf("%s: code %q", path, hidden.code())
			}
			if strings.Contains(string(hidden.body), "v1") && !strings.Contains(string(absent.body), "v1") {
				t.Errorf("%s: the answer tells that something is there", path)
			}
		}
	})

	t.Run("a token is good for its scopes only", func(t *testing.T) {
		t.Parallel()
		c := target.in(t)
		p := content(t.Name(), 100)
		c.pushImage(t, "v1", p, nil)
		target.SetVisibility(t, c.repo, "private")
		other := []string{"repository:" + c.repo + "-two:pull,push,delete"}
		pull := []string{"repository:" + c.repo + ":pull"}
		c.expect(t, http.StatusUnauthorized, request{method: "GET", path: "manifests/v1", scopes: other})
		c.expect(t, http.StatusOK, request{method: "GET", path: "manifests/v1", scopes: pull})
		c.expect(t, http.StatusUnauthorized, request{method: "POST", path: "blobs/uploads/", scopes: pull})
		c.expect(t, http.StatusUnauthorized, request{method: "DELETE", path: "manifests/v1", scopes: pull})
	})

	t.Run("catalogue", func(t *testing.T) {
		t.Parallel()
		c := target.in(t)
		open, hidden := target.at(c.repo+"-open"), target.at(c.repo+"-hidden")
		for _, r := range []*caller{open, hidden} {
			r.pushImage(t, "v1", content(t.Name(), 10), nil)
		}
		target.SetVisibility(t, open.repo, "public")
		target.SetVisibility(t, hidden.repo, "private")
		list := func(c *caller, scopes []string, n string) []string {
			var all []string
			for next := "/v2/_catalog?n=" + n; next != ""; {
				got := c.expect(t, http.StatusOK, request{method: "GET", path: next, scopes: scopes})
				var answer struct{ Repositories []string }
				if err := json.Unmarshal(got.body, &answer); err != nil {
					t.Fatal(err)
				}
				all = append(all, answer.Repositories...)
				next = got.next(t)
			}
			return all
		}
		if got := list(c.anonymous(), nil, "3"); !slices.Contains(got, open.repo) || slices.Contains(got, hidden.repo) {
			t.Errorf("anonymous sees %q", got)
		}
		got := list(c, []string{"registry:catalog:*"}, "3")
		if !slices.Contains(got, open.repo) || !slices.Contains(got, hidden.repo) || !slices.IsSorted(got) {
			t.Errorf("the administrator sees %q", got)
		}
	})
}
