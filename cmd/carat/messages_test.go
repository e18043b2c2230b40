package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/inference/safetensors"
)

// TestUserMistakes shows that what people get wrong is answered with what
// they can do about it.
func TestUserMistakes(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, _ *theHub, url string) {
		u, host := user{t.TempDir()}, strings.TrimPrefix(url, "http://")
		u.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
		u.must(t, "", "push", example, host+"/demo/m:v1")
		u.must(t, "", "push", example, host+"/demo/m:v2")
		for _, tt := range []struct {
			name string
			args []string
			code int
			want string
		}{
			{"wrong tag", []string{"pull", host + "/demo/m:v3", "-o", t.TempDir()}, 1, "no version v3; its tags are v1, v2"},
			{"inspect a wrong tag", []string{"inspect", host + "/demo/m:v3"}, 1, "its tags are v1, v2"},
			{"no such model", []string{"pull", host + "/demo/none:v1", "-o", t.TempDir()}, 1, "has no model demo/none"},
			{"nobody there", []string{"pull", "127.0.0.1:1/demo/m:v1", "-o", t.TempDir()}, 1, "cannot reach 127.0.0.1:1: "},
			{"no such host", []string{"push", example, "no-such-host.invalid/demo/m:v1"}, 1, "cannot reach no-such-host.invalid"},
			{"tag with a slash", []string{"push", example, host + "/demo/m:a/b"}, 2, `tag "a/b"`},
		} {
			if out, errs, code := u.carat(t, "", tt.args...); code != tt.code || !strings.Contains(errs, tt.want) || out != "" {
				t.Errorf("%s: exit code %d, %s%s", tt.name, code, out, errs)
			}
		}
	})
}

// TestFolders pushes and pulls what changed, over folders with other files.
func TestFolders(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, _ *theHub, url string) {
		u, host, dir := user{t.TempDir()}, strings.TrimPrefix(url, "http://"), t.TempDir()
		ref := host + "/demo/sharded:v1"
		u.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
		shards := map[string]string{}
		for _, name := range []string{"a.weight", "b.weight"} {
			file := "model-" + name[:1] + ".safetensors"
			shards[name] = file
			header := `{"` + name + `":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`
			write(t, filepath.Join(dir, file), append([]byte{byte(len(header)), 0, 0, 0, 0, 0, 0, 0}, header+"\x00\x00\x80\x3f\x00\x00\x00\x40"...))
		}
		index, err := json.Marshal(map[string]any{"metadata": map[string]int{"total_size": 16}, "weight_map": shards})
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, safetensors.IndexName), index)
		write(t, filepath.Join(dir, "config.json"), []byte(`{"model_type":"llama"}`))
		for _, sub := range []string{"tokenizer", "tokenizer_2"} {
			if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, sub, "vocab.json"), []byte(`{"a":0}`))
		}
		u.must(t, "", "push", dir, ref)
		out := t.TempDir()
		write(t, filepath.Join(out, "mine.txt"), []byte("stays"))
		write(t, filepath.Join(out, "config.json"), []byte("of another model"))
		u.must(t, "", "pull", ref, "-o", out)
		want := contents(t, dir)
		want["mine.txt"] = "stays"
		if diff := cmp.Diff(want, contents(t, out)); diff != "" {
			t.Errorf("pulled (-want +got):\n%s", diff)
		}
		var i inspection
		eventually(t, "the facts, which a job reads", func() bool {
			if err := json.Unmarshal([]byte(u.must(t, "", "inspect", ref, "--json")), &i); err != nil {
				t.Fatal(err)
			}
			return i.Facts != nil
		})
		if i.Facts.Parameters != 4 || len(i.Files) != 6 || i.Problem != "" {
			t.Errorf("inspect: %+v", i)
		}
		write(t, filepath.Join(dir, "README.md"), []byte("# New\n"))
		if _, errs, code := u.carat(t, "", "push", dir, ref); code != 0 || !strings.Contains(errs, "5 there already") {
			t.Errorf("push of what changed: exit code %d, %s", code, errs)
		}
		if _, errs, code := u.carat(t, "", "pull", ref, "-o", out); code != 0 || !strings.Contains(errs, "1 fetched (6 B), 6 up to date") {
			t.Errorf("pull of what changed: exit code %d, %s", code, errs)
		}
	})
}

// TestNoModel shows what is said of a container image.
func TestNoModel(t *testing.T) {
	t.Parallel()
	const layer = `{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0}`
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "/manifests/") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		_, _ = w.Write([]byte(`{"schemaVersion":2,"config":` + strings.Replace(layer, "layer.v1.tar+gzip", "config.v1+json", 1) + `,"layers":[` + layer + `]}`))
	}))
	t.Cleanup(s.Close)
	ref := strings.TrimPrefix(s.URL, "http://") + "/library/image:v1"
	sh := newShell(t)
	if _, msg := sh.run(1, "", "pull", ref, "-o", t.TempDir()); !strings.Contains(msg, "a tar archive compressed by gzip") {
		t.Errorf("pull: %s", msg)
	}
	if out, _ := sh.run(0, "", "inspect", ref); !strings.Contains(out, "problem") || !strings.Contains(out, "a tar archive compressed by gzip") {
		t.Errorf("inspect:\n%s", out)
	}
}
