package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

// caratVerify runs "carat verify" and returns exit code and outputs.
func caratVerify(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	noEnv := func(string) string { return "" }
	code = run(t.Context(), append([]string{"verify"}, args...), noEnv, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

// damagedExample copies the example model and changes one of its files.
func damagedExample(t *testing.T, name string, change func(p []byte) []byte) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../examples/tiny-llama")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	write(t, path, change(read(t, path)))
	return dir
}

func TestVerifyCommand(t *testing.T) {
	t.Parallel()
	mamba := func(p []byte) []byte { return bytes.Replace(p, []byte(`"llama"`), []byte(`"mamba"`), 1) }
	half := func(p []byte) []byte { return p[:len(p)/2] }
	tests := map[string]struct {
		args   []string
		code   int
		stdout string // in it
		stderr string
	}{
		"passed":      {[]string{"../../examples/tiny-llama"}, 0, "\npassed in ", ""},
		"failed":      {[]string{damagedExample(t, "model.safetensors", half)}, 1, "\nfailed in ", ""},
		"unsupported": {[]string{damagedExample(t, "config.json", mamba)}, 2, "mamba", ""},
		"too slow":    {[]string{"../../examples/tiny-llama", "--timeout", "1ns"}, 2, "time limit of 1ns reached", ""},
		"on its base": {[]string{"../../inference/testdata/tiny-llama-q8_0.gguf", "--base", "../../examples/tiny-llama"}, 0, "passed   lineage.base ", ""},
		"no base":     {[]string{"../../examples/tiny-llama", "--base", "org/x=no-such-thing"}, 2, "", "open the base: "},
		"nothing":     {[]string{t.TempDir()}, 2, "", "holds no files"},
		"no such":     {[]string{"no-such-thing"}, 2, "", "there is no file or folder"},
		"no argument": {nil, 2, "", "accepts 1 arg"},
		"unreachable": {[]string{"127.0.0.1:1/demo/m:v1"}, 2, "", "127.0.0.1:1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := caratVerify(t, tt.args...)
			if code != tt.code || !strings.Contains(stdout, tt.stdout) || !strings.Contains(stderr, tt.stderr) {
				t.Errorf("exit code %d, want %d\n%s\n%s", code, tt.code, stdout, stderr)
			}
		})
	}
}

// TestVerifyCommandOnReference verifies what was pushed to a hub, with digests.
func TestVerifyCommandOnReference(t *testing.T) {
	t.Parallel()
	_, url := startHub(t, serveConfig{}, nil)
	host := strings.TrimPrefix(url, "http://")
	store := credentials.NewMemoryStore()
	if err := store.Put(t.Context(), host, auth.Credential{Username: adminName, Password: testPassword}); err != nil {
		t.Fatal(err)
	}
	source, err := client.OpenSource("../../examples/tiny-llama")
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	c := client.New(client.Options{Credentials: store})
	packed, err := c.Pack(t.Context(), source, client.Description{})
	if err != nil {
		t.Fatal(err)
	}
	pushed, err := c.Push(t.Context(), packed, client.Reference{Host: host, Name: "demo/tiny-llama", Tag: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := caratVerify(t, host+"/demo/tiny-llama:v1", "--json", "--threads", "1")
	var r verify.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatalf("%v\n%s\n%s", err, stdout, stderr)
	}
	if code != 0 || r.State != verify.StatePassed || *r.Subject != pushed.Digest || !strings.Contains(r.Summary, "checks passed") {
		t.Errorf("exit code %d, %s: %s, subject %s", code, r.State, r.Summary, r.Subject)
	}
	var paths []string
	for _, f := range r.Files {
		paths = append(paths, f.Path)
		if want := registry.DigestOf(registry.SHA256, read(t, filepath.Join("../../examples/tiny-llama", f.Path))); f.Digest != want {
			t.Errorf("%s is %s, not %s", f.Path, f.Digest, want)
		}
	}
	if len(paths) != 8 {
		t.Errorf("files %v", paths)
	}
	if !strings.Contains(stderr, "passed   structure.digests") {
		t.Errorf("the checks are not on standard error:\n%s", stderr)
	}
}
