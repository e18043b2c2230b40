package check

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"strings"
	"sync"

	"github.com/carat-hub/carat/verify"
)

// remoteCodeCheck looks for what makes programs run code from the model's folder, or from another.
var remoteCodeCheck = check{
	id: idRemoteCode, level: verify.LevelQuick, once: true,
	proves: "Nothing in the configuration makes a program load Python code from this folder or another one, and there is none.",
	run:    findRemoteCode,
}

type remoteCodeEvidence struct {
	Documents []string     `json:"documents,omitempty"` // that were read, the first few
	Settings  []remoteCode `json:"settings,omitempty"`
	Sources   []string     `json:"sources,omitempty"` // Python files, the first few
	More      int          `json:"more,omitempty"`    // settings and sources that are not listed
}

// remoteCode is a setting that names code.
type remoteCode struct {
	File    string         `json:"file"`
	Setting string         `json:"setting"`
	Value   string         `json:"value"`
	Outcome verify.Outcome `json:"outcome"`
	Reason  string         `json:"reason"`
}

// The forms in which Hugging Face's libraries name code of another repository, and a repository of kernels.
var (
	otherCode = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[\w.-]+/[\w.-]+(?:@[\w./-]+)?--\w+\.\w`) })
	otherRepo = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[\w.-]+/[\w.-]+(?:@[\w./-]+)?(?::[\w.-]+)?$`) })
)

func findRemoteCode(ctx context.Context, m *model) (finding, error) {
	var ev remoteCodeEvidence
	var bad, odd []string
	note := func(r remoteCode) {
		sentence := fmt.Sprintf("%s: %s (%s) %s", r.File, r.Setting, r.Value, r.Reason)
		if r.Outcome == verify.OutcomeFailed {
			bad = append(bad, sentence)
		} else {
			odd = append(odd, sentence)
		}
		if len(ev.Settings) < maxNamed {
			ev.Settings = append(ev.Settings, r)
		} else {
			ev.More++
		}
	}
	for _, f := range m.files {
		if ctx.Err() != nil {
			return finding{}, context.Cause(ctx)
		}
		name := storable(f.Path)
		switch {
		case hasExt(f.Path, ".py", ".pyx", ".pyw", ".ipynb"):
			if len(ev.Sources) == maxNamed {
				ev.More++
			}
			ev.Sources = addNamed(ev.Sources, name)
		case hasExt(f.Path, ".json") && !isVocabulary(f.Path):
			if err := readSettings(f, &ev, note); err != nil {
				return finding{}, err
			}
		}
	}
	if len(ev.Sources) > 0 {
		odd = append(odd, "Python code: "+listed(ev.Sources))
	}
	switch {
	case len(bad) > 0:
		return failed(ev, "remote code: %s", listed(append(bad, odd...))), nil
	case len(odd) > 0:
		return warned(ev, "remote code: %s", listed(odd)), nil
	}
	return passed(ev), nil
}

// isVocabulary reports whether a JSON file holds a vocabulary or an index of tensors, and no settings.
func isVocabulary(name string) bool {
	base := strings.ToLower(path.Base(name))
	return base == "tokenizer.json" || base == "vocab.json" || base == "added_tokens.json" || strings.HasSuffix(base, ".index.json")
}

// readSettings notes the settings of one JSON file that name code.
func readSettings(f *verify.File, ev *remoteCodeEvidence, note func(remoteCode)) error {
	d, _, err := readDocument(f)
	if err != nil {
		return err
	}
	modules := path.Base(f.Path) == "modules.json"
	if d == nil {
		if modules {
			return readModules(f, note)
		}
		return nil // a list, or no JSON: no settings of the libraries that are meant here
	}
	ev.Documents = addNamed(ev.Documents, storable(f.Path))
	d.walk(func(name, key string, v any) {
		r := remoteCode{File: storable(f.Path), Setting: storable(name), Value: storable(fmt.Sprint(v)), Outcome: verify.OutcomeWarned}
		text, isText := v.(string)
		switch _, isObject := v.(map[string]any); {
		case key == "auto_map" && (isObject || isText):
			r.Reason = "names classes that are loaded as code where the user allows it"
			if isObject {
				r.Value = "an object"
			}
		case key == "trust_remote_code" && v == true:
			r.Reason = "allows code without asking the user"
		case strings.HasSuffix(key, "_internal") && isText && strings.Contains(text, "/"):
			r.Outcome, r.Reason = verify.OutcomeFailed, "makes some versions of transformers run code of a repository without asking the user"
		case strings.HasSuffix(key, "_internal") && (isText && text != "" || isObject):
			r.Reason = "is a private setting that a configuration has no reason to hold"
		case key == "_attn_implementation" && isText && otherRepo().MatchString(text), key == "attn_implementation" && isText && otherRepo().MatchString(text):
			r.Reason = "loads kernels, which are programs, from another repository"
		case isText && otherCode().MatchString(text):
			r.Reason = "names code of another repository"
		case (key == "custom_pipelines" || key == "custom_pipeline" || key == "custom_generate") && v != nil:
			r.Reason = "names a pipeline of its own, which is code"
		default:
			return
		}
		note(r)
	})
	return nil
}

// readModules notes the modules of a sentence-transformers model that are not that library's.
func readModules(f *verify.File, note func(remoteCode)) error {
	list, err := readList(f)
	for _, module := range list {
		if kind := module.text("type"); kind != "" && !strings.HasPrefix(kind, "sentence_transformers.") {
			note(remoteCode{
				File: storable(f.Path), Setting: "type", Value: storable(kind), Outcome: verify.OutcomeWarned,
				Reason: "names a class that is no part of sentence-transformers",
			})
		}
	}
	return err
}
