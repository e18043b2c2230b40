package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/internal/toolbin"
)

// huggingFace downloads a model with the client of Hugging Face and returns
// what it printed.
func huggingFace(t *testing.T, url, repo, revision, folder, token string) (out string, err error) {
	t.Helper()
	cmd := toolbin.Script(t, "huggingface", "download.mjs", url, repo, revision, folder, token)
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	err = cmd.Run()
	return b.String(), err
}

// askHuggingFace asks a hub for all that the client of Hugging Face can ask of
// a model, and returns the answers; what failed is a text.
func askHuggingFace(t *testing.T, url, repo, revision, token string) map[string]json.RawMessage {
	t.Helper()
	cmd := toolbin.Script(t, "huggingface", "inspect.mjs", url, repo, revision, t.TempDir(), token)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	answers := map[string]json.RawMessage{}
	if err := json.Unmarshal(out, &answers); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return answers
}

// TestHuggingFaceQuestions asks a hub all that the client of Hugging Face can
// ask: as somebody with a token, as nobody, and for a model whose terms have
// to be accepted first.
func TestHuggingFaceQuestions(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, _ *theHub, url string) {
		admin, u, host := user{t.TempDir()}, user{t.TempDir()}, strings.TrimPrefix(url, "http://")
		admin.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
		admin.must(t, userPassword, "user", "add", host, "jane", "--password-stdin")
		u.must(t, userPassword, "login", host, "-u", "jane", "--password-stdin")
		token := strings.TrimSpace(u.must(t, "", "token", "create", host, "program"))
		dir := filepath.Join(t.TempDir(), "m")
		if err := os.CopyFS(dir, os.DirFS(example)); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(dir, "1_Pooling"), 0o755); err != nil {
			t.Fatal(err)
		}
		push := func(tag, pooling string) (commit string) {
			write(t, filepath.Join(dir, "1_Pooling", "config.json"), []byte(pooling))
			admin.must(t, "", "push", dir, host+"/acme/model:"+tag, "--wait")
			return must(client.New(client.Options{}).Artifact(t.Context(), must(client.ParseReference(host+"/acme/model:"+tag))(t)))(t).Digest.Hex()[:40]
		}
		first := push("v1", `{"pooling":"mean"}`)
		second := push("v2", `{"pooling":"max"}`)

		answers := askHuggingFace(t, url, "acme/model", "refs/tags/v2", token)
		for key, want := range map[string]string{
			"access": "true", "exists": "true", "noModel": "false", "file": "true", "noFile": "false", "untagged": "[]", "count": "2",
			"header": `{"BF16":2885888}`, "cached": `"models--acme--model/snapshots/` + first + `/config.json"`, "snapshot": `"{\"pooling\":\"max\"}"`,
		} {
			var got bytes.Buffer
			if err := json.Compact(&got, answers[key]); err != nil || got.String() != want {
				t.Errorf("%s: %s, want %s", key, answers[key], want)
			}
		}
		read := func(key string, into any) {
			t.Helper()
			if err := json.Unmarshal(answers[key], into); err != nil {
				t.Errorf("%s: %v: %s", key, err, answers[key])
			}
		}
		var info struct {
			SHA, Author, Name, Task string
			Gated                   any
			CreatedAt, UpdatedAt    time.Time
			Tags, FilePaths         []string
			Safetensors             struct {
				Parameters map[string]int64
				Total      int64
			}
		}
		read("info", &info)
		if info.SHA != second || info.Author != "acme" || info.Name != "acme/model" || info.Task != "text-generation" || info.Gated != false || !info.CreatedAt.Before(info.UpdatedAt) ||
			!slices.Contains(info.Tags, "license:apache-2.0") || !slices.Contains(info.FilePaths, "1_Pooling/config.json") ||
			info.Safetensors.Total != 2885888 || info.Safetensors.Parameters["BF16"] != 2885888 {
			t.Errorf("info: %s", answers["info"])
		}
		for _, key := range []string{"models", "tagged"} {
			var list []struct{ Name string }
			if read(key, &list); len(list) != 1 || list[0].Name != "acme/model" {
				t.Errorf("%s: %s", key, answers[key])
			}
		}
		var files []struct{ Path, Type, Commit string }
		read("files", &files)
		commits := map[string]string{}
		for _, f := range files {
			commits[f.Path] = f.Type + " " + f.Commit
		}
		if commits["model.safetensors"] != "file "+first || commits["1_Pooling"] != "directory "+second || commits["1_Pooling/config.json"] != "file "+second {
			t.Errorf("files: %v, first %s, second %s", commits, first, second)
		}
		var paths []struct {
			Path, Type string
			LFS        struct{ OID string }
			LastCommit struct{ ID string }
		}
		if read("paths", &paths); len(paths) != 2 || paths[0].Path != "model.safetensors" || len(paths[0].LFS.OID) != 64 || paths[0].LastCommit.ID != first || paths[1].Type != "directory" {
			t.Errorf("paths: %s", answers["paths"])
		}
		var history []struct{ OID, Title string }
		if read("commits", &history); len(history) != 2 || history[0].OID != second || history[1].OID != first || history[1].Title != "Push v1" {
			t.Errorf("commits: %s", answers["commits"])
		}
		var who struct {
			Name string
			Auth struct{ AccessToken struct{ Role string } }
		}
		if read("whoami", &who); who.Name != "jane" || who.Auth.AccessToken.Role != "read" {
			t.Errorf("whoami: %s", answers["whoami"])
		}
		if got := string(answers["upload"]); !strings.HasPrefix(got, `"405 `) || !strings.Contains(got, "carat push") {
			t.Errorf("upload: %s", got)
		}

		admin.must(t, "", "terms", "gate", host+"/acme", "manual")
		for name, x := range map[string]string{"a stranger": "", "a user": token} {
			answers = askHuggingFace(t, url, "acme/model", "main", x)
			for _, key := range []string{"download", "header", "cached", "snapshot"} {
				if got := string(answers[key]); !strings.Contains(got, "accepted") {
					t.Errorf("gated, %s, %s: %s", name, key, got)
				}
			}
			if read("info", &info); info.Gated != "manual" || info.SHA != second {
				t.Errorf("gated, %s: %s", name, answers["info"])
			}
		}
		if got := string(answers["access"]); got != "true" { // it can be seen, though not downloaded
			t.Errorf("gated: %s", got)
		}
	})
}

