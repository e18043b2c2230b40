package hub_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/carat-hub/carat/server/hub"
)

// openAPI is the document as it is served, with a compiler of its schemas.
type openAPI struct {
	doc     map[string]any
	mu      sync.Mutex
	schemas *jsonschema.Compiler
}

var document = sync.OnceValue(func() *openAPI {
	e := echo.New()
	hub.New(hub.Options{Gates: new(store), Lineages: new(store)}).Register(e)
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/openapi.json", http.NoBody)) //nolint:noctx // it has one
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(w.Body.Bytes()))
	if err != nil {
		panic(err)
	}
	o := &openAPI{doc: doc.(map[string]any), schemas: jsonschema.NewCompiler()}
	if err := o.schemas.AddResource("openapi.json", doc); err != nil {
		panic(err)
	}
	return o
})

// at follows keys from an object of the document, and references on the way.
func (o *openAPI) at(v any, keys ...string) (found any, pointer string, ok bool) {
	for _, key := range append(keys, "") {
		if m, is := v.(map[string]any); is {
			if ref, is := m["$ref"].(string); is {
				pointer = strings.TrimPrefix(ref, "#")
				if v, _, ok = o.at(o.doc, strings.Split(strings.TrimPrefix(pointer, "/"), "/")...); !ok {
					return nil, "", false
				}
			}
		}
		if key == "" {
			return v, pointer, true
		}
		m, _ := v.(map[string]any)
		if v, ok = m[key]; !ok {
			return nil, "", false
		}
		pointer += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
	}
	return v, pointer, true
}

// operations calls each with every operation of the document.
func (o *openAPI) operations(each func(path, method string, op map[string]any)) {
	for path, item := range o.doc["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			if method != "parameters" {
				each(path, method, op.(map[string]any))
			}
		}
	}
}

// path returns the path of the document that a request is for, one with fewer parameters before others.
func (o *openAPI) path(request string) string {
	got, best, fewest := strings.Split(request, "/"), "", 1000
	for path := range o.doc["paths"].(map[string]any) {
		want := strings.Split(path, "/")
		if n := strings.Count(path, "{"); len(want) == len(got) && n < fewest && slices.EqualFunc(want, got, func(w, g string) bool {
			return w == g || strings.HasPrefix(w, "{")
		}) {
			best, fewest = path, n
		}
	}
	return best
}

// check holds an answer against the document.
func (o *openAPI) check(t *testing.T, method, path string, w *httptest.ResponseRecorder) {
	t.Helper()
	path, _, _ = strings.Cut(path, "?")
	known := o.path(path)
	item, _, ok := o.at(o.doc, "paths", known, strings.ToLower(method))
	if known == "" || !ok {
		return // that there is none is what some tests are about
	}
	status := strconv.Itoa(w.Code)
	op := item.(map[string]any)
	if _, _, ok := o.at(op, "responses", status); !ok {
		if w.Code < 400 && w.Code != http.StatusNotModified {
			t.Errorf("%s %s: openapi.yaml has no answer %s", method, known, status)
		}
		status = "default"
	}
	if w.Body.Len() == 0 || w.Code == http.StatusNotModified {
		return
	}
	media, _, _ := mime.ParseMediaType(w.Header().Get("Content-Type"))
	_, below, ok := o.at(op, "responses", status, "content", media)
	if !ok {
		t.Errorf("%s %s: openapi.yaml has no %s for %s", method, known, media, status)
		return
	}
	if !strings.HasSuffix(media, "json") {
		return
	}
	if !strings.HasPrefix(below, "/components/") {
		_, below, _ = o.at(o.doc, "paths", known, strings.ToLower(method), "responses", status, "content", media)
	}
	o.mu.Lock()
	schema, err := o.schemas.Compile("openapi.json#" + below + "/schema")
	o.mu.Unlock()
	if err != nil {
		t.Fatalf("%s %s: %v", method, known, err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(w.Body.Bytes()))
	if err == nil {
		err = schema.Validate(value)
	}
	if err != nil {
		t.Errorf("%s %s answers what openapi.yaml does not say: %v\n%s", method, known, err, w.Body)
	}
}

// TestOpenAPIRoutes: what is served is described, and nothing else.
func TestOpenAPIRoutes(t *testing.T) {
	t.Parallel()
	o := document()
	e := echo.New()
	hub.New(hub.Options{Gates: new(store), Lineages: new(store)}).Register(e)
	parameter := regexp.MustCompile(`:(\w+)`)
	served := map[string]bool{}
	for _, r := range e.Routes() {
		route := r.Method + " " + parameter.ReplaceAllString(r.Path, "{$1}")
		served[route] = true
		if _, _, ok := o.at(o.doc, "paths", strings.TrimPrefix(route, r.Method+" "), strings.ToLower(r.Method)); !ok {
			t.Errorf("%s is served: describe it in server/hub/openapi.yaml", route)
		}
	}
	o.operations(func(path, method string, _ map[string]any) {
		if route := strings.ToUpper(method) + " " + path; strings.HasPrefix(path, "/api/v1/") && !served[route] {
			t.Errorf("%s is in server/hub/openapi.yaml and not served", route)
		}
	})
}

// TestOpenAPIDocument: references lead somewhere, ids are unique, the parameters of paths are declared, and every schema can be used.
func TestOpenAPIDocument(t *testing.T) {
	t.Parallel()
	o := document()
	if o.doc["openapi"] != "3.1.0" {
		t.Errorf("version %v", o.doc["openapi"])
	}
	ids := map[string]bool{}
	inPath := regexp.MustCompile(`\{(\w+)\}`)
	o.operations(func(path, method string, op map[string]any) {
		id, _ := op["operationId"].(string)
		if id == "" || ids[id] || op["summary"] == nil {
			t.Errorf("%s %s: the operationId %q is empty or taken, or there is no summary", method, path, id)
		}
		ids[id] = true
		declared := map[string]bool{}
		item := o.doc["paths"].(map[string]any)[path].(map[string]any)
		for _, list := range []any{item["parameters"], op["parameters"]} {
			all, _ := list.([]any)
			for _, p := range all {
				v, _, ok := o.at(p)
				m, _ := v.(map[string]any)
				if !ok || m["name"] == nil {
					t.Fatalf("%s %s: parameter %v", method, path, p)
				}
				declared[fmt.Sprint(m["in"], " ", m["name"])] = true
			}
		}
		for _, name := range inPath.FindAllStringSubmatch(path, -1) {
			if !declared["path "+name[1]] {
				t.Errorf("%s %s: {%s} is not declared", method, path, name[1])
			}
		}
	})
	var walk func(v any, at string)
	walk = func(v any, at string) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				if _, _, ok := o.at(v); !ok {
					t.Errorf("%s: %s leads nowhere", at, ref)
				}
			}
			for key, x := range v {
				walk(x, at+"/"+key)
			}
		case []any:
			for i, x := range v {
				walk(x, at+"/"+strconv.Itoa(i))
			}
		}
	}
	walk(o.doc, "")
	for name := range o.doc["components"].(map[string]any)["schemas"].(map[string]any) {
		if _, err := o.schemas.Compile("openapi.json#/components/schemas/" + name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if text, err := json.Marshal(o.doc); err != nil || len(text) < 10_000 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}
