package check

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/carat-hub/carat/verify"
)

// The limits of the JSON files that describe a model: bytes, and about the values in them.
const (
	maxDocument = 8 << 20
	maxValues   = 200_000
)

// document is a JSON object of a model's files. Keys are compared letter for letter.
type document map[string]any

// readDocument reads a file that holds a JSON object. A file that is too large, or holds no object, gives nil and a sentence
// that says so; an error is a failure to read.
func readDocument(f *verify.File) (d document, problem string, err error) {
	if f.Packed || f.Size > maxDocument {
		return nil, fmt.Sprintf("%s has %d bytes, of which at most %d are read", f.Path, f.Size, maxDocument), nil
	}
	p, err := f.Head(maxDocument)
	if err != nil {
		return nil, "", err
	}
	if n := bytes.Count(p, []byte(",")) + bytes.Count(p, []byte("[")) + bytes.Count(p, []byte("{")); n > maxValues {
		return nil, fmt.Sprintf("%s holds about %d values, of which at most %d are read", f.Path, n, maxValues), nil
	}
	if err := json.Unmarshal(p, &d); err != nil || d == nil {
		return nil, fmt.Sprintf("%s is no JSON object", f.Path), nil
	}
	return d, "", nil
}

// documentAt reads the JSON object of that path, nil when there is none that can be used.
func documentAt(files verify.Files, name string) (document, error) {
	f := files.Lookup(name)
	if f == nil {
		return nil, nil
	}
	d, _, err := readDocument(f)
	return d, err
}

// text returns the string at a key, "" for anything else.
func (d document) text(key string) string {
	s, _ := d[key].(string)
	return s
}

// integer returns the whole number at a key.
func (d document) integer(key string) (n int, ok bool) {
	x, isNumber := d[key].(float64)
	if !isNumber || x != math.Trunc(x) || math.Abs(x) > math.MaxInt32 {
		return 0, false
	}
	return int(x), true
}

// object returns the object at a key, nil for anything else.
func (d document) object(key string) document {
	o, _ := d[key].(map[string]any)
	return o
}

// maxNesting bounds how deep walk goes.
const maxNesting = 16

// walk calls each for every value in d that is no object, with the keys that lead to it and dots between them, in the order
// of the keys. An array's members have the array's name.
func (d document) walk(each func(name, key string, v any)) {
	walkValue("", "", map[string]any(d), 0, each)
}

func walkValue(prefix, key string, v any, depth int, each func(name, key string, v any)) {
	if depth > maxNesting {
		return
	}
	switch v := v.(type) {
	case map[string]any:
		if prefix != "" {
			each(prefix, key, v)
		}
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			name := k
			if prefix != "" {
				name = prefix + "." + k
			}
			walkValue(name, k, v[k], depth+1, each)
		}
	case []any:
		for _, x := range v {
			walkValue(prefix, key, x, depth+1, each)
		}
	default:
		each(prefix, key, v)
	}
}

// hasExt reports whether a path ends in one of the extensions, whatever their case.
func hasExt(name string, exts ...string) bool {
	return slices.Contains(exts, strings.ToLower(path.Ext(name)))
}

// readList reads a file that holds a JSON array, and returns the objects in it; nil for anything else.
func readList(f *verify.File) ([]document, error) {
	if f.Size > maxDocument/8 {
		return nil, nil
	}
	p, err := f.Head(maxDocument)
	if err != nil {
		return nil, err
	}
	var list []document
	if json.Unmarshal(p, &list) != nil {
		return nil, nil
	}
	return list, nil
}
