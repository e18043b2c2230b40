package registry

import (
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheckPath(t *testing.T) {
	t.Parallel()
	for _, p := range []string{
		"a", "a/b.c", "ünï code", "..a", "a..", "README.md", "model-00001-of-00002.safetensors", ".gitattributes", "模型.gguf",
		strings.Repeat("x", 255), strings.Repeat("x/", 511) + "xx",
	} {
		if err := CheckPath(p); err != nil {
			t.Errorf("CheckPath(%q) = %v, want nil", p, err)
		}
	}
	for _, p := range []string{
		"", ".", "..", "/", "/a", "//x", "a/", "a//b", "./a", "a/./b", "a/.", "../a", "a/../b", "a/..", `a\b`, `..\x`, "C:a", "C:/x", "a:b",
		"a\x00", "a\nb", "a\x7f", "a\xff", "a\ufffd", "x\u202ey.gguf", "x\u0085", strings.Repeat("x", 256), strings.Repeat("x/", 512) + "x",
	} {
		if err := CheckPath(p); err == nil {
			t.Errorf("CheckPath(%q) = nil, want an error", p)
		}
	}
}

func FuzzCheckPath(f *testing.F) {
	for _, p := range []string{"README.md", "a/b", "../x", "/x", `a\..\b`, "x\x00", "a/./b", "C:x"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if CheckPath(p) == nil && (path.Clean(p) != p || path.IsAbs(p) || !filepath.IsLocal(p) || strings.ContainsAny(p, "\x00\\:\n")) {
			t.Errorf("CheckPath let %q through", p)
		}
	})
}

func TestLayerFiles(t *testing.T) {
	t.Parallel()
	d := func(digit string) Digest { return MustParseDigest("sha256:" + strings.Repeat(digit, 64)) }
	titled := func(mediaType, digit, p string) Layer {
		return Layer{MediaType: mediaType, Digest: d(digit), Annotations: map[string]string{AnnotationTitle: p}}
	}
	license := "application/vnd.ollama.image.license"
	for _, tc := range []struct {
		name    string
		layers  []Layer
		want    []string
		problem string
	}{
		{"named", []Layer{titled("a/b", "1", "x"), titled("a/b", "1", "y")}, []string{"x", "y"}, ""},
		{"several that only say their type", []Layer{{MediaType: license, Digest: d("1")}, {MediaType: license, Digest: d("2")}, {MediaType: license, Digest: d("2")}}, []string{"LICENSE", "layer-222222222222"}, ""},
		{"nothing to call it", []Layer{{MediaType: "a/b", Digest: d("1")}}, []string{"layer-111111111111"}, "no file name"},
		{"refused", []Layer{titled("a/b", "1", "../x")}, []string{"layer-111111111111"}, ". or .. as a component"},
		{"taken", []Layer{titled("a/b", "1", "x"), titled("a/b", "2", "x")}, []string{"x", "layer-222222222222"}, "occurs twice"},
		{"named like another's fallback", []Layer{titled("a/b", "1", "layer-222222222222"), {MediaType: "a/b", Digest: d("2")}}, []string{"layer-222222222222", "layer-" + strings.Repeat("2", 64)}, "no file name"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			files, err := LayerFiles(tc.layers)
			var got []string
			for _, f := range files {
				got = append(got, f.Path)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("paths (-want +got):\n%s", diff)
			}
			if (err == nil) != (tc.problem == "") || err != nil && !strings.Contains(err.Error(), tc.problem) {
				t.Errorf("problem %v, want %q", err, tc.problem)
			}
		})
	}
}

func TestPacking(t *testing.T) {
	t.Parallel()
	title := map[string]string{AnnotationTitle: "a"}
	for _, tc := range []struct {
		mediaType   string
		annotations map[string]string
		want        string
	}{
		{ModelPackWeight, title, ""},
		{"application/octet-stream", title, ""},
		{ociDefaultLayer, title, ""}, // a file that oras pushed without a type
		{ociDefaultLayer, nil, "a tar archive"},
		{ociDefaultLayer, map[string]string{AnnotationTitle: "folder", "io.deis.oras.content.unpack": "true"}, "a tar archive"},
		{ociDefaultLayer + "+gzip", title, "a tar archive compressed by gzip"},
		{"application/vnd.cncf.model.weight.v1.tar", title, "a tar archive"},
		{"application/vnd.cncf.model.weight.v1.tar+zstd", title, "a tar archive compressed by zstd"},
		{"application/vnd.kitops.modelkit.model.v1.raw+zstd", title, "compressed by zstd"},
		{"application/vnd.docker.image.rootfs.diff.tar.gzip", nil, "a tar archive compressed by gzip"},
		{"application/vnd.docker.ai.vllm.config.tar", title, "a tar archive"},
	} {
		if got := Packing(Layer{MediaType: tc.mediaType, Annotations: tc.annotations}); got != tc.want {
			t.Errorf("Packing(%s, %v) = %q, want %q", tc.mediaType, tc.annotations, got, tc.want)
		}
	}
}
