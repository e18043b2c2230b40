package registrytest

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files of error answers")

// testErrors pins status and body of every error that a client can cause.
func testErrors(t *testing.T, target Target) {
	t.Parallel()
	c := target.at("suite/errors")
	layer := []byte("the layer of the error suite")
	body, digest := c.pushImage(t, "v1", layer, nil)
	absent := "sha256:" + strings.Repeat("0", 64)
	asManifest := map[string]string{"Content-Type": typeManifest}
	put := func(body []byte) request {
		return request{method: "PUT", path: "manifests/bad", body: body, header: asManifest}
	}
	duplicate := bytes.Replace(body, []byte(`{`), []byte(`{"schemaVersion":2,`), 1)
	folded := bytes.Replace(body, []byte(`"layers"`), []byte(`"Layers"`), 1)
	deep := fmt.Appendf(nil, `{"schemaVersion":2,"x":%s%s}`, strings.Repeat("[", 100), strings.Repeat("]", 100))
	many := make([]any, 4097)
	for i := range many {
		many[i] = descriptor(typeLayer, layer)
	}
	const unknownUpload = "blobs/uploads/00000000-0000-4000-8000-000000000000"

	cases := []struct {
		name string
		request
	}{
		{"blob-unknown", request{method: "GET", path: "blobs/" + absent}},
		{"blob-digest-algorithm", request{method: "GET", path: "blobs/md5:d41d8cd98f00b204e9800998ecf8427e"}},
		{"blob-digest-length", request{method: "GET", path: "blobs/sha256:abc"}},
		{"blob-digest-case", request{method: "GET", path: "blobs/sha256:" + strings.Repeat("A", 64)}},
		{"blob-digest-path", request{method: "GET", path: "blobs/sha256:" + strings.Repeat(".", 64)}},
		{"blob-range", request{method: "GET", path: "blobs/" + digestOf(layer), header: map[string]string{"Range": "bytes=900-"}}},
		{"upload-unknown", request{method: "GET", path: unknownUpload}},
		{"upload-unknown-patch", request{method: "PATCH", path: unknownUpload, body: layer}},
		{"upload-id-malformed", request{method: "PATCH", path: "blobs/uploads/not-an-id", body: layer}},
		{"upload-without-digest", request{method: "PUT", path: unknownUpload, body: layer}},
		{"upload-digest-wrong", request{method: "POST", path: "blobs/uploads/?digest=" + absent, body: layer}},
		{"upload-algorithm", request{method: "POST", path: "blobs/uploads/?digest-algorithm=md5"}},
		{"upload-content-range", request{method: "PATCH", path: unknownUpload, body: layer, header: map[string]string{"Content-Range": "zero-nine"}}},
		{"upload-content-range-length", request{method: "PATCH", path: unknownUpload, body: layer, header: map[string]string{"Content-Range": "0-3"}}},
		{"mount-name", request{method: "POST", path: "blobs/uploads/?mount=" + absent + "&from=UPPER"}},
		{"manifest-unknown", request{method: "GET", path: "manifests/nothing"}},
		{"manifest-unknown-digest", request{method: "GET", path: "manifests/" + absent}},
		{"manifest-empty", put([]byte{})},
		{"manifest-not-json", put([]byte("{"))},
		{"manifest-not-object", put([]byte("[]"))},
		{"manifest-trailing", put(append(bytes.Clone(body), '1'))},
		{"manifest-duplicate-key", put(duplicate)},
		{"manifest-key-case", put(folded)},
		{"manifest-deep", put(deep)},
		{"manifest-field-type", put(image(layer, object{"layers": "none"}))},
		{"manifest-schema-version", put(image(layer, object{"schemaVersion": 1}))},
		{"manifest-media-type-mismatch", request{method: "PUT", path: "manifests/bad", body: body, header: map[string]string{"Content-Type": typeIndex}}},
		{"manifest-media-type-unknown", request{method: "PUT", path: "manifests/bad", body: image(layer, object{"mediaType": nil}), header: map[string]string{"Content-Type": "text/plain"}}},
		{"manifest-mixed", put(image(layer, object{"manifests": []any{}}))},
		{"manifest-without-config", put(image(layer, object{"config": nil}))},
		{"manifest-descriptor-digest", put(image(layer, object{"layers": []any{object{"mediaType": typeLayer, "digest": "sha256:zz", "size": 1}}}))},
		{"manifest-descriptor-size", put(image(layer, object{"layers": []any{object{"mediaType": typeLayer, "digest": absent, "size": -1}}}))},
		{"manifest-sizes", put(image(layer, object{"layers": []any{object{"mediaType": typeLayer, "digest": absent, "size": int64(math.MaxInt64)}}}))},
		{"manifest-too-many", put(image(layer, object{"layers": many}))},
		{"manifest-blob-unknown", put(image([]byte("never pushed"), nil))},
		{"manifest-child-unknown", request{
			method: "PUT", path: "manifests/bad", header: map[string]string{"Content-Type": typeIndex},
			body: encode(object{"schemaVersion": 2, "mediaType": typeIndex, "manifests": []any{descriptor(typeManifest, []byte("never pushed"))}}, nil),
		}},
		{"manifest-digest-mismatch", request{method: "PUT", path: "manifests/" + absent, body: body, header: asManifest}},
		{"tag-grammar", request{method: "PUT", path: "manifests/-bad", body: body, header: asManifest}},
		{"tag-too-long", request{method: "PUT", path: "manifests/" + strings.Repeat("x", 129), body: body, header: asManifest}},
		{"tag-parameter", request{method: "PUT", path: "manifests/" + digest + "?tag=a/b", body: body, header: asManifest}},
		{"tag-with-slash", request{method: "PUT", path: "manifests/a/b", body: body, header: asManifest}},
		{"name-case", request{method: "GET", path: "/v2/suite/UPPER/manifests/v1"}},
		{"name-too-long", request{method: "GET", path: "/v2/" + strings.Repeat("x", 256) + "/manifests/v1"}},
		{"name-unknown", request{method: "GET", path: "/v2/suite/never-pushed/tags/list", scopes: []string{"repository:suite/never-pushed:pull"}}},
		{"resource-unknown", request{method: "GET", path: "nothing/here"}},
		{"method", request{method: "POST", path: "manifests/v1"}},
		{"page-negative", request{method: "GET", path: "tags/list?n=-1"}},
		{"page-not-a-number", request{method: "GET", path: "tags/list?n=ten"}},
		{"page-overflow", request{method: "GET", path: "tags/list?n=99999999999999999999"}},
		{"referrers-digest", request{method: "GET", path: "referrers/v1"}},
		{"unauthorized", request{method: "POST", path: "blobs/uploads/", bare: true}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			checkGolden(t, tc.name, c.do(t, tc.request))
		})
	}
}

// checkGolden compares an answer with testdata/errors/<name>.json.
func checkGolden(t *testing.T, name string, got response) {
	t.Helper()
	var answer any
	if err := json.Unmarshal(got.body, &answer); err != nil {
		t.Fatalf("status %d with a body that is not JSON: %v\n%s", got.status, err, got.body)
	}
	text, err := json.MarshalIndent(object{"status": fmt.Sprintf("%d %s", got.status, http.StatusText(got.status)), "body": answer}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	_, self, _, _ := runtime.Caller(0)
	file := filepath.Join(filepath.Dir(self), "testdata", "errors", name+".json")
	if *update {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, want) {
		t.Errorf("answer differs from %s:\n%s\nwant:\n%s", filepath.Base(file), text, want)
	}
}
