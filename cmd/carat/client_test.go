package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
)

const exampleModel = "../../examples/tiny-llama"

// shell runs commands with an environment of their own.
type shell struct {
	t      *testing.T
	docker string // DOCKER_CONFIG
	epoch  string // SOURCE_DATE_EPOCH
}

func newShell(t *testing.T) *shell {
	t.Helper()
	return &shell{t: t, docker: t.TempDir()}
}

func (s *shell) getenv(key string) string {
	switch key {
	case "DOCKER_CONFIG":
		return s.docker
	case "SOURCE_DATE_EPOCH":
		return s.epoch
	}
	return ""
}

// run runs one command and fails the test unless it ends with the code.
func (s *shell) run(code int, stdin string, args ...string) (stdout, stderr string) {
	s.t.Helper()
	var out, errs bytes.Buffer
	if got := run(s.t.Context(), args, s.getenv, strings.NewReader(stdin), &out, &errs); got != code {
		s.t.Errorf("carat %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, out.String(), errs.String())
	}
	return out.String(), errs.String()
}

func plainRegistry(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func sameFolder(t *testing.T, want, got string) {
	t.Helper()
	entries := must(os.ReadDir(want))(t)
	if n := len(must(os.ReadDir(got))(t)); n != len(entries) {
		t.Errorf("%d files, want %d", n, len(entries))
	}
	for _, e := range entries {
		if !bytes.Equal(read(t, filepath.Join(want, e.Name())), read(t, filepath.Join(got, e.Name()))) {
			t.Errorf("%s is not the same", e.Name())
		}
	}
}

func TestClientAgainstHub(t *testing.T) {
	t.Parallel()
	_, url := startHub(t, serveConfig{}, nil)
	host := strings.TrimPrefix(url, "http://")
	sh := newShell(t)
	ref := host + "/demo/tiny-llama:v1"

	_, msg := sh.run(1, "", "push", exampleModel, ref)
	if !strings.Contains(msg, "carat login "+host) {
		t.Errorf("an anonymous push does not tell how to log in: %s", msg)
	}
	if _, msg := sh.run(1, "wrong\n", "login", host, "-u", adminName, "--password-stdin"); !strings.Contains(msg, "refused") {
		t.Errorf("login with a wrong password: %s", msg)
	}
	sh.run(1, "", "push", exampleModel, ref)
	if out, _ := sh.run(0, testPassword+"\n", "login", host, "-u", adminName, "--password-stdin"); strings.Contains(out, testPassword) {
		t.Errorf("login prints the password: %s", out)
	}

	pinned, progress := sh.run(0, "", "push", exampleModel, ref)
	if !strings.HasPrefix(pinned, host+"/demo/tiny-llama@sha256:") || strings.Count(pinned, "\n") != 1 {
		t.Errorf("push prints %q", pinned)
	}
	if !strings.Contains(progress, "pushed v1: 9 uploaded") {
		t.Errorf("push reports %s", progress)
	}
	again, progress := sh.run(0, "", "push", exampleModel, ref)
	if again != pinned || !strings.Contains(progress, "0 uploaded (0 B), 9 there already") {
		t.Errorf("the second push prints %q and reports %s", again, progress)
	}

	// Anyone may pull a public model, by tag and by digest.
	anonymous := newShell(t)
	dir := filepath.Join(t.TempDir(), "out")
	digest, _ := anonymous.run(0, "", "pull", ref, "-o", dir)
	if !strings.HasSuffix(strings.TrimSpace(pinned), "@"+strings.TrimSpace(digest)) {
		t.Errorf("pull prints %q after a push of %q", digest, pinned)
	}
	sameFolder(t, exampleModel, dir)
	if _, progress := anonymous.run(0, "", "pull", strings.TrimSpace(pinned), "-o", dir); !strings.Contains(progress, "0 fetched (0 B), 8 up to date") {
		t.Errorf("the second pull reports %s", progress)
	}

	text, _ := anonymous.run(0, "", "inspect", ref)
	for _, want := range []string{"modelpack", strings.TrimSpace(digest), "v1", "5.8 MB in 8 files", "model.safetensors", "verification"} {
		if !strings.Contains(text, want) {
			t.Errorf("inspect does not print %q:\n%s", want, text)
		}
	}
	anonymous.run(1, "", "pull", host+"/demo/other")
	anonymous.run(1, "", "inspect", host+"/demo/other")

	sh.run(0, "", "logout", host)
	sh.run(1, "", "push", exampleModel, host+"/demo/tiny-llama:v2")
}

func TestClientAgainstPlainRegistry(t *testing.T) {
	t.Parallel()
	host := plainRegistry(t)
	sh := newShell(t)
	sh.epoch = "1767323045"
	ref := host + "/demo/tiny-llama"
	pinned, _ := sh.run(0, "", "push", exampleModel, ref)
	dir := filepath.Join(t.TempDir(), "out")
	sh.run(0, "", "pull", strings.TrimSpace(pinned), "-o", dir)
	sameFolder(t, exampleModel, dir)

	text, _ := sh.run(0, "", "inspect", ref)
	for _, want := range []string{"application/vnd.cncf.model.manifest.v1+json", "llama", "safetensors", "bf16", "Apache-2.0", "verification  none"} {
		if !strings.Contains(text, want) {
			t.Errorf("inspect does not print %q:\n%s", want, text)
		}
	}
	if _, msg := sh.run(1, "", "push", exampleModel, ref, "--wait"); !strings.Contains(msg, "not a hub") {
		t.Errorf("waiting for what no hub verifies: %s", msg)
	}
}

// TestPushWait drives --wait with a registry whose hub API is a script.
func TestPushWait(t *testing.T) {
	t.Parallel()
	tests := []struct {
		state string
		code  int
		want  []string
	}{
		{"passed", 0, []string{"passed   structure.digests", "verification passed: all good"}},
		{"unsupported", 0, []string{"verification unsupported: all good"}},
		{"failed", 1, []string{"failed   run.logits: 3 values are NaN", "carat: verification failed: all good"}},
		{"error", 1, []string{"carat: verification error: all good"}},
	}
	for _, tt := range tests {
		t.Run(tt.state, func(t *testing.T) {
			t.Parallel()
			oci := ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))
			asked := 0
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasPrefix(r.URL.Path, "/api/") {
					oci.ServeHTTP(w, r)
					return
				}
				asked++
				if asked == 1 {
					fmt.Fprint(w, `{"state":"running","report":{"results":[{"id":"structure.digests","outcome":"passed"}]}}`)
					return
				}
				fmt.Fprintf(w, `{"state":%q,"report":{"summary":"all good","results":[{"id":"structure.digests","outcome":"passed"},{"id":"run.logits","outcome":"failed","reason":"3 values are NaN"}]}}`, tt.state)
			}))
			t.Cleanup(s.Close)
			_, msg := newShell(t).run(tt.code, "", "push", exampleModel, strings.TrimPrefix(s.URL, "http://")+"/demo/m:v1", "--wait")
			for _, want := range tt.want {
				if strings.Count(msg, want) != 1 {
					t.Errorf("push --wait does not print %q once:\n%s", want, msg)
				}
			}
		})
	}
}

