package check

import (
	"path"
	"strings"

	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/inference/safetensors"
	"github.com/carat-hub/carat/verify"
)

// maxParts is how many models of one version are verified.
const maxParts = 16

// part is one model among a version's files. Most versions have one; some
// hold the same model in several quantizations, each a GGUF file.
type part struct {
	name  string // of the file that holds the weights; "" when it is the only model
	files verify.Files
}

// partsOf finds the models among files: what is in safetensors, then each
// GGUF file, or split model, in the order of their paths. There is always at
// least one.
func partsOf(files verify.Files) []part {
	var rest verify.Files
	var ggufs []verify.Files
	first := map[string]int{} // of ggufs, by the path of a split model's first file
	weights := ""
	for _, f := range files {
		name := strings.ToLower(f.Path)
		switch base := path.Base(name); {
		case f.Packed || path.Ext(name) != ".gguf":
			rest = append(rest, f)
			if f.Path == safetensors.IndexName || weights == "" && path.Ext(name) == ".safetensors" && !f.Packed && base == name {
				weights = f.Path
			}
		case strings.HasPrefix(base, "mmproj"): // goes with another model
		default:
			p, split := gguf.ParsePart(f.Path)
			if i, ok := first[p.Name(0)]; split && ok {
				ggufs[i] = append(ggufs[i], f)
				continue
			}
			if split {
				first[p.Name(0)] = len(ggufs)
			}
			ggufs = append(ggufs, verify.Files{f})
		}
	}
	switch {
	case len(ggufs) == 0:
		return []part{{files: files}}
	case len(ggufs) == 1 && weights == "":
		return []part{{files: ggufs[0]}}
	}
	var parts []part
	if weights != "" {
		parts = append(parts, part{name: weights, files: rest})
	}
	for _, model := range ggufs {
		parts = append(parts, part{name: model[0].Path, files: model})
	}
	return parts
}

// nameInPart is what a file is called among those of its part: a GGUF file,
// or the files of a split model, stand for themselves, wherever they lie.
func nameInPart(fs verify.Files, f *verify.File) string {
	_, split := gguf.ParsePart(fs[0].Path)
	if len(fs) == 1 || split {
		return path.Base(f.Path)
	}
	return f.Path
}
