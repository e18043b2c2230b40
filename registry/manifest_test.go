package registry

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const zeros = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

func layerJSON(mediaType, digit string, size int, annotations string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":"sha256:%s","size":%d,"annotations":{%s}}`, mediaType, strings.Repeat(digit, 64), size, annotations)
}

func manifestJSON(head, configType string, layers ...string) []byte {
	return fmt.Appendf(nil, `{"schemaVersion":2,%s"config":{"mediaType":%q,"digest":%q,"size":2},"layers":[%s]}`, head, configType, zeros, strings.Join(layers, ","))
}

func TestRecognise(t *testing.T) {
	t.Parallel()
	title := func(p string) string { return fmt.Sprintf(`"org.opencontainers.image.title":%q`, p) }
	for _, tc := range []struct {
		name  string
		body  []byte
		media string
		kind  Kind
		paths []string
	}{
		{
			name: "modelpack", kind: KindModelPack, paths: []string{"config.json", "a/model.safetensors"},
			body: manifestJSON(`"artifactType":"application/vnd.cncf.model.manifest.v1+json",`, ModelPackConfig,
				layerJSON(ModelPackWeightConfig, "1", 10, `"org.cncf.model.filepath":"config.json"`),
				layerJSON(ModelPackWeight, "2", 20, `"org.cncf.model.filepath":"a/model.safetensors",`+title("ignored"))),
		},
		{
			name: "cnai", kind: KindCNAI, paths: []string{"model.gguf"},
			body: manifestJSON("", "application/vnd.cnai.model.config.v1+json",
				layerJSON("application/vnd.cnai.model.weight.v1.raw", "1", 10, `"org.cnai.model.filepath":"model.gguf"`)),
		},
		{
			name: "kitops", kind: KindKitOps, paths: []string{"layer-111111111111"},
			body: manifestJSON("", "application/vnd.kitops.modelkit.config.v1+json",
				layerJSON("application/vnd.kitops.modelkit.model.v1.tar+gzip", "1", 10, "")),
		},
		{
			name: "docker model", kind: KindDockerModel, paths: []string{"model.gguf", "LICENSE"},
			body: manifestJSON("", "application/vnd.docker.ai.model.config.v0.1+json",
				layerJSON("application/vnd.docker.ai.gguf.v3", "1", 10, ""), layerJSON("application/vnd.docker.ai.license", "2", 10, "")),
		},
		{
			name: "ollama", kind: KindOllama, media: MediaTypeDockerManifest, paths: []string{"model.gguf", "LICENSE", "layer-333333333333"},
			body: manifestJSON("", "application/vnd.docker.container.image.v1+json",
				layerJSON("application/vnd.ollama.image.model", "1", 10, ""), layerJSON("application/vnd.ollama.image.license", "2", 10, ""),
				layerJSON("application/vnd.ollama.image.license", "3", 10, "")),
		},
		{
			name: "files", kind: KindFiles, paths: []string{"model.safetensors", "README.md"},
			body: manifestJSON("", MediaTypeOCIEmpty, layerJSON("application/octet-stream", "1", 10, title("model.safetensors")),
				layerJSON("text/markdown", "2", 10, title("README.md"))),
		},
		{
			name: "container image", kind: KindOther,
			body: manifestJSON("", "application/vnd.oci.image.config.v1+json", layerJSON("application/vnd.oci.image.layer.v1.tar+gzip", "1", 10, "")),
		},
		{
			name: "referrer", kind: KindOther,
			body: manifestJSON(`"subject":{"mediaType":"x/y","digest":"`+zeros+`","size":1},`, ModelPackConfig, layerJSON(ModelPackWeight, "1", 10, title("m.gguf"))),
		},
		{
			name: "unsafe names", kind: KindModelPack, paths: []string{"layer-111111111111", "layer-222222222222", "good.gguf", "layer-444444444444"},
			body: manifestJSON("", ModelPackConfig,
				layerJSON(ModelPackWeight, "1", 1, title("../up")), layerJSON(ModelPackWeight, "2", 1, title("/abs")),
				layerJSON(ModelPackWeight, "3", 1, title("good.gguf")), layerJSON(ModelPackWeight, "4", 1, title("good.gguf"))),
		},
		{
			name: "the path of ModelPack decides, though the title is safe", kind: KindModelPack, paths: []string{"layer-111111111111"},
			body: manifestJSON("", ModelPackConfig, layerJSON(ModelPackWeight, "1", 1, `"org.cncf.model.filepath":"../up",`+title("good.gguf"))),
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if tc.media == "" {
				tc.media = MediaTypeOCIManifest
			}
			m, doc, err := ParseManifest(tc.body, tc.media, SHA256)
			if err != nil {
				t.Fatal(err)
			}
			kind, files := Recognise(m, doc)
			var paths []string
			for _, f := range files {
				paths = append(paths, f.Path)
			}
			if kind != tc.kind {
				t.Errorf("kind %s, want %s", kind, tc.kind)
			}
			if diff := cmp.Diff(tc.paths, paths); diff != "" {
				t.Errorf("paths (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add(manifestJSON("", ModelPackConfig, layerJSON(ModelPackWeight, "1", 10, `"org.cncf.model.filepath":"a"`)), MediaTypeOCIManifest)
	f.Add([]byte(`{"schemaVersion":2,"manifests":[]}`), MediaTypeOCIIndex)
	f.Add([]byte(`{"schemaVersion":2,"schemaVersion":2}`), "")
	f.Fuzz(func(t *testing.T, body []byte, mediaType string) {
		m, doc, err := ParseManifest(body, mediaType, SHA256)
		if err != nil {
			return
		}
		if m.Digest != DigestOf(SHA256, body) {
			t.Errorf("digest %s", m.Digest)
		}
		doc.blobs()
		doc.children()
		_, files := Recognise(m, doc)
		seen := map[string]bool{}
		for _, file := range files {
			if CheckPath(file.Path) != nil || seen[file.Path] {
				t.Errorf("path %q", file.Path)
			}
			seen[file.Path] = true
		}
	})
}
