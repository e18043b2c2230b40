package registrytest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
)

const (
	pushers     = 8
	pusherTurns = 6
)

// testConcurrency lets clients push equal and different models to the same
// repository and tags, delete and pull, all at once. What is acknowledged and
// not deleted since must be whole, and nothing may be answered with a 5xx.
func testConcurrency(t *testing.T, target Target) {
	t.Parallel()
	c := target.in(t)
	config, shared := []byte("{}"), content(t.Name()+"/shared", 200_000)
	c.pushBlob(t, config)

	var mu sync.Mutex
	kept := map[string][]byte{} // acknowledged and never deleted: manifests by digest
	sound := func(t *testing.T, r response, statuses ...int) bool {
		t.Helper()
		if !slices.Contains(statuses, r.status) {
			t.Errorf("status %d, want one of %v\n%s", r.status, statuses, r.body)
			return false
		}
		return true
	}
	// push uploads the blobs in the ways that clients have, and the manifest.
	// When somebody deletes a blob in between, the manifest is refused and all begins again.
	push := func(t *testing.T, tag string, layers ...[]byte) (digest string, body []byte) {
		t.Helper()
		list := make([]any, len(layers))
		for i, p := range layers {
			list[i] = descriptor(typeLayer, p)
		}
		body = encode(object{
			"schemaVersion": 2, "mediaType": typeManifest, "config": descriptor(typeEmpty, config), "layers": list,
		}, nil)
		for range 100 {
			for i, p := range append([][]byte{config}, layers...) {
				if i%2 == 0 {
					sound(t, c.do(t, request{method: "POST", path: "blobs/uploads/?digest=" + digestOf(p), body: p}), http.StatusCreated)
					continue
				}
				up := c.do(t, request{method: "POST", path: "blobs/uploads/"})
				if sound(t, up, http.StatusAccepted) {
					sound(t, c.do(t, request{method: "PUT", path: up.header.Get("Location") + "?digest=" + digestOf(p), body: p}), http.StatusCreated)
				}
			}
			got := c.do(t, request{method: "PUT", path: "manifests/" + tag, body: body, header: map[string]string{"Content-Type": typeManifest}})
			if !sound(t, got, http.StatusCreated, http.StatusNotFound) || got.status == http.StatusCreated {
				return digestOf(body), body
			}
		}
		t.Error("the manifest was refused every time")
		return digestOf(body), body
	}
	// whole checks that a manifest and all of its blobs can be pulled.
	whole := func(t *testing.T, body []byte) {
		t.Helper()
		var m struct {
			Config struct{ Digest string }
			Layers []struct{ Digest string }
		}
		if err := json.Unmarshal(body, &m); err != nil {
			t.Error(err)
			return
		}
		for _, l := range append(m.Layers, m.Config) {
			got := c.do(t, request{method: "GET", path: "blobs/" + l.Digest})
			if sound(t, got, http.StatusOK) && digestOf(got.body) != l.Digest {
				t.Errorf("blob %s comes as %s", l.Digest, digestOf(got.body))
			}
		}
	}

	var wait sync.WaitGroup
	for i := range pushers {
		wait.Go(func() {
			for turn := range pusherTurns {
				own := content(fmt.Sprintf("%s/%d/%d", t.Name(), i, turn), 50_000)
				same := content(fmt.Sprintf("%s/turn/%d", t.Name(), turn), 50_000) // for all clients
				tag := []string{"latest", fmt.Sprintf("turn-%d", turn)}[i%2]

				// A model of its own, which nobody deletes.
				digest, body := push(t, tag, own, shared, same)
				mu.Lock()
				kept[digest] = body
				mu.Unlock()

				// One that all push and some delete.
				digest, _ = push(t, "fleeting", shared, same)
				if i%2 == 0 {
					sound(t, c.do(t, request{method: "DELETE", path: "manifests/" + digest}), http.StatusAccepted, http.StatusNotFound)
				} else {
					sound(t, c.do(t, request{method: "DELETE", path: "manifests/fleeting"}), http.StatusAccepted, http.StatusNotFound)
				}
				sound(t, c.do(t, request{method: "DELETE", path: "blobs/" + digestOf(same)}), http.StatusAccepted, http.StatusNotFound, http.StatusForbidden)

				// Whatever the tag points at is whole: nobody deletes those models.
				got := c.do(t, request{method: "GET", path: "manifests/" + tag})
				if sound(t, got, http.StatusOK) {
					whole(t, got.body)
				}
				sound(t, c.do(t, request{method: "GET", path: "tags/list"}), http.StatusOK)
			}
		})
	}
	wait.Wait()

	for digest, body := range kept {
		got := c.expect(t, http.StatusOK, request{method: "GET", path: "manifests/" + digest})
		if !bytes.Equal(got.body, body) {
			t.Errorf("manifest %s has other bytes than pushed", digest)
		}
		whole(t, body)
	}
}
