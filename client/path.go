package client

import (
	"fmt"
	"io/fs"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Limits of a file's path in bytes. A component leaves no room for less: 255
// is what common file systems take.
const (
	maxPathLen      = 1024
	maxComponentLen = 255
)

// CheckPath reports why a file of that name is neither packed nor written. A
// path is slash-separated, relative and clean, and every component is a plain
// file name on Linux, macOS and Windows alike, so that whatever was pushed on
// one can be pulled on all and never leaves the folder it is pulled into.
func CheckPath(p string) error {
	switch {
	case p == "":
		return fmt.Errorf("file path is empty")
	case len(p) > maxPathLen:
		return fmt.Errorf("file path has %d bytes; at most %d are allowed", len(p), maxPathLen)
	case !utf8.ValidString(p):
		return fmt.Errorf("file path %q is not UTF-8", p)
	case strings.HasPrefix(p, "/"):
		return fmt.Errorf("file path %q is absolute", p)
	}
	for c := range strings.SplitSeq(p, "/") {
		if problem := checkComponent(c); problem != "" {
			return fmt.Errorf("file path %q %s", p, problem)
		}
	}
	if !fs.ValidPath(p) {
		return fmt.Errorf("file path %q is not clean", p)
	}
	return nil
}

func checkComponent(c string) string {
	switch {
	case c == "":
		return "has an empty component"
	case c == "." || c == "..":
		return "has a component . or .."
	case len(c) > maxComponentLen:
		return fmt.Sprintf("has a component of more than %d bytes", maxComponentLen)
	case strings.HasSuffix(c, ".") || strings.HasSuffix(c, " ") || strings.HasPrefix(c, " "):
		return "has a component that begins or ends with a space or ends with a dot"
	case strings.EqualFold(c, ".git"):
		return "is inside a .git folder"
	case strings.HasPrefix(c, ".") && strings.HasSuffix(c, partSuffix):
		return "is named like an unfinished download"
	}
	for _, r := range c {
		if r == '\\' || strings.ContainsRune(`<>:"|?*`, r) {
			return fmt.Sprintf("has the character %q, which not every system allows in a file name", r)
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return fmt.Sprintf("has the control character %U", r)
		}
	}
	base, _, _ := strings.Cut(c, ".")
	if reservedNames[strings.ToUpper(strings.TrimRight(base, " "))] {
		return fmt.Sprintf("has the component %q, a device name on Windows", c)
	}
	return ""
}

// reservedNames are the device names of Windows, with or without extension.
var reservedNames = map[string]bool{
	"CON": true, "PRN": true, "AUX": true, "NUL": true, "CONIN$": true, "CONOUT$": true,
	"COM0": true, "COM1": true, "COM2": true, "COM3": true, "COM4": true, "COM5": true, "COM6": true, "COM7": true, "COM8": true, "COM9": true,
	"LPT0": true, "LPT1": true, "LPT2": true, "LPT3": true, "LPT4": true, "LPT5": true, "LPT6": true, "LPT7": true, "LPT8": true, "LPT9": true,
	"COM¹": true, "COM²": true, "COM³": true, "LPT¹": true, "LPT²": true, "LPT³": true,
}

// pathSet holds the paths of one folder and refuses those that would be the
// same file, or a folder and a file at once, on a file system that folds case
// or normalizes Unicode.
type pathSet struct {
	files   map[string]string // folded path -> path
	folders map[string]string // folded path of a parent -> a path below it
	fold    cases.Caser
}

func newPathSet() *pathSet {
	return &pathSet{files: make(map[string]string), folders: make(map[string]string), fold: cases.Fold()}
}

// add checks a path against CheckPath and against those added before.
func (s *pathSet) add(p string) error {
	if err := CheckPath(p); err != nil {
		return err
	}
	key := norm.NFC.String(s.fold.String(norm.NFD.String(p)))
	if other, taken := s.files[key]; taken {
		if other == p {
			return fmt.Errorf("file path %q occurs twice", p)
		}
		return fmt.Errorf("file paths %q and %q are the same file on systems that ignore case", other, p)
	}
	if other, taken := s.folders[key]; taken {
		return fmt.Errorf("file path %q is the folder of %q", p, other)
	}
	for i, r := range key {
		if r != '/' {
			continue
		}
		if other, taken := s.files[key[:i]]; taken {
			return fmt.Errorf("file path %q is the folder of %q", other, p)
		}
		s.folders[key[:i]] = p
	}
	s.files[key] = p
	return nil
}
