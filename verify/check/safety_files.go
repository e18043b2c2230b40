package check

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/carat-hub/carat/verify"
)

// filesCheck looks at the names and sizes of files.
var filesCheck = check{
	id: idFiles, level: verify.LevelQuick, once: true,
	proves: "The names of files say what they are, on every operating system, and nothing is there that a model has no use for.",
	run:    nameFiles,
}

type filesEvidence struct {
	Files      int      `json:"files"`
	Deceiving  []string `json:"deceiving,omitempty"`  // names that are not what they look like, the first few
	Unportable []string `json:"unportable,omitempty"` // names that some systems cannot keep, or keep as one
	Hidden     []string `json:"hidden,omitempty"`
	Unexpected []string `json:"unexpected,omitempty"` // of kinds that models do not have
	Large      []string `json:"large,omitempty"`      // for their kind
}

// expected are the extensions of files that models have.
var expected = []string{
	"", ".safetensors", ".gguf", ".onnx", ".onnx_data", ".data", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".tflite", ".keras", ".npz",
	".npy", ".pb", ".mlmodel", ".xml", ".json", ".jsonl", ".model", ".txt", ".md", ".rst", ".yaml", ".yml", ".toml", ".cfg", ".ini", ".jinja",
	".jinja2", ".tiktoken", ".vocab", ".spm", ".merges", ".bpe", ".csv", ".tsv", ".py", ".ipynb", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg",
	".pdf", ".wav", ".mp3", ".flac", ".mp4", ".html", ".log", ".license", ".cff", ".parquet", ".arrow", ".sig", ".sha256", ".asc", ".imatrix", ".dat",
	".index", ".joblib", ".pkl", ".pickle", ".mlpackage", ".weights",
}

// programs are the extensions of what a system runs when it is opened.
var programs = []string{
	".exe", ".scr", ".com", ".bat", ".cmd", ".ps1", ".vbs", ".vbe", ".jse", ".wsf", ".hta", ".msi", ".lnk", ".pif", ".reg", ".jar", ".app",
	".dmg", ".pkg", ".deb", ".rpm", ".apk", ".dll", ".so", ".dylib", ".desktop", ".command", ".url", ".scf", ".cpl",
}

// visible are the hidden files that hubs and git put there.
var visible = []string{".gitattributes", ".gitignore", ".gitkeep", ".gitmodules", ".dockerignore", ".editorconfig", ".caratignore"}

// usualSize is how large files of a kind usually are at most, in bytes.
var usualSize = map[string]int64{
	".json": 64 << 20, ".md": 4 << 20, ".txt": 64 << 20, ".py": 1 << 20, ".jinja": 1 << 20, ".yaml": 1 << 20, ".yml": 1 << 20, ".toml": 1 << 20,
	".html": 16 << 20, ".svg": 4 << 20, ".cfg": 1 << 20, ".ini": 1 << 20, ".license": 1 << 20, ".model": 64 << 20, ".png": 64 << 20, ".jpg": 64 << 20,
}

// device are the names that Windows keeps for devices, with any extension.
var device = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(?:\..*)?$`)
})

func nameFiles(_ context.Context, m *model) (finding, error) {
	ev := filesEvidence{Files: len(m.files)}
	folded := map[string]string{}
	for _, f := range m.files {
		if why := deceives(f.Path); why != "" {
			ev.Deceiving = addNamed(ev.Deceiving, escaped(f.Path)+": "+why)
		}
		if why := unportable(f.Path); why != "" {
			ev.Unportable = addNamed(ev.Unportable, escaped(f.Path)+": "+why)
		}
		fold := strings.ToLower(f.Path)
		if other, twice := folded[fold]; twice {
			ev.Unportable = addNamed(ev.Unportable, escaped(f.Path)+": differs from "+escaped(other)+" in case only")
		}
		folded[fold] = f.Path
		ev.odd(f)
	}
	var odd []string
	for _, l := range []struct {
		what  string
		names []string
	}{
		{"not portable", ev.Unportable}, {"hidden", ev.Hidden}, {"unexpected", ev.Unexpected}, {"large for its kind", ev.Large},
	} {
		for _, n := range l.names {
			odd = append(odd, l.what+": "+n)
		}
	}
	switch {
	case len(ev.Deceiving) > 0:
		return failed(ev, "names that deceive: %s", listed(ev.Deceiving)), nil
	case len(odd) > 0:
		return warned(ev, "%s", listed(odd)), nil
	}
	return passed(ev), nil
}

// odd notes a file that is hidden, of an unexpected kind, or large for its kind.
func (ev *filesEvidence) odd(f *verify.File) {
	ext, base := strings.ToLower(path.Ext(f.Path)), path.Base(f.Path)
	hidden := slices.ContainsFunc(strings.Split(f.Path, "/"), func(s string) bool { return strings.HasPrefix(s, ".") && !slices.Contains(visible, s) })
	switch {
	case slices.Contains(visible, base):
	case hidden:
		ev.Hidden = addNamed(ev.Hidden, escaped(f.Path))
	case !slices.Contains(expected, ext) && !numbered().MatchString(ext):
		ev.Unexpected = addNamed(ev.Unexpected, escaped(f.Path))
	}
	if most := usualSize[ext]; most > 0 && f.Size > most {
		ev.Large = addNamed(ev.Large, fmt.Sprintf("%s has %d bytes", escaped(f.Path), f.Size))
	}
}

// numbered are endings such as that of model.Q4_K_M or phi-2.7b, which are no extensions.
var numbered = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^\.(?:\d[\w-]*|q\d\w*|part\d*|v\d\w*)$`) })