func TestInspectPath(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	out, _ := sh.run(0, "", "inspect", exampleModel, "--json")
	var got inspection
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if got.Kind != "folder" || len(got.Files) != 8 || got.Facts == nil || got.Facts.Architecture != "llama" || got.Facts.Format != "safetensors" ||
		got.Facts.Quantization != "BF16" || got.Facts.Parameters != 2_885_888 || got.Facts.ContextLength != 256 || got.Facts.License.Declared != "Apache-2.0" || got.FactsError != "" {
		t.Errorf("inspect prints %s", out)
	}
}

// TestInspectFile: any file with weights has facts; only a GGUF file is a model that can be pushed by itself.
func TestInspectFile(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	for path, format := range map[string]string{
		filepath.Join(exampleModel, "model.safetensors"):                  "safetensors",
		filepath.Join("..", "..", "inference/pickle/testdata/zip4.pt"):    "pytorch",
		filepath.Join("..", "..", "inference/pickle/testdata/plain2.pkl"): "pickle",
	} {
		out, _ := sh.run(0, "", "inspect", path, "--json")
		var got inspection
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatal(err)
		}
		if got.Kind != "file" || len(got.Files) != 1 || got.Facts == nil || got.Facts.Format != format || got.FactsError != "" {
			t.Errorf("inspect %s prints %s", path, out)
		}
		if _, msg := sh.run(1, "", "push", path, "localhost:1/a/b:v1"); !strings.Contains(msg, "give the model's folder") {
			t.Errorf("push %s prints %s", path, msg)
		}
	}
}

func TestWrongUsage(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	for _, args := range [][]string{
		{"frobnicate"},
		{"push"},
		{"push", "a", "b", "c"},
		{"push", "--foo", "a", "b"},
		{"push", exampleModel, "org/model:v1"},
		{"push", exampleModel, "localhost:1/a/b@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"pull"},
		{"pull", "https://localhost:1/a/b"},
		{"login"},
		{"login", "not a host"},
		{"login", "localhost:1"},
		{"login", "localhost:1", "--password-stdin"},
		{"logout", "x"},
		{"inspect", "no/such/thing"},
	} {
		out, msg := sh.run(2, "", args...)
		if out != "" || !strings.HasPrefix(msg, "carat: ") || strings.Count(msg, "\n") != 1 {
			t.Errorf("carat %q prints %q and %q, want one line of error", args, out, msg)
		}
	}
	for _, args := range [][]string{{}, {"--help"}, {"push", "--help"}, {"version"}} {
		if out, _ := sh.run(0, "", args...); out == "" {
			t.Errorf("carat %q prints nothing", args)
		}
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	sh := newShell(t)
	var out, errs bytes.Buffer
	code := run(ctx, []string{"push", exampleModel, plainRegistry(t) + "/a/b"}, sh.getenv, strings.NewReader(""), &out, &errs)
	if code != 1 || errs.String() != "carat: interrupted\n" || out.Len() > 0 {
		t.Errorf("exit code %d, printed %q and %q", code, out.String(), errs.String())
	}
}

func TestFormatBytes(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 5e9: "5.0 GB", 999_999: "1.0 MB", 1<<63 - 1: "9.2 EB"} {
		if got := formatBytes(n); got != want {
			t.Errorf("formatBytes(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "", 7: "7", 1234: "1,234", 2885888: "2,885,888", -1234: "-1,234"} {
		if got := count(n); got != want {
			t.Errorf("count(%d) = %q, want %q", n, got, want)
		}
	}
}
