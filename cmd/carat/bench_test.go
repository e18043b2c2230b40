package main

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/internal/child"
	"github.com/carat-hub/carat/registry"
)

// BenchmarkStart measures the real binary from its start to the first 200 of
// /readyz: on an empty data folder, and on one that it has used before.
func BenchmarkStart(b *testing.B) {
	binary := filepath.Join(b.TempDir(), "carat")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	info, err := os.Stat(binary)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			start(b, binary, b.TempDir())
		}
		b.ReportMetric(float64(info.Size())/1e6, "MB-binary")
	})
	b.Run("again", func(b *testing.B) {
		data := b.TempDir()
		start(b, binary, data)
		b.ResetTimer()
		for b.Loop() {
			start(b, binary, data)
		}
	})
}

// start runs a hub until it is ready.
func start(b *testing.B, binary, data string) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	cmd := exec.Command(binary, "serve", "--addr", addr, "--data", data, "--log-level", "error")
	cmd.Env = []string{"CARAT_ADMIN_PASSWORD=" + testPassword}
	p, err := child.Start(cmd, "")
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		b.StopTimer()
		if err := p.Stop(syscall.SIGTERM, time.Minute); err != nil {
			b.Errorf("stop: %v", err)
		}
		b.StartTimer()
	}()
	deadline := time.Now().Add(time.Minute)
	for {
		resp, err := http.Get("http://" + addr + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			b.Fatalf("not ready: %v", err)
		}
		time.Sleep(time.Millisecond)
	}
}

// BenchmarkBlobGet compares a blob's download with net/http serving the same
// bytes from a plain file, which is what the machine can do.
func BenchmarkBlobGet(b *testing.B) {
	content := make([]byte, 256<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(content) // never fails
	h, url := startHub(b, serveConfig{}, nil)
	d := registry.DigestOf(registry.SHA256, content)
	g := auth.System("bench/blob", auth.Push)
	path := filepath.Join(b.TempDir(), "plain")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		b.Fatal(err)
	}
	if _, err := h.registry.PutBlob(b.Context(), g, d, int64(len(content)), bytes.NewReader(content)); err != nil {
		b.Fatal(err)
	}
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) }))
	defer plain.Close()
	for _, peer := range []struct{ name, url string }{{"carat", url + "/v2/bench/blob/blobs/" + d.String()}, {"plain-file", plain.URL}} {
		b.Run(peer.name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				fetch(b, peer.url, int64(len(content)))
			}
		})
	}
}

// BenchmarkManifestGet compares a manifest by tag, in parallel, with net/http
// answering the same bytes from memory.
func BenchmarkManifestGet(b *testing.B) {
	h, url := startHub(b, serveConfig{}, nil)
	g := auth.System("bench/manifest", auth.Push)
	empty := []byte("{}")
	config := registry.DigestOf(registry.SHA256, empty)
	if _, err := h.registry.PutBlob(b.Context(), g, config, 2, bytes.NewReader(empty)); err != nil {
		b.Fatal(err)
	}
	body := []byte(`{"schemaVersion":2,"mediaType":"` + registry.MediaTypeOCIManifest + `","config":{"mediaType":"` + registry.MediaTypeOCIEmpty + `","digest":"` + config.String() + `","size":2},"layers":[]}`)
	if _, err := h.registry.PutManifest(b.Context(), g, registry.ManifestPut{Reference: registry.Reference{Tag: "v1"}, Body: body}); err != nil {
		b.Fatal(err)
	}
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	defer plain.Close()
	for _, peer := range []struct{ name, url string }{{"carat", url + "/v2/bench/manifest/manifests/v1"}, {"plain-memory", plain.URL}} {
		b.Run(peer.name, func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					fetch(b, peer.url, int64(len(body)))
				}
			})
		})
	}
}

func fetch(b *testing.B, url string, size int64) {
	resp, err := http.Get(url)
	if err != nil {
		b.Error(err)
		return
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != size || resp.StatusCode != http.StatusOK {
		b.Errorf("status %d, %d bytes, %v", resp.StatusCode, n, err)
	}
}
