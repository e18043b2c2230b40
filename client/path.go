package client

import (
	"fmt"
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/carat-hub/carat/registry"
)

// maxComponentLen is what common file systems take for a file's name, in bytes.
const maxComponentLen = 255

// CheckPortable reports why a file of that name is neither packed nor written: it
// is no path within a model (registry.CheckPath), or a component is not a
// plain file name on Linux, macOS and Windows alike. So whatever was pushed
// on one can be pulled on all and never leaves the folder it is pulled into.
func CheckPortable(p string) error {
	if err := registry.CheckPath(p); err != nil {
		return err
	}
	for c := range strings.SplitSeq(p, "/") {
		if problem := checkComponent(c); problem != "" {
			return fmt.Errorf("file path %q %s", p, problem)
		}
	}
	return nil
}

func checkComponent(c string) string {
	switch {
	case strings.HasSuffix(c, ".") || strings.HasSuffix(c, " ") || strings.HasPrefix(c, " "):
		return "has a component that begins or ends with a space or ends with a dot"
	case strings.EqualFold(c, ".git"):
		return "is inside a .git folder"
	case strings.HasPrefix(c, ".") && strings.HasSuffix(c, partSuffix):
		return "is named like an unfinished download"
	}
	if i := strings.IndexAny(c, `<>"|?*`); i >= 0 {
		return fmt.Sprintf("has the character %q, which not every system allows in a file name", c[i])
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

// add checks a path against CheckPortable and against those added before.
func (s *pathSet) add(p string) error {
	if err := CheckPortable(p); err != nil {
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
