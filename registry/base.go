package registry

import "strings"

// baseHosts are what stands before names of models that are given as
// addresses. A hub may have the model under the same name.
var baseHosts = []string{"https://huggingface.co/", "http://huggingface.co/", "https://hf.co/", "hf.co/", "huggingface.co/"}

// BaseName returns the name that a declared base has in a hub if it is there,
// which has only lower-case letters. ok is false for what is no name, such as
// the path of a folder.
func BaseName(declared string) (n Name, ok bool) {
	s := strings.TrimSpace(declared)
	for _, h := range baseHosts {
		s = strings.TrimPrefix(s, h)
	}
	s = strings.TrimSuffix(s, "/")
	s, _, _ = strings.Cut(s, "/tree/")
	n, err := ParseName(strings.ToLower(s))
	if err != nil {
		return "", false
	}
	if _, _, ok = n.Split(); !ok {
		return "", false
	}
	return n, true
}

// SameBase reports whether two declared names mean the same model.
func SameBase(a, b string) bool { return BaseKey(a) == BaseKey(b) }

// BaseKey is the same for declared names that mean the same model.
func BaseKey(declared string) string {
	if n, ok := BaseName(declared); ok {
		return string(n)
	}
	return strings.ToLower(strings.TrimSpace(declared))
}
