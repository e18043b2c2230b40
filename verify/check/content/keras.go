package content

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// hdf5 returns where the signature of an HDF5 file lies, -1 when there is none. It may be at 0, 512, 1024, and so on.
func hdf5(s *source) int64 {
	for at := int64(0); at+8 <= s.size && at <= 1<<20; at = max(512, 2*at) {
		p, err := s.bytesAt(at, 8)
		if err != nil {
			return -1
		}
		if string(p) == "\x89HDF\r\n\x1a\n" {
			return at
		}
	}
	return -1
}

// The keys by which Keras names a class, and where it takes it from. Values may be written with escapes.
var (
	className  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`"class_name"\s*:\s*("(?:[^"\\]|\\.){0,200}")`) })
	moduleName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`"module"\s*:\s*("(?:[^"\\]|\\.){0,200}")`) })
)

// hdf5 searches a whole file for Keras's description of a model, which is JSON in an attribute.
func (l *Looker) hdf5(s *source) error {
	const step, overlap = 1 << 20, 1 << 10
	l.report(s.where, "HDF5 file", Noted, "it holds arrays, and may hold the description of a Keras model")
	for at := int64(0); at < s.size; at += step {
		if l.ctx.Err() != nil {
			return l.ctx.Err()
		}
		p, err := s.bytesAt(at, step+overlap)
		if err != nil {
			return err
		}
		if l.layers(s, p) {
			return nil
		}
	}
	return nil
}

// keras searches the JSON of a Keras model.
func (l *Looker) keras(s *source) error {
	p, err := s.bytesAt(0, maxText)
	if err != nil {
		return err
	}
	l.layers(s, p)
	return nil
}

// layers reports the layers of a Keras model that are code, and whether there are any.
func (l *Looker) layers(s *source, p []byte) bool {
	found := false
	if !bytes.Contains(p, []byte("class_name")) {
		return false
	}
	for _, m := range className().FindAllSubmatch(p, 1<<16) {
		switch name := unquoted(m[1]); name {
		case "Lambda", "__lambda__", "PyFunc":
			l.report(s.where, "Keras model", Bad, "its layer %s holds code that loading may run", name)
			found = true
		}
		if found {
			return true
		}
	}
	for _, m := range moduleName().FindAllSubmatch(p, 1<<16) {
		name := unquoted(m[1])
		first, _, _ := strings.Cut(name, ".")
		switch first {
		case "", "keras", "tensorflow", "tf_keras", "keras_hub", "keras_nlp", "keras_cv", "builtins":
			continue
		}
		l.report(s.where, "Keras model", Bad, "it loads a class from the module %.80q", name)
		return true
	}
	return false
}

func unquoted(p []byte) string {
	var text string
	if json.Unmarshal(p, &text) != nil {
		text, _ = strconv.Unquote(string(p))
	}
	return text
}