// deceives says why a name is not what it looks like, "" when it is.
func deceives(name string) string {
	for _, r := range name {
		switch what := invisible(r); {
		case what != "":
			return fmt.Sprintf("it holds %U, %s", r, what)
		case unicode.IsControl(r):
			return fmt.Sprintf("it holds the control character %U", r)
		}
	}
	base := path.Base(name)
	for _, part := range strings.Split(name, "/") {
		if mixed(part) {
			return "it mixes letters that look alike from several scripts"
		}
	}
	last := strings.ToLower(path.Ext(base))
	before := strings.ToLower(path.Ext(strings.TrimSpace(strings.TrimSuffix(base, path.Ext(base)))))
	if slices.Contains(programs, last) && before != "" && slices.Contains(expected, before) {
		return "it ends like " + before + " and then like a program"
	}
	return ""
}

// unportable says why some systems cannot keep a name, "" when all can.
func unportable(name string) string {
	for _, part := range strings.Split(name, "/") {
		switch {
		case part == "" || part == "." || part == "..":
			return "it is no plain path"
		case device().MatchString(part):
			return "Windows keeps the name for a device"
		case strings.HasSuffix(part, ".") || strings.HasSuffix(part, " ") || strings.HasPrefix(part, " "):
			return "it begins or ends with a space or dot"
		case strings.ContainsAny(part, `<>:"|?*\`):
			return "it holds a character that Windows does not allow"
		case len(part) > 255:
			return "it is longer than 255 bytes"
		}
	}
	return ""
}

// mixed reports whether a word has Latin letters beside Cyrillic or Greek ones.
func mixed(s string) bool {
	for _, w := range strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsLetter(r) }) {
		latin := strings.ContainsFunc(w, func(r rune) bool { return unicode.Is(unicode.Latin, r) })
		other := strings.ContainsFunc(w, func(r rune) bool {
			return unicode.In(r, unicode.Cyrillic, unicode.Greek, unicode.Armenian, unicode.Cherokee)
		})
		if latin && other {
			return true
		}
	}
	return false
}

// invisible names a character that is not seen, or changes how others are seen; "" for any other.
func invisible(r rune) string {
	switch {
	case r >= 0x202A && r <= 0x202E, r >= 0x2066 && r <= 0x2069, r == 0x200E, r == 0x200F, r == 0x061C:
		return "which turns the direction of writing"
	case r == 0x200B, r == 0x200C, r == 0x200D, r == 0x2060, r == 0xFEFF, r == 0x00AD, r == 0x180E, r >= 0x2061 && r <= 0x2064:
		return "which has no width"
	case r >= 0xE0000 && r <= 0xE007F:
		return "a tag, which is not shown"
	case r >= 0xE0100 && r <= 0xE01EF, r == 0x034F, r == 0x115F, r == 0x1160, r == 0x3164, r == 0xFFA0:
		return "which is not shown"
	}
	return ""
}

// escaped shows a name with what is not plainly visible in it written as numbers.
func escaped(name string) string {
	var b strings.Builder
	for _, r := range name {
		if invisible(r) != "" || !unicode.IsPrint(r) {
			fmt.Fprintf(&b, "<%U>", r)
		} else {
			b.WriteRune(r)
		}
	}
	return storable(b.String())
}
