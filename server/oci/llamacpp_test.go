package oci

import (
	"net/http"
	"testing"

	"github.com/carat-hub/carat/registry"
)

func TestPickGGUF(t *testing.T) {
	t.Parallel()
	files := func(paths ...string) (list []registry.File) {
		for _, p := range paths {
			list = append(list, registry.File{Path: p, Digest: registry.DigestOf(registry.SHA256, []byte(p)), Size: int64(len(p))})
		}
		return list
	}
	several := files("m-Q8_0.gguf", "m-Q4_K_M.gguf", "m.IQ4_K_M.gguf", "README.md", "mmproj-m-f16.gguf", "big/Q6_K/m-00002-of-00002.gguf", "big/Q6_K/m-00001-of-00002.gguf", "m-bf16-00001-of-00003.gguf")
	single := files("config.json", "model.gguf")
	for _, tt := range []struct {
		files     []registry.File
		tag       string
		isVersion bool
		want      string
	}{
		{several, "latest", true, "m-Q4_K_M.gguf"},
		{several, "v1", true, "m-Q4_K_M.gguf"},
		{several, "v1", false, ""},
		{several, "Q4_K_M", false, "m-Q4_K_M.gguf"},
		{several, "q8_0", true, "m-Q8_0.gguf"},
		{several, "Q6_K", false, "big/Q6_K/m-00001-of-00002.gguf"},
		{several, "BF16", false, "m-bf16-00001-of-00003.gguf"},
		{several, "iq4_k_m", false, "m.IQ4_K_M.gguf"},
		{several, "4_K_M", false, ""},
		{several, "K_M", false, ""},
		{several, "m-q8_0.gguf", false, "m-Q8_0.gguf"},
		{several, "m-Q8_0", false, "m-Q8_0.gguf"},
		{several, "F16", false, ""}, // only the projector is
		{single, "latest", true, "model.gguf"},
		{single, "Q4_K_M", false, ""},
		{files("model.safetensors"), "latest", true, ""},
		{nil, "latest", true, ""},
	} {
		got := pickGGUF(tt.files, tt.tag, tt.isVersion)
		name := ""
		if got.Model != nil {
			name = got.Model.Name
		}
		if name != tt.want {
			t.Errorf("%q, of the version %v: %q, want %q", tt.tag, tt.isVersion, name, tt.want)
		}
		if got.Model != nil && (got.Model.Size != int64(len(name)) || len(got.Model.Blob) != 40 || len(got.Model.LFS.SHA256) != 64) {
			t.Errorf("%q: %+v", tt.tag, got.Model)
		}
		if (got.Projector != nil) != (got.Model != nil && len(tt.files) == len(several)) {
			t.Errorf("%q: projector %+v", tt.tag, got.Projector)
		}
	}
}

func FuzzPickGGUF(f *testing.F) {
	f.Add("a/m-Q4_K_M-00001-of-00002.gguf", "q4_k_m", true)
	f.Add(".gguf", "", false)
	f.Fuzz(func(t *testing.T, file, tag string, isVersion bool) {
		got := pickGGUF([]registry.File{{Path: file, Digest: registry.DigestOf(registry.SHA256, nil)}}, tag, isVersion)
		if got.Model != nil && got.Model.Name != file {
			t.Errorf("%q of %q: %q", tag, file, got.Model.Name)
		}
	})
}

func TestWantsFile(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		agent, accept string
		want          bool
	}{
		{"llama-cpp", "", true},
		{"llama-cpp", "application/json", true},
		{"llama-cpp/b9000", "*/*", true},
		{"llama-cpp", "application/vnd.oci.image.manifest.v1+json", false},
		{"oras/1.3", "application/json", false},
		{"", "", false},
	} {
		r := &http.Request{Header: http.Header{"User-Agent": {tt.agent}, "Accept": {tt.accept}}}
		if got := wantsFile(r); got != tt.want {
			t.Errorf("%q, %q: %v", tt.agent, tt.accept, got)
		}
	}
}
