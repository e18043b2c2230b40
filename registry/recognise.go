package registry

import (
	"path"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Recognise says which packing a manifest follows and which files it holds.
// Only the manifest itself is looked at. Sources of the media types:
// modelpack/model-spec, kitops-ml/kitops, docker/model-runner, ollama/ollama.
func Recognise(m Manifest, doc *Document) (Kind, []File) {
	kind := kindOf(m, doc)
	if !kind.IsModel() {
		return kind, nil
	}
	files := make([]File, 0, len(doc.Layers))
	taken := map[string]bool{}
	for _, l := range doc.Layers {
		d := MustParseDigest(l.Digest.String())
		p := filePath(l)
		if p == "" || taken[p] {
			p = "layer-" + d.Hex()[:12]
		}
		if taken[p] {
			continue // the same unnamed content once more
		}
		taken[p] = true
		files = append(files, File{Path: p, Digest: d, Size: l.Size, MediaType: l.MediaType, Packed: packed(l)})
	}
	return kind, files
}

func recogniseVersion(n Name, m Manifest, doc *Document) *Version {
	kind, files := Recognise(m, doc)
	if !kind.IsModel() {
		return nil
	}
	v := &Version{Name: n, Digest: m.Digest, Kind: kind, Files: files, CreatedAt: m.CreatedAt}
	for _, f := range files {
		v.Size += f.Size
	}
	return v
}

func kindOf(m Manifest, doc *Document) Kind {
	if doc.Config == nil || !m.Subject.IsZero() {
		return KindOther // an index, or something said about another manifest
	}
	for _, t := range []string{m.ArtifactType, doc.Config.MediaType} {
		switch {
		case strings.HasPrefix(t, "application/vnd.cncf.model."):
			return KindModelPack
		case strings.HasPrefix(t, "application/vnd.cnai.model."):
			return KindCNAI
		case strings.HasPrefix(t, "application/vnd.kitops.modelkit."):
			return KindKitOps
		case strings.HasPrefix(t, "application/vnd.docker.ai.model."):
			return KindDockerModel
		}
	}
	for _, l := range doc.Layers {
		if strings.HasPrefix(l.MediaType, "application/vnd.ollama.image.") {
			return KindOllama
		}
	}
	for _, l := range doc.Layers {
		if isWeights(filePath(l)) {
			return KindFiles
		}
	}
	return KindOther
}

// isWeights reports whether a file of that name holds weights in a format
// that the hub knows.
func isWeights(p string) bool {
	switch strings.ToLower(path.Ext(p)) {
	case ".safetensors", ".gguf", ".onnx", ".pt", ".pth":
		return true
	case ".bin":
		return strings.HasPrefix(path.Base(p), "pytorch_model")
	}
	return false
}

// layerNames are the file names of layers that say by their media type alone
// what they hold.
var layerNames = map[string]string{
	"application/vnd.ollama.image.model":            "model.gguf",
	"application/vnd.ollama.image.projector":        "mmproj.gguf",
	"application/vnd.ollama.image.adapter":          "adapter.gguf",
	"application/vnd.ollama.image.template":         "template",
	"application/vnd.ollama.image.system":           "system",
	"application/vnd.ollama.image.params":           "params",
	"application/vnd.ollama.image.messages":         "messages",
	"application/vnd.ollama.image.license":          "LICENSE",
	"application/vnd.docker.ai.gguf.v3":             "model.gguf",
	"application/vnd.docker.ai.safetensors":         "model.safetensors",
	"application/vnd.docker.ai.mmproj":              "mmproj.gguf",
	"application/vnd.docker.ai.license":             "LICENSE",
	"application/vnd.docker.ai.chat.template.jinja": "chat_template.jinja",
}

// filePath returns the path of the file that a layer holds, "" when it has
// none that is safe.
func filePath(l ocispec.Descriptor) string {
	for _, key := range []string{AnnotationModelPackPath, AnnotationCNAIPath, AnnotationTitle} {
		if p := l.Annotations[key]; ValidPath(p) {
			return p
		}
	}
	return layerNames[l.MediaType]
}

// ValidPath reports whether p can be a file's path within a model: relative,
// slash-separated, clean, without any part that a file system could read as
// something else, at most 1024 bytes.
func ValidPath(p string) bool {
	if p == "" || len(p) > 1024 || p[0] == '/' || path.Clean(p) != p || p == "." || p == ".." || strings.HasPrefix(p, "../") {
		return false
	}
	for _, r := range p {
		if r < 0x20 || r == 0x7f || r == '\\' || r == ':' || r == 0xfffd {
			return false
		}
	}
	return true
}

// packed reports whether a layer is an archive or compressed, so that its
// bytes are not those of the file it names.
func packed(l ocispec.Descriptor) bool {
	t := l.MediaType
	return strings.Contains(t, ".tar") || strings.HasSuffix(t, "+gzip") || strings.HasSuffix(t, "+zstd") ||
		l.Annotations["io.deis.oras.content.unpack"] == "true"
}