// TestHuggingFace pulls a model with the client of Hugging Face, by every kind
// of revision, and again when its terms have to be accepted.
func TestHuggingFace(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, _ *theHub, url string) {
		admin, u, host := user{t.TempDir()}, user{t.TempDir()}, strings.TrimPrefix(url, "http://")
		admin.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
		admin.must(t, userPassword, "user", "add", host, "jane", "--password-stdin")
		u.must(t, userPassword, "login", host, "-u", "jane", "--password-stdin")
		token := strings.TrimSpace(u.must(t, "", "token", "create", host, "program"))
		dir := filepath.Join(t.TempDir(), "m")
		if err := os.CopyFS(dir, os.DirFS(example)); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(dir, "1_Pooling"), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "1_Pooling", "config.json"), []byte(`{"pooling":"mean"}`))
		admin.must(t, "", "push", dir, host+"/acme/model:v1", "--wait")
		d := must(client.New(client.Options{}).Artifact(t.Context(), must(client.ParseReference(host+"/acme/model:v1"))(t)))(t).Digest
		commit := d.Hex()[:40]
		for _, revision := range []string{"main", "v1", commit, d.String()} {
			got := filepath.Join(t.TempDir(), "got")
			out, err := huggingFace(t, url, "acme/model", revision, got, "")
			if err != nil {
				t.Fatalf("revision %s: %v\n%s", revision, err, out)
			}
			var info struct {
				SHA      string
				CardData struct{ License string }
			}
			if err := json.Unmarshal([]byte(out), &info); err != nil || info.SHA != commit || info.CardData.License != "apache-2.0" {
				t.Errorf("revision %s: %v %s", revision, err, out)
			}
			want, have := contents(t, dir), contents(t, got)
			for path, content := range want {
				if have[path] != content {
					t.Errorf("revision %s: %s differs", revision, path)
				}
			}
			if len(want) != len(have) {
				t.Errorf("revision %s: %d files, want %d", revision, len(have), len(want))
			}
		}
		for name, tt := range map[string]struct{ repo, revision, want string }{
			"another model": {"acme/none", "main", "401"}, "another revision": {"acme/model", "v9", "404"},
		} {
			if out, err := huggingFace(t, url, tt.repo, tt.revision, t.TempDir(), ""); err == nil || !strings.Contains(out, tt.want) {
				t.Errorf("%s: %v %s", name, err, out)
			}
		}

		// The answers that other clients look at.
		head := func(path string, header ...string) reply {
			t.Helper()
			req := must(http.NewRequestWithContext(t.Context(), http.MethodHead, url+path, nil))(t)
			for i := 0; i < len(header); i += 2 {
				req.Header.Set(header[i], header[i+1])
			}
			return must(send(req))(t)
		}
		got := head("/acme/model/resolve/main/model.safetensors")
		sum := strings.Trim(got.header.Get("ETag"), `"`)
		if got.status != http.StatusOK || len(sum) != 64 || got.header.Get("X-Linked-Etag") != `"`+sum+`"` || got.header.Get("X-Repo-Commit") != commit ||
			got.header.Get("X-Linked-Size") != got.header.Get("Content-Length") || got.header.Get("Accept-Ranges") != "bytes" {
			t.Errorf("HEAD of weights: %d %v", got.status, got.header)
		}
		if got := head("/acme/model/resolve/main/model.safetensors", "If-None-Match", `"`+sum+`"`); got.status != http.StatusNotModified {
			t.Errorf("HEAD of weights that are there: %d", got.status)
		}
		for path, want := range map[string]string{
			"/acme/model/resolve/main/none.txt": "EntryNotFound", "/acme/model/resolve/v9/config.json": "RevisionNotFound", "/acme/none/resolve/main/config.json": "RepoNotFound",
			"/api/models/acme/model/tree/main/none": "EntryNotFound",
		} {
			if got := head(path).header.Get("X-Error-Code"); got != want {
				t.Errorf("%s: %q, want %q", path, got, want)
			}
		}
		ranged := must(http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/acme/model/resolve/"+commit+"/config.json", nil))(t)
		ranged.Header.Set("Range", "bytes=1-3")
		if got := must(send(ranged))(t); got.status != http.StatusPartialContent || string(got.body) != string(read(t, filepath.Join(dir, "config.json"))[1:4]) {
			t.Errorf("a range: %d %q", got.status, got.body)
		}

		// Terms: refused, then served after they were accepted.
		admin.must(t, "", "terms", "gate", host+"/acme", "auto", "--field", "Company:text")
		for name, x := range map[string]string{"a stranger": "", "a user": token} {
			if out, err := huggingFace(t, url, "acme/model", "main", t.TempDir(), x); err == nil || !strings.Contains(out, "have to be accepted first") {
				t.Errorf("terms, as %s: %v %s", name, err, out)
			}
		}
		if got := head("/acme/model/resolve/main/config.json", "Authorization", "Bearer "+token); got.status != http.StatusForbidden || got.header.Get("X-Error-Code") != "GatedRepo" {
			t.Errorf("terms: %d %v", got.status, got.header)
		}
		u.must(t, "", "terms", "accept", host+"/acme/model:v1", "--yes", "--field", "Company=Acme")
		if out, err := huggingFace(t, url, "acme/model", "main", filepath.Join(t.TempDir(), "accepted"), token); err != nil {
			t.Errorf("after acceptance: %v %s", err, out)
		}

		// Lists are of an organization, however many others have its name in their cards.
		admin.must(t, "", "push", withCard(t, "m", "---\nlicense: mit\n---\n# From acme\n"), host+"/other/model:v1")
		authors := func() (ids []string) {
			req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/api/models?author=acme&limit=1", nil))(t)
			var list []struct{ ID string }
			resp := must(send(req))(t)
			if err := json.Unmarshal(resp.body, &list); err != nil {
				t.Errorf("list: %v %s", err, resp.body)
			}
			for _, m := range list {
				ids = append(ids, m.ID)
			}
			return ids
		}
		if got := authors(); len(got) != 1 || got[0] != "acme/model" {
			t.Errorf("the list of acme: %v", got)
		}

		// A private model is not there for strangers, nor in public lists.
		patch := must(http.NewRequestWithContext(t.Context(), http.MethodPatch, url+"/api/v1/models/acme/model", strings.NewReader(`{"visibility":"private"}`)))(t)
		patch.SetBasicAuth(adminName, testPassword)
		patch.Header.Set("Content-Type", "application/json")
		if resp := must(send(patch))(t); resp.status != http.StatusOK {
			t.Fatalf("make it private: %d %s", resp.status, resp.body)
		}
		secret := strings.TrimSpace(admin.must(t, "", "token", "create", host, "program"))
		for bearer, want := range map[string]struct {
			status int
			code   string
		}{"": {http.StatusUnauthorized, "RepoNotFound"}, token: {http.StatusUnauthorized, "RepoNotFound"}, secret: {http.StatusOK, ""}} {
			for _, path := range []string{"/api/models/acme/model", "/acme/model/resolve/main/config.json", "/acme/model/resolve/" + commit + "/config.json"} {
				var header []string
				if bearer != "" {
					header = []string{"Authorization", "Bearer " + bearer}
				}
				if got := head(path, header...); got.status != want.status || got.header.Get("X-Error-Code") != want.code {
					t.Errorf("private, token %.6q, %s: %d %v", bearer, path, got.status, got.header)
				}
			}
		}
		if out, err := huggingFace(t, url, "acme/model", commit, filepath.Join(t.TempDir(), "private"), secret); err != nil {
			t.Errorf("private, with a token: %v %s", err, out)
		}
		if got := authors(); len(got) != 0 {
			t.Errorf("the list when it is private: %v", got)
		}
	})
}
