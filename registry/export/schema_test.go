package export_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/carat-hub/carat/internal/toolbin"
)

// cycloneDXSchema compiles the official schema, which lies in the module of the
// library that writes the format.
var cycloneDXSchema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		return nil, fmt.Errorf("find the module with the schema: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.UseLoader(schemaFolder(filepath.Join(strings.TrimSpace(string(out)), "schema")))
	return c.Compile("http://cyclonedx.org/schema/bom-1.7.schema.json")
})

// schemaFolder loads schemas by the last part of their addresses.
type schemaFolder string

func (f schemaFolder) Load(url string) (any, error) {
	name := path.Base(url)
	if name == "cryptography-defs.schema.json" {
		// The module leaves it out. It names algorithms, of which our documents
		// have none; a test looks that there are none.
		return map[string]any{"definitions": map[string]any{"algorithmFamiliesEnum": false, "ellipticCurvesEnum": false}}, nil
	}
	p, err := os.ReadFile(filepath.Join(string(f), name))
	if errors.Is(err, fs.ErrNotExist) { // the module has one of them under another name
		p, err = os.ReadFile(filepath.Join(string(f), strings.Replace(name, ".schema.", ".schemax.", 1)))
	}
	if err != nil {
		return nil, err
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(p))
}

// spdxSchema compiles the official schema of SPDX 3.0.1, which no Go module has:
// the file spdx/spdx-json-schema-3.0.1.json of the reference data, from
// https://spdx.org/schema/3.0.1/spdx-json-schema.json. It is nil when that is not there.
var spdxSchema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	root, set := os.LookupEnv("CARAT_SHARED_DATA")
	if !set || root == "" {
		module, err := toolbin.Root()
		if err != nil {
			return nil, err
		}
		root, set = filepath.Join(module, "..", "shared", "data"), false
	}
	file := filepath.Join(root, "spdx", "spdx-json-schema-3.0.1.json")
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) && !set {
		return nil, nil
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.UseRegexpEngine(pattern)
	return c.Compile(file)
})

// lookahead is the one thing of ECMA's patterns that the schema uses and Go's
// lack: "^(?!a)b", which is b where a does not begin the text.
var lookahead = regexp.MustCompile(`^\^\(\?!([^()]*)\)(.*)$`)

// expression is a pattern with what it must not begin with.
type expression struct {
	source   string
	is, isnt *regexp.Regexp
}

func (e *expression) MatchString(s string) bool {
	return e.is.MatchString(s) && (e.isnt == nil || !e.isnt.MatchString(s))
}

func (e *expression) String() string { return e.source }

func pattern(s string) (jsonschema.Regexp, error) {
	e := &expression{source: s}
	var err error
	if m := lookahead.FindStringSubmatch(s); m != nil {
		if e.isnt, err = regexp.Compile("^(?:" + m[1] + ")"); err != nil {
			return nil, err
		}
		s = "^" + m[2]
	}
	e.is, err = regexp.Compile(s)
	return e, err
}

// validCycloneDX reports what the schema has against a document.
func validCycloneDX(t testing.TB, p []byte) error {
	t.Helper()
	s, err := cycloneDXSchema()
	if err != nil {
		t.Fatal(err)
	}
	return validate(s, p)
}

// validSPDX reports what the schema has against a document, where it is there.
func validSPDX(t testing.TB, p []byte) error {
	t.Helper()
	s, err := spdxSchema()
	if err != nil {
		t.Fatal(err)
	}
	if s == nil {
		return nil
	}
	return validate(s, p)
}

func validate(s *jsonschema.Schema, p []byte) error {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(p))
	if err != nil {
		return err
	}
	return s.Validate(doc)
}

// readSPDX reads and validates a document with the SPDX project's own
// library, and counts its elements by type.
func readSPDX(t testing.TB, p []byte) map[string]int {
	t.Helper()
	cmd := exec.Command(toolbin.Path(t, "spdxread"))
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(p), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.Bytes())
	}
	count := map[string]int{}
	if err := json.Unmarshal(out, &count); err != nil {
		t.Fatal(err)
	}
	return count
}
