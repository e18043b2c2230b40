package main

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

// verifications asks the API for those of a version, newest first.
func (p *peer) verifications(t *testing.T, reference string) []verification {
	t.Helper()
	var answer struct{ Verifications []verification }
	got := p.want(t, http.StatusOK, "", http.MethodGet, "/api/v1/models/"+p.repo+"/versions/"+reference+"/verifications", nil)
	if err := json.Unmarshal(got.body, &answer); err != nil {
		t.Fatalf("%v: %s", err, got.body)
	}
	return answer.Verifications
}

// verification is one of the API's answers.
type verification struct {
	ID     int64
	State  verify.State
	Report struct {
		CheckSet int `json:"checkSet"`
		Summary  string
	}
}

// TestVerifiedAgain starts a hub on versions that an older program verified:
// with fewer checks they count no longer as verified with these.
func TestVerifiedAgain(t *testing.T) {
	t.Parallel()
	for _, p := range pairings {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			c, getenv := p.config(t)
			c.Data = t.TempDir()
			u, dir := user{t.TempDir()}, t.TempDir()
			key := filepath.Join(dir, "hub.pub")
			// Where the hub listens changes when it starts anew; what it holds does not.
			refs := func(url string) (good, bad string) {
				host := strings.TrimPrefix(url, "http://")
				u.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
				return host + "/demo/m:good", host + "/demo/m:bad"
			}
			before := map[string]verification{}
			t.Run("by an older program", func(t *testing.T) {
				h, url := startHub(t, c, getenv)
				good, bad := refs(url)
				u.must(t, "", "push", example, good, "--wait")
				u.expect(t, 1, "tensors.values", "push", zeroed(t), bad, "--wait")
				write(t, key, []byte(u.must(t, "", "keys", good)))
				for _, tag := range []string{"good", "bad"} {
					d := must(client.New(client.Options{}).Artifact(t.Context(), must(client.ParseReference(strings.TrimSuffix(good, "good")+tag))(t)))(t).Digest
					v := must(h.store.Verification(t.Context(), "demo/m", d))(t)
					v.Report.CheckSet = verify.CheckSet - 1
					if err := h.store.FinishVerification(t.Context(), v.ID, v.Report, verify.Publication{Referrer: v.Referrer, KeyID: v.KeyID}); err != nil {
						t.Fatal(err)
					}
					var was verification
					was.ID, was.State, was.Report.CheckSet, was.Report.Summary = v.ID, v.State, v.Report.CheckSet, v.Report.Summary
					before[tag] = was
				}
			})
			t.Run("by this one", func(t *testing.T) {
				_, url := startHub(t, c, getenv)
				good, bad := refs(url)
				peer := newPeer(t, url, "demo/m")
				for tag, want := range map[string]verify.State{"good": verify.StatePassed, "bad": verify.StateFailed} {
					var now []verification
					eventually(t, tag+" is verified again", func() bool {
						now = peer.verifications(t, tag)
						return len(now) == 2 && now[0].State.Done()
					})
					if got := now[0]; got.State != want || got.Report.CheckSet != verify.CheckSet {
						t.Errorf("%s: %+v, want %s by check set %d", tag, got, want, verify.CheckSet)
					}
					if now[1] != before[tag] {
						t.Errorf("%s: the history changed: %+v, was %+v", tag, now[1], before[tag])
					}
				}
				u.expect(t, 0, "passed: ", "verify", "--key", key, good)
				u.expect(t, 1, "failed: tensors.values", "verify", "--key", key, bad)
				u.must(t, "", "pull", "--verified", good, "-o", filepath.Join(t.TempDir(), "m"))
			})
		})
	}
}

// TestUntaggedIsNotVerified takes the tag away before a verification begins.
func TestUntaggedIsNotVerified(t *testing.T) {
	t.Parallel()
	for _, p := range pairings {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			c, getenv := p.config(t)
			c.Data = t.TempDir()
			u := user{t.TempDir()}
			idle := c
			idle.VerifyTimeout = 1 // which only says that the number of workers is meant
			var gone, kept string
			t.Run("no worker", func(t *testing.T) {
				_, url := startHub(t, idle, getenv)
				host := strings.TrimPrefix(url, "http://")
				u.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
				u.must(t, "", "push", zeroed(t), host+"/demo/m:gone")
				u.must(t, "", "push", example, host+"/demo/m:kept")
				peer := newPeer(t, url, "demo/m")
				gone = peer.want(t, http.StatusOK, "", http.MethodHead, "manifests/gone", nil).header.Get("Docker-Content-Digest")
				kept = peer.want(t, http.StatusOK, "", http.MethodHead, "manifests/kept", nil).header.Get("Docker-Content-Digest")
				peer.want(t, http.StatusAccepted, "", http.MethodDelete, "manifests/gone", nil)
				if got := peer.verifications(t, gone); len(got) != 1 || got[0].State != verify.StateCancelled {
					t.Errorf("without a tag: %+v", got)
				}
				u.expect(t, 0, "cancelled", "inspect", host+"/demo/m@"+gone)
			})
			t.Run("a worker", func(t *testing.T) {
				_, url := startHub(t, c, getenv)
				peer := newPeer(t, url, "demo/m")
				eventually(t, "the version with a tag is verified", func() bool {
					return peer.verifications(t, kept)[0].State == verify.StatePassed
				})
				if got := peer.verifications(t, gone); len(got) != 1 || got[0].State != verify.StateCancelled {
					t.Errorf("without a tag: %+v", got)
				}
				body := peer.want(t, http.StatusOK, "", http.MethodGet, "manifests/"+gone, nil)
				peer.want(t, http.StatusCreated, "", http.MethodPut, "manifests/back", body.body, "Content-Type", registry.MediaTypeOCIManifest)
				eventually(t, "the version whose tag is back is verified", func() bool {
					got := peer.verifications(t, gone)
					return len(got) == 2 && got[0].State == verify.StateFailed
				})
			})
		})
	}
}
