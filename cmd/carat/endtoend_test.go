package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"net/http"
	neturl "net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/internal/browsertest"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

// user runs carat's commands as somebody with a home of their own.
type user struct {
	home string
}

// carat runs a command and returns what it printed and its exit code.
func (u user) carat(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	getenv := func(name string) string {
		if name == "DOCKER_CONFIG" {
			return u.home
		}
		return ""
	}
	var out, errs bytes.Buffer
	code = run(t.Context(), args, getenv, strings.NewReader(stdin), &out, &errs)
	return out.String(), errs.String(), code
}

// must is carat for commands that succeed.
func (u user) must(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, errs, code := u.carat(t, stdin, args...)
	if code != 0 {
		t.Fatalf("carat %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// contents reads every file below a folder.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files[path] = string(read(t, filepath.Join(dir, path)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

const example = "../../examples/tiny-llama"

// TestEndToEnd is the main job: the example model is pushed, verified,
// pulled back by tag, and seen on its page.
func TestEndToEnd(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, _ *theHub, url string) {
		u, host := user{t.TempDir()}, strings.TrimPrefix(url, "http://")
		ref := host + "/demo/tiny-llama:v1"
		u.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
		u.must(t, "", "push", example, ref, "--wait")

		t.Run("pull", func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "copy")
			u.must(t, "", "pull", ref, "-o", dir)
			if diff := cmp.Diff(contents(t, example), contents(t, dir)); diff != "" {
				t.Error("what came back differs")
			}
		})
		t.Run("inspect", func(t *testing.T) {
			var got struct {
				Digest       registry.Digest
				Tags         []string
				Facts        registry.Facts
				Verification struct{ State string }
			}
			out := u.must(t, "", "inspect", ref, "--json")
			if err := json.Unmarshal([]byte(out), &got); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			f := got.Facts
			if got.Verification.State != string(verify.StatePassed) || f.Parameters != 2885888 || f.Architecture != "llama" || f.Quantization != "BF16" ||
				f.ContextLength != 256 || f.Format != "safetensors" || f.License.Declared != "Apache-2.0" {
				t.Errorf("%s", out)
			}
		})
		t.Run("report is a referrer", func(t *testing.T) {
			c := http.Client{}
			head, err := c.Head(url + "/v2/demo/tiny-llama/manifests/v1")
			if err != nil {
				t.Fatal(err)
			}
			head.Body.Close()
			resp, err := c.Get(url + "/v2/demo/tiny-llama/referrers/" + head.Header.Get("Docker-Content-Digest") + "?artifactType=" + neturl.QueryEscape(registry.ArtifactVerification))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var index struct {
				Manifests []struct{ Digest, ArtifactType string }
			}
			if err := json.NewDecoder(resp.Body).Decode(&index); err != nil || len(index.Manifests) != 1 || index.Manifests[0].ArtifactType != registry.ArtifactVerification {
				t.Errorf("%v %+v", err, index)
			}
		})
		t.Run("verify", func(t *testing.T) {
			var report verify.Report
			out := u.must(t, "", "verify", ref, "--json")
			if err := json.Unmarshal([]byte(out), &report); err != nil || report.State != verify.StatePassed || len(report.Results) < 6 {
				t.Errorf("%v\n%s", err, out)
			}
		})
		t.Run("page", func(t *testing.T) {
			ctx := browsertest.New(t)
			if err := chromedp.Do(ctx, chromedp.Navigate(url+"/"), chromedp.WaitVisible(chromedp.CSS(`a[href="/demo/tiny-llama"]`)),
				chromedp.Click(chromedp.CSS(`a[href="/demo/tiny-llama"]`)), chromedp.WaitVisible(chromedp.CSS("#model-head .badge.passed")),
				chromedp.Click(chromedp.CSS(`.tabs a[href$="/verification"]`)), chromedp.WaitVisible(chromedp.CSS(".verdict.passed"))); err != nil {
				t.Fatal(err)
			}
			browsertest.Screenshot(t, ctx, "end-to-end-"+filepath.Base(filepath.Dir(t.Name())))
		})
	})
}

// TestPushOfABrokenModel shows that a model which does not hold what it says
// is stored, but its push with --wait fails.
func TestPushOfABrokenModel(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, _ *theHub, url string) {
		u, host, dir := user{t.TempDir()}, strings.TrimPrefix(url, "http://"), t.TempDir()
		for name, content := range contents(t, example) {
			if name == "model.safetensors" {
				content = content[:len(content)-1000]
			}
			write(t, filepath.Join(dir, name), []byte(content))
		}
		u.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
		out, errs, code := u.carat(t, "", "push", dir, host+"/demo/broken:v1", "--wait")
		if code != 1 || !strings.Contains(errs, "failed") {
			t.Errorf("exit code %d\n%s%s", code, out, errs)
		}
		if out := u.must(t, "", "inspect", host+"/demo/broken:v1"); !strings.Contains(out, "failed") {
			t.Errorf("inspect:\n%s", out)
		}
		if _, _, code := u.carat(t, "", "verify", dir); code != 1 {
			t.Errorf("verify: exit code %d", code)
		}
	})
}
