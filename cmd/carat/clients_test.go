package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	gcrname "github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/memory"
	orasremote "oras.land/oras-go/v2/registry/remote"
	orasauth "oras.land/oras-go/v2/registry/remote/auth"

	"github.com/carat-hub/carat/internal/toolbin"
)

// TestOrasGo pushes, copies and discovers through oras-go.
func TestOrasGo(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, _ *theHub, url string) {
		ctx, host := t.Context(), strings.TrimPrefix(url, "http://")
		repo, err := orasremote.NewRepository(host + "/clients/oras-go")
		if err != nil {
			t.Fatal(err)
		}
		repo.PlainHTTP = true
		repo.Client = &orasauth.Client{
			Client:     http.DefaultClient,
			Credential: orasauth.StaticCredential(host, orasauth.Credential{Username: adminName, Password: testPassword}),
		}
		local := memory.New()
		layer, err := oras.PushBytes(ctx, local, "application/x.layer", bytes.Repeat([]byte("layer"), 100_000))
		if err != nil {
			t.Fatal(err)
		}
		root, err := oras.PackManifest(ctx, local, oras.PackManifestVersion1_1, "application/x.artifact", oras.PackManifestOptions{Layers: []ocispec.Descriptor{layer}})
		if err != nil {
			t.Fatal(err)
		}
		if err := local.Tag(ctx, root, "v1"); err != nil {
			t.Fatal(err)
		}
		pushed, err := oras.Copy(ctx, local, "v1", repo, "v1", oras.DefaultCopyOptions)
		if err != nil || pushed.Digest != root.Digest {
			t.Fatalf("push: %s, %v", pushed.Digest, err)
		}
		referrer, err := oras.PackManifest(ctx, repo, oras.PackManifestVersion1_1, "application/x.note", oras.PackManifestOptions{Subject: &root})
		if err != nil {
			t.Fatal(err)
		}
		var found []ocispec.Descriptor
		if err := repo.Referrers(ctx, root, "application/x.note", func(list []ocispec.Descriptor) error {
			found = append(found, list...)
			return nil
		}); err != nil || len(found) != 1 || found[0].Digest != referrer.Digest {
			t.Errorf("referrers %v, %v", found, err)
		}
		back := memory.New()
		if _, err := oras.ExtendedCopy(ctx, repo, "v1", back, "v1", oras.DefaultExtendedCopyOptions); err != nil {
			t.Fatal(err)
		}
		for _, d := range []ocispec.Descriptor{root, layer, referrer} {
			if ok, err := back.Exists(ctx, d); err != nil || !ok {
				t.Errorf("%s did not come back: %v", d.Digest, err)
			}
		}
		var tags []string
		if err := repo.Tags(ctx, "", func(list []string) error { tags = append(tags, list...); return nil }); err != nil || !slices.Equal(tags, []string{"v1"}) {
			t.Errorf("tags %q, %v", tags, err)
		}
		if err := repo.Delete(ctx, referrer); err != nil {
			t.Errorf("delete: %v", err)
		}
	})
}

// TestGoContainerRegistry pushes images and an index through
// go-containerregistry, the library of crane, ko and cosign.
func TestGoContainerRegistry(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, _ *theHub, url string) {
		host := strings.TrimPrefix(url, "http://")
		opts := []remote.Option{remote.WithAuth(&authn.Basic{Username: adminName, Password: testPassword}), remote.WithContext(t.Context())}
		ref := func(s string) gcrname.Reference {
			r, err := gcrname.ParseReference(host+"/clients/"+s, gcrname.Insecure)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		img, err := random.Image(100_000, 3)
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(ref("gcr:one"), img, opts...); err != nil {
			t.Fatal(err)
		}
		index, err := random.Index(1000, 2, 3)
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.WriteIndex(ref("gcr:all"), index, opts...); err != nil {
			t.Fatal(err)
		}
		got, err := remote.Image(ref("gcr:one"), opts...)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := must(got.Digest())(t), must(img.Digest())(t); a != b {
			t.Errorf("digest %s, want %s", a, b)
		}
		for _, l := range must(got.Layers())(t) {
			if _, err := l.Uncompressed(); err != nil {
				t.Errorf("read layer: %v", err)
			}
		}
		if err := remote.Write(ref("gcr-mounted:one"), mutate.MediaType(got, must(got.MediaType())(t)), opts...); err != nil {
			t.Errorf("push with mounts: %v", err)
		}
		tags, err := remote.List(ref("gcr:one").Context(), opts...)
		if err != nil || !slices.Equal(tags, []string{"all", "one"}) {
			t.Errorf("tags %q, %v", tags, err)
		}
		if err := remote.Delete(ref("gcr:all"), opts...); err != nil {
			t.Errorf("delete: %v", err)
		}
		_, err = remote.Head(ref("gcr:all"), opts...)
		if terr := new(transport.Error); !asError(err, &terr) || terr.StatusCode != http.StatusNotFound {
			t.Errorf("after delete: %v", err)
		}
	})
}

