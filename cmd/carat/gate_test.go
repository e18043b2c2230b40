package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/internal/toolbin"
	"github.com/carat-hub/carat/registry"
)

// TestGate pushes a good and a damaged model of one repository and pulls them
// as a stranger, under each gate.
func TestGate(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, _ *theHub, url string) {
		u, stranger, host := user{t.TempDir()}, user{t.TempDir()}, strings.TrimPrefix(url, "http://")
		u.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
		u.must(t, "", "push", example, host+"/demo/m:good", "--wait")
		u.expect(t, 1, "tensors.values", "push", zeroed(t), host+"/demo/m:bad", "--wait")
		c := client.New(client.Options{})
		bad := must(c.Artifact(t.Context(), must(client.ParseReference(host+"/demo/m:bad"))(t)))(t)
		files := map[string]registry.Digest{}
		for _, f := range must(bad.Files())(t) {
			files[f.Path] = f.Digest
		}
		index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
			registry.MediaTypeOCIIndex, bad.MediaType, bad.Digest, len(bad.Body))
		newPeer(t, url, "demo/m").want(t, http.StatusCreated, "", http.MethodPut, "manifests/all", []byte(index), "Content-Type", registry.MediaTypeOCIIndex)

		u.expect(t, 0, "warn (the hub's)", "gate", host+"/demo")
		page := url + "/demo/m/verification?ref=" + strings.Replace(bad.Digest.String(), ":", "%3A", 1)
		var token string
		get := func(method, path string) reply {
			t.Helper()
			req := must(http.NewRequestWithContext(t.Context(), method, url+path, nil))(t)
			if token != "" && strings.HasPrefix(path, "/v2/") {
				req.Header.Set("Authorization", "Bearer "+token)
			}
			return must(send(req))(t)
		}
		manifest, weights := "/v2/demo/m/manifests/", "/v2/demo/m/blobs/"+files["model.safetensors"].String()

		warned := get(http.MethodGet, manifest+"bad")
		if got, want := warned.header.Get("Warning"), fmt.Sprintf(`299 - "version %s of demo/m has not passed verification (failed); see %s"`, bad.Digest, page); warned.status != http.StatusOK || got != want {
			t.Errorf("under warn: status %d, Warning %s, want %s", warned.status, got, want)
		}
		if got := get(http.MethodHead, manifest+"good"); got.status != http.StatusOK || got.header.Get("Warning") != "" {
			t.Errorf("the good one under warn: status %d, Warning %s", got.status, got.header.Get("Warning"))
		}
		stranger.must(t, "", "pull", host+"/demo/m:bad", "-o", filepath.Join(t.TempDir(), "m"))

		stranger.expect(t, 1, "log in as an administrator", "gate", host+"/demo", "block")
		u.expect(t, 2, "a gate is", "gate", host+"/demo", "open")
		u.expect(t, 2, "HOST[:PORT]/ORG", "gate", host+"/demo/m")
		u.expect(t, 0, "block (its own)", "gate", host+"/demo", "block")
		asked := get(http.MethodGet, manifest+"bad") // credentials could help
		asked.wants(t, "without credentials", http.StatusUnauthorized, registry.CodeUnauthorized)
		if got := asked.header.Get("WWW-Authenticate"); !strings.Contains(got, `scope="repository:demo/m:pull"`) || !strings.Contains(string(asked.body), page) {
			t.Errorf("without credentials: challenge %s, %s", got, asked.body)
		}
		var anonymous struct{ Token string }
		if err := json.Unmarshal(get(http.MethodGet, "/token?service="+tokenService+"&scope=repository:demo/m:pull").body, &anonymous); err != nil {
			t.Fatal(err)
		}
		token = anonymous.Token
		for _, path := range []string{manifest + "bad", manifest + bad.Digest.String(), weights} {
			got := get(http.MethodGet, path)
			got.wants(t, path, http.StatusForbidden, registry.CodeDenied)
			var answer struct {
				Errors []struct {
					Detail struct{ Name, Digest, State, Report string }
				}
			}
			if err := json.Unmarshal(got.body, &answer); err != nil || answer.Errors[0].Detail.Report != page || answer.Errors[0].Detail.State != "failed" {
				t.Errorf("%s: %v %s", path, err, got.body)
			}
			if head := get(http.MethodHead, path); head.status != http.StatusForbidden {
				t.Errorf("HEAD %s: status %d", path, head.status)
			}
		}
		for _, path := range []string{
			manifest + "good", manifest + "all", "/v2/demo/m/blobs/" + files["config.json"].String(), "/v2/demo/m/tags/list",
			"/v2/demo/m/referrers/" + bad.Digest.String(), "/demo/m?ref=bad", "/api/v1/models/demo/m/versions/bad/verification",
		} {
			if got := get(http.MethodGet, path); got.status != http.StatusOK {
				t.Errorf("%s: status %d: %.200s", path, got.status, got.body)
			}
		}
		if got := get(http.MethodGet, "/demo/m?ref=bad"); !strings.Contains(string(got.body), "only those who may push it can pull it") {
			t.Error("the page does not say that the version is blocked")
		}
		envelope(t, host+"/demo/m@"+bad.Digest.String()) // the report stays readable

		refused := filepath.Join(t.TempDir(), "m")
		stranger.expect(t, 1, "has not passed verification (failed); see "+page, "pull", host+"/demo/m:bad", "-o", refused)
		stranger.must(t, "", "pull", host+"/demo/m:good", "-o", filepath.Join(t.TempDir(), "m"))
		u.must(t, "", "pull", host+"/demo/m:bad", "-o", filepath.Join(t.TempDir(), "m"))
		for _, args := range [][]string{
			{"oras", "pull", "--plain-http", host + "/demo/m:bad", "-o", refused},
			{"crane", "pull", "--insecure", host + "/demo/m:bad", refused},
		} {
			cmd := exec.CommandContext(t.Context(), toolbin.Path(t, args[0]), args[1:]...)
			cmd.Env = append(os.Environ(), "HOME="+stranger.home, "DOCKER_CONFIG="+stranger.home)
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Run(); err == nil || !strings.Contains(out.String(), "has not passed verification") {
				t.Errorf("%q: %v\n%s", args, err, &out)
			}
		}
		if _, err := os.Stat(refused); !os.IsNotExist(err) {
			t.Errorf("a refused pull left something: %v", err)
		}

		u.expect(t, 0, "warn (the hub's)", "gate", host+"/demo", "default")
		stranger.must(t, "", "pull", host+"/demo/m:bad", "-o", filepath.Join(t.TempDir(), "m"))
	})
}
