package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestInspectTensors(t *testing.T) {
	t.Parallel()
	_, url := startHub(t, serveConfig{}, nil)
	hub := strings.TrimPrefix(url, "http://")
	sh := newShell(t)
	sh.run(0, testPassword+"\n", "login", hub, "-u", adminName, "--password-stdin")
	list := func(args ...string) tensorList {
		t.Helper()
		out, _ := sh.run(0, "", append([]string{"inspect", "--tensors", "--json"}, args...)...)
		var l tensorList
		if err := json.Unmarshal([]byte(out), &l); err != nil {
			t.Fatal(err)
		}
		return l
	}
	local := list(exampleModel)
	if len(local.Tensors) != 38 || local.Parameters != 2_885_888 || local.Bytes != 5_771_776 || local.Architecture != "llama" {
		t.Errorf("%d tensors of %+v", len(local.Tensors), local)
	}
	for _, x := range local.Tensors {
		if x.Name == "model.embed_tokens.weight" && (x.DType != "BF16" || !cmp.Equal(x.Shape, []int{2048, 256}) || x.Elements != 524_288 || x.Bytes != 1_048_576 || x.File != "model.safetensors") {
			t.Errorf("%+v", x)
		}
	}
	for _, host := range []string{hub, plainRegistry(t)} {
		ref := host + "/demo/tiny-llama:v1"
		sh.run(0, "", "push", exampleModel, ref)
		if diff := cmp.Diff(local, list(ref)); diff != "" {
			t.Errorf("of %s (-local +remote):\n%s", host, diff)
		}
	}
	out, _ := sh.run(0, "", "inspect", exampleModel, "--tensors")
	for _, want := range []string{
		"model.embed_tokens.weight                       BF16   2048x256  524288    1048576\n",
		"\n38 tensors of BF16: 2,885,888 elements, 5.8 MB\n38 tensors: 2,885,888 elements, 5.8 MB\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not print %q:\n%s", want, out)
		}
	}

	two := t.TempDir()
	for _, typ := range []string{"q8_0", "f16"} {
		sh.run(0, "", "quantize", exampleModel, filepath.Join(two, typ+".gguf"), "--type", typ)
	}
	if _, msg := sh.run(1, "", "inspect", two, "--tensors"); !strings.Contains(msg, "--file names one") {
		t.Errorf("two files: %s", msg)
	}
	sh.run(0, "", "push", two, hub+"/demo/two:v1")
	for _, where := range []string{two, hub + "/demo/two:v1"} {
		if l := list(where, "--file", "q8_0.gguf"); l.Quantization != "Q8_0" || l.Format != "gguf" {
			t.Errorf("%+v", l)
		}
		sh.run(1, "", "inspect", where, "--tensors", "--file", "other.gguf")
	}
	sh.run(2, "", "inspect", exampleModel, "--file", "x")
	sh.run(2, "", "inspect", "no/such/thing", "--tensors")
}

// TestInspectTensorsFetchesHeadersOnly counts the bytes that a hub sends of a large file.
func TestInspectTensorsFetchesHeadersOnly(t *testing.T) {
	t.Parallel()
	h, _ := startHub(t, serveConfig{}, nil)
	var sent atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.server.ServeHTTP(&countingWriter{w, &sent}, r)
	}))
	t.Cleanup(s.Close)
	host := strings.TrimPrefix(s.URL, "http://")
	sh := newShell(t)
	sh.run(0, testPassword+"\n", "login", host, "-u", adminName, "--password-stdin")
	sh.run(0, "", "push", exampleModel, host+"/demo/m:v1")
	sent.Store(0)
	sh.run(0, "", "inspect", host+"/demo/m:v1", "--tensors")
	if n := sent.Load(); n == 0 || n > 1<<20 {
		t.Errorf("%d bytes were sent for a model of 5.8 MB", n)
	}
}

type countingWriter struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c *countingWriter) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.n.Add(int64(n))
	return n, err
}