// TestCommandLineClients runs oras, crane and regctl as people do.
func TestCommandLineClients(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, _ *theHub, url string) {
		host, home := strings.TrimPrefix(url, "http://"), t.TempDir()
		run := func(program string, args ...string) string {
			t.Helper()
			cmd := exec.CommandContext(t.Context(), toolbin.Path(t, program), args...)
			cmd.Dir = home
			cmd.Env = append(os.Environ(), "HOME="+home, "DOCKER_CONFIG="+home)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%s %s: %v\n%s%s", program, strings.Join(args, " "), err, out, stderr.Bytes())
			}
			return string(out)
		}
		model := bytes.Repeat([]byte("weights "), 200_000)
		write(t, filepath.Join(home, "model.bin"), model)
		write(t, filepath.Join(home, "note.txt"), []byte("looks good"))

		run("oras", "login", "--plain-http", "-u", adminName, "-p", testPassword, host)
		run("oras", "push", "--plain-http", host+"/clients/oras:v1", "--artifact-type", "application/x.model", "model.bin:application/octet-stream")
		run("oras", "attach", "--plain-http", host+"/clients/oras:v1", "--artifact-type", "application/x.note", "note.txt:text/plain")
		run("oras", "pull", "--plain-http", host+"/clients/oras:v1", "-o", "pulled")
		if got := read(t, filepath.Join(home, "pulled", "model.bin")); !bytes.Equal(got, model) {
			t.Errorf("oras pulled %d other bytes", len(got))
		}
		var tree struct {
			Referrers []struct {
				ArtifactType string `json:"artifactType"`
			} `json:"referrers"`
		}
		out := run("oras", "discover", "--plain-http", "--format", "json", host+"/clients/oras:v1")
		if err := json.Unmarshal([]byte(out), &tree); err != nil || len(tree.Referrers) != 1 || tree.Referrers[0].ArtifactType != "application/x.note" {
			t.Errorf("oras discover: %v\n%s", err, out)
		}

		run("crane", "auth", "login", "-u", adminName, "-p", testPassword, host)
		run("crane", "copy", "--insecure", host+"/clients/oras:v1", host+"/clients/crane:v2")
		source := run("crane", "digest", "--insecure", host+"/clients/oras:v1")
		if got := run("crane", "digest", "--insecure", host+"/clients/crane:v2"); got != source {
			t.Errorf("crane copied %s to %s", source, got)
		}
		run("crane", "append", "--insecure", "-f", tarball(t, home), "-t", host+"/clients/appended:v1")
		if got := strings.Fields(run("crane", "ls", "--insecure", host+"/clients/appended")); !slices.Equal(got, []string{"v1"}) {
			t.Errorf("crane ls: %q", got)
		}

		run("regctl", "registry", "set", "--tls", "disabled", host)
		run("regctl", "registry", "login", host, "-u", adminName, "-p", testPassword)
		run("regctl", "image", "copy", "--referrers", host+"/clients/oras:v1", host+"/clients/regctl:v3")
		if got := run("regctl", "image", "digest", host+"/clients/regctl:v3"); strings.TrimSpace(got) != strings.TrimSpace(source) {
			t.Errorf("regctl copied %s to %s", source, got)
		}
		if got := run("regctl", "artifact", "list", host+"/clients/regctl:v3", "--format", "{{len .Descriptors}}"); strings.TrimSpace(got) != "1" {
			t.Errorf("regctl artifact list: %s referrers", got)
		}
		if got := run("regctl", "artifact", "get", host+"/clients/regctl:v3", "--file", "model.bin"); got != string(model) {
			t.Errorf("regctl got %d other bytes", len(got))
		}
		run("regctl", "tag", "rm", host+"/clients/regctl:v3")
		if got := strings.Fields(run("regctl", "tag", "ls", host+"/clients/oras")); cmp.Diff([]string{"v1"}, got) != "" {
			t.Errorf("regctl tag ls: %q", got)
		}
	})
}
