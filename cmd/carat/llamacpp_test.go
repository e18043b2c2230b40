package main

import (
	"bytes"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carat-hub/carat/internal/toolbin"
)

// TestLlamaCpp fetches quantizations of a model as llama.cpp's -hf does, with
// the downloader of node-llama-cpp.
func TestLlamaCpp(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, _ *theHub, url string) {
		admin, host := user{t.TempDir()}, strings.TrimPrefix(url, "http://")
		admin.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
		dir := t.TempDir()
		for _, q := range []string{"Q4_K_M", "Q8_0"} {
			admin.must(t, "", "quantize", example, filepath.Join(dir, "tiny-"+q+".gguf"), "--type", strings.ToLower(q))
		}
		admin.must(t, "", "push", dir, host+"/acme/tiny-gguf:v1")
		download := func(model, token string) (path, problem string) {
			t.Helper()
			cmd := toolbin.Script(t, "llamacpp", "download.mjs", url, model, t.TempDir(), token)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil {
				return "", stderr.String()
			}
			return strings.TrimSpace(string(out)), ""
		}
		for model, want := range map[string]string{"acme/tiny-gguf": "Q4_K_M", "acme/tiny-gguf:Q8_0": "Q8_0", "acme/tiny-gguf:v1": "Q4_K_M"} {
			path, problem := download(model, "")
			if problem != "" {
				t.Errorf("%s: %s", model, problem)
			} else if !bytes.Equal(read(t, path), read(t, filepath.Join(dir, "tiny-"+want+".gguf"))) {
				t.Errorf("%s: %s is not %s", model, path, want)
			}
		}
		for _, model := range []string{"acme/tiny-gguf:Q2_K", "acme/none"} {
			if path, problem := download(model, ""); problem == "" {
				t.Errorf("%s: %s", model, path)
			}
		}

		// A private one, with a token of the shape that llama.cpp sends.
		admin.must(t, "", "push", dir, host+"/acme/secret:v1")
		patch := must(http.NewRequestWithContext(t.Context(), http.MethodPatch, url+"/api/v1/models/acme/secret", strings.NewReader(`{"visibility":"private"}`)))(t)
		patch.SetBasicAuth(adminName, testPassword)
		patch.Header.Set("Content-Type", "application/json")
		if resp := must(send(patch))(t); resp.status != http.StatusOK {
			t.Fatalf("make it private: %d %s", resp.status, resp.body)
		}
		token := strings.TrimSpace(admin.must(t, "", "token", "create", host, "program"))
		if path, problem := download("acme/secret:Q8_0", ""); problem == "" {
			t.Errorf("private, without a token: %s", path)
		}
		if path, problem := download("acme/secret:Q8_0", token); problem != "" || !bytes.Equal(read(t, path), read(t, filepath.Join(dir, "tiny-Q8_0.gguf"))) {
			t.Errorf("private, with a token: %s %s", path, problem)
		}
	})
}

// TestOllamaAsksWhereABlobIs sends what Ollama does before it fetches a blob
// in parts: it takes the address from Location, of a redirect or of a 200, and
// sends no credentials there.
func TestOllamaAsksWhereABlobIs(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, _ *theHub, url string) {
		admin, host := user{t.TempDir()}, strings.TrimPrefix(url, "http://")
		admin.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
		admin.must(t, "", "push", example, host+"/acme/model:v1")
		head := must(http.NewRequestWithContext(t.Context(), http.MethodHead, url+"/acme/model/resolve/main/model.safetensors", nil))(t)
		digest := strings.Trim(must(send(head))(t).header.Get("ETag"), `"`)
		blob := url + "/v2/acme/model/blobs/sha256:" + digest
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		ask := func(address, agent, ranged string) *http.Response {
			t.Helper()
			req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil))(t)
			req.Header.Set("User-Agent", agent)
			if ranged != "" {
				req.Header.Set("Range", ranged)
			}
			resp := must(client.Do(req))(t)
			resp.Body.Close()
			return resp
		}
		resp := ask(blob, "ollama/0.33.0 (amd64 linux) Go/go1.26", "")
		where, err := resp.Location()
		if err != nil || resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusTemporaryRedirect {
			t.Fatalf("%d, %v", resp.StatusCode, err)
		}
		if resp.StatusCode == http.StatusOK && where.String() != blob {
			t.Errorf("the blob %s is said to be at %s", blob, where)
		}
		if part := ask(where.String(), "ollama/0.33.0", "bytes=10-19"); part.StatusCode != http.StatusPartialContent || part.ContentLength != 10 {
			t.Errorf("a part: %d, %d bytes", part.StatusCode, part.ContentLength)
		}
		if other := ask(blob, "oras/1.3", ""); other.StatusCode == http.StatusOK && other.Header.Get("Location") != "" {
			t.Errorf("others get the Location %s", other.Header.Get("Location"))
		}
	})
}
