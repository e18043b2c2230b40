package registry

import (
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of a file's path in bytes; 255 is what common file systems take for
// one component.
const (
	maxPathLen      = 1024
	maxComponentLen = 255
)

// Layer is what a manifest says of one of its layers.
type Layer struct {
	MediaType   string
	Digest      Digest
	Size        int64 // bytes
	Annotations map[string]string
}

// typeNames are the file names of layers that say by their media type alone
// what they hold.
var typeNames = map[string]string{
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

// LayerFiles returns the files that layers hold, under distinct paths that
// CheckPath takes. The path is the one of ModelPack, of its name before v0.0.7,
// or the title, whichever comes first; without any the media type may have
// one. A layer without a usable path is called layer-DIGEST12, and the same
// content once more without a path is left out.
//
// The error is the first reason why a layer is not a file under the path that
// was meant for it: a path that is refused or taken, or none at all. The files
// are complete all the same.
func LayerFiles(layers []Layer) ([]File, error) {
	files := make([]File, 0, len(layers))
	taken := make(map[string]Digest, len(layers))
	var first error
	for i, l := range layers {
		p, problem := layerPath(l)
		if _, ok := taken[p]; ok && problem == nil {
			if p != typeNames[l.MediaType] {
				problem = fmt.Errorf("file path %q occurs twice", p)
			}
			p = ""
		}
		if problem != nil {
			p = ""
			if first == nil {
				first = fmt.Errorf("layer %d (%.100q): %w", i, l.MediaType, problem)
			}
		}
		if p == "" {
			p = "layer-" + l.Digest.Hex()[:12]
			if other, ok := taken[p]; ok && other != l.Digest {
				p = "layer-" + l.Digest.Hex() // somebody gave another layer this very name
			}
		}
		if _, ok := taken[p]; ok {
			continue
		}
		taken[p] = l.Digest
		files = append(files, File{Path: p, Digest: l.Digest, Size: l.Size, MediaType: l.MediaType, Packed: Packing(l) != ""})
	}
	return files, first
}

// layerPath returns the path of the file that a layer holds, or why it has none.
func layerPath(l Layer) (string, error) {
	for _, key := range []string{AnnotationModelPackPath, AnnotationCNAIPath, AnnotationTitle} {
		if p := l.Annotations[key]; p != "" {
			return p, CheckPath(p)
		}
	}
	if p := typeNames[l.MediaType]; p != "" {
		return p, nil
	}
	return "", fmt.Errorf("it has no file name")
}

// ociDefaultLayer is what oras calls a plain file for which no type was given.
const ociDefaultLayer = "application/vnd.oci.image.layer.v1.tar"

// Packing says in words how a layer's bytes differ from those of its file,
// "" when they are the same.
func Packing(l Layer) string {
	mediaType := l.MediaType
	var compression string
	for _, suffix := range []string{"gzip", "zstd"} {
		if strings.HasSuffix(mediaType, "+"+suffix) || strings.HasSuffix(mediaType, "."+suffix) {
			mediaType, compression = mediaType[:len(mediaType)-len(suffix)-1], suffix
		}
	}
	unpack := l.Annotations["io.deis.oras.content.unpack"] == "true"
	plain := mediaType == ociDefaultLayer && compression == "" && l.Annotations[AnnotationTitle] != ""
	archive := unpack || strings.HasSuffix(mediaType, ".tar") && !plain
	switch {
	case archive && compression != "":
		return "a tar archive compressed by " + compression
	case archive:
		return "a tar archive"
	case compression != "":
		return "compressed by " + compression
	}
	return ""
}

// CheckPath reports why p cannot be a file's path within a model. A path is
// UTF-8, relative, slash-separated and clean, at most 1024 bytes long with
// components of at most 255, and has no character that a system could take for
// a separator, a drive or a control.
func CheckPath(p string) error {
	switch {
	case p == "":
		return fmt.Errorf("file path is empty")
	case len(p) > maxPathLen:
		return fmt.Errorf("file path has %d bytes; at most %d are allowed", len(p), maxPathLen)
	case !utf8.ValidString(p) || strings.ContainsRune(p, utf8.RuneError):
		return fmt.Errorf("file path %q is not UTF-8", p)
	case path.IsAbs(p):
		return fmt.Errorf("file path %q is absolute", p)
	}
	for c := range strings.SplitSeq(p, "/") {
		switch {
		case c == "":
			return fmt.Errorf("file path %q has an empty component", p)
		case c == "." || c == "..":
			return fmt.Errorf("file path %q has . or .. as a component", p)
		case len(c) > maxComponentLen:
			return fmt.Errorf("file path %q has a component of more than %d bytes", p, maxComponentLen)
		}
	}
	for _, r := range p {
		switch {
		case r == '\\' || r == ':':
			return fmt.Errorf("file path %q has the character %q, which some systems do not take for a part of a name", p, r)
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
			return fmt.Errorf("file path %q has the control character %U", p, r)
		}
	}
	return nil
}
