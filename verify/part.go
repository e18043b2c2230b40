package verify

import (
	"path"
	"regexp"
	"strings"

	"github.com/carat-hub/carat/inference/safetensors"
)

// maxParts is how many models of one version are verified.
const maxParts = 16

// part is one model among a version's files. Most versions have one; some
// hold the same model in several quantizations, each a GGUF file.
type part struct {
	name  string // of the file that holds the weights; "" when it is the only model
	files Files
}

// laterSplit is what the files of a split GGUF model after the first are called.
var laterSplit = regexp.MustCompile(`-\d{5}-of-\d{5}\.gguf$`)

// partsOf finds the models among files: what is in safetensors, then each
// GGUF file in the order of their paths. There is always at least one.
func partsOf(files Files) []part {
	var ggufs, rest Files
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
		case laterSplit.MatchString(name) && !strings.Contains(base, "-00001-of-"):
		default:
			ggufs = append(ggufs, f)
		}
	}
	switch {
	case len(ggufs) == 0:
		return []part{{files: files}}
	case len(ggufs) == 1 && weights == "":
		return []part{{files: ggufs}}
	}
	var parts []part
	if weights != "" {
		parts = append(parts, part{name: weights, files: rest})
	}
	for _, f := range ggufs {
		parts = append(parts, part{name: f.Path, files: Files{f}})
	}
	return parts
}

// nameInPart is what a file is called among those of its part: a GGUF file
// stands for itself, wherever it lies.
func (fs Files) nameInPart(f *File) string {
	if len(fs) == 1 {
		return path.Base(f.Path)
	}
	return f.Path
}
