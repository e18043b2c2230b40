package registry

import (
	"path"
	"strings"
)

// Recognise says which packing a manifest follows and which files it holds.
// Only the manifest itself is looked at. Sources of the media types:
// modelpack/model-spec, kitops-ml/kitops, docker/model-runner, ollama/ollama.
func Recognise(m Manifest, doc *Document) (Kind, []File) {
	kind := kindOf(m, doc)
	if !kind.IsModel() {
		return kind, nil
	}
	files, _ := LayerFiles(layers(doc)) // a layer whose name is no good keeps its bytes under another
	return kind, files
}

func layers(doc *Document) []Layer {
	list := make([]Layer, len(doc.Layers))
	for i, l := range doc.Layers {
		list[i] = Layer{MediaType: l.MediaType, Digest: MustParseDigest(l.Digest.String()), Size: l.Size, Annotations: l.Annotations}
	}
	return list
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
	for _, l := range layers(doc) {
		if p, err := layerPath(l); err == nil && isWeights(p) {
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
