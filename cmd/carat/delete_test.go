package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

func TestDelete(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, _ *theHub, url string) {
		u, host := user{t.TempDir()}, strings.TrimPrefix(url, "http://")
		model := host + "/demo/m"
		u.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
		u.must(t, "", "push", example, model+":v1")
		u.must(t, "", "push", example, model+":v2")
		p := newPeer(t, url, "demo/m")
		digest := p.want(t, http.StatusOK, "", http.MethodHead, "manifests/v1", nil).header.Get("Docker-Content-Digest")

		u.expect(t, 2, "names no version", "delete", model, "--yes")
		u.expect(t, 2, "a tag and a digest", "delete", model+":v1@"+digest, "--yes")
		u.expect(t, 2, "names no version", "delete", model+":v1", model, "--yes") // and nothing of it is done
		u.expect(t, 1, model+":v1 was not deleted: standard input is no terminal", "delete", model+":v1")
		user{t.TempDir()}.expect(t, 1, "log in first", "delete", model+":v1", "--yes")
		u.expect(t, 1, "its tags are v1, v2", "delete", model+":v3", "--yes")
		p.want(t, http.StatusOK, "", http.MethodHead, "manifests/v1", nil)

		u.expect(t, 0, "deleted tag v1 of "+model, "delete", model+":v1", "--yes")
		u.expect(t, 1, "its tags are v2", "pull", model+":v1", "-o", filepath.Join(t.TempDir(), "m"))
		u.must(t, "", "pull", model+":v2", "-o", filepath.Join(t.TempDir(), "m"))
		u.expect(t, 0, "with all of its tags", "delete", model+"@"+digest, "--yes")
		u.expect(t, 1, "has no model demo/m", "pull", model+":v2", "-o", filepath.Join(t.TempDir(), "m"))
		u.expect(t, 1, "has no model demo/m", "pull", model+"@"+digest, "-o", filepath.Join(t.TempDir(), "m"))
	})
}
