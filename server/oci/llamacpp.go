package oci

import (
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

// agentLlamaCpp is how the User-Agent of llama.cpp begins, and of programs
// that want the same answer. For a quantization of a model they ask for a
// manifest, and want to know which file of the model that is.
const agentLlamaCpp = "llama-cpp"

// wantsFile reports whether a request for a manifest is one of llama.cpp, and
// not of a client of registries that is part of it.
func wantsFile(r *http.Request) bool {
	return strings.HasPrefix(r.UserAgent(), agentLlamaCpp) && !strings.Contains(r.Header.Get("Accept"), "manifest")
}

// ggufFile is a file as llama.cpp wants to know it.
type ggufFile struct {
	Name string  `json:"rfilename"`
	Blob string  `json:"blobId"`
	Size int64   `json:"size"` // bytes
	LFS  ggufLFS `json:"lfs"`
}

type ggufLFS struct {
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// ggufFiles are the files of a model for a tag.
type ggufFiles struct {
	Model     *ggufFile `json:"ggufFile"`
	Projector *ggufFile `json:"mmprojFile,omitempty"` // of a model that also takes images
}

// getFile answers which file of a model a tag means: a quantization, a file
// name, or a tag of the version that stands for the model, from which
// llama.cpp will fetch it by its name.
func (h *Handler) getFile(c echo.Context, r route) error {
	g, err := h.access.Authorize(c, r.name, auth.Pull)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	list, err := h.reg.Listing(ctx, g, registry.Selector{})
	if err != nil {
		return err
	}
	if _, err := h.reg.Manifest(ctx, g, registry.Reference{Digest: list.Digest}); err != nil {
		return err // terms and gates
	}
	tag := r.reference.Tag
	isVersion := tag == "latest" || tag == "main"
	if !isVersion {
		tagged, err := h.reg.Listing(ctx, g, registry.Selector{Tag: tag})
		if err != nil && !registry.IsCode(err, registry.CodeManifestUnknown) {
			return err
		}
		isVersion = err == nil && tagged.Digest == list.Digest
	}
	found := pickGGUF(list.Files, string(tag), isVersion)
	if found.Model == nil {
		return registry.Errorf(registry.CodeManifestUnknown, "%s has no GGUF file for %s in the version that stands for it", r.name, tag)
	}
	c.Response().Header().Set("Cache-Control", "no-cache")
	c.Response().Header().Set("Vary", "Authorization, User-Agent, Accept")
	return c.JSON(http.StatusOK, found)
}

// preferredQuantization is what llama.cpp takes of a model when nobody says
// which, and Hugging Face offers.
const preferredQuantization = "q4_k_m"

// part is the end of a name of a file that is one of several parts.
var part = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`-([0-9]{5})-of-[0-9]{5}$`) })

// quantization is what names of quantizations look like, in lower case.
var quantization = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(ud-)?[a-z]{1,5}[0-9]+(_[a-z0-9]+)*$`) })

// pickGGUF finds the file that a tag means among a version's, and the
// projector beside it. Of a model in parts it is the first one. When the tag
// may be that of the version, any quantization will do.
func pickGGUF(files []registry.File, tag string, isVersion bool) ggufFiles {
	var models, projectors []registry.File
	for _, f := range files {
		name, ok := strings.CutSuffix(strings.ToLower(f.Path), ".gguf")
		m := part().FindStringSubmatch(name)
		switch {
		case !ok || f.Packed || m != nil && m[1] != "00001":
		case strings.Contains(path.Base(name), "mmproj"):
			projectors = append(projectors, f)
		default:
			models = append(models, f)
		}
	}
	byPath := func(a, b registry.File) int { return strings.Compare(a.Path, b.Path) }
	slices.SortFunc(models, byPath)
	slices.SortFunc(projectors, byPath)
	tag = strings.ToLower(tag)
	i := slices.IndexFunc(models, func(f registry.File) bool { return isNamed(f.Path, tag) })
	for _, q := range []string{tag, preferredQuantization} {
		if i < 0 && (q == tag || isVersion) {
			i = slices.IndexFunc(models, func(f registry.File) bool { return hasQuantization(f.Path, q) })
		}
	}
	if i < 0 && isVersion && len(models) > 0 {
		i = 0
	}
	if i < 0 {
		return ggufFiles{}
	}
	found := ggufFiles{Model: describeGGUF(models[i])}
	if len(projectors) > 0 {
		found.Projector = describeGGUF(projectors[0])
	}
	return found
}

// isNamed reports whether tag, in lower case, is a file's name.
func isNamed(file, tag string) bool {
	base := strings.ToLower(path.Base(file))
	return base == tag || base == tag+".gguf"
}

// hasQuantization reports whether a file's name ends with a quantization, in
// lower case, or the file lies in a folder of that name.
func hasQuantization(file, q string) bool {
	if !quantization().MatchString(q) {
		return false
	}
	name := strings.TrimSuffix(strings.ToLower(file), ".gguf")
	name = part().ReplaceAllString(name, "")
	before, ok := strings.CutSuffix(path.Base(name), q)
	if ok && (before == "" || strings.ContainsAny(before[len(before)-1:], "-._")) {
		return true
	}
	return path.Base(path.Dir(name)) == q
}

func describeGGUF(f registry.File) *ggufFile {
	return &ggufFile{Name: f.Path, Blob: f.Digest.Hex()[:40], Size: f.Size, LFS: ggufLFS{SHA256: f.Digest.Hex(), Size: f.Size}}
}
