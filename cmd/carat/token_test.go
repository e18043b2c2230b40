package main

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carat-hub/carat/auth"
)

func TestAccessTokens(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, _ *theHub, url string) {
		admin, program, host := user{t.TempDir()}, user{t.TempDir()}, strings.TrimPrefix(url, "http://")
		admin.expect(t, 1, "log in first", "token", "create", host, "x")
		admin.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
		admin.must(t, "", "push", example, host+"/lab/secret:v1")
		status := func(token, method, path, body string) int {
			t.Helper()
			req := must(http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body)))(t)
			req.Header.Set("Content-Type", "application/json")
			if token != "" {
				req.Header.Set("Authorization", "Bearer "+token)
			}
			return must(send(req))(t).status
		}
		patch := must(http.NewRequestWithContext(t.Context(), http.MethodPatch, url+"/api/v1/models/lab/secret", strings.NewReader(`{"visibility":"private"}`)))(t)
		patch.SetBasicAuth(adminName, testPassword)
		patch.Header.Set("Content-Type", "application/json")
		if got := must(send(patch))(t); got.status != http.StatusOK {
			t.Fatalf("make it private: %d %s", got.status, got.body)
		}

		read := strings.TrimSpace(admin.must(t, "", "token", "create", host, "reader"))
		write := strings.TrimSpace(admin.must(t, "", "token", "create", host, "writer", "--access", "write", "--expires", "1h"))
		admin.expect(t, 1, "access is read or write", "token", "create", host, "x", "--access", "own")
		elsewhere := strings.TrimSpace(admin.must(t, "", "token", "create", host, "other", "--access", "write", "--repository", "acme/*", "--repository", "lab/public"))
		here := strings.TrimSpace(admin.must(t, "", "token", "create", host, "lab", "--access", "write", "--repository", "lab/*"))
		admin.expect(t, 1, "repositories are", "token", "create", host, "x", "--repository", "lab*")
		if !auth.IsAccessToken(read) || read == write {
			t.Fatalf("tokens %q and %q", read, write)
		}
		config := must(os.ReadFile(filepath.Join(example, "config.json")))(t)
		blob := "sha256:" + fmt.Sprintf("%x", sha256.Sum256(config))
		const model = "/api/v1/models/lab/secret"
		for _, tt := range []struct {
			name, token, method, path, body string
			want                            int
		}{
			{"nobody", "", http.MethodGet, model, "", 401},
			{"reads by the API", read, http.MethodGet, model, "", 200},
			{"reads by the registry", read, http.MethodGet, "/v2/lab/secret/tags/list", "", 200},
			{"does not write", read, http.MethodPost, "/v2/lab/secret/blobs/uploads/", "", 401},
			{"does not delete", read, http.MethodDelete, "/v2/lab/secret/manifests/v1", "", 401},
			{"writes", write, http.MethodPost, "/v2/lab/secret/blobs/uploads/", "", 202},
			{"administers nothing", write, http.MethodPost, "/api/v1/keys", "{}", 403},
			{"makes no users", write, http.MethodPost, "/api/v1/users", `{"name":"eve","password":"long enough password"}`, 403},
			{"makes no tokens", write, http.MethodPost, "/api/v1/tokens", `{"name":"x","access":"write"}`, 403},
			{"elsewhere: reads", elsewhere, http.MethodGet, "/v2/lab/secret/tags/list", "", 401},
			{"elsewhere: writes", elsewhere, http.MethodPost, "/v2/lab/secret/blobs/uploads/", "", 401},
			{"elsewhere: writes there", elsewhere, http.MethodPost, "/v2/acme/new/blobs/uploads/", "", 202},
			{"elsewhere: mounts from here", elsewhere, http.MethodPost, "/v2/acme/new/blobs/uploads/?mount=" + blob + "&from=lab/secret", "", 202},
			{"everywhere: mounts", write, http.MethodPost, "/v2/acme/new/blobs/uploads/?mount=" + blob + "&from=lab/secret", "", 201},
			{"here: writes", here, http.MethodPost, "/v2/lab/secret/blobs/uploads/", "", 202},
			{"here: writes elsewhere", here, http.MethodPost, "/v2/labs/secret/blobs/uploads/", "", 401},
			{"another one", "hf_" + strings.Repeat("a", 37), http.MethodGet, model, "", 401},
			{"a short one", "hf_abc", http.MethodGet, model, "", 401},
		} {
			if got := status(tt.token, tt.method, tt.path, tt.body); got != tt.want {
				t.Errorf("%s: status %d, want %d", tt.name, got, tt.want)
			}
		}
		// In the place of a password, by every client.
		program.must(t, read, "login", host, "-u", "ci", "--password-stdin")
		program.must(t, "", "pull", host+"/lab/secret:v1", "-o", filepath.Join(t.TempDir(), "copy"))
		program.expect(t, 1, "401", "push", example, host+"/lab/secret:v2")

		list := admin.must(t, "", "token", "list", host)
		lines := strings.Split(strings.TrimSpace(list), "\n")
		if len(lines) != 5 || !strings.Contains(lines[4], "reader") || strings.HasSuffix(lines[4], "-") || !strings.Contains(lines[2], "acme/*,lab/public") || strings.Contains(list, read) {
			t.Fatalf("tokens:\n%s", list)
		}
		admin.must(t, "", "token", "revoke", host, strings.Fields(lines[4])[0])
		admin.expect(t, 1, "there is no such token", "token", "revoke", host, strings.Fields(lines[4])[0])
		if got := status(read, http.MethodGet, model, ""); got != http.StatusUnauthorized {
			t.Errorf("revoked: status %d", got)
		}
	})
}

func TestTokenKeys(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, _ *theHub, url string) {
		admin, host := user{t.TempDir()}, strings.TrimPrefix(url, "http://")
		admin.expect(t, 1, "log in as an administrator first", "token", "keys", host)
		admin.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
		admin.must(t, "", "push", example, host+"/lab/secret:v1")
		rows := func(args ...string) [][]string {
			t.Helper()
			var list [][]string
			for line := range strings.Lines(admin.must(t, "", append([]string{"token", "keys", host}, args...)...)) {
				list = append(list, strings.Fields(line))
			}
			return list[1:]
		}
		before := rows()
		rotated := rows("--rotate")
		if len(before) != 1 || len(rotated) != 2 || rotated[1][0] != before[0][0] || rotated[1][len(rotated[1])-2] != "signs" {
			t.Fatalf("before %v, after %v", before, rotated)
		}
		admin.expect(t, 1, "published already", "token", "keys", host, "--rotate")
		admin.expect(t, 2, "either", "token", "keys", host, "--rotate", "--drop")
		if dropped := rows("--drop"); len(dropped) != 1 || dropped[0][0] == before[0][0] || dropped[0][0] == rotated[0][0] {
			t.Fatalf("after dropping: %v", dropped)
		}
		admin.must(t, "", "pull", host+"/lab/secret:v1", "-o", filepath.Join(t.TempDir(), "copy"))
	})
}
