package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carat-hub/carat/registry/export"
)

// TestExport pushes the example and takes along what the hub knows of it.
func TestExport(t *testing.T) {
	t.Parallel()
	_, url := startHub(t, serveConfig{}, nil)
	u, host := user{t.TempDir()}, strings.TrimPrefix(url, "http://")
	u.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
	u.must(t, "", "push", example, host+"/demo/tiny:v1", "--wait")
	u.must(t, "", "push", example, host+"/demo/tiny:v2")
	for _, k := range export.Kinds() {
		first, again := filepath.Join(t.TempDir(), "first"), filepath.Join(t.TempDir(), "again")
		u.must(t, "", "export", string(k.Format), host+"/demo/tiny:v1", "-o", first)
		u.must(t, "", "export", string(k.Format), host+"/demo/tiny:v2", "--output", again)
		p := read(t, first)
		if !bytes.Contains(p, []byte("Apache-2.0")) {
			t.Errorf("%s does not name the licence:\n%s", k.Format, p)
		}
		if !bytes.Equal(p, read(t, again)) {
			t.Errorf("%s: by another tag the bytes differ", k.Format)
		}
	}
	u.expect(t, 0, "demo/tiny", "export", "notice", host+"/demo/tiny:v1")
	u.expect(t, 2, "no format", "export", "word", host+"/demo/tiny:v1")
	u.expect(t, 2, "--output", "export", "attribution", host+"/demo/tiny:v1")
	u.expect(t, 1, "no version v9", "export", "spdx", host+"/demo/tiny:v9")
}
