package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

// BenchmarkResolve downloads files by their names through the API of Hugging
// Face, in turns with the same bytes as blobs of the OCI API. It reports the
// median of what the first takes of the second's time.
func BenchmarkResolve(b *testing.B) {
	h, url := startHub(b, serveConfig{}, nil)
	for _, x := range []struct {
		name  string
		size  int // of the file that is fetched, bytes
		files int // of the model
		turn  int // requests
	}{{"large", 256 << 20, 8, 1}, {"small", 1 << 10, 8, 200}, {"small-of-1000", 1 << 10, 1000, 200}} {
		b.Run(x.name, func(b *testing.B) {
			name := registry.Name("bench/" + x.name)
			d := pushedFiles(b, h.registry, name, x.size, x.files)
			byName := fmt.Sprintf("%s/%s/resolve/main/weights.bin", url, name)
			byDigest := fmt.Sprintf("%s/v2/%s/blobs/%s", url, name, d)
			turn := func(address string) time.Duration {
				begun := time.Now()
				var all sync.WaitGroup
				for w := range runtime.GOMAXPROCS(0) {
					all.Go(func() {
						for i := w; i < x.turn; i += runtime.GOMAXPROCS(0) {
							fetch(b, address, int64(x.size))
						}
					})
				}
				all.Wait()
				return time.Since(begun)
			}
			turn(byName) // connections and caches
			turn(byDigest)
			var ratios []float64
			var resolve, blob time.Duration
			for b.Loop() {
				r, d := turn(byName), turn(byDigest)
				resolve, blob = resolve+r, blob+d
				ratios = append(ratios, float64(r)/float64(d))
			}
			slices.Sort(ratios)
			requests := float64(len(ratios) * x.turn)
			b.ReportMetric(ratios[len(ratios)/2], "resolve/blob")
			b.ReportMetric(requests/resolve.Seconds(), "resolve-requests/s")
			b.ReportMetric(requests/blob.Seconds(), "blob-requests/s")
			b.ReportMetric(requests*float64(x.size)/resolve.Seconds()/1e6, "resolve-MB/s")
			b.ReportMetric(requests*float64(x.size)/blob.Seconds()/1e6, "blob-MB/s")
		})
	}
}

// pushedFiles pushes a model of some files, one of them of a size, whose digest it returns.
func pushedFiles(b *testing.B, reg *registry.Registry, name registry.Name, size, files int) registry.Digest {
	b.Helper()
	g := auth.System(string(name), auth.Push)
	put := func(content []byte) registry.Digest {
		d := registry.DigestOf(registry.SHA256, content)
		if _, err := reg.PutBlob(b.Context(), g, d, int64(len(content)), bytes.NewReader(content)); err != nil {
			b.Fatal(err)
		}
		return d
	}
	weights := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{}).Read(weights) // never fails
	d, one := put(weights), put([]byte("1"))
	type layer struct {
		MediaType   string            `json:"mediaType"`
		Digest      registry.Digest   `json:"digest"`
		Size        int               `json:"size"`
		Annotations map[string]string `json:"annotations"`
	}
	layers := []layer{{registry.ModelPackWeight, d, size, map[string]string{registry.AnnotationModelPackPath: "weights.bin"}}}
	for i := 1; i < files; i++ {
		layers = append(layers, layer{registry.ModelPackWeight, one, 1, map[string]string{registry.AnnotationModelPackPath: fmt.Sprintf("folder/%d.bin", i)}})
	}
	config := []byte("{}")
	body, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": registry.MediaTypeOCIManifest, "artifactType": "application/vnd.cncf.model.manifest.v1+json",
		"config": map[string]any{"mediaType": registry.MediaTypeOCIEmpty, "digest": put(config), "size": len(config)}, "layers": layers,
	})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := reg.PutManifest(b.Context(), g, registry.ManifestPut{Reference: registry.Reference{Tag: "v1"}, Body: body}); err != nil {
		b.Fatal(err)
	}
	return d
}
